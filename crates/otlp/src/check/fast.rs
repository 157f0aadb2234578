//! The check without its errors: the loop that every payload goes through.
//!
//! It knows the same rules as the check that explains, but answers yes or no only, so that nothing
//! in it builds, moves or tests for an error value. What it refuses is checked again for the
//! explanation.

use super::{check_packed, is_id, is_text};
use crate::schema::{KEY_VALUE, Kind, Label, Message};
use crate::wire::{self, WireType};

/// Whether a message is well formed; `levels` is how many more may nest in it. Counts the items.
pub(super) fn is_well_formed(
    message: &'static Message,
    payload: &[u8],
    levels: usize,
    items: &mut usize,
) -> bool {
    let mut rest = payload;
    while let [first, tail @ ..] = rest {
        let (tag, after) = match *first {
            tag @ 0..0x80 => (u32::from(tag), tail),
            _ => match wire::take_tag(rest) {
                Ok(read) => read,
                Err(_) => return false,
            },
        };
        let Some(field) = message.field(tag >> 3) else {
            match wire::take_field(rest) {
                Ok((_, after)) => rest = after,
                Err(_) => return false,
            }
            continue;
        };
        if tag & 7 != field.wire_type as u32 {
            let packed = WireType::of_tag(tag).map(|found| check_packed(field, found, after));
            match packed {
                Ok(Ok(after)) => rest = after,
                _ => return false,
            }
            continue;
        }
        // One jump for wire type and kind.
        let next = match field.kind {
            Kind::Message(message) => take_bytes(after, |value| {
                if std::ptr::eq(message, &KEY_VALUE) && levels > 1 && is_usual_attribute(value) {
                    return true;
                }
                *items += usize::from(field.label == Label::Items);
                levels > 0 && is_well_formed(message, value, levels - 1, items)
            }),
            Kind::Text => take_bytes(after, is_text),
            Kind::TraceId => take_bytes(after, |value| is_id(value, 16)),
            Kind::SpanId => take_bytes(after, |value| is_id(value, 8)),
            Kind::Bytes => take_bytes(after, |_| true),
            Kind::Double | Kind::Fixed64 | Kind::Sfixed64 => after.get(8..),
            Kind::Fixed32 => after.get(4..),
            Kind::Int64
            | Kind::Uint64
            | Kind::Int32
            | Kind::Uint32
            | Kind::Sint32
            | Kind::Bool
            | Kind::Enum => match after {
                [0..0x80, after @ ..] => Some(after),
                _ => wire::take_varint(after).ok().map(|(_, after)| after),
            },
        };
        match next {
            Some(after) => rest = after,
            None => return false,
        }
    }
    true
}

/// Whether a `KeyValue` is one of those that most of a payload consists of: an ASCII key of less than
/// 128 bytes and a string of that kind, an integer, or a boolean, once each and in this order. `false`
/// says nothing: the tables decide then.
#[inline]
fn is_usual_attribute(attribute: &[u8]) -> bool {
    let [KEY, key @ 0..0x80, rest @ ..] = attribute else {
        return false;
    };
    let Some((key, rest)) = rest.split_at_checked(usize::from(*key)) else {
        return false;
    };
    let [VALUE, length @ 0..0x80, value @ ..] = rest else {
        return false;
    };
    if usize::from(*length) != value.len() {
        return false;
    }
    match value {
        // Tags and lengths below 128 are ASCII as well, so one look is enough for everything.
        [STRING, length @ 0..0x80, text @ ..] => {
            usize::from(*length) == text.len() && attribute.is_ascii()
        }
        [BOOL | INT, number @ ..] => {
            key.is_ascii() && wire::take_varint(number).is_ok_and(|(_, after)| after.is_empty())
        }
        _ => false,
    }
}

/// The tags of `KeyValue.key` and `KeyValue.value`.
const KEY: u8 = 0x0a;
const VALUE: u8 = 0x12;
/// The tags of `AnyValue.string_value`, `bool_value` and `int_value`.
const STRING: u8 = 0x0a;
const BOOL: u8 = 0x10;
const INT: u8 = 0x18;

/// What follows a length-delimited value, if that fits.
#[inline(always)]
fn take_bytes(from: &[u8], fits: impl FnOnce(&[u8]) -> bool) -> Option<&[u8]> {
    let (value, after) = match from {
        [length @ 0..0x80, after @ ..] => after.split_at_checked(usize::from(*length))?,
        _ => wire::take_bytes(from).ok()?,
    };
    fits(value).then_some(after)
}
