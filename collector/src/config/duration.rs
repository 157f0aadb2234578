//! Durations as Go writes them: `200ms`, `1m30s`, `1.5h`.

use std::fmt;
use std::time::Duration;

use serde::de::{self, Deserialize, Deserializer, Visitor};

/// A duration in a configuration. `0` needs no unit, everything else does: in the OpenTelemetry
/// Collector a bare `5` means five nanoseconds, which nobody who writes it means.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Span(pub Duration);

const UNITS: [(&str, f64); 8] = [
    ("ns", 1e-9),
    ("us", 1e-6),
    // The micro sign, and the Greek letter that looks the same.
    ("\u{b5}s", 1e-6),
    ("\u{3bc}s", 1e-6),
    ("ms", 1e-3),
    ("s", 1.0),
    ("m", 60.0),
    ("h", 3600.0),
];

/// A hundred years; longer than any time-out means "never".
const MAX_SECONDS: f64 = 100.0 * 365.25 * 24.0 * 3600.0;

// === impl Span ===

impl Span {
    /// Whole milliseconds.
    pub const fn millis(millis: u64) -> Self {
        Self(Duration::from_millis(millis))
    }

    /// Whole seconds.
    pub const fn seconds(seconds: u64) -> Self {
        Self(Duration::from_secs(seconds))
    }

    /// `None` for zero, which stands for "no limit" in many options.
    pub fn non_zero(self) -> Option<Duration> {
        (!self.0.is_zero()).then_some(self.0)
    }

    fn parse(text: &str) -> Option<Self> {
        if text == "0" {
            return Some(Self::default());
        }
        let mut seconds = 0.0;
        let mut rest = text.strip_prefix('+').unwrap_or(text);
        if rest.is_empty() {
            return None;
        }
        while !rest.is_empty() {
            let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
            let (number, after) = rest.split_at(digits);
            let unit_end = after
                .find(|c: char| c.is_ascii_digit() || c == '.')
                .unwrap_or(after.len());
            let (unit, after) = after.split_at(unit_end);
            let (_, factor) = UNITS.iter().find(|(name, _)| *name == unit)?;
            seconds += number.parse::<f64>().ok()? * factor;
            rest = after;
        }
        (seconds <= MAX_SECONDS).then(|| Self(Duration::from_secs_f64(seconds)))
    }
}

impl<'de> Deserialize<'de> for Span {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct TextVisitor;
        impl Visitor<'_> for TextVisitor {
            type Value = Span;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a duration with a unit, as in \"200ms\" or \"1m30s\"")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Span, E> {
                Span::parse(text).ok_or_else(|| E::invalid_value(de::Unexpected::Str(text), &self))
            }
        }
        deserializer.deserialize_str(TextVisitor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_as_in_go() {
        let p = |text| Span::parse(text).map(|span| span.0.as_micros());
        assert_eq!(p("0"), Some(0));
        assert_eq!(p("200ms"), Some(200_000));
        assert_eq!(p("1m30s"), Some(90_000_000));
        assert_eq!(p("1.5h"), Some(5_400_000_000));
        assert_eq!(p("10\u{b5}s"), Some(10));
        assert_eq!(p("10\u{3bc}s"), Some(10));
        assert_eq!(p("+1s"), Some(1_000_000));
        assert_eq!(p("+"), None);
        assert_eq!(p("5"), None);
        assert_eq!(p(""), None);
        assert_eq!(p("s"), None);
        assert_eq!(p("-1s"), None);
        assert_eq!(p("1d"), None);
        assert_eq!(p("1..2s"), None);
        assert_eq!(p("99999999999999h"), None);
    }
}
