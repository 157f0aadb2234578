//! `tls` of receivers and exporters, on rustls.
//!
//! The options are those of the OpenTelemetry Collector. Left out: TLS 1.0 and 1.1 with their cipher
//! suites, which rustls does not have, and keys in a TPM.

mod client;
mod expiry;
mod parameters;
mod pem;
mod server;

pub use self::client::{ClientTls, ClientTlsOptions};
pub use self::expiry::TlsUser;
pub use self::server::{ServerTls, ServerTlsOptions};
