//! Consistent probability sampling: thresholds, randomness, and the `ot` member of `tracestate`.
//!
//! Specification: OpenTelemetry "TraceState: Probability Sampling" and "TraceState Handling"
//! (OTEP 235, status Development). A trace is kept iff its randomness R is not below the rejection
//! threshold T, both 56-bit numbers; so every hop that has the same R and a T of its own decides
//! consistently.
//!
//! Nothing here knows HTTP, trace ids as a type, or the time; nothing allocates or can panic.
//!
//! Left out: rules, rate limits and tail sampling, whose probability is not known when a span
//! starts (their callers erase `th`).
#![forbid(unsafe_code)]
#![deny(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

mod decision;
mod digits;
mod ot;
mod randomness;
mod threshold;

pub use decision::{Decision, equalizing, is_consistent, proportional, sample_root};
pub use ot::{OtError, OtValue, OtelTraceState};
pub use randomness::{ParseRandomnessError, Randomness};
pub use threshold::{ParseThresholdError, Precision, ProbabilityError, Threshold, ThresholdDigits};

/// The number of values that R can have, and the adjusted count of the rarest sampling.
const RANGE: u64 = 1 << 56;
