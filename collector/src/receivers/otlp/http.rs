//! OTLP/HTTP: protobuf and JSON on one port.

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Version, header};
use http_body_util::Full;
use hyper::body::{Body, Incoming};
use hyper::service::Service;
use spanmesh_otlp::status::Code;
use spanmesh_otlp::{Signal, json, response};

use super::answers::Answers;
use super::body::{discard, read_body};
use super::client::client;
use super::failure::{Failure, Unreadable};
use super::options::HttpOptions;
use crate::pipeline::{Attributes, Intake, Intakes, Payload, ServerAuthenticator};
use crate::transport::{Encoding, compact, decompress};

/// Serves one port.
#[derive(Clone)]
pub(super) struct HttpService(Arc<Inner>);

struct Inner {
    intakes: Intakes,
    paths: [(String, Signal); 3],
    max_body_bytes: usize,
    include_metadata: bool,
    encodings: Vec<Encoding>,
    /// How long a whole body may take.
    body_timeout: Option<Duration>,
    answers: Answers,
    authenticator: Option<Arc<dyn ServerAuthenticator>>,
}

/// How messages are encoded. An answer is encoded as its request is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum MessageType {
    Protobuf,
    Json,
}

const PROTOBUF: &str = "application/x-protobuf";
const JSON: &str = "application/json";

// === impl HttpService ===

impl HttpService {
    pub(super) fn new(
        intakes: Intakes,
        options: &HttpOptions,
        answers: Answers,
        authenticator: Option<Arc<dyn ServerAuthenticator>>,
    ) -> Self {
        Self(Arc::new(Inner {
            intakes,
            paths: Signal::all().map(|signal| (options.path(signal), signal)),
            max_body_bytes: options.max_body_bytes(),
            include_metadata: options.include_metadata,
            encodings: options.encodings(),
            body_timeout: options.read_timeout.non_zero(),
            answers,
            authenticator,
        }))
    }
}

impl Inner {
    async fn answer(&self, request: Request<Incoming>) -> Response<Full<Bytes>> {
        if let Some(response) = self.answers.preflight(&request) {
            return response;
        }
        let origin = self.answers.origin(request.headers());
        let mut response = self.export_and_say_so(request).await;
        self.answers.decorate(origin, response.headers_mut());
        response
    }

    async fn export_and_say_so(&self, request: Request<Incoming>) -> Response<Full<Bytes>> {
        let content_type = header_text(request.headers(), &header::CONTENT_TYPE);
        // Errors about the type itself have none to follow.
        let answer_type = MessageType::parse(content_type).unwrap_or(MessageType::Protobuf);
        let (head, mut body) = request.into_parts();
        match self.export(&head, &mut body).await {
            Ok(signal) => {
                let body = match answer_type {
                    MessageType::Protobuf => response::encode(None),
                    MessageType::Json => response::to_json(signal, None),
                };
                respond(StatusCode::OK, answer_type, body, None)
            }
            Err(failure) => {
                // Whoever asks before sending a body gets the answer without having sent it.
                let asks = head.headers.contains_key(header::EXPECT);
                let is_sending = head.version < Version::HTTP_2 && !asks && !body.is_end_stream();
                if is_sending && !failure.is_slow {
                    discard(&mut body, self.max_body_bytes).await;
                }
                let body = match answer_type {
                    MessageType::Protobuf => failure.status.encode(),
                    MessageType::Json => failure.status.to_json(),
                };
                respond(failure.http_status, answer_type, body, failure.header)
            }
        }
    }

    async fn export(&self, head: &Parts, body: &mut Incoming) -> Result<Signal, Failure> {
        let path = head.uri.path();
        let signal = self.paths.iter().find(|(known, _)| known == path);
        let Some(signal) = signal.map(|(_, signal)| *signal) else {
            let message = format!("unknown path {path}");
            return Err(Failure::new(StatusCode::NOT_FOUND, Code::NotFound, message));
        };
        let Some(intake) = self.intakes.get(signal) else {
            let message = format!("no pipeline takes {signal} from this receiver");
            return Err(Failure::new(
                StatusCode::NOT_FOUND,
                Code::Unimplemented,
                message,
            ));
        };
        if head.method != Method::POST {
            let message = format!("expected POST, but found {}", head.method);
            let failure =
                Failure::new(StatusCode::METHOD_NOT_ALLOWED, Code::Unimplemented, message);
            return Err(failure.with(header::ALLOW, HeaderValue::from_static("POST")));
        }
        let auth = match &self.authenticator {
            None => Attributes::default(),
            Some(authenticator) => {
                let authenticated = authenticator.authenticate(&head.headers).await;
                authenticated.map_err(|error| {
                    intake.unauthenticated();
                    let status = StatusCode::UNAUTHORIZED;
                    let failure = Failure::new(status, Code::Unauthenticated, error.message);
                    failure.with(header::WWW_AUTHENTICATE, error.challenge)
                })?
            }
        };
        let result = self.take(signal, &intake, head, body, auth).await;
        match result.as_ref().map_err(|failure| failure.status.code) {
            Err(Code::InvalidArgument) => intake.malformed(),
            Err(Code::ResourceExhausted) => intake.too_large(),
            _ => {}
        }
        result.map(|()| signal)
    }

    async fn take(
        &self,
        signal: Signal,
        intake: &Intake,
        head: &Parts,
        body: &mut Incoming,
        auth: Attributes,
    ) -> Result<(), Failure> {
        let content_type = header_text(&head.headers, &header::CONTENT_TYPE);
        let Some(message_type) = MessageType::parse(content_type) else {
            let message =
                format!("expected Content-Type {PROTOBUF} or {JSON}, but found {content_type:?}");
            return Err(Failure::unsupported(message));
        };
        let content_encoding = header_text(&head.headers, &header::CONTENT_ENCODING);
        let encoding = Encoding::parse(content_encoding);
        let Some(encoding) = encoding.filter(|encoding| self.encodings.contains(encoding)) else {
            let names: Vec<_> = self.encodings.iter().map(|known| known.header()).collect();
            let names = names.join(", ");
            let message = format!(
                "expected Content-Encoding to be one of {names}, but found {content_encoding:?}"
            );
            let failure = Failure::unsupported(message);
            return Err(match HeaderValue::try_from(names) {
                Ok(names) => failure.with(header::ACCEPT_ENCODING, names),
                Err(_) => failure,
            });
        };
        let mut client = client(&head.extensions, &head.headers, self.include_metadata);
        client.auth = auth;
        let hold = intake.begin()?;
        let limit = self.max_body_bytes;
        let (body, mut hold) = read_body(body, limit, self.body_timeout, hold).await?;
        let compressed = body.len();
        let body = decompress(encoding, body, limit, |size| {
            let resized = hold.resize((compressed + size) as u64);
            resized.map_err(Unreadable::Refused)
        })?;
        let body = match message_type {
            MessageType::Protobuf => body,
            MessageType::Json => {
                // Both forms are there for a moment. Protobuf is the smaller one.
                hold.resize(2 * body.len() as u64)?;
                compact(
                    json::request_to_protobuf(signal, &body)
                        .map_err(|error| Failure::malformed(error.path(), &error))?,
                )
            }
        };
        let payload = Payload::parse(signal, body)
            .map_err(|error| Failure::malformed(&error.path(), &error))?;
        let admitted = intake.admit(payload.from_client(client), hold).await;
        admitted.map_err(Failure::from)
    }
}

impl Service<Request<Incoming>> for HttpService {
    type Response = Response<Full<Bytes>>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn call(&self, request: Request<Incoming>) -> Self::Future {
        let inner = self.0.clone();
        Box::pin(async move { Ok(inner.answer(request).await) })
    }
}

// === impl MessageType ===

impl MessageType {
    /// Reads a `Content-Type`; parameters such as `charset` change nothing.
    fn parse(content_type: &str) -> Option<Self> {
        let essence = content_type.split(';').next().unwrap_or_default().trim();
        if essence.eq_ignore_ascii_case(PROTOBUF) {
            Some(Self::Protobuf)
        } else if essence.eq_ignore_ascii_case(JSON) {
            Some(Self::Json)
        } else {
            None
        }
    }

    const fn name(self) -> &'static str {
        match self {
            Self::Protobuf => PROTOBUF,
            Self::Json => JSON,
        }
    }
}

fn header_text<'a>(headers: &'a HeaderMap, name: &header::HeaderName) -> &'a str {
    headers
        .get(name)
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default()
}

fn respond(
    status: StatusCode,
    message_type: MessageType,
    body: Vec<u8>,
    extra: Option<(header::HeaderName, HeaderValue)>,
) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(body.into()));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static(message_type.name()),
    );
    if let Some((name, value)) = extra {
        headers.insert(name, value);
    }
    response
}
