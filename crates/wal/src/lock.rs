//! One process at a time.

use std::fs::{File, OpenOptions, TryLockError};
use std::io;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

const NAME: &str = "lock";
/// Between two attempts to get the lock.
const PAUSE: Duration = Duration::from_millis(20);

/// A directory that nobody else has, as long as this exists. The system gives it back when the
/// process ends, however that ends.
#[derive(Debug)]
pub(crate) struct Lock(#[expect(dead_code, reason = "it is held, not used")] File);

// === impl Lock ===

impl Lock {
    /// Waits for at most `timeout`; `None` if somebody else has the directory for so long.
    pub(crate) fn acquire(directory: &Path, timeout: Duration) -> io::Result<Option<Self>> {
        let file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .open(directory.join(NAME))?;
        let deadline = Instant::now() + timeout;
        loop {
            match file.try_lock() {
                Ok(()) => return Ok(Some(Self(file))),
                Err(TryLockError::Error(error)) => return Err(error),
                Err(TryLockError::WouldBlock) if Instant::now() >= deadline => return Ok(None),
                Err(TryLockError::WouldBlock) => thread::sleep(PAUSE),
            }
        }
    }
}
