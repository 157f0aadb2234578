//! Sends spans or log records until a given number is acknowledged, and prints the outcome as JSON.
#![forbid(unsafe_code)]

use std::io::Write as _;
use std::net::SocketAddr;
use std::num::{NonZeroU16, NonZeroU32, NonZeroUsize};

use clap::{Parser, ValueEnum};
use spanmesh_bench_load::Error;
use spanmesh_bench_load::client::{Plan, send};
use spanmesh_bench_load::connection::Transport;
use spanmesh_otlp::Signal;

/// Sends spans or log records by OTLP.
#[derive(Debug, Parser)]
struct Args {
    /// The server
    #[arg(long)]
    target: SocketAddr,
    /// What to send
    #[arg(long, value_enum, default_value = "traces")]
    signal: Sent,
    /// How to send it
    #[arg(long, value_enum, default_value = "grpc")]
    transport: Transport,
    /// Compress it
    #[arg(long)]
    gzip: bool,
    /// Send frames of HTTP/2 of so many bytes; as large as the server allows without
    #[arg(long)]
    frame_bytes: Option<NonZeroUsize>,
    /// How many spans or log records to send; rounded up to whole requests
    #[arg(long)]
    items: u64,
    /// Spans or log records in a request
    #[arg(long, default_value = "100")]
    items_per_request: NonZeroU16,
    /// Connections to open; over HTTP/1.1 one for each request in flight
    #[arg(long, default_value = "4")]
    connections: NonZeroU16,
    /// Requests that one connection has in flight
    #[arg(long, default_value = "4")]
    in_flight: NonZeroU16,
    /// Spans or log records per second; as fast as the server answers without
    #[arg(long)]
    rate: Option<NonZeroU32>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Sent {
    Traces,
    Logs,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let args = Args::parse();
    let items_per_request = args.items_per_request.get();
    let outcome = send(Plan {
        target: args.target,
        signal: match args.signal {
            Sent::Traces => Signal::Traces,
            Sent::Logs => Signal::Logs,
        },
        transport: args.transport,
        gzip: args.gzip,
        frame_bytes: args.frame_bytes.map(NonZeroUsize::get),
        requests: args.items.div_ceil(items_per_request.into()),
        items_per_request: items_per_request.into(),
        connections: args.connections.get().into(),
        in_flight: args.in_flight.get().into(),
        rate: args
            .rate
            .map(|items| f64::from(items.get()) / f64::from(items_per_request)),
    })
    .await?;
    writeln!(std::io::stdout(), "{}", serde_json::to_string(&outcome)?)?;
    Ok(())
}
