//! Tests of the expansion.

use super::*;
use crate::config::Section;

struct Fixed;

impl Environment for Fixed {
    fn variable(&self, name: &str) -> Option<String> {
        match name {
            "HOST" => Some("example.test".to_owned()),
            "SIZE" => Some("12".to_owned()),
            "LIST" => Some("[a, b]".to_owned()),
            "COMMENT" => Some("abc #def".to_owned()),
            "PAIR" => Some("a: b".to_owned()),
            "QUOTED" => Some("'q'".to_owned()),
            "DIGITS" => Some("0012".to_owned()),
            "ODD" => Some("a: [".to_owned()),
            "NAME" => Some("SIZE".to_owned()),
            "MAP" => Some("{a: '${env:SIZE}', b: $$}".to_owned()),
            "DOLLARS" => Some("a$$b${env:SIZE}".to_owned()),
            _ => None,
        }
    }

    fn file(&self, path: &Path) -> io::Result<String> {
        match path.to_str() {
            Some("token") => Ok("0012\n".to_owned()),
            Some("part.yaml") => Ok("# A part.\na:\n  size: ${env:SIZE}\n".to_owned()),
            Some("loop.yaml") => Ok("a: ${file:loop.yaml}\n".to_owned()),
            Some("wide.yaml") => Ok("[\"${file:wide.yaml}\", \"${file:wide.yaml}\"]".to_owned()),
            _ => Err(io::ErrorKind::NotFound.into()),
        }
    }
}

fn expanded(text: &str) -> Result<(String, bool), String> {
    let mut node = yaml::parse("c.yaml", text).unwrap();
    let mut expansion = Expansion::default();
    expand(&mut node, &Fixed, &mut expansion);
    expansion.problems.or(()).map_err(|p| p.to_string())?;
    match node.value {
        Value::Scalar { text, plain } => Ok((text, plain)),
        other => Ok((format!("{other:?}"), false)),
    }
}

#[test]
fn references_are_replaced() {
    let p = |text| expanded(text).unwrap().0;
    assert_eq!(p("${env:HOST}"), "example.test");
    assert_eq!(p("${HOST}:4317"), "example.test:4317");
    assert_eq!(p("${env:NONE:-fall}-back"), "fall-back");
    assert_eq!(p("${env:NONE:-}x"), "x");
    assert_eq!(p("a$$b"), "a$b");
    assert_eq!(p("$${HOST}"), "${HOST}");
    assert_eq!(p("5$"), "5$");
    assert_eq!(p("${ODD}"), "a: [");
}

#[test]
fn a_lone_reference_has_the_type_of_its_value() {
    assert_eq!(expanded("${env:SIZE}").unwrap(), ("12".to_owned(), true));
    assert!(expanded("${env:LIST}").unwrap().0.starts_with("Sequence"));
    assert_eq!(expanded("${env:NONE}").unwrap(), (String::new(), true));
}

#[test]
fn whoever_expects_a_text_gets_what_the_variable_holds() {
    let read = |name: &str| -> String {
        let mut node = yaml::parse("c.yaml", &format!("${{env:{name}}}")).unwrap();
        expand(&mut node, &Fixed, &mut Expansion::default());
        Section::new(&node, "").read().unwrap()
    };
    for name in [
        "HOST", "SIZE", "LIST", "COMMENT", "PAIR", "QUOTED", "DIGITS", "ODD",
    ] {
        assert_eq!(Some(read(name)), Fixed.variable(name));
    }
}

#[test]
fn defaults_may_hold_references() {
    let p = |text| expanded(text).unwrap().0;
    assert_eq!(p("${env:NONE:-${env:HOST}}"), "example.test");
    assert_eq!(p("${NONE:-${NONE:-${HOST}}:1}:2"), "example.test:1:2");
    assert_eq!(p("${HOST:-${NONE}}"), "example.test");
    assert!(
        expanded("${env:NONE:-${env:HOST}")
            .unwrap_err()
            .contains("closing")
    );
}

#[test]
fn wrong_references_are_refused() {
    let p = |text| expanded(text).unwrap_err();
    assert!(p("${env:HOST").contains("closing"));
    assert!(p("${http:/etc/x}").contains("provider \"http\""));
    assert!(p("${env:1X}").contains("name of an environment variable"));
}

#[test]
fn files_are_values_too() {
    assert_eq!(
        expanded("${file:token}").unwrap(),
        ("0012".to_owned(), true)
    );
    assert_eq!(expanded("a ${file:token}!").unwrap().0, "a 0012!");
    assert_eq!(expanded("${file:${NONE:-token}}").unwrap().0, "0012");
    assert!(
        expanded("${file:none}")
            .unwrap_err()
            .contains("c.yaml:1:1: cannot read the file \"none\": ")
    );
}

#[test]
fn files_that_are_mappings_keep_their_lines() {
    let mut node = yaml::parse("c.yaml", "x: ${file:part.yaml}").unwrap();
    let mut expansion = Expansion::default();
    expand(&mut node, &Fixed, &mut expansion);
    assert!(expansion.problems.is_empty());
    let size = node.entry("x").unwrap().entry("a").unwrap();
    let size = size.entry("size").unwrap();
    assert_eq!(size.place.to_string(), "part.yaml:3:9");
    assert_eq!(Section::new(size, "").read::<u32>().unwrap(), 12);
}

#[test]
fn files_that_include_themselves_come_to_an_end() {
    assert!(
        expanded("${file:loop.yaml}")
            .unwrap_err()
            .contains("16 deep")
    );
    let message = expanded("${file:wide.yaml}").unwrap_err();
    assert!(message.contains("at most 1000 references"));
}

#[test]
fn yaml_can_be_given_in_place() {
    assert_eq!(expanded("${yaml:12}").unwrap(), ("12".to_owned(), true));
    assert!(
        expanded("${yaml:[a, b]}")
            .unwrap()
            .0
            .starts_with("Sequence")
    );
}

#[test]
fn names_may_be_references() {
    assert_eq!(expanded("${env:${NAME}}").unwrap().0, "12");
    assert_eq!(
        expanded("${env:${NONE:-HOST}:-x}").unwrap().0,
        "example.test"
    );
}

#[test]
fn structures_from_variables_are_expanded_and_texts_are_not() {
    let mut node = yaml::parse("c.yaml", "${env:MAP}").unwrap();
    expand(&mut node, &Fixed, &mut Expansion::default());
    let read: std::collections::BTreeMap<String, String> = Section::new(&node, "").read().unwrap();
    assert_eq!(read["a"], "12");
    assert_eq!(read["b"], "$");
    assert_eq!(expanded("${env:DOLLARS}").unwrap().0, "a$$b${env:SIZE}");
}
