//! What the log of the process is like at the moment.

use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};

use tracing::subscriber::Interest;
use tracing::{Event, Metadata, Subscriber};
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::fmt::format::{Format, Full, Json, Writer};
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields, MakeWriter};
use tracing_subscriber::layer::{Context, Filter};
use tracing_subscriber::registry::LookupSpan;

use super::format::WithFields;
use super::options::{Encoding, Level, LogOptions};
use super::outputs::Outputs;
use super::sampling::Sampler;

/// Everything that options say of the log, with its files open.
pub struct Style {
    level: LevelFilter,
    sampler: Sampler,
    lines: Lines,
    outputs: Outputs,
}

/// How lines look.
enum Lines {
    Console(WithFields<Format<Full>>),
    Json(WithFields<Format<Json>>),
}

/// Does what the style in use says.
pub(super) struct Current;

/// The style in use; `None` before the log starts.
static IN_USE: RwLock<Option<Arc<Style>>> = RwLock::new(None);

// === impl Style ===

impl Style {
    /// Opens the files that lines go to, also those that are open already: they may have been moved
    /// away. Nothing is written to them yet.
    ///
    /// # Errors
    /// A file that cannot be written, as a sentence that names it.
    pub fn new(options: &LogOptions) -> Result<Self, String> {
        let format = tracing_subscriber::fmt::format()
            .with_target(false)
            .with_ansi(false);
        let fields = &options.initial_fields;
        Ok(Self {
            level: match options.level {
                Level::Debug => LevelFilter::DEBUG,
                Level::Info => LevelFilter::INFO,
                Level::Warn => LevelFilter::WARN,
                Level::Error => LevelFilter::ERROR,
            },
            sampler: Sampler::new(options.sampling),
            lines: match options.encoding {
                Encoding::Console => Lines::Console(WithFields::console(format, fields)),
                Encoding::Json => {
                    // What libraries say of their spans is not written as JSON.
                    let format = format
                        .json()
                        .flatten_event(true)
                        .with_current_span(false)
                        .with_span_list(false);
                    Lines::Json(WithFields::json(format, fields))
                }
            },
            outputs: Outputs::open(&options.output_paths)?,
        })
    }

    /// From now on the log is like this.
    pub fn apply(self) {
        *IN_USE.write().unwrap_or_else(PoisonError::into_inner) = Some(Arc::new(self));
        // Which places in the code are worth asking about depends on the level.
        tracing::callsite::rebuild_interest_cache();
    }

    fn in_use() -> Option<Arc<Self>> {
        IN_USE
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

impl fmt::Debug for Style {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Style")
            .field("level", &self.level)
            .field("outputs", &self.outputs)
            .finish_non_exhaustive()
    }
}

// === impl Current ===

impl<S: Subscriber> Filter<S> for Current {
    fn enabled(&self, metadata: &Metadata<'_>, _: &Context<'_, S>) -> bool {
        Style::in_use().is_some_and(|style| *metadata.level() <= style.level)
    }

    fn callsite_enabled(&self, metadata: &'static Metadata<'static>) -> Interest {
        match Style::in_use() {
            Some(style) if *metadata.level() <= style.level => Interest::always(),
            _ => Interest::never(),
        }
    }

    fn event_enabled(&self, event: &Event<'_>, _: &Context<'_, S>) -> bool {
        Style::in_use().is_some_and(|style| style.sampler.takes(event))
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        Style::in_use().map(|style| style.level)
    }
}

impl<S, N> FormatEvent<S, N> for Current
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let Some(style) = Style::in_use() else {
            return Ok(());
        };
        match &style.lines {
            Lines::Console(lines) => lines.format_event(context, writer, event),
            Lines::Json(lines) => lines.format_event(context, writer, event),
        }
    }
}

impl MakeWriter<'_> for Current {
    type Writer = Outputs;

    fn make_writer(&self) -> Outputs {
        match Style::in_use() {
            Some(style) => style.outputs.clone(),
            None => Outputs::default(),
        }
    }
}
