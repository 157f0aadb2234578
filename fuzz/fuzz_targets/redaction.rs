//! URLs: no value of a secret query key and no userinfo is left, and nothing else is gone.
#![no_main]

use libfuzzer_sys::fuzz_target;
use spanmesh_filter::fuzzing;

fuzz_target!(|input: (&[u8], &[u8], &str)| {
    let (query, authority, key) = input;
    let redacted = fuzzing::redacted_query(key, query);
    let pairs = |query: &[u8]| {
        query
            .split(|byte| *byte == b'&')
            .map(<[u8]>::to_vec)
            .collect::<Vec<_>>()
    };
    let (before, after) = (pairs(query), pairs(&redacted));
    assert_eq!(before.len(), after.len());
    for (before, after) in before.iter().zip(&after) {
        let mut parts = before.splitn(2, |byte| *byte == b'=');
        let (name, value) = (parts.next().unwrap_or_default(), parts.next());
        if name == key.as_bytes() && value.is_some() {
            assert_eq!(*after, [name, b"=REDACTED"].concat());
        } else {
            assert_eq!(before, after);
        }
    }
    let shown = fuzzing::redacted_authority(authority);
    match authority.iter().rposition(|byte| *byte == b'@') {
        Some(at) => {
            assert!(shown.starts_with(b"REDACTED") && shown.ends_with(&authority[at..]));
        }
        None => assert_eq!(shown, authority),
    }
});
