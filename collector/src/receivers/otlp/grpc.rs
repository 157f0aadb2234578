//! OTLP/gRPC: the Export methods of the three services.

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use hyper::body::Incoming;
use hyper::service::Service;
use spanmesh_otlp::Signal;
use spanmesh_otlp::status::{self, Code};
use tonic::body::Body;
use tonic::codec::CompressionEncoding;
use tonic::server::Grpc;

use super::client::client;
use super::held_body::{HeldBody, SharedHold};
use super::options::GrpcOptions;
use super::plain::{read_message, success};
use crate::pipeline::{
    Attributes, BoxFuture, Client, Intake, Intakes, Payload, Refusal, ServerAuthenticator,
};
use crate::transport::RawServerCodec;

/// Serves one port.
#[derive(Clone)]
pub(super) struct GrpcService {
    intakes: Intakes,
    max_message_bytes: usize,
    include_metadata: bool,
    authenticator: Option<Arc<dyn ServerAuthenticator>>,
}

/// Serves one request.
struct Export {
    signal: Signal,
    intake: Intake,
    client: Client,
    hold: SharedHold,
}

/// [`Export`] for the gRPC library, which calls it once, for a request of one message.
struct Once(Option<Export>);

const GRPC_ENCODING: &str = "grpc-encoding";
const GRPC_STATUS: &str = "grpc-status";
/// A header that every status of ours has, and none of the gRPC library's.
const GRPC_DETAILS: &str = "grpc-status-details-bin";

// === impl GrpcService ===

impl GrpcService {
    pub(super) fn new(
        intakes: Intakes,
        options: &GrpcOptions,
        authenticator: Option<Arc<dyn ServerAuthenticator>>,
    ) -> Self {
        Self {
            intakes,
            max_message_bytes: options.max_message_bytes(),
            include_metadata: options.include_metadata,
            authenticator,
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
        if request.method() != Method::POST {
            let mut response = Response::new(Body::empty());
            *response.status_mut() = StatusCode::METHOD_NOT_ALLOWED;
            let allowed = HeaderValue::from_static("POST");
            response.headers_mut().insert(header::ALLOW, allowed);
            return response;
        }
        let path = request.uri().path();
        let Some(signal) = Signal::all()
            .into_iter()
            .find(|signal| signal.grpc_path() == path)
        else {
            return tonic::Status::unimplemented(format!("unknown method {path}")).into_http();
        };
        let Some(intake) = self.intakes.get(signal) else {
            let message = format!("no pipeline takes {signal} from this receiver");
            return tonic::Status::unimplemented(message).into_http();
        };
        let auth = match &self.authenticator {
            None => Attributes::default(),
            Some(authenticator) => match authenticator.authenticate(request.headers()).await {
                Ok(attributes) => attributes,
                Err(error) => {
                    intake.unauthenticated();
                    return tonic::Status::unauthenticated(error.message).into_http();
                }
            },
        };
        let hold = match intake.begin() {
            Ok(hold) => Arc::new(Mutex::new(Some(hold))),
            Err(refusal) => return refused(&refusal).into_http(),
        };
        let mut client = client(
            request.extensions(),
            request.headers(),
            self.include_metadata,
        );
        client.auth = auth;
        let request = request.map(|body| HeldBody::new(body, hold.clone()));
        let export = Export {
            signal,
            intake: intake.clone(),
            client,
            hold,
        };
        let response = match request.headers().contains_key(GRPC_ENCODING) {
            true => self.decompress(export, request).await,
            false => match read_message(request.into_body(), self.max_message_bytes).await {
                Ok(message) => match export.take(message).await {
                    Ok(()) => return success(),
                    Err(status) => status.into_http(),
                },
                Err(status) => status.into_http(),
            },
        };
        match response
            .headers()
            .get(GRPC_STATUS)
            .map(HeaderValue::as_bytes)
        {
            Some(b"3") => intake.malformed(),
            Some(b"8") => intake.too_large(),
            _ => {}
        }
        response
    }

    /// Leaves the message to the gRPC library, which decompresses it.
    async fn decompress(
        &self,
        export: Export,
        request: Request<HeldBody<Incoming>>,
    ) -> Response<Body> {
        let mut grpc = Grpc::new(RawServerCodec)
            .accept_compressed(CompressionEncoding::Gzip)
            .accept_compressed(CompressionEncoding::Zstd)
            .max_decoding_message_size(self.max_message_bytes);
        let mut response = grpc.unary(Once(Some(export)), request).await;
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

impl Export {
    /// Takes the message.
    async fn take(self, message: Bytes) -> Result<(), tonic::Status> {
        let payload = Payload::parse(self.signal, message).map_err(|error| {
            let message = format!("the request is not well formed: {error}");
            grpc_status(
                &status::Status::new(Code::InvalidArgument, message)
                    .with_violation(error.path(), error.problem().to_string()),
            )
        })?;
        let hold = self.hold.lock();
        let hold = hold.unwrap_or_else(PoisonError::into_inner).take();
        let hold = hold.unwrap_or_else(|| self.intake.hold());
        let admitted = self.intake.admit(payload.from_client(self.client), hold);
        admitted.await.map_err(|refusal| refused(&refusal))
    }
}

// === impl Once ===

impl tower_service::Service<tonic::Request<Bytes>> for Once {
    type Response = tonic::Response<Bytes>;
    type Error = tonic::Status;
    type Future = BoxFuture<'static, Result<Self::Response, tonic::Status>>;

    fn poll_ready(&mut self, _cx: &mut Context<'_>) -> Poll<Result<(), tonic::Status>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: tonic::Request<Bytes>) -> Self::Future {
        let export = self.0.take();
        Box::pin(async move {
            let export = export.ok_or_else(|| tonic::Status::internal("called twice"))?;
            export.take(request.into_inner()).await?;
            // The empty message: full success.
            Ok(tonic::Response::new(Bytes::new()))
        })
    }
}

pub(super) fn refused(refusal: &Refusal) -> tonic::Status {
    let message = refusal.to_string();
    grpc_status(&match (refusal, refusal.retry_after()) {
        (_, Some(delay)) => status::Status::new(Code::Unavailable, message).with_retry_delay(delay),
        // Without RetryInfo, this code means that the client shall not try again.
        (Refusal::TooLarge, None) => status::Status::new(Code::ResourceExhausted, message),
        (_, None) => status::Status::new(Code::Internal, message),
    })
}

pub(super) fn grpc_status(status: &status::Status) -> tonic::Status {
    let code = tonic::Code::from_i32(i32::from(status.code.number()));
    tonic::Status::with_details(code, status.message.clone(), status.encode().into())
}
