use std::time::Duration;

use super::*;
use crate::sampler::Policy;
use crate::testing::FakeHost;

fn with_environment(document: &[u8], environment: &Environment) -> Result<Config, ConfigError> {
    let host = FakeHost::default();
    host.has_cel.set(true);
    Config::new(&host, "spanmesh", document, environment)
}

fn config(document: &str) -> Result<Config, ConfigError> {
    with_environment(document.as_bytes(), &Environment::default())
}

fn with(variables: &[(&str, &str)], document: &str) -> Result<Config, ConfigError> {
    let environment = Environment::new(|name| {
        let found = variables.iter().find(|(variable, _)| *variable == name);
        found.map(|(_, value)| (*value).to_owned())
    });
    with_environment(document.as_bytes(), &environment)
}

/// The message that a document is refused with.
fn refused(document: &str) -> String {
    match config(document) {
        Ok(_) => panic!("accepted: {document}"),
        Err(error) => error.to_string(),
    }
}

#[test]
fn an_absent_or_empty_document_has_every_default() {
    for document in ["", " \n", "{}"] {
        let config = config(document).unwrap();
        assert_eq!(config.formats, [Format::TraceContext]);
        assert_eq!(config.role, Role::Auto);
        assert!(config.spans && config.access_log.is_some());
        assert_eq!(config.value_limit, 1024);
        let names: Vec<&str> = config.export.clusters.iter().map(Cluster::name).collect();
        assert_eq!(
            names,
            ["outbound|4317||spanmesh-collector.observability.svc.cluster.local"]
        );
        assert_eq!(config.export.protocol, Protocol::Grpc);
        assert_eq!(config.export.timeout, Duration::from_secs(10));
        assert_eq!(config.export.max_records, 512);
        assert_eq!(config.export.interval, Duration::from_secs(1));
        assert_eq!(config.export.max_queue_bytes, 4 * 1024 * 1024);
        assert_eq!(config.export.drain_timeout, Duration::from_secs(10));
        assert!(config.export.headers.is_empty() && config.resource_attributes.is_empty());
    }
}

#[test]
fn every_key_is_read() {
    let config = config(
        r#"{
            "service": {"name": "cart", "namespace": "shop", "version": "v1"},
            "resource_attributes": {"a": "b", "n": 3.0, "d": 0.5, "t": true},
            "role": "outbound",
            "propagators": ["b3", "tracecontext", "baggage", "b3"],
            "sampler": {"parent_based": false, "ratio": 0.25, "max_per_second": 10, "rules": [
                {"match": {"method": "GET", "host": "h", "path": "/items/{id}",
                           "path_prefix": "/i", "header": {"name": "X-A", "value": "1"},
                           "when": "true"}, "ratio": 0.1},
                {"match": {"path": "/healthz"}, "decision": "never"},
                {"match": {"header": {"name": "x-b"}}, "decision": "always"},
                {"match": {}, "max_per_second": 0.5}]},
            "spans": {"enabled": false, "routes": ["/items/{id}"]},
            "access_log": {"enabled": false},
            "redact": {"query_keys": ["token"]},
            "limits": {"attribute_value_bytes": 64.0},
            "exporter": {"protocol": "grpc", "clusters": ["x", "y"], "timeout": "500ms",
                         "headers": {"authorization": "Bearer t"}},
            "batch": {"max_records": 10.0, "interval": "100ms", "max_queue_bytes": 65536,
                      "drain_timeout": "2m"}
        }"#,
    )
    .unwrap();
    assert_eq!(config.service.name.as_deref(), Some("cart"));
    assert_eq!(config.service.namespace.as_deref(), Some("shop"));
    assert_eq!(config.service.version.as_deref(), Some("v1"));
    let attributes: Vec<_> = config
        .resource_attributes
        .iter()
        .map(|(key, value)| (key.as_str(), value))
        .collect();
    assert_eq!(
        attributes,
        [
            ("a", &AttributeValue::String("b".to_owned())),
            ("d", &AttributeValue::Double(0.5)),
            ("n", &AttributeValue::Int(3)),
            ("t", &AttributeValue::Bool(true)),
        ]
    );
    assert_eq!(config.role, Role::Outbound);
    assert_eq!(config.formats, [Format::B3, Format::TraceContext]);
    assert!(!config.spans && config.access_log.is_none());
    assert!(!config.sampler.parent_based && config.sampler.limit.is_some());
    let rules = &config.sampler.rules;
    assert_eq!(rules.len(), 4);
    assert_eq!(
        rules[0].matching.header,
        Some(("x-a".to_owned(), Some("1".to_owned())))
    );
    assert!(rules[0].matching.when.is_some());
    assert!(matches!(rules[1].policy, Policy::Never));
    assert!(matches!(rules[2].policy, Policy::Ratio(Some(_))));
    assert!(matches!(rules[3].policy, Policy::Limit(_)));
    assert_eq!(config.route(b"/items/7"), Some("/items/{id}"));
    assert_eq!(
        config.redaction.query(b"token=x&sig=y").as_ref(),
        b"token=REDACTED&sig=y"
    );
    assert_eq!(config.value_limit, 64);
    let names: Vec<&str> = config.export.clusters.iter().map(Cluster::name).collect();
    assert_eq!(names, ["x", "y"]);
    assert_eq!(config.export.timeout, Duration::from_millis(500));
    assert_eq!(
        config.export.headers,
        [("authorization".to_owned(), "Bearer t".to_owned())]
    );
    assert_eq!(config.export.max_records, 10);
    assert_eq!(config.export.interval, Duration::from_millis(100));
    assert_eq!(config.export.max_queue_bytes, 65536);
    assert_eq!(config.export.drain_timeout, Duration::from_secs(120));
}

#[test]
fn an_error_names_the_place_what_was_found_and_what_was_expected() {
    let check = |document: &str, path: &str, parts: &[&str]| {
        let message = refused(document);
        assert!(message.starts_with(&format!("{path}: ")), "{message}");
        for part in parts {
            assert!(message.contains(part), "{message} has no {part:?}");
        }
    };
    check(
        "[1]",
        "pluginConfig",
        &["found a list", "expected an object"],
    );
    check(
        "{",
        "pluginConfig",
        &["line 1 column 1", "expected a JSON object"],
    );
    check("{} x", "pluginConfig", &["line 1 column 4"]);
    check(
        r#"{"sampling": {}}"#,
        "pluginConfig.sampling",
        &["unknown key", "sampler"],
    );
    check(
        r#"{"sampler": 1}"#,
        "pluginConfig.sampler",
        &["found a number", "an object"],
    );
    check(
        r#"{"sampler": {"rate": 1}}"#,
        "pluginConfig.sampler.rate",
        &["unknown key", "ratio"],
    );
    check(
        r#"{"sampler": {"ratio": 2}}"#,
        "pluginConfig.sampler.ratio",
        &["2"],
    );
    check(
        r#"{"sampler": {"ratio": "1"}}"#,
        "pluginConfig.sampler.ratio",
        &["\"1\"", "a number"],
    );
    check(
        r#"{"role": "proxy"}"#,
        "pluginConfig.role",
        &["\"proxy\"", "auto, inbound, outbound"],
    );
    check(
        r#"{"propagators": ["b4"]}"#,
        "pluginConfig.propagators",
        &["\"b4\"", "b3multi"],
    );
    check(
        r#"{"spans": {"enabled": "no"}}"#,
        "pluginConfig.spans.enabled",
        &["true or false"],
    );
    check(
        r#"{"batch": {"max_records": 0}}"#,
        "pluginConfig.batch.max_records",
        &["found 0", "from 1"],
    );
    check(
        r#"{"batch": {"max_records": 1.5}}"#,
        "pluginConfig.batch.max_records",
        &["found 1.5"],
    );
    check(
        r#"{"batch": {"interval": 5}}"#,
        "pluginConfig.batch.interval",
        &["found 5", "\"500ms\""],
    );
    check(
        r#"{"batch": {"interval": "1ms"}}"#,
        "pluginConfig.batch.interval",
        &["from 10ms to 24 hours"],
    );
    check(
        r#"{"exporter": {"clusters": []}}"#,
        "pluginConfig.exporter.clusters",
        &["empty list"],
    );
    check(
        r#"{"exporter": {"clusters": [""]}}"#,
        "pluginConfig.exporter.clusters",
        &["not empty"],
    );
    check(
        r#"{"exporter": {"protocol": "udp"}}"#,
        "pluginConfig.exporter.protocol",
        &["grpc"],
    );
    check(
        r#"{"exporter": {"headers": {"grpc-timeout": "1"}}}"#,
        "pluginConfig.exporter.headers.grpc-timeout",
        &["gRPC keeps"],
    );
    check(
        r#"{"exporter": {"headers": {"X-Key": "1"}}}"#,
        "pluginConfig.exporter.headers.X-Key",
        &["lower-case"],
    );
    let rule = |rule: &str| format!(r#"{{"sampler": {{"rules": [{{}}, {rule}]}}}}"#);
    check(
        &rule("1"),
        "pluginConfig.sampler.rules[1]",
        &["found a number", "an object"],
    );
    check(
        r#"{"sampler": {"rules": 1}}"#,
        "pluginConfig.sampler.rules",
        &["a list of objects"],
    );
    let first = |rule: &str| format!(r#"{{"sampler": {{"rules": [{rule}]}}}}"#);
    let at = "pluginConfig.sampler.rules[0]";
    check(&first("{}"), at, &["exactly one of ratio"]);
    check(
        &first(r#"{"ratio": 1, "decision": "always"}"#),
        at,
        &["exactly one of ratio"],
    );
    let check_in = |rule: &str, key: &str, parts: &[&str]| {
        check(&first(rule), &format!("{at}.{key}"), parts);
    };
    check_in(r#"{"decision": "maybe"}"#, "decision", &["always, never"]);
    check_in(
        r#"{"max_per_second": 0}"#,
        "max_per_second",
        &["found 0", "more than 0"],
    );
    check_in(r#"{"ratio": 3}"#, "ratio", &["3"]);
    check_in(
        r#"{"ratio": 1, "match": {"path": "x"}}"#,
        "match.path",
        &["begins with /"],
    );
    check_in(
        r#"{"ratio": 1, "match": {"pth": "x"}}"#,
        "match.pth",
        &["unknown key"],
    );
    check_in(
        r#"{"ratio": 1, "match": {"when": "((a)"}}"#,
        "match.when",
        &["expected CEL"],
    );
    check_in(
        r#"{"ratio": 1, "match": {"header": {"value": "x"}}}"#,
        "match.header.name",
        &["name of a header"],
    );
    check(
        r#"{"spans": {"routes": ["{a"]}}"#,
        "pluginConfig.spans.routes",
        &["begins with /"],
    );
    check(
        r#"{"resource_attributes": {"a": []}}"#,
        "pluginConfig.resource_attributes.a",
        &["found []", "a string, a number"],
    );
}

#[test]
fn a_protobuf_struct_in_place_of_text_is_named_as_such() {
    let message = refused("\n\u{c}\n\u{5}spans");
    assert!(message.contains("StringValue"), "{message}");
}

#[test]
fn the_environment_stands_below_the_document() {
    let variables = [
        ("OTEL_SERVICE_NAME", "from-env"),
        (
            "OTEL_RESOURCE_ATTRIBUTES",
            "a=1,b=x%2Cy, ,service.name=third",
        ),
        ("OTEL_PROPAGATORS", "B3Multi, baggage"),
        ("OTEL_TRACES_SAMPLER", "always_off"),
    ];
    let text = |value: &str| Some(AttributeValue::String(value.to_owned()));
    let last = |config: &Config, key: &str| {
        let found = config
            .resource_attributes
            .iter()
            .rev()
            .find(|(found, _)| found == key);
        found.map(|(_, value)| value.clone())
    };
    let config = with(&variables, r#"{"resource_attributes": {"a": "2"}}"#).unwrap();
    assert_eq!(config.formats, [Format::B3Multi]);
    assert_eq!(last(&config, "a"), text("2"));
    assert_eq!(last(&config, "b"), text("x,y"));
    assert_eq!(last(&config, "service.name"), text("from-env"));
    let document = r#"{"resource_attributes": {"service.name": "own"},
        "propagators": ["tracecontext"]}"#;
    let config = with(&variables, document).unwrap();
    assert_eq!(last(&config, "service.name"), text("own"));
    assert_eq!(config.formats, [Format::TraceContext]);
}

#[test]
fn a_variable_that_cannot_be_used_is_as_good_as_absent() {
    let config = with(
        &[
            ("OTEL_RESOURCE_ATTRIBUTES", "a=1,b"),
            ("OTEL_PROPAGATORS", "jaeger,xray,"),
            ("OTEL_TRACES_SAMPLER", "sometimes"),
        ],
        "",
    )
    .unwrap();
    assert!(config.resource_attributes.is_empty());
    assert_eq!(config.formats, [Format::TraceContext]);
    let formats = |list| with(&[("OTEL_PROPAGATORS", list)], "").unwrap().formats;
    assert_eq!(
        formats("jaeger,b3,tracecontext,b3"),
        [Format::B3, Format::TraceContext]
    );
    assert_eq!(formats("none"), []);
}

#[test]
fn over_http_the_default_cluster_is_that_of_the_other_port() {
    let config = config(r#"{"exporter": {"protocol": "http"}}"#).unwrap();
    assert_eq!(config.export.protocol, Protocol::Http);
    let names: Vec<&str> = config.export.clusters.iter().map(Cluster::name).collect();
    assert_eq!(
        names,
        ["outbound|4318||spanmesh-collector.observability.svc.cluster.local"]
    );
}

#[test]
fn the_headers_of_the_environment_stand_below_those_of_the_document() {
    let list = "Authorization=Bearer%20t,x-team=a, ,grpc-timeout=1,x-bad=%01,UPPER_case=1";
    let variables = [("OTEL_EXPORTER_OTLP_HEADERS", list)];
    let document = r#"{"exporter": {"headers": {"x-team": "b"}}}"#;
    let config = with(&variables, document).unwrap();
    let expected = [
        ("x-team", "b"),
        ("authorization", "Bearer t"),
        ("upper_case", "1"),
    ];
    assert_eq!(
        config.export.headers,
        expected.map(|(name, value)| (name.to_owned(), value.to_owned()))
    );
    let broken = [("OTEL_EXPORTER_OTLP_HEADERS", "a=1,b")];
    assert!(with(&broken, "").unwrap().export.headers.is_empty());
}

#[test]
fn an_error_never_shows_the_headers_of_exports() {
    let check = |document: &str, path: &str| {
        let message = refused(document);
        assert!(message.starts_with(&format!("{path}: ")), "{message}");
        assert!(!message.contains("s3cret"), "{message}");
    };
    let header = "pluginConfig.exporter.headers.authorization";
    for value in [
        r#""Bearer s3cret\n""#,
        r#"["s3cret"]"#,
        r#"{"a": "s3cret"}"#,
    ] {
        let headers = format!(r#"{{"authorization": {value}}}"#);
        check(
            &format!(r#"{{"exporter": {{"headers": {headers}}}}}"#),
            header,
        );
    }
    let headers = "pluginConfig.exporter.headers";
    check(
        r#"{"exporter": {"headers": "authorization=s3cret"}}"#,
        headers,
    );
    check(r#"{"exporter": {"headers": ["s3cret"]}}"#, headers);
    check(
        r#"{"exporter": [{"headers": {"a": "s3cret"}}]}"#,
        "pluginConfig.exporter",
    );
    check(
        r#"[{"exporter": {"headers": {"a": "s3cret"}}}]"#,
        "pluginConfig",
    );
}

#[test]
fn the_samplers_of_the_environment_are_those_of_the_specification() {
    let check = |name: &str, argument: &str, expected: Option<(bool, f64)>| {
        let variables = [
            ("OTEL_TRACES_SAMPLER", name),
            ("OTEL_TRACES_SAMPLER_ARG", argument),
        ];
        let environment = Environment::new(|variable| {
            let found = variables.iter().find(|(known, _)| *known == variable);
            found.map(|(_, value)| (*value).to_owned())
        });
        let found = environment.sampler().map(|(parent_based, policy)| {
            let Policy::Ratio(threshold) = policy else {
                panic!("{policy:?}")
            };
            (
                parent_based,
                threshold.map_or(0.0, spanmesh_sampling::Threshold::to_probability),
            )
        });
        assert_eq!(found, expected, "{name} {argument}");
    };
    check("always_on", "", Some((false, 1.0)));
    check("parentbased_always_off", "", Some((true, 0.0)));
    check("ParentBased_TraceIdRatio", "0.25", Some((true, 0.25)));
    check("traceidratio", " .5", Some((false, 0.5)));
    check("traceidratio", "2", Some((false, 1.0)));
    check("traceidratio", "x", Some((false, 1.0)));
    check("jaeger_remote", "1", None);
}

proptest::proptest! {
    #[test]
    fn no_document_panics(document: Vec<u8>) {
        let _ = with_environment(&document, &Environment::default());
    }

    #[test]
    fn no_variable_panics(value: String) {
        let _ = with_environment(b"", &Environment::new(|_| Some(value.clone())));
    }
}

#[test]
fn an_expression_on_an_envoy_without_cel_is_an_error() {
    let check = |document: &str, key: &str| {
        let host = FakeHost::default();
        let environment = Environment::default();
        let refused = Config::new(&host, "spanmesh", document.as_bytes(), &environment);
        let message = refused.unwrap_err().to_string();
        let expected = format!("{key}: this Envoy evaluates no CEL");
        assert!(message.contains(&expected), "{message}");
    };
    let rule = r#"{"sampler": {"rules": [{"match": {"when": "true"}, "ratio": 1}]}}"#;
    check(rule, "match.when");
    check(r#"{"access_log": {"filter": "true"}}"#, "access_log.filter");
    check(r#"{"access_log": {"body": "'a'"}}"#, "access_log.body");
    let attributes = r#"{"access_log": {"attributes": {"a": "1"}}}"#;
    check(attributes, "access_log.attributes.a");
}

#[test]
fn captured_names_are_lower_case_and_once() {
    let config = config(
        r#"{"capture": {"request_headers": ["X-A", "x-t-*"], "response_headers": ["B", "b"],
                        "baggage": ["User"], "unredacted": ["Cookie"]}}"#,
    )
    .unwrap();
    let capture = &config.capture;
    assert_eq!(capture.request_headers, ["x-a"]);
    assert_eq!(capture.request_prefixes, ["x-t-"]);
    assert_eq!(capture.response_headers, ["b"]);
    assert_eq!(capture.baggage, ["User"]);
    assert_eq!(capture.unredacted, ["cookie"]);
}

#[test]
fn what_cannot_be_captured_or_added_is_named() {
    let check = |section: &str, path: &str, part: &str| {
        let message = refused(&format!("{{{section}}}"));
        assert!(
            message.starts_with(&format!("pluginConfig.{path}: ")),
            "{message}"
        );
        assert!(message.contains(part), "{message} has no {part:?}");
    };
    for name in ["x a", ":path", "*", "x-*-y", "grüß", "x:y"] {
        let section = format!(r#""capture": {{"request_headers": ["ok", "{name}"]}}"#);
        check(
            &section,
            "capture.request_headers[1]",
            "expected the name of a header",
        );
    }
    check(
        r#""capture": {"response_headers": ["x-*"]}"#,
        "capture.response_headers[0]",
        "expected the name of a header, such as \"x-tenant\"",
    );
    check(
        r#""capture": {"baggage": ["a b"]}"#,
        "capture.baggage[0]",
        "expected a key of W3C Baggage",
    );
    check(
        r#""capture": {"baggage": ["url.path"]}"#,
        "capture.baggage[0]",
        "no attribute which the filter sets",
    );
    check(
        r#""capture": {"unredacted": ["x-a"]}"#,
        "capture.unredacted[0]",
        "expected a header that is redacted, such as",
    );
    check(
        r#""capture": {"headers": []}"#,
        "capture.headers",
        "unknown key",
    );
    check(
        r#""access_log": {"filter": "f("}"#,
        "access_log.filter",
        "expected CEL",
    );
    check(
        r#""access_log": {"body": 1}"#,
        "access_log.body",
        "expected a string",
    );
    check(
        r#""access_log": {"enabled": false, "body": "f("}"#,
        "access_log.body",
        "found \"f(\", expected CEL",
    );
    check(
        r#""access_log": {"attributes": {"a.b": "f("}}"#,
        "access_log.attributes.a.b",
        "expected CEL",
    );
    check(
        r#""access_log": {"attributes": {"a": 1}}"#,
        "access_log.attributes.a",
        "expected a string with a CEL expression",
    );
    check(
        r#""access_log": {"attributes": {"": "1"}}"#,
        "access_log.attributes",
        "an empty one",
    );
}
