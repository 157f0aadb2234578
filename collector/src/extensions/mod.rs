//! The extensions, one folder each.

pub mod health_check;

use crate::pipeline::ExtensionFactory;

/// Every extension.
pub const REGISTRY: &[&dyn ExtensionFactory] = &[&health_check::Factory];
