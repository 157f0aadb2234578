//! The frame of a gRPC message: one byte that says whether it is compressed, four bytes of length.

use std::io::{self, Read, Write as _};

use bytes::{BufMut, Bytes, BytesMut};
use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;

use crate::Error;

const HEADER: usize = 5;

/// The frame of an empty message, which as an OTLP response is a full success.
pub const EMPTY: Bytes = Bytes::from_static(&[0; HEADER]);

/// Puts an uncompressed message into its frame.
///
/// # Errors
///
/// A message of 4 GiB or more.
pub fn encode(message: &[u8]) -> Result<Bytes, Error> {
    framed(false, message)
}

/// Compresses a message with gzip and puts it into its frame.
///
/// # Errors
///
/// A message that has 4 GiB or more when it is compressed.
pub fn encode_gzip(message: &[u8]) -> Result<Bytes, Error> {
    framed(true, &gzip(message)?)
}

/// Compresses with gzip, at the level that SDKs have by default.
///
/// # Errors
///
/// Only if the library fails to allocate.
pub fn gzip(message: &[u8]) -> io::Result<Vec<u8>> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(message)?;
    encoder.finish()
}

fn framed(compressed: bool, message: &[u8]) -> Result<Bytes, Error> {
    let mut frame = BytesMut::with_capacity(HEADER + message.len());
    frame.put_u8(compressed.into());
    frame.put_u32(u32::try_from(message.len())?);
    frame.put_slice(message);
    Ok(frame.freeze())
}

/// Takes the only message out of `body`, decompressed.
///
/// # Errors
///
/// A body that is not exactly one frame, and a compressed message that is not gzip.
pub fn decode(body: &Bytes) -> Result<Bytes, Error> {
    let Some((header, message)) = body.split_first_chunk::<HEADER>() else {
        return Err(format!("expected a frame of gRPC, but found {} bytes", body.len()).into());
    };
    let [compressed, length @ ..] = *header;
    let length = u32::from_be_bytes(length) as usize;
    if message.len() != length {
        let found = message.len();
        return Err(format!("expected a message of {length} bytes, but found {found}").into());
    }
    if compressed == 0 {
        return Ok(body.slice(HEADER..));
    }
    let mut plain = Vec::with_capacity(8 * length);
    GzDecoder::new(message).read_to_end(&mut plain)?;
    Ok(plain.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_survives_its_frame() {
        let frame = encode(b"message").unwrap();
        assert_eq!(decode(&frame).unwrap(), "message");
    }

    #[test]
    fn a_compressed_message_is_decompressed() {
        let frame = encode_gzip(b"message").unwrap();
        assert_eq!(frame[0], 1);
        assert_eq!(decode(&frame).unwrap(), "message");
    }

    #[test]
    fn a_cut_off_frame_is_an_error() {
        let frame = encode(b"message").unwrap();
        assert!(decode(&frame.slice(..frame.len() - 1)).is_err());
        assert!(decode(&frame.slice(..3)).is_err());
    }
}
