//! The decision about one item.

use spanmesh_otlp::view::AnyValue;
use spanmesh_sampling::{Decision, Randomness, Threshold, equalizing, proportional};

use super::carrier::Carrier;
use super::hash;
use super::options::{AttributeSource, Mode, Options};
use crate::actions::as_text;

/// See the module.
pub(super) struct Sampler {
    options: Options,
    /// What `percentage` is in the mode of the options; `None` keeps nothing. Means nothing in the
    /// mode `proportional`.
    threshold: Option<Threshold>,
}

/// What became of an item, and by what.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Verdict {
    pub(super) policy: Policy,
    pub(super) kept: bool,
}

/// What decided: where the randomness came from, or the priority.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Policy {
    TraceIdHash,
    TraceIdW3c,
    SamplingRandomness,
    FromAttribute,
    SamplingPriority,
    MissingRandomness,
}

/// What an item says of its own importance.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Priority {
    /// Nothing.
    Defer,
    Drop,
    /// To be kept with the probability of this threshold.
    Of(Threshold),
}

/// Every threshold keeps it.
const HIGHEST: Randomness = Randomness::from_low_bits(u64::MAX);

// === impl Sampler ===

impl Sampler {
    pub(super) fn new(options: &Options) -> Self {
        let threshold = match options.mode {
            Mode::HashSeed => hash::threshold(options.percentage),
            Mode::Equalizing | Mode::Proportional => {
                // The options hold no probability that this would refuse.
                Threshold::from_probability(ratio(options), options.precision).unwrap_or_default()
            }
        };
        Self {
            options: options.clone(),
            threshold,
        }
    }

    /// Decides about an item, and sets its threshold if it is kept.
    pub(super) fn decide(&self, carrier: &mut Carrier<'_, '_>) -> Verdict {
        let (mut policy, randomness) = self.randomness(carrier);
        let priority = self.priority(carrier);
        if priority == Priority::Drop {
            let policy = Policy::SamplingPriority;
            return Verdict {
                policy,
                kept: false,
            };
        }
        let hashes = self.options.mode == Mode::HashSeed;
        let arrived = carrier.threshold();
        let is_inconsistent =
            !hashes && arrived.is_some_and(|arrived| !arrived.keeps(randomness.unwrap_or(HIGHEST)));
        let is_wrong = carrier.is_malformed() || randomness.is_none() || is_inconsistent;
        let current = arrived.unwrap_or(Threshold::KEEP_ALL);
        let own = match is_wrong {
            true if self.options.fail_closed => None,
            true => Some(Threshold::KEEP_ALL),
            false => self.own_threshold(current),
        };
        let threshold = match priority {
            Priority::Of(threshold) => {
                policy = Policy::SamplingPriority;
                Some(threshold)
            }
            Priority::Defer | Priority::Drop => own,
        };
        let randomness = randomness.unwrap_or(HIGHEST);
        let Some(threshold) = threshold.filter(|threshold| threshold.keeps(randomness)) else {
            return Verdict {
                policy,
                kept: false,
            };
        };
        if is_wrong {
            if is_inconsistent {
                carrier.set_threshold(None);
            }
        } else if hashes && (arrived.is_some() || carrier.randomness().is_some()) {
            // Another sampler's randomness: what both of them kept has no threshold.
            carrier.set_threshold(None);
        } else {
            carrier.set_threshold(Some(if hashes {
                threshold
            } else {
                threshold.max(current)
            }));
            if policy != Policy::TraceIdW3c && policy != Policy::SamplingRandomness {
                self.state_randomness(carrier);
            }
        }
        Verdict { policy, kept: true }
    }

    /// The threshold by which an item is kept that comes with `current`; `None` keeps nothing.
    fn own_threshold(&self, current: Threshold) -> Option<Threshold> {
        let decision = match self.options.mode {
            Mode::HashSeed => return self.threshold,
            Mode::Equalizing => equalizing(Some(current), self.threshold, HIGHEST),
            Mode::Proportional => {
                let ratio = ratio(&self.options);
                proportional(Some(current), ratio, self.options.precision, HIGHEST)
            }
        };
        match decision {
            Decision::Keep { threshold } => threshold,
            Decision::Drop => None,
        }
    }

    /// Makes a randomness known that nobody could find out from the trace id.
    fn state_randomness(&self, carrier: &mut Carrier<'_, '_>) {
        if let (Policy::TraceIdHash | Policy::FromAttribute, Some(randomness)) =
            self.randomness(carrier)
        {
            carrier.state_randomness(randomness);
        }
    }

    fn randomness(&self, carrier: &Carrier<'_, '_>) -> (Policy, Option<Randomness>) {
        let options = &self.options;
        if let (Some(randomness), true) = (carrier.randomness(), options.mode != Mode::HashSeed) {
            return (Policy::SamplingRandomness, Some(randomness));
        }
        let by_trace_id = carrier.is_span()
            || options.mode != Mode::HashSeed
            || options.attribute_source == AttributeSource::TraceId;
        if let (Some(id), true) = (carrier.trace_id(), by_trace_id) {
            return match options.mode {
                Mode::HashSeed => {
                    let randomness = hash::randomness(&id.to_be_bytes(), options.hash_seed);
                    (Policy::TraceIdHash, Some(randomness))
                }
                Mode::Equalizing | Mode::Proportional => {
                    // The right-most 56 bits of the id.
                    let randomness = Randomness::from_low_bits(id as u64);
                    (Policy::TraceIdW3c, Some(randomness))
                }
            };
        }
        // OTEP 235 knows no randomness of attributes.
        let hashes = !carrier.is_span() && options.mode == Mode::HashSeed;
        let name = options.from_attribute.as_deref().filter(|_| hashes);
        match name.and_then(|name| carrier.attribute(name)) {
            Some(value) => {
                let text = as_text(value);
                let bytes = match value {
                    AnyValue::Bytes(bytes) => bytes,
                    _ => text.as_bytes(),
                };
                let randomness = hash::randomness(bytes, options.hash_seed);
                (
                    Policy::FromAttribute,
                    Some(randomness).filter(|_| !bytes.is_empty()),
                )
            }
            None => (Policy::MissingRandomness, None),
        }
    }

    fn priority(&self, carrier: &Carrier<'_, '_>) -> Priority {
        if carrier.is_span() {
            return match carrier.attribute("sampling.priority").and_then(number) {
                Some(0.0) => Priority::Drop,
                Some(value) if value > 0.0 => Priority::Of(Threshold::KEEP_ALL),
                _ => Priority::Defer,
            };
        }
        let name = self.options.sampling_priority.as_deref();
        let value = match name.and_then(|name| carrier.attribute(name)) {
            Some(AnyValue::Int(value)) => value as f64,
            Some(AnyValue::Double(value)) => value,
            _ => return Priority::Defer,
        };
        if value == 0.0 {
            return Priority::Drop;
        }
        let ratio = (value / 100.0).min(1.0);
        match Threshold::from_probability(ratio, self.options.precision) {
            Ok(Some(threshold)) => Priority::Of(threshold),
            Ok(None) | Err(_) => Priority::Defer,
        }
    }
}

// === impl Policy ===

impl Policy {
    /// Every policy, in the order of their numbers.
    pub(super) const ALL: [Self; 6] = [
        Self::TraceIdHash,
        Self::TraceIdW3c,
        Self::SamplingRandomness,
        Self::FromAttribute,
        Self::SamplingPriority,
        Self::MissingRandomness,
    ];

    /// Its name in metrics.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::TraceIdHash => "trace_id_hash",
            Self::TraceIdW3c => "trace_id_w3c",
            Self::SamplingRandomness => "sampling_randomness",
            Self::FromAttribute => "from_attribute",
            Self::SamplingPriority => "sampling_priority",
            Self::MissingRandomness => "missing_randomness",
        }
    }
}

fn ratio(options: &Options) -> f64 {
    f64::from(options.percentage) / 100.0
}

/// A number, or a string that is one.
fn number(value: AnyValue<'_>) -> Option<f64> {
    match value {
        AnyValue::Int(value) => Some(value as f64),
        AnyValue::Double(value) => Some(value),
        AnyValue::String(text) => text.parse().ok(),
        _ => None,
    }
}
