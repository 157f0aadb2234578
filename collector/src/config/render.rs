//! A tree back to text, so that reading it again gives the same tree.

use super::de::{Scalar, scalar};
use super::node::{Node, Value};

/// What the text looks like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// YAML, in blocks.
    Yaml,
    /// JSON, in one line.
    Json,
}

/// The text of a tree, with a line break at its end.
pub(super) fn render(node: &Node, form: Form) -> String {
    let mut text = String::new();
    match form {
        Form::Yaml => block(node, 0, &mut text),
        Form::Json => {
            text = json(node).to_string();
            text.push('\n');
        }
    }
    text
}

/// Writes a value that begins in a line of its own.
fn block(node: &Node, depth: usize, text: &mut String) {
    match &node.value {
        Value::Mapping(entries) if !entries.is_empty() => {
            for (key, value) in entries {
                indent(depth, text);
                text.push_str(&quoted(&key.text, true));
                text.push(':');
                behind(value, depth, text);
            }
        }
        Value::Sequence(items) if !items.is_empty() => {
            for item in items {
                indent(depth, text);
                text.push('-');
                behind(item, depth, text);
            }
        }
        _ => {
            indent(depth, text);
            text.push_str(&inline(node));
            text.push('\n');
        }
    }
}

/// Writes a value behind a key or a dash.
fn behind(node: &Node, depth: usize, text: &mut String) {
    let is_block = match &node.value {
        Value::Mapping(entries) => !entries.is_empty(),
        Value::Sequence(items) => !items.is_empty(),
        Value::Scalar { .. } => false,
    };
    if is_block {
        text.push('\n');
        block(node, depth + 1, text);
        return;
    }
    if !node.is_null() {
        text.push(' ');
        text.push_str(&inline(node));
    }
    text.push('\n');
}

fn inline(node: &Node) -> String {
    match &node.value {
        Value::Mapping(_) => "{}".to_owned(),
        Value::Sequence(_) => "[]".to_owned(),
        Value::Scalar { text, plain } => quoted(text, *plain),
    }
}

/// A scalar, in quotes unless it was plain and cannot be taken for anything else.
fn quoted(text: &str, plain: bool) -> String {
    let is_harmless = text.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '/')
        && text
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || "_-./:+%".contains(c))
        && !text.ends_with(':');
    let means_text = matches!(scalar(text, true), Scalar::Text(_));
    let is_number = !means_text && !text.is_empty() && text.is_ascii();
    if (is_harmless && (plain || means_text)) || (plain && is_number) {
        return text.to_owned();
    }
    // A string of JSON is one of YAML.
    serde_json::Value::from(text).to_string()
}

fn indent(depth: usize, text: &mut String) {
    text.extend(std::iter::repeat_n("  ", depth));
}

fn json(node: &Node) -> serde_json::Value {
    match &node.value {
        Value::Mapping(entries) => entries
            .iter()
            .map(|(key, value)| (key.text.clone(), json(value)))
            .collect(),
        Value::Sequence(items) => items.iter().map(json).collect(),
        Value::Scalar { text, plain } => match scalar(text, *plain) {
            Scalar::Null => serde_json::Value::Null,
            Scalar::Bool(value) => value.into(),
            Scalar::Unsigned(value) => value.into(),
            Scalar::Signed(value) => value.into(),
            Scalar::Float(value) => value.into(),
            Scalar::Text(text) => text.into(),
        },
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::yaml;
    use super::*;

    fn again(text: &str) -> String {
        render(&yaml::parse("c.yaml", text).unwrap(), Form::Yaml)
    }

    #[test]
    fn trees_are_written_in_blocks() {
        let text =
            "receivers:\n  otlp:\n    protocols:\n      grpc:\n        endpoint: localhost:4317\n";
        assert_eq!(again(text), text);
        assert_eq!(
            again("a: [1, '2', {b: true}, 'x y', []]\nc:\nd: {}\n"),
            "a:\n  - 1\n  - \"2\"\n  -\n    b: true\n  - \"x y\"\n  - []\nc:\nd: {}\n"
        );
        assert_eq!(again("a: 'true'\nb: '~'\n"), "a: \"true\"\nb: \"~\"\n");
        assert_eq!(again("a: -1\nb: 1.5\n"), "a: -1\nb: 1.5\n");
    }

    #[test]
    fn json_has_the_types_of_yaml() {
        let node = yaml::parse("c.yaml", "a: 1\nb: '1'\nc: [true, ~, 1.5, -2]\n").unwrap();
        assert_eq!(
            render(&node, Form::Json),
            "{\"a\":1,\"b\":\"1\",\"c\":[true,null,1.5,-2]}\n"
        );
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_as_the_same(
            key in "\\PC{1,12}", value in "(?s).{0,12}"
        ) {
            let json_text = serde_json::json!({ key: [value.clone(), {"a": value}] }).to_string();
            if let Ok(node) = yaml::parse("c.yaml", &json_text) {
                let text = render(&node, Form::Yaml);
                let read = yaml::parse("d.yaml", &text).unwrap();
                prop_assert_eq!(render(&read, Form::Json), render(&node, Form::Json), "{}", text);
            }
        }

        #[test]
        fn plain_values_keep_their_meaning(value in "[a-z0-9.+\\-~_:/]{0,8}") {
            if let Ok(node) = yaml::parse("c.yaml", &format!("a: {value}")) {
                let text = render(&node, Form::Yaml);
                let read = yaml::parse("d.yaml", &text).unwrap();
                prop_assert_eq!(render(&read, Form::Json), render(&node, Form::Json), "{}", text);
            }
        }
    }
}
