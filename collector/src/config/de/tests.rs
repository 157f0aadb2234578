//! Tests of the reader: types, defaults, and what messages say.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::*;
use crate::config::{Span, yaml};

#[derive(Debug, Default, Deserialize, PartialEq)]
#[serde(default)]
struct Options {
    endpoint: String,
    size: u32,
    timeout: Span,
    mode: Mode,
    headers: BTreeMap<String, String>,
    list: Vec<f64>,
    inner: Inner,
    maybe: Option<Inner>,
}

#[derive(Debug, Default, Deserialize, PartialEq)]
#[serde(default)]
struct Inner {
    on: bool,
}

#[derive(Debug, Default, Deserialize, PartialEq)]
#[serde(rename_all = "lowercase")]
enum Mode {
    #[default]
    Fast,
    Slow,
}

fn read(text: &str) -> Result<Options, String> {
    let node = yaml::parse("c.yaml", text).unwrap();
    Section::new(&node, "exporters::x")
        .read()
        .map_err(|problems: Problems| problems.to_string())
}

#[test]
fn sections_are_read_into_types() {
    let options = read(
        "endpoint: localhost:4317\nsize: 0x10\ntimeout: 1m30s\nmode: slow\n\
         headers: {a: b, c: 1}\nlist: [1, 2.5]\ninner: {on: true}\nmaybe: {}\n",
    );
    let options = options.unwrap();
    assert_eq!(options.endpoint, "localhost:4317");
    assert_eq!(options.size, 16);
    assert_eq!(options.timeout, Span::seconds(90));
    assert_eq!(options.mode, Mode::Slow);
    assert_eq!(options.headers["c"], "1");
    assert_eq!(options.list, [1.0, 2.5]);
    assert!(options.inner.on);
    assert_eq!(options.maybe, Some(Inner::default()));
}

#[test]
fn empty_sections_have_the_defaults() {
    assert_eq!(read("").unwrap(), Options::default());
    assert_eq!(
        read("inner:\nheaders:\nlist:\nmaybe:\n").unwrap(),
        Options::default()
    );
}

#[test]
fn errors_name_the_place_and_the_path() {
    let p = |text| read(text).unwrap_err();
    assert_eq!(
        p("inner:\n  onn: true\n"),
        "c.yaml:2:3: exporters::x::inner: unknown key \"onn\"; did you mean \"on\"?"
    );
    assert_eq!(
        p("size: many\n"),
        "c.yaml:1:7: exporters::x::size: expected a whole number that is not negative, but found the text \"many\""
    );
    assert_eq!(
        p("timeout: 5\n"),
        "c.yaml:1:10: exporters::x::timeout: expected a duration with a unit, as in \"200ms\" \
         or \"1m30s\", but found the text \"5\""
    );
    assert_eq!(
        p("mode: slo\n"),
        "c.yaml:1:7: exporters::x::mode: unknown value \"slo\"; did you mean \"slow\"?"
    );
    assert_eq!(
        p("list: [1, {}]\n"),
        "c.yaml:1:11: exporters::x::list::1: expected a number, but found a mapping"
    );
    assert_eq!(
        p("inner: yes\n"),
        "c.yaml:1:8: exporters::x::inner: expected a mapping, but found the text \"yes\""
    );
}

#[test]
fn all_unknown_keys_are_found_at_once() {
    let message = read("endpont: a\nsizes: 1\ninner: {off: 1}\n").unwrap_err();
    assert_eq!(message.lines().count(), 3, "{message}");
}

#[test]
fn all_wrong_values_are_found_at_once() {
    #[derive(Debug, Deserialize)]
    #[serde(try_from = "Raw")]
    struct Checked;
    #[derive(Debug, Deserialize)]
    #[serde(default)]
    struct Raw {
        least: u32,
        most: u32,
        #[serde(rename = "extra")]
        _extra: Inner,
    }
    impl Default for Raw {
        fn default() -> Self {
            Self {
                least: 1,
                most: 2,
                _extra: Inner::default(),
            }
        }
    }
    impl TryFrom<Raw> for Checked {
        type Error = String;
        fn try_from(raw: Raw) -> Result<Self, String> {
            match raw.least <= raw.most {
                true => Ok(Self),
                false => Err("expected \"least\" to be less".to_owned()),
            }
        }
    }
    #[derive(Debug, Deserialize)]
    struct Outer {
        #[serde(rename = "endpoint")]
        _endpoint: String,
        #[serde(rename = "size")]
        _size: u32,
        #[serde(default, rename = "list")]
        _list: Vec<u32>,
        #[serde(default, rename = "headers")]
        _headers: BTreeMap<String, u32>,
        #[serde(rename = "checked")]
        _checked: Checked,
    }
    let read = |text| {
        let node = yaml::parse("c", text).unwrap();
        let problems = Section::new(&node, "x").read::<Outer>().unwrap_err();
        let places = problems.iter().map(ToString::to_string);
        places.collect::<Vec<_>>()
    };
    let found = read("size: a\nlist: [1, b, 2, c]\nheaders: {a: 1, b: x}\nodd: 1\n");
    let starts = [
        "c:1:1: x: the key \"endpoint\" is missing",
        "c:1:7: x::size: ",
        "c:2:11: x::list::1: ",
        "c:2:17: x::list::3: ",
        "c:3:20: x::headers::b: ",
        "c:4:1: x: unknown key \"odd\"",
    ];
    assert_eq!(found.len(), starts.len(), "{found:#?}");
    for (found, start) in found.iter().zip(starts) {
        assert!(found.starts_with(start), "{found}");
    }
    // What is missing is said if nothing explains it; what follows from something wrong is not.
    let found = read("size: 1\nendpoint: a\nchecked: {least: 5, most: x, extra: {on: 7}}\n");
    assert_eq!(found.len(), 2, "{found:#?}");
    let found = read("size: 1\nendpoint: a\nchecked: {least: 5, extra: {off: 7}}\n");
    assert_eq!(found.len(), 2, "{found:#?}");
    assert!(found[0].contains("expected \"least\" to be less"));
    let found = read("size: 1\nchecked: {}\n");
    assert_eq!(found, ["c:1:1: x: the key \"endpoint\" is missing"]);
}

#[test]
fn entries_without_a_value_keep_their_defaults() {
    #[derive(Debug, Deserialize, PartialEq)]
    #[serde(default)]
    struct Defaults {
        timeout: Span,
        size: u32,
        name: String,
        inner: Inner,
    }
    impl Default for Defaults {
        fn default() -> Self {
            Self {
                timeout: Span::seconds(5),
                size: 7,
                name: "x".to_owned(),
                inner: Inner { on: true },
            }
        }
    }
    let node = yaml::parse("c.yaml", "timeout:\nsize: ~\nname:\ninner: {on: }").unwrap();
    let read: Defaults = Section::new(&node, "").read().unwrap();
    let expected = Defaults {
        inner: Inner::default(),
        ..Defaults::default()
    };
    assert_eq!(read, expected);

    #[derive(Debug, Deserialize)]
    struct Required {
        #[serde(rename = "endpoint")]
        _endpoint: String,
    }
    let node = yaml::parse("c.yaml", "endpoint:").unwrap();
    let error = Section::new(&node, "").read::<Required>().unwrap_err();
    assert!(
        error
            .to_string()
            .contains("the key \"endpoint\" is missing"),
        "{error}"
    );
    assert!(read_error("list: [1, ~]").contains("found nothing"));
}

#[test]
fn messages_speak_of_values_and_not_of_types() {
    assert!(
        read_error("size: many")
            .ends_with("expected a whole number that is not negative, but found the text \"many\"")
    );
    assert!(read_error("size: -1").contains("a whole number that is not negative"));
    assert!(read_error("list: [x]").contains("expected a number, "));
    assert!(read_error("inner: {on: maybe}").contains("expected true or false, "));
}

fn read_error(text: &str) -> String {
    read(text).unwrap_err()
}
