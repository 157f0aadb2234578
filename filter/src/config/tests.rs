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
        assert_eq!(config.export.clusters, [DEFAULT_CLUSTER]);
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
    assert_eq!(config.export.clusters, ["x", "y"]);
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
        &["at least 10ms"],
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
        &["gRPC sets"],
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
        ("OTEL_PROPAGATORS", "b3multi, baggage"),
        ("OTEL_TRACES_SAMPLER", "always_off"),
    ];
    let config = with(&variables, r#"{"resource_attributes": {"a": "2"}}"#).unwrap();
    assert_eq!(config.service.name.as_deref(), Some("from-env"));
    assert_eq!(config.formats, [Format::B3Multi]);
    let text = |value: &str| AttributeValue::String(value.to_owned());
    let last = |key: &str| {
        let found = config
            .resource_attributes
            .iter()
            .rev()
            .find(|(found, _)| found == key);
        found.map(|(_, value)| value.clone())
    };
    assert_eq!((last("a"), last("b")), (Some(text("2")), Some(text("x,y"))));
    let document = r#"{"service": {"name": "own"}, "propagators": ["tracecontext"]}"#;
    let config = with(&variables, document).unwrap();
    assert_eq!(config.service.name.as_deref(), Some("own"));
    assert_eq!(config.formats, [Format::TraceContext]);
}

#[test]
fn a_bad_variable_is_named() {
    let check = |name: &str, value: &str| {
        let message = with(&[(name, value)], "").unwrap_err().to_string();
        assert!(
            message.starts_with(&format!("environment variable {name}: ")),
            "{message}"
        );
    };
    check("OTEL_RESOURCE_ATTRIBUTES", "a");
    check("OTEL_RESOURCE_ATTRIBUTES", "a=%zz");
    check("OTEL_PROPAGATORS", "jaeger");
    check("OTEL_TRACES_SAMPLER", "sometimes");
    let ratio = [
        ("OTEL_TRACES_SAMPLER", "traceidratio"),
        ("OTEL_TRACES_SAMPLER_ARG", "2"),
    ];
    let message = with(&ratio, "").unwrap_err().to_string();
    assert!(
        message.starts_with("environment variable OTEL_TRACES_SAMPLER_ARG: "),
        "{message}"
    );
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
