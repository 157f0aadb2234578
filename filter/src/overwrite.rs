//! Notices that somebody writes the trace headers after this filter.
//!
//! A tracer of Envoy's own injects its context in the router, after all HTTP filters, and so the
//! upstream continues the tracer's span: the spans of this filter have no children, or not the
//! right ones. The filter cannot prevent that, and says it: at the end of one request after each
//! tick it looks at one header, which costs one host call a tick.
//!
//! A header that is gone is no overwriting: routes may remove headers, and an internal redirect
//! takes them all along.

use std::cell::Cell;

use spanmesh_trace_context::{Format, SpanId, header};

use crate::host::Host;
use crate::stats::Stats;

/// Looks now and then.
#[derive(Debug)]
pub(crate) struct Lookout {
    /// Whether the next request that ends is looked at.
    is_due: Cell<bool>,
    /// Chooses the format: a tracer may write only one of those that are injected.
    turn: Cell<usize>,
    /// Whether the log has its line.
    is_said: Cell<bool>,
}

impl Default for Lookout {
    fn default() -> Self {
        Self {
            is_due: Cell::new(true),
            turn: Cell::new(0),
            is_said: Cell::new(false),
        }
    }
}

impl Lookout {
    /// Has the next request that ends looked at.
    pub(crate) fn on_tick(&self) {
        self.is_due.set(true);
    }

    /// Looks, if it is due, whether the request that has ended still has `span_id` in the header
    /// that was written for one of the `formats`.
    pub(crate) fn look(
        &self,
        host: &impl Host,
        formats: &[Format],
        span_id: SpanId,
        stats: &Stats,
    ) {
        if !self.is_due.replace(false) {
            return;
        }
        let turn = self.turn.get();
        self.turn.set(turn.wrapping_add(1));
        let Some(format) = formats.iter().cycle().nth(turn % formats.len().max(1)) else {
            return;
        };
        let name = match format {
            Format::TraceContext => header::TRACEPARENT,
            Format::B3 => header::B3,
            Format::B3Multi => header::X_B3_SPANID,
        };
        let Some(value) = host.request_header(name) else {
            return;
        };
        let span_id = span_id.to_hex();
        if value.windows(span_id.len()).any(|part| part == span_id) {
            return;
        }
        stats.propagation_overwritten.add(1);
        if !self.is_said.replace(true) {
            log::warn!(
                "{name} is overwritten after this filter, so whoever is asked next continues \
                 another span than this filter's: turn off Envoy's own tracing ('tracing' of the \
                 connection manager; in Istio a Telemetry with 'disableSpanReporting')"
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::root::Root;
    use crate::testing::{FakeHost, Script, root};

    /// Plays a request whose headers are changed on the way, if `change` says so.
    fn play(host: &FakeHost, root: &Root, change: impl Fn(&FakeHost)) {
        let mut http = root.http();
        host.start(&Script::get(), &mut http);
        change(host);
        host.end(&Script::get(), &mut http);
    }

    fn replace(name: &'static str, value: &'static str) -> impl Fn(&FakeHost) {
        move |host| {
            let mut headers = host.headers.borrow_mut();
            headers.retain(|(found, _)| found != name.as_bytes());
            if !value.is_empty() {
                headers.push((name.into(), value.into()));
            }
        }
    }

    const FOREIGN: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    #[test]
    fn one_request_a_tick_is_looked_at() {
        let host = FakeHost::default();
        let mut root = root(&host, "");
        for _ in 0..3 {
            for _ in 0..5 {
                play(&host, &root, replace("traceparent", FOREIGN));
            }
            host.tick(&mut root);
        }
        assert_eq!(host.stat("propagation.overwritten"), 3);
        assert_eq!(host.header_calls.get(), 3);
    }

    #[test]
    fn what_nobody_changed_and_what_is_gone_is_not_counted() {
        let host = FakeHost::default();
        let mut root = root(&host, r#"{"role": "gateway"}"#);
        play(&host, &root, |_| ());
        host.tick(&mut root);
        play(&host, &root, replace("traceparent", ""));
        host.tick(&mut root);
        assert_eq!(host.stat("propagation.overwritten"), 0);
        assert_eq!(host.header_calls.get(), 2);
    }

    #[test]
    fn each_format_has_its_turn() {
        let host = FakeHost::default();
        let mut root = root(
            &host,
            r#"{"propagators": ["tracecontext", "b3", "b3multi"]}"#,
        );
        for (name, count) in [("traceparent", 1), ("b3", 2), ("x-b3-spanid", 3)] {
            play(&host, &root, replace(name, FOREIGN));
            host.tick(&mut root);
            // The foreign ids are not ours in any format.
            assert_eq!(host.stat("propagation.overwritten"), count, "{name}");
        }
    }

    #[test]
    fn without_propagation_there_is_nothing_to_look_at() {
        for document in [
            r#"{"propagators": ["none"]}"#,
            r#"{"spans": {"enabled": false}}"#,
            r#"{"sampler": {"rules": [{"decision": "never"}]}}"#,
        ] {
            let host = FakeHost::default();
            let mut root = root(&host, document);
            play(&host, &root, replace("traceparent", FOREIGN));
            host.tick(&mut root);
            assert_eq!(host.stat("propagation.overwritten"), 0, "{document}");
            assert_eq!(host.header_calls.get(), 0, "{document}");
        }
    }
}
