//! The program itself: its commands, its messages, its exit codes, its signals.

mod support;

use std::net::TcpListener;
use std::process::Output;
use std::time::{Duration, Instant};

use support::program::{Running, config, eventually, http, output, program, run, text};

const CONFIG: &str = "
receivers:
  otlp:
    protocols:
      grpc: {endpoint: '127.0.0.1:0'}
      http: {endpoint: '127.0.0.1:0'}
exporters:
  debug: {verbosity: normal}
extensions:
  health_check: {endpoint: '127.0.0.1:0'}
service:
  extensions: [health_check]
  telemetry:
    metrics: {readers: [{pull: {exporter: {prometheus: {host: 127.0.0.1, port: 0}}}}]}
  pipelines:
    traces: {receivers: [otlp], exporters: [debug]}
    logs: {receivers: [otlp], exporters: [debug]}
";

#[test]
fn it_prints_what_arrives_and_says_where_everything_went() {
    let file = config(CONFIG);
    for signal in ["TERM", "INT"] {
        let running = Running::start(file.path());
        let otlp = running.address("transport=\"http\"");
        let span = r#"{"resourceSpans":[{"resource":{"attributes":[{"key":"service.name",
            "value":{"stringValue":"shop"}}]},"scopeSpans":[{"spans":[{"name":"GET /cart",
            "traceId":"5b8efff798038103d269b633813fc60c","spanId":"eee19b7ec3c1b174","kind":2,
            "startTimeUnixNano":"1000000","endTimeUnixNano":"3500000",
            "status":{"code":2,"message":"gone"},
            "attributes":[{"key":"n","value":{"intValue":"7"}}]}]}]}]}"#;
        assert!(http(otlp, "POST /v1/traces", span).starts_with("HTTP/1.1 200"));
        let record = r#"{"resourceLogs":[{"scopeLogs":[{"logRecords":[{"severityText":"WARN",
            "body":{"stringValue":"late"}}]}]}]}"#;
        assert!(http(otlp, "POST /v1/logs", record).starts_with("HTTP/1.1 200"));

        let health = http(running.address("extension=\"health_check\""), "GET /", "");
        assert!(health.starts_with("HTTP/1.1 200") && health.contains("Server available"));
        let metrics = http(running.address("serving metrics"), "GET /metrics", "");
        assert!(metrics.contains("\notelcol_process_uptime "), "{metrics}");

        running.signal(signal);
        let (code, output, log) = running.end();
        assert_eq!(code, Some(0), "{log}");
        // Signals have no order among each other.
        let mut lines: Vec<_> = output.lines().collect();
        lines.sort_unstable();
        assert_eq!(
            lines,
            [
                "log service=- severity=WARN body=\"late\"",
                "span service=shop name=\"GET /cart\" kind=SERVER \
                 trace_id=5b8efff798038103d269b633813fc60c span_id=eee19b7ec3c1b174 parent_id=- \
                 duration=2.500ms status=ERROR message=\"gone\" n=7",
            ]
        );
        assert!(
            log.contains(
                "account received=2 refused=0 accepted=2 recovered=0 sent=2 sampled_out=0 dropped=0 reasons=\"\" queued=0"
            ),
            "{log}"
        );
    }
}

const REQUEST: &str = r#"{"resourceSpans":[{"scopeSpans":[{"spans":[{"name":"GET /cart"}]}]}]}"#;

#[test]
fn a_hangup_takes_over_what_the_file_says_now() {
    let file = config(CONFIG);
    let mut running = Running::start(file.path());
    let otlp = running.address("transport=\"http\"");
    let metrics = running.address("serving metrics");
    let post = || assert!(http(otlp, "POST /v1/traces", REQUEST).starts_with("HTTP/1.1 200"));
    post();
    std::fs::write(file.path(), CONFIG.replace("normal", "basic")).unwrap();
    running.signal("HUP");
    while !running.next_line().contains("the new configuration runs") {}
    post();

    std::fs::write(file.path(), CONFIG.replace("verbosity", "verbose")).unwrap();
    running.signal("HUP");
    let line = loop {
        let line = running.next_line();
        if line.contains("the former configuration runs on") {
            break line;
        }
    };
    assert!(
        line.contains(":8:11: exporters::debug: unknown key \"verbose\""),
        "{line}"
    );
    post();
    let text = http(metrics, "GET /metrics", "");
    for line in [
        "spanmesh_config_reloads{result=\"success\"} 1",
        "spanmesh_config_reloads{result=\"failure\"} 1",
        "spanmesh_config_last_reload_successful 0",
    ] {
        assert!(text.contains(line), "{line} not in {text}");
    }

    running.signal("TERM");
    let (code, output, log) = running.end();
    assert_eq!(code, Some(0), "{log}");
    assert!(
        log.contains("account received=3 refused=0 accepted=3 recovered=0 sent=3 "),
        "{log}"
    );
    // Beside two lines of one span each, or one of both.
    let lines = output.lines().filter(|line| line.contains("GET /cart"));
    let lines: Vec<_> = lines.collect();
    assert_eq!(lines.len(), 1, "{output}");
    assert!(
        lines[0].starts_with("span service=- name=\"GET /cart\""),
        "{output}"
    );
}

#[test]
fn a_hangup_changes_the_log() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("log");
    let logs = |options: &str| {
        CONFIG.replace(
            "telemetry:\n",
            &format!("telemetry:\n    logs: {options}\n"),
        )
    };
    let file = config(CONFIG);
    let mut running = Running::start(file.path());
    let json = "{encoding: json, initial_fields: {pod: a}}";
    std::fs::write(file.path(), logs(json)).unwrap();
    running.signal("HUP");
    let line = loop {
        let line = running.next_line();
        if line.contains("the new configuration runs") {
            break line;
        }
    };
    let line: serde_json::Value = serde_json::from_str(&line).unwrap();
    assert_eq!(line["pod"], "a");
    // A place that cannot be written to is refused, and changes nothing.
    let nowhere = format!("{{output_paths: ['{}/x/y']}}", path.display());
    std::fs::write(file.path(), logs(&nowhere)).unwrap();
    running.signal("HUP");
    while !running.next_line().contains("cannot write to") {}
    let to_file = format!("{{level: warn, output_paths: ['{}']}}", path.display());
    std::fs::write(file.path(), logs(&to_file)).unwrap();
    running.signal("HUP");
    eventually("the file of the log is there", || path.exists());
    std::fs::write(file.path(), CONFIG.replace("verbosity", "verbose")).unwrap();
    let written = || std::fs::read_to_string(&path).unwrap_or_default();
    eventually("what is wrong is in the file", || {
        running.signal("HUP");
        std::thread::sleep(Duration::from_millis(50));
        written().contains("the former configuration runs on")
    });
    assert!(
        written().contains("unknown key \"verbose\""),
        "{}",
        written()
    );
    running.signal("TERM");
    let (code, _, log) = running.end();
    assert_eq!(code, Some(0));
    assert!(!log.contains("stopping"), "{log}");
    assert!(!written().contains("stopping"), "{}", written());
}

#[test]
fn it_ends_while_a_reload_waits_for_a_disk() {
    let folder = tempfile::tempdir().unwrap();
    let text = |storage: &str| {
        format!(
            "receivers:\n  otlp: {{protocols: {{http: {{endpoint: '127.0.0.1:0'}}}}}}\n\
             extensions:\n  file_storage: {{directory: '{}', timeout: 2m}}\n\
             exporters:\n  otlp_http: {{endpoint: 'http://127.0.0.1:9'{storage}}}\n\
             service:\n  extensions: [file_storage]\n  telemetry: {{metrics: {{level: none}}}}\n  \
             pipelines:\n    traces: {{receivers: [otlp], exporters: [otlp_http]}}\n",
            folder.path().display()
        )
    };
    let stored = text(", sending_queue: {storage: file_storage}");
    let (first, second) = (config(&stored), config(&text("")));
    let other = Running::start(first.path());
    let mut running = Running::start(second.path());
    std::fs::write(second.path(), &stored).unwrap();
    running.signal("HUP");
    while !running
        .next_line()
        .contains("reading the configuration again")
    {}
    std::thread::sleep(Duration::from_millis(500));
    let began = Instant::now();
    running.signal("TERM");
    let (code, _, log) = running.end();
    assert_eq!(code, Some(0), "{log}");
    assert!(log.contains("stopping"), "{log}");
    assert!(began.elapsed() < Duration::from_secs(60), "{log}");
    other.signal("TERM");
    assert_eq!(other.end().0, Some(0));
}

#[test]
fn it_ends_while_a_reload_waits_for_somebody_to_read_a_pipe() {
    let folder = tempfile::tempdir().unwrap();
    let pipe = folder.path().join("pipe").display().to_string();
    assert!(
        std::process::Command::new("mkfifo")
            .arg(&pipe)
            .status()
            .unwrap()
            .success()
    );
    let file = config(CONFIG);
    let mut running = Running::start(file.path());
    let to_pipe = format!("file: {{path: '{pipe}'}}");
    let text = CONFIG.replace("debug: {verbosity: normal}", &to_pipe);
    std::fs::write(file.path(), text.replace("[debug]", "[file]")).unwrap();
    running.signal("HUP");
    while !running
        .next_line()
        .contains("reading the configuration again")
    {}
    let otlp = running.address("transport=\"http\"");
    std::thread::sleep(Duration::from_millis(500));
    assert!(http(otlp, "POST /v1/traces", REQUEST).starts_with("HTTP/1.1 200"));
    running.signal("TERM");
    let (code, output, log) = running.end();
    assert_eq!(code, Some(0), "{log}");
    assert!(output.contains("GET /cart"), "{output}");
}

#[test]
fn it_says_where_everything_went_when_a_reload_ends_it() {
    let folder = tempfile::tempdir().unwrap();
    let text = |consumers: u32| {
        format!(
            "receivers:\n  otlp: {{protocols: {{http: {{endpoint: '127.0.0.1:0'}}}}}}\n\
             extensions:\n  file_storage: {{directory: '{}'}}\n\
             exporters:\n  otlp_http: {{endpoint: 'http://127.0.0.1:9'}}\n  \
             otlp_http/stored: {{endpoint: 'http://127.0.0.1:9', sending_queue: {{storage: \
             file_storage, num_consumers: {consumers}}}}}\n\
             service:\n  extensions: [file_storage]\n  telemetry: {{metrics: {{level: none}}}}\n  \
             pipelines:\n    traces: {{receivers: [otlp], exporters: [otlp_http, \
             otlp_http/stored]}}\n",
            folder.path().display()
        )
    };
    let file = config(&text(1));
    let running = Running::start(file.path());
    let otlp = running.address("transport=\"http\"");
    assert!(http(otlp, "POST /v1/traces", REQUEST).starts_with("HTTP/1.1 200"));
    // The queue can be closed now, but not opened again.
    let log = std::fs::read_dir(folder.path()).unwrap().next().unwrap();
    let log = log.unwrap().path();
    std::fs::remove_dir_all(&log).unwrap();
    std::fs::write(&log, "").unwrap();
    std::fs::write(file.path(), text(2)).unwrap();
    running.signal("HUP");
    let (code, _, log) = running.end();
    assert_eq!(code, Some(1), "{log}");
    assert!(log.contains("cannot use "), "{log}");
    assert!(log.contains("dropped=1 reasons=\"shutdown 1\""), "{log}");
}

#[test]
fn files_are_watched_on_demand() {
    // As Kubernetes changes a ConfigMap: by a symbolic link to another folder.
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    for (version, verbosity) in [("v1", "normal"), ("v2", "basic")] {
        std::fs::create_dir(at(version)).unwrap();
        let text = CONFIG.replace("normal", verbosity);
        std::fs::write(at(version).join("c.yaml"), text).unwrap();
    }
    std::os::unix::fs::symlink("v1", at("data")).unwrap();
    std::os::unix::fs::symlink("data/c.yaml", at("c.yaml")).unwrap();
    let mut running = Running::start_with(&at("c.yaml"), &["--watch"]);
    std::os::unix::fs::symlink("v2", at("data.new")).unwrap();
    std::fs::rename(at("data.new"), at("data")).unwrap();
    while !running.next_line().contains("the new configuration runs") {}
    running.signal("TERM");
    let (code, _, log) = running.end();
    assert_eq!(code, Some(0), "{log}");
}

#[test]
fn a_full_queue_is_said_once_with_its_count() {
    let full =
        "otlp_http: {endpoint: 'http://127.0.0.1:1', sending_queue: {queue_size: 1}}\n  nop: ";
    let text = CONFIG.replace("debug: {verbosity: normal}", full);
    let file = config(&text.replace("[debug]", "[otlp_http, nop]"));
    let running = Running::start(file.path());
    let otlp = running.address("transport=\"http\"");
    // It is said again after ten seconds, which these do not take.
    for _ in 0..5 {
        assert!(http(otlp, "POST /v1/traces", REQUEST).starts_with("HTTP/1.1 200"));
    }
    running.signal("TERM");
    let (code, _, log) = running.end();
    assert_eq!(code, Some(0), "{log}");
    let said: Vec<_> = log
        .lines()
        .filter(|line| line.contains("queue is full"))
        .collect();
    assert_eq!(said.len(), 1, "{log}");
    assert!(said[0].contains("exporter=\"otlp_http\" items=1"), "{log}");
}

#[test]
fn it_ends_although_nobody_reads_what_it_writes() {
    let file = config(&CONFIG.replace("normal", "detailed"));
    let mut running = Running::start(file.path());
    let otlp = running.address("transport=\"http\"");
    // Far more than a pipe holds.
    let spans = vec![r#"{"name":"GET /cart"}"#; 2000].join(",");
    let request = format!(r#"{{"resourceSpans":[{{"scopeSpans":[{{"spans":[{spans}]}}]}}]}}"#);
    assert!(http(otlp, "POST /v1/traces", &request).starts_with("HTTP/1.1 200"));
    running.signal("TERM");
    assert_eq!(running.exit_status().code(), Some(0));
    let (_, _, log) = running.end();
    assert!(
        log.contains("dropped=2000 reasons=\"shutdown 2000\""),
        "{log}"
    );
}

#[test]
fn a_port_in_use_is_said_in_one_sentence() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    for (from, component) in [
        (
            "grpc: {endpoint: '127.0.0.1:0'}",
            "receiver \"otlp\" (grpc)",
        ),
        (
            "health_check: {endpoint: '127.0.0.1:0'}",
            "extension \"health_check\"",
        ),
        ("host: 127.0.0.1, port: 0", "service::telemetry::metrics"),
    ] {
        let to = from
            .replace("127.0.0.1:0", &address.to_string())
            .replace("port: 0", &format!("port: {}", address.port()));
        let file = config(&CONFIG.replace(from, &to));
        let output = run(&["--config", file.path().to_str().unwrap()]);
        assert_eq!(output.status.code(), Some(1));
        let message = text(&output.stderr);
        let expected = format!(
            "{component} cannot listen on {address}: the port is already in use by another process"
        );
        assert_eq!(message.lines().last(), Some(expected.as_str()), "{message}");
    }
}

#[test]
fn a_collector_that_cannot_start_leaves_the_file_of_another_one_alone() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("out.jsonl");
    std::fs::write(&path, "of a former run\n").unwrap();
    let to_file = CONFIG.replace(
        "debug: {verbosity: normal}",
        &format!("file: {{path: '{}'}}", path.display()),
    );
    let to_file = to_file.replace("[debug]", "[file]");
    let first = config(&to_file);
    let running = Running::start(first.path());
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "");
    let otlp = running.address("transport=\"http\"");
    let post = || assert!(http(otlp, "POST /v1/traces", REQUEST).starts_with("HTTP/1.1 200"));
    let lines = || std::fs::read_to_string(&path).unwrap().lines().count();
    let written = |count| eventually("it is written", || lines() >= count);
    post();
    written(1);

    let second = config(&to_file.replace("http: {endpoint: '127.0.0.1:0'}", &{
        format!("http: {{endpoint: '{otlp}'}}")
    }));
    let output = run(&["--config", second.path().to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(lines(), 1);

    // What somebody else takes out, as rotation does, leaves no hole.
    std::fs::write(&path, "").unwrap();
    post();
    written(1);
    let text = std::fs::read_to_string(&path).unwrap();
    assert!(text.starts_with("{\"resourceSpans\""), "{text:?}");
}

#[test]
fn validate_says_everything_that_is_wrong() {
    let file = config(CONFIG);
    let path = file.path().to_str().unwrap();
    let output = run(&["validate", "--config", path]);
    assert!(output.status.success());
    assert_eq!(text(&output.stdout), "the configuration is valid\n");

    let wrong = CONFIG
        .replace("verbosity", "verbose")
        .replace("[health_check]", "[health]");
    let file = config(&wrong);
    let path = file.path().to_str().unwrap();
    let output = run(&["--config", path, "validate"]);
    assert_eq!(output.status.code(), Some(1));
    let message = text(&output.stderr);
    assert_eq!(
        message.lines().next().unwrap(),
        format!(
            "{path}:8:11: exporters::debug: unknown key \"verbose\"; did you mean \"verbosity\"?"
        )
    );
    assert!(
        message.contains("\"health\" is used, but not defined"),
        "{message}"
    );

    let output = run(&["validate", "--config", "/nowhere.yaml"]);
    assert!(text(&output.stderr).starts_with("cannot read the configuration /nowhere.yaml: "));
}

#[test]
fn validate_reads_the_files_that_are_named() {
    let with = |exporter: &str| {
        let text = CONFIG.replace("debug: {verbosity: normal}", exporter);
        let file = config(&text.replace("exporters: [debug]", "exporters: [otlp]"));
        let output = run(&["validate", "--config", file.path().to_str().unwrap()]);
        (output.status.success(), text_of(&output))
    };
    fn text_of(output: &Output) -> String {
        text(&output.stderr)
    }
    let (success, message) = with("otlp: {endpoint: 'host:4317', tls: {insecure: true}}");
    assert!(success, "{message}");
    assert!(
        message.contains("warning: ") && message.contains("\"otlp_grpc\""),
        "{message}"
    );
    let (success, message) = with("otlp: {endpoint: 'host:4317', tls: {ca_file: /nowhere.pem}}");
    assert!(!success && message.contains("/nowhere.pem"), "{message}");
    let (success, message) = with("otlp: {endpoint: 'host:port'}");
    assert!(
        !success && message.contains("expected an endpoint as in"),
        "{message}"
    );
    let (success, message) = with("otlp: {tls: {insecure: true}}");
    assert!(
        !success && message.contains("the key \"endpoint\" is missing"),
        "{message}"
    );
}

#[test]
fn components_and_version_are_printed() {
    let components = text(&run(&["components"]).stdout);
    for name in [
        "otlp",
        "batch",
        "debug",
        "file",
        "nop",
        "otlp_grpc",
        "otlp_http",
        "health_check",
    ] {
        assert!(components.contains(&format!("  - {name}\n")), "{name}");
    }
    let version = text(&run(&["--version"]).stdout);
    assert_eq!(
        version,
        format!("spanmesh-collector {}\n", env!("CARGO_PKG_VERSION"))
    );
}

#[test]
fn later_files_lie_over_earlier_ones_and_variables_are_expanded() {
    let first = config(CONFIG);
    let second = config("exporters: {debug: {verbosity: '${env:SPANMESH_TEST_VERBOSITY}'}}\n");
    let validate = |value: &str| {
        let mut command = program(&["validate", "--config"]);
        command
            .arg(first.path())
            .arg("--config")
            .arg(second.path())
            .env("SPANMESH_TEST_VERBOSITY", value);
        output(&mut command)
    };
    assert!(validate("detailed").status.success());
    let message = text(&validate("loud").stderr);
    assert!(message.contains("unknown value \"loud\""), "{message}");
}

#[test]
fn single_values_and_texts_lie_over_files() {
    let file = config(CONFIG);
    let print = |arguments: &[&str]| {
        let mut command = program(&["print-config", "--config", file.path().to_str().unwrap()]);
        command.args(arguments).env(
            "SPANMESH_TEST_CONFIG",
            "exporters: {debug: {verbosity: basic}}",
        );
        let output = output(&mut command);
        assert!(output.status.success(), "{}", text(&output.stderr));
        text(&output.stdout)
    };
    assert!(print(&[]).contains("    verbosity: normal\n"));
    assert!(print(&["--set=exporters.debug.verbosity=detailed"]).contains("verbosity: detailed\n"));
    let over = print(&["--config", "env:SPANMESH_TEST_CONFIG"]);
    assert!(over.contains("verbosity: basic\n"));
    let over = print(&["--config", "yaml:exporters::debug::verbosity: detailed"]);
    assert!(over.contains("verbosity: detailed\n"));
    // What is set lies over everything, wherever it stands.
    let over = print(&[
        "--set",
        "exporters::debug::verbosity=detailed",
        "--config=env:SPANMESH_TEST_CONFIG",
    ]);
    assert!(over.contains("verbosity: detailed\n"));
    let json = print(&["--format=json"]);
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json["exporters"]["debug"]["verbosity"], "normal");
}

#[test]
fn secrets_are_printed_on_demand_only() {
    let exporter = "otlp_http: {endpoint: 'http://h:1', headers: {authorization: hidden}}";
    let file = config(&CONFIG.replace("debug: {verbosity: normal}", exporter));
    let path = file.path().to_str().unwrap();
    let print = |more: &str| text(&run(&["print-config", more, "--config", path]).stdout);
    assert!(!print("--mode=redacted").contains("hidden"));
    assert!(print("--mode=redacted").contains("authorization: \"[REDACTED]\"\n"));
    assert!(print("--mode=unredacted").contains("authorization: hidden\n"));
    // The name that the OpenTelemetry Collector had for it.
    let output = run(&["print-initial-config", "--config", path]);
    assert!(text(&output.stdout).contains("[REDACTED]"));
}

#[test]
fn configurations_that_hold_nothing_are_refused() {
    let file = config("");
    let path = file.path().to_str().unwrap();
    for location in [path, "yaml:", "env:SPANMESH_TEST_NONE"] {
        let output = run(&["validate", "--config", location]);
        assert_eq!(output.status.code(), Some(1), "{location}");
    }
}
