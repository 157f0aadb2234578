//! `otlp_http`: sends OTLP over HTTP, as protobuf or JSON. Its former name is `otlphttp`.
//!
//! A batch that is refused for its size is split and sent in parts. Errors are read in the encoding
//! that their `Content-Type` names. Connections are made to the addresses of a host in turn.
//!
//! Left out: proxies, redirects, cookies.

mod body;
mod options;

use std::sync::Arc;
use std::time::SystemTime;

use bytes::Bytes;
use http::{HeaderMap, Request, Response, StatusCode, header};
use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;
use hyper_util::client::legacy::Client;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use spanmesh_otlp::status::{self, Status};
use spanmesh_otlp::{Signal, json, response};
use tracing::warn;

use self::body::FramesBody;
use self::options::{Config, Encoding};
use crate::config::{Former, Problems, Section};
use crate::pipeline::{
    Authenticators, Batch, BoxFuture, BuildContext, Delivered, DeliveryOptions, ExportError,
    Exporter, ExporterConfig, ExporterFactory, FORMER_OPTIONS, StartError,
};
use crate::telemetry::Registry;
use crate::transport::{Compression, Connector, compress, describe, is_unconnected};

/// Makes `otlp_http` exporters.
#[derive(Debug)]
pub struct Factory;

struct OtlpHttp {
    id: String,
    registry: Registry,
    client: Client<Connector, FramesBody>,
    config: Config,
}

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// OTLP's limit on responses.
const MAX_RESPONSE_BYTES: usize = 4 << 20;

// === impl Factory ===

impl ExporterFactory for Factory {
    fn kind(&self) -> &'static str {
        "otlp_http"
    }

    fn former_kinds(&self) -> &'static [&'static str] {
        &["otlphttp"]
    }

    fn former_options(&self) -> &'static [Former] {
        FORMER_OPTIONS
    }

    fn configure(&self, section: &Section<'_>) -> Result<Box<dyn ExporterConfig>, Problems> {
        let options = section.read()?;
        let config = Config::new(&options).map_err(|message| section.problem(message))?;
        Ok(Box::new(config))
    }
}

// === impl Config ===

impl ExporterConfig for Config {
    fn check_signal(&self, signal: Signal) -> Result<(), String> {
        match self.url(signal) {
            Some(_) => Ok(()),
            None => Err(format!(
                "expected the key \"endpoint\" or \"{signal}_endpoint\", but found neither"
            )),
        }
    }

    fn authenticate(&mut self, all: &Authenticators) -> Result<(), String> {
        let auth = self.auth.as_ref();
        self.authenticator = auth.map(|auth| auth.client(all)).transpose()?;
        Ok(())
    }

    fn delivery(&self) -> DeliveryOptions {
        self.delivery.clone()
    }

    fn build(self: Box<Self>, context: &BuildContext) -> Result<Arc<dyn Exporter>, StartError> {
        if self.authenticator.is_some() && !self.is_tls() {
            let exporter = context.id.as_str();
            warn!(
                exporter,
                "what \"auth\" shows to the server is sent without TLS"
            );
        }
        let connections = &self.connections;
        let client = Client::builder(TokioExecutor::new())
            .timer(TokioTimer::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(connections.idle_timeout)
            .pool_max_idle_per_host(connections.max_idle)
            .http2_keep_alive_interval(connections.ping_interval)
            .http2_keep_alive_timeout(connections.ping_timeout)
            .build(self.connector.clone());
        Ok(Arc::new(OtlpHttp {
            id: context.id.clone(),
            registry: context.registry.clone(),
            client,
            config: *self,
        }))
    }
}

// === impl OtlpHttp ===

impl Exporter for OtlpHttp {
    fn start(&self) -> Result<(), StartError> {
        let connector = &self.config.connector;
        connector.show_expiry(&self.id, "http", &self.registry);
        Ok(())
    }

    fn export<'a>(&'a self, batch: &'a Batch) -> BoxFuture<'a, Result<Delivered, ExportError>> {
        Box::pin(async move {
            let mut request =
                self.request(batch)
                    .await
                    .map_err(|error| ExportError::Permanent {
                        message: format!("the batch cannot be encoded: {error}"),
                    })?;
            if let Some(authenticator) = &self.config.authenticator {
                let header = authenticator.header();
                let (name, value) = header.map_err(|message| ExportError::Retryable {
                    message,
                    after: None,
                })?;
                request.headers_mut().insert(name, value);
            }
            let response = self.client.request(request).await.map_err(|error| {
                let message = describe(&error);
                if is_unconnected(&error) {
                    ExportError::Unreachable { message }
                } else {
                    ExportError::Retryable {
                        message,
                        after: None,
                    }
                }
            })?;
            self.settle(batch.signal, response).await
        })
    }
}

impl OtlpHttp {
    async fn request(&self, batch: &Batch) -> Result<Request<FramesBody>, BoxError> {
        let frames = match self.config.encoding {
            Encoding::Proto => batch.frames.clone(),
            Encoding::Json => {
                vec![json::request_to_json(batch.signal, &batch.concatenated())?.into()]
            }
        };
        let frames = match self.config.compression {
            Compression::None => frames,
            compression => {
                let level = self.config.compression_level;
                vec![compress(compression, level, &frames).await?]
            }
        };
        let Some(url) = self.config.url(batch.signal) else {
            return Err(format!("there is no endpoint for {}", batch.signal).into());
        };
        let mut request = Request::post(url.clone())
            .header(header::CONTENT_TYPE, self.config.encoding.content_type())
            .body(FramesBody::new(frames))?;
        let headers = request.headers_mut();
        if let Some(encoding) = self.config.compression.header() {
            headers.insert(header::CONTENT_ENCODING, encoding.parse()?);
        }
        for (name, value) in &self.config.headers {
            headers.insert(name.clone(), value.clone());
        }
        Ok(request)
    }

    async fn settle(
        &self,
        signal: Signal,
        response: Response<Incoming>,
    ) -> Result<Delivered, ExportError> {
        let (parts, body) = response.into_parts();
        let body = Limited::new(body, MAX_RESPONSE_BYTES).collect().await;
        let success = parts.status.is_success();
        let body = match body {
            Ok(body) => body.to_bytes(),
            Err(error) if error.is::<http_body_util::LengthLimitError>() => {
                return Err(ExportError::Permanent {
                    message: format!("expected an answer of at most {MAX_RESPONSE_BYTES} bytes"),
                });
            }
            Err(error) if success => {
                return Err(ExportError::Retryable {
                    message: format!("the answer broke off: {error}"),
                    after: None,
                });
            }
            Err(_) => Bytes::new(),
        };
        let is_json = self.is_json(&parts.headers);
        if success {
            let partial = if is_json {
                response::from_json(signal, &body).ok().flatten()
            } else {
                response::decode(&body).ok().flatten()
            };
            // An answer that cannot be read is still the answer of a server that took the batch.
            return Ok(partial.map(Delivered::from).unwrap_or_default());
        }
        Err(classify(parts.status, &parts.headers, is_json, &body))
    }

    /// Whether an answer is JSON; one that does not say is encoded as requests are.
    fn is_json(&self, headers: &HeaderMap) -> bool {
        match headers.get(header::CONTENT_TYPE) {
            Some(value) => value.as_bytes().starts_with(b"application/json"),
            None => self.config.encoding == Encoding::Json,
        }
    }
}

/// What a failed request means for its batch.
fn classify(
    http_status: StatusCode,
    headers: &HeaderMap,
    is_json: bool,
    body: &[u8],
) -> ExportError {
    let status = if is_json {
        Status::from_json(body).ok()
    } else {
        Status::decode(body).ok()
    };
    let reason = status.as_ref().map_or("", |status| &*status.message);
    let message = format!("HTTP {http_status}: {reason}");
    let after = headers
        .get(header::RETRY_AFTER)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| status::retry_after(value, SystemTime::now()))
        .or(status.as_ref().and_then(|status| status.retry_delay));
    if is_too_large(http_status, reason, body) {
        ExportError::TooLarge { message }
    } else if status::http_is_retryable(http_status.as_u16()) {
        ExportError::Retryable { message, after }
    } else {
        ExportError::Permanent { message }
    }
}

/// 413; or 400, if that is the limit of the server's HTTP library in Go: the OpenTelemetry Collector
/// does not tell it from a body that cannot be read.
fn is_too_large(status: StatusCode, reason: &str, body: &[u8]) -> bool {
    const GO: &str = "request body too large";
    let says_so =
        || reason.contains(GO) || body.windows(GO.len()).any(|window| window == GO.as_bytes());
    match status {
        StatusCode::PAYLOAD_TOO_LARGE => true,
        StatusCode::BAD_REQUEST => says_so(),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn classified(code: u16, retry_after: Option<&str>) -> ExportError {
        let mut headers = HeaderMap::new();
        if let Some(value) = retry_after {
            headers.insert(header::RETRY_AFTER, value.parse().unwrap());
        }
        let body = br#"{"code": 3, "message": "why"}"#;
        classify(StatusCode::from_u16(code).unwrap(), &headers, true, body)
    }

    #[test]
    fn codes_decide_what_becomes_of_a_batch() {
        for code in [429, 502, 503, 504] {
            assert!(matches!(
                classified(code, None),
                ExportError::Retryable { after: None, .. }
            ));
        }
        for code in [301, 400, 401, 404, 408, 500, 501] {
            assert!(
                matches!(classified(code, None), ExportError::Permanent { .. }),
                "{code}"
            );
        }
        assert!(matches!(
            classified(413, None),
            ExportError::TooLarge { .. }
        ));
    }

    #[test]
    fn every_form_of_too_large_is_known() {
        let p = |code, body: &[u8]| {
            let status = StatusCode::from_u16(code).unwrap();
            let error = classify(status, &HeaderMap::new(), false, body);
            matches!(error, ExportError::TooLarge { .. })
        };
        let message = "http: request body too large";
        let encoded = Status::new(status::Code::InvalidArgument, message).encode();
        assert!(p(413, b""));
        assert!(p(413, b"<html>413 Request Entity Too Large</html>"));
        assert!(p(400, &encoded));
        assert!(p(400, message.as_bytes()));
        assert!(!p(400, b"malformed"));
        assert!(!p(500, &encoded));
    }

    #[test]
    fn overloaded_servers_may_say_when_to_come_back() {
        let ExportError::Retryable { message, after } = classified(503, Some("7")) else {
            panic!()
        };
        assert_eq!(after, Some(Duration::from_secs(7)));
        assert_eq!(message, "HTTP 503 Service Unavailable: why");
    }
}
