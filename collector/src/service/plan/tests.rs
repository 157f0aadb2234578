//! Tests of what `validate` says.

use super::*;
use crate::service::DEFAULT_CONFIG;

struct Empty;

impl Environment for Empty {
    fn variable(&self, _name: &str) -> Option<String> {
        None
    }
}

fn load(text: &str) -> Result<Plan, String> {
    let files = [("c.yaml".to_owned(), text.to_owned())];
    Plan::load(&files, &Empty).map_err(|problems| problems.to_string())
}

#[test]
fn the_default_configuration_is_valid() {
    let plan = load(DEFAULT_CONFIG).unwrap();
    assert!(plan.warnings().is_empty());
    assert_eq!(plan.pipelines.len(), 3);
}

#[test]
fn former_names_work_with_a_warning() {
    let plan = load(
        "receivers: {otlp: }\nexporters: {logging: }\n\
         service: {telemetry: {metrics: {address: 'localhost:0'}}, \
         pipelines: {logs: {receivers: [otlp], exporters: [logging]}}}\n",
    )
    .unwrap();
    assert!(plan.warnings()[0].starts_with("c.yaml:2:13: exporters::logging: \"logging\" is the"));
    assert!(plan.warnings()[1].contains("\"address\" is the former way"));
}

#[test]
fn everything_that_is_wrong_is_found_at_once() {
    let message = load(
        "receivers:
  otlp:
    protocols:
      grpc: {endpont: a}
  kafka: {}
processors:
  batch: {timeout: fast}
exporters:
  debug: {verbosity: loud}
  nop: {}
connectors:
  count: {}
extensions:
  health_check:
service:
  extensions: [health]
  telemetry: {logs: {level: loud}}
  pipelines:
    traces: {receivers: [otlp, kafka], processors: [batch], exporters: [debg]}
",
    )
    .unwrap_err();
    for part in [
        "c.yaml:4:14: receivers::otlp::protocols::grpc: unknown key \"endpont\"; did you mean \"endpoint\"",
        "c.yaml:5:3: receivers::kafka: \"kafka\" is not available in this version, which has: otlp",
        "c.yaml:7:20: processors::batch::timeout: expected a duration",
        "c.yaml:9:22: exporters::debug::verbosity: unknown value \"loud\"",
        "c.yaml:12:3: connectors::count: \"count\" is not available in this version, which has: forward",
        "c.yaml:16:16: service: \"health\" is used, but not defined in \"extensions\"; did you mean \"health_check\"",
        "c.yaml:17:29: service::telemetry::logs::level: unknown value \"loud\"",
        "c.yaml:19:73: service: \"debg\" is used, but not defined in \"exporters\"; did you mean \"debug\"",
    ] {
        assert!(message.contains(part), "{part}\nnot in\n{message}");
    }
    assert_eq!(message.lines().count(), 8, "{message}");
}

#[test]
fn impossible_values_are_refused() {
    let with = |options: &str| {
        load(&format!(
            "receivers: {{otlp: }}\nprocessors: {{batch: {options}}}\nexporters: {{nop: }}\n\
             service: {{pipelines: {{logs: {{receivers: [otlp], processors: [batch], \
             exporters: [nop]}}}}}}\n"
        ))
    };
    assert!(with("{}").is_ok());
    let message = with("{send_batch_max_size: 10}").unwrap_err();
    assert!(
        message.starts_with("c.yaml:2:21: processors::batch: expected \"send_batch_max_size\"")
    );
    assert!(with("{metadata_keys: [a]}").is_ok());
}

#[test]
fn exporters_can_send_what_their_pipelines_carry() {
    let with = |endpoints: &str| {
        load(&format!(
            "receivers: {{otlp: }}\nexporters: {{otlp_http: {endpoints}}}\n\
             service: {{pipelines: {{traces: {{receivers: [otlp], exporters: [otlp_http]}},\n  \
             logs: {{receivers: [otlp], exporters: [otlp_http]}}}}}}\n"
        ))
    };
    let only_traces = "{traces_endpoint: 'http://localhost:4318/v1/traces'}";
    assert_eq!(
        with(only_traces).unwrap_err(),
        "c.yaml:4:41: service: the exporter \"otlp_http\" cannot send logs: expected the key \
         \"endpoint\" or \"logs_endpoint\", but found neither"
    );
    assert!(with("{endpoint: 'http://localhost:4318'}").is_ok());
}

#[test]
fn what_is_not_used_is_warned_about_and_not_started() {
    let plan = load(
        "receivers: {otlp: , otlp/unused: }\nprocessors: {batch: }\n\
         exporters: {nop: , debug: }\nextensions: {health_check: }\n\
         service: {pipelines: {logs: {receivers: [otlp], exporters: [nop]}}}\n",
    )
    .unwrap();
    assert_eq!((plan.receivers.len(), plan.processors.len()), (1, 0));
    assert_eq!((plan.exporters.len(), plan.extensions.len()), (1, 0));
    let warnings = plan.warnings();
    assert_eq!(warnings.len(), 4, "{warnings:?}");
    assert_eq!(
        warnings[0],
        "c.yaml:1:21: receivers: \"otlp/unused\" is defined, but not used in \"service\"; it is \
         not started"
    );
}

/// A file with a `forward` connector and these pipelines.
fn connected(pipelines: &str) -> Result<Plan, String> {
    load(&format!(
        "receivers: {{otlp: }}\nexporters: {{nop: }}\nconnectors: {{forward: , forward/2: }}\n\
         service:\n  pipelines:\n{pipelines}"
    ))
}

#[test]
fn connectors_lead_from_pipelines_into_others() {
    let plan = connected(
        "    traces/a: {receivers: [otlp], exporters: [forward]}\n    \
         traces/b: {receivers: [otlp], exporters: [forward, forward/2]}\n    \
         traces: {receivers: [forward, forward/2], exporters: [nop]}\n",
    )
    .unwrap();
    assert_eq!(plan.connectors.len(), 2);
    assert!(plan.warnings().is_empty());
}

#[test]
fn connectors_have_pipelines_of_one_signal_on_both_sides() {
    let message = connected(
        "    traces: {receivers: [otlp], exporters: [forward]}\n    \
         logs: {receivers: [forward, forward/2], exporters: [nop]}\n",
    )
    .unwrap_err();
    let lines: Vec<&str> = message.lines().collect();
    assert_eq!(
        lines,
        [
            "c.yaml:6:45: service: the connector \"forward\" is an exporter of \"traces\", but the \
             receiver of no pipeline whose signal fits",
            "c.yaml:7:24: service: the connector \"forward\" is a receiver of \"logs\", but the \
             exporter of no pipeline whose signal fits",
            "c.yaml:7:33: service: the connector \"forward/2\" is a receiver of \"logs\", but the \
             exporter of no pipeline whose signal fits",
        ]
    );
}

#[test]
fn circles_are_refused_once_with_all_their_pipelines() {
    let message = connected(
        "    traces/a: {receivers: [otlp, forward/2], exporters: [forward]}\n    \
         traces/b: {receivers: [forward], exporters: [forward/2, nop]}\n",
    )
    .unwrap_err();
    assert_eq!(
        message,
        "c.yaml:6:58: service: connectors lead in a circle: traces/a -> traces/b -> traces/a"
    );
    let message = connected(
        "    logs: {receivers: [otlp, forward], exporters: [forward]}\n    \
         traces/a: {receivers: [otlp], exporters: [forward/2]}\n    \
         traces/b: {receivers: [forward/2], exporters: [nop]}\n",
    )
    .unwrap_err();
    assert_eq!(
        message,
        "c.yaml:6:52: service: connectors lead in a circle: logs -> logs"
    );
}

#[test]
fn connectors_have_names_of_their_own() {
    let message = load(
        "receivers: {otlp: }\nexporters: {nop: , forward: }\nconnectors: {forward: }\n\
         service: {pipelines: {logs: {receivers: [otlp], exporters: [nop]}}}\n",
    )
    .unwrap_err();
    assert!(message.contains(
        "c.yaml:3:14: connectors: expected a name that no other component has, but found \
         \"forward\" in \"exporters\" too"
    ));
}

#[test]
fn queues_on_disk_need_a_storage_that_is_in_use() {
    let load_with = |storage: &str, enabled: &str| {
        load(&format!(
            "receivers: {{otlp: }}
exporters:
  otlp_grpc:
    endpoint: 'localhost:1'
    sending_queue: {{storage: {storage}}}
extensions: {{file_storage/a: , health_check: }}
service:
  extensions: [{enabled}]
  pipelines: {{traces: {{receivers: [otlp], exporters: [otlp_grpc]}}}}
"
        ))
    };
    assert!(load_with("file_storage/a", "file_storage/a, health_check").is_ok());
    let message = load_with("file_storage/a", "health_check").unwrap_err();
    assert!(
        message.contains(
            "c.yaml:3:3: exporters::otlp_grpc::sending_queue::storage: the storage \
             \"file_storage/a\" is not in \"service::extensions\""
        ),
        "{message}"
    );
    let message = load_with("health_check", "health_check").unwrap_err();
    assert!(
        message.contains("the extension \"health_check\" is not a storage"),
        "{message}"
    );
}
