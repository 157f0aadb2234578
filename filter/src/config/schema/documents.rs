//! `docs/filter.md` shows what the schema and the filter say.

use std::collections::BTreeSet;
use std::fs;

use serde_json::{Value, json};

use super::{VALIDATOR, assert_they_agree, document, keys, name, read};

/// Pages on the filter in `docs/`, with the names of their files.
fn pages() -> Vec<(String, String)> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs");
    let files = fs::read_dir(folder).unwrap().map(|file| file.unwrap());
    let named = files.map(|file| (file.file_name().into_string().unwrap(), file.path()));
    named
        .filter(|(name, _)| name.starts_with("filter") && name.ends_with(".md"))
        .map(|(name, path)| (name, fs::read_to_string(path).unwrap()))
        .collect()
}

#[test]
fn the_examples_of_the_documents_are_valid() {
    let mut count = 0;
    for (page, text) in pages() {
        for block in text.split("```json\n").skip(1) {
            let block = block.split("\n```").next().unwrap();
            let example = serde_json::from_str(block).expect(&page);
            assert!(VALIDATOR.is_valid(&example), "{page}: {block}");
            assert_they_agree(&example);
            count += 1;
        }
    }
    assert!(count >= 2, "{count} examples");
}

/// The table with the columns key, example, bad value and error: `sampler.ratio`, `0.1`, `2`,
/// `found 2, …`.
#[test]
fn the_documents_show_of_every_key_a_good_and_a_bad_value() {
    let text = include_str!("../../../../docs/filter.md");
    let (_, table) = text
        .split_once("\n| key | example | what is wrong | the error |")
        .unwrap();
    let rows = table
        .lines()
        .skip(2)
        .take_while(|line| line.starts_with('|'));
    let mut shown = BTreeSet::new();
    for row in rows {
        let row = row.replace("\\|", "\u{0}");
        let cells: Vec<String> = row
            .split('|')
            .map(|cell| cell.trim().trim_matches('`').replace('\u{0}', "|"))
            .collect();
        let [_, key, good, bad, error, _] = cells.as_slice() else {
            panic!("{row}");
        };
        let place = keys().into_iter().find(|(way, _)| name(way) == *key);
        let (way, node) = place.expect(key);
        let with = |text: &str| document(&way, serde_json::from_str(text).expect(text));
        assert!(VALIDATOR.is_valid(&with(good)), "{key}: {good}");
        assert_eq!(read(&with(good)).err(), None, "{key}");
        let is_cel = node["$ref"] == "#/$defs/cel" || key == "access_log.attributes";
        assert!(is_cel || !VALIDATOR.is_valid(&with(bad)), "{key}: {bad}");
        let message = read(&with(bad)).expect_err(key);
        let (path, message) = message.split_once(": ").unwrap();
        let place = format!("pluginConfig.{}", key.replace("[]", "[0]"));
        assert!(
            path.starts_with(&place) || place.starts_with(path),
            "{path} for {key}"
        );
        assert_eq!(message, error, "{key}");
        shown.insert(key.clone());
    }
    let all: BTreeSet<String> = keys().iter().map(|(way, _)| name(way)).collect();
    let all = all.into_iter().filter(|key| key != "sampler.rules");
    assert_eq!(shown, all.collect());
}

/// Messages that `docs/filter.md` quotes in its text.
#[test]
fn the_errors_that_the_documents_quote_are_the_filters() {
    let text = include_str!("../../../../docs/filter.md").replace('\n', " ");
    let refused = [
        json!({"batch": {"interval": "soon"}}),
        json!({"sampler": {"ratio": 1.5}}),
        json!({"sampling": {}}),
    ];
    for document in refused {
        let message = read(&document).unwrap_err();
        assert!(text.contains(&message), "{message}");
    }
    let rule = |rule: Value| json!({"sampler": {"rules": [rule]}});
    let refused = [
        rule(json!({"match": {}})),
        rule(json!({"match": {"header": {"value": "x"}}, "ratio": 1})),
        json!({"sampler": 1}),
    ];
    for document in refused {
        let message = read(&document).unwrap_err();
        let (_, message) = message.split_once(": ").unwrap();
        assert!(text.contains(&format!("`{message}`")), "{message}");
    }
}
