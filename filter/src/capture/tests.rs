use opentelemetry_proto::tonic::common::v1::KeyValue;

use crate::testing::{FakeHost, Script, attribute, root};

/// Plays a request; returns the attributes of its span and of its log record.
fn play(document: &str, script: &Script<'_>) -> [Vec<KeyValue>; 2] {
    let host = FakeHost::default();
    host.has_cel.set(true);
    let mut root = root(&host, document);
    let mut http = root.http();
    host.start(script, &mut http);
    // What the route and other filters do with the headers does not change what arrived.
    host.headers.borrow_mut().clear();
    host.end(script, &mut http);
    host.tick(&mut root);
    assert_eq!(host.stat("attributes.failed"), 0);
    [
        host.spans().remove(0).attributes,
        host.logs().remove(0).attributes,
    ]
}

fn check(document: &str, script: &Script<'_>, expected: &[(&str, Option<&str>)]) {
    for attributes in play(document, script) {
        for (key, value) in expected {
            assert_eq!(attribute(&attributes, key).as_deref(), *value, "{key}");
        }
    }
}

fn with_headers(headers: &[(&'static str, &'static str)]) -> Script<'static> {
    let mut script = Script::get();
    script.headers.extend(headers);
    script
}

#[test]
fn request_headers_have_all_their_values() {
    let script = with_headers(&[("x-a", "1"), ("x-team-b", "2"), ("x-a", "3"), ("x-c", "4")]);
    check(
        r#"{"capture": {"request_headers": ["X-A", "x-team-*", "x-team-b", "x-none"]}}"#,
        &script,
        &[
            ("http.request.header.x-a", Some(r#"["1", "3"]"#)),
            ("http.request.header.x-team-b", Some(r#"["2"]"#)),
            ("http.request.header.x-c", None),
            ("http.request.header.x-none", None),
        ],
    );
}

#[test]
fn secrets_need_their_name_and_are_redacted_all_the_same() {
    let script = with_headers(&[
        ("authorization", "Bearer t"),
        ("cookie", "a=b"),
        ("cookie", "c=d"),
        ("x-api-key", "k"),
    ]);
    let document = r#"{"capture": {"request_headers": ["a*", "c*", "x-*", "Authorization"]}}"#;
    check(
        document,
        &script,
        &[
            ("http.request.header.authorization", Some(r#"["REDACTED"]"#)),
            ("http.request.header.cookie", None),
            ("http.request.header.x-api-key", None),
        ],
    );
    check(
        r#"{"capture": {"request_headers": ["cookie"], "unredacted": ["Cookie"]}}"#,
        &script,
        &[("http.request.header.cookie", Some(r#"["a=b", "c=d"]"#))],
    );
}

#[test]
fn response_headers_come_with_the_other_attributes() {
    let mut script = Script::get();
    script.properties.extend([
        ("response.headers.x-r", b"1,2".to_vec()),
        ("response.headers.set-cookie", b"id=secret".to_vec()),
    ]);
    let document = r#"{"capture": {"response_headers": ["x-R", "set-cookie", "x-none", "x-r"]}}"#;
    let expected = [
        ("http.response.header.x-r", Some(r#"["1,2"]"#)),
        ("http.response.header.set-cookie", Some(r#"["REDACTED"]"#)),
        ("http.response.header.x-none", None),
        ("spanmesh.upstream.address", Some("10.0.0.3:8080")),
    ];
    check(document, &script, &expected);
    // Without CEL they are properties of their own.
    let host = FakeHost::default();
    let mut root = root(&host, document);
    host.play(&root, &script);
    host.tick(&mut root);
    for (key, value) in expected {
        assert_eq!(
            attribute(&host.spans()[0].attributes, key).as_deref(),
            value
        );
    }
}

#[test]
fn headers_of_grpc_are_metadata() {
    let mut script = with_headers(&[("content-type", "application/grpc"), ("x-a", "1")]);
    script.headers[0].1 = "POST";
    script.headers[1].1 = "/a.B/C";
    script
        .properties
        .push(("response.headers.x-r", b"2".to_vec()));
    check(
        r#"{"capture": {"request_headers": ["x-a"], "response_headers": ["x-r"]}}"#,
        &script,
        &[
            ("rpc.request.metadata.x-a", Some(r#"["1"]"#)),
            ("rpc.response.metadata.x-r", Some(r#"["2"]"#)),
            ("http.request.header.x-a", None),
            ("http.response.header.x-r", None),
        ],
    );
}

#[test]
fn baggage_is_known_by_its_keys() {
    let script = with_headers(&[
        ("baggage", "tenant=a%20b;ttl=1, user=alice"),
        ("baggage", "tenant=last,Tenant=other"),
    ]);
    check(
        r#"{"capture": {"baggage": ["tenant", "none"]}}"#,
        &script,
        &[
            ("tenant", Some("last")),
            ("user", None),
            ("Tenant", None),
            ("none", None),
        ],
    );
}

#[test]
fn values_are_cut_and_become_text() {
    let script = with_headers(&[
        ("x-a", "éééééééééé"),
        ("baggage", "k=%FF123456789012345678"),
    ]);
    check(
        r#"{"capture": {"request_headers": ["x-a"], "baggage": ["k"]},
            "limits": {"attribute_value_bytes": 17}}"#,
        &script,
        &[
            ("http.request.header.x-a", Some(r#"["éééééééé"]"#)),
            ("k", Some("\u{fffd}12345678901234")),
        ],
    );
}

#[test]
fn what_is_captured_is_counted_until_the_end() {
    let host = FakeHost::default();
    let root = root(&host, r#"{"capture": {"request_headers": ["x-a"]}}"#);
    let held = |script: &Script<'_>| {
        let mut http = root.http();
        host.start(script, &mut http);
        let held = root.active().kept_bytes.held();
        host.end(script, &mut http);
        assert_eq!(root.active().kept_bytes.held(), 0);
        held
    };
    let without = held(&Script::get());
    let with = held(&with_headers(&[("x-a", "0123456789")]));
    assert!(with >= without + 13, "{without} {with}");
}

#[test]
fn the_values_of_one_name_stand_together_however_they_arrived() {
    let script = with_headers(&[
        ("x-b", "1"),
        ("x-a", "2"),
        ("x-b", "3"),
        ("x-c", "4"),
        ("x-a", "5"),
        ("x-b", "6"),
    ]);
    check(
        r#"{"capture": {"request_headers": ["x-*"]}}"#,
        &script,
        &[
            ("http.request.header.x-a", Some(r#"["2", "5"]"#)),
            ("http.request.header.x-b", Some(r#"["1", "3", "6"]"#)),
            ("http.request.header.x-c", Some(r#"["4"]"#)),
        ],
    );
}

#[test]
fn a_pattern_captures_nothing_that_is_called_a_secret() {
    let script = with_headers(&[
        ("x-goog-api-key", "s"),
        ("x-vault-token", "s"),
        ("x-amz-security-token", "s"),
        ("x-goog-iap-jwt-assertion", "s"),
        ("x-original-authorization", "s"),
        ("x-plain", "p"),
    ]);
    check(
        r#"{"capture": {"request_headers": ["x-*", "x-vault-token"]}}"#,
        &script,
        &[
            ("http.request.header.x-goog-api-key", None),
            // Its exact name was given.
            ("http.request.header.x-vault-token", Some(r#"["s"]"#)),
            ("http.request.header.x-amz-security-token", None),
            ("http.request.header.x-goog-iap-jwt-assertion", None),
            ("http.request.header.x-original-authorization", None),
            ("http.request.header.x-plain", Some(r#"["p"]"#)),
        ],
    );
    for name in super::SECRETS {
        assert!(super::may_be_secret(name.as_bytes()), "{name}");
    }
}

#[test]
fn baggage_that_the_boundary_takes_away_is_not_captured() {
    let script = with_headers(&[("baggage", "tenant=forged"), ("x-a", "1")]);
    let document = |strip: &str| {
        format!(
            r#"{{"capture": {{"request_headers": ["x-a"], "baggage": ["tenant"]}},
                "trust": [{{"action": "restart"{strip}}}]}}"#
        )
    };
    let header = ("http.request.header.x-a", Some(r#"["1"]"#));
    let stripped = [("tenant", None), header];
    check(&document(r#", "baggage": "strip""#), &script, &stripped);
    check(
        &document(""),
        &script,
        &[("tenant", Some("forged")), header],
    );
}
