//! The connectors, one folder or file each.

pub mod forward;

use crate::pipeline::ConnectorFactory;

/// Every connector.
pub const REGISTRY: &[&dyn ConnectorFactory] = &[&forward::Factory];
