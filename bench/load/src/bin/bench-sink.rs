//! An OTLP/gRPC server that accepts everything and counts it. Whoever connects to its status port
//! reads the totals as one line of JSON.
#![forbid(unsafe_code)]

use std::net::SocketAddr;

use clap::Parser;
use spanmesh_bench_load::Error;
use spanmesh_bench_load::server::{Account, serve};
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpListener;

/// Accepts OTLP/gRPC and counts it.
#[derive(Debug, Parser)]
struct Args {
    /// Where to receive OTLP/gRPC
    #[arg(long)]
    listen: SocketAddr,
    /// Where to give the totals
    #[arg(long)]
    status: SocketAddr,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let args = Args::parse();
    let account: &Account = Box::leak(Box::default());
    let status = TcpListener::bind(args.status).await?;
    let listener = TcpListener::bind(args.listen).await?;
    tokio::select! {
        served = serve(listener, account) => served,
        served = report(status, account) => served,
    }
}

async fn report(listener: TcpListener, account: &Account) -> Result<(), Error> {
    loop {
        let (mut socket, _) = listener.accept().await?;
        let mut line = serde_json::to_vec(&account.totals())?;
        line.push(b'\n');
        // Whoever asked may have gone.
        let _ = socket.write_all(&line).await;
    }
}
