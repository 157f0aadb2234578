//! The CPU profile of the whole time, which is saved at its end.
//!
//! The CPU can be watched only once in a process, and the configuration before watches it until this
//! one runs. So watching begins after that, and the file is left alone until there is something to
//! write: it may be the one that the configuration before writes, too.

use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tracing::{info, warn};

use super::cpu::CpuSampling;
use super::{Failure, blocking};

/// See the module.
pub(super) struct Saving {
    file: File,
    /// What begins to watch; `None` before that.
    sampling: Mutex<Option<JoinHandle<Option<CpuSampling>>>>,
    /// Tells that not to wait for somebody else any more.
    given_up: Arc<Notify>,
}

/// How long to wait for somebody else who watches the CPU.
const RETRY: Duration = Duration::from_millis(100);

// === impl Saving ===

impl Saving {
    /// Opens the file, which is made if it is not there.
    ///
    /// # Errors
    /// It cannot be written.
    pub(super) fn new(path: &Path) -> io::Result<Self> {
        let mut options = OpenOptions::new();
        Ok(Self {
            file: options
                .create(true)
                .truncate(false)
                .write(true)
                .open(path)?,
            sampling: Mutex::default(),
            given_up: Arc::default(),
        })
    }

    /// Watches the CPU from now on, or from when nobody else does.
    pub(super) fn begin(&self) {
        let mut sampling = self.sampling.lock().unwrap_or_else(PoisonError::into_inner);
        sampling.get_or_insert_with(|| tokio::spawn(watch(self.given_up.clone())));
    }

    /// Ends, and saves the profile, unless the CPU was never watched.
    pub(super) async fn finish(self) {
        let sampling = self.sampling.into_inner();
        let Some(sampling) = sampling.unwrap_or_else(PoisonError::into_inner) else {
            return;
        };
        self.given_up.notify_one();
        let Ok(Some(sampling)) = sampling.await else {
            return;
        };
        let mut file = self.file;
        let save = move || {
            let profile = sampling.finish()?;
            let written = file.set_len(0).and_then(|()| file.write_all(&profile));
            written.map_err(|error| Failure::Failed(error.to_string()))
        };
        match blocking(save).await {
            Ok(()) => info!("saved the CPU profile"),
            Err(error) => warn!("cannot save the CPU profile: {error}"),
        }
    }
}

async fn watch(given_up: Arc<Notify>) -> Option<CpuSampling> {
    loop {
        match blocking(CpuSampling::start).await {
            Ok(sampling) => return Some(sampling),
            Err(Failure::Busy) => tokio::select! {
                () = tokio::time::sleep(RETRY) => {}
                () = given_up.notified() => return None,
            },
            Err(error) => {
                warn!("cannot take the CPU profile that is to be saved: {error}");
                return None;
            }
        }
    }
}
