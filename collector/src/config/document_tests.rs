//! Tests of the sections and what is wrong with them.

use super::*;
use crate::config::{Environment, Source};

struct Empty;

impl Environment for Empty {
    fn variable(&self, _name: &str) -> Option<String> {
        None
    }
}

fn load(files: &[&str]) -> Result<Document, String> {
    let files = files.iter().enumerate();
    let sources: Vec<Source> = files
        .map(|(index, text)| Source::text(format!("{index}.yaml"), *text))
        .collect();
    let mut document = Effective::read(&sources, &Empty)
        .map(Document::new)
        .map_err(|problems| problems.to_string())?;
    let problems = std::mem::take(&mut document.problems);
    problems
        .or(document)
        .map_err(|problems| problems.to_string())
}

#[test]
fn sections_and_pipelines_are_split() {
    let document = load(&[
        "receivers: {otlp: {}}\nexporters: {debug: , file/x: {path: a}}\n\
         service: {pipelines: {traces/one: {receivers: [otlp], exporters: [debug, file/x]}}}\n",
    ])
    .unwrap();
    assert_eq!(document.exporters[1].id.to_string(), "file/x");
    let pipeline = &document.pipelines[0];
    assert_eq!(pipeline.id.to_string(), "traces/one");
    assert_eq!(pipeline.exporters.len(), 2);
}

#[test]
fn later_files_lie_over_earlier_ones() {
    let document = load(&[
        "receivers: {otlp: {a: 1}}\nexporters: {debug: }\n\
         service: {pipelines: {logs: {receivers: [otlp], exporters: [debug]}}}\n",
        "receivers: {otlp: {b: 2}}\nexporters: {nop: }\n\
         service: {pipelines: {logs: {exporters: [nop]}}}\n",
    ])
    .unwrap();
    let Value::Mapping(options) = &document.receivers[0].options.value else {
        panic!()
    };
    assert_eq!(options.len(), 2);
    assert_eq!(document.pipelines[0].exporters[0].id.kind, "nop");
    assert_eq!(document.pipelines[0].exporters.len(), 1);
}

#[test]
fn everything_that_is_wrong_is_found_at_once() {
    let message = load(&["reciever: {}\nexporters: [a]\n\
         service:\n  pipelines:\n    trace: {}\n    logs: {receivers: [otlp, otlp]}\n"])
    .unwrap_err();
    for part in [
        "0.yaml:1:1: unknown key \"reciever\"; did you mean \"receivers\"",
        "0.yaml:2:12: exporters: expected a mapping, but found a list",
        "0.yaml:5:5: service::pipelines::trace: unknown signal \"trace\"; did you mean \"traces\"",
        "0.yaml:6:5: service::pipelines::logs: expected at least one exporter, but found none",
        "0.yaml:6:30: service::pipelines::logs::receivers: the component \"otlp\" is used twice",
    ] {
        assert!(message.contains(part), "{part}\nnot in\n{message}");
    }
}

#[test]
fn a_configuration_without_service_is_refused() {
    assert!(
        load(&["receivers: {otlp: }\n"])
            .unwrap_err()
            .contains("\"service\" is missing")
    );
    assert!(
        load(&["service: {}\n"])
            .unwrap_err()
            .contains("at least one pipeline")
    );
}
