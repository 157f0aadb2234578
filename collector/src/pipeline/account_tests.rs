//! Tests of the account.

use super::*;

#[test]
fn the_account_balances_whatever_happens() {
    let account = Arc::new(Account::default());
    let mut custody = account.accept(Signal::Traces, 100);
    custody.split(10).dropped(DropReason::QueueFull);
    custody.split(20).sampled_out();
    custody.split(5).sent(2);
    drop(custody.split(1));
    let totals = account.totals(Signal::Traces);
    assert_eq!(
        totals,
        Totals {
            accepted: 100,
            recovered: 0,
            sent: 3,
            sampled_out: 20,
            dropped: vec![
                (DropReason::QueueFull, 10),
                (DropReason::Rejected, 2),
                (DropReason::Lost, 1)
            ],
            queued: 64,
        }
    );
    custody.sent(0);
    assert_eq!(account.totals(Signal::Traces).queued, 0);
    assert_eq!(account.totals(Signal::Logs), Totals::default());
}

#[test]
fn what_this_process_left_on_a_disk_is_not_counted_again() {
    let account = Arc::new(Account::default());
    let mut custody = account.accept_stored(Signal::Traces, 10);
    // A part of the first record, which the disk has as a whole.
    custody.split(2).sent(0);
    custody.keep();
    let known = account.recover(Signal::Traces, 10);
    assert_eq!(account.totals(Signal::Traces).recovered, 2);
    known.sent(0);
    account.recover(Signal::Traces, 5).sent(0);
    let totals = account.totals(Signal::Traces);
    assert_eq!((totals.accepted, totals.recovered), (10, 7));
    assert_eq!((totals.sent, totals.queued), (17, 0));
}

#[test]
fn reasons_are_in_the_order_of_their_numbers() {
    for (index, reason) in DropReason::ALL.into_iter().enumerate() {
        assert_eq!(reason as usize, index);
    }
}

#[test]
fn the_metrics_balance_while_items_come_and_go() {
    let account = Arc::new(Account::default());
    let registry = Registry::default();
    account.register(&registry, "x", Signal::Traces);
    let busy = account.clone();
    // Its name stands between those of the account, so that it is read in the midst of them.
    registry.gauge(
        "spanmesh_account_between",
        "Changes the account.",
        &[],
        move || {
            busy.accept(Signal::Traces, 5).sent(1);
            0.0
        },
    );
    let _waiting = account.accept(Signal::Traces, 3);
    for expected in [3.0, 8.0] {
        let text = registry.encode();
        let sum = |name: &str| -> f64 {
            let series = format!("spanmesh_account_{name}_items{{");
            let lines = text.lines().filter(|line| line.starts_with(&series));
            let values = lines.map(|line| line.rsplit_once(' ').unwrap().1);
            values.map(|value| value.parse::<f64>().unwrap()).sum()
        };
        assert_eq!(sum("accepted"), expected);
        let parts = ["sent", "sampled_out", "dropped", "queued"];
        assert_eq!(parts.map(sum).iter().sum::<f64>(), expected, "{text}");
    }
}
