//! The Spanmesh filter: a span and an access log record for each request of an Envoy, as OTLP.
//!
//! All logic knows only the [`host::Host`] trait, and is built and tested natively; `proxy` alone
//! speaks Proxy-WASM, and is compiled for wasm only. The way of a request: [`http`] continues its
//! context (`propagation`, `sampler`), and at its end makes the records (`stream`, `record`);
//! [`export`] batches them and brings them to a collector; [`root`] holds the configuration and
//! the life of both.

pub mod access_log;
pub mod capture;
#[cfg(any(test, fuzzing))]
mod cel;
mod condition;
pub mod config;
pub mod export;
#[cfg(fuzzing)]
pub mod fuzzing;
pub mod host;
pub mod http;
pub mod keep;
mod kept;
mod overwrite;
pub mod pairs;
mod path_template;
mod propagation;
#[cfg(target_arch = "wasm32")]
mod proxy;
pub mod random;
mod record;
pub mod redact;
mod request;
mod resource;
pub mod root;
pub mod sampler;
mod semconv;
pub mod stats;
mod stream;
#[cfg(test)]
mod testing;
pub mod trust;
