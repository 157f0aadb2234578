//! What the benchmarks send OTLP with and receive it with: the programs `bench-load` and
//! `bench-sink`.
//!
//! Both speak HTTP directly and treat payloads as bytes, so that the program under test gets the
//! processor and not they. Left out: TLS, and everything of gRPC that a unary call without a
//! deadline does not need.
#![forbid(unsafe_code)]

pub mod client;
pub mod connection;
pub mod frame;
pub mod ids;
pub mod payload;
pub mod server;

/// The error of a program that only reports it.
pub type Error = Box<dyn std::error::Error + Send + Sync>;
