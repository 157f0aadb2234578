//! The files of a log.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// What tells segments apart. Ordered by their first record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct SegmentId {
    /// The number of the first record.
    pub(crate) first: u64,
    /// What the checksums of this segment begin with.
    pub(crate) salt: u64,
}

const SUFFIX: &str = ".segment";

// === impl SegmentId ===

impl SegmentId {
    pub(crate) fn path(self, directory: &Path) -> PathBuf {
        directory.join(format!("{:020}-{:016x}{SUFFIX}", self.first, self.salt))
    }

    fn parse(name: &str) -> Option<Self> {
        let (first, salt) = name.strip_suffix(SUFFIX)?.split_once('-')?;
        if first.len() != 20 || salt.len() != 16 {
            return None;
        }
        Some(Self {
            first: first.parse().ok()?,
            salt: u64::from_str_radix(salt, 16).ok()?,
        })
    }
}

/// The segments of a directory and their lengths in bytes, oldest first.
pub(crate) fn list(directory: &Path) -> io::Result<Vec<(SegmentId, u64)>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        if let Some(id) = entry.file_name().to_str().and_then(SegmentId::parse) {
            found.push((id, entry.metadata()?.len()));
        }
    }
    found.sort_unstable();
    Ok(found)
}
