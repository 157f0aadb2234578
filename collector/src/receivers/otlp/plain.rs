//! A gRPC request that is not compressed, and the answer to it, without the gRPC library.
//!
//! The library copies what comes into a buffer that grows with it. Nearly all requests come in one
//! frame of HTTP/2, or in a few, and are taken here as they are, or joined once.
//!
//! See <https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md>.

use std::pin::{Pin, pin};
use std::task::{Context, Poll};

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, HeaderName, HeaderValue, Response, header};
use http_body_util::BodyExt;
use hyper::body::{Body, Frame};
use tonic::Status;

/// What stands before a message: a flag, and the length of the message in four bytes.
pub(super) const PREFIX_BYTES: usize = 5;

/// Messages up to this size are copied out of the connection's buffer, which may hold several of them
/// and lives as long as the last one. It begins with 8 KiB and doubles for a frame that is a little
/// larger; for what is larger than that it is made to measure.
const COPY_LIMIT: usize = 16 * 1024;

/// How much room a message gets for what it says of its size, before that has come.
const FIRST_ROOM: usize = 1 << 20;

/// The answer without a message in the answer: every field has its default.
const EMPTY_MESSAGE: Bytes = Bytes::from_static(&[0; PREFIX_BYTES]);

/// The body of an answer that says that everything was taken.
#[derive(Debug)]
pub(super) struct Success {
    next: Option<Part>,
}

#[derive(Debug)]
enum Part {
    Message,
    Trailers,
}

/// Reads the message of a request, of at most `limit` bytes.
///
/// # Errors
/// The status of the answer: there is no message, it is too large, broken off, or says that it is
/// compressed; or whatever the body fails with.
pub(super) async fn read_message<B>(body: B, limit: usize) -> Result<Bytes, Status>
where
    B: Body<Data = Bytes, Error = Status>,
{
    let mut body = pin!(body);
    let mut whole = Bytes::new();
    // For what comes in several parts: all of it, in a buffer of its size. A client that says that it
    // sends more than a MiB gets the room for that as it does.
    let mut joined = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame?.into_data() else {
            continue;
        };
        if joined.is_empty() && whole.is_empty() {
            whole = data;
        } else {
            if joined.is_empty() {
                let size = message_size(&whole, limit)?.unwrap_or_default();
                let room = (PREFIX_BYTES + size).min(FIRST_ROOM);
                joined.reserve(room.max(whole.len() + data.len()));
                joined.extend_from_slice(&std::mem::take(&mut whole));
            }
            joined.extend_from_slice(&data);
        }
        // So that nothing more is read of a message that is too large.
        message_size(if joined.is_empty() { &whole } else { &joined }, limit)?;
        if body.is_end_stream() {
            break;
        }
    }
    if !joined.is_empty() {
        whole = joined.freeze();
    }
    let Some(size) = message_size(&whole, limit)? else {
        return Err(malformed("expected a message, but found none"));
    };
    let message = whole.slice(PREFIX_BYTES..);
    if message.len() != size {
        let found = message.len();
        return Err(malformed(format!(
            "expected a message of {size} bytes, but found {found}"
        )));
    }
    Ok(match size <= COPY_LIMIT {
        true => Bytes::copy_from_slice(&message),
        false => message,
    })
}

/// How large the message is that begins here; `None` if its prefix is not there yet.
fn message_size(from: &[u8], limit: usize) -> Result<Option<usize>, Status> {
    let Some([flag, length @ ..]) = from.first_chunk::<PREFIX_BYTES>() else {
        return Ok(None);
    };
    if *flag != 0 {
        return Err(malformed(format!(
            "expected a message without compression, since there is no \"grpc-encoding\", but \
             found the flag {flag}"
        )));
    }
    let size = u32::from_be_bytes(*length) as usize;
    if size > limit {
        return Err(Status::resource_exhausted(format!(
            "expected a message of at most {limit} bytes, but found {size}"
        )));
    }
    Ok(Some(size))
}

fn malformed(message: impl Into<String>) -> Status {
    Status::invalid_argument(message)
}

/// The answer that says that everything was taken.
pub(super) fn success() -> Response<tonic::body::Body> {
    let mut response = Response::new(tonic::body::Body::new(Success {
        next: Some(Part::Message),
    }));
    response.headers_mut().insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("application/grpc"),
    );
    response
}

// === impl Success ===

impl Body for Success {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        self: Pin<&mut Self>,
        _cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let this = self.get_mut();
        Poll::Ready(this.next.take().map(|part| {
            Ok(match part {
                Part::Message => {
                    this.next = Some(Part::Trailers);
                    Frame::data(EMPTY_MESSAGE)
                }
                Part::Trailers => {
                    let mut trailers = HeaderMap::with_capacity(1);
                    let name = HeaderName::from_static("grpc-status");
                    trailers.insert(name, HeaderValue::from_static("0"));
                    Frame::trailers(trailers)
                }
            })
        }))
    }

    fn is_end_stream(&self) -> bool {
        self.next.is_none()
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::StreamBody;
    use tonic::Code;

    use super::*;

    /// A body of these frames.
    fn body(frames: &[Bytes]) -> impl Body<Data = Bytes, Error = Status> + use<> {
        let frames: Vec<_> = frames.iter().cloned().map(Frame::data).map(Ok).collect();
        StreamBody::new(Frames(frames.into_iter()))
    }

    struct Frames(std::vec::IntoIter<Result<Frame<Bytes>, Status>>);

    impl futures_core::Stream for Frames {
        type Item = Result<Frame<Bytes>, Status>;

        fn poll_next(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
            Poll::Ready(self.get_mut().0.next())
        }
    }

    fn framed(flag: u8, length: u32, message: &[u8]) -> Bytes {
        let [a, b, c, d] = length.to_be_bytes();
        [&[flag, a, b, c, d], message].concat().into()
    }

    const LIMIT: usize = 1_000_000;

    #[tokio::test]
    async fn a_message_is_read_however_it_is_cut() {
        let message: Vec<u8> = (0..100_000u32).map(|i| i as u8).collect();
        let request = framed(0, 100_000, &message);
        for size in [1, 3, 5, 6, 16_384, 65_536, 99_999, 100_005] {
            let frames: Vec<_> = request.chunks(size).map(Bytes::copy_from_slice).collect();
            let read = read_message(body(&frames), LIMIT).await.unwrap();
            assert!(read == message, "frames of {size} bytes");
        }
    }

    #[tokio::test]
    async fn a_large_message_in_one_frame_is_not_copied_and_a_small_one_is() {
        for (size, copied) in [(COPY_LIMIT, true), (COPY_LIMIT + 1, false)] {
            let request = framed(0, size as u32, &vec![7; size]);
            let read = read_message(body(std::slice::from_ref(&request)), LIMIT).await;
            let moved = read.unwrap().as_ptr() != request[PREFIX_BYTES..].as_ptr();
            assert_eq!(moved, copied);
        }
    }

    #[tokio::test]
    async fn what_is_no_message_is_refused_with_its_reason() {
        let cases = [
            (
                vec![],
                Code::InvalidArgument,
                "expected a message, but found none",
            ),
            (vec![&[0; 4][..]], Code::InvalidArgument, "but found none"),
            (vec![&[1, 0, 0, 0, 0]], Code::InvalidArgument, "the flag 1"),
            (
                vec![&[0, 0, 0, 0, 2, 9]],
                Code::InvalidArgument,
                "of 2 bytes, but found 1",
            ),
            (
                vec![&[0, 0, 0], &[0, 1, 9, 9]],
                Code::InvalidArgument,
                "of 1 bytes, but found 2",
            ),
            (
                vec![&[0, 1, 0, 0, 0]],
                Code::ResourceExhausted,
                "at most 1000000 bytes",
            ),
        ];
        for (frames, code, message) in cases {
            let frames: Vec<_> = frames.iter().map(|f| Bytes::copy_from_slice(f)).collect();
            let status = read_message(body(&frames), LIMIT).await.unwrap_err();
            assert_eq!(status.code(), code, "{frames:?}");
            assert!(status.message().contains(message), "{}", status.message());
        }
    }
}
