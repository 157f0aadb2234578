//! The connectors. None is available in this version.

/// The names of every connector.
pub const REGISTRY: &[&str] = &[];
