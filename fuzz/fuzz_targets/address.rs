//! Authorities and forwarding headers: a host is a part of what was given, and a client that a
//! header names is an address or an obfuscated identifier.
#![no_main]

use libfuzzer_sys::fuzz_target;
use spanmesh_filter::fuzzing;

fuzz_target!(|input: (&[u8], &[u8], &[u8], &[u8])| {
    let (authority, forwarded, forwarded_for, source) = input;
    let found = fuzzing::addresses(authority, forwarded, forwarded_for, source);
    let given = |part: &[u8]| {
        [authority, forwarded, forwarded_for, source]
            .iter()
            .any(|whole| part.is_empty() || whole.windows(part.len()).any(|found| found == part))
    };
    assert!(given(&found.server) && given(&found.client) && given(&found.scheme));
});
