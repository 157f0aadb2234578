//! Reading a request in place: resources, scopes and items as borrowed views.
//!
//! For payloads that have passed the [check](crate::check()); of others, what is not well formed is
//! not seen. Nothing is copied. Reading an item takes one pass over its fields; attributes, events
//! and data points are read when they are iterated over.
//!
//! Left out: values of data points, exemplars, entity references. Who shows whole items uses the
//! JSON codec.

mod any_value;
mod item;

use crate::Signal;
use crate::wire::{Fields, Value};

pub use self::any_value::{AnyValue, KeyValue};
pub use self::item::{Event, LogRecord, Metric, MetricKind, Span};

/// `ResourceSpans`, `ResourceLogs` or `ResourceMetrics`: what one source sent.
#[derive(Clone, Copy, Debug)]
pub struct Resource<'a> {
    message: &'a [u8],
}

/// `ScopeSpans`, `ScopeLogs` or `ScopeMetrics`: what one instrumentation of a source sent.
#[derive(Clone, Copy, Debug)]
pub struct Scope<'a> {
    message: &'a [u8],
}

/// The resources of a request. All three signals lay out the levels above the items alike.
pub fn resources(payload: &[u8]) -> impl Iterator<Item = Resource<'_>> {
    messages(payload, 1).map(|message| Resource { message })
}

/// The items of a request with no regard to where they belong: spans, log records, or data points.
pub fn items(signal: Signal, payload: &[u8]) -> impl Iterator<Item = &[u8]> {
    resources(payload)
        .flat_map(|resource| resource.scopes())
        .flat_map(|scope| scope.items())
        .flat_map(move |item| {
            let metric = (signal == Signal::Metrics).then(|| Metric::new(item));
            let itself = (signal != Signal::Metrics).then_some(item);
            let points = metric.into_iter().flat_map(|metric| metric.data_points());
            itself.into_iter().chain(points)
        })
}

// === impl Resource ===

impl<'a> Resource<'a> {
    pub(crate) fn new(message: &'a [u8]) -> Self {
        Self { message }
    }

    /// The encoded message.
    pub fn as_bytes(&self) -> &'a [u8] {
        self.message
    }

    /// The attributes of the resource.
    pub fn attributes(&self) -> impl Iterator<Item = KeyValue<'a>> + use<'a> {
        messages(self.message, 1).flat_map(|resource| attributes(resource, 1))
    }

    /// Which conventions the attributes follow; empty if that is not said.
    pub fn schema_url(&self) -> &'a str {
        text(self.message, 3)
    }

    /// The scopes of the resource.
    pub fn scopes(&self) -> impl Iterator<Item = Scope<'a>> + use<'a> {
        messages(self.message, 2).map(|message| Scope { message })
    }
}

// === impl Scope ===

impl<'a> Scope<'a> {
    pub(crate) fn new(message: &'a [u8]) -> Self {
        Self { message }
    }

    /// The encoded message.
    pub fn as_bytes(&self) -> &'a [u8] {
        self.message
    }

    /// The name of the instrumentation.
    pub fn name(&self) -> &'a str {
        self.scope_text(1)
    }

    /// The version of the instrumentation.
    pub fn version(&self) -> &'a str {
        self.scope_text(2)
    }

    /// The attributes of the instrumentation.
    pub fn attributes(&self) -> impl Iterator<Item = KeyValue<'a>> + use<'a> {
        messages(self.message, 1).flat_map(|scope| attributes(scope, 3))
    }

    /// Which conventions the items follow; empty if that is not said.
    pub fn schema_url(&self) -> &'a str {
        text(self.message, 3)
    }

    /// The encoded `Span`, `LogRecord` or `Metric` messages.
    pub fn items(&self) -> impl Iterator<Item = &'a [u8]> + use<'a> {
        messages(self.message, 2)
    }

    fn scope_text(&self, number: u32) -> &'a str {
        let scope = messages(self.message, 1).last();
        text(scope.unwrap_or_default(), number)
    }
}

/// The key-values in a repeated field of a message.
fn attributes(message: &[u8], number: u32) -> impl Iterator<Item = KeyValue<'_>> {
    messages(message, number).map(KeyValue::new)
}

/// The contents of a length-delimited field, each time that it occurs.
fn messages(message: &[u8], number: u32) -> impl Iterator<Item = &[u8]> {
    Fields::new(message)
        .map_while(Result::ok)
        .filter_map(move |field| match field.value {
            Value::Bytes(value) if field.number == number => Some(value),
            _ => None,
        })
}

/// A string field; of several occurrences the last one counts.
fn text(message: &[u8], number: u32) -> &str {
    as_text(messages(message, number).last().unwrap_or_default())
}

fn as_text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap_or_default()
}

#[cfg(test)]
mod tests;
