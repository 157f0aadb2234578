//! Segments that are done and wait to be written over.
//!
//! To write over a file costs the system a third of what a new one does: its blocks are allocated, and
//! its pages are in memory. Nobody reads what is left in it: each segment has a salt of its own.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

const SUFFIX: &str = "spare";
/// So many are kept: one to be written over while the next one is being delivered.
const MAX: usize = 2;

/// See the module.
#[derive(Debug)]
pub(crate) struct Spares {
    directory: PathBuf,
    /// The files and their bytes.
    files: Vec<(PathBuf, u64)>,
    /// Tells the names apart.
    next: u64,
}

// === impl Spares ===

impl Spares {
    /// None yet. What an earlier process has left is deleted.
    pub(crate) fn new(directory: &Path) -> io::Result<Self> {
        for entry in fs::read_dir(directory)? {
            let path = entry?.path();
            if path.extension().is_some_and(|suffix| suffix == SUFFIX) {
                fs::remove_file(path)?;
            }
        }
        Ok(Self {
            directory: directory.to_owned(),
            files: Vec::new(),
            next: 0,
        })
    }

    /// Whether there is none.
    pub(crate) fn is_empty(&self) -> bool {
        self.files.is_empty()
    }

    /// Their bytes.
    pub(crate) fn bytes(&self) -> u64 {
        self.files.iter().map(|(_, bytes)| bytes).sum()
    }

    /// Takes a segment that is done, or deletes it if there are enough. One that is not there is well.
    pub(crate) fn keep_or_remove(&mut self, segment: &Path) -> io::Result<()> {
        let taken = if self.files.len() < MAX {
            self.keep(segment)
        } else {
            fs::remove_file(segment)
        };
        match taken {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    fn keep(&mut self, segment: &Path) -> io::Result<()> {
        let bytes = fs::metadata(segment)?.len();
        let path = self.directory.join(format!("{}.{SUFFIX}", self.next));
        fs::rename(segment, &path)?;
        self.next += 1;
        self.files.push((path, bytes));
        Ok(())
    }

    /// Makes one of them the file at `path`; whether there was one.
    pub(crate) fn take(&mut self, path: &Path) -> io::Result<bool> {
        let Some((spare, _)) = self.files.pop() else {
            return Ok(false);
        };
        fs::rename(spare, path)?;
        Ok(true)
    }

    /// Deletes all of them.
    pub(crate) fn clear(&mut self) -> io::Result<()> {
        while let Some((path, bytes)) = self.files.pop() {
            if let Err(error) = fs::remove_file(&path)
                && error.kind() != io::ErrorKind::NotFound
            {
                self.files.push((path, bytes));
                return Err(error);
            }
        }
        Ok(())
    }
}
