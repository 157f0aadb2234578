//! Which requests are recorded.
//!
//! Parent-based by default: a parent's decision stands, and its `th` with it. For roots, and
//! everywhere if `parent_based` is off, consistent probability sampling (OTEP 235): the threshold
//! of `ratio` against the randomness of the trace id or of `rv`, so that SDKs and collectors with
//! the same ratio keep the same traces.
//!
//! Before the ratio come rules, of which the first that matches decides, and after it a limit for
//! all. What a limit keeps has no threshold, since its probability is not known.
//!
//! Source: opentelemetry-specification 1.60, `trace/tracestate-probability-sampling.md`.

mod rate_limit;
mod rule;

use spanmesh_sampling::{Decision, OtelTraceState, Precision, Threshold, sample_root};
use spanmesh_trace_context::{ParentSampling, TraceId, TraceState};

pub(crate) use self::rate_limit::RateLimit;
pub(crate) use self::rule::{Matching, Rule};
use crate::host::Host;
use crate::pairs::Pairs;
use crate::request::Request;
use crate::stats::Stats;

/// Significant hexadecimal digits of a threshold: a ratio of 1 % comes to `th:fd70a4`, the
/// specification's own example.
const PRECISION: u8 = 5;

/// The member of `tracestate` that is OpenTelemetry's.
const OT: &str = "ot";

/// A resolved sampler.
#[derive(Debug)]
pub struct Sampler {
    /// Whether a parent's decision stands.
    pub(crate) parent_based: bool,
    /// The first rule that matches decides.
    pub(crate) rules: Vec<Rule>,
    /// What decides where no rule does.
    pub(crate) otherwise: Policy,
    /// What all together may keep.
    pub(crate) limit: Option<RateLimit>,
}

/// How a request is decided about that no parent has decided about.
#[derive(Debug)]
pub(crate) enum Policy {
    /// By probability; `None` keeps nothing.
    Ratio(Option<Threshold>),
    /// So many a second.
    Limit(RateLimit),
    /// No span, and the headers stay untouched.
    Never,
}

/// What is to be decided about.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Subject<'a> {
    pub(crate) headers: &'a Pairs,
    pub(crate) request: &'a Request<'a>,
    /// The parent's decision, if there is one that counts.
    pub(crate) parent: Option<ParentSampling>,
    pub(crate) trace_id: &'a TraceId,
    pub(crate) tracestate: Option<&'a TraceState<'a>>,
}

/// What the sampler decided about one request.
#[derive(Debug)]
pub(crate) struct Verdict {
    /// Whether the span is recorded; also the sampled flag that is passed on.
    pub(crate) sampled: bool,
    /// B3's debug.
    pub(crate) debug: bool,
    /// The list to pass on, if it is not the one that arrived.
    pub(crate) tracestate: Option<TraceState<'static>>,
}

impl Sampler {
    /// Decides about a request; `None` if there is to be no span at all.
    pub(crate) fn decide(
        &self,
        host: &impl Host,
        subject: &Subject<'_>,
        stats: &Stats,
    ) -> Option<Verdict> {
        match subject.parent {
            Some(ParentSampling::Debug) => {
                // Not by probability, so there is no threshold to tell.
                let tracestate = set_threshold(subject.tracestate, None);
                Some(Verdict {
                    sampled: true,
                    debug: true,
                    tracestate,
                })
            }
            Some(ParentSampling::Sampled) if self.parent_based => Some(follow(true, subject)),
            Some(ParentSampling::NotSampled) if self.parent_based => Some(follow(false, subject)),
            _ => self.decide_root(host, subject, stats),
        }
    }

    fn decide_root(
        &self,
        host: &impl Host,
        subject: &Subject<'_>,
        stats: &Stats,
    ) -> Option<Verdict> {
        let Subject {
            headers, request, ..
        } = *subject;
        let mut rules = self.rules.iter();
        let rule = rules.find(|rule| rule.matching.matches(host, headers, request, stats));
        let policy = rule.map_or(&self.otherwise, |rule| &rule.policy);
        let decision = policy.decide(host, subject)?;
        let decision = match (&self.limit, decision) {
            (Some(limit), Decision::Keep { .. }) => limited(limit, host),
            (_, decision) => decision,
        };
        let (sampled, threshold) = match decision {
            Decision::Keep { threshold } => (true, threshold),
            Decision::Drop => (false, None),
        };
        let tracestate = set_threshold(subject.tracestate, threshold);
        Some(Verdict {
            sampled,
            debug: false,
            tracestate,
        })
    }
}

impl Policy {
    /// What keeps `ratio` of the requests; `None` if that is no probability that has a threshold.
    pub(crate) fn ratio(ratio: f64) -> Option<Self> {
        let precision = Precision::new(PRECISION).unwrap_or_default();
        Threshold::from_probability(ratio, precision)
            .ok()
            .map(Self::Ratio)
    }

    /// What keeps all requests.
    pub(crate) fn always() -> Self {
        Self::Ratio(Some(Threshold::KEEP_ALL))
    }

    fn decide(&self, host: &impl Host, subject: &Subject<'_>) -> Option<Decision> {
        match self {
            Self::Ratio(threshold) => {
                let state = parse(subject.tracestate).unwrap_or_default();
                let randomness = state.randomness_or(subject.trace_id.random56());
                Some(sample_root(*threshold, randomness))
            }
            Self::Limit(limit) => Some(limited(limit, host)),
            Self::Never => None,
        }
    }
}

/// What passes a limit has a probability that nobody knows, and so no threshold.
fn limited(limit: &RateLimit, host: &impl Host) -> Decision {
    match limit.take(host) {
        true => Decision::Keep { threshold: None },
        false => Decision::Drop,
    }
}

/// Follows the parent; its threshold goes on unless it contradicts the decision.
fn follow(sampled: bool, subject: &Subject<'_>) -> Verdict {
    let changed = || {
        let mut state = parse(subject.tracestate)?;
        let erased = state.erase_inconsistent(sampled, subject.trace_id.random56());
        erased.then(|| write(subject.tracestate?, &state))?
    };
    Verdict {
        sampled,
        debug: false,
        tracestate: changed(),
    }
}

/// The list with this threshold, or without one; `None` if it is so already.
fn set_threshold(
    tracestate: Option<&TraceState<'_>>,
    threshold: Option<Threshold>,
) -> Option<TraceState<'static>> {
    let mut state = parse(tracestate).unwrap_or_default();
    if state.threshold() == threshold {
        return None;
    }
    state.set_threshold(threshold);
    match tracestate {
        Some(list) => write(list, &state),
        None => write(&TraceState::default(), &state),
    }
}

/// OpenTelemetry's member; `None` if there is none, or if it is not valid, which leaves it alone.
fn parse<'a>(tracestate: Option<&'a TraceState<'_>>) -> Option<OtelTraceState<'a>> {
    OtelTraceState::parse(tracestate?.get(OT)?).ok()
}

fn write(list: &TraceState<'_>, state: &OtelTraceState<'_>) -> Option<TraceState<'static>> {
    match state.format() {
        Some(value) => list.with(OT, value.as_str()).ok(),
        None => Some(list.clone().without(OT).into_owned()),
    }
}

#[cfg(test)]
mod tests;
