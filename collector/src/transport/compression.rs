//! HTTP content encodings, with a limit on what comes out.

use std::fmt;
use std::io::{self, Read, Write};

use bytes::Bytes;
use flate2::read::{MultiGzDecoder, ZlibDecoder};
use serde::Deserialize;

/// A content encoding that can be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Encoding {
    /// As it is.
    #[serde(rename = "")]
    Identity,
    /// RFC 1952.
    Gzip,
    /// RFC 8878.
    Zstd,
    /// RFC 1950, which HTTP calls `deflate` and otelcol `zlib`.
    #[serde(alias = "deflate")]
    Zlib,
    /// Snappy, one block or framed: senders use the same name for both, and the first bytes tell.
    #[serde(alias = "x-snappy-framed")]
    Snappy,
    /// The frame format of LZ4.
    Lz4,
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
    /// RFC 1950, under the name that HTTP has for it.
    Deflate,
    /// The same under its own name.
    Zlib,
    /// Snappy, one block.
    Snappy,
    /// Snappy, framed.
    #[serde(rename = "x-snappy-framed")]
    SnappyFramed,
    /// The frame format of LZ4.
    Lz4,
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

/// How much is decompressed before it is asked for more room, and compressed before others may go on.
const STEP: usize = 256 * 1024;

/// How hard encoders try: the level that their libraries call fast.
const FAST: u32 = 1;

/// The largest number that an encoder has for that.
const ZSTD_LEVEL_MAX: u32 = 22;
const ZLIB_LEVEL_MAX: u32 = 9;

/// The first bytes of framed Snappy, which no block of this length can begin with.
const SNAPPY_FRAMED: &[u8] = b"\xff\x06\x00\x00sNaPpY";

// === impl Encoding ===

impl Encoding {
    /// Every name that is understood, for messages.
    pub const NAMES: &'static str =
        "gzip, zstd, deflate, zlib, snappy, x-snappy-framed, lz4, identity";

    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::Identity,
        Self::Gzip,
        Self::Zstd,
        Self::Zlib,
        Self::Snappy,
        Self::Lz4,
    ];

    /// Its name in `Accept-Encoding`.
    pub const fn header(self) -> &'static str {
        match self {
            Self::Identity => "identity",
            Self::Gzip => "gzip",
            Self::Zstd => "zstd",
            Self::Zlib => "deflate",
            Self::Snappy => "snappy",
            Self::Lz4 => "lz4",
        }
    }

    /// The encoding that a `Content-Encoding` header names; `None` if it is not known, or if there
    /// are several.
    pub fn parse(header: &str) -> Option<Self> {
        match header.trim().to_ascii_lowercase().as_str() {
            "" | "identity" | "none" => Some(Self::Identity),
            "gzip" | "x-gzip" => Some(Self::Gzip),
            "zstd" => Some(Self::Zstd),
            "deflate" | "zlib" => Some(Self::Zlib),
            "snappy" | "x-snappy-framed" => Some(Self::Snappy),
            "lz4" => Some(Self::Lz4),
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
    mut grow: impl FnMut(usize) -> Result<(), E>,
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
        Encoding::Snappy if input.starts_with(SNAPPY_FRAMED) => {
            read_limited(snap::read::FrameDecoder::new(input), limit, grow)
        }
        Encoding::Snappy => {
            // A block begins with the size of what comes out.
            let size = snap::raw::decompress_len(input).map_err(malformed)?;
            if size > limit {
                return Err(DecompressError::TooLarge(limit).into());
            }
            grow(size)?;
            let mut decoder = snap::raw::Decoder::new();
            Ok(decoder.decompress_vec(input).map_err(malformed)?)
        }
        Encoding::Lz4 => read_limited(lz4_flex::frame::FrameDecoder::new(input), limit, grow),
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

/// Compresses the concatenation of `frames`; `level` is one that [`Compression::check_level`] allows, or
/// `None` for the fast one. Lets other tasks of the thread go on in between: a batch takes longer than a
/// client should wait for an answer.
///
/// # Errors
/// Only if the library fails to allocate.
pub async fn compress(
    compression: Compression,
    level: Option<u32>,
    frames: &[Bytes],
) -> io::Result<Bytes> {
    let level = level.unwrap_or(FAST);
    let zlib_level = flate2::Compression::new(level.min(ZLIB_LEVEL_MAX));
    match compression {
        Compression::None => Ok(frames.concat().into()),
        Compression::Gzip => {
            let encoder = flate2::write::GzEncoder::new(Vec::new(), zlib_level);
            written(encoder, frames).await?.finish().map(Bytes::from)
        }
        Compression::Deflate | Compression::Zlib => {
            let encoder = flate2::write::ZlibEncoder::new(Vec::new(), zlib_level);
            written(encoder, frames).await?.finish().map(Bytes::from)
        }
        Compression::Zstd => {
            let level = level.min(ZSTD_LEVEL_MAX) as i32;
            let encoder = zstd::stream::write::Encoder::new(Vec::new(), level)?;
            written(encoder, frames).await?.finish().map(Bytes::from)
        }
        Compression::Snappy => {
            let block = snap::raw::Encoder::new().compress_vec(&frames.concat());
            block.map(Bytes::from).map_err(io::Error::other)
        }
        Compression::SnappyFramed => {
            let encoder = snap::write::FrameEncoder::new(Vec::new());
            let frames = written(encoder, frames).await?.into_inner();
            frames
                .map(Bytes::from)
                .map_err(|error| io::Error::other(error.to_string()))
        }
        Compression::Lz4 => {
            let encoder = lz4_flex::frame::FrameEncoder::new(Vec::new());
            let frames = written(encoder, frames).await?.finish();
            frames.map(Bytes::from).map_err(io::Error::other)
        }
    }
}

async fn written<W: Write>(mut encoder: W, frames: &[Bytes]) -> io::Result<W> {
    let mut since = 0;
    for part in frames.iter().flat_map(|frame| frame.chunks(STEP)) {
        encoder.write_all(part)?;
        since += part.len();
        if since >= STEP {
            since = 0;
            tokio::task::yield_now().await;
        }
    }
    Ok(encoder)
}

fn malformed(error: snap::Error) -> DecompressError {
    DecompressError::Malformed(io::Error::other(error))
}

// === impl Compression ===

impl Compression {
    /// The value of `Content-Encoding`.
    pub const fn header(self) -> Option<&'static str> {
        match self {
            Self::None => None,
            Self::Gzip => Some("gzip"),
            Self::Zstd => Some("zstd"),
            Self::Deflate => Some("deflate"),
            Self::Zlib => Some("zlib"),
            Self::Snappy => Some("snappy"),
            Self::SnappyFramed => Some("x-snappy-framed"),
            Self::Lz4 => Some("lz4"),
        }
    }

    /// Whether it has a level.
    ///
    /// # Errors
    /// A sentence that says which levels it has.
    pub fn check_level(self, level: u32) -> Result<(), String> {
        let max = match self {
            Self::Gzip | Self::Deflate | Self::Zlib => ZLIB_LEVEL_MAX,
            Self::Zstd => ZSTD_LEVEL_MAX,
            Self::None | Self::Snappy | Self::SnappyFramed | Self::Lz4 => {
                let name = self.header().unwrap_or("none");
                return Err(format!("expected no \"level\", since {name:?} has none"));
            }
        };
        match level {
            _ if (1..=max).contains(&level) => Ok(()),
            _ => Err(format!(
                "expected \"level\" between 1 and {max}, but found {level}"
            )),
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

    #[tokio::test]
    async fn what_is_compressed_can_be_read() {
        let frames = [Bytes::from_static(b"abc"), Bytes::from(vec![7; 10_000])];
        let plain = frames.concat();
        for (compression, encoding) in [
            (Compression::None, Encoding::Identity),
            (Compression::Gzip, Encoding::Gzip),
            (Compression::Zstd, Encoding::Zstd),
            (Compression::Deflate, Encoding::Zlib),
            (Compression::Snappy, Encoding::Snappy),
            (Compression::SnappyFramed, Encoding::Snappy),
            (Compression::Lz4, Encoding::Lz4),
        ] {
            let body = compress(compression, None, &frames).await.unwrap();
            assert_eq!(decompress(encoding, body, plain.len()).unwrap(), plain);
        }
    }

    #[tokio::test]
    async fn bombs_are_stopped_at_the_limit() {
        let bomb = [Bytes::from(vec![0; 10_000_000])];
        for (compression, encoding) in [
            (Compression::None, Encoding::Identity),
            (Compression::Gzip, Encoding::Gzip),
            (Compression::Zstd, Encoding::Zstd),
            (Compression::Deflate, Encoding::Zlib),
            (Compression::Snappy, Encoding::Snappy),
            (Compression::SnappyFramed, Encoding::Snappy),
            (Compression::Lz4, Encoding::Lz4),
        ] {
            let body = compress(compression, None, &bomb).await.unwrap();
            let error = decompress(encoding, body, 9_999_999).unwrap_err();
            assert!(matches!(error, DecompressError::TooLarge(9_999_999)));
        }
    }

    #[tokio::test]
    async fn whoever_provides_the_room_is_asked_first() {
        let body = compress(Compression::Gzip, None, &[Bytes::from(vec![0; 1_000_000])])
            .await
            .unwrap();
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
        for encoding in Encoding::ALL.into_iter().skip(1) {
            let error = decompress(encoding, Bytes::from_static(b"plain"), 1000).unwrap_err();
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
        assert_eq!(Encoding::parse("x-snappy-framed"), Some(Encoding::Snappy));
        for encoding in Encoding::ALL {
            assert_eq!(Encoding::parse(encoding.header()), Some(encoding));
        }
        assert_eq!(Encoding::parse("br"), None);
        assert_eq!(Encoding::parse("gzip, gzip"), None);
    }

    #[tokio::test]
    async fn levels_are_those_of_the_encoding() {
        assert!(Compression::Gzip.check_level(9).is_ok());
        assert!(Compression::Gzip.check_level(10).is_err());
        assert!(Compression::Zstd.check_level(11).is_ok());
        assert!(Compression::Zstd.check_level(0).is_err());
        assert!(Compression::Snappy.check_level(1).is_err());
        let frames = [Bytes::from("abcdefgh ".repeat(1000))];
        let size = async |level| {
            let body = compress(Compression::Gzip, level, &frames).await;
            body.unwrap().len()
        };
        assert!(size(Some(9)).await < size(Some(1)).await);
    }
}
