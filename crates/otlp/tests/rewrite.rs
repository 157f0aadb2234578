//! Changes of encoded requests, compared with the same changes of `opentelemetry-proto`'s types.

mod support;

use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue, any_value};
use opentelemetry_proto::tonic::metrics::v1::metric;
use opentelemetry_proto::tonic::resource::v1::Resource;
use proptest::prelude::*;
use spanmesh_otlp::rewrite::{Attributes, Fate, Rewriter, edit_items, edit_resources};
use spanmesh_otlp::{EncodedValue, check, count};

use self::support::{Request, request};

/// A change of one attribute.
#[derive(Clone, Debug)]
enum Change {
    Set(String, i64),
    Remove(String),
}

fn changes() -> impl Strategy<Value = Vec<Change>> {
    // Keys that the generated attributes have, too.
    let key = prop_oneof![Just(String::new()), "[a-c.]{1}", "[a-z]{2}"];
    let change = prop_oneof![
        (key.clone(), any::<i64>()).prop_map(|(key, value)| Change::Set(key, value)),
        key.prop_map(Change::Remove),
    ];
    prop::collection::vec(change, 0..4)
}

fn apply(changes: &[Change], attributes: &mut Attributes<'_>) {
    for change in changes {
        match change {
            Change::Set(key, value) => attributes.set(key, EncodedValue::int(*value)),
            Change::Remove(key) => attributes.remove(key),
        }
    }
}

fn apply_naively(changes: &[Change], attributes: &mut Vec<KeyValue>) {
    for change in changes {
        match change {
            Change::Set(key, value) => {
                let value = Some(AnyValue {
                    value: Some(any_value::Value::IntValue(*value)),
                });
                let mut found = false;
                for attribute in attributes.iter_mut().filter(|a| a.key == *key) {
                    attribute.value.clone_from(&value);
                    found = true;
                }
                if !found {
                    attributes.push(KeyValue {
                        key: key.clone(),
                        value,
                        ..KeyValue::default()
                    });
                }
            }
            Change::Remove(key) => attributes.retain(|attribute| attribute.key != *key),
        }
    }
}

/// The attributes of every item, in order.
fn item_attributes(request: &mut Request) -> Vec<&mut Vec<KeyValue>> {
    match request {
        Request::Traces(request) => (request.resource_spans.iter_mut())
            .flat_map(|resource| &mut resource.scope_spans)
            .flat_map(|scope| &mut scope.spans)
            .map(|span| &mut span.attributes)
            .collect(),
        Request::Logs(request) => (request.resource_logs.iter_mut())
            .flat_map(|resource| &mut resource.scope_logs)
            .flat_map(|scope| &mut scope.log_records)
            .map(|record| &mut record.attributes)
            .collect(),
        Request::Metrics(request) => (request.resource_metrics.iter_mut())
            .flat_map(|resource| &mut resource.scope_metrics)
            .flat_map(|scope| &mut scope.metrics)
            .filter_map(|metric| metric.data.as_mut())
            .flat_map(|data| -> Vec<_> {
                match data {
                    metric::Data::Gauge(data) => data
                        .data_points
                        .iter_mut()
                        .map(|p| &mut p.attributes)
                        .collect(),
                    metric::Data::Sum(data) => data
                        .data_points
                        .iter_mut()
                        .map(|p| &mut p.attributes)
                        .collect(),
                    metric::Data::Histogram(data) => data
                        .data_points
                        .iter_mut()
                        .map(|p| &mut p.attributes)
                        .collect(),
                    metric::Data::ExponentialHistogram(data) => data
                        .data_points
                        .iter_mut()
                        .map(|p| &mut p.attributes)
                        .collect(),
                    metric::Data::Summary(data) => data
                        .data_points
                        .iter_mut()
                        .map(|p| &mut p.attributes)
                        .collect(),
                }
            })
            .collect(),
    }
}

fn resources(request: &mut Request) -> Vec<&mut Option<Resource>> {
    match request {
        Request::Traces(request) => (request.resource_spans.iter_mut())
            .map(|r| &mut r.resource)
            .collect(),
        Request::Logs(request) => (request.resource_logs.iter_mut())
            .map(|r| &mut r.resource)
            .collect(),
        Request::Metrics(request) => (request.resource_metrics.iter_mut())
            .map(|r| &mut r.resource)
            .collect(),
    }
}

/// Changes the items whose number `which` says.
fn changed_items(
    request: &Request,
    payload: &[u8],
    which: u64,
    changes: &[Change],
) -> Option<Vec<u8>> {
    let mut rewriter = Rewriter::new(payload);
    let mut attributes = Attributes::default();
    let mut number = 0;
    let gone = edit_items(request.signal(), &mut rewriter, |item, rewriter| {
        number += 1;
        if which & (1 << (number % 64)) != 0 {
            attributes.read(rewriter.request(), item.range(), item.attributes_field);
            apply(changes, &mut attributes);
            attributes.write(item.attributes_field, rewriter);
        }
        Fate::Stay
    });
    assert_eq!(gone, 0);
    rewriter.finish()
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: ProptestConfig::default().cases.max(400),
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn attributes_of_items_change_as_in_decoded_ones(
        request in request(),
        which in any::<u64>(),
        changes in changes(),
    ) {
        let payload = request.encode();
        let changed = changed_items(&request, &payload, which, &changes).unwrap_or(payload);
        prop_assert!(check(request.signal(), &changed).is_ok());
        let mut expected = request.clone();
        for (index, attributes) in item_attributes(&mut expected).into_iter().enumerate() {
            if which & (1 << ((index as u64 + 1) % 64)) != 0 {
                apply_naively(&changes, attributes);
            }
        }
        prop_assert_eq!(Request::decode(request.signal(), &changed).unwrap(), expected);
    }

    #[test]
    fn what_is_taken_back_leaves_every_byte_as_it_was(request in request(), which in any::<u64>()) {
        let payload = request.encode();
        let add = [Change::Set("no generated key".to_owned(), 7)];
        let remove = [Change::Remove("no generated key".to_owned())];
        let Some(with) = changed_items(&request, &payload, which, &add) else {
            return Ok(());
        };
        prop_assert_ne!(&with, &payload);
        let without = changed_items(&request, &with, which, &remove).unwrap();
        prop_assert_eq!(without, payload);
    }

    #[test]
    fn attributes_of_resources_change_as_in_decoded_ones(
        request in request(),
        changes in changes(),
    ) {
        let payload = request.encode();
        let mut rewriter = Rewriter::new(&payload);
        let mut shown = 0;
        edit_resources(&mut rewriter, |attributes| {
            shown += 1;
            apply(&changes, attributes);
        });
        let changed = rewriter.finish().unwrap_or_else(|| payload.clone());
        let mut expected = request.clone();
        let resources = resources(&mut expected);
        prop_assert_eq!(shown, resources.len());
        for resource in resources {
            let mut attributes = resource.as_ref().map_or(Vec::new(), |r| r.attributes.clone());
            apply_naively(&changes, &mut attributes);
            if resource.is_some() || !attributes.is_empty() {
                resource.get_or_insert_default().attributes = attributes;
            }
        }
        prop_assert!(check(request.signal(), &changed).is_ok());
        prop_assert_eq!(Request::decode(request.signal(), &changed).unwrap(), expected);
    }

    #[test]
    fn items_that_go_leave_the_others_as_they_were(request in request(), which in any::<u64>()) {
        let payload = request.encode();
        let mut rewriter = Rewriter::new(&payload);
        let mut number = 0;
        let mut stay = Vec::new();
        let gone = edit_items(request.signal(), &mut rewriter, |item, _| {
            number += 1;
            if which & (1 << (number % 64)) != 0 {
                return Fate::Go;
            }
            stay.push(item.message.to_vec());
            Fate::Stay
        });
        let all = request.items().len();
        prop_assert_eq!(gone as usize + stay.len(), all);
        let changed = rewriter.finish();
        prop_assert_eq!(changed.is_some(), gone > 0);
        let changed = changed.unwrap_or_else(|| payload.clone());
        prop_assert!(check(request.signal(), &changed).is_ok());
        prop_assert_eq!(count(request.signal(), &changed), stay.len());
        let left = Request::decode(request.signal(), &changed).unwrap();
        prop_assert_eq!(left.items(), stay);
    }

    #[test]
    fn whatever_passes_the_check_passes_it_changed(
        request in request(),
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
        changes in changes(),
    ) {
        let signal = request.signal();
        let mut payload = request.encode();
        for (index, byte) in damage {
            if !payload.is_empty() {
                let at = index.index(payload.len());
                payload[at] = byte;
            }
        }
        let valid = check(signal, &payload);
        // What is not valid is never given to a rewriter, and must not bring it down all the same.
        let changed = changed_items(&request, &payload, u64::MAX, &changes);
        let changed = changed.unwrap_or_else(|| payload.clone());
        let mut rewriter = Rewriter::new(&changed);
        edit_resources(&mut rewriter, |attributes| apply(&changes, attributes));
        let changed = rewriter.finish().unwrap_or_else(|| changed.clone());
        if valid.is_ok() {
            prop_assert_eq!(check(signal, &changed), valid);
        }
    }
}
