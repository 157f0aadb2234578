//! Former names of options: what people still have in their files works, with a warning that names
//! the new form.

use super::node::{Key, Node, Value};
use super::problem::{Problem, Problems};

/// An option that has another name now. Paths are joined by `::`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Former {
    /// Where people wrote it.
    pub old: &'static str,
    /// Where it is written now; `None` if there is no such thing any more, and it changes nothing.
    pub new: Option<&'static str>,
    /// Former values with the present ones; others stay as they are.
    pub values: &'static [(&'static str, &'static str)],
    /// Why it changes nothing, if it still is an option.
    pub idle: Option<&'static str>,
}

// === impl Former ===

impl Former {
    /// An option that was given another name.
    pub const fn renamed(old: &'static str, new: &'static str) -> Self {
        Self {
            old,
            new: Some(new),
            values: &[],
            idle: None,
        }
    }

    /// An option that is gone, and changes nothing.
    pub const fn gone(old: &'static str) -> Self {
        Self {
            old,
            new: None,
            values: &[],
            idle: None,
        }
    }

    /// An option that is read for the sake of existing files and changes nothing, which somebody who sets
    /// it would not expect; `why` is the end of a sentence.
    pub const fn without_effect(option: &'static str, why: &'static str) -> Self {
        Self {
            old: option,
            new: Some(option),
            values: &[],
            idle: Some(why),
        }
    }

    /// Brings the options of a component at `path` into their present form.
    pub fn apply(
        &self,
        options: &mut Node,
        path: &str,
        warnings: &mut Vec<String>,
        problems: &mut Problems,
    ) {
        let old = self.old;
        if let Some(why) = self.idle {
            if let Some(node) = find(options, old) {
                let place = &node.place;
                warnings.push(format!("{place}: {path}: {old:?} has no effect: {why}"));
            }
            return;
        }
        let Some((key, mut value)) = remove(options, old) else {
            return;
        };
        let place = &key.place;
        let Some(new) = self.new else {
            warnings.push(format!(
                "{place}: {path}: {old:?} is no longer an option and changes nothing; please \
                 remove it"
            ));
            return;
        };
        if find(options, new).is_some() {
            let message = format!("{old:?} is the former name of {new:?}; expected one of them");
            problems.push(Problem::new(place, path, message));
            return;
        }
        if let Value::Scalar { text, .. } = &mut value.value
            && let Some((_, present)) = self.values.iter().find(|(former, _)| former == text)
        {
            (*present).clone_into(text);
            value.original = None;
        }
        let shown = match &value.value {
            // Not what is written there: it may be a secret.
            Value::Scalar { text, .. } if !self.values.is_empty() => format!("{new}: {text}"),
            _ => new.to_owned(),
        };
        warnings.push(format!(
            "{place}: {path}: {old:?} is the former name of {new:?}; please write {shown:?}"
        ));
        insert(options, new, &key, value);
    }
}

fn find<'a>(node: &'a Node, path: &str) -> Option<&'a Node> {
    path.split("::").try_fold(node, |node, key| node.entry(key))
}

fn remove(node: &mut Node, path: &str) -> Option<(Key, Node)> {
    let Value::Mapping(entries) = &mut node.value else {
        return None;
    };
    let (first, rest) = match path.split_once("::") {
        Some((first, rest)) => (first, Some(rest)),
        None => (path, None),
    };
    let index = entries.iter().position(|(key, _)| key.text == first)?;
    match rest {
        Some(rest) => remove(&mut entries[index].1, rest),
        None => Some(entries.remove(index)),
    }
}

/// Puts a value where `path` leads, and what is missing on the way; everything that is new has the
/// place of `key`.
fn insert(node: &mut Node, path: &str, key: &Key, value: Node) {
    if node.is_null() {
        node.value = Value::Mapping(Vec::new());
    }
    let Value::Mapping(entries) = &mut node.value else {
        // What should be a mapping is none, which its reader will say.
        return;
    };
    let (first, rest) = match path.split_once("::") {
        Some((first, rest)) => (first, Some(rest)),
        None => (path, None),
    };
    let place = key.place.clone();
    let index = match entries.iter().position(|(known, _)| known.text == first) {
        Some(index) => index,
        None => {
            let text = first.to_owned();
            let empty = Node::plain(place.clone(), "");
            entries.push((Key { place, text }, empty));
            entries.len() - 1
        }
    };
    match rest {
        Some(rest) => insert(&mut entries[index].1, rest, key, value),
        None => entries[index].1 = value,
    }
}

#[cfg(test)]
mod tests {
    use super::super::render::{Form, render};
    use super::super::yaml;
    use super::*;

    const LEVEL: Former = Former {
        old: "loglevel",
        new: Some("verbosity"),
        values: &[("debug", "detailed")],
        idle: None,
    };
    const NESTED: Former = Former::renamed("queue::batch::min_items", "queue::batch::min_size");

    fn apply(former: Former, text: &str) -> (String, Vec<String>, Problems) {
        let mut node = yaml::parse("c.yaml", text).unwrap();
        let (mut warnings, mut problems) = (Vec::new(), Problems::default());
        former.apply(&mut node, "exporters::x", &mut warnings, &mut problems);
        (render(&node, Form::Yaml), warnings, problems)
    }

    #[test]
    fn former_options_become_the_present_ones() {
        let (text, warnings, problems) = apply(LEVEL, "loglevel: debug\n");
        assert_eq!(text, "verbosity: detailed\n");
        assert!(problems.is_empty());
        assert_eq!(
            warnings,
            [
                "c.yaml:1:1: exporters::x: \"loglevel\" is the former name of \"verbosity\"; please \
                 write \"verbosity: detailed\""
            ]
        );
        let (text, warnings, _) = apply(NESTED, "queue: {batch: {min_items: 7, a: b}}\n");
        assert_eq!(text, "queue:\n  batch:\n    a: b\n    min_size: 7\n");
        assert_eq!(warnings.len(), 1);
        let (text, warnings, _) = apply(NESTED, "queue: {batch: 5}\n");
        assert_eq!((text.as_str(), warnings.len()), ("queue:\n  batch: 5\n", 0));
        let (text, warnings, _) = apply(Former::gone("a"), "a: 1\nb: 2\n");
        assert_eq!(text, "b: 2\n");
        assert!(warnings[0].contains("changes nothing"));
    }

    #[test]
    fn what_has_no_effect_stays_and_is_said() {
        let idle = Former::without_effect("a::b", "nobody reads it");
        let (text, warnings, problems) = apply(idle, "a: {b: 1}\n");
        assert_eq!(text, "a:\n  b: 1\n");
        assert!(problems.is_empty());
        let said = "c.yaml:1:8: exporters::x: \"a::b\" has no effect: nobody reads it";
        assert_eq!(warnings, [said]);
        assert_eq!(apply(idle, "a: {c: 1}\n").1.len(), 0);
    }

    #[test]
    fn both_names_at_once_are_refused() {
        let (_, warnings, problems) = apply(LEVEL, "loglevel: debug\nverbosity: basic\n");
        assert!(warnings.is_empty());
        assert_eq!(
            problems.to_string(),
            "c.yaml:1:1: exporters::x: \"loglevel\" is the former name of \"verbosity\"; expected \
             one of them"
        );
    }
}
