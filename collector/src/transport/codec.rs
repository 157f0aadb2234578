//! gRPC codecs that hand messages on as bytes, without decoding them.

use std::io;

use bytes::{Buf, BufMut, Bytes};
use tonic::Status;
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};

/// A message in parts, which are sent one behind the other.
pub type Frames = Vec<Bytes>;

/// The server's side: bytes in, bytes out.
#[derive(Clone, Copy, Debug, Default)]
pub struct RawServerCodec;

/// The client's side: frames out, bytes in.
#[derive(Clone, Copy, Debug, Default)]
pub struct RawClientCodec;

/// Takes messages as they are.
#[derive(Clone, Copy, Debug)]
pub struct RawDecoder;

/// Writes one part.
#[derive(Clone, Copy, Debug)]
pub struct BytesEncoder;

/// Writes all parts.
#[derive(Clone, Copy, Debug)]
pub struct FramesEncoder;

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
        RawDecoder
    }
}

impl Codec for RawClientCodec {
    type Encode = Frames;
    type Decode = Bytes;
    type Encoder = FramesEncoder;
    type Decoder = RawDecoder;

    fn encoder(&mut self) -> FramesEncoder {
        FramesEncoder
    }

    fn decoder(&mut self) -> RawDecoder {
        RawDecoder
    }
}

impl Decoder for RawDecoder {
    type Item = Bytes;
    type Error = Status;

    fn decode(&mut self, src: &mut DecodeBuf<'_>) -> Result<Option<Bytes>, Status> {
        let size = src.remaining();
        if size <= COPY_LIMIT && src.chunk().len() == size {
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

impl Encoder for FramesEncoder {
    type Item = Frames;
    type Error = Status;

    fn encode(&mut self, item: Frames, dst: &mut EncodeBuf<'_>) -> Result<(), Status> {
        let size = item.iter().map(Bytes::len).sum::<usize>();
        if u32::try_from(size).is_err() {
            return Err(io::Error::other("the message is larger than gRPC allows").into());
        }
        dst.reserve(size);
        for frame in item {
            dst.put(frame);
        }
        Ok(())
    }
}
