//! A request body in parts, which are sent without being copied together.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};

/// See the module.
#[derive(Debug)]
pub(super) struct FramesBody {
    frames: std::vec::IntoIter<Bytes>,
    remaining: u64,
}

impl FramesBody {
    pub(super) fn new(frames: Vec<Bytes>) -> Self {
        Self {
            remaining: frames.iter().map(|frame| frame.len() as u64).sum(),
            frames: frames.into_iter(),
        }
    }
}

impl Body for FramesBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let next = self.frames.next();
        if let Some(frame) = &next {
            self.remaining -= frame.len() as u64;
        }
        Poll::Ready(next.map(|frame| Ok(Frame::data(frame))))
    }

    fn is_end_stream(&self) -> bool {
        self.remaining == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.remaining)
    }
}
