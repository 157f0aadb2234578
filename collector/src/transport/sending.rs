//! The options that the exporters of OTLP share.

use std::collections::BTreeMap;

use http::{HeaderMap, HeaderName, HeaderValue};

use super::{ClientTlsOptions, Connector};
use crate::config::{Secret, Span};
use crate::pipeline::{AuthOptions, DeliveryOptions, QueueOptions, RetryOptions};

/// The options.
#[derive(Debug)]
pub struct SendingOptions {
    /// TLS; on unless `insecure` is set or the scheme is `http`.
    pub tls: ClientTlsOptions,
    /// Headers that every request carries. They may hold secrets.
    pub headers: BTreeMap<String, Secret>,
    /// The extension that shows who we are.
    pub auth: Option<AuthOptions>,
    /// How long one attempt may take; 0 for no limit.
    pub timeout: Span,
    /// `sending_queue`.
    pub queue: QueueOptions,
    /// `retry_on_failure`.
    pub retry: RetryOptions,
}

/// Declares the options of an exporter: those that it shares with the others, and its own. One struct
/// has them all, since only then an unknown key is found among all keys. `default_timeout` has to be in
/// scope, and returns a `Span`.
macro_rules! sending_options {
    ($(#[$attribute:meta])* pub(super) struct $name:ident { $($own:tt)* }) => {
        $(#[$attribute])*
        #[derive(Debug, serde::Deserialize)]
        pub(super) struct $name {
            #[serde(default)]
            tls: $crate::transport::ClientTlsOptions,
            #[serde(default)]
            headers: std::collections::BTreeMap<String, $crate::config::Secret>,
            #[serde(default)]
            auth: Option<$crate::pipeline::AuthOptions>,
            #[serde(default = "default_timeout")]
            timeout: $crate::config::Span,
            #[serde(default)]
            sending_queue: $crate::pipeline::QueueOptions,
            #[serde(default)]
            retry_on_failure: $crate::pipeline::RetryOptions,
            /// Accepted for the sake of existing files; buffers are sized by what is sent.
            #[serde(default, rename = "read_buffer_size")]
            _read_buffer_size: usize,
            #[serde(default, rename = "write_buffer_size")]
            _write_buffer_size: usize,
            $($own)*
        }

        impl $name {
            /// Those that are shared.
            pub(super) fn shared(&self) -> $crate::transport::SendingOptions {
                $crate::transport::SendingOptions {
                    tls: self.tls.clone(),
                    headers: self.headers.clone(),
                    auth: self.auth.clone(),
                    timeout: self.timeout,
                    queue: self.sending_queue.clone(),
                    retry: self.retry_on_failure.clone(),
                }
            }
        }
    };
}
pub(crate) use sending_options;

// === impl SendingOptions ===

impl SendingOptions {
    /// Reads the certificates, if `tls` says that there is TLS, with ALPN for `protocols`.
    ///
    /// # Errors
    /// A sentence that says what is wrong.
    pub fn connector(&self, tls: bool, protocols: &[&str]) -> Result<Connector, String> {
        let config = match tls {
            true => Some(
                self.tls
                    .build(protocols)
                    .map_err(|message| format!("tls: {message}"))?,
            ),
            false => None,
        };
        Connector::new(config, self.tls.server_name_override.as_deref())
            .map_err(|message| format!("tls::server_name_override: {message}"))
    }

    /// The headers, marked as sensitive.
    ///
    /// # Errors
    /// A sentence that says what is wrong. It does not repeat values.
    pub fn header_map(&self) -> Result<HeaderMap, String> {
        let mut headers = HeaderMap::new();
        for (name, value) in &self.headers {
            let key: HeaderName = name
                .parse()
                .map_err(|_| format!("headers: {name:?} is no name of a header"))?;
            let mut value = HeaderValue::from_str(value.expose())
                .map_err(|_| format!("headers: the value of {name:?} is no value of a header"))?;
            value.set_sensitive(true);
            headers.insert(key, value);
        }
        Ok(headers)
    }

    /// What a destination needs to know. Batches are kept below `max_batch_bytes`, unless
    /// `sending_queue::batch` sets a limit in bytes.
    pub fn delivery(&self, max_batch_bytes: usize) -> DeliveryOptions {
        let configured = self.queue.batch.and_then(|batch| batch.max_bytes);
        DeliveryOptions {
            queue: self.queue.clone(),
            retry: self.retry.clone(),
            timeout: self.timeout.non_zero(),
            max_batch_bytes: configured.unwrap_or(max_batch_bytes),
        }
    }
}
