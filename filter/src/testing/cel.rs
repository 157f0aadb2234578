//! CEL for the scripted proxy: the filter's own expressions, and what users write, which comes to
//! what the test says, by its text.

use super::FakeHost;
pub(crate) use crate::cel::list_of;
use crate::cel::{self, Failure};
use crate::host::Host;

/// What a text comes to in the encoding of properties; `None` if a path in it is missing.
pub(super) fn evaluate(host: &FakeHost, text: &str) -> Option<Vec<u8>> {
    if let Some((list, _)) = text.split_once("].map(v,") {
        return users_list(host, list);
    }
    match cel::evaluate(&|path| host.property(&[path]), text) {
        Ok(value) => Some(value),
        Err(Failure::Missing) => None,
        Err(Failure::Foreign) => panic!("not the filter's own text: {text}"),
    }
}

/// `[(one\n),(other\n)`, each with its type.
fn users_list(host: &FakeHost, list: &str) -> Option<Vec<u8>> {
    let values = host.values.borrow();
    let texts = list.split_terminator("\n)").map(|text| text.get(2..));
    let typed: Option<Vec<_>> = texts
        .map(|text| Some(list_of(values.get(text?)?)))
        .collect();
    Some(list_of(&typed?))
}
