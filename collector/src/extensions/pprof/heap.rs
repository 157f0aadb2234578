//! What holds the memory: jemalloc, the allocator, remembers the stack of one allocation in about every
//! 512 KiB until it is freed, while somebody wants to know.
//!
//! jemalloc has to be built for it, and told so before the process starts: `.cargo/config.toml`.

use std::sync::{Mutex, PoisonError};

use jemalloc_pprof::{JemallocProfCtl, PROF_CTL};
use tokio::runtime::Handle;

use super::profile::Whole;
use super::{Failure, scratch};

/// Allocations are sampled while one of these is there.
#[derive(Debug)]
pub(super) struct HeapSampling(());

/// Functions through which every allocation goes, so that they say nothing of who holds the memory.
const ALLOCATOR_FRAMES: &str = concat!(
    r"_rjem_.*|prof_backtrace.*|.*__rust_(alloc|realloc|alloc_zeroed).*|.*__rdl_.*|",
    r".*tikv_jemallocator.*|alloc::alloc::.*|<alloc::alloc::Global as .*|",
    r"alloc::raw_vec::.*|<alloc::raw_vec::.*",
);

/// How many there are.
static USERS: Mutex<usize> = Mutex::new(0);

// === impl HeapSampling ===

impl HeapSampling {
    /// Begins; waits for a profile that is being written.
    pub(super) fn start() -> Self {
        let mut users = USERS.lock().unwrap_or_else(PoisonError::into_inner);
        *users += 1;
        if *users == 1 {
            // Where it cannot be done, each request is told so.
            let _ = with_allocator(JemallocProfCtl::activate);
        }
        Self(())
    }

    /// What is allocated now, by the stacks that allocated it: pprof's protobuf, compressed.
    pub(super) fn profile(&self) -> Result<Vec<u8>, Failure> {
        scratch::prepare();
        // Those who begin and end must not do so meanwhile.
        let _users = USERS.lock().unwrap_or_else(PoisonError::into_inner);
        let dumped = with_allocator(JemallocProfCtl::dump_pprof)?;
        let mut profile = dumped.map_err(|error| {
            Failure::Failed(format!("jemalloc could not write its profile: {error:#}"))
        })?;
        let texts = Whole::read(&profile)?.string_table.len();
        let whole = Whole {
            string_table: vec![ALLOCATOR_FRAMES.to_owned()],
            drop_frames: i64::try_from(texts).unwrap_or_default(),
            ..Whole::default()
        };
        whole.append_to(&mut profile)?;
        Ok(profile)
    }
}

impl Drop for HeapSampling {
    fn drop(&mut self) {
        // Whoever writes a profile may take long, and those who serve others cannot wait for that.
        match Handle::try_current() {
            Ok(runtime) => drop(runtime.spawn_blocking(release)),
            Err(_) => release(),
        }
    }
}

fn release() {
    let mut users = USERS.lock().unwrap_or_else(PoisonError::into_inner);
    *users -= 1;
    if *users == 0 {
        let _ = with_allocator(JemallocProfCtl::deactivate);
    }
}

fn with_allocator<T>(use_it: impl FnOnce(&mut JemallocProfCtl) -> T) -> Result<T, Failure> {
    let Some(control) = PROF_CTL.as_ref() else {
        return Err(Failure::Unavailable(
            "heap profiles are not available: jemalloc was built without `prof:true`",
        ));
    };
    // Nobody else uses it, and we do so one after the other.
    let mut control = control
        .try_lock()
        .map_err(|_| Failure::Failed("the allocator's profiler is in use".to_owned()))?;
    Ok(use_it(&mut control))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn who_ends_does_not_wait_for_a_profile_that_is_being_written() {
        let sampling = HeapSampling::start();
        let writing = USERS.lock().unwrap_or_else(PoisonError::into_inner);
        let before = *writing;
        drop(sampling);
        assert_eq!(*writing, before);
    }
}
