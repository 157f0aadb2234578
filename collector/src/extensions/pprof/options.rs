//! The options of `pprof`.

use std::path::PathBuf;

use serde::Deserialize;

use crate::transport::listen_endpoint;

/// See the documentation of the component.
#[derive(Debug, Deserialize)]
#[serde(default)]
pub(super) struct Options {
    /// Where to listen.
    #[serde(deserialize_with = "listen_endpoint")]
    pub(super) endpoint: String,
    /// Where a CPU profile of the whole time goes when the extension stops.
    pub(super) save_to_file: Option<PathBuf>,
    /// Accepted for the sake of existing files: it is about Go's runtime, as is the next one.
    #[serde(rename = "block_profile_fraction")]
    _block_profile_fraction: i64,
    #[serde(rename = "mutex_profile_fraction")]
    _mutex_profile_fraction: i64,
}

// === impl Options ===

impl Default for Options {
    fn default() -> Self {
        Self {
            endpoint: "localhost:1777".to_owned(),
            save_to_file: None,
            _block_profile_fraction: 0,
            _mutex_profile_fraction: 0,
        }
    }
}
