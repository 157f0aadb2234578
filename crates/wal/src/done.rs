//! Which records are done.

use std::collections::BTreeMap;

use crate::mark::Mark;

/// A set of records, as the spans between marks. Deliveries end out of order, but not by much, so
/// that there are few spans.
///
/// Invariant: spans are not empty, do not overlap, and do not touch.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Done {
    /// By the number of the first record.
    spans: BTreeMap<u64, (Mark, Mark)>,
    total: Mark,
}

// === impl Done ===

impl Done {
    /// Adds the records between two marks.
    pub(crate) fn insert(&mut self, from: Mark, to: Mark) {
        for (from, to) in self.missing(from, to) {
            self.total = self.total.plus(to.since(from));
            self.join(from, to);
        }
    }

    /// The parts between two marks that are not done, in order.
    pub(crate) fn missing(&self, from: Mark, to: Mark) -> Vec<(Mark, Mark)> {
        let mut missing = Vec::new();
        let mut at = from;
        while at.records < to.records {
            if let Some(end) = self.end_of(at.records) {
                at = end;
                continue;
            }
            let next = self.spans.range(at.records..).next();
            let end = match next {
                Some((_, (start, _))) if start.records < to.records => *start,
                _ => to,
            };
            missing.push((at, end));
            at = end;
        }
        missing
    }

    /// Whether all records of these numbers are done.
    pub(crate) fn covers(&self, from: u64, to: u64) -> bool {
        from >= to || self.end_of(from).is_some_and(|end| end.records >= to)
    }

    /// Where the span ends that a record belongs to; `None` if the record is not done.
    pub(crate) fn end_of(&self, record: u64) -> Option<Mark> {
        let (_, (_, end)) = self.spans.range(..=record).next_back()?;
        (end.records > record).then_some(*end)
    }

    /// Everything that is done.
    pub(crate) fn total(&self) -> Mark {
        self.total
    }

    /// Behind the last record that is done.
    pub(crate) fn end(&self) -> Mark {
        let last = self.spans.last_key_value();
        last.map_or(Mark::default(), |(_, (_, end))| *end)
    }

    /// The spans in order.
    pub(crate) fn spans(&self) -> impl ExactSizeIterator<Item = (Mark, Mark)> {
        self.spans.values().copied()
    }

    /// Adds a span that overlaps no other one.
    fn join(&mut self, mut from: Mark, mut to: Mark) {
        if let Some((&start, &(before, end))) = self.spans.range(..from.records).next_back()
            && end.records == from.records
        {
            from = before;
            self.spans.remove(&start);
        }
        if let Some((_, end)) = self.spans.remove(&to.records) {
            to = end;
        }
        self.spans.insert(from.records, (from, to));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mark(records: u64) -> Mark {
        Mark {
            records,
            items: 10 * records,
            bytes: 100 * records,
        }
    }

    fn spans(done: &Done) -> Vec<(u64, u64)> {
        done.spans().map(|(a, b)| (a.records, b.records)).collect()
    }

    #[test]
    fn spans_that_touch_become_one() {
        let mut done = Done::default();
        for (from, to) in [(0, 1), (2, 3), (5, 6), (3, 5), (1, 2)] {
            done.insert(mark(from), mark(to));
        }
        assert_eq!(spans(&done), [(0, 6)]);
        assert_eq!(done.total(), mark(6));
        done.insert(mark(4), mark(8));
        assert_eq!(spans(&done), [(0, 8)]);
        assert_eq!(done.total(), mark(8));
    }

    #[test]
    fn what_is_missing_is_known() {
        let mut done = Done::default();
        done.insert(mark(2), mark(4));
        done.insert(mark(6), mark(7));
        let missing = |from, to| -> Vec<(u64, u64)> {
            let found = done.missing(mark(from), mark(to));
            found.iter().map(|(a, b)| (a.records, b.records)).collect()
        };
        assert_eq!(missing(0, 9), [(0, 2), (4, 6), (7, 9)]);
        assert_eq!(missing(3, 6), [(4, 6)]);
        assert_eq!(missing(2, 4), []);
        assert!(done.covers(2, 4) && !done.covers(2, 5) && !done.covers(1, 4));
        assert_eq!(done.end(), mark(7));
    }
}
