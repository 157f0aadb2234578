//! The file that says what is done.
//!
//! A magic number with the version, the number of spans, for each span its two marks, and a checksum
//! over all of that. A cursor that cannot be read counts as none: everything that is still there is
//! read again.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::Path;

use crate::done::Done;
use crate::mark::Mark;

const MAGIC: &[u8; 8] = b"swcursr1";
const NAME: &str = "cursor";
const PARTIAL: &str = "cursor.partial";
/// Bytes of a span: two marks of three numbers.
const SPAN: usize = 48;

/// What the directory's cursor says; `None` if there is none that can be read.
pub(crate) fn read(directory: &Path) -> io::Result<Option<Done>> {
    match fs::read(directory.join(NAME)) {
        Ok(bytes) => Ok(decode(&bytes)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Replaces the directory's cursor in one step.
pub(crate) fn write(directory: &Path, done: &Done, fsync: bool) -> io::Result<()> {
    let partial = directory.join(PARTIAL);
    let mut file = File::create(&partial)?;
    file.write_all(&encode(done))?;
    if fsync {
        file.sync_data()?;
    }
    fs::rename(partial, directory.join(NAME))?;
    if fsync {
        // Segments are deleted once the cursor says that they are done, so it has to be there first.
        File::open(directory)?.sync_all()?;
    }
    Ok(())
}

fn encode(done: &Done) -> Vec<u8> {
    let spans = done.spans();
    let mut bytes = Vec::with_capacity(MAGIC.len() + 8 + SPAN * spans.len() + 4);
    bytes.extend_from_slice(MAGIC);
    bytes.extend_from_slice(&(spans.len() as u64).to_le_bytes());
    for (from, to) in spans {
        for mark in [from, to] {
            for number in [mark.records, mark.items, mark.bytes] {
                bytes.extend_from_slice(&number.to_le_bytes());
            }
        }
    }
    let checksum = crc32c::crc32c(&bytes);
    bytes.extend_from_slice(&checksum.to_le_bytes());
    bytes
}

fn decode(bytes: &[u8]) -> Option<Done> {
    let (content, checksum) = bytes.split_last_chunk::<4>()?;
    if crc32c::crc32c(content) != u32::from_le_bytes(*checksum) {
        return None;
    }
    let content = content.strip_prefix(MAGIC)?;
    let (count, spans) = content.split_first_chunk::<8>()?;
    let (spans, rest) = spans.as_chunks::<SPAN>();
    if !rest.is_empty() || u64::from_le_bytes(*count) != spans.len() as u64 {
        return None;
    }
    let mut done = Done::default();
    for span in spans {
        let (numbers, _) = span.as_chunks::<8>();
        let number = |index: usize| numbers.get(index).map(|n| u64::from_le_bytes(*n));
        let mark = |at: usize| -> Option<Mark> {
            Some(Mark {
                records: number(at)?,
                items: number(at + 1)?,
                bytes: number(at + 2)?,
            })
        };
        done.insert(mark(0)?, mark(3)?);
    }
    Some(done)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_is_read_whole_or_not_at_all() {
        let mark = |records| Mark {
            records,
            items: 3 * records,
            bytes: 5 * records,
        };
        let mut done = Done::default();
        done.insert(mark(0), mark(4));
        done.insert(mark(6), mark(7));
        let bytes = encode(&done);
        assert_eq!(decode(&bytes), Some(done));
        for end in 0..bytes.len() {
            assert_eq!(decode(&bytes[..end]), None);
        }
        for bit in 0..8 * bytes.len() {
            let mut damaged = bytes.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(decode(&damaged), None, "bit {bit}");
        }
    }
}
