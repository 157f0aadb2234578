use super::*;

fn config(document: &str) -> Result<Config, ConfigError> {
    Config::new(document.as_bytes(), &Environment::default())
}

fn with(variables: &[(&str, &str)], document: &str) -> Result<Config, ConfigError> {
    let environment = Environment::new(|name| {
        let found = variables.iter().find(|(variable, _)| *variable == name);
        found.map(|(_, value)| (*value).to_owned())
    });
    Config::new(document.as_bytes(), &environment)
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
        assert!(config.spans && config.access_log);
        assert_eq!(config.value_limit, 1024);
        let names: Vec<&str> = config.export.clusters.iter().map(Cluster::name).collect();
        assert_eq!(names, [DEFAULT_CLUSTER]);
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
            "sampler": {"parent_based": false, "ratio": 0.25},
            "spans": {"enabled": false},
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
    assert!(!config.spans && !config.access_log);
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
    let check = |document, path: &str, parts: &[&str]| {
        let message = refused(document);
        assert!(message.starts_with(&format!("{path}: ")), "{message}");
        for part in parts {
            assert!(message.contains(part), "{message} has no {part:?}");
        }
    };
    check("[1]", "pluginConfig", &["found [1]", "expected an object"]);
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
        &["found 1", "an object"],
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
fn the_samplers_of_the_environment_are_those_of_the_specification() {
    let sampler = |name: &str, argument: &str| {
        let variables = [
            ("OTEL_TRACES_SAMPLER", name),
            ("OTEL_TRACES_SAMPLER_ARG", argument),
        ];
        Environment::new(|variable| {
            let found = variables.iter().find(|(known, _)| *known == variable);
            found.map(|(_, value)| (*value).to_owned())
        })
        .sampler()
    };
    assert_eq!(sampler("always_on", ""), Some((false, 1.0)));
    assert_eq!(sampler("parentbased_always_off", ""), Some((true, 0.0)));
    assert_eq!(
        sampler("ParentBased_TraceIdRatio", "0.25"),
        Some((true, 0.25))
    );
    assert_eq!(sampler("traceidratio", "2"), Some((false, 1.0)));
    assert_eq!(sampler("traceidratio", "x"), Some((false, 1.0)));
    assert_eq!(sampler("jaeger_remote", "1"), None);
}

proptest::proptest! {
    #[test]
    fn no_document_panics(document: Vec<u8>) {
        let _ = Config::new(&document, &Environment::default());
    }

    #[test]
    fn no_variable_panics(value: String) {
        let _ = Config::new(b"", &Environment::new(|_| Some(value.clone())));
    }
}
