//! As much of CEL as the filter's own expressions have: lists, paths, keys, texts, and conditions of
//! the forms `has(path)?a:b` and `"key" in path?a:b`. For the scripted proxies of tests and fuzzing.

use crate::pairs;

/// Why a text comes to nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Failure {
    /// A path in it is missing.
    Missing,
    /// It is not the filter's own text.
    Foreign,
}

/// What a text comes to in the encoding of properties. `property` knows a path with dots.
///
/// # Errors
/// [`Failure`].
pub(crate) fn evaluate(
    property: &dyn Fn(&str) -> Option<Vec<u8>>,
    text: &str,
) -> Result<Vec<u8>, Failure> {
    if let Some((condition, rest)) = cut(text, '?') {
        let (then, otherwise) = cut(rest, ':').ok_or(Failure::Foreign)?;
        let branch = if holds(property, condition).ok_or(Failure::Foreign)? {
            then
        } else {
            otherwise
        };
        return evaluate(property, branch);
    }
    if let Some(text) = text.strip_prefix('"') {
        let text = text.strip_suffix('"').ok_or(Failure::Foreign)?;
        return Ok(text.as_bytes().to_vec());
    }
    let Some(list) = text.strip_prefix('[') else {
        return property(&path(text)).ok_or(Failure::Missing);
    };
    let mut rest = list.strip_suffix(']').ok_or(Failure::Foreign)?;
    let mut values = Vec::new();
    while !rest.is_empty() {
        let (item, after) = cut(rest, ',').unwrap_or((rest, ""));
        values.push(evaluate(property, item)?);
        rest = after;
    }
    Ok(list_of(&values))
}

/// A list as a host writes it.
pub(crate) fn list_of(values: &[Vec<u8>]) -> Vec<u8> {
    let list: Vec<(&[u8], &[u8])> = values
        .iter()
        .map(|value| (value.as_slice(), b"".as_slice()))
        .collect();
    pairs::encode(&list)
}

fn holds(property: &dyn Fn(&str) -> Option<Vec<u8>>, condition: &str) -> Option<bool> {
    let asked = match condition.split_once(" in ") {
        Some((key, map)) => format!("{map}[{key}]"),
        None => {
            let asked = condition.strip_prefix("has(")?.strip_suffix(')')?;
            asked.to_owned()
        }
    };
    Some(property(&path(&asked)).is_some())
}

/// `a.b["c"]` as `a.b.c`.
fn path(text: &str) -> String {
    text.replace("[\"", ".").replace("\"]", "")
}

/// Cuts at the first separator that is in no brackets and no quotes.
fn cut(text: &str, separator: char) -> Option<(&str, &str)> {
    let (mut depth, mut is_quoted) = (0_i32, false);
    for (at, character) in text.char_indices() {
        match character {
            '"' => is_quoted = !is_quoted,
            _ if is_quoted => {}
            '[' | '(' => depth += 1,
            ']' | ')' => depth -= 1,
            _ if character == separator && depth == 0 => {
                let (before, rest) = text.split_at(at);
                return Some((before, rest.strip_prefix(separator)?));
            }
            _ => {}
        }
    }
    None
}
