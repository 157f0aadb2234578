//! `file_storage`: keeps the queues of exporters on disk, in write-ahead logs.
//!
//! Exporters name it in `sending_queue.storage`. Its options are those of the OpenTelemetry Collector
//! as far as they make sense here: the logs need no compaction and no recreation, so that what says
//! how these are done is read and has no effect. `fsync` is on by default, and `max_size` is an option
//! of ours.

mod options;

use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::Path;

use self::options::Options;
use crate::pipeline::{
    BoxFuture, BuildContext, Extension, ExtensionConfig, ExtensionFactory, ExtensionKind,
    StartError, StorageOptions,
};

/// Makes `file_storage` extensions.
pub const FACTORY: &dyn ExtensionFactory = &ExtensionKind::<Options>::new("file_storage");

/// Nothing runs: the queues open their own logs.
struct FileStorage;

// === impl Options ===

impl ExtensionConfig for Options {
    fn storage(&self) -> Option<StorageOptions> {
        Some(StorageOptions {
            directory: self.directory.clone(),
            fsync: self.fsync,
            max_bytes: self.max_size.0 as u64,
            lock_timeout: self.timeout.0,
        })
    }

    fn start(
        self: Box<Self>,
        context: BuildContext,
    ) -> BoxFuture<'static, Result<Box<dyn Extension>, StartError>> {
        Box::pin(std::future::ready(match self.prepare() {
            Ok(()) => Ok(Box::new(FileStorage) as Box<dyn Extension>),
            Err(error) => Err(StartError(format!(
                "extension \"{}\" cannot use the directory {}: {error}",
                context.id,
                self.directory.display()
            ))),
        }))
    }
}

impl Options {
    /// Makes the directory if it shall, and sees that it is one.
    fn prepare(&self) -> io::Result<()> {
        let directory: &Path = &self.directory;
        if self.create_directory {
            let mode = self.directory_permissions.0;
            DirBuilder::new()
                .recursive(true)
                .mode(mode)
                .create(directory)?;
        }
        if fs::metadata(directory)?.is_dir() {
            Ok(())
        } else {
            Err(io::ErrorKind::NotADirectory.into())
        }
    }
}

// === impl FileStorage ===

impl Extension for FileStorage {}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn the_directory_is_made_with_its_permissions() {
        let folder = tempfile::tempdir().unwrap();
        let options = Options {
            directory: folder.path().join("a/b"),
            ..Options::default()
        };
        options.prepare().unwrap();
        let mode = fs::metadata(&options.directory)
            .unwrap()
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o750);
        options.prepare().unwrap();
    }

    #[test]
    fn a_directory_that_is_not_there_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let options = Options {
            directory: folder.path().join("a"),
            create_directory: false,
            ..Options::default()
        };
        let error = options.prepare().unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::NotFound);
        fs::write(&options.directory, "").unwrap();
        let error = options.prepare().unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::NotADirectory);
    }
}
