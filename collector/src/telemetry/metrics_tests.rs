//! Tests of the metrics.

use super::*;

#[test]
fn metrics_are_written_by_name() {
    let registry = Registry::default();
    registry.gauge("b", "A gauge.", &[], || 1.5);
    let counter = registry.counter("a", "A counter.", &[("x", "1\"2")]);
    registry.counter("a", "A counter.", &[("x", "1\"2")]).add(2);
    counter.add(1);
    registry.counter_from("a", "A counter.", &[("x", "0")], || 7.0);
    assert_eq!(
        registry.encode(),
        "# HELP a A counter.\n# TYPE a counter\na{x=\"0\"} 7\na{x=\"1\\\"2\"} 3\n\
         # HELP b A gauge.\n# TYPE b gauge\nb 1.5\n"
    );
}

#[test]
fn what_is_gone_is_left_out() {
    let registry = Registry::default();
    let there = Arc::new(2.0);
    let known = Arc::downgrade(&there);
    registry.gauge_while("a", "A gauge.", &[], move || {
        known.upgrade().map(|value| *value)
    });
    assert_eq!(registry.read().sum("a", &[]), Some(2.0));
    drop(there);
    assert_eq!(registry.read().sum("a", &[]), None);
}

#[test]
fn series_are_summed_by_their_labels() {
    let registry = Registry::default();
    for (receiver, transport, amount) in [("a", "grpc", 1), ("a", "http", 2), ("b", "http", 4)] {
        let labels = [("receiver", receiver), ("transport", transport)];
        registry.counter("n", "A counter.", &labels).add(amount);
    }
    let reading = registry.read();
    assert_eq!(reading.sum("n", &[("receiver", "a")]), Some(3.0));
    assert_eq!(reading.sum("n", &[("transport", "http")]), Some(6.0));
    assert_eq!(reading.sum("n", &[]), Some(7.0));
    assert_eq!(reading.sum("n", &[("receiver", "c")]), None);
    assert_eq!(reading.sum("m", &[]), None);
}
