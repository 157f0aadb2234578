//! From a configuration to a running collector, and to its end.
//!
//! [`Plan`] is a configuration whose components and wiring are right; [`Service`] is what runs.

mod authentication;
mod endpoints;
mod final_account;
mod generation;
mod graph;
mod input;
mod log_options;
mod metrics_server;
mod plan;
mod push_options;
mod reloads;
mod run;
mod self_export;
mod shared;
mod telemetry_options;
mod watch;
mod wiring;

pub use self::final_account::FinalAccount;
pub use self::input::{Files, Input};
pub use self::plan::Plan;
pub use self::run::Service;
pub use self::telemetry_options::TelemetryOptions;
pub use self::watch::Watch;

/// What runs if no configuration is given: everything that arrives is printed.
pub const DEFAULT_CONFIG: &str = include_str!("default.yaml");
