//! Sends spans by OTLP/gRPC until a given number is acknowledged, and prints the outcome as JSON.
#![forbid(unsafe_code)]

use std::io::Write as _;
use std::net::SocketAddr;
use std::num::{NonZeroU16, NonZeroU32};

use clap::Parser;
use spanmesh_bench_load::Error;
use spanmesh_bench_load::client::{Plan, send};

/// Sends spans by OTLP/gRPC.
#[derive(Debug, Parser)]
struct Args {
    /// The server
    #[arg(long)]
    target: SocketAddr,
    /// How many spans to send; rounded up to whole requests
    #[arg(long)]
    spans: u64,
    /// Spans in a request
    #[arg(long, default_value = "100")]
    spans_per_request: NonZeroU16,
    /// Connections to open
    #[arg(long, default_value = "4")]
    connections: NonZeroU16,
    /// Requests that one connection has in flight
    #[arg(long, default_value = "4")]
    in_flight: NonZeroU16,
    /// Spans per second; as fast as the server answers without
    #[arg(long)]
    rate: Option<NonZeroU32>,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let args = Args::parse();
    let spans_per_request = args.spans_per_request.get();
    let outcome = send(Plan {
        target: args.target,
        requests: args.spans.div_ceil(spans_per_request.into()),
        spans_per_request: spans_per_request.into(),
        connections: args.connections.get().into(),
        in_flight: args.in_flight.get().into(),
        rate: args
            .rate
            .map(|spans| f64::from(spans.get()) / f64::from(spans_per_request)),
    })
    .await?;
    writeln!(std::io::stdout(), "{}", serde_json::to_string(&outcome)?)?;
    Ok(())
}
