//! OTLP/HTTP: protobuf and JSON on one port.

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Version, header};
use http_body_util::{BodyExt, Full};
use hyper::body::{Body, Incoming};
use hyper::service::Service;
use spanmesh_otlp::status::{Code, Status};
use spanmesh_otlp::{Signal, json, response};

use super::client::client;
use super::options::HttpOptions;
use crate::pipeline::{Hold, Intake, Intakes, Payload, Refusal};
use crate::transport::{DecompressError, Encoding, compact, decompress};

/// Serves one port.
#[derive(Clone, Debug)]
pub(super) struct HttpService {
    intakes: Intakes,
    paths: [(String, Signal); 3],
    max_body_bytes: usize,
    include_metadata: bool,
}

/// How messages are encoded. An answer is encoded as its request is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum MessageType {
    Protobuf,
    Json,
}

/// A request that fails.
struct Failure {
    http_status: StatusCode,
    status: Status,
    header: Option<(header::HeaderName, HeaderValue)>,
}

/// Why a body was not read to its end.
enum Unread {
    Failed(Failure),
    Refused(Refusal),
}

/// Why a body was not decompressed.
enum Unreadable {
    Body(DecompressError),
    Refused(Refusal),
}

const PROTOBUF: &str = "application/x-protobuf";
const JSON: &str = "application/json";

/// Bodies up to this size are copied out of the connection's buffer, which is up to 400 KiB and would
/// otherwise be kept for as long as a queue holds the smallest of them.
const COPY_LIMIT: usize = 64 * 1024;

/// When a client whose body did not arrive should try again.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// How long a client may pause within a body.
const BODY_TIMEOUT: Duration = Duration::from_secs(30);

/// How long the rest of a body that is refused is read.
const DISCARD_TIMEOUT: Duration = Duration::from_secs(5);

// === impl HttpService ===

impl HttpService {
    pub(super) fn new(intakes: Intakes, options: &HttpOptions) -> Self {
        Self {
            intakes,
            paths: Signal::all().map(|signal| (options.path(signal), signal)),
            max_body_bytes: options.max_body_bytes(),
            include_metadata: options.include_metadata,
        }
    }

    async fn answer(self, request: Request<Incoming>) -> Response<Full<Bytes>> {
        let content_type = header_text(request.headers(), &header::CONTENT_TYPE);
        // Errors about the type itself have none to follow.
        let answer_type = MessageType::parse(content_type).unwrap_or(MessageType::Protobuf);
        match self.export(request).await {
            Ok(signal) => {
                let body = match answer_type {
                    MessageType::Protobuf => response::encode(None),
                    MessageType::Json => response::to_json(signal, None),
                };
                respond(StatusCode::OK, answer_type, body, None)
            }
            Err(failure) => {
                let body = match answer_type {
                    MessageType::Protobuf => failure.status.encode(),
                    MessageType::Json => failure.status.to_json(),
                };
                respond(failure.http_status, answer_type, body, failure.header)
            }
        }
    }

    async fn export(&self, request: Request<Incoming>) -> Result<Signal, Failure> {
        let path = request.uri().path();
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
        if request.method() != Method::POST {
            let message = format!("expected POST, but found {}", request.method());
            let failure =
                Failure::new(StatusCode::METHOD_NOT_ALLOWED, Code::Unimplemented, message);
            return Err(failure.with(header::ALLOW, HeaderValue::from_static("POST")));
        }
        let result = self.take(signal, intake, request).await;
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
        request: Request<Incoming>,
    ) -> Result<(), Failure> {
        let content_type = header_text(request.headers(), &header::CONTENT_TYPE);
        let Some(message_type) = MessageType::parse(content_type) else {
            let message =
                format!("expected Content-Type {PROTOBUF} or {JSON}, but found {content_type:?}");
            return Err(Failure::unsupported(message));
        };
        let content_encoding = header_text(request.headers(), &header::CONTENT_ENCODING);
        let Some(encoding) = Encoding::parse(content_encoding) else {
            let names = Encoding::NAMES;
            let message = format!(
                "expected Content-Encoding to be one of {names}, but found {content_encoding:?}"
            );
            let supported = HeaderValue::from_static("gzip, zstd, deflate");
            return Err(Failure::unsupported(message).with(header::ACCEPT_ENCODING, supported));
        };
        let client = client(&request, self.include_metadata);
        // Whoever asks before sending a body gets the answer without having sent it.
        let is_sending =
            request.version() < Version::HTTP_2 && !request.headers().contains_key(header::EXPECT);
        let mut body = request.into_body();
        let read = match intake.begin() {
            Ok(hold) => read_body(&mut body, self.max_body_bytes, hold).await,
            Err(refusal) => Err(Unread::Refused(refusal)),
        };
        if is_sending && matches!(read, Err(Unread::Refused(_))) {
            discard(body, self.max_body_bytes).await;
        }
        let (body, mut hold) = read?;
        let compressed = body.len();
        let body = decompress(encoding, body, self.max_body_bytes, |size| {
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
        let service = self.clone();
        Box::pin(async move { Ok(service.answer(request).await) })
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

// === impl Failure ===

impl Failure {
    fn new(http_status: StatusCode, code: Code, message: impl Into<String>) -> Self {
        Self {
            http_status,
            status: Status::new(code, message),
            header: None,
        }
    }

    fn unsupported(message: String) -> Self {
        Self::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Code::InvalidArgument,
            message,
        )
    }

    fn too_large(limit: usize) -> Self {
        let message = format!("expected at most {limit} bytes, but found more");
        Self::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            Code::ResourceExhausted,
            message,
        )
    }

    fn malformed(path: &str, error: &dyn std::error::Error) -> Self {
        let description = error.to_string();
        let message = format!("the request is not well formed: {description}");
        let mut failure = Self::new(StatusCode::BAD_REQUEST, Code::InvalidArgument, message);
        failure.status = failure.status.with_violation(path, description);
        failure
    }

    fn unavailable(message: String, delay: Duration) -> Self {
        let mut failure = Self::new(StatusCode::SERVICE_UNAVAILABLE, Code::Unavailable, message);
        failure.status = failure.status.with_retry_delay(delay);
        let seconds = delay.as_secs().max(1);
        failure.with(header::RETRY_AFTER, HeaderValue::from(seconds))
    }

    fn with(mut self, name: header::HeaderName, value: HeaderValue) -> Self {
        self.header = Some((name, value));
        self
    }
}

impl From<Failure> for Unread {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure)
    }
}

impl From<Refusal> for Unread {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

impl From<Unread> for Failure {
    fn from(error: Unread) -> Self {
        match error {
            Unread::Failed(failure) => failure,
            Unread::Refused(refusal) => refusal.into(),
        }
    }
}

impl From<DecompressError> for Unreadable {
    fn from(error: DecompressError) -> Self {
        Self::Body(error)
    }
}

impl From<Unreadable> for Failure {
    fn from(error: Unreadable) -> Self {
        match error {
            Unreadable::Body(DecompressError::TooLarge(limit)) => Self::too_large(limit),
            Unreadable::Body(error @ DecompressError::Malformed(_)) => Self::malformed("", &error),
            Unreadable::Refused(refusal) => refusal.into(),
        }
    }
}

impl From<Refusal> for Failure {
    fn from(refusal: Refusal) -> Self {
        let message = refusal.to_string();
        let delay = match (refusal, refusal.retry_after()) {
            (_, Some(delay)) => delay,
            (Refusal::TooLarge, None) => {
                let status = StatusCode::PAYLOAD_TOO_LARGE;
                return Self::new(status, Code::ResourceExhausted, message);
            }
            (_, None) => {
                return Self::new(StatusCode::INTERNAL_SERVER_ERROR, Code::Internal, message);
            }
        };
        Self::unavailable(message, delay)
    }
}

/// Reads a body of at most `limit` bytes. One that says that it is longer is not read at all. `hold`
/// grows with what has been read, not to what is announced: memory that nothing was written to is not
/// taken up yet.
async fn read_body(
    body: &mut Incoming,
    limit: usize,
    mut hold: Hold,
) -> Result<(Bytes, Hold), Unread> {
    if body.size_hint().lower() > limit as u64 {
        return Err(Failure::too_large(limit).into());
    }
    let mut whole = Bytes::new();
    let mut parts = Vec::new();
    loop {
        let Ok(frame) = tokio::time::timeout(BODY_TIMEOUT, body.frame()).await else {
            let message = format!("the body did not go on within {BODY_TIMEOUT:?}");
            return Err(Failure::unavailable(message, RETRY_AFTER).into());
        };
        let data = match frame {
            None => break,
            Some(Ok(frame)) => frame.into_data().unwrap_or_default(),
            Some(Err(error)) => return Err(Failure::malformed("", &error).into()),
        };
        let size = whole.len() + parts.len() + data.len();
        if size > limit {
            return Err(Failure::too_large(limit).into());
        }
        hold.resize(size as u64)?;
        if whole.is_empty() && parts.is_empty() {
            // Kept as it came, in case it is the only one.
            whole = data;
            continue;
        }
        if parts.is_empty() {
            let announced = usize::try_from(body.size_hint().lower()).unwrap_or(limit);
            parts.reserve_exact(whole.len() + data.len() + announced.min(limit));
            parts.extend_from_slice(&std::mem::take(&mut whole));
        }
        parts.extend_from_slice(&data);
    }
    let whole = if parts.is_empty() {
        detached(whole)
    } else {
        compact(parts)
    };
    Ok((whole, hold))
}

/// Reads what is left of a body of at most `limit` bytes, and keeps nothing of it. A connection over
/// HTTP/1.1 would be closed otherwise, and a client that is still sending would never see when to
/// come back.
async fn discard(mut body: Incoming, limit: usize) {
    let reading = async {
        let mut size = 0;
        while size <= limit {
            match body.frame().await {
                Some(Ok(frame)) => size += frame.data_ref().map_or(0, Bytes::len),
                Some(Err(_)) | None => return,
            }
        }
    };
    // Whoever takes longer does without the answer.
    let _ = tokio::time::timeout(DISCARD_TIMEOUT, reading).await;
}

/// A body that keeps no buffer alive that is much larger than itself.
fn detached(body: Bytes) -> Bytes {
    if body.len() <= COPY_LIMIT {
        Bytes::copy_from_slice(&body)
    } else {
        body
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_bodies_do_not_keep_the_buffer_of_the_connection() {
        let buffer = Bytes::from(vec![0; 400_000]);
        let body = detached(buffer.slice(..100));
        assert_eq!(body.len(), 100);
        assert!(buffer.is_unique());
    }
}
