//! The exporters, one folder or file each.

pub mod debug;
pub mod file;
pub mod nop;
pub mod otlp_grpc;
pub mod otlp_http;

use crate::pipeline::ExporterFactory;

/// Every exporter.
pub const REGISTRY: &[&dyn ExporterFactory] = &[
    &debug::Factory,
    &file::Factory,
    &nop::Factory,
    &otlp_grpc::Factory,
    &otlp_http::Factory,
];
