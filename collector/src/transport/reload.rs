//! What is made from files and made again when they change: certificates, tokens, passwords.
//!
//! Files are looked at when they are used, not watched: a file that is replaced by renaming, or by
//! switching a symbolic link as Kubernetes does, needs no special care. Reading is blocking; the files
//! are small, and read once in an interval at most.

use std::fmt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tracing::{info, warn};

use crate::telemetry::Throttle;

/// A value that follows its files.
pub struct Reloading<T> {
    /// Those that are looked at in intervals come first.
    files: Vec<PathBuf>,
    /// How many these are.
    watched: usize,
    /// How long they are not looked at again; `None` for ever.
    interval: Option<Duration>,
    make: Box<dyn Fn() -> Result<T, String> + Send + Sync>,
    state: Mutex<State<T>>,
    failures: Throttle,
}

struct State<T> {
    value: Arc<T>,
    checked: Instant,
    /// What was in the files when the value was made; `None` for one that could not be read.
    contents: Contents,
}

type Contents = Vec<Option<Vec<u8>>>;

// === impl Reloading ===

impl<T> Reloading<T> {
    /// Makes the value for the first time. `make` reads the files itself.
    ///
    /// # Errors
    /// Those of `make`.
    pub fn new(
        files: Vec<PathBuf>,
        interval: Option<Duration>,
        make: impl Fn() -> Result<T, String> + Send + Sync + 'static,
    ) -> Result<Self, String> {
        Self::with_others(files, interval, Vec::new(), make)
    }

    /// The same with `others` of which only [`Self::reread`] takes notice.
    ///
    /// # Errors
    /// Those of `make`.
    pub fn with_others(
        mut files: Vec<PathBuf>,
        interval: Option<Duration>,
        others: Vec<PathBuf>,
        make: impl Fn() -> Result<T, String> + Send + Sync + 'static,
    ) -> Result<Self, String> {
        let watched = files.len();
        files.extend(others);
        let contents = read(&files);
        let value = Arc::new(make()?);
        Ok(Self {
            files,
            watched,
            interval,
            make: Box::new(make),
            state: Mutex::new(State {
                value,
                checked: Instant::now(),
                contents,
            }),
            failures: Throttle::default(),
        })
    }

    /// The value. If its files have changed, it is made again; if that fails, the old one stays, with
    /// a warning.
    pub fn current(&self) -> Arc<T> {
        // A panic in `make` leaves the old value.
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let due = self
            .interval
            .is_some_and(|interval| state.checked.elapsed() >= interval);
        if due {
            self.look(&mut state, &self.files[..self.watched]);
        }
        state.value.clone()
    }

    /// Looks at all files now, whatever the interval is.
    pub fn reread(&self) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        self.look(&mut state, &self.files);
    }

    /// Looks at the first of the files.
    fn look(&self, state: &mut State<T>, files: &[PathBuf]) {
        if files.is_empty() {
            return;
        }
        state.checked = Instant::now();
        let contents = read(files);
        let known = &mut state.contents[..files.len()];
        if contents == *known {
            return;
        }
        match (self.make)() {
            Ok(value) => {
                state.value = Arc::new(value);
                known.clone_from_slice(&contents);
                info!(?files, "read again, since they have changed");
            }
            Err(error) => {
                if self.failures.count(1).is_some() {
                    warn!("changed files are not used, the former ones stay: {error}");
                }
            }
        }
    }
}

impl<T> fmt::Debug for Reloading<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reloading")
            .field("files", &self.files)
            .field("interval", &self.interval)
            .finish_non_exhaustive()
    }
}

fn read(files: &[PathBuf]) -> Contents {
    files.iter().map(|file| std::fs::read(file).ok()).collect()
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[test]
    fn values_follow_their_files_and_stay_if_those_are_wrong() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("number");
        std::fs::write(&file, "1").unwrap();
        let made = Arc::new(AtomicUsize::new(0));
        let number = {
            let (file, made) = (file.clone(), made.clone());
            Reloading::new(vec![file.clone()], Some(Duration::ZERO), move || {
                made.fetch_add(1, Ordering::Relaxed);
                let text = std::fs::read_to_string(&file).map_err(|error| error.to_string())?;
                text.parse::<u32>().map_err(|error| error.to_string())
            })
        };
        let number = number.unwrap();
        assert_eq!(*number.current(), 1);
        std::fs::write(&file, "2").unwrap();
        assert_eq!(*number.current(), 2);
        assert_eq!(*number.current(), 2);
        assert_eq!(made.load(Ordering::Relaxed), 2, "made without need");
        std::fs::write(&file, "no number").unwrap();
        assert_eq!(*number.current(), 2);
        std::fs::remove_file(&file).unwrap();
        assert_eq!(*number.current(), 2);
        std::fs::write(&file, "3").unwrap();
        assert_eq!(*number.current(), 3);
    }

    #[test]
    fn some_files_are_looked_at_only_when_told_so() {
        let folder = tempfile::tempdir().unwrap();
        let [watched, other] = ["watched", "other"].map(|name| folder.path().join(name));
        std::fs::write(&watched, "1").unwrap();
        std::fs::write(&other, "1").unwrap();
        let both = [watched.clone(), other.clone()];
        let read = move || {
            Ok(both
                .each_ref()
                .map(|file| std::fs::read(file).unwrap())
                .concat())
        };
        let interval = Some(Duration::ZERO);
        let text =
            Reloading::with_others(vec![watched.clone()], interval, vec![other.clone()], read);
        let text = text.unwrap();
        std::fs::write(&other, "2").unwrap();
        assert_eq!(*text.current(), b"11");
        text.reread();
        assert_eq!(*text.current(), b"12");
        std::fs::write(&watched, "3").unwrap();
        assert_eq!(*text.current(), b"32");
    }

    #[test]
    fn files_are_not_looked_at_more_often_than_asked_for() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("text");
        std::fs::write(&file, "old").unwrap();
        for interval in [None, Some(Duration::from_secs(3600))] {
            let path = file.clone();
            let text = Reloading::new(vec![file.clone()], interval, move || {
                std::fs::read_to_string(&path).map_err(|error| error.to_string())
            });
            let text = text.unwrap();
            std::fs::write(&file, "new").unwrap();
            assert_eq!(*text.current(), "old");
            std::fs::write(&file, "old").unwrap();
        }
    }
}
