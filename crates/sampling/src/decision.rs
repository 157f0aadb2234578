//! The decisions of the consistent samplers.

use crate::{Precision, Randomness, Threshold};

/// What a sampler decides about one span.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// Keep it.
    Keep {
        /// The `th` to send; `None` erases it, since the probability is not known.
        threshold: Option<Threshold>,
    },
    /// Drop it, and send no `th`.
    Drop,
}

/// Decides about a root. A threshold of `None` is "always off".
pub fn sample_root(threshold: Option<Threshold>, randomness: Randomness) -> Decision {
    match threshold {
        Some(threshold) if threshold.keeps(randomness) => Decision::Keep {
            threshold: Some(threshold),
        },
        Some(_) | None => Decision::Drop,
    }
}

/// Whether the `th` of a parent may be passed on: the parent is sampled (what is dropped has no
/// `th`), and the randomness does not contradict it. If not, a parent-based sampler still follows
/// the flag, and erases `th`.
pub fn is_consistent(threshold: Threshold, sampled: bool, randomness: Randomness) -> bool {
    sampled && threshold.keeps(randomness)
}

/// Samples so that all traces end with the same `target`, whatever came before: what is rarer
/// already is kept as it is. A `target` of `None` is "always off".
///
/// A `current` of `None` is a probability that is not known, and it stays so. To count a span
/// without `th` as unsampled so far, as the OpenTelemetry Collector does, pass
/// [`Threshold::KEEP_ALL`].
pub fn equalizing(
    current: Option<Threshold>,
    target: Option<Threshold>,
    randomness: Randomness,
) -> Decision {
    let Some(target) = target else {
        return Decision::Drop;
    };
    if current.is_some_and(|current| current > target) {
        return Decision::Keep { threshold: current };
    }
    keep(current.map(|_| target), target, randomness)
}

/// Samples `ratio` (0 to 1) of what arrives, whatever came before: the probabilities multiply. A
/// product below 2^-56 drops. A `current` of `None` is as for [`equalizing`].
pub fn proportional(
    current: Option<Threshold>,
    ratio: f64,
    precision: Precision,
    randomness: Randomness,
) -> Decision {
    let probability = ratio * current.unwrap_or(Threshold::KEEP_ALL).to_probability();
    match Threshold::from_probability(probability, precision) {
        Ok(Some(threshold)) => {
            // Rounding must not lower what an earlier sampler has set.
            let threshold = current.map_or(threshold, |current| threshold.max(current));
            keep(current.map(|_| threshold), threshold, randomness)
        }
        Ok(None) | Err(_) => Decision::Drop,
    }
}

fn keep(sent: Option<Threshold>, by: Threshold, randomness: Randomness) -> Decision {
    if by.keeps(randomness) {
        Decision::Keep { threshold: sent }
    } else {
        Decision::Drop
    }
}

#[cfg(test)]
mod tests;
