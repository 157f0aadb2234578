//! Which requests are recorded.
//!
//! Parent-based by default: a parent's decision stands, and its `th` with it. For roots, and
//! everywhere if `parent_based` is off, consistent probability sampling (OTEP 235): the threshold
//! of `ratio` against the randomness of the trace id or of `rv`, so that SDKs and collectors with
//! the same ratio keep the same traces.
//!
//! Source: opentelemetry-specification 1.60, `trace/tracestate-probability-sampling.md`.

use spanmesh_sampling::{Decision, OtelTraceState, Precision, Threshold, sample_root};
use spanmesh_trace_context::{ParentSampling, TraceId, TraceState};

/// Significant hexadecimal digits of a threshold: a ratio of 1 % comes to `th:fd70a4`, the
/// specification's own example.
const PRECISION: u8 = 5;

/// The member of `tracestate` that is OpenTelemetry's.
const OT: &str = "ot";

/// A resolved sampler.
#[derive(Clone, Copy, Debug)]
pub struct Sampler {
    /// Whether a parent's decision stands.
    parent_based: bool,
    /// What keeps a root; `None` keeps none.
    threshold: Option<Threshold>,
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
    /// A sampler that keeps `ratio` (0 to 1) of the roots.
    ///
    /// # Errors
    /// What was found and expected, for a ratio that is no probability.
    pub fn new(parent_based: bool, ratio: f64) -> Result<Self, String> {
        let precision = Precision::new(PRECISION).unwrap_or_default();
        let threshold =
            Threshold::from_probability(ratio, precision).map_err(|error| error.to_string())?;
        Ok(Self {
            parent_based,
            threshold,
        })
    }

    /// Decides about a request with this parent's decision, if it has a parent, this trace id, and
    /// this list.
    pub(crate) fn decide(
        &self,
        parent: Option<ParentSampling>,
        trace_id: &TraceId,
        tracestate: Option<&TraceState<'_>>,
    ) -> Verdict {
        match parent {
            Some(ParentSampling::Debug) => {
                // Not by probability, so there is no threshold to tell.
                let tracestate = set_threshold(tracestate, None);
                Verdict {
                    sampled: true,
                    debug: true,
                    tracestate,
                }
            }
            Some(ParentSampling::Sampled) if self.parent_based => {
                follow(true, trace_id, tracestate)
            }
            Some(ParentSampling::NotSampled) if self.parent_based => {
                follow(false, trace_id, tracestate)
            }
            _ => self.decide_root(trace_id, tracestate),
        }
    }

    fn decide_root(&self, trace_id: &TraceId, tracestate: Option<&TraceState<'_>>) -> Verdict {
        let randomness = parse(tracestate)
            .unwrap_or_default()
            .randomness_or(trace_id.random56());
        let (sampled, threshold) = match sample_root(self.threshold, randomness) {
            Decision::Keep { threshold } => (true, threshold),
            Decision::Drop => (false, None),
        };
        Verdict {
            sampled,
            debug: false,
            tracestate: set_threshold(tracestate, threshold),
        }
    }
}

/// Follows the parent; its threshold goes on unless it contradicts the decision.
fn follow(sampled: bool, trace_id: &TraceId, tracestate: Option<&TraceState<'_>>) -> Verdict {
    let changed = || {
        let mut state = parse(tracestate)?;
        let erased = state.erase_inconsistent(sampled, trace_id.random56());
        erased.then(|| write(tracestate?, &state))?
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
mod tests {
    use super::*;

    const TRACE_ID: &str = "4bf92f3577b34da6a39b8233f7e3a151";

    /// What becomes of a decision and a list.
    fn check(
        ratio: f64,
        parent_based: bool,
        parent: Option<ParentSampling>,
        list: &str,
        expected: (bool, Option<&str>),
    ) {
        let sampler = Sampler::new(parent_based, ratio).unwrap();
        let trace_id = TraceId::from_hex(TRACE_ID.as_bytes()).unwrap();
        let list = TraceState::parse([list.as_bytes()]).unwrap();
        let list = Some(&list).filter(|list| !list.is_empty());
        let verdict = sampler.decide(parent, &trace_id, list);
        let tracestate = verdict.tracestate.as_ref().map(TraceState::as_str);
        assert_eq!(
            (verdict.sampled, tracestate),
            expected,
            "{ratio} {parent:?} {list:?}"
        );
    }

    #[test]
    fn roots_are_kept_by_the_low_bits_of_the_trace_id() {
        check(1.0, true, None, "", (true, Some("ot=th:0")));
        check(0.7, true, None, "", (true, Some("ot=th:4cccd")));
        check(0.5, true, None, "", (true, Some("ot=th:8")));
        check(0.25, true, None, "", (false, None));
        check(0.0, true, None, "", (false, None));
    }

    #[test]
    fn explicit_randomness_takes_the_trace_ids_place() {
        let list = "a=1,ot=rv:00000000000000";
        check(
            0.5,
            false,
            Some(ParentSampling::Sampled),
            list,
            (false, None),
        );
        check(
            1.0,
            false,
            Some(ParentSampling::Sampled),
            list,
            (true, Some("ot=th:0;rv:00000000000000,a=1")),
        );
    }

    #[test]
    fn a_parent_stands_and_its_threshold_with_it() {
        check(
            0.0,
            true,
            Some(ParentSampling::Sampled),
            "ot=th:8,a=1",
            (true, None),
        );
        check(
            1.0,
            true,
            Some(ParentSampling::NotSampled),
            "a=1",
            (false, None),
        );
    }

    #[test]
    fn a_threshold_that_contradicts_the_decision_is_erased() {
        check(
            1.0,
            true,
            Some(ParentSampling::NotSampled),
            "ot=th:8,a=1",
            (false, Some("a=1")),
        );
        check(
            1.0,
            true,
            Some(ParentSampling::Sampled),
            "a=1,ot=th:c;x:y",
            (true, Some("ot=x:y,a=1")),
        );
    }

    #[test]
    fn a_deferred_decision_is_made_here() {
        check(
            0.5,
            true,
            Some(ParentSampling::Deferred),
            "",
            (true, Some("ot=th:8")),
        );
        check(
            0.25,
            true,
            Some(ParentSampling::Deferred),
            "",
            (false, None),
        );
    }

    #[test]
    fn debug_is_sampled_whatever_the_ratio() {
        check(0.0, false, Some(ParentSampling::Debug), "", (true, None));
    }

    #[test]
    fn an_invalid_member_is_left_alone_by_those_who_only_follow() {
        check(
            1.0,
            true,
            Some(ParentSampling::Sampled),
            "ot=th:zz",
            (true, None),
        );
    }

    #[test]
    fn one_percent_has_the_specifications_threshold() {
        let threshold = Sampler::new(true, 0.01).unwrap().threshold.unwrap();
        assert_eq!(threshold.to_hex().as_str(), "fd70a4");
    }

    #[test]
    fn a_ratio_is_a_probability() {
        let error = Sampler::new(true, 1.5).unwrap_err();
        assert!(error.contains("1.5"), "{error}");
    }
}
