use super::*;
use crate::testing::{FakeHost, Script, attribute, root, text};

const DOCUMENT: &str = r#"{"spans": {"enabled": false}, "access_log": {
    "filter": "wanted",
    "body": "the body",
    "attributes": {"a": "first", "b": "second", "url.path": "third"}
}}"#;

fn int(number: i64) -> Vec<Vec<u8>> {
    vec![b"i".to_vec(), number.to_le_bytes().to_vec()]
}

fn string(text: &str) -> Vec<Vec<u8>> {
    vec![b"s".to_vec(), text.into()]
}

/// A proxy that knows what these expressions come to.
fn host(values: &[(&str, Vec<Vec<u8>>)]) -> FakeHost {
    let host = FakeHost::default();
    host.has_cel.set(true);
    let wanted = ("wanted".to_owned(), true);
    host.conditions.borrow_mut().extend([wanted]);
    let values = values
        .iter()
        .map(|(text, value)| ((*text).to_owned(), value.clone()));
    host.values.borrow_mut().extend(values);
    host
}

fn play(host: &FakeHost, document: &str) {
    let mut root = root(host, document);
    host.play(&root, &Script::get());
    host.tick(&mut root);
}

fn all() -> Vec<(&'static str, Vec<Vec<u8>>)> {
    vec![
        ("the body", string("hello")),
        ("first", int(-7)),
        ("second", vec![b"b".to_vec(), vec![1]]),
        ("third", string("/mine")),
    ]
}

#[test]
fn body_and_attributes_are_added_and_win_over_the_standard_ones() {
    let host = host(&all());
    play(&host, DOCUMENT);
    let log = &host.logs()[0];
    assert_eq!(text(log.body.as_ref().unwrap()), "hello");
    let attribute = |key| attribute(&log.attributes, key);
    assert_eq!(attribute("a").as_deref(), Some("int -7"));
    assert_eq!(attribute("b").as_deref(), Some("bool true"));
    // That it is there only once is `attribute`'s own assertion.
    assert_eq!(attribute("url.path").as_deref(), Some("/mine"));
    assert_eq!(attribute("http.request.method").as_deref(), Some("GET"));
    assert_eq!(host.stat("expressions.failed"), 0);
    assert_eq!(
        host.evaluated.borrow().len(),
        3,
        "filter, attributes, additions"
    );
}

#[test]
fn spans_have_nothing_of_it() {
    let host = host(&all());
    play(&host, &DOCUMENT.replace("false", "true"));
    let span = &host.spans()[0];
    assert_eq!(
        attribute(&span.attributes, "url.path").as_deref(),
        Some("/items/1")
    );
    assert_eq!(attribute(&span.attributes, "a"), None);
}

#[test]
fn one_that_fails_takes_nothing_with_it() {
    for (failing, value) in [("third", None), ("third", Some(vec![])), ("the body", None)] {
        let mut values = all();
        values.retain(|(text, _)| *text != failing);
        values.extend(value.map(|value| (failing, value)));
        let host = host(&values);
        play(&host, DOCUMENT);
        let log = &host.logs()[0];
        assert_eq!(attribute(&log.attributes, "a").as_deref(), Some("int -7"));
        let path = attribute(&log.attributes, "url.path");
        let body = text(log.body.as_ref().unwrap());
        if failing == "third" {
            assert_eq!(
                (path.as_deref(), body.as_str()),
                (Some("/items/1"), "hello")
            );
        } else {
            assert_eq!(path.as_deref(), Some("/mine"));
            assert!(
                body.contains("\"GET /items/1?sig=REDACTED HTTP/1.1\" 200"),
                "{body}"
            );
        }
        assert_eq!(host.stat("expressions.failed"), 1);
    }
}

#[test]
fn a_request_that_is_filtered_out_costs_the_condition_alone() {
    let host = host(&all());
    host.conditions
        .borrow_mut()
        .insert("wanted".to_owned(), false);
    play(&host, DOCUMENT);
    assert!(host.logs().is_empty());
    assert_eq!(*host.evaluated.borrow(), ["wanted"]);
    assert_eq!(
        (host.stat("logs.filtered"), host.stat("logs.emitted")),
        (1, 0)
    );
    assert_eq!(
        (host.stat("requests"), host.stat("expressions.failed")),
        (1, 0)
    );
}

#[test]
fn a_condition_that_fails_does_not_hold_and_the_span_stays() {
    let host = host(&all());
    host.conditions.borrow_mut().clear();
    play(&host, &DOCUMENT.replace("false", "true"));
    assert_eq!((host.spans().len(), host.logs().len()), (1, 0));
    assert_eq!(
        (host.stat("logs.filtered"), host.stat("expressions.failed")),
        (1, 1)
    );
}

#[test]
fn with_records_off_nothing_is_filtered() {
    let host = host(&all());
    play(
        &host,
        r#"{"access_log": {"enabled": false, "filter": "never"}}"#,
    );
    assert_eq!((host.spans().len(), host.logs().len()), (1, 0));
    assert_eq!(
        (host.stat("logs.filtered"), host.stat("expressions.failed")),
        (0, 0)
    );
}

#[test]
fn every_type_is_read() {
    let check = |items: &[&[u8]], expected: Option<Option<Value<'_>>>| {
        let items: Vec<Vec<u8>> = items.iter().map(|item| item.to_vec()).collect();
        let list = crate::testing::cel::list_of(&items);
        assert_eq!(Value::parse(&list), expected);
    };
    check(&[b"s", b"8 bytes!"], Some(Some(Value::Text(b"8 bytes!"))));
    check(&[b"s", b""], Some(None));
    check(&[b"n"], Some(None));
    check(&[b"i", &(-1i64).to_le_bytes()], Some(Some(Value::Int(-1))));
    check(
        &[b"u", &u64::MAX.to_le_bytes()],
        Some(Some(Value::Int(i64::MAX))),
    );
    check(
        &[b"d", &0.5f64.to_le_bytes()],
        Some(Some(Value::Double(0.5))),
    );
    check(
        &[b"t", &1_500_000_000i64.to_le_bytes()],
        Some(Some(Value::Double(1.5))),
    );
    check(&[b"b", &[0]], Some(Some(Value::Bool(false))));
    check(
        &[b"l", b"a", b"b"],
        Some(Some(Value::Texts(vec![b"a", b"b"]))),
    );
    check(&[b"l"], Some(Some(Value::Texts(vec![]))));
    for garbage in [
        &[b"i".as_slice(), b"short"] as &[&[u8]],
        &[b"x", b"y"],
        &[b"s"],
        &[],
    ] {
        check(garbage, None);
    }
}

#[test]
fn a_comment_ends_with_its_expression() {
    assert!(typed(["1 // one", "2"]).starts_with("[(1 // one\n),(2\n)].map(v,"));
}

proptest::proptest! {
    #[test]
    fn no_answer_of_a_host_panics(bytes: Vec<u8>) {
        let _ = Value::parse(&bytes);
    }
}
