//! What the collector tells of itself: metrics in Prometheus' text format, and logs.
//!
//! The names of metrics are those of the OpenTelemetry Collector, without `_total` and without units
//! as its default reader writes them; names of our own begin with `spanmesh_`.

mod histogram;
pub mod logs;
mod metrics;
mod process;
mod throttle;
mod time;

pub use self::histogram::{Histogram, HistogramReading};
pub use self::metrics::{Counter, FamilyReading, Kind, Labels, Reading, Registry};
pub use self::process::register as register_process;
pub use self::throttle::{Throttle, escaped, excerpt};
pub use self::time::rfc3339;
