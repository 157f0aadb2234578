//! The attributes of one message, to be read and changed.

use std::borrow::Cow;
use std::ops::Range;

use super::{Rewriter, fields};
use crate::encode::{begin_message, end_message, put_bytes};
use crate::value::EncodedValue;
use crate::view::{AnyValue, KeyValue};
use crate::wire::Value;

/// See the module. Kept over several messages, it needs no new memory for each.
///
/// Should a key stand there more than once, which OTLP forbids, the first one is read and all are
/// changed: what is to be hidden must not be found behind its double.
#[derive(Debug, Default)]
pub struct Attributes<'a> {
    entries: Vec<Entry<'a>>,
    changed: bool,
}

#[derive(Debug)]
struct Entry<'a> {
    key: Cow<'a, str>,
    /// The encoded `AnyValue`.
    value: Cow<'a, [u8]>,
    /// The encoded `KeyValue` as it came; empty for a new one.
    message: &'a [u8],
    state: State,
}

#[derive(Debug)]
enum State {
    /// As it came: a field at this place.
    Same(Range<usize>),
    /// The field at this place gets another value.
    Changed(Range<usize>),
    /// The field at this place goes.
    Removed(Range<usize>),
    /// A further field.
    New,
}

/// `KeyValue.value`.
const VALUE: u32 = 2;

// === impl Attributes ===

impl<'a> Attributes<'a> {
    /// Reads the attributes in the fields `number` of the message whose content stands at `content`,
    /// in place of what was read before.
    pub fn read(&mut self, request: &'a [u8], content: Range<usize>, number: u32) {
        self.entries.clear();
        self.changed = false;
        for placed in fields(request, content) {
            let (true, Value::Bytes(message)) = (placed.field.number == number, placed.field.value)
            else {
                continue;
            };
            let attribute = KeyValue::new(message);
            self.entries.push(Entry {
                key: attribute.key().into(),
                value: attribute.value_bytes().into(),
                message,
                state: State::Same(placed.range),
            });
        }
    }

    /// The value of an attribute.
    pub fn get(&self, key: &str) -> Option<AnyValue<'_>> {
        self.get_bytes(key).map(AnyValue::new)
    }

    /// The value of an attribute, encoded.
    pub fn get_bytes(&self, key: &str) -> Option<&[u8]> {
        let entry = self.present().find(|entry| entry.key == key)?;
        Some(&entry.value)
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.present().next().is_none()
    }

    /// The keys, in order.
    pub fn keys(&self) -> impl Iterator<Item = &str> {
        self.present().map(|entry| &*entry.key)
    }

    /// Sets an attribute, a new one behind all others.
    pub fn set(&mut self, key: &str, value: EncodedValue) {
        let mut found = false;
        for entry in &mut self.entries {
            if entry.key == key && !matches!(entry.state, State::Removed(_)) {
                self.changed |= entry.change(value.as_bytes());
                found = true;
            }
        }
        if !found {
            self.changed = true;
            self.entries.push(Entry {
                key: key.to_owned().into(),
                value: value.into_bytes().into(),
                message: &[],
                state: State::New,
            });
        }
    }

    /// Takes an attribute out.
    pub fn remove(&mut self, key: &str) {
        self.retain(|other| other != key);
    }

    /// Takes all attributes out whose keys are not to be kept.
    pub fn retain(&mut self, keep: impl Fn(&str) -> bool) {
        let changed = &mut self.changed;
        self.entries.retain_mut(|entry| {
            let range = match &entry.state {
                State::Removed(_) => return true,
                _ if keep(&entry.key) => return true,
                State::Same(range) | State::Changed(range) => range.clone(),
                State::New => return false,
            };
            entry.state = State::Removed(range);
            *changed = true;
            true
        });
    }

    /// Whether anything was changed.
    pub fn is_changed(&self) -> bool {
        self.changed
    }

    /// Writes the changes; the message that they stand in has been entered. New attributes become
    /// fields `number` at its end, so that whatever else changes in it has to be written before.
    pub fn write(&self, number: u32, rewriter: &mut Rewriter<'a>) {
        if !self.changed {
            return;
        }
        for entry in &self.entries {
            match &entry.state {
                State::Same(_) => {}
                State::Removed(range) => rewriter.remove(range.clone()),
                State::Changed(range) => rewriter.replace(range.clone(), |out| {
                    let attribute = begin_message(out, number);
                    copy_without_value(entry.message, out);
                    put_bytes(out, VALUE, &entry.value);
                    end_message(out, attribute);
                }),
                State::New => rewriter.append(|out| put_new(entry, number, out)),
            }
        }
    }

    /// Appends all that is there as fields `number`; for a message that did not exist before.
    pub fn put(&self, number: u32, out: &mut Vec<u8>) {
        for entry in self.present() {
            put_new(entry, number, out);
        }
    }

    fn present(&self) -> impl Iterator<Item = &Entry<'a>> {
        let entries = self.entries.iter();
        entries.filter(|entry| !matches!(entry.state, State::Removed(_)))
    }
}

// === impl Entry ===

impl Entry<'_> {
    /// Gives it another value; whether it is another one.
    fn change(&mut self, value: &[u8]) -> bool {
        if *self.value == *value {
            return false;
        }
        self.value = value.to_vec().into();
        if let State::Same(range) = &self.state {
            self.state = State::Changed(range.clone());
        }
        true
    }
}

fn put_new(entry: &Entry<'_>, number: u32, out: &mut Vec<u8>) {
    let attribute = begin_message(out, number);
    put_bytes(out, 1, entry.key.as_bytes());
    put_bytes(out, VALUE, &entry.value);
    end_message(out, attribute);
}

/// Appends every field of a `KeyValue` but its value.
fn copy_without_value(message: &[u8], out: &mut Vec<u8>) {
    for placed in fields(message, 0..message.len()) {
        if placed.field.number != VALUE {
            out.extend_from_slice(message.get(placed.range).unwrap_or_default());
        }
    }
}
