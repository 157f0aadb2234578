//! The collector's own log: structured lines, and no more of the same ones than anybody reads.
//!
//! What it is like can change while it is being written: see [`Style`].

mod format;
mod options;
mod outputs;
mod sampling;
mod style;

use tracing_subscriber::Layer as _;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

pub use self::options::{Encoding, Level, LogOptions, RESERVED, Sampling};
pub use self::sampling::suppressed;
pub use self::style::Style;

use self::style::Current;

/// Starts the log of the process. Later calls change only what it is like.
///
/// # Errors
/// A file that cannot be written, as a sentence that names it.
pub fn start(options: &LogOptions) -> Result<(), String> {
    Style::new(options)?.apply();
    let lines = tracing_subscriber::fmt::layer()
        .with_ansi(false)
        .event_format(Current)
        .with_writer(Current)
        .with_filter(Current);
    // A log that is already there, as in tests, stays.
    let _ = tracing_subscriber::registry().with(lines).try_init();
    Ok(())
}
