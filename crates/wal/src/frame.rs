//! Records as bytes.
//!
//! A header of 48 bytes, all numbers little endian, and behind it the payload:
//!
//! | bytes | what |
//! |---|---|
//! | 0..4 | a marker, to search for |
//! | 4..8 | checksum of the salt and of bytes 8..48 |
//! | 8..12 | checksum of the salt and of the payload |
//! | 12..16 | length of the payload |
//! | 16..40 | records, items and payload bytes in the log before this record |
//! | 40..48 | items in this record |

use crate::mark::Mark;

/// Bytes of a header.
pub(crate) const HEADER: usize = 48;

/// The longest payload, in bytes. A header that says more is damaged.
pub(crate) const MAX_PAYLOAD: usize = 1 << 30;

const MARKER: [u8; 4] = [0xf5, b's', b'w', 0xfa];

/// What a header says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) before: Mark,
    pub(crate) items: u64,
    pub(crate) length: usize,
    payload_checksum: u32,
}

// === impl Header ===

impl Header {
    /// The header of a payload, which is not longer than [`MAX_PAYLOAD`].
    pub(crate) fn new(salt: u64, before: Mark, items: u64, payload: &[u8]) -> Self {
        Self {
            before,
            items,
            length: payload.len(),
            payload_checksum: checksum(salt, payload),
        }
    }

    pub(crate) fn encode(&self, salt: u64) -> [u8; HEADER] {
        let mut bytes = [0; HEADER];
        bytes[..4].copy_from_slice(&MARKER);
        bytes[8..12].copy_from_slice(&self.payload_checksum.to_le_bytes());
        bytes[12..16].copy_from_slice(&(self.length as u32).to_le_bytes());
        let Mark {
            records,
            items,
            bytes: before,
        } = self.before;
        for (index, number) in [records, items, before, self.items].into_iter().enumerate() {
            let at = 16 + 8 * index;
            bytes[at..at + 8].copy_from_slice(&number.to_le_bytes());
        }
        let checksum = checksum(salt, &bytes[8..]);
        bytes[4..8].copy_from_slice(&checksum.to_le_bytes());
        bytes
    }

    /// Reads a header; `None` if these bytes are none.
    pub(crate) fn decode(salt: u64, bytes: &[u8; HEADER]) -> Option<Self> {
        if bytes[..4] != MARKER || number_32(bytes, 4) != checksum(salt, &bytes[8..]) {
            return None;
        }
        let header = Self {
            before: Mark {
                records: number_64(bytes, 16),
                items: number_64(bytes, 24),
                bytes: number_64(bytes, 32),
            },
            items: number_64(bytes, 40),
            length: number_32(bytes, 12) as usize,
            payload_checksum: number_32(bytes, 8),
        };
        (header.length <= MAX_PAYLOAD).then_some(header)
    }

    /// Where the record ends in the log.
    pub(crate) fn after(&self) -> Mark {
        self.before.after(self.items, self.length as u64)
    }

    /// Bytes of the record in its segment.
    pub(crate) fn record_bytes(&self) -> u64 {
        (HEADER + self.length) as u64
    }

    pub(crate) fn fits(&self, salt: u64, payload: &[u8]) -> bool {
        payload.len() == self.length && checksum(salt, payload) == self.payload_checksum
    }
}

/// Where the marker stands for the first time.
pub(crate) fn find_marker(bytes: &[u8]) -> Option<usize> {
    bytes.windows(MARKER.len()).position(|four| four == MARKER)
}

fn checksum(salt: u64, bytes: &[u8]) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c(&salt.to_le_bytes()), bytes)
}

fn number_32(bytes: &[u8; HEADER], at: usize) -> u32 {
    bytes[at..at + 4]
        .iter()
        .rev()
        .fold(0, |number, byte| number << 8 | u32::from(*byte))
}

fn number_64(bytes: &[u8; HEADER], at: usize) -> u64 {
    bytes[at..at + 8]
        .iter()
        .rev()
        .fold(0, |number, byte| number << 8 | u64::from(*byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_bit_of_a_header_is_guarded() {
        let before = Mark {
            records: 7,
            items: 1 << 40,
            bytes: 3,
        };
        let header = Header::new(99, before, 12, b"payload");
        let bytes = header.encode(99);
        assert_eq!(Header::decode(99, &bytes), Some(header));
        assert_eq!(Header::decode(98, &bytes), None);
        for bit in 0..8 * HEADER {
            let mut damaged = bytes;
            damaged[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(Header::decode(99, &damaged), None, "bit {bit}");
        }
        assert!(header.fits(99, b"payload"));
        assert!(!header.fits(99, b"paYload"));
        assert!(!header.fits(98, b"payload"));
    }
}
