//! `tls` of a receiver.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use serde::Deserialize;
use tokio_rustls::TlsAcceptor;

use super::expiry::{self, Certified, Expiries, TlsUser};
use super::parameters::{Parameters, Version, alpn};
use super::pem::{Identity, Pem, certificate_file, key_file};
use crate::config::{Secret, Span};
use crate::telemetry::Registry;
use crate::transport::reload::Reloading;

/// The options.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct ServerTlsOptions {
    /// The certificate to show.
    #[serde(deserialize_with = "certificate_file")]
    cert_file: Option<PathBuf>,
    cert_pem: Option<Secret>,
    /// Its key.
    #[serde(deserialize_with = "key_file")]
    key_file: Option<PathBuf>,
    key_pem: Option<Secret>,
    /// If set, clients have to show a certificate of one of these authorities.
    #[serde(deserialize_with = "certificate_file")]
    client_ca_file: Option<PathBuf>,
    /// Whether that file is looked at again, also without `reload_interval`.
    client_ca_file_reload: bool,
    min_version: Option<Version>,
    max_version: Option<Version>,
    cipher_suites: Vec<String>,
    curve_preferences: Vec<String>,
    /// How often files are looked at again; 0 for never.
    reload_interval: Span,
    /// Accepted for the sake of existing files: the authorities that a server believes are those of
    /// `client_ca_file`.
    #[serde(rename = "ca_file")]
    _ca_file: Option<PathBuf>,
    #[serde(rename = "ca_pem")]
    _ca_pem: Option<Secret>,
    #[serde(rename = "include_system_ca_certs_pool")]
    _include_system_ca_certs_pool: bool,
}

/// What a server needs for its handshakes. Clones are the same.
#[derive(Clone, Debug)]
pub struct ServerTls(Arc<Reloading<Certified<ServerConfig>>>);

/// What a configuration of rustls is made of.
struct Source {
    parameters: Parameters,
    identity: Identity,
    client_authorities: Option<Pem>,
    protocols: Vec<Vec<u8>>,
}

/// How often a file is looked at whose changes are wanted without an interval.
const RELOAD_INTERVAL: Duration = Duration::from_secs(1);

// === impl ServerTlsOptions ===

impl ServerTlsOptions {
    /// Reads the files and makes the configuration of rustls, with ALPN for `protocols`.
    ///
    /// # Errors
    /// A file is unreadable or holds nothing useful, or options contradict each other; a sentence
    /// that names it.
    pub fn build(&self, protocols: &[&str]) -> Result<ServerTls, String> {
        let identity = Identity::new(
            (self.cert_file.as_ref(), self.cert_pem.as_ref()),
            (self.key_file.as_ref(), self.key_pem.as_ref()),
        )?;
        let Some(identity) = identity else {
            return Err("expected \"cert_file\" and \"key_file\", but found neither".to_owned());
        };
        let source = Source {
            parameters: Parameters::new(
                self.min_version,
                self.max_version,
                &self.cipher_suites,
                &self.curve_preferences,
            )?,
            identity,
            client_authorities: self.client_ca_file.clone().map(Pem::File),
            protocols: alpn(protocols),
        };
        let reload = self.reload_interval.non_zero();
        let authorities = source.authority_files().collect();
        let certificate = source.identity.files().collect();
        let files = [authorities, certificate];
        let (watched, interval, others) = match (reload, self.client_ca_file_reload) {
            (None, true) => {
                // A certificate that changes is not asked for, and does not wake this up.
                let [authorities, certificate] = files;
                (authorities, Some(RELOAD_INTERVAL), certificate)
            }
            (interval, _) => (files.concat(), interval, Vec::new()),
        };
        Reloading::with_others(watched, interval, others, move || source.make())
            .map(|config| ServerTls(Arc::new(config)))
    }
}

// === impl ServerTls ===

impl ServerTls {
    /// Looks at the files now. If what they hold now is of no use, what they held stays, with a
    /// warning.
    pub fn reread(&self) {
        self.0.reread();
    }

    /// For the next handshake.
    pub(in crate::transport) fn acceptor(&self) -> TlsAcceptor {
        TlsAcceptor::from(self.0.current().config.clone())
    }

    /// Shows when its certificates expire.
    pub fn show_expiry(&self, user: TlsUser<'_>, registry: &Registry) {
        expiry::show(&self.0, user, registry);
    }
}

// === impl Source ===

impl Source {
    fn authority_files(&self) -> impl Iterator<Item = PathBuf> {
        let file = self.client_authorities.as_ref().and_then(Pem::file);
        file.map(Path::to_owned).into_iter()
    }

    fn make(&self) -> Result<Certified<ServerConfig>, String> {
        let mut expiries = Expiries::new();
        let provider = self.parameters.provider.clone();
        let builder = ServerConfig::builder_with_provider(provider.clone())
            .with_protocol_versions(&self.parameters.versions)
            .map_err(|error| error.to_string())?;
        let builder = match &self.client_authorities {
            None => builder.with_no_client_auth(),
            Some(authorities) => {
                let mut roots = RootCertStore::empty();
                expiries.extend(authorities.add_to(&mut roots)?);
                let verifier =
                    WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider)
                        .build()
                        .map_err(|error| format!("{}: {error}", authorities.name()))?;
                builder.with_client_cert_verifier(verifier)
            }
        };
        let (certificates, key) = self.identity.read()?;
        expiries.extend(self.identity.expiry(&certificates));
        let mut config = builder
            .with_single_cert(certificates, key)
            .map_err(|error| format!("{}: {error}", self.identity.name()))?;
        config.alpn_protocols.clone_from(&self.protocols);
        Ok(Certified {
            config: Arc::new(config),
            expiries,
        })
    }
}
