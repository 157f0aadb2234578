//! A path template and a path: what is refused says why, and a literal template is its own path.
#![no_main]

use libfuzzer_sys::fuzz_target;
use spanmesh_filter::fuzzing;

fuzz_target!(|input: (&str, &[u8])| {
    let (template, path) = input;
    match fuzzing::path_template(template, path) {
        Ok(matches) => {
            if !template.contains('{') {
                assert_eq!(matches, template.as_bytes() == path);
            }
        }
        Err(reason) => assert!(reason.contains("expected")),
    }
});
