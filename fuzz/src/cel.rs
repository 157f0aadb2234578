//! As much of CEL as the filter's own list of attributes has: lists, paths, keys, texts, and
//! conditions of the forms `has(path)?a:b` and `"key" in path?a:b`.

use std::collections::HashMap;

use spanmesh_filter::pairs;

/// By their paths, with dots.
pub(crate) type Properties = HashMap<String, Vec<u8>>;

/// What a text comes to in the encoding of properties; `None` if a path in it is missing, or if
/// this is not the filter's own text.
pub(crate) fn evaluate(properties: &Properties, text: &str) -> Option<Vec<u8>> {
    if let Some((condition, rest)) = cut(text, '?') {
        let (then, otherwise) = cut(rest, ':')?;
        let branch = if holds(properties, condition)? {
            then
        } else {
            otherwise
        };
        return evaluate(properties, branch);
    }
    if let Some(text) = text.strip_prefix('"') {
        return Some(text.strip_suffix('"')?.as_bytes().to_vec());
    }
    let Some(list) = text.strip_prefix('[') else {
        return properties.get(&path(text)).cloned();
    };
    let mut rest = list.strip_suffix(']')?;
    let mut values = Vec::new();
    while !rest.is_empty() {
        let (item, after) = cut(rest, ',').unwrap_or((rest, ""));
        values.push((evaluate(properties, item)?, Vec::new()));
        rest = after;
    }
    Some(pairs::encode(&values))
}

fn holds(properties: &Properties, condition: &str) -> Option<bool> {
    let asked = match condition.split_once(" in ") {
        Some((key, map)) => format!("{map}[{key}]"),
        None => {
            let asked = condition.strip_prefix("has(")?.strip_suffix(')')?;
            asked.to_owned()
        }
    };
    Some(properties.contains_key(&path(&asked)))
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
