//! `otlp_grpc`: sends OTLP over gRPC. Its former name is `otlp`.
//!
//! Batches are sent as they are, without decoding. A batch that is refused for its size is split
//! and sent in parts, whichever of its forms the refusal has: servers in Go, C++ and Java say
//! RESOURCE_EXHAUSTED, those on tonic OUT_OF_RANGE.
//!
//! Left out: load balancing over resolved addresses, authentication extensions.

mod options;

use std::error::Error;
use std::sync::Arc;

use http::uri::PathAndQuery;
use spanmesh_otlp::{response, status};
use tonic::Code;
use tonic::client::Grpc;
use tonic::codec::CompressionEncoding;
use tonic::metadata::MetadataMap;
use tonic::transport::Channel;

use self::options::Config;
use crate::config::{Former, Problems, Section};
use crate::pipeline::{
    Batch, BoxFuture, BuildContext, Delivered, DeliveryOptions, ExportError, Exporter,
    ExporterConfig, ExporterFactory, FORMER_OPTIONS, StartError,
};
use crate::transport::{Compression, RawClientCodec, describe};

/// Makes `otlp_grpc` exporters.
#[derive(Debug)]
pub struct Factory;

struct OtlpGrpc {
    channel: Channel,
    headers: MetadataMap,
    compression: Option<CompressionEncoding>,
}

/// OTLP's limit on responses.
const MAX_RESPONSE_BYTES: usize = 4 << 20;

// === impl Factory ===

impl ExporterFactory for Factory {
    fn kind(&self) -> &'static str {
        "otlp_grpc"
    }

    fn former_kinds(&self) -> &'static [&'static str] {
        &["otlp"]
    }

    fn former_options(&self) -> &'static [Former] {
        FORMER_OPTIONS
    }

    fn configure(&self, section: &Section<'_>) -> Result<Box<dyn ExporterConfig>, Problems> {
        let config = Config::new(section.read()?).map_err(|message| section.problem(message))?;
        Ok(Box::new(config))
    }
}

// === impl Config ===

impl ExporterConfig for Config {
    fn delivery(&self) -> DeliveryOptions {
        self.delivery.clone()
    }

    fn build(self: Box<Self>, _context: &BuildContext) -> Result<Arc<dyn Exporter>, StartError> {
        let compression = match self.compression {
            Compression::None => None,
            Compression::Gzip => Some(CompressionEncoding::Gzip),
            Compression::Zstd => Some(CompressionEncoding::Zstd),
        };
        Ok(Arc::new(OtlpGrpc {
            channel: self.endpoint.connect_with_connector_lazy(self.connector),
            headers: self.headers,
            compression,
        }))
    }
}

// === impl OtlpGrpc ===

impl Exporter for OtlpGrpc {
    fn export<'a>(&'a self, batch: &'a Batch) -> BoxFuture<'a, Result<Delivered, ExportError>> {
        Box::pin(async move {
            let mut grpc = Grpc::new(self.channel.clone())
                // What is larger is refused below; this is the limit on what is read at all.
                .max_decoding_message_size(16 * MAX_RESPONSE_BYTES)
                .accept_compressed(CompressionEncoding::Gzip);
            if let Some(compression) = self.compression {
                grpc = grpc.send_compressed(compression);
            }
            grpc.ready().await.map_err(|error| ExportError::Retryable {
                message: describe(&error),
                after: None,
            })?;
            let mut request = tonic::Request::new(batch.frames.clone());
            *request.metadata_mut() = self.headers.clone();
            let path = PathAndQuery::from_static(batch.signal.grpc_path());
            let response = grpc
                .unary(request, path, RawClientCodec)
                .await
                .map_err(|status| classify(&status))?
                .into_inner();
            if response.len() > MAX_RESPONSE_BYTES {
                let found = response.len();
                return Err(ExportError::Permanent {
                    message: format!(
                        "expected an answer of at most {MAX_RESPONSE_BYTES} bytes, but found {found}"
                    ),
                });
            }
            // An answer that cannot be read is still the answer of a server that took the batch.
            let partial = response::decode(&response).ok().flatten();
            Ok(partial.map(Delivered::from).unwrap_or_default())
        })
    }
}

/// What a failed call means for its batch.
fn classify(status: &tonic::Status) -> ExportError {
    if status.source().is_some() {
        // It did not come from the server: the connection broke, or never came about.
        return ExportError::Retryable {
            message: describe(status),
            after: None,
        };
    }
    let code = status::Code::from_number(i64::from(i32::from(status.code())));
    let message = format!("{}: {}", code.name(), status.message());
    let after = status::Status::decode(status.details())
        .ok()
        .and_then(|details| details.retry_delay);
    if is_too_large(status, after.is_some()) {
        ExportError::TooLarge { message }
    } else if code.is_retryable(after.is_some()) {
        ExportError::Retryable { message, after }
    } else {
        ExportError::Permanent { message }
    }
}

fn is_too_large(status: &tonic::Status, has_retry_info: bool) -> bool {
    let speaks_of_size = || {
        let message = status.message().to_ascii_lowercase();
        ["larger", "too large", "exceed", "size"]
            .iter()
            .any(|word| message.contains(word))
    };
    match status.code() {
        Code::ResourceExhausted => !has_retry_info && speaks_of_size(),
        Code::OutOfRange => speaks_of_size(),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn codes_decide_what_becomes_of_a_batch() {
        let p = |code, message: &str| classify(&tonic::Status::new(code, message));
        for code in [
            Code::Cancelled,
            Code::DeadlineExceeded,
            Code::Aborted,
            Code::OutOfRange,
            Code::Unavailable,
            Code::DataLoss,
        ] {
            assert!(
                matches!(p(code, "x"), ExportError::Retryable { after: None, .. }),
                "{code:?}"
            );
        }
        for code in [
            Code::Unknown,
            Code::InvalidArgument,
            Code::NotFound,
            Code::AlreadyExists,
            Code::PermissionDenied,
            Code::ResourceExhausted,
            Code::FailedPrecondition,
            Code::Unimplemented,
            Code::Internal,
            Code::Unauthenticated,
        ] {
            assert!(
                matches!(p(code, "x"), ExportError::Permanent { .. }),
                "{code:?}"
            );
        }
    }

    #[test]
    fn every_form_of_too_large_is_known() {
        for (code, message) in [
            (
                Code::ResourceExhausted,
                "grpc: received message larger than max (5000000 vs. 4194304)",
            ),
            (
                Code::ResourceExhausted,
                "gRPC message exceeds maximum size 4194304: 5000000",
            ),
            (
                Code::OutOfRange,
                "Error, decoded message length too large: found 5000000 bytes, the limit is: \
                 4194304 bytes",
            ),
        ] {
            let error = classify(&tonic::Status::new(code, message));
            assert!(matches!(error, ExportError::TooLarge { .. }), "{message}");
        }
    }

    #[test]
    fn exhausted_servers_may_say_when_to_come_back() {
        let delay = Duration::from_millis(1500);
        let details = status::Status::new(status::Code::ResourceExhausted, "quota size")
            .with_retry_delay(delay);
        let status = tonic::Status::with_details(
            Code::ResourceExhausted,
            "quota size",
            details.encode().into(),
        );
        let ExportError::Retryable { after, .. } = classify(&status) else {
            panic!("{status:?}")
        };
        assert_eq!(after, Some(delay));
    }
}
