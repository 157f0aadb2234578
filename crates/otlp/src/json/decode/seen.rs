//! Which of the values of a message count: the last of equal keys, and the last of a `oneof`.

use crate::schema::{Field, Label, Message};

/// What a message has had so far, to let the last of equal keys win.
pub(super) struct Seen {
    /// One bit for each field number.
    numbers: u32,
    /// Where the last value of each field begins in the output.
    last: [usize; 32],
    /// Where the last member of the `oneof` begins.
    last_of_oneof: Option<usize>,
    /// Whether anything was written that does not count any more.
    pub(super) stale: bool,
}

// === impl Seen ===

impl Seen {
    pub(super) fn new() -> Self {
        Self {
            numbers: 0,
            last: [0; 32],
            last_of_oneof: None,
            stale: false,
        }
    }

    pub(super) fn note(&mut self, field: &Field, at: usize, written: bool) {
        let bit = 1u32.checked_shl(field.number).unwrap_or_default();
        self.stale |= self.numbers & bit != 0;
        self.numbers |= bit;
        if let Some(last) = self.last.get_mut(field.number as usize) {
            *last = at;
        }
        if field.label == Label::OneOf && written {
            self.stale |= self.last_of_oneof.replace(at).is_some();
        }
    }

    /// Whether a field that was written at an offset is the last of its name and of its `oneof`.
    pub(super) fn counts(&self, message: &'static Message, number: u32, at: usize) -> bool {
        let last = self
            .last
            .get(number as usize)
            .is_none_or(|last| at >= *last);
        let of_oneof = message
            .field(number)
            .is_some_and(|field| field.label == Label::OneOf);
        last && (!of_oneof || self.last_of_oneof.is_none_or(|last| at >= last))
    }
}
