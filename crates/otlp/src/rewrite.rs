//! Changing a request in place of decoding it: what does not change is copied as it is.
//!
//! Whoever changes a request walks it with [`fields`], which says where each field stands, and tells
//! a [`Rewriter`] which messages it goes into ([`enter`](Rewriter::enter),
//! [`leave`](Rewriter::leave)) and what it changes there. Nothing is written before the first
//! change, and nothing at all if there is none. The lengths of the messages around a change are
//! written anew, in the shortest form; all other bytes, unknown fields among them, stay what they
//! were.
//!
//! Left out: what the fields mean.

mod attributes;
mod items;

use std::ops::Range;

use crate::encode::{OpenMessage, begin_message, end_message};
use crate::wire::{Field, Fields};

pub use self::attributes::Attributes;
pub use self::items::{Fate, Item, edit_items, edit_resources};

/// A field and where it stands in the request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Placed<'a> {
    /// The field.
    pub field: Field<'a>,
    /// Its bytes in the request, from the tag to the end of the value.
    pub range: Range<usize>,
}

/// A copy of a request that begins with its first change.
#[derive(Debug)]
pub struct Rewriter<'a> {
    request: &'a [u8],
    /// Up to where the request has been copied, replaced or removed.
    done: usize,
    out: Vec<u8>,
    /// The messages that the next change stands in, the outermost first.
    levels: Vec<Level>,
    /// How many of them have been begun in `out`.
    open: usize,
    changed: bool,
}

#[derive(Debug)]
struct Level {
    number: u32,
    /// Its bytes in the request, from the tag to the end.
    range: Range<usize>,
    /// Where its content begins in the request.
    content: usize,
    /// Its beginning in `out`, and where `out` ended before it; absent until something in it
    /// changes.
    begun: Option<(OpenMessage, usize)>,
}

/// The fields of the message whose content stands at `content` in a request. Ends at the first one
/// that is not well formed.
pub fn fields(request: &[u8], content: Range<usize>) -> impl Iterator<Item = Placed<'_>> {
    let end = content.end;
    let mut start = content.start;
    let mut fields = Fields::new(request.get(content).unwrap_or_default());
    std::iter::from_fn(move || {
        let field = fields.next()?.ok()?;
        let range = start..end.saturating_sub(fields.rest().len());
        start = range.end;
        Some(Placed { field, range })
    })
}

// === impl Placed ===

impl Placed<'_> {
    /// Where the content of a length-delimited field stands in the request; empty, and at the end of
    /// the field, for others.
    pub fn content(&self) -> Range<usize> {
        let length = self.field.value.as_bytes().map_or(0, <[u8]>::len);
        self.range.end.saturating_sub(length)..self.range.end
    }
}

// === impl Rewriter ===

impl<'a> Rewriter<'a> {
    /// Begins with an unchanged request.
    pub fn new(request: &'a [u8]) -> Self {
        Self {
            request,
            done: 0,
            out: Vec::new(),
            levels: Vec::new(),
            open: 0,
            changed: false,
        }
    }

    /// The request as it came.
    pub fn request(&self) -> &'a [u8] {
        self.request
    }

    /// The changes that follow stand in this message, a field of the one entered before. Changes are
    /// told in the order of the request.
    pub fn enter(&mut self, message: &Placed<'_>) {
        self.levels.push(Level {
            number: message.field.number,
            range: message.range.clone(),
            content: message.content().start,
            begun: None,
        });
    }

    /// Ends the message entered last.
    pub fn leave(&mut self) {
        let Some(level) = self.levels.pop() else {
            return;
        };
        if let Some((message, _)) = level.begun {
            self.copy_to(level.range.end);
            end_message(&mut self.out, message);
            self.open = self.open.saturating_sub(1);
        }
    }

    /// Ends the message entered last, and takes it out of the request.
    pub fn leave_out(&mut self) {
        let Some(level) = self.levels.pop() else {
            return;
        };
        if let Some((_, before)) = level.begun {
            self.out.truncate(before);
            self.open = self.open.saturating_sub(1);
            self.done = level.range.end;
        } else {
            self.remove(level.range);
        }
    }

    /// Takes a field out.
    pub fn remove(&mut self, field: Range<usize>) {
        self.replace(field, |_| {});
    }

    /// Writes something else in the place of `field`, whole fields each.
    pub fn replace(&mut self, field: Range<usize>, write: impl FnOnce(&mut Vec<u8>)) {
        self.open_levels();
        self.copy_to(field.start);
        write(&mut self.out);
        self.done = field.end;
        self.changed = true;
    }

    /// Writes further fields at the end of the message entered last.
    pub fn append(&mut self, write: impl FnOnce(&mut Vec<u8>)) {
        let end = self
            .levels
            .last()
            .map_or(self.request.len(), |level| level.range.end);
        self.replace(end..end, write);
    }

    /// The changed request; `None` if nothing was changed.
    pub fn finish(mut self) -> Option<Vec<u8>> {
        while !self.levels.is_empty() {
            self.leave();
        }
        if !self.changed {
            return None;
        }
        self.copy_to(self.request.len());
        Some(self.out)
    }

    /// Begins the messages in `out` that the next change stands in.
    fn open_levels(&mut self) {
        if self.out.capacity() == 0 {
            // Most changes are small beside the request.
            self.out
                .reserve(self.request.len() + self.request.len() / 8);
        }
        for at in self.open..self.levels.len() {
            let Some((start, content, number)) = self
                .levels
                .get(at)
                .map(|level| (level.range.start, level.content, level.number))
            else {
                break;
            };
            self.copy_to(start);
            let before = self.out.len();
            let message = begin_message(&mut self.out, number);
            self.done = content;
            if let Some(level) = self.levels.get_mut(at) {
                level.begun = Some((message, before));
            }
        }
        self.open = self.levels.len();
    }

    fn copy_to(&mut self, end: usize) {
        let part = self.request.get(self.done..end).unwrap_or_default();
        self.out.extend_from_slice(part);
        self.done = self.done.max(end);
    }
}

#[cfg(test)]
mod tests;
