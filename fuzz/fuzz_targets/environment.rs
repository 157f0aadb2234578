//! The `OTEL_*` variables: whatever they hold, they are used or passed over.
#![no_main]

use libfuzzer_sys::fuzz_target;
use spanmesh_filter::config::{Config, Environment};
use spanmesh_fuzz::FuzzHost;

/// Stands between the values.
const VALUE_END: char = '\n';
const NAMES: [&str; 5] = [
    "OTEL_SERVICE_NAME",
    "OTEL_RESOURCE_ATTRIBUTES",
    "OTEL_PROPAGATORS",
    "OTEL_TRACES_SAMPLER",
    "OTEL_TRACES_SAMPLER_ARG",
];

fuzz_target!(|values: &str| {
    let environment = Environment::new(|name| {
        let at = NAMES.iter().position(|known| *known == name)?;
        values.split(VALUE_END).nth(at).map(str::to_owned)
    });
    let config = Config::new(&FuzzHost::honest(), "spanmesh", b"", &environment);
    assert!(
        config.is_ok(),
        "a variable is no reason to refuse: {config:?}"
    );
});
