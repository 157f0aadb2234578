//! OTLP as bytes: what the filter and the collector share of the protocol.
//!
//! A payload stays encoded from socket to socket; this crate writes it ([`encode`]), and nothing in
//! it decodes into message structs.
#![forbid(unsafe_code)]

pub mod encode;
