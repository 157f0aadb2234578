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
fn reasons_are_in_the_order_of_their_numbers() {
    for (index, reason) in DropReason::ALL.into_iter().enumerate() {
        assert_eq!(reason as usize, index);
    }
}
