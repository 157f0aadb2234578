use proptest::prelude::*;

use super::*;

fn threshold(digits: &str) -> Threshold {
    Threshold::parse(digits.as_bytes()).unwrap()
}

fn randomness(digits: &str) -> Randomness {
    Randomness::parse(digits.as_bytes()).unwrap()
}

fn kept(digits: &str) -> Decision {
    Decision::Keep {
        threshold: Some(threshold(digits)),
    }
}

const HIGH: &str = "ffffffffffffff";
const LOW: &str = "00000000000000";

#[test]
fn a_root_is_kept_from_the_threshold_on() {
    let half = Some(threshold("8"));
    assert_eq!(sample_root(half, randomness("9b8233f7e3a151")), kept("8"));
    assert_eq!(sample_root(half, randomness("80000000000000")), kept("8"));
    assert_eq!(
        sample_root(half, randomness("7fffffffffffff")),
        Decision::Drop
    );
    assert_eq!(
        sample_root(Some(Threshold::KEEP_ALL), randomness(LOW)),
        kept("0")
    );
    assert_eq!(sample_root(None, randomness(HIGH)), Decision::Drop);
}

#[test]
fn a_threshold_is_consistent_only_with_a_sampled_parent_above_it() {
    let half = threshold("8");
    assert!(is_consistent(half, true, randomness("80000000000000")));
    assert!(!is_consistent(half, true, randomness("7fffffffffffff")));
    assert!(!is_consistent(half, false, randomness("80000000000000")));
    assert!(!is_consistent(half, false, randomness("7fffffffffffff")));
}

#[test]
fn equalizing_raises_the_threshold_to_the_target_and_never_lowers_it() {
    let target = Some(threshold("e"));
    for (current, r, expected) in [
        ("8", HIGH, kept("e")),
        ("8", "e0000000000000", kept("e")),
        ("8", "dfffffffffffff", Decision::Drop),
        ("e", HIGH, kept("e")),
        ("f", HIGH, kept("f")),
        ("0", HIGH, kept("e")),
    ] {
        assert_eq!(
            equalizing(Some(threshold(current)), target, randomness(r)),
            expected
        );
    }
    assert_eq!(
        equalizing(Some(threshold("8")), None, randomness(HIGH)),
        Decision::Drop
    );
}

#[test]
fn proportional_multiplies_the_probabilities() {
    for (current, ratio, r, expected) in [
        ("8", 0.5, HIGH, kept("c")),
        ("8", 0.125, HIGH, kept("f")),
        ("8", 0.125, "efffffffffffff", Decision::Drop),
        ("0", 0.25, "c0000000000000", kept("c")),
        ("8", 1.0, "80000000000000", kept("8")),
        ("8", 0.0, HIGH, Decision::Drop),
    ] {
        let current = Some(threshold(current));
        let decision = proportional(current, ratio, Precision::default(), randomness(r));
        assert_eq!(decision, expected, "{ratio}");
    }
}

#[test]
fn a_product_below_the_smallest_probability_drops() {
    let rarest = Some(threshold(HIGH));
    let decision = proportional(rarest, 0.5, Precision::default(), randomness(HIGH));
    assert_eq!(decision, Decision::Drop);
}

#[test]
fn a_probability_that_is_not_known_stays_so() {
    let unknown = Decision::Keep { threshold: None };
    let half = Some(threshold("8"));
    assert_eq!(equalizing(None, half, randomness(HIGH)), unknown);
    assert_eq!(equalizing(None, half, randomness(LOW)), Decision::Drop);
    let precision = Precision::default();
    assert_eq!(
        proportional(None, 0.5, precision, randomness(HIGH)),
        unknown
    );
    assert_eq!(
        proportional(None, 0.5, precision, randomness(LOW)),
        Decision::Drop
    );
}

proptest! {
    #[test]
    fn no_sampler_lowers_a_threshold_or_keeps_below_it(
        current in "[0-9a-f]{1,14}",
        target in "[0-9a-f]{1,14}",
        ratio in 0.0..=1.0_f64,
        digits in 1..=14_u8,
        r: u64,
    ) {
        let (current, target) = (threshold(&current), threshold(&target));
        // What arrives was kept by the current threshold.
        let kept = crate::RANGE - current.get();
        let randomness = Randomness::from_low_bits(current.get() + r % kept);
        let precision = Precision::new(digits).unwrap();
        for decision in [
            equalizing(Some(current), Some(target), randomness),
            proportional(Some(current), ratio, precision, randomness),
        ] {
            if let Decision::Keep { threshold } = decision {
                let threshold = threshold.unwrap();
                prop_assert!(threshold >= current);
                prop_assert!(threshold.keeps(randomness));
            }
        }
    }

    #[test]
    fn no_ratio_panics(ratio: f64, current in "[0-9a-f]{1,14}", r: u64) {
        let precision = Precision::default();
        let randomness = Randomness::from_low_bits(r);
        let _ = proportional(Some(threshold(&current)), ratio, precision, randomness);
    }
}
