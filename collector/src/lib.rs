//! The Spanmesh collector: receives OTLP, processes it, and delivers it to any number of back ends
//! without losing any.
//!
//! Imports run downwards only: `main` → [`service`] and [`doctor`] → components ([`receivers`], [`processors`],
//! [`connectors`], [`exporters`], [`extensions`]) → [`transport`] and [`actions`] → [`pipeline`] →
//! [`config`] and [`telemetry`] → the crates of the workspace. Components never import each other.
#![forbid(unsafe_code)]

pub mod actions;
pub mod config;
pub mod connectors;
pub mod doctor;
pub mod exporters;
pub mod extensions;
pub mod pipeline;
pub mod processors;
pub mod receivers;
pub mod service;
pub mod telemetry;
pub mod transport;
