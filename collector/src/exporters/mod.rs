//! The exporters, one folder each.

pub mod debug;
pub mod nop;

use crate::pipeline::ExporterFactory;

/// Every exporter.
pub const REGISTRY: &[&dyn ExporterFactory] = &[&debug::Factory, &nop::Factory];
