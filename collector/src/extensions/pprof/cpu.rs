//! Where the CPU time goes: SIGPROF interrupts whatever runs, a hundred times in each second of CPU time,
//! and its handler notes the stack.
//!
//! Stacks are unwound by what the compiler says of each function (`.eh_frame`), not by libgcc, which takes
//! locks and believes addresses that lead nowhere.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use jemalloc_pprof::{StackProfile, WeightedStack};
use mappings::MAPPINGS;
use nix::sys::signal::{Signal, raise};
use pprof::{ProfilerGuard, UnresolvedReport};

use super::profile::Whole;
use super::{Failure, scratch};

/// The CPU is watched while this is there. There is one of them in a process.
pub(super) struct CpuSampling {
    guard: ProfilerGuard<'static>,
    started: Instant,
}

/// Samples in a second of CPU time, as Go's profiler takes them.
const FREQUENCY: i32 = 100;
/// CPU time between two of them.
const PERIOD: Duration = Duration::from_millis(10);

/// What samples count, and what one of them stands for.
const CPU_TIME: (&str, &str) = ("cpu", "nanoseconds");

// === impl CpuSampling ===

impl CpuSampling {
    /// Begins.
    pub(super) fn start() -> Result<Self, Failure> {
        scratch::prepare();
        // Who begins meanwhile would take the place of the first sample.
        static UNWINDER_LOADED: Mutex<bool> = Mutex::new(false);
        let mut loaded = UNWINDER_LOADED
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if !*loaded {
            load_unwinder()?;
            *loaded = true;
        }
        Ok(Self {
            guard: guard(FREQUENCY)?,
            started: Instant::now(),
        })
    }

    /// Ends, and makes the profile: pprof's protobuf, compressed.
    pub(super) fn finish(self) -> Result<Vec<u8>, Failure> {
        let elapsed = self.started.elapsed();
        let report = self.guard.report().build_unresolved();
        drop(self.guard);
        let stacks = stacks(&report.map_err(failed)?);
        let mut profile = stacks.to_pprof(CPU_TIME, CPU_TIME, Some("thread".to_owned()));
        let whole = Whole {
            duration_nanos: nanos(elapsed),
            period: nanos(PERIOD),
            ..Whole::default()
        };
        whole.append_to(&mut profile)?;
        Ok(profile)
    }
}

/// Takes one sample of this thread. The first sample of a process reads the tables of the unwinder into
/// memory; in a thread that happens to be inside the allocator it would wait for itself.
fn load_unwinder() -> Result<(), Failure> {
    // The timer's own first sample comes after a second of CPU time.
    let guard = guard(1)?;
    raise(Signal::SIGPROF).map_err(|error| Failure::Failed(error.to_string()))?;
    let report = guard.report().build_unresolved().map_err(failed)?;
    match report.data.is_empty() {
        false => Ok(()),
        true => Err(Failure::Failed("no sample could be taken".to_owned())),
    }
}

fn guard(frequency: i32) -> Result<ProfilerGuard<'static>, Failure> {
    ProfilerGuard::new(frequency).map_err(failed)
}

fn failed(error: pprof::Error) -> Failure {
    match error {
        pprof::Error::Running => Failure::Busy,
        // It has said why to the `log` crate only.
        pprof::Error::CreatingError => Failure::Failed(
            "the profiler cannot start; it needs a folder for temporary files that can be written \
             to (TMPDIR)"
                .to_owned(),
        ),
        other => Failure::Failed(other.to_string()),
    }
}

fn stacks(report: &UnresolvedReport) -> StackProfile {
    let mut profile = StackProfile::default();
    for mapping in MAPPINGS.iter().flatten() {
        profile.push_mapping(mapping.clone());
    }
    for (sample, count) in &report.data {
        let mut frames = sample.frames.iter().map(|frame| frame.ip);
        // Outer frames have the address to return to, one behind the call. The innermost one gets the
        // same, since one is taken off of all of them.
        let innermost = frames.next().map(|address| address + 1);
        let mut addresses: Vec<usize> = innermost.into_iter().chain(frames).collect();
        addresses.reverse();
        let name = sample.thread_name.get(..sample.thread_name_length);
        let name = String::from_utf8_lossy(name.unwrap_or_default());
        let weight = *count as f64 * PERIOD.as_nanos() as f64;
        let stack = WeightedStack {
            addrs: addresses,
            weight,
        };
        profile.push_stack(stack, Some(&name));
    }
    profile
}

fn nanos(duration: Duration) -> i64 {
    i64::try_from(duration.as_nanos()).unwrap_or(i64::MAX)
}
