//! HTTP content encodings, with a limit on what comes out.

use std::fmt;
use std::io::{self, Read, Write};

use bytes::Bytes;
use flate2::read::{MultiGzDecoder, ZlibDecoder};
use serde::Deserialize;

/// A content encoding that can be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    /// As it is.
    Identity,
    /// RFC 1952.
    Gzip,
    /// RFC 8878.
    Zstd,
    /// RFC 1950, which HTTP calls `deflate` and otelcol `zlib`.
    Zlib,
}

/// `compression` of an exporter.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Compression {
    /// The default of the OpenTelemetry Collector.
    #[default]
    Gzip,
    /// Faster and smaller, where the destination can read it.
    Zstd,
    /// None.
    #[serde(alias = "")]
    None,
}

/// Why a body could not be read.
#[derive(Debug)]
pub enum DecompressError {
    /// It is larger than the limit, in bytes.
    TooLarge(usize),
    /// It is not what its encoding says.
    Malformed(io::Error),
}

/// The largest window of zstd, 8 MiB, as RFC 9659 has it for HTTP: a body of a few bytes may ask for
/// a window of any size.
const ZSTD_WINDOW_LOG_MAX: u32 = 23;

/// How much is decompressed before it is asked for more room.
const STEP: usize = 256 * 1024;

/// The level that the libraries of both encodings call fast.
const LEVEL: u32 = 1;

// === impl Encoding ===

impl Encoding {
    /// Every name that is understood, for messages.
    pub const NAMES: &'static str = "gzip, zstd, deflate, zlib, identity";

    /// The encoding that a `Content-Encoding` header names; `None` if it is not known, or if there
    /// are several.
    pub fn parse(header: &str) -> Option<Self> {
        match header.trim().to_ascii_lowercase().as_str() {
            "" | "identity" | "none" => Some(Self::Identity),
            "gzip" | "x-gzip" => Some(Self::Gzip),
            "zstd" => Some(Self::Zstd),
            "deflate" | "zlib" => Some(Self::Zlib),
            _ => None,
        }
    }
}

/// Undoes an encoding; stops as soon as more than `limit` bytes have come out. `grow` hears how large
/// the result is going to be before it gets so large, and may put an end to it.
///
/// # Errors
/// The result is larger than `limit`, or the body is not in this encoding, or `grow` fails.
pub fn decompress<E: From<DecompressError>>(
    encoding: Encoding,
    body: Bytes,
    limit: usize,
    grow: impl FnMut(usize) -> Result<(), E>,
) -> Result<Bytes, E> {
    let input = &*body;
    let output = match encoding {
        Encoding::Identity if body.len() > limit => {
            return Err(DecompressError::TooLarge(limit).into());
        }
        Encoding::Identity => return Ok(body),
        Encoding::Gzip => read_limited(MultiGzDecoder::new(input), limit, grow),
        Encoding::Zlib => read_limited(ZlibDecoder::new(input), limit, grow),
        Encoding::Zstd => {
            let mut decoder =
                zstd::stream::read::Decoder::new(input).map_err(DecompressError::Malformed)?;
            decoder
                .window_log_max(ZSTD_WINDOW_LOG_MAX)
                .map_err(DecompressError::Malformed)?;
            read_limited(decoder, limit, grow)
        }
    }?;
    Ok(compact(output))
}

/// The same bytes without the room for more that a growing vector has.
pub fn compact(mut bytes: Vec<u8>) -> Bytes {
    bytes.shrink_to_fit();
    bytes.into()
}

fn read_limited<E: From<DecompressError>>(
    mut reader: impl Read,
    limit: usize,
    mut grow: impl FnMut(usize) -> Result<(), E>,
) -> Result<Vec<u8>, E> {
    let mut output = Vec::new();
    loop {
        // One byte more than is allowed tells whether there are more.
        let beyond = limit.saturating_add(1) - output.len();
        let step = STEP.min(beyond);
        grow(output.len() + step)?;
        let read = reader
            .by_ref()
            .take(step as u64)
            .read_to_end(&mut output)
            .map_err(DecompressError::Malformed)?;
        if output.len() > limit {
            return Err(DecompressError::TooLarge(limit).into());
        }
        if read < step {
            return Ok(output);
        }
    }
}

/// Compresses the concatenation of `frames`.
///
/// # Errors
/// Only if the library fails to allocate.
pub fn compress(compression: Compression, frames: &[Bytes]) -> io::Result<Bytes> {
    match compression {
        Compression::None => Ok(frames.concat().into()),
        Compression::Gzip => {
            let level = flate2::Compression::new(LEVEL);
            let mut encoder = flate2::write::GzEncoder::new(Vec::new(), level);
            for frame in frames {
                encoder.write_all(frame)?;
            }
            encoder.finish().map(Bytes::from)
        }
        Compression::Zstd => {
            let mut encoder = zstd::stream::write::Encoder::new(Vec::new(), LEVEL as i32)?;
            for frame in frames {
                encoder.write_all(frame)?;
            }
            encoder.finish().map(Bytes::from)
        }
    }
}

// === impl Compression ===

impl Compression {
    /// The value of `Content-Encoding`.
    pub const fn header(self) -> Option<&'static str> {
        match self {
            Self::None => None,
            Self::Gzip => Some("gzip"),
            Self::Zstd => Some("zstd"),
        }
    }
}

impl fmt::Display for DecompressError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLarge(limit) => {
                write!(f, "expected at most {limit} bytes, but found more")
            }
            Self::Malformed(error) => write!(f, "the body cannot be decompressed: {error}"),
        }
    }
}

impl std::error::Error for DecompressError {}

#[cfg(test)]
mod tests {
    use super::*;

    fn decompress(encoding: Encoding, body: Bytes, limit: usize) -> Result<Bytes, DecompressError> {
        super::decompress(encoding, body, limit, |_| Ok(()))
    }

    #[test]
    fn what_is_compressed_can_be_read() {
        let frames = [Bytes::from_static(b"abc"), Bytes::from(vec![7; 10_000])];
        let plain = frames.concat();
        for (compression, encoding) in [
            (Compression::None, Encoding::Identity),
            (Compression::Gzip, Encoding::Gzip),
            (Compression::Zstd, Encoding::Zstd),
        ] {
            let body = compress(compression, &frames).unwrap();
            assert_eq!(decompress(encoding, body, plain.len()).unwrap(), plain);
        }
        let mut zlib = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::fast());
        zlib.write_all(&plain).unwrap();
        let body = zlib.finish().unwrap().into();
        assert_eq!(
            decompress(Encoding::Zlib, body, plain.len()).unwrap(),
            plain
        );
    }

    #[test]
    fn bombs_are_stopped_at_the_limit() {
        let bomb = [Bytes::from(vec![0; 10_000_000])];
        for (compression, encoding) in [
            (Compression::None, Encoding::Identity),
            (Compression::Gzip, Encoding::Gzip),
            (Compression::Zstd, Encoding::Zstd),
        ] {
            let body = compress(compression, &bomb).unwrap();
            let error = decompress(encoding, body, 9_999_999).unwrap_err();
            assert!(matches!(error, DecompressError::TooLarge(9_999_999)));
        }
    }

    #[test]
    fn whoever_provides_the_room_is_asked_first() {
        let body = compress(Compression::Gzip, &[Bytes::from(vec![0; 1_000_000])]).unwrap();
        let mut asked = 0;
        let result = super::decompress(Encoding::Gzip, body, usize::MAX, |size| {
            asked = size;
            if size > 300_000 {
                return Err(DecompressError::TooLarge(300_000));
            }
            Ok(())
        });
        assert!(matches!(result, Err(DecompressError::TooLarge(300_000))));
        assert!(asked < 1_000_000);
    }

    #[test]
    fn windows_larger_than_http_allows_are_refused() {
        let frames = vec![7; 100];
        for (window_log, readable) in [(23, true), (24, false)] {
            let mut encoder = zstd::stream::write::Encoder::new(Vec::new(), 1).unwrap();
            encoder.window_log(window_log).unwrap();
            encoder.write_all(&frames).unwrap();
            let body: Bytes = encoder.finish().unwrap().into();
            assert_eq!(decompress(Encoding::Zstd, body, 1000).is_ok(), readable);
        }
    }

    #[test]
    fn what_is_not_compressed_is_refused() {
        for encoding in [Encoding::Gzip, Encoding::Zstd, Encoding::Zlib] {
            let error = decompress(encoding, Bytes::from_static(b"plain"), 100).unwrap_err();
            assert!(matches!(error, DecompressError::Malformed(_)));
        }
    }

    #[test]
    fn nothing_is_kept_beside_the_bytes() {
        let mut bytes = Vec::with_capacity(1000);
        bytes.extend_from_slice(b"abc");
        let compact: Vec<u8> = compact(bytes).into();
        assert!(compact.capacity() < 100);
    }

    #[test]
    fn encodings_are_known_by_name() {
        assert_eq!(Encoding::parse(" GZIP "), Some(Encoding::Gzip));
        assert_eq!(Encoding::parse("br"), None);
        assert_eq!(Encoding::parse("gzip, gzip"), None);
    }
}
