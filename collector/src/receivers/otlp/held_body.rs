//! The body of a gRPC request as it comes in: it takes up memory as it comes, ends with its first
//! message, and may not pause for ever.
//!
//! The gRPC library would pass over a second message, and the answer would say that it was taken. What
//! the library makes of the message while it decompresses it is not seen here.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};
use spanmesh_otlp::status;
use spanmesh_otlp::status::Code;
use tokio::time::Sleep;

use super::body::{BODY_TIMEOUT, RETRY_AFTER};
use super::grpc::{grpc_status, refused};
use super::plain::PREFIX_BYTES;
use crate::pipeline::Hold;

/// See the module.
pub(super) struct HeldBody<B> {
    body: B,
    /// How many bytes have come.
    bytes: u64,
    /// The first of them, 0 where none has come yet.
    prefix: [u8; PREFIX_BYTES],
    hold: SharedHold,
    /// Until when the client may pause, if it does.
    pause: Option<Pin<Box<Sleep>>>,
}

/// The body's until the message is whole, then the message's.
pub(super) type SharedHold = Arc<Mutex<Option<Hold>>>;

// === impl HeldBody ===

impl<B> HeldBody<B> {
    pub(super) fn new(body: B, hold: SharedHold) -> Self {
        Self {
            body,
            bytes: 0,
            prefix: [0; PREFIX_BYTES],
            hold,
            pause: None,
        }
    }

    /// Takes note of what has come; whether it belongs to the first message.
    fn note(&mut self, data: &[u8]) -> bool {
        let missing = self.prefix.iter_mut().skip(self.bytes as usize);
        missing.zip(data).for_each(|(to, from)| *to = *from);
        self.bytes += data.len() as u64;
        let [_, length @ ..] = self.prefix;
        self.bytes <= PREFIX_BYTES as u64 + u64::from(u32::from_be_bytes(length))
    }

    /// Waits no longer than a client may pause.
    fn poll_pause(&mut self, cx: &mut Context<'_>) -> Poll<tonic::Status> {
        let pause = self
            .pause
            .get_or_insert_with(|| Box::pin(tokio::time::sleep(BODY_TIMEOUT)));
        pause.as_mut().poll(cx).map(|()| {
            let message = format!("the body did not go on within {BODY_TIMEOUT:?}");
            let status = status::Status::new(Code::Unavailable, message);
            grpc_status(&status.with_retry_delay(RETRY_AFTER))
        })
    }
}

impl<B> Body for HeldBody<B>
where
    B: Body<Data = Bytes> + Unpin,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    type Data = Bytes;
    type Error = tonic::Status;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, tonic::Status>>> {
        let this = self.get_mut();
        let Poll::Ready(frame) = Pin::new(&mut this.body).poll_frame(cx) else {
            return this.poll_pause(cx).map(|status| Some(Err(status)));
        };
        this.pause = None;
        let frame = match frame {
            None => return Poll::Ready(None),
            Some(Ok(frame)) => frame,
            Some(Err(error)) => {
                return Poll::Ready(Some(Err(tonic::Status::from_error(error.into()))));
            }
        };
        if !frame.data_ref().is_none_or(|data| this.note(data)) {
            let message = "expected one message, but found more";
            let status = status::Status::new(Code::InvalidArgument, message);
            return Poll::Ready(Some(Err(grpc_status(&status))));
        }
        let mut hold = this.hold.lock().unwrap_or_else(PoisonError::into_inner);
        let resized = hold.as_mut().map_or(Ok(()), |hold| hold.resize(this.bytes));
        Poll::Ready(Some(match resized {
            Ok(()) => Ok(frame),
            Err(refusal) => Err(refused(&refusal)),
        }))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt;

    use super::*;

    /// Sends nothing and does not end.
    struct Silent;

    impl Body for Silent {
        type Data = Bytes;
        type Error = tonic::Status;

        fn poll_frame(
            self: Pin<&mut Self>,
            _cx: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, tonic::Status>>> {
            Poll::Pending
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_that_does_not_go_on_is_given_up() {
        let mut body = HeldBody::new(Silent, SharedHold::default());
        let status = body.frame().await.unwrap().unwrap_err();
        assert_eq!(status.code(), tonic::Code::Unavailable);
        assert!(status.message().contains("did not go on within 30s"));
        assert!(!status.details().is_empty());
    }
}
