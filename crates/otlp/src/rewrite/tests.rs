//! Tests byte by byte; `tests/rewrite.rs` compares with an oracle.

use super::*;
use crate::encode::{put_bytes, put_string_attribute, put_uint};
use crate::{EncodedValue, Signal, check};

/// No version of OTLP has it.
const UNKNOWN: u32 = 900;

fn message(write: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    let mut out = Vec::new();
    write(&mut out);
    out
}

/// Fields between, before and behind unknown ones.
fn among_unknown(number: u32, content: &[u8]) -> Vec<u8> {
    message(|out| {
        put_uint(out, UNKNOWN, 1);
        put_bytes(out, number, content);
        put_bytes(out, UNKNOWN, b"two");
    })
}

/// A request for one span of these bytes, with unknown fields on every level.
fn request(span: &[u8]) -> Vec<u8> {
    among_unknown(1, &among_unknown(2, &among_unknown(2, span)))
}

fn rewrite(request: &[u8], change: impl Fn(&mut Attributes<'_>)) -> Option<Vec<u8>> {
    assert!(check(Signal::Traces, request).is_ok());
    let mut rewriter = Rewriter::new(request);
    let mut attributes = Attributes::default();
    edit_items(Signal::Traces, &mut rewriter, |item, rewriter| {
        attributes.read(rewriter.request(), item.range(), item.attributes_field);
        change(&mut attributes);
        attributes.write(item.attributes_field, rewriter);
        Fate::Stay
    });
    rewriter.finish()
}

#[test]
fn unknown_fields_stay_on_every_level() {
    let key_value = |value: &str| {
        message(|out| {
            put_uint(out, UNKNOWN, 5);
            put_bytes(out, 1, b"a");
            put_bytes(out, 2, EncodedValue::string(value).as_bytes());
        })
    };
    let span = |value: &str| among_unknown(9, &key_value(value));
    let changed = rewrite(&request(&span("old")), |attributes| {
        attributes.set("a", EncodedValue::string("a longer one"));
    });
    assert_eq!(changed.unwrap(), request(&span("a longer one")));
    // The value behind a field that follows it is the one that counts, and goes.
    let mut twice = key_value("old");
    put_bytes(&mut twice, 2, EncodedValue::int(3).as_bytes());
    let changed = rewrite(&request(&among_unknown(9, &twice)), |attributes| {
        assert_eq!(attributes.get("a"), Some(crate::view::AnyValue::Int(3)));
        attributes.set("a", EncodedValue::string("new"));
    });
    assert_eq!(changed.unwrap(), request(&span("new")));
}

#[test]
fn lengths_are_the_shortest_whatever_the_size_becomes() {
    for (before, after) in [
        (1, 200),
        (200, 1),
        (100, 20_000),
        (20_000, 1),
        (1, 3_000_000),
    ] {
        let span = |size: usize| {
            message(|out| put_string_attribute(out, 9, "a", "v".repeat(size).as_bytes()))
        };
        let changed = rewrite(&request(&span(before)), |attributes| {
            attributes.set("a", EncodedValue::string(&"v".repeat(after)));
        });
        assert_eq!(
            changed.unwrap(),
            request(&span(after)),
            "{before} to {after}"
        );
    }
}

#[test]
fn nothing_is_copied_without_a_change() {
    let span = message(|out| put_string_attribute(out, 9, "a", b"b"));
    let same = |attributes: &mut Attributes<'_>| {
        attributes.set("a", EncodedValue::string("b"));
        attributes.remove("c");
        attributes.set("d", EncodedValue::bool(true));
        attributes.remove("d");
    };
    assert_eq!(rewrite(&request(&span), same), None);
}

#[test]
fn doubles_of_a_key_change_together() {
    let span = message(|out| {
        put_string_attribute(out, 9, "a", b"1");
        put_string_attribute(out, 9, "b", b"2");
        put_string_attribute(out, 9, "a", b"3");
    });
    let changed = rewrite(&request(&span), |attributes| attributes.remove("a"));
    let rest = message(|out| put_string_attribute(out, 9, "b", b"2"));
    assert_eq!(changed.unwrap(), request(&rest));
}

#[test]
fn a_resource_in_parts_is_one_resource() {
    let attribute = |key: &str| message(|out| put_string_attribute(out, 1, key, b"v"));
    let request = message(|out| {
        let group = message(|out| {
            put_bytes(out, 1, &attribute("a"));
            put_bytes(out, UNKNOWN, b"");
            put_bytes(out, 1, &attribute("b"));
        });
        put_bytes(out, 1, &group);
    });
    let mut rewriter = Rewriter::new(&request);
    edit_resources(&mut rewriter, |attributes| {
        assert_eq!(attributes.keys().collect::<Vec<_>>(), ["a", "b"]);
        attributes.remove("a");
    });
    let expected = message(|out| {
        let group = message(|out| {
            put_bytes(out, 1, &attribute("b"));
            put_bytes(out, UNKNOWN, b"");
        });
        put_bytes(out, 1, &group);
    });
    assert_eq!(rewriter.finish().unwrap(), expected);
}

#[test]
fn what_holds_nothing_any_more_goes_and_what_held_nothing_stays() {
    let scope = |spans: usize| message(|out| (0..spans).for_each(|_| put_bytes(out, 2, b"")));
    let request = message(|out| {
        for scopes in [vec![2, 0], vec![1], vec![0]] {
            let group = message(|out| {
                for spans in scopes {
                    put_bytes(out, 2, &scope(spans));
                }
            });
            put_bytes(out, 1, &group);
        }
    });
    let mut rewriter = Rewriter::new(&request);
    let gone = edit_items(Signal::Traces, &mut rewriter, |_, _| Fate::Go);
    assert_eq!(gone, 3);
    // The first group held spans, and holds a scope that had none before; it goes all the same.
    let expected = message(|out| {
        let group = message(|out| put_bytes(out, 2, b""));
        put_bytes(out, 1, &group);
    });
    assert_eq!(rewriter.finish().unwrap(), expected);
}
