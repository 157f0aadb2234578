//! The one message of a gRPC request, made here and not by the gRPC library.
//!
//! The library copies a message into one buffer of its size, compresses that at a level that cannot be
//! chosen, and does so in one go on the thread that serves other connections, too. Here the parts of
//! a message go to the socket as they are, and compression gives way to others from time to time.
//!
//! See <https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md>: one byte that says whether the
//! message is compressed, four bytes of length, the message.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::{Bytes, BytesMut};
use http::{HeaderName, HeaderValue, Request};
use hyper::body::{Body, Frame, SizeHint};
use tonic::transport::Channel;
use tower_service::Service;

use super::Compression;
use super::compression::compress;

/// The body of a request: one message in its frame.
#[derive(Clone, Debug)]
pub struct Message {
    compression: Compression,
    /// Until it is sent.
    header: Option<[u8; HEADER]>,
    /// What is not sent yet of the part whose turn it is.
    part: Bytes,
    /// The parts after that.
    parts: std::vec::IntoIter<Bytes>,
    /// Bytes that are not sent yet, with the header.
    remaining: usize,
}

/// A channel whose next request has this message, whatever message the gRPC library made for it.
#[derive(Debug)]
pub struct MessageChannel {
    channel: Channel,
    message: Option<Message>,
}

/// The frame's header.
const HEADER: usize = 5;

/// Parts smaller than this, in bytes, are joined, that is, copied: each piece that is sent costs a frame
/// of HTTP/2, of which this is the usual maximum.
const JOIN: usize = 16 * 1024;

const GRPC_ENCODING: HeaderName = HeaderName::from_static("grpc-encoding");

// === impl Message ===

impl Message {
    /// Makes a message of the concatenation of `parts`.
    ///
    /// # Errors
    /// It is larger than gRPC allows, 4 GiB, or the library for the compression fails to allocate.
    pub async fn new(compression: Compression, parts: &[Bytes]) -> io::Result<Self> {
        match compression {
            Compression::None => Self::framed(compression, parts.to_vec()),
            compression => {
                let compressed = compress(compression, None, parts).await?;
                Self::framed(compression, vec![compressed])
            }
        }
    }

    fn framed(compression: Compression, parts: Vec<Bytes>) -> io::Result<Self> {
        let size: usize = parts.iter().map(Bytes::len).sum();
        let length = u32::try_from(size)
            .map_err(|_| io::Error::other("the message is larger than gRPC allows"))?;
        let [a, b, c, d] = length.to_be_bytes();
        let is_compressed = u8::from(compression != Compression::None);
        Ok(Self {
            compression,
            header: Some([is_compressed, a, b, c, d]),
            part: Bytes::new(),
            parts: parts.into_iter(),
            remaining: HEADER + size,
        })
    }

    /// The next piece to send: a part as it is, or some that are small.
    fn piece(&mut self) -> Bytes {
        self.turn();
        if self.header.is_none() && self.part.len() >= JOIN {
            return std::mem::take(&mut self.part);
        }
        let mut piece = BytesMut::with_capacity(JOIN.min(self.remaining));
        if let Some(header) = self.header.take() {
            piece.extend_from_slice(&header);
        }
        while piece.len() < JOIN && !self.part.is_empty() {
            let room = JOIN - piece.len();
            piece.extend_from_slice(&self.part.split_to(room.min(self.part.len())));
            self.turn();
        }
        piece.freeze()
    }

    /// Goes on to the next part when one is sent.
    fn turn(&mut self) {
        while self.part.is_empty()
            && let Some(next) = self.parts.next()
        {
            self.part = next;
        }
    }
}

impl Body for Message {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        _cx: &mut Context<'_>,
    ) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        let this = self.get_mut();
        if this.remaining == 0 {
            return Poll::Ready(None);
        }
        let piece = this.piece();
        this.remaining -= piece.len();
        Poll::Ready(Some(Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.remaining == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.remaining as u64)
    }
}

// === impl MessageChannel ===

impl MessageChannel {
    /// A channel for one request.
    pub fn new(channel: Channel, message: Message) -> Self {
        Self {
            channel,
            message: Some(message),
        }
    }
}

impl Service<Request<tonic::body::Body>> for MessageChannel {
    type Response = <Channel as Service<Request<tonic::body::Body>>>::Response;
    type Error = <Channel as Service<Request<tonic::body::Body>>>::Error;
    type Future = <Channel as Service<Request<tonic::body::Body>>>::Future;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Service::poll_ready(&mut self.channel, cx)
    }

    fn call(&mut self, mut request: Request<tonic::body::Body>) -> Self::Future {
        if let Some(message) = self.message.take() {
            if let Some(encoding) = message.compression.header() {
                let encoding = HeaderValue::from_static(encoding);
                request.headers_mut().insert(GRPC_ENCODING, encoding);
            }
            *request.body_mut() = tonic::body::Body::new(message);
        }
        self.channel.call(request)
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt as _;

    use super::*;

    async fn sent(compression: Compression, parts: &[Bytes]) -> Bytes {
        let message = Message::new(compression, parts).await.unwrap();
        let size = message.size_hint().exact().unwrap();
        let body = message.collect().await.unwrap().to_bytes();
        assert_eq!(body.len() as u64, size);
        body
    }

    #[tokio::test]
    async fn a_message_is_the_concatenation_of_its_parts() {
        for sizes in [
            &[0][..],
            &[1, 2, 3],
            &[JOIN - HEADER, 1],
            &[JOIN - HEADER - 1, 2, JOIN],
            &[100_000, 7, JOIN - 7, 7, JOIN, 50_000],
            &[6_000; 100],
        ] {
            let part = |(number, size): (usize, &usize)| Bytes::from(vec![number as u8; *size]);
            let parts: Vec<_> = sizes.iter().enumerate().map(part).collect();
            let body = sent(Compression::None, &parts).await;
            let length = (parts.concat().len() as u32).to_be_bytes();
            assert_eq!((body[0], &body[1..HEADER]), (0, &length[..]));
            assert!(body[HEADER..] == parts.concat(), "{sizes:?}");
        }
    }

    #[tokio::test]
    async fn large_parts_are_not_copied_and_small_ones_are_joined() {
        let large = Bytes::from(vec![1; 10 * JOIN]);
        let parts = [large.clone(), large.clone()];
        let mut message = Message::new(Compression::None, &parts).await.unwrap();
        assert_eq!(message.piece().len(), JOIN);
        assert_eq!(message.piece().as_ptr(), large[JOIN - HEADER..].as_ptr());
        assert_eq!(message.piece().as_ptr(), large.as_ptr());
        let small = vec![Bytes::from(vec![1; JOIN / 10]); 100];
        let mut message = Message::new(Compression::None, &small).await.unwrap();
        let pieces = std::iter::repeat_with(|| message.piece().len()).take_while(|size| *size > 0);
        assert!(pieces.count() <= 11);
    }

    #[tokio::test]
    async fn a_compressed_message_says_so() {
        for compression in [Compression::Gzip, Compression::Zstd] {
            let parts = [Bytes::from(vec![7; 1_000_000]), Bytes::from_static(b"x")];
            let body = sent(compression, &parts).await;
            assert_eq!(body[0], 1);
            assert!(body.len() < 10_000);
        }
    }
}
