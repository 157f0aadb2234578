use super::*;
use crate::encode::{put_bytes, put_fixed32};

fn nest(fields: &[u32], content: &[u8]) -> Vec<u8> {
    fields.iter().rev().fold(content.to_vec(), |inner, field| {
        let mut outer = Vec::new();
        put_bytes(&mut outer, *field, &inner);
        outer
    })
}

fn error(signal: Signal, payload: &[u8]) -> String {
    check(signal, payload).unwrap_err().to_string()
}

#[test]
fn the_empty_request_is_valid_and_has_no_items() {
    for signal in Signal::all() {
        assert_eq!(check(signal, &[]), Ok(Counts { items: 0 }));
        assert_eq!(count(signal, &[]), 0);
    }
}

#[test]
fn an_error_names_the_path_of_the_field() {
    let mut scope = Vec::new();
    for id in [&[1u8; 16][..], &[], &[2; 16], &[3; 5]] {
        let mut span = Vec::new();
        put_bytes(&mut span, 1, id);
        put_fixed32(&mut span, 16, 0x101);
        put_bytes(&mut scope, 2, &span);
    }
    assert_eq!(
        error(Signal::Traces, &nest(&[1, 2], &scope)),
        "resource_spans[0].scope_spans[0].spans[3].trace_id: expected 0 or 16 bytes, but found 5"
    );
}
