//! Headers in a segment, and the way to the next one where one is damaged.

use std::fs::File;
use std::os::unix::fs::FileExt as _;

use crate::frame::{self, HEADER, Header};

/// How much is read at once in search of a header, in bytes.
const SEARCH: usize = 64 << 10;

/// The header at `offset` of a segment that has `length` bytes; `None` if none is there whose whole
/// record is. A file that cannot be read there counts as damaged.
pub(crate) fn header_at(file: &File, salt: u64, offset: u64, length: u64) -> Option<Header> {
    let mut bytes = [0; HEADER];
    if length.checked_sub(offset)? < HEADER as u64 {
        return None;
    }
    file.read_exact_at(&mut bytes, offset).ok()?;
    let header = Header::decode(salt, &bytes)?;
    (header.record_bytes() <= length - offset).then_some(header)
}

/// Where the first whole record begins at or behind `offset`.
pub(crate) fn find_header(file: &File, salt: u64, offset: u64, length: u64) -> Option<u64> {
    let mut at = offset;
    let mut buffer = vec![0; SEARCH];
    while at < length {
        let wanted = SEARCH.min(usize::try_from(length - at).unwrap_or(SEARCH));
        let window = buffer.get_mut(..wanted)?;
        if file.read_exact_at(window, at).is_err() {
            // A page that cannot be read may have neighbours that can.
            at += wanted as u64;
            continue;
        }
        let mut from = 0;
        while let Some(found) = window.get(from..).and_then(frame::find_marker) {
            let candidate = at + (from + found) as u64;
            if header_at(file, salt, candidate, length).is_some() {
                return Some(candidate);
            }
            from += found + 1;
        }
        // The marker may lie across the end of the window.
        at += if wanted < SEARCH { wanted } else { wanted - 3 } as u64;
    }
    None
}
