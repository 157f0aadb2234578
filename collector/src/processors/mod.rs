//! The processors, one folder each.

pub mod batch;

use crate::pipeline::ProcessorFactory;

/// Every processor.
pub const REGISTRY: &[&dyn ProcessorFactory] = &[&batch::Factory];
