//! Sends spans by OTLP/gRPC until a given number is acknowledged, and prints the outcome as JSON.
#![forbid(unsafe_code)]

use std::io::Write as _;
use std::net::SocketAddr;

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
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u16).range(1..))]
    spans_per_request: u16,
    /// Connections to open
    #[arg(long, default_value_t = 4)]
    connections: usize,
    /// Requests that one connection has in flight
    #[arg(long, default_value_t = 4)]
    in_flight: usize,
    /// Spans per second; as fast as the server answers without
    #[arg(long)]
    rate: Option<f64>,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let args = Args::parse();
    let outcome = send(Plan {
        target: args.target,
        requests: args.spans.div_ceil(args.spans_per_request.into()),
        spans_per_request: args.spans_per_request.into(),
        connections: args.connections,
        in_flight: args.in_flight,
        rate: args
            .rate
            .map(|spans| spans / f64::from(args.spans_per_request)),
    })
    .await?;
    writeln!(std::io::stdout(), "{}", serde_json::to_string(&outcome)?)?;
    Ok(())
}
