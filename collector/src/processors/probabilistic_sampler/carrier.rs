//! Where an item carries what samplers know of it.

use spanmesh_otlp::encode::put_bytes;
use spanmesh_otlp::rewrite::{Attributes, Item, Rewriter, fields};
use spanmesh_otlp::view::{AnyValue, LogRecord, Span};
use spanmesh_otlp::{EncodedValue, Signal};
use spanmesh_sampling::{OtelTraceState, Randomness, Threshold};
use spanmesh_trace_context::TraceState;

/// A span or a log record, as samplers see it.
#[derive(Debug)]
pub(super) struct Carrier<'r, 'a> {
    attributes: &'r mut Attributes<'a>,
    /// Absent on log records.
    trace_state: Option<&'a str>,
    trace_id: Option<u128>,
    ot: OtelTraceState<'a>,
    /// What a log record carries, or what was read in `ot`.
    threshold: Option<Threshold>,
    randomness: Option<Randomness>,
    is_malformed: bool,
    is_changed: bool,
}

/// `Span.trace_state`.
const TRACE_STATE: u32 = 3;
/// OpenTelemetry's member of the trace state.
const OT: &str = "ot";
const THRESHOLD: &str = "sampling.threshold";
const RANDOMNESS: &str = "sampling.randomness";

// === impl Carrier ===

impl<'r, 'a> Carrier<'r, 'a> {
    /// Reads a span or a log record, whose attributes have been read already.
    pub(super) fn read(
        signal: Signal,
        item: &Item<'a>,
        attributes: &'r mut Attributes<'a>,
    ) -> Self {
        if signal == Signal::Logs {
            return Self::log(item, attributes);
        }
        let span = Span::new(item.message);
        let list = TraceState::parse([span.trace_state.as_bytes()]);
        let has_ot = || members(span.trace_state).find(|(key, _)| *key == OT);
        let ot = has_ot().map(|(_, value)| OtelTraceState::parse(value));
        let is_malformed = list.is_err() || matches!(ot, Some(Err(_)));
        let ot = ot.and_then(Result::ok).filter(|_| !is_malformed);
        let ot = ot.unwrap_or_default();
        Self {
            attributes,
            trace_state: Some(span.trace_state),
            trace_id: trace_id(span.trace_id),
            threshold: ot.threshold(),
            randomness: ot.randomness(),
            ot,
            is_malformed,
            is_changed: false,
        }
    }

    fn log(item: &Item<'a>, attributes: &'r mut Attributes<'a>) -> Self {
        let record = LogRecord::new(item.message);
        let digits = |key: &str| match attributes.get(key) {
            Some(AnyValue::String(text)) if !text.is_empty() => Some(text.as_bytes()),
            _ => None,
        };
        let threshold = digits(THRESHOLD).map(Threshold::parse);
        let randomness = digits(RANDOMNESS).map(Randomness::parse);
        let is_malformed = matches!(threshold, Some(Err(_))) || matches!(randomness, Some(Err(_)));
        Self {
            trace_state: None,
            trace_id: trace_id(record.trace_id),
            ot: OtelTraceState::default(),
            threshold: threshold.and_then(Result::ok),
            randomness: randomness.and_then(Result::ok),
            is_malformed,
            is_changed: false,
            attributes,
        }
    }

    pub(super) fn is_span(&self) -> bool {
        self.trace_state.is_some()
    }

    /// The id of the trace; absent if there is none, or one of zeros.
    pub(super) fn trace_id(&self) -> Option<u128> {
        self.trace_id
    }

    pub(super) fn attribute(&self, key: &str) -> Option<AnyValue<'_>> {
        self.attributes.get(key)
    }

    /// Whether what other samplers wrote cannot be read.
    pub(super) fn is_malformed(&self) -> bool {
        self.is_malformed
    }

    pub(super) fn threshold(&self) -> Option<Threshold> {
        self.threshold
    }

    pub(super) fn randomness(&self) -> Option<Randomness> {
        self.randomness
    }

    /// Sets or erases the threshold.
    pub(super) fn set_threshold(&mut self, threshold: Option<Threshold>) {
        self.is_changed |= self.threshold != threshold;
        self.threshold = threshold;
    }

    /// Sets the randomness if there is none; one that is there is never changed.
    pub(super) fn state_randomness(&mut self, randomness: Randomness) {
        if self.randomness.is_none() {
            self.randomness = Some(randomness);
            self.is_changed = true;
        }
    }

    /// Writes what has been set; the item has been entered.
    pub(super) fn write(mut self, item: &Item<'a>, rewriter: &mut Rewriter<'a>) {
        if !self.is_changed {
            return;
        }
        let Some(trace_state) = self.trace_state else {
            self.write_attributes(item, rewriter);
            return;
        };
        self.ot.set_threshold(self.threshold);
        if let Some(randomness) = self.randomness {
            self.ot.state_randomness(randomness);
        }
        // It was parsed before; had it failed, nothing would have been set.
        let Ok(list) = TraceState::parse([trace_state.as_bytes()]) else {
            return;
        };
        let list = match self.ot.format() {
            Some(value) => list.with(OT, value.as_str()).unwrap_or_default(),
            None => list.without(OT),
        };
        let request = rewriter.request();
        let mut text = Some(list.as_str()).filter(|_| !list.is_empty());
        for placed in fields(request, item.range()) {
            if placed.field.number == TRACE_STATE {
                let text = text.take();
                rewriter.replace(placed.range, |out| put_text(text, out));
            }
        }
        if text.is_some() {
            rewriter.append(|out| put_text(text, out));
        }
    }

    fn write_attributes(self, item: &Item<'a>, rewriter: &mut Rewriter<'a>) {
        match self.threshold {
            Some(threshold) => {
                let digits = threshold.to_hex();
                let value = EncodedValue::string(digits.as_str());
                self.attributes.set(THRESHOLD, value);
            }
            None => self.attributes.remove(THRESHOLD),
        }
        if let Some(randomness) = self.randomness {
            let digits = randomness.to_hex();
            let value = EncodedValue::string(&String::from_utf8_lossy(&digits));
            self.attributes.set(RANDOMNESS, value);
        }
        self.attributes.write(item.attributes_field, rewriter);
    }
}

/// The members of a trace state, as far as they look like some.
fn members(trace_state: &str) -> impl Iterator<Item = (&str, &str)> {
    let members = trace_state
        .split(',')
        .map(|member| member.trim_matches([' ', '\t']));
    members.filter_map(|member| member.split_once('='))
}

fn put_text(text: Option<&str>, out: &mut Vec<u8>) {
    if let Some(text) = text {
        put_bytes(out, TRACE_STATE, text.as_bytes());
    }
}

fn trace_id(bytes: &[u8]) -> Option<u128> {
    let id = u128::from_be_bytes(bytes.try_into().ok()?);
    (id != 0).then_some(id)
}
