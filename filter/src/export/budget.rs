//! The bytes that a worker's VM may hold for records that are not delivered yet.
//!
//! All root contexts of a VM share one budget, since a replaced configuration drains in the same VM
//! beside the new one.

use std::cell::Cell;
use std::rc::Rc;

/// A shared count of held bytes. Clones count together.
#[derive(Clone, Debug, Default)]
pub struct Budget(Rc<Cell<usize>>);

impl Budget {
    /// Takes `bytes` if the total then stays within `limit`.
    pub(crate) fn take(&self, bytes: usize, limit: usize) -> bool {
        match self.0.get().checked_add(bytes) {
            Some(total) if total <= limit => {
                self.0.set(total);
                true
            }
            _ => false,
        }
    }

    /// Gives `bytes` back that were taken.
    pub(crate) fn give_back(&self, bytes: usize) {
        self.0.set(self.0.get().saturating_sub(bytes));
    }

    /// How many bytes are held.
    pub fn held(&self) -> usize {
        self.0.get()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clones_share_one_limit() {
        let budget = Budget::default();
        assert!(budget.take(60, 100));
        let clone = budget.clone();
        assert!(!clone.take(41, 100));
        assert!(clone.take(40, 100));
        assert_eq!(budget.held(), 100);
        budget.give_back(60);
        assert!(clone.take(60, 100));
        assert!(!clone.take(usize::MAX, usize::MAX));
    }
}
