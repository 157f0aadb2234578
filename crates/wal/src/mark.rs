//! Points in a log.

/// How much of a log lies before a point. The difference of two marks is what lies between them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Mark {
    /// Records; the number of the record that begins here.
    pub records: u64,
    /// The items in them.
    pub items: u64,
    /// The bytes of their payloads.
    pub bytes: u64,
}

// === impl Mark ===

impl Mark {
    /// The point behind one more record.
    #[must_use]
    pub fn after(self, items: u64, bytes: u64) -> Self {
        Self {
            records: self.records.saturating_add(1),
            items: self.items.saturating_add(items),
            bytes: self.bytes.saturating_add(bytes),
        }
    }

    /// How much lies between `earlier` and this point.
    #[must_use]
    pub fn since(self, earlier: Self) -> Self {
        Self {
            records: self.records.saturating_sub(earlier.records),
            items: self.items.saturating_sub(earlier.items),
            bytes: self.bytes.saturating_sub(earlier.bytes),
        }
    }

    /// The sum of two amounts.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        Self {
            records: self.records.saturating_add(other.records),
            items: self.items.saturating_add(other.items),
            bytes: self.bytes.saturating_add(other.bytes),
        }
    }
}
