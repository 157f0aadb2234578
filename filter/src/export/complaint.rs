//! Log lines about a collector, at most one of a kind a minute.
//!
//! A collector that refuses everything would otherwise fill the proxy's log, with a line for each
//! batch of each worker.

use crate::host::Host;

/// In nanoseconds.
const INTERVAL: u64 = 60 * 1_000_000_000;

/// The kinds of lines.
#[derive(Debug, Default)]
pub(super) struct Complaints {
    pub(super) refused: Complaint,
    pub(super) rejected: Complaint,
    pub(super) unknown_cluster: Complaint,
}

/// One kind of line.
#[derive(Debug, Default)]
pub(super) struct Complaint {
    /// What was counted since the last line.
    unsaid: usize,
    /// When the last line was logged, by the monotonic clock.
    last: Option<u64>,
}

impl Complaint {
    /// Counts, and returns all that was counted if a line is due.
    pub(super) fn add(&mut self, host: &impl Host, count: usize) -> Option<usize> {
        self.unsaid = self.unsaid.saturating_add(count);
        let now = host.monotonic_clock();
        if self
            .last
            .is_some_and(|last| now.saturating_sub(last) < INTERVAL)
        {
            return None;
        }
        self.last = Some(now);
        Some(std::mem::take(&mut self.unsaid))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::testing::FakeHost;

    #[test]
    fn a_line_a_minute_says_all_since_the_last() {
        let host = FakeHost::default();
        let mut complaint = Complaint::default();
        assert_eq!(complaint.add(&host, 2), Some(2));
        assert_eq!(complaint.add(&host, 3), None);
        host.advance(Duration::from_secs(59));
        assert_eq!(complaint.add(&host, 4), None);
        host.advance(Duration::from_secs(1));
        assert_eq!(complaint.add(&host, 5), Some(12));
    }
}
