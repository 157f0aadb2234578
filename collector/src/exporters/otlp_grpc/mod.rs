//! `otlp_grpc`: sends OTLP over gRPC. Its former name is `otlp`.
//!
//! Batches are sent as they are, without decoding. A batch that is refused for its size is split
//! and sent in parts, whichever of its forms the refusal has: servers in Go, C++ and Java say
//! RESOURCE_EXHAUSTED, those on tonic OUT_OF_RANGE.
//!
//! Left out: balancers other than `round_robin` and `pick_first`, resolvers other than DNS, and
//! Snappy, which the gRPC library does not have.

mod options;
mod peers;
mod refusal;

use std::sync::Arc;

use bytes::Bytes;
use http::uri::PathAndQuery;
use spanmesh_otlp::{Signal, response};
use tonic::client::Grpc;
use tonic::codec::CompressionEncoding;
use tonic::metadata::MetadataMap;
use tracing::warn;

use self::options::Config;
use self::peers::Peers;
use self::refusal::classify;
use crate::config::{Former, Problems, Section};
use crate::pipeline::{
    Authenticators, Batch, BoxFuture, BuildContext, ClientAuthenticator, Delivered,
    DeliveryOptions, ExportError, Exporter, ExporterConfig, ExporterFactory, FORMER_OPTIONS,
    StartError,
};
use crate::telemetry::Registry;
use crate::transport::{
    Compression, Connector, Message, MessageChannel, RawClientCodec, describe, is_unconnected,
};

/// Makes `otlp_grpc` exporters.
#[derive(Debug)]
pub struct Factory;

struct OtlpGrpc {
    id: String,
    registry: Registry,
    connector: Connector,
    peers: Peers,
    headers: MetadataMap,
    authenticator: Option<Arc<dyn ClientAuthenticator>>,
    compression: Compression,
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
    fn authenticate(&mut self, all: &Authenticators) -> Result<(), String> {
        let auth = self.auth.as_ref();
        self.authenticator = auth.map(|auth| auth.client(all)).transpose()?;
        Ok(())
    }

    fn delivery(&self) -> DeliveryOptions {
        self.delivery.clone()
    }

    fn build(self: Box<Self>, context: &BuildContext) -> Result<Arc<dyn Exporter>, StartError> {
        if self.authenticator.is_some() && !self.target.is_tls() {
            let exporter = context.id.as_str();
            warn!(
                exporter,
                "what \"auth\" shows to the server is sent without TLS"
            );
        }
        let connector = self.connector.clone();
        Ok(Arc::new(OtlpGrpc {
            id: context.id.clone(),
            registry: context.registry.clone(),
            connector,
            peers: Peers::new(self.balancer, &self.target, self.endpoint, self.connector),
            headers: self.headers,
            authenticator: self.authenticator,
            compression: self.compression,
        }))
    }
}

// === impl OtlpGrpc ===

impl Exporter for OtlpGrpc {
    fn start(&self) -> Result<(), StartError> {
        self.connector.show_expiry(&self.id, "grpc", &self.registry);
        Ok(())
    }

    fn export<'a>(&'a self, batch: &'a Batch) -> BoxFuture<'a, Result<Delivered, ExportError>> {
        Box::pin(async move {
            let metadata = self.metadata()?;
            let message = Message::new(self.compression, &batch.frames).await;
            let message = message.map_err(|error| ExportError::Permanent {
                message: error.to_string(),
            })?;
            let peers = self.peers.in_turn().await;
            let peers = peers.map_err(|error| ExportError::Unreachable {
                message: describe(&error),
            })?;
            let mut result = None;
            for peer in peers {
                let attempt = peer.attempt();
                let channel = MessageChannel::new(peer.channel(), message.clone());
                match self.call(channel, metadata.clone(), batch.signal).await {
                    // Nothing has been sent, so another one may have it.
                    Err(status) if is_unconnected(&status) => {
                        attempt.failed();
                        result = Some(Err(classify(&status)));
                    }
                    Err(status) => {
                        attempt.answered();
                        return Err(classify(&status));
                    }
                    Ok(answer) => {
                        attempt.answered();
                        return delivered(&answer);
                    }
                }
            }
            result.unwrap_or_else(|| {
                Err(ExportError::Unreachable {
                    message: "the name of the endpoint has no address".to_owned(),
                })
            })
        })
    }
}

impl OtlpGrpc {
    fn metadata(&self) -> Result<MetadataMap, ExportError> {
        let mut metadata = self.headers.clone();
        if let Some(authenticator) = &self.authenticator {
            let header = authenticator.header();
            let (name, value) = header.map_err(|message| ExportError::Retryable {
                message,
                after: None,
            })?;
            let mut headers = metadata.into_headers();
            headers.insert(name, value);
            metadata = MetadataMap::from_headers(headers);
        }
        Ok(metadata)
    }

    async fn call(
        &self,
        channel: MessageChannel,
        metadata: MetadataMap,
        signal: Signal,
    ) -> Result<Bytes, tonic::Status> {
        let mut grpc = Grpc::new(channel)
            // What is larger is refused below; this is the limit on what is read at all.
            .max_decoding_message_size(16 * MAX_RESPONSE_BYTES)
            .accept_compressed(CompressionEncoding::Gzip);
        grpc.ready()
            .await
            .map_err(|error| tonic::Status::from_error(error.into()))?;
        let mut request = tonic::Request::new(());
        *request.metadata_mut() = metadata;
        let path = PathAndQuery::from_static(signal.grpc_path());
        let response = grpc.unary(request, path, RawClientCodec).await?;
        Ok(response.into_inner())
    }
}

/// What the answer to a batch that was taken says.
fn delivered(answer: &Bytes) -> Result<Delivered, ExportError> {
    if answer.len() > MAX_RESPONSE_BYTES {
        let found = answer.len();
        return Err(ExportError::Permanent {
            message: format!(
                "expected an answer of at most {MAX_RESPONSE_BYTES} bytes, but found {found}"
            ),
        });
    }
    // An answer that cannot be read is still the answer of a server that took the batch.
    let partial = response::decode(answer).ok().flatten();
    Ok(partial.map(Delivered::from).unwrap_or_default())
}
