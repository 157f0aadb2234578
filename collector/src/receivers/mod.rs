//! The receivers, one folder each.

pub mod otlp;

use crate::pipeline::ReceiverFactory;

/// Every receiver.
pub const REGISTRY: &[&dyn ReceiverFactory] = &[&otlp::Factory];
