//! Back ends: a gRPC server made by tonic, and a plain HTTP server. Both answer by script.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http::{HeaderMap, Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto::Builder;
use opentelemetry_proto::tonic::collector::trace::v1::trace_service_server::{
    TraceService, TraceServiceServer,
};
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use opentelemetry_proto::tonic::trace::v1::Span;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tonic::codec::CompressionEncoding;
use tonic::{Request as GrpcRequest, Response as GrpcResponse, Status};

use super::telemetry::spans;

type GrpcAnswer = Result<ExportTraceServiceResponse, Status>;

/// A gRPC back end for traces. Without a script it takes everything.
#[derive(Clone, Default)]
pub struct GrpcSink {
    state: Arc<Mutex<GrpcState>>,
    max_message_bytes: Option<usize>,
}

#[derive(Default)]
struct GrpcState {
    script: VecDeque<GrpcAnswer>,
    /// What was taken.
    taken: Vec<ExportTraceServiceRequest>,
    calls: usize,
    encodings: Vec<String>,
    metadata: Vec<HeaderMap>,
}

impl GrpcSink {
    pub fn with_script(script: impl IntoIterator<Item = GrpcAnswer>) -> Self {
        let sink = Self::default();
        sink.state.lock().unwrap().script = script.into_iter().collect();
        sink
    }

    pub fn with_limit(max_message_bytes: usize) -> Self {
        Self {
            max_message_bytes: Some(max_message_bytes),
            ..Self::default()
        }
    }

    /// Serves on a free port.
    pub async fn serve(&self) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        self.serve_on(listener);
        address
    }

    pub fn serve_on(&self, listener: TcpListener) -> JoinHandle<()> {
        let mut service = TraceServiceServer::new(self.clone())
            .accept_compressed(CompressionEncoding::Gzip)
            .accept_compressed(CompressionEncoding::Zstd);
        if let Some(limit) = self.max_message_bytes {
            service = service.max_decoding_message_size(limit);
        }
        tokio::spawn(async move {
            let incoming = tokio_stream(listener);
            let server = tonic::transport::Server::builder().add_service(service);
            server.serve_with_incoming(incoming).await.unwrap();
        })
    }

    pub fn spans(&self) -> Vec<Span> {
        let state = self.state.lock().unwrap();
        state.taken.iter().flat_map(spans).collect()
    }

    pub fn requests(&self) -> Vec<ExportTraceServiceRequest> {
        self.state.lock().unwrap().taken.clone()
    }

    pub fn calls(&self) -> usize {
        self.state.lock().unwrap().calls
    }

    pub fn metadata(&self) -> Vec<HeaderMap> {
        self.state.lock().unwrap().metadata.clone()
    }
}

#[tonic::async_trait]
impl TraceService for GrpcSink {
    async fn export(
        &self,
        request: GrpcRequest<ExportTraceServiceRequest>,
    ) -> Result<GrpcResponse<ExportTraceServiceResponse>, Status> {
        let mut state = self.state.lock().unwrap();
        state.calls += 1;
        let metadata = request.metadata().clone().into_headers();
        state.metadata.push(metadata);
        let answer = state.script.pop_front();
        let answer = answer.unwrap_or_else(|| Ok(ExportTraceServiceResponse::default()))?;
        state.taken.push(request.into_inner());
        Ok(GrpcResponse::new(answer))
    }
}

/// The connections of a listener as a stream.
fn tokio_stream(
    listener: TcpListener,
) -> impl futures_core::Stream<Item = std::io::Result<TcpStream>> {
    struct Incoming(TcpListener);
    impl futures_core::Stream for Incoming {
        type Item = std::io::Result<TcpStream>;

        fn poll_next(
            self: std::pin::Pin<&mut Self>,
            cx: &mut std::task::Context<'_>,
        ) -> std::task::Poll<Option<Self::Item>> {
            self.0
                .poll_accept(cx)
                .map(|result| Some(result.map(|(stream, _)| stream)))
        }
    }
    Incoming(listener)
}

/// A request that an [`HttpSink`] got.
#[derive(Clone, Debug)]
pub struct Got {
    pub path: String,
    pub headers: HeaderMap,
    pub body: Bytes,
}

/// An HTTP back end. Without a script it answers 200 with an empty body.
#[derive(Clone, Default)]
pub struct HttpSink {
    state: Arc<Mutex<HttpState>>,
}

#[derive(Default)]
struct HttpState {
    script: VecDeque<Response<Full<Bytes>>>,
    got: Vec<Got>,
}

impl HttpSink {
    pub fn with_script(script: impl IntoIterator<Item = Response<Full<Bytes>>>) -> Self {
        let sink = Self::default();
        sink.state.lock().unwrap().script = script.into_iter().collect();
        sink
    }

    /// Serves on a free port.
    pub async fn serve(&self) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let sink = self.clone();
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let sink = sink.clone();
                tokio::spawn(async move {
                    let service = service_fn(move |request| sink.clone().answer(request));
                    let builder = Builder::new(TokioExecutor::new());
                    // Connections end when the test does.
                    let _ = builder
                        .serve_connection(TokioIo::new(stream), service)
                        .await;
                });
            }
        });
        address
    }

    pub fn got(&self) -> Vec<Got> {
        self.state.lock().unwrap().got.clone()
    }

    async fn answer(self, request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
        let (parts, body) = request.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        let mut state = self.state.lock().unwrap();
        state.got.push(Got {
            path: parts.uri.path().to_owned(),
            headers: parts.headers,
            body,
        });
        Ok(state.script.pop_front().unwrap_or_default())
    }
}
