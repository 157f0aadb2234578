//! As much of CEL as the filter's own expressions have: lists, paths, keys, texts, and conditions of
//! the forms `has(path)?a:b` and `"key" in path?a:b`. What users write comes to what the test says,
//! by its text.

use super::FakeHost;
use crate::host::Host;
use crate::pairs::tests::pairs;

/// What a text comes to in the encoding of properties; `None` if a path in it is missing.
pub(super) fn evaluate(host: &FakeHost, text: &str) -> Option<Vec<u8>> {
    if let Some((list, _)) = text.split_once("].map(v,") {
        return users_list(host, list);
    }
    if let Some((condition, rest)) = cut(text, '?') {
        let (then, otherwise) = cut(rest, ':').expect("a condition has two branches");
        let branch = if holds(host, condition) {
            then
        } else {
            otherwise
        };
        return evaluate(host, branch);
    }
    if let Some(text) = text.strip_prefix('"') {
        return Some(text.strip_suffix('"')?.as_bytes().to_vec());
    }
    let Some(list) = text.strip_prefix('[') else {
        return host.property(&[&path(text)]);
    };
    let mut rest = list.strip_suffix(']')?;
    let mut values = Vec::new();
    while !rest.is_empty() {
        let (item, after) = cut(rest, ',').unwrap_or((rest, ""));
        values.push(evaluate(host, item)?);
        rest = after;
    }
    Some(list_of(&values))
}

/// A list as a host writes it.
pub(crate) fn list_of(values: &[Vec<u8>]) -> Vec<u8> {
    let list: Vec<(&[u8], &[u8])> = values
        .iter()
        .map(|value| (value.as_slice(), b"".as_slice()))
        .collect();
    pairs(&list).into_bytes()
}

/// `[(one\n),(other\n)`, each with its type.
fn users_list(host: &FakeHost, list: &str) -> Option<Vec<u8>> {
    let values = host.values.borrow();
    let texts = list.split_terminator("\n)").map(|text| text.get(2..));
    let typed: Option<Vec<_>> = texts
        .map(|text| Some(list_of(values.get(text?)?)))
        .collect();
    Some(list_of(&typed?))
}

fn holds(host: &FakeHost, condition: &str) -> bool {
    let asked = match condition.split_once(" in ") {
        Some((key, map)) => format!("{map}[{key}]"),
        None => condition
            .strip_prefix("has(")
            .and_then(|rest| rest.strip_suffix(')'))
            .expect("conditions are of two forms")
            .to_owned(),
    };
    host.property(&[&path(&asked)]).is_some()
}

/// `a.b["c"]` as `a.b.c`.
fn path(text: &str) -> String {
    text.replace("[\"", ".").replace("\"]", "")
}

/// Cuts at the first separator that is in no brackets and no quotes.
fn cut(text: &str, separator: char) -> Option<(&str, &str)> {
    let (mut depth, mut is_quoted) = (0, false);
    for (at, character) in text.char_indices() {
        let (before, rest) = text.split_at(at);
        match character {
            '"' => is_quoted = !is_quoted,
            _ if is_quoted => {}
            '[' | '(' => depth += 1,
            ']' | ')' => depth -= 1,
            _ if character == separator && depth == 0 => {
                return Some((before, rest.strip_prefix(separator)?));
            }
            _ => {}
        }
    }
    None
}
