use proptest::prelude::*;

use super::*;

fn precision(digits: u8) -> Precision {
    Precision::new(digits).unwrap()
}

fn th(probability: f64, digits: u8) -> String {
    let threshold = Threshold::from_probability(probability, precision(digits)).unwrap();
    threshold.unwrap().to_hex().as_str().to_owned()
}

#[test]
fn worked_probabilities_have_their_thresholds() {
    let default = Precision::default().0;
    for (probability, digits, expected) in [
        (1.0, default, "0"),
        (0.5, default, "8"),
        (0.25, default, "c"),
        (0.125, default, "e"),
        (1.0 / 3.0, 3, "aab"),
        (2.0 / 3.0, 3, "555"),
        (1.0 / 3.0, 14, "aaaaaaaaaaaaac"),
        // One leading f is not counted, so 4 significant digits are 5 digits in all.
        (0.01, 4, "fd70a"),
        (0.01, 5, "fd70a4"),
        (0.01, 14, "fd70a3d70a3d71"),
        (0.001, 4, "ffbe77"),
        (0.0001, 4, "fff9724"),
        (1.0 / 256.0, 4, "ff"),
        (1.0 / 65536.0, 4, "ffff"),
    ] {
        assert_eq!(
            th(probability, digits),
            expected,
            "{probability} at {digits}"
        );
    }
}

#[test]
fn the_smallest_probabilities_keep_all_their_digits() {
    let smallest = 1.0 / RANGE as f64;
    for (times, expected) in [
        (1.0, "ffffffffffffff"),
        (2.0, "fffffffffffffe"),
        (3.0, "fffffffffffffd"),
        (8.0, "fffffffffffff8"),
        (16.0, "fffffffffffff"),
    ] {
        for digits in 1..=14 {
            assert_eq!(
                th(times * smallest, digits),
                expected,
                "{times} at {digits}"
            );
        }
    }
}

#[test]
fn rounding_is_half_up_in_significant_digits() {
    let probability = |rejected: u64, bits: i32| 1.0 - rejected as f64 / 2_f64.powi(bits);
    for (rejected, bits, rounded) in [
        (
            0x456_789a,
            28,
            &["4", "45", "456", "4568", "45679", "45678a", "456789a"][..],
        ),
        (
            0x456_789a,
            40,
            &["0004", "00045", "000456", "0004568", "00045679"],
        ),
        (
            0x7_89ab_cdef,
            40,
            &[
                "08", "079", "078a", "0789b", "0789ac", "0789abd", "0789abce",
            ],
        ),
        (
            0x1234_5678,
            32,
            &["1", "12", "123", "1234", "12345", "123456", "1234568"],
        ),
        (0x8_0801, 28, &["008", "0081", "00808", "00808", "0080801"]),
    ] {
        for (digits, expected) in (1..).zip(rounded) {
            assert_eq!(
                th(probability(rejected, bits), digits),
                *expected,
                "{rejected:x}"
            );
        }
    }
}

#[test]
fn probability_zero_is_always_off() {
    assert_eq!(
        Threshold::from_probability(0.0, Precision::default()),
        Ok(None)
    );
    assert_eq!(
        Threshold::from_probability(-0.0, Precision::default()),
        Ok(None)
    );
}

#[test]
fn other_numbers_are_no_probability() {
    for number in [
        0.5 / RANGE as f64,
        f64::MIN_POSITIVE,
        1.000_001,
        -0.1,
        f64::INFINITY,
        f64::NAN,
    ] {
        let error = Threshold::from_probability(number, Precision::default()).unwrap_err();
        assert!(
            error
                .to_string()
                .starts_with("expected a probability of 0 or of 2^-56 to 1, but")
        );
    }
}

#[test]
fn th_is_1_to_14_lower_case_hex_digits() {
    assert_eq!(Threshold::parse(b"0"), Ok(Threshold::KEEP_ALL));
    assert_eq!(Threshold::parse(b"c").unwrap().get(), 0xc0_0000_0000_0000);
    assert_eq!(Threshold::parse(b"c00"), Threshold::parse(b"c"));
    assert_eq!(
        Threshold::parse(b"ffffffffffffff").unwrap().get(),
        RANGE - 1
    );
    for value in ["", "C", "0x1", "-1", "g", " 1", "000000000000000"] {
        let error = Threshold::parse(value.as_bytes()).unwrap_err();
        assert_eq!(error.found, value.len());
        assert!(error.to_string().contains("expected 1 to 14"), "{error}");
    }
}

#[test]
fn adjusted_counts_are_the_inverse_of_probabilities() {
    for (digits, count) in [("0", 1.0), ("8", 2.0), ("c", 4.0), ("ff", 256.0)] {
        let threshold = Threshold::parse(digits.as_bytes()).unwrap();
        assert_eq!(
            (threshold.adjusted_count(), threshold.to_probability()),
            (count, 1.0 / count)
        );
    }
    let rarest = Threshold::parse(b"ffffffffffffff").unwrap();
    assert_eq!(rarest.adjusted_count(), RANGE as f64);
    let hundredth = Threshold::parse(b"fd70a4").unwrap();
    assert!((hundredth.adjusted_count() - 100.0).abs() < 0.001);
}

#[test]
fn randomness_at_the_threshold_is_kept() {
    let threshold = Threshold::parse(b"8").unwrap();
    assert!(threshold.keeps(Randomness::from_low_bits(RANGE / 2)));
    assert!(!threshold.keeps(Randomness::from_low_bits(RANGE / 2 - 1)));
    assert!(Threshold::KEEP_ALL.keeps(Randomness::from_low_bits(0)));
}

#[test]
fn a_precision_is_1_to_14() {
    assert_eq!(Precision::new(0), None);
    assert_eq!(Precision::new(15), None);
    assert_eq!(Precision::new(4), Some(Precision::default()));
}

/// Probabilities of every size, not only large ones.
fn probability() -> impl Strategy<Value = f64> {
    (1.0_f64..2.0, 0..=56_i32)
        .prop_map(|(fraction, exponent)| (fraction / 2_f64.powi(exponent)).min(1.0))
}

proptest! {
    #[test]
    fn parse_reverses_format(number in 0..RANGE) {
        let threshold = Threshold(number);
        let digits = threshold.to_hex();
        prop_assert_eq!(Threshold::parse(digits.as_bytes()), Ok(threshold));
        prop_assert!(digits.as_str() == "0" || !digits.as_str().ends_with('0'));
    }

    #[test]
    fn short_digits_reverse_too(digits in "[0-9a-f]{0,13}[1-9a-f]") {
        let threshold = Threshold::parse(digits.as_bytes()).unwrap();
        let sent = threshold.to_hex();
        prop_assert_eq!(sent.as_str(), digits);
    }

    #[test]
    fn a_probability_comes_back_within_its_precision(
        probability in probability(),
        digits in 1..=14_u8,
    ) {
        let threshold = Threshold::from_probability(probability, precision(digits)).unwrap();
        let back = threshold.unwrap().to_probability();
        // Half a unit of the last digit, in relation to the first significant digit; at least
        // half of one 2^-56, the rounding to an integer.
        let relative = probability * 16_f64.powi(1 - i32::from(digits)) / 2.0;
        let error = (back - probability).abs();
        prop_assert!(error <= relative + 0.5 / RANGE as f64, "{probability} is {back}");
    }

    #[test]
    fn a_threshold_of_full_precision_comes_back(number in 0..RANGE) {
        // A double has 53 bits; what it cannot say is the last digit.
        let threshold = Threshold(number & !0xf);
        let probability = threshold.to_probability();
        prop_assert_eq!(Threshold::from_probability(probability, precision(14)), Ok(Some(threshold)));
    }

    #[test]
    fn a_higher_probability_never_has_a_higher_threshold(
        one in probability(),
        other in probability(),
        digits in 1..=14_u8,
    ) {
        let threshold = |p| Threshold::from_probability(p, precision(digits)).unwrap();
        prop_assert!(threshold(one.max(other)) <= threshold(one.min(other)));
    }

    #[test]
    fn what_a_threshold_keeps_a_lower_one_keeps(one in 0..RANGE, other in 0..RANGE, r: u64) {
        let randomness = Randomness::from_low_bits(r);
        let (low, high) = (Threshold(one.min(other)), Threshold(one.max(other)));
        prop_assert!(!high.keeps(randomness) || low.keeps(randomness));
    }

    #[test]
    fn no_input_panics(bytes: Vec<u8>, number: f64, digits in 1..=14_u8) {
        let _ = Threshold::parse(&bytes);
        let _ = Threshold::from_probability(number, precision(digits));
    }
}
