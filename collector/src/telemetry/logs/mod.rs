//! The collector's own log: structured lines, and no more of the same ones than anybody reads.

mod format;
mod options;
mod outputs;
mod sampling;

use tracing_subscriber::Layer as _;
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

pub use self::options::{Encoding, Level, LogOptions, RESERVED, Sampling};
pub use self::sampling::suppressed;

use self::format::WithFields;
use self::outputs::Outputs;
use self::sampling::Sampler;

/// Starts the log of the process. Later calls change nothing.
///
/// # Errors
/// A file that cannot be written, as a sentence that names it.
pub fn start(options: &LogOptions) -> Result<(), String> {
    let level = match options.level {
        Level::Debug => LevelFilter::DEBUG,
        Level::Info => LevelFilter::INFO,
        Level::Warn => LevelFilter::WARN,
        Level::Error => LevelFilter::ERROR,
    };
    let outputs = Outputs::open(&options.output_paths)?;
    let format = tracing_subscriber::fmt::format()
        .with_target(false)
        .with_ansi(false);
    let fields = &options.initial_fields;
    let lines = tracing_subscriber::fmt::layer().with_ansi(false);
    let lines = match options.encoding {
        Encoding::Console => lines
            .event_format(WithFields::console(format, fields))
            .with_writer(outputs)
            .boxed(),
        Encoding::Json => lines
            .json()
            .event_format(WithFields::json(format.json().flatten_event(true), fields))
            .with_writer(outputs)
            .boxed(),
    };
    let sampled = lines.with_filter(Sampler::new(options.sampling));
    // A log that is already there, as in tests, stays.
    let _ = tracing_subscriber::registry()
        .with(sampled.with_filter(level))
        .try_init();
    Ok(())
}
