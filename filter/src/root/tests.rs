use super::*;
use crate::host::DispatchError;
use crate::testing::{FakeHost, Script, root, worker};

fn configure(host: &FakeHost, root: &mut Root, document: &str) -> bool {
    root.configure(
        host,
        "spanmesh",
        document.as_bytes(),
        &Environment::default(),
    )
}

#[test]
fn a_good_configuration_ticks_at_its_interval_but_at_least_each_second() {
    let period = |document| {
        let host = FakeHost::default();
        let mut root = root(&host, document);
        assert_eq!(host.tick_period.get(), Some(FIRST_TICK));
        root.on_tick(&host);
        host.tick_period.get().unwrap()
    };
    assert_eq!(period(""), Duration::from_secs(1));
    assert_eq!(
        period(r#"{"batch": {"interval": "50ms"}}"#),
        Duration::from_millis(50)
    );
    assert_eq!(
        period(r#"{"batch": {"interval": "10s"}}"#),
        Duration::from_secs(1)
    );
}

#[test]
fn a_bad_first_configuration_lets_traffic_pass_untouched_and_shows_in_a_gauge() {
    let host = FakeHost::default();
    let mut root = Root::new(worker());
    assert!(configure(&host, &mut root, r#"{"sampler": {"ratio": 7}}"#));
    assert!(!host.play(&root, &Script::get()));
    assert!(host.header("traceparent").is_empty());
    root.on_tick(&host);
    root.on_tick(&host);
    assert_eq!(host.stat("config.rejected"), 1);
    assert!(host.calls.borrow().is_empty());
    assert!(root.on_done(&host));
    assert_eq!(host.stat("config.rejected"), 0);
}

#[test]
fn a_bad_update_is_refused_and_a_good_one_after_a_bad_first_is_taken() {
    let host = FakeHost::default();
    let bad = r#"{"unknown": 1}"#;
    assert!(configure(&host, &mut Root::new(worker()), bad));
    let mut good = Root::new(worker());
    assert!(configure(&host, &mut good, ""));
    good.on_tick(&host);
    assert!(!configure(&host, &mut Root::new(worker()), bad));
    assert!(configure(&host, &mut Root::new(worker()), ""));
}

#[test]
fn two_plugins_of_one_name_have_each_its_first_configuration() {
    let host = FakeHost::default();
    assert!(configure(&host, &mut Root::new(worker()), ""));
    assert!(configure(
        &host,
        &mut Root::new(worker()),
        r#"{"unknown": 1}"#
    ));
}

#[test]
fn the_mark_of_one_plugin_does_not_refuse_anothers_first() {
    let host = FakeHost::default();
    let mut root = Root::new(worker());
    assert!(configure(&host, &mut root, ""));
    root.on_tick(&host);
    let mut other = Root::new(worker());
    assert!(other.configure(&host, "other", b"{", &Environment::default()));
}

#[test]
fn records_leave_at_the_interval_and_not_before() {
    let host = FakeHost::default();
    let mut root = root(&host, r#"{"batch": {"interval": "10s"}}"#);
    host.play(&root, &Script::get());
    for _ in 0..9 {
        host.advance(Duration::from_secs(1));
        root.on_tick(&host);
        assert!(host.calls.borrow().is_empty());
    }
    // Ticks come a little early at times.
    host.advance(Duration::from_millis(990));
    root.on_tick(&host);
    assert_eq!(host.calls.borrow().len(), 2);
}

#[test]
fn a_replaced_configuration_drains_and_then_says_so() {
    let host = FakeHost::default();
    let mut root = root(&host, "");
    host.play(&root, &Script::get());
    assert!(!root.on_done(&host));
    assert_eq!((host.spans().len(), host.logs().len()), (1, 1));
    // A request that began under the old configuration ends while it drains.
    host.play(&root, &Script::get());
    root.on_tick(&host);
    assert!(!host.done.get());
    host.acknowledge_all(&mut root);
    assert!(host.done.get());
    assert_eq!(host.stat("spans.sent"), 2);
    assert_eq!(host.stat("queue_bytes"), 0);
}

#[test]
fn a_drain_that_takes_too_long_counts_what_it_drops() {
    let host = FakeHost::default();
    let mut root = root(&host, r#"{"batch": {"drain_timeout": "2s"}}"#);
    host.play(&root, &Script::get());
    host.dispatch_error.set(Some(DispatchError::Failed));
    assert!(!root.on_done(&host));
    host.advance(Duration::from_secs(1));
    root.on_tick(&host);
    assert!(!host.done.get());
    host.advance(Duration::from_secs(1));
    root.on_tick(&host);
    assert!(host.done.get());
    let stats = host.stats();
    assert_eq!(
        (
            stats["spans.dropped.shutdown"],
            stats["logs.dropped.shutdown"]
        ),
        (1, 1)
    );
    assert!(!stats.contains_key("queue_bytes"));
}

#[test]
fn an_idle_context_is_done_at_once() {
    let host = FakeHost::default();
    assert!(root(&host, "").on_done(&host));
    assert!(Root::new(worker()).on_done(&host));
}

#[test]
fn the_budget_is_one_for_all_contexts_of_a_vm() {
    let host = FakeHost::default();
    let worker = worker();
    let document = r#"{"batch": {"max_queue_bytes": 65536, "max_records": 4096}}"#;
    let mut old = Root::new(worker.clone());
    let mut new = Root::new(worker.clone());
    assert!(configure(&host, &mut old, document) && configure(&host, &mut new, document));
    for _ in 0..40 {
        host.play(&old, &Script::get());
        host.play(&new, &Script::get());
    }
    assert!(worker.budget.held() <= 65536);
    host.tick(&mut old);
    new.on_tick(&host);
    let stats = host.stats();
    let dropped = stats["spans.dropped.queue_full"] + stats["logs.dropped.queue_full"];
    let queued = (host.spans().len() + host.logs().len()) as i64;
    assert!(dropped > 0);
    assert_eq!(dropped + queued, 160);
    assert_eq!(stats["queue_bytes"], worker.budget.held() as i64);
}
