//! From the context that a request brought to the one that it takes along.
//!
//! Source: W3C Trace Context Level 2 (processing model), B3, OTEP 235. The parsing is in
//! `spanmesh-trace-context`; here is what a hop does: continue or restart, decide, make a span id,
//! and change as few headers as it can, since each change clears Envoy's route cache.

use spanmesh_trace_context::{
    Carrier, Extraction, Format, InvalidHeaders, RemoteContext, SpanContext, SpanId, TraceFlags,
    TraceState, extract, header, headers, stale_headers,
};

use crate::host::Host;
use crate::pairs::Pairs;
use crate::record::{Identity, Link};
use crate::request::Request;
use crate::root::Active;
use crate::sampler::{Subject, Verdict};
use crate::stats::Stats;
use crate::trust::{Action, Passage};

/// A request as it arrived.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Arrived<'a> {
    pub(crate) headers: &'a Pairs,
    pub(crate) request: &'a Request<'a>,
}

/// What a hop made of a request's context.
#[derive(Debug)]
pub(crate) struct Hop {
    /// The ids of this hop's span.
    pub(crate) identity: Identity,
    /// Whether the span is recorded.
    pub(crate) sampled: bool,
    /// B3's debug, to be passed on.
    debug: bool,
    /// The `tracestate` that is passed on.
    tracestate: PassedOn,
    /// What the boundary said.
    passage: Passage,
    /// On a gateway, the span of the upstream's side, which is what the request takes along.
    pub(crate) upstream: Option<SpanId>,
}

/// What becomes of `tracestate`.
#[derive(Debug)]
enum PassedOn {
    /// The headers go on as they arrived.
    Unchanged,
    /// No valid list arrived, and none is sent.
    Nothing,
    /// This list takes the place of what arrived.
    Changed(TraceState<'static>),
}

/// A span keeps this much of the list, which is what the specification wants to be passed on at
/// least.
const MAX_RECORDED_TRACESTATE: usize = 512;

impl Hop {
    /// Continues the context of the request, or starts a new trace; `None` if there is to be no
    /// span.
    pub(crate) fn new(host: &impl Host, arrived: &Arrived<'_>, active: &Active) -> Option<Self> {
        let Arrived { headers, request } = *arrived;
        let Extraction {
            context,
            root_sampling,
            invalid,
        } = extract(headers, &active.config.formats);
        let passage = active.config.trust.judge(host, &active.stats);
        let (context, link) = match passage.action {
            Action::Restart => (None, context.as_ref().map(link)),
            Action::Continue | Action::IgnoreSampling => (context, None),
        };
        let random = &active.random;
        let trace_id = context
            .as_ref()
            .map_or_else(|| random.trace_id(), |it| it.trace_id);
        let tracestate = context.as_ref().and_then(|it| it.tracestate.as_ref());
        let subject = Subject {
            headers,
            request,
            parent: match passage.action {
                Action::Continue => context
                    .as_ref()
                    .map_or(root_sampling, |it| Some(it.sampling)),
                Action::Restart | Action::IgnoreSampling => None,
            },
            trace_id: &trace_id,
            tracestate,
        };
        let Verdict {
            sampled,
            debug,
            tracestate: changed,
        } = active
            .config
            .sampler
            .decide(host, &subject, &active.stats)?;
        // Not before: without a span it is `caller` that reads the headers for good.
        count_invalid(invalid, &active.stats);
        let changed = changed.or_else(|| {
            tracestate
                .filter(|list| list.has_empty_members())
                .map(TraceState::without_empty_members)
        });
        // A new trace id is random in all its bytes; of a continued one only its maker knows.
        let flags = context.as_ref().map_or(TraceFlags::RANDOM, |it| it.flags);
        let recorded = changed
            .as_ref()
            .or(tracestate)
            .filter(|_| sampled || active.config.keep.is_on());
        let recorded = recorded.map(|list| {
            let list = list.clone().truncated(MAX_RECORDED_TRACESTATE);
            list.as_str().as_bytes().to_vec()
        });
        let passed_on = match (changed, tracestate) {
            (Some(changed), _) if changed.is_empty() => PassedOn::Nothing,
            (Some(changed), _) => PassedOn::Changed(changed),
            (None, Some(_)) => PassedOn::Unchanged,
            (None, None) => PassedOn::Nothing,
        };
        Some(Self {
            identity: Identity {
                trace_id,
                span_id: random.span_id(),
                parent: context.as_ref().map(|it| it.parent_id),
                parent_is_remote: context.is_some(),
                link,
                flags: flags.with_sampled(sampled).bits(),
                tracestate: recorded.unwrap_or_default(),
            },
            sampled,
            debug,
            tracestate: passed_on,
            passage,
            upstream: active.is_gateway().then(|| random.span_id()),
        })
    }

    /// Whether the boundary takes the request's baggage away.
    pub(crate) fn strips_baggage(&self) -> bool {
        self.passage.strips_baggage
    }

    /// Writes the context of this hop's span into the request.
    pub(crate) fn inject(&self, host: &impl Host, request_headers: &Pairs, formats: &[Format]) {
        let has = |name: &str| request_headers.values(name).next().is_some();
        let set = |name: &str, value: &[u8]| {
            // Envoy replaces the first value only.
            if request_headers.values(name).nth(1).is_some() {
                host.remove_request_header(name);
            }
            host.set_request_header(name, value);
        };
        let context = SpanContext {
            trace_id: self.identity.trace_id,
            span_id: self.upstream.unwrap_or(self.identity.span_id),
            flags: TraceFlags::from_bits(self.identity.flags),
            debug: self.debug,
        };
        for format in formats {
            for (name, value) in headers(&context, *format) {
                set(name, value.as_bytes());
            }
        }
        for name in stale_headers(formats, self.debug).filter(|name| has(name)) {
            host.remove_request_header(name);
        }
        if self.passage.action == Action::Restart {
            for name in foreign_headers(formats).filter(|name| has(name)) {
                host.remove_request_header(name);
            }
        }
        if self.passage.strips_baggage && has(header::BAGGAGE) {
            host.remove_request_header(header::BAGGAGE);
        }
        if !formats.contains(&Format::TraceContext) {
            return;
        }
        match &self.tracestate {
            PassedOn::Changed(list) => set(header::TRACESTATE, list.as_str().as_bytes()),
            // Without a valid `traceparent` beside it, or not valid itself: it must not go on.
            PassedOn::Nothing if has(header::TRACESTATE) => {
                host.remove_request_header(header::TRACESTATE);
            }
            PassedOn::Unchanged | PassedOn::Nothing => {}
        }
    }
}

/// What carries a context in formats that are not configured, and so would go on untouched.
fn foreign_headers(formats: &[Format]) -> impl Iterator<Item = &'static str> {
    let w3c = formats.contains(&Format::TraceContext);
    let b3 = formats.contains(&Format::B3) || formats.contains(&Format::B3Multi);
    header::ALL.into_iter().filter(move |name| match *name {
        header::TRACEPARENT | header::TRACESTATE => !w3c,
        _ => !b3,
    })
}

fn link(context: &RemoteContext<'_>) -> Link {
    Link {
        trace_id: context.trace_id,
        span_id: context.parent_id,
        flags: context.flags.bits(),
    }
}

/// The ids that an access log record gets where no span is made: those of the caller's span, since
/// the headers go on untouched.
pub(crate) fn caller(
    request_headers: &Pairs,
    formats: &[Format],
    stats: &Stats,
) -> Option<Identity> {
    let Extraction {
        context, invalid, ..
    } = extract(request_headers, formats);
    count_invalid(invalid, stats);
    let context = context?;
    Some(Identity {
        trace_id: context.trace_id,
        span_id: context.parent_id,
        parent: None,
        parent_is_remote: false,
        link: None,
        flags: context.flags.bits(),
        tracestate: Vec::new(),
    })
}

fn count_invalid(invalid: InvalidHeaders, stats: &Stats) {
    if invalid.is_empty() {
        return;
    }
    let kinds = [
        (InvalidHeaders::TRACEPARENT, &stats.invalid_traceparent),
        (InvalidHeaders::TRACESTATE, &stats.invalid_tracestate),
        (InvalidHeaders::B3, &stats.invalid_b3),
        (InvalidHeaders::B3_MULTI, &stats.invalid_b3multi),
    ];
    for (kind, counter) in kinds {
        if invalid.contains(kind) {
            counter.add(1);
        }
    }
}

#[cfg(test)]
mod tests;
