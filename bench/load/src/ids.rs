//! Which items there are, in one number: the sum of their span ids, without regard to order.
//!
//! An item that is lost, comes twice, or comes changed in its id makes the sum another one.

use spanmesh_otlp::Signal;
use spanmesh_otlp::view::{self, LogRecord, Span};

/// Adds up the span ids of a request's spans or log records as big-endian numbers, modulo 2^64.
/// Items without such an id add nothing, as data points do.
#[must_use]
pub fn sum(signal: Signal, message: &[u8]) -> u64 {
    view::items(signal, message)
        .map(|item| match signal {
            Signal::Traces => Span::new(item).span_id,
            Signal::Logs => LogRecord::new(item).span_id,
            Signal::Metrics => &[],
        })
        .filter_map(|id| <[u8; 8]>::try_from(id).ok())
        .map(u64::from_be_bytes)
        .fold(0, u64::wrapping_add)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::payload;

    #[test]
    fn other_items_have_another_sum() {
        for signal in [Signal::Traces, Signal::Logs] {
            let sum = |seed| sum(signal, &payload::request(signal, 10, seed));
            assert_ne!(sum(1), 0);
            assert_ne!(sum(1), sum(2));
        }
    }

    #[test]
    fn requests_add_up() {
        let request = |seed| payload::request(Signal::Traces, 10, seed);
        let both = [request(1), request(2)].concat();
        let sum = |message: &[u8]| sum(Signal::Traces, message);
        assert_eq!(sum(&both), sum(&request(1)).wrapping_add(sum(&request(2))));
    }
}
