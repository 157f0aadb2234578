//! The extensions, one folder each.

pub mod file_storage;
pub mod health_check;

use crate::pipeline::ExtensionFactory;

/// Every extension.
pub const REGISTRY: &[&dyn ExtensionFactory] = &[&file_storage::Factory, &health_check::Factory];
