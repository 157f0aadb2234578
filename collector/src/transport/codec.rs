//! gRPC codecs that hand messages on as bytes, without decoding them.

use bytes::{Buf, BufMut, Bytes};
use tonic::Status;
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};

/// The server's side, for messages that come compressed: bytes in, bytes out.
#[derive(Clone, Copy, Debug)]
pub struct RawServerCodec;

/// The client's side: nothing out, since [`super::Message`] takes its place; bytes in.
#[derive(Clone, Copy, Debug, Default)]
pub struct RawClientCodec;

/// Takes messages as they are.
#[derive(Clone, Copy, Debug)]
pub struct RawDecoder {
    copy_limit: usize,
}

/// Writes a message.
#[derive(Clone, Copy, Debug)]
pub struct BytesEncoder;

/// Writes an empty message.
#[derive(Clone, Copy, Debug)]
pub struct EmptyEncoder;

/// Messages up to this size are copied out of their buffer. The library makes its buffers at least
/// so large, and a queue full of small messages in large buffers would take up far more memory than
/// it accounts for.
const COPY_LIMIT: usize = 8 * 1024;

impl Codec for RawServerCodec {
    type Encode = Bytes;
    type Decode = Bytes;
    type Encoder = BytesEncoder;
    type Decoder = RawDecoder;

    fn encoder(&mut self) -> BytesEncoder {
        BytesEncoder
    }

    fn decoder(&mut self) -> RawDecoder {
        // The library does not know how long a message is going to be when it decompresses it, and its
        // buffer is up to twice as large.
        RawDecoder {
            copy_limit: usize::MAX,
        }
    }
}

impl Codec for RawClientCodec {
    type Encode = ();
    type Decode = Bytes;
    type Encoder = EmptyEncoder;
    type Decoder = RawDecoder;

    fn encoder(&mut self) -> EmptyEncoder {
        EmptyEncoder
    }

    fn decoder(&mut self) -> RawDecoder {
        RawDecoder {
            copy_limit: COPY_LIMIT,
        }
    }
}

impl Decoder for RawDecoder {
    type Item = Bytes;
    type Error = Status;

    fn decode(&mut self, src: &mut DecodeBuf<'_>) -> Result<Option<Bytes>, Status> {
        let size = src.remaining();
        if size <= self.copy_limit && src.chunk().len() == size {
            let message = Bytes::copy_from_slice(src.chunk());
            src.advance(size);
            return Ok(Some(message));
        }
        Ok(Some(src.copy_to_bytes(size)))
    }
}

impl Encoder for BytesEncoder {
    type Item = Bytes;
    type Error = Status;

    fn encode(&mut self, item: Bytes, dst: &mut EncodeBuf<'_>) -> Result<(), Status> {
        dst.reserve(item.len());
        dst.put(item);
        Ok(())
    }
}

impl Encoder for EmptyEncoder {
    type Item = ();
    type Error = Status;

    fn encode(&mut self, _item: (), _dst: &mut EncodeBuf<'_>) -> Result<(), Status> {
        Ok(())
    }
}
