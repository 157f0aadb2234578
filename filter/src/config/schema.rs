//! `schema.json`, which editors and pipelines check a configuration against, says what this module
//! does: the same keys, the same defaults, and of each value the same verdict.
//!
//! Left out: whether CEL parses, which no schema can say.

mod documents;

use std::collections::BTreeSet;
use std::sync::LazyLock;

use jsonschema::Validator;
use serde_json::{Value, json};

use super::{Config, Environment};
use crate::testing::FakeHost;

/// The actions of a sampling rule, of which each has to have one.
const ACTIONS: [&str; 3] = ["ratio", "max_per_second", "decision"];

/// Keys that do nothing where they are absent, so that no value could be their default.
const WITHOUT_DEFAULT: [&str; 7] = [
    "service.name",
    "service.namespace",
    "service.version",
    "sampler.max_per_second",
    "keep.slower_than",
    "access_log.filter",
    "access_log.body",
];

/// Values of every kind, at and beyond the limits of some key.
const VALUES: &str = r#"[null, true, false, {}, [],
    -1, -0.0, 0, 1e-300, 6.9e-18, 1.3877787807814456e-17, 1.3877787807814457e-17, 0.5, 1, 1.0, 1.5,
    9, 15, 16, 512.0, 4096, 4097, 65535, 65536, 65536.5, 65537, 1e6, 1000001, 536870912, 536870913,
    18446744073709551615, -9223372036854775808, 1e300]"#;

/// Texts that some key takes and another refuses.
const TEXTS: &str = r#"["", " ", "a", "A", "x-a", "X-A", "x-a*", "x-*", "*", "**", "x-*-y", "x a",
    "x:y", "x_y", "x.y", "x~y", ":path", "grüß", "a\nb", "a\tb", "a\u0000", "-", "auto", "Auto",
    "inbound", "outbound", "gateway", "tracecontext", "b3", "B3", "b3multi", "baggage", "none",
    "jaeger", "continue", "restart", "ignore_sampling", "strip", "always", "never", "grpc", "http",
    "HTTP", "udp", "grpc-timeout", "te", "tee", "host", "content-type", "content-types", "upgrade",
    "cookie", "Cookie", "COOKIE ", "x-api-key", "X-Api-Key", "authorization", "spanmesh.kept",
    "spanmesh", "url.path", "url.paths", "service.peer.name", "service.name", "0ms", "1ms", "9ms",
    "10ms", "010ms", "0s", "1s", "1.5s", "-1s", "+1s", "1 s", "1s ", "1s\n", "1", "s", "ms", "1h",
    "1440m", "1441m", "86400s", "86401s", "86400000ms", "86400001ms", "99999999999999999999s",
    "00000000000000000000000001s", "/", "/a", "a/", "/{a}", "/{a*}", "/{a*}/b", "/{}", "/{a}b", "/a{",
    "/a//{b-c.d_e}/", "/\n"]"#;

static SCHEMA: LazyLock<Value> =
    LazyLock::new(|| serde_json::from_str(include_str!("../../schema.json")).unwrap());

static VALIDATOR: LazyLock<Validator> =
    LazyLock::new(|| jsonschema::validator_for(&SCHEMA).unwrap());

/// A step from an object or a list to what is in it.
#[derive(Clone, Copy, Debug)]
enum Step {
    Key(&'static str),
    /// Any item of a list.
    Item,
}

/// A place in the schema: the way to it and what stands there.
type Place = (Vec<Step>, &'static Value);

/// What the filter says to a document.
fn read(document: &Value) -> Result<Config, String> {
    let host = FakeHost::default();
    host.has_cel.set(true);
    let text = document.to_string();
    Config::new(&host, "spanmesh", text.as_bytes(), &Environment::default())
        .map_err(|error| error.to_string())
}

/// Follows a reference to a definition.
fn resolve(node: &'static Value) -> &'static Value {
    match node["$ref"].as_str() {
        Some(reference) => SCHEMA.pointer(reference.trim_start_matches('#')).unwrap(),
        None => node,
    }
}

/// All places of the schema: sections, keys, and objects in lists.
fn add_places(way: &[Step], node: &'static Value, found: &mut Vec<Place>) {
    found.push((way.to_vec(), node));
    let node = resolve(node);
    for (key, below) in node["properties"].as_object().into_iter().flatten() {
        add_places(&[way, &[Step::Key(key)]].concat(), below, found);
    }
    let branches = node["oneOf"].as_array().into_iter().flatten();
    for list in branches.chain([node]).filter(|it| it["items"].is_object()) {
        let item = resolve(&list["items"]);
        if item["properties"].is_object() {
            add_places(&[way, &[Step::Item]].concat(), item, found);
        }
    }
}

fn places() -> Vec<Place> {
    let mut found = Vec::new();
    add_places(&[], &SCHEMA, &mut found);
    found
}

/// The objects whose keys are listed.
fn objects() -> Vec<Place> {
    let has_keys = |(_, node): &Place| resolve(node)["properties"].is_object();
    places().into_iter().filter(has_keys).collect()
}

/// The keys that hold a value of their own.
fn keys() -> Vec<Place> {
    let is_key = |(way, node): &Place| {
        matches!(way.last(), Some(Step::Key(_))) && !resolve(node)["properties"].is_object()
    };
    places().into_iter().filter(is_key).collect()
}

/// `sampler.rules[].match.path`.
fn name(way: &[Step]) -> String {
    let steps = way.iter().map(|step| match step {
        Step::Key(key) => format!(".{key}"),
        Step::Item => "[]".to_owned(),
    });
    steps.collect::<String>().trim_start_matches('.').to_owned()
}

/// The smallest document that has `value` there, and beside it what it needs.
fn document(way: &[Step], value: Value) -> Value {
    let wrap = |value, step: &Step| match step {
        Step::Key(key) => json!({*key: value}),
        Step::Item => json!([value]),
    };
    let mut document = way.iter().rev().fold(value, wrap);
    let header = document.pointer_mut("/sampler/rules/0/match/header");
    if let (Some(Step::Key("value")), Some(Value::Object(header))) = (way.last(), header) {
        header.insert("name".to_owned(), json!("x-a"));
    }
    if let Some(Value::Object(rule)) = document.pointer_mut("/sampler/rules/0")
        && !ACTIONS.iter().any(|action| rule.contains_key(*action))
    {
        rule.insert("ratio".to_owned(), json!(1));
    }
    document
}

/// Values of every kind, alone, in a list, and in an object as value and as key.
fn values() -> Vec<Value> {
    let parse = |list| serde_json::from_str::<Vec<Value>>(list).unwrap();
    let texts = parse(TEXTS);
    let plain = [parse(VALUES), texts.clone()].concat();
    let lists = plain.iter().map(|it| json!([it]));
    let pairs = plain.iter().map(|it| json!(["x-a", it]));
    let held = plain.iter().map(|it| json!({"x-a": it}));
    let named = texts.iter().map(|it| json!({it.as_str().unwrap(): "a"}));
    let nested: Vec<Value> = lists.chain(pairs).chain(held).chain(named).collect();
    [plain, nested].concat()
}

fn assert_they_agree(document: &Value) {
    let read = read(document);
    assert_eq!(
        VALIDATOR.is_valid(document),
        read.is_ok(),
        "{document}\nfilter: {:?}\nschema: {:?}",
        read.err(),
        VALIDATOR.iter_errors(document).next()
    );
}

#[test]
fn schema_and_filter_judge_every_value_of_every_key_alike() {
    let places = places();
    assert!(places.len() > 60, "{}", places.len());
    for (way, _) in &places {
        for value in values() {
            assert_they_agree(&document(way, value));
        }
    }
}

#[test]
fn schema_and_filter_judge_what_hangs_together_alike() {
    let nulls_and_values = [json!(null), json!("x"), json!(1)];
    for name in &nulls_and_values {
        for value in &nulls_and_values {
            let header = json!({"name": name, "value": value});
            let rule = json!({"match": {"header": header}, "ratio": 1});
            assert_they_agree(&json!({"sampler": {"rules": [rule]}}));
        }
    }
    let absent_null_wrong_right = |key: &str, right: Value| {
        [
            json!({}),
            json!({key: null}),
            json!({key: []}),
            json!({key: right}),
        ]
    };
    for ratio in absent_null_wrong_right("ratio", json!(0.5)) {
        for limit in absent_null_wrong_right("max_per_second", json!(5)) {
            for decision in absent_null_wrong_right("decision", json!("never")) {
                let parts = [&ratio, &limit, &decision].map(|part| part.as_object().unwrap());
                let rule: Value = parts.into_iter().flatten().map(own).collect();
                assert_they_agree(&json!({"sampler": {"rules": [rule]}}));
            }
        }
    }
}

fn own((key, value): (&String, &Value)) -> (String, Value) {
    (key.clone(), value.clone())
}

#[test]
fn schema_and_filter_have_the_same_keys() {
    for (way, node) in objects() {
        let document = document(&way, json!({"?": 1}));
        assert!(!VALIDATOR.is_valid(&document), "{document}");
        let refused = read(&document).unwrap_err();
        let (_, listed) = refused.split_once("the keys here are ").expect(&refused);
        let listed: BTreeSet<&str> = listed.split(", ").collect();
        let properties = resolve(node)["properties"].as_object().unwrap();
        let known: BTreeSet<&str> = properties.keys().map(String::as_str).collect();
        assert_eq!(known, listed, "{}", name(&way));
    }
}

#[test]
fn the_defaults_of_the_schema_are_those_of_the_filter() {
    let described = |document: &Value| format!("{:?}", read(document).unwrap());
    let nothing = described(&json!({}));
    let mut without = BTreeSet::new();
    for (way, node) in keys() {
        if way.iter().any(|step| matches!(step, Step::Item)) {
            continue;
        }
        match node.get("default") {
            Some(default) => {
                assert_eq!(
                    described(&document(&way, default.clone())),
                    nothing,
                    "{}",
                    name(&way)
                );
            }
            None => {
                without.insert(name(&way));
            }
        }
    }
    assert_eq!(without, WITHOUT_DEFAULT.map(str::to_owned).into());
}

proptest::proptest! {
    #[test]
    fn schema_and_filter_read_durations_alike(text in "0{0,2}[0-9]{0,8}(ms|s|m|h)?") {
        assert_they_agree(&json!({"batch": {"interval": text}}));
        assert_they_agree(&json!({"batch": {"drain_timeout": text}}));
    }

    #[test]
    fn schema_and_filter_read_templates_alike(text in "(/([a*]{0,2}|\\{[a.*]{0,3}\\}|[{}a]{0,3})){0,4}") {
        assert_they_agree(&json!({"spans": {"routes": [text]}}));
    }

    #[test]
    fn schema_and_filter_read_names_alike(text in "[ -~]{0,4}|(x-|grpc|te|host|[a-zA-Z*.])[a-z*-]{0,3}") {
        for list in ["request_headers", "response_headers", "baggage", "unredacted"] {
            assert_they_agree(&json!({"capture": {list: [text]}}));
        }
        assert_they_agree(&json!({"exporter": {"headers": {&text: "a"}}}));
        assert_they_agree(&json!({"exporter": {"headers": {"a": text}}}));
    }

    #[test]
    fn schema_and_filter_read_numbers_alike(number in proptest::num::f64::ANY, whole: u32) {
        for number in [json!(number), json!(f64::from(whole)), json!(whole)] {
            for key in ["ratio", "max_per_second"] {
                assert_they_agree(&json!({"sampler": {key: number}}));
            }
            for key in ["max_records", "max_queue_bytes"] {
                assert_they_agree(&json!({"batch": {key: number}}));
            }
        }
    }
}
