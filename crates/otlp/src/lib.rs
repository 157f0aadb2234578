//! OTLP as bytes: what the filter and the collector share of the protocol.
//!
//! A payload stays encoded from socket to socket. This crate writes it ([`encode`]), proves it well
//! formed to the last field ([`check`]), reads the parts that a program asks for ([`view`]), cuts it
//! ([`split`]), changes parts of it ([`rewrite`]), translates it from and to OTLP JSON (`json`), and holds what travels back:
//! [`response`] and [`status`]. Nothing in it decodes into message structs. One table, [`schema`],
//! says what OTLP 1.11 consists of.
//!
//! Features: `json` (default) adds the module `json` and the JSON forms of responses and statuses.
//!
//! Left out: profiles (still `v1development`), transport and compression.
#![forbid(unsafe_code)]
#![cfg_attr(
    not(test),
    deny(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic,
        clippy::indexing_slicing
    )
)]

mod check;
pub mod encode;
#[cfg(feature = "json")]
pub mod json;
pub mod response;
pub mod rewrite;
pub mod schema;
mod signal;
mod split;
pub mod status;
mod value;
pub mod view;
pub mod wire;

pub use self::check::{CheckError, Counts, MAX_DEPTH, Problem, check, count};
pub use self::signal::Signal;
pub use self::split::{Limits, split, split_within};
pub use self::value::EncodedValue;
