//! Tests of each action; `tests/processors.rs` compares whole requests with an oracle.

use http::HeaderMap;
use spanmesh_otlp::encode;
use spanmesh_otlp::rewrite::Rewriter;

use super::*;
use crate::config::{Node, Section, parse_for_tests};

fn read(yaml: &str) -> Result<Actions, String> {
    let node: Node = parse_for_tests(yaml);
    let actions = Section::new(&node, "actions").read();
    actions.map_err(|problems| problems.to_string())
}

/// What the actions make of a message with these attributes, as `key=value` with the value's type.
fn apply(yaml: &str, client: Option<&Client>) -> Vec<String> {
    let actions = read(yaml).unwrap_or_else(|error| panic!("{error}"));
    let mut message = Vec::new();
    encode::put_string_attribute(&mut message, 9, "text", b"user-7@example.com");
    encode::put_int_attribute(&mut message, 9, "int", 200);
    encode::put_bool_attribute(&mut message, 9, "bool", true);
    encode::put_double_attribute(&mut message, 9, "double", 2.5);
    encode::put_string_attribute(&mut message, 9, "digits", b"42");
    let mut attributes = Attributes::default();
    attributes.read(&message, 0..message.len(), 9);
    actions.apply(&mut attributes, client);
    let mut rewriter = Rewriter::new(&message);
    attributes.write(9, &mut rewriter);
    let message = rewriter.finish().unwrap_or_else(|| message.clone());
    let mut attributes = Attributes::default();
    attributes.read(&message, 0..message.len(), 9);
    let show = |key| format!("{key}={:?}", attributes.get(key).unwrap());
    attributes.keys().map(show).collect()
}

/// The attributes of [`apply`] as they are before.
const BEFORE: [&str; 5] = [
    "text=\"user-7@example.com\"",
    "int=200",
    "bool=true",
    "double=2.5",
    "digits=\"42\"",
];

/// Expects the attributes of [`BEFORE`], with these in the place of those with their keys or behind
/// all others.
#[track_caller]
fn changes(yaml: &str, changed: &[&str]) {
    let key = |attribute: &str| attribute.split_once('=').unwrap().0.to_owned();
    let mut expected: Vec<String> = BEFORE.map(str::to_owned).to_vec();
    for change in changed {
        match expected.iter_mut().find(|known| key(known) == key(change)) {
            Some(known) => *known = (*change).to_owned(),
            None => expected.push((*change).to_owned()),
        }
    }
    assert_eq!(apply(yaml, None), expected, "{yaml}");
}

#[test]
fn values_are_put_where_they_belong() {
    changes("[{key: int, value: 1, action: insert}]", &[]);
    changes("[{key: new, value: 1, action: insert}]", &["new=1"]);
    changes("[{key: int, value: 1, action: update}]", &["int=1"]);
    changes("[{key: new, value: 1, action: update}]", &[]);
    changes("[{key: int, value: 1, action: upsert}]", &["int=1"]);
    changes("[{key: new, value: 1, action: UPSERT}]", &["new=1"]);
}

#[test]
fn values_have_the_types_that_they_are_written_with() {
    for (value, shown) in [
        ("7", "7"),
        ("'7'", "\"7\""),
        ("-7.5", "-7.5"),
        ("false", "false"),
        ("[a, 1, [true]]", "[\"a\", 1, [true]]"),
        ("{a: {b: 1}}", "{\"a\": {\"b\": 1}}"),
    ] {
        let yaml = format!("[{{key: new, value: {value}, action: insert}}]");
        changes(&yaml, &[&format!("new={shown}")]);
    }
}

#[test]
fn values_come_from_other_attributes() {
    changes(
        "[{key: new, from_attribute: int, action: insert}]",
        &["new=200"],
    );
    changes("[{key: int, from_attribute: none, action: upsert}]", &[]);
    // One after the other.
    changes(
        "[{key: a, from_attribute: int, action: insert}, {key: b, from_attribute: a, action: insert}]",
        &["a=200", "b=200"],
    );
}

#[test]
fn values_come_from_the_client() {
    let mut metadata = HeaderMap::new();
    metadata.append("x-tenant", "a".parse().unwrap());
    metadata.append("x-tenant", "b".parse().unwrap());
    let client = Client {
        address: Some("192.0.2.7".parse().unwrap()),
        metadata,
        auth: [("subject".to_owned(), vec!["me".to_owned()])].into(),
    };
    let from = |key: &str, client: Option<&Client>| {
        let yaml = format!("[{{key: new, from_context: {key}, action: insert}}]");
        apply(&yaml, client).get(5).cloned()
    };
    let p = |key: &str| from(key, Some(&client)).unwrap_or_default();
    assert_eq!(p("metadata.X-Tenant"), "new=\"a;b\"");
    assert_eq!(p("x-tenant"), "new=\"a;b\"");
    assert_eq!(p("client.address"), "new=\"192.0.2.7\"");
    assert_eq!(p("auth.subject"), "new=\"me\"");
    assert_eq!(p("auth.other"), "");
    assert_eq!(p("metadata.other"), "");
    assert_eq!(from("client.address", None), None);
}

#[test]
fn attributes_are_deleted_by_key_and_by_pattern() {
    let left = |yaml: &str| apply(yaml, None).len();
    assert_eq!(left("[{key: int, action: delete}]"), 4);
    assert_eq!(left("[{key: none, action: delete}]"), 5);
    assert_eq!(left("[{pattern: '^d', action: delete}]"), 3);
    assert_eq!(left("[{key: text, pattern: '^d', action: delete}]"), 2);
}

#[test]
fn hashes_hide_every_simple_value() {
    let shown = apply("[{pattern: '.*', action: hash}]", None);
    assert_eq!(shown.len(), 5);
    for attribute in &shown {
        let (_, value) = attribute.split_once('=').unwrap();
        assert_eq!(value.len(), 2 + 64, "{attribute}");
    }
    let hash_of = |bytes: &[u8]| {
        let digest = digest::digest(&digest::SHA256, bytes);
        let digits: String = digest.as_ref().iter().map(|b| format!("{b:02x}")).collect();
        format!("{digits:?}")
    };
    // The vector of FIPS 180-4.
    assert_eq!(
        hash_of(b"abc"),
        "\"ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad\""
    );
    assert_eq!(shown[0], format!("text={}", hash_of(b"user-7@example.com")));
    assert_eq!(shown[1], format!("int={}", hash_of(&200_i64.to_le_bytes())));
    assert_eq!(shown[2], format!("bool={}", hash_of(&[1])));
    assert_eq!(
        shown[3],
        format!("double={}", hash_of(&2.5_f64.to_bits().to_le_bytes()))
    );
}

#[test]
fn groups_of_a_pattern_become_attributes() {
    changes(
        "[{key: text, pattern: '^(?P<user>[a-z]+)-(?P<int>\\d+)@(?P<none>x)?', action: extract}]",
        &["int=\"7\"", "user=\"user\"", "none=\"\""],
    );
    changes(
        "[{key: text, pattern: '^(?P<user>\\d+)$', action: extract}]",
        &[],
    );
    changes("[{key: int, pattern: '(?P<a>.)', action: extract}]", &[]);
}

#[test]
fn values_are_converted_where_that_makes_sense() {
    let convert = |key: &str, to: &str| {
        let yaml = format!("[{{key: {key}, converted_type: {to}, action: convert}}]");
        let shown = apply(&yaml, None);
        let prefix = format!("{key}=");
        shown
            .into_iter()
            .find_map(|attribute| attribute.strip_prefix(&prefix).map(str::to_owned))
    };
    let p = |key, to| convert(key, to).unwrap();
    assert_eq!(p("int", "string"), "\"200\"");
    assert_eq!(p("int", "double"), "200");
    assert_eq!(p("double", "int"), "2");
    assert_eq!(p("double", "string"), "\"2.5\"");
    assert_eq!(p("bool", "int"), "1");
    assert_eq!(p("bool", "double"), "1");
    assert_eq!(p("bool", "string"), "\"true\"");
    assert_eq!(p("digits", "int"), "42");
    assert_eq!(p("digits", "double"), "42");
    assert_eq!(p("text", "int"), "\"user-7@example.com\"");
}

#[test]
fn texts_have_the_forms_of_json() {
    let p = |value: EncodedValue| as_text(value.view());
    assert_eq!(p(EncodedValue::double(1.0)), "1");
    assert_eq!(p(EncodedValue::double(-0.5)), "-0.5");
    assert_eq!(p(EncodedValue::double(1e21)), "1e+21");
    assert_eq!(p(EncodedValue::double(2.5e-7)), "2.5e-7");
    assert_eq!(p(EncodedValue::default()), "");
    let list = EncodedValue::array([EncodedValue::string("a\""), EncodedValue::int(1)]);
    let map = EncodedValue::map([("z", list), ("a", EncodedValue::bool(true))]);
    assert_eq!(p(map), r#"{"a":true,"z":["a\"",1]}"#);
}

#[test]
fn what_an_action_does_not_use_is_refused() {
    for (yaml, message) in [
        (
            "[{key: a, action: inert}]",
            "expected \"action\" to be one of insert, update",
        ),
        (
            "[{action: insert, value: 1}]",
            "the action \"insert\" needs a \"key\"",
        ),
        (
            "[{key: a, action: insert}]",
            "or \"from_context\", but found none",
        ),
        (
            "[{key: a, action: insert, value: 1, from_attribute: b}]",
            "but found 2",
        ),
        (
            "[{key: a, action: insert, value: 1, pattern: b}]",
            "does not use \"pattern\"",
        ),
        (
            "[{key: a, action: delete, value: 1}]",
            "does not use \"value\"",
        ),
        ("[{action: delete}]", "needs a \"key\" or a \"pattern\""),
        (
            "[{pattern: '(', action: hash}]",
            "expected a regular expression, but found \"(\": ",
        ),
        ("[{key: a, action: extract}]", "needs a \"pattern\""),
        (
            "[{key: a, pattern: 'b', action: extract}]",
            "groups that all have names",
        ),
        (
            "[{key: a, pattern: '(b)', action: extract}]",
            "groups that all have names",
        ),
        (
            "[{key: a, action: convert}]",
            "to be one of int, double, string, but found \"\"",
        ),
        (
            "[{key: a, action: insert, value: 9223372036854775808}]",
            "an integer of 64 bits",
        ),
        (
            "[{key: a, acton: delete}]",
            "unknown key \"acton\"; did you mean \"action\"?",
        ),
    ] {
        let error = read(yaml).unwrap_err();
        assert!(error.contains(message), "{yaml}: {error}");
    }
}
