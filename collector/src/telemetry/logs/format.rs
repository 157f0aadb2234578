//! Lines with fields that all of them have.

use std::collections::BTreeMap;
use std::fmt::{self, Write as _};

use tracing::{Event, Subscriber};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;

/// Writes lines as `inner` does, and adds fields.
pub(super) struct WithFields<F> {
    inner: F,
    /// What is put in before the end of a line.
    suffix: String,
    /// The end of a line.
    end: &'static str,
}

// === impl WithFields ===

impl<F> WithFields<F> {
    /// For lines as people read them.
    pub(super) fn console(inner: F, fields: &BTreeMap<String, String>) -> Self {
        let mut suffix = String::new();
        for (name, value) in fields {
            // Writing to a String cannot fail.
            let _ = write!(suffix, " {name}={value:?}");
        }
        Self {
            inner,
            suffix,
            end: "\n",
        }
    }

    /// For lines that are JSON objects.
    pub(super) fn json(inner: F, fields: &BTreeMap<String, String>) -> Self {
        let mut suffix = String::new();
        for (name, value) in fields {
            let (name, value) = (quoted(name), quoted(value));
            let _ = write!(suffix, ",{name}:{value}");
        }
        Self {
            inner,
            suffix,
            end: "}\n",
        }
    }
}

impl<S, N, F> FormatEvent<S, N> for WithFields<F>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
    F: FormatEvent<S, N>,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        if self.suffix.is_empty() {
            return self.inner.format_event(context, writer, event);
        }
        let mut line = String::new();
        self.inner
            .format_event(context, Writer::new(&mut line), event)?;
        match line.strip_suffix(self.end) {
            Some(start) => write!(writer, "{start}{}{}", self.suffix, self.end),
            None => writer.write_str(&line),
        }
    }
}

fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}
