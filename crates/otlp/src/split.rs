//! Cutting a request into several.
//!
//! Putting requests together needs no code: the top level of each request is one repeated field, so
//! the concatenation of payloads is the request that holds all of them.

use crate::Signal;
use crate::encode::{OpenMessage, begin_message, bytes_field_len, end_message, put_bytes};
use crate::wire::{Fields, Value};

/// The most bytes that the tag and the length of a message take here: field numbers are below 16, and
/// a length below 4 GiB.
const MAX_PREFIX: usize = 6;

/// How large a part may get.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// How many spans, log records or data points; 0 counts as 1.
    pub items: usize,
    /// How many bytes before compression. A part goes over it only with a single item, for one that
    /// does not fit with what it belongs to.
    pub bytes: usize,
}

/// One level of the way from the request to an item.
struct Level<'a> {
    /// The field of the level above that holds this message.
    number: u32,
    /// All fields of the message except the ones that lead to items; every part repeats them.
    head: Vec<&'a [u8]>,
}

/// The parts written so far and the one being written.
struct Splitter<'a> {
    limits: Limits,
    parts: Vec<(Vec<u8>, usize)>,
    part: Vec<u8>,
    items: usize,
    /// The messages that the next item stands in, the outermost first.
    levels: Vec<Level<'a>>,
    /// Those of them that the part has begun.
    open: Vec<OpenMessage>,
}

/// Cuts a [checked](crate::check()) request into requests of at most `max_items` items each (at
/// least 1), in the order of the items, and says how many each holds.
///
/// Every part repeats the resource, the scope and the metric that its items belong to. Resources,
/// scopes and metrics without items are left out.
pub fn split(signal: Signal, payload: &[u8], max_items: usize) -> Vec<(Vec<u8>, usize)> {
    let limits = Limits {
        items: max_items,
        bytes: usize::MAX,
    };
    split_within(signal, payload, limits)
}

/// [`split`] with a limit of bytes too, for a next hop that limits the size of requests.
pub fn split_within(signal: Signal, payload: &[u8], limits: Limits) -> Vec<(Vec<u8>, usize)> {
    let mut splitter = Splitter {
        limits,
        parts: Vec::new(),
        part: Vec::new(),
        items: 0,
        levels: Vec::new(),
        open: Vec::new(),
    };
    splitter.descend(signal.spine(), payload);
    splitter.finish_part();
    splitter.parts
}

// === impl Splitter ===

impl<'a> Splitter<'a> {
    fn descend(&mut self, spine: &[&[u32]], message: &'a [u8]) {
        let [level, deeper @ ..] = spine else {
            return;
        };
        for field in Fields::new(message).map_while(Result::ok) {
            let Some(value) = leads_on(level, field.number, field.value) else {
                continue;
            };
            let [next, ..] = deeper else {
                self.put_item(field.number, value);
                continue;
            };
            self.levels.push(Level {
                number: field.number,
                head: head(next, value),
            });
            self.descend(deeper, value);
            self.levels.pop();
            self.close_to(self.levels.len());
        }
    }

    fn put_item(&mut self, number: u32, item: &[u8]) {
        if self.items >= self.limits.items || self.size_with(number, item) > self.limits.bytes {
            self.finish_part();
        }
        for level in self.levels.get(self.open.len()..).unwrap_or_default() {
            let message = begin_message(&mut self.part, level.number);
            self.open.push(message);
            for field in &level.head {
                self.part.extend_from_slice(field);
            }
        }
        put_bytes(&mut self.part, number, item);
        self.items += 1;
    }

    /// How large the part gets with another item, at most.
    fn size_with(&self, number: u32, item: &[u8]) -> usize {
        let new = self.levels.get(self.open.len()..).unwrap_or_default();
        let heads: usize = new
            .iter()
            .flat_map(|level| &level.head)
            .map(|f| f.len())
            .sum();
        let prefixes = MAX_PREFIX * self.levels.len();
        self.part.len() + heads + prefixes + bytes_field_len(number, item.len())
    }

    fn close_to(&mut self, depth: usize) {
        while self.open.len() > depth {
            if let Some(message) = self.open.pop() {
                end_message(&mut self.part, message);
            }
        }
    }

    fn finish_part(&mut self) {
        self.close_to(0);
        if self.items > 0 {
            let part = std::mem::take(&mut self.part);
            self.parts.push((part, std::mem::take(&mut self.items)));
        }
    }
}

/// The message in a field that leads to items.
fn leads_on<'a>(level: &[u32], number: u32, value: Value<'a>) -> Option<&'a [u8]> {
    value.as_bytes().filter(|_| level.contains(&number))
}

/// The encoded fields of a message that do not lead to items; neighbours are one slice.
fn head<'a>(level: &[u32], message: &'a [u8]) -> Vec<&'a [u8]> {
    let mut head = Vec::new();
    let mut fields = Fields::new(message);
    let mut start = message;
    let mut before = message;
    while let Some(Ok(field)) = fields.next() {
        if leads_on(level, field.number, field.value).is_some() {
            push_run(&mut head, start, before);
            start = fields.rest();
        }
        before = fields.rest();
    }
    push_run(&mut head, start, before);
    head
}

/// Adds what lies between the beginnings of `from` and `to`, which end at the same place.
fn push_run<'a>(head: &mut Vec<&'a [u8]>, from: &'a [u8], to: &[u8]) {
    let run = from.get(..from.len().saturating_sub(to.len()));
    head.extend(run.filter(|run| !run.is_empty()));
}
