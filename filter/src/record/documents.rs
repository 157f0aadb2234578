//! `docs/filter-records.md` says of each attribute what its type is, which records have it, and
//! whether it can be absent. Captured headers and baggage have names of the user's; they are tested
//! with what captures them.

use std::collections::{BTreeMap, BTreeSet};

use opentelemetry_proto::tonic::common::v1::KeyValue;
use opentelemetry_proto::tonic::common::v1::any_value::Value;

use super::Side;
use super::tests::{attributes, records, records_kept, request};
use crate::keep::Reason;
use crate::request::Request;
use crate::stream::{Attributes, Peer};

/// A kind of record: of which side, and whether it is a span.
const SPAN_OF_SERVER: &str = "SERVER span";
const SPAN_OF_CLIENT: &str = "CLIENT span";
const LOG_OF_SERVER: &str = "server's record";
const LOG_OF_CLIENT: &str = "client's record";

const PEER: Peer<'_> = Peer {
    workload: b"cart-v1",
    namespace: b"shop",
    service: b"cart",
    revision: b"v1",
    cluster: b"east",
};

/// The type of an attribute, and the kinds of records that have it.
type Uses = BTreeMap<String, (&'static str, BTreeSet<&'static str>)>;

fn type_of(attribute: &KeyValue) -> &'static str {
    match attribute.value.as_ref().unwrap().value {
        Some(Value::StringValue(_)) => "string",
        Some(Value::IntValue(_)) => "int",
        Some(Value::DoubleValue(_)) => "double",
        ref other => panic!("{}: {other:?}", attribute.key),
    }
}

/// What the records of some requests have.
fn emitted(requests: &[(Request<'_>, Attributes<'_>)], kept: Option<Reason>) -> Uses {
    let mut uses = Uses::new();
    for (request, attributes) in requests {
        for (side, of_span, of_log) in [
            (Side::Server, SPAN_OF_SERVER, LOG_OF_SERVER),
            (Side::Client, SPAN_OF_CLIENT, LOG_OF_CLIENT),
        ] {
            let (span, log) = records_kept(side, request, attributes, kept);
            let of_both = [(of_span, span.attributes), (of_log, log.attributes)];
            for (record, attribute) in of_both
                .iter()
                .flat_map(|(record, list)| list.iter().map(move |it| (record, it)))
            {
                let kind = type_of(attribute);
                let known = uses.entry(attribute.key.clone());
                let (known, on) = known.or_insert_with(|| (kind, BTreeSet::new()));
                assert_eq!(*known, kind, "{}", attribute.key);
                on.insert(record);
            }
        }
    }
    uses
}

/// The rows with the columns attribute, type, on, source, absent: names, type, on, absent.
fn rows() -> Vec<(Vec<String>, String, String, String)> {
    let text = include_str!("../../../docs/filter-records.md");
    let lines = text.lines().filter(|line| line.starts_with("| `"));
    let rows = lines.map(|line| line.split('|').map(str::trim).collect::<Vec<_>>());
    let named = rows.filter_map(|row| match row.as_slice() {
        ["", names, kind, on, _, absent, ""] => Some((
            names
                .split('`')
                .skip(1)
                .step_by(2)
                .map(str::to_owned)
                .collect(),
            (*kind).to_owned(),
            (*on).to_owned(),
            (*absent).to_owned(),
        )),
        _ => None,
    });
    named
        .filter(|(names, ..): &(Vec<String>, _, _, _)| {
            names
                .iter()
                .all(|name| name.contains('.') && !name.ends_with(".NAME"))
        })
        .collect()
}

fn documented() -> Uses {
    let mut uses = Uses::new();
    for (names, kind, on, _) in rows() {
        let kind = ["string", "int", "double"]
            .into_iter()
            .find(|it| *it == kind)
            .expect(&kind);
        let on: BTreeSet<&str> = match on.as_str() {
            "all" => [SPAN_OF_SERVER, SPAN_OF_CLIENT, LOG_OF_SERVER, LOG_OF_CLIENT].into(),
            "server" => [SPAN_OF_SERVER, LOG_OF_SERVER].into(),
            "client" => [SPAN_OF_CLIENT, LOG_OF_CLIENT].into(),
            "spans" => [SPAN_OF_SERVER, SPAN_OF_CLIENT].into(),
            "log" => [LOG_OF_SERVER, LOG_OF_CLIENT].into(),
            "log of server" => [LOG_OF_SERVER].into(),
            "log of client" => [LOG_OF_CLIENT].into(),
            "server, log" => [SPAN_OF_SERVER, LOG_OF_SERVER, LOG_OF_CLIENT].into(),
            other => panic!("{names:?} on {other:?}"),
        };
        for name in names {
            uses.insert(name, (kind, on.clone()));
        }
    }
    uses
}

#[test]
fn the_documents_say_where_each_attribute_is_and_of_what_type() {
    let known_of_everything = Attributes {
        response_code: 503,
        response_flags: 1,
        grpc_status: Some(14),
        upstream_attempts: 2,
        upstream_transport_failure: b"refused",
        downstream_peer: PEER,
        upstream_peer: PEER,
        downstream_principal: b"spiffe://mesh/ns/shop/sa/a",
        upstream_principal: b"spiffe://mesh/ns/shop/sa/b",
        ..attributes()
    };
    let unlisted = Request {
        method: b"PURGE",
        target: b"/r/7?x=1",
        ..request()
    };
    let call = Request {
        method: b"POST",
        target: b"/shop.Cart/Get",
        content_type: b"application/grpc",
        ..request()
    };
    let requests = [(unlisted, known_of_everything), (call, known_of_everything)];
    assert_eq!(documented(), emitted(&requests, Some(Reason::Error)));
}

#[test]
fn the_documents_say_what_is_never_absent() {
    // A response, so that nothing is said of its absence.
    let known_of_nothing = Attributes {
        response_code: 200,
        ..Attributes::default()
    };
    let (_, log) = records(Side::Server, &Request::default(), &known_of_nothing);
    let mut found: BTreeSet<String> = log.attributes.into_iter().map(|it| it.key).collect();
    assert!(found.remove("http.response.status_code"));
    let never = rows().into_iter().filter(|(.., absent)| absent == "never");
    let never: BTreeSet<String> = never.flat_map(|(names, ..)| names).collect();
    assert_eq!(never, found);
}
