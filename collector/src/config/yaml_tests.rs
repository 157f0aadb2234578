//! Tests of the parser.

use super::*;

fn error(text: &str) -> String {
    parse("c.yaml", text).unwrap_err().to_string()
}

#[test]
fn places_count_from_one() {
    let root = parse("c.yaml", "a:\n  b: [1, two]\n").unwrap();
    let Value::Mapping(entries) = &root.value else {
        panic!("{root:?}")
    };
    let (key, a) = &entries[0];
    assert_eq!(key.place.to_string(), "c.yaml:1:1");
    let Value::Mapping(entries) = &a.value else {
        panic!("{a:?}")
    };
    let Value::Sequence(items) = &entries[0].1.value else {
        panic!("{entries:?}")
    };
    assert_eq!(items[1].place.to_string(), "c.yaml:2:10");
}

#[test]
fn an_empty_file_is_an_empty_mapping() {
    for text in ["", "# nothing\n", "---\n", "~"] {
        let root = parse("c.yaml", text).unwrap();
        assert!(matches!(root.value, Value::Mapping(entries) if entries.is_empty()));
    }
}

#[test]
fn duplicate_keys_are_refused() {
    let message = error("a: 1\nb: 2\na: 3\n");
    assert_eq!(
        message,
        r#"c.yaml:3:1: the key "a" was already given in line 1"#
    );
}

#[test]
fn aliases_and_merge_keys_are_resolved() {
    let text = "a: &x {k: 1, l: 2}\nb:\n  <<: *x\n  k: 3\n";
    let root = parse("c.yaml", text).unwrap();
    let Value::Mapping(entries) = root.value else {
        panic!()
    };
    let Value::Mapping(b) = &entries[1].1.value else {
        panic!()
    };
    let pairs: Vec<_> = b
        .iter()
        .map(|(k, v)| (k.text.as_str(), v.describe()))
        .collect();
    assert_eq!(
        pairs,
        [("k", "\"3\"".to_owned()), ("l", "\"2\"".to_owned())]
    );
}

#[test]
fn a_tower_of_aliases_is_refused() {
    let mut text = "a0: &a0 [1, 1, 1, 1, 1, 1, 1, 1, 1, 1]\n".to_owned();
    for i in 1..10 {
        let below = format!("*a{}", i - 1);
        let row = vec![below; 10].join(", ");
        text.push_str(&format!("a{i}: &a{i} [{row}]\n"));
    }
    assert!(
        error(&text).contains("expected at most"),
        "{}",
        error(&text)
    );
}

#[test]
fn what_is_not_yaml_is_refused_with_its_place() {
    assert!(
        error("a: [1, 2\nb: 3\n").starts_with("c.yaml:2:"),
        "{}",
        error("a: [1, 2\nb: 3\n")
    );
    assert!(error("a: 1\n---\nb: 2\n").contains("second one"));
}
