//! A configuration document: it is taken, or refused with a path and what was expected.
#![no_main]

use libfuzzer_sys::fuzz_target;
use spanmesh_filter::config::{Config, Environment};
use spanmesh_fuzz::FuzzHost;

fuzz_target!(|document: &[u8]| {
    let host = FuzzHost::honest();
    match Config::new(&host, "spanmesh", document, &Environment::default()) {
        Ok(config) => assert!(!config.export.clusters.is_empty()),
        Err(error) => assert!(error.to_string().starts_with("pluginConfig"), "{error}"),
    }
});
