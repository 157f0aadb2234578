//! The extensions, one folder each.

pub mod basicauth;
pub mod bearertokenauth;
pub mod file_storage;
pub mod health_check;
pub mod pprof;
pub mod zpages;

use crate::pipeline::ExtensionFactory;

/// Every extension.
pub const REGISTRY: &[&dyn ExtensionFactory] = &[
    basicauth::FACTORY,
    bearertokenauth::FACTORY,
    file_storage::FACTORY,
    health_check::FACTORY,
    pprof::FACTORY,
    zpages::FACTORY,
];
