//! The processors, one folder each.

pub mod attributes;
pub mod batch;
pub mod memory_limiter;
pub mod probabilistic_sampler;
pub mod resource;

use crate::pipeline::ProcessorFactory;

/// Every processor.
pub const REGISTRY: &[&dyn ProcessorFactory] = &[
    &attributes::Factory,
    &batch::Factory,
    &memory_limiter::Factory,
    &probabilistic_sampler::Factory,
    &resource::Factory,
];
