//! OTLP/gRPC: the Export methods of the three services.

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{HeaderValue, Request, Response, StatusCode, header};
use hyper::body::Incoming;
use hyper::service::Service;
use spanmesh_otlp::Signal;
use spanmesh_otlp::status::{self, Code};
use tonic::body::Body;
use tonic::codec::CompressionEncoding;
use tonic::server::Grpc;

use crate::pipeline::{BoxFuture, Intake, Intakes, Payload, Refusal};
use crate::transport::RawServerCodec;

/// Serves one port.
#[derive(Clone, Debug)]
pub(super) struct GrpcService {
    intakes: Intakes,
    max_message_bytes: usize,
}

/// Serves one request.
struct Export {
    signal: Signal,
    intake: Intake,
}

const GRPC_STATUS: &str = "grpc-status";
/// A header that every status of ours has, and none of the gRPC library's.
const GRPC_DETAILS: &str = "grpc-status-details-bin";

// === impl GrpcService ===

impl GrpcService {
    pub(super) fn new(intakes: Intakes, max_message_bytes: usize) -> Self {
        Self {
            intakes,
            max_message_bytes,
        }
    }

    async fn answer(self, request: Request<Incoming>) -> Response<Body> {
        let is_grpc = request
            .headers()
            .get(header::CONTENT_TYPE)
            .is_some_and(|value| value.as_bytes().starts_with(b"application/grpc"));
        if !is_grpc {
            let mut response = Response::new(Body::empty());
            *response.status_mut() = StatusCode::UNSUPPORTED_MEDIA_TYPE;
            return response;
        }
        let path = request.uri().path();
        let Some(signal) = Signal::all()
            .into_iter()
            .find(|signal| signal.grpc_path() == path)
        else {
            return tonic::Status::unimplemented(format!("unknown method {path}")).into_http();
        };
        let Some(intake) = self.intakes.get(signal).cloned() else {
            let message = format!("no pipeline takes {signal} from this receiver");
            return tonic::Status::unimplemented(message).into_http();
        };
        let mut grpc = Grpc::new(RawServerCodec)
            .accept_compressed(CompressionEncoding::Gzip)
            .accept_compressed(CompressionEncoding::Zstd)
            .max_decoding_message_size(self.max_message_bytes);
        let mut response = grpc.unary(Export { signal, intake }, request).await;
        correct_status(&mut response);
        response
    }
}

impl Service<Request<Incoming>> for GrpcService {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn call(&self, request: Request<Incoming>) -> Self::Future {
        let service = self.clone();
        Box::pin(async move { Ok(service.answer(request).await) })
    }
}

/// Two codes that only the gRPC library sets mean something else in OTLP: OUT_OF_RANGE for a message
/// that is too large would be retried for ever, and INTERNAL for a broken frame blames the server.
fn correct_status(response: &mut Response<Body>) {
    if response.headers().contains_key(GRPC_DETAILS) {
        return;
    }
    let Some(value) = response.headers_mut().get_mut(GRPC_STATUS) else {
        return;
    };
    let corrected = match value.as_bytes() {
        b"11" => Code::ResourceExhausted,
        b"13" => Code::InvalidArgument,
        _ => return,
    };
    *value = HeaderValue::from(u16::from(corrected.number()));
}

// === impl Export ===

impl tower_service::Service<tonic::Request<Bytes>> for Export {
    type Response = tonic::Response<Bytes>;
    type Error = tonic::Status;
    type Future = BoxFuture<'static, Result<Self::Response, tonic::Status>>;

    fn poll_ready(&mut self, _cx: &mut Context<'_>) -> Poll<Result<(), tonic::Status>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: tonic::Request<Bytes>) -> Self::Future {
        let signal = self.signal;
        let intake = self.intake.clone();
        Box::pin(async move {
            let payload = Payload::parse(signal, request.into_inner()).map_err(|error| {
                let message = format!("the request is not well formed: {error}");
                grpc_status(
                    &status::Status::new(Code::InvalidArgument, message)
                        .with_violation(error.path(), error.problem().to_string()),
                )
            })?;
            intake.admit(payload).await.map_err(|refusal| {
                let message = refusal.to_string();
                grpc_status(&match (refusal, refusal.retry_after()) {
                    (_, Some(delay)) => {
                        status::Status::new(Code::Unavailable, message).with_retry_delay(delay)
                    }
                    // Without RetryInfo, this code means that the client shall not try again.
                    (Refusal::TooLarge, None) => {
                        status::Status::new(Code::ResourceExhausted, message)
                    }
                    (_, None) => status::Status::new(Code::Internal, message),
                })
            })?;
            // The empty message: full success.
            Ok(tonic::Response::new(Bytes::new()))
        })
    }
}

fn grpc_status(status: &status::Status) -> tonic::Status {
    let code = tonic::Code::from_i32(i32::from(status.code.number()));
    tonic::Status::with_details(code, status.message.clone(), status.encode().into())
}
