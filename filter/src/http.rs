//! One request, from its headers to its end.
//!
//! In the request phase the context is continued and the headers are written; at the end of the
//! stream the records are made. The order of `on_log` and `on_done` is the proxy's matter: all is
//! done in `on_log`. Requests that an earlier filter answered never come to the request phase; they
//! get their records all the same, with the context that they brought, though it is not passed on.

use std::rc::Rc;

use spanmesh_trace_context::SpanId;

use crate::access_log::AccessLog;
use crate::capture::Captured;
use crate::config::{Config, Role};
use crate::export::Signal;
use crate::host::Host;
use crate::kept::Kept;
use crate::pairs::Pairs;
use crate::propagation::{self, Arrived, Hop};
use crate::record::{Ending, Identity, Record, Side, log_record, span};
use crate::request::Request;
use crate::root::Active;
use crate::stream::{Attributes, Direction};

/// The context of one request.
#[derive(Debug, Default)]
pub struct Http {
    /// `None` where the configuration was refused: the request passes untouched.
    active: Option<Rc<Active>>,
    phase: Phase,
}

#[derive(Debug, Default)]
enum Phase {
    /// The request headers were not seen.
    #[default]
    New,
    /// Nothing is recorded.
    Ignored,
    /// The request is under way.
    Seen(Seen),
}

/// A request whose headers were seen.
#[derive(Debug)]
struct Seen {
    /// The headers as they arrived, before other filters and the route changed them; `None` where
    /// no record needs them, or where there was no room.
    kept: Option<Kept>,
    /// What the records are linked to; only an access log record can do without.
    identity: Option<Identity>,
    /// Whether that is a span of this hop, and not the caller's.
    has_span: bool,
    /// Whether a span is recorded.
    sampled: bool,
    /// On a gateway, the id of the upstream's side.
    upstream: Option<SpanId>,
    /// Whether the boundary lets the request's baggage in.
    trusts_baggage: bool,
}

impl Http {
    pub(crate) fn new(active: Option<Rc<Active>>) -> Self {
        Self {
            active,
            phase: Phase::New,
        }
    }

    /// The request headers have arrived.
    pub fn on_request_headers(&mut self, host: &impl Host) {
        let Some(active) = &self.active else {
            return;
        };
        let headers = host.request_headers();
        let request = Request::new(&headers);
        if request.is_otlp_export() {
            self.phase = Phase::Ignored;
            return;
        }
        let hop = active.hop(host, &headers, &request);
        if let Some(hop) = &hop {
            hop.inject(host, &headers, &active.config.formats);
        }
        let mut seen = active.seen(&headers, hop);
        if active.is_recorded(&seen) {
            let captured = active.captured(&headers, &seen);
            let value_limit = active.config.value_limit;
            seen.kept = Kept::new(&request, captured, value_limit, &active.kept_bytes);
        }
        self.phase = Phase::Seen(seen);
    }

    /// The stream has ended. Returns whether the root context should flush now.
    pub fn on_log(&mut self, host: &impl Host) -> bool {
        let Some(active) = &self.active else {
            return false;
        };
        match std::mem::replace(&mut self.phase, Phase::Ignored) {
            Phase::Ignored => false,
            Phase::Seen(seen) => {
                active.look_for_overwriting(host, &seen);
                match &seen.kept {
                    Some(kept) => active.record(host, &seen, &kept.request(), kept.captured()),
                    None if active.is_recorded(&seen) => {
                        let headers = host.request_headers();
                        let captured = active.captured(&headers, &seen);
                        active.record(host, &seen, &Request::new(&headers), &captured)
                    }
                    None => active.record(host, &seen, &Request::default(), &Captured::default()),
                }
            }
            Phase::New => {
                let headers = host.request_headers();
                let request = Request::new(&headers);
                if request.is_otlp_export() {
                    return false;
                }
                let seen = active.seen(&headers, active.hop(host, &headers, &request));
                active.record(host, &seen, &request, &active.captured(&headers, &seen))
            }
        }
    }
}

impl Active {
    /// This hop's span, if one is to be made at all.
    fn hop(&self, host: &impl Host, headers: &Pairs, request: &Request<'_>) -> Option<Hop> {
        let arrived = Arrived { headers, request };
        if self.config.spans {
            Hop::new(host, &arrived, self)
        } else {
            None
        }
    }

    /// What is remembered of a request, but for its headers.
    fn seen(&self, headers: &Pairs, hop: Option<Hop>) -> Seen {
        let trusts_baggage = hop.as_ref().is_none_or(|hop| !hop.strips_baggage());
        match hop {
            Some(Hop {
                identity,
                sampled,
                upstream,
                ..
            }) => Seen {
                kept: None,
                identity: Some(identity),
                has_span: true,
                sampled,
                upstream,
                trusts_baggage,
            },
            None => {
                let identity = propagation::caller(headers, &self.config.formats, &self.stats);
                Seen {
                    kept: None,
                    identity,
                    has_span: false,
                    sampled: false,
                    upstream: None,
                    trusts_baggage,
                }
            }
        }
    }

    /// Looks, now and then, whether the context that was written is still there.
    fn look_for_overwriting(&self, host: &impl Host, seen: &Seen) {
        let identity = seen.identity.as_ref().filter(|_| seen.has_span);
        if let Some(identity) = identity {
            let written = seen.upstream.unwrap_or(identity.span_id);
            self.lookout
                .look(host, &self.config.formats, written, &self.stats);
        }
    }

    /// Whether any record may be made of a request.
    fn is_recorded(&self, seen: &Seen) -> bool {
        self.has_span(seen) || self.config.access_log.is_some()
    }

    /// Whether a span may be made of a request.
    fn has_span(&self, seen: &Seen) -> bool {
        seen.sampled || (seen.has_span && self.config.keep.is_on())
    }

    fn captured(&self, headers: &Pairs, seen: &Seen) -> Captured {
        let Config {
            capture,
            value_limit,
            ..
        } = &self.config;
        capture.request(headers, seen.trusts_baggage, *value_limit)
    }

    /// The access log records' configuration, if the current stream has one.
    fn access_log(&self, host: &impl Host) -> Option<&AccessLog> {
        let access_log = self.config.access_log.as_ref()?;
        if access_log.wants(host, &self.stats) {
            return Some(access_log);
        }
        self.stats.logs_filtered.add(1);
        None
    }

    /// Makes the records of a request that has ended. Returns whether a batch is full.
    fn record(
        &self,
        host: &impl Host,
        seen: &Seen,
        request: &Request<'_>,
        captured: &Captured,
    ) -> bool {
        self.stats.requests.add(1);
        // Before anything that only a record needs.
        let access_log = self.access_log(host);
        if access_log.is_none() && !self.has_span(seen) {
            self.count_sampled_out();
            return false;
        }
        let is_grpc = request.grpc_method().is_some();
        let may_be_kept = seen.has_span && !seen.sampled && self.config.keep.is_on();
        let keep = |attributes: &Attributes<'_>| {
            let ending = Ending::new(self.side(attributes), request, attributes);
            self.config.keep.reason(&ending)
        };
        // Most requests are not kept, so that what decides is read first.
        if may_be_kept
            && access_log.is_none()
            && let Some(stream) = self.attributes.read_decisive(host, is_grpc)
            && keep(&stream.attributes()).is_none()
        {
            self.count_sampled_out();
            return false;
        }
        let (stream, failed) = self.attributes.read(host, is_grpc);
        if failed {
            self.stats.attributes_failed.add(1);
        }
        let attributes = stream.attributes();
        let now = if attributes.start_time == 0 {
            host.wall_clock()
        } else {
            0
        };
        let facts = |side| Record::new(side, request, captured, &attributes, now, &self.config);
        let record = facts(self.side(&attributes));
        let kept = may_be_kept.then(|| keep(&attributes)).flatten();
        let identity = seen.identity.as_ref();
        let span = identity.filter(|_| seen.sampled || kept.is_some());
        if span.is_none() {
            self.count_sampled_out();
            if access_log.is_none() {
                return false;
            }
        }
        // Before anything is borrowed: it asks the host.
        let results = access_log.map(|access_log| access_log.additions.evaluate(host));
        let mut exporter = self.exporter.borrow_mut();
        let mut common = self.common.borrow_mut();
        common.fill(&record);
        if let Some(identity) = span {
            self.stats.spans_kept.add(usize::from(kept.is_some()));
            exporter.record(Signal::Traces, |out| {
                span::encode(&record, identity, kept, &common, out);
            });
        }
        if let (Some(access_log), Some(results)) = (access_log, &results) {
            let added = access_log.additions.read(results, &self.stats);
            exporter.record(Signal::Logs, |out| {
                log_record::encode(&record, identity, &added, &common, out);
            });
        }
        let was_tried = !attributes.upstream_address.is_empty();
        if let (Some(identity), Some(span_id), true) = (span, seen.upstream, was_tried) {
            let upstream = facts(Side::Client);
            common.fill(&upstream);
            let identity = identity.child(span_id);
            self.stats.spans_kept.add(usize::from(kept.is_some()));
            exporter.record(Signal::Traces, |out| {
                span::encode(&upstream, &identity, kept, &common, out);
            });
        }
        exporter.is_full()
    }

    fn count_sampled_out(&self) {
        self.stats
            .spans_sampled_out
            .add(usize::from(self.config.spans));
    }

    fn side(&self, attributes: &Attributes<'_>) -> Side {
        match self.config.role {
            Role::Inbound | Role::Gateway => Side::Server,
            Role::Outbound => Side::Client,
            Role::Auto if self.is_gateway() => Side::Server,
            Role::Auto => match attributes.listener_direction {
                Direction::Outbound => Side::Client,
                Direction::Inbound | Direction::Unspecified => Side::Server,
            },
        }
    }
}

#[cfg(test)]
mod tests;
