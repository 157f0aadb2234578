//! One connection to the server under test: HTTP/2 for gRPC, HTTP/1.1 for OTLP/HTTP.

use bytes::Bytes;
use h2::client::{Builder, SendRequest};
use http::{HeaderMap, Method, Request, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use crate::Error;
use crate::client::Plan;

/// How requests travel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Transport {
    /// OTLP/gRPC.
    Grpc,
    /// OTLP/HTTP, protobuf.
    Http,
}

/// An open connection.
#[derive(Debug)]
pub(crate) enum Connection {
    /// Many requests at a time; clones share it.
    Http2(SendRequest<Bytes>),
    /// One request at a time.
    Http1(http1::SendRequest<Full<Bytes>>),
}

// === impl Connection ===

impl Connection {
    pub(crate) async fn open(plan: &Plan) -> Result<Self, Error> {
        let socket = TcpStream::connect(plan.target).await?;
        socket.set_nodelay(true)?;
        // A broken connection shows in the requests that were on it.
        Ok(match plan.transport {
            Transport::Grpc => {
                let (send, connection) = Builder::new().handshake(socket).await?;
                tokio::spawn(async move {
                    let _ = connection.await;
                });
                Self::Http2(send)
            }
            Transport::Http => {
                let (send, connection) = http1::handshake(TokioIo::new(socket)).await?;
                tokio::spawn(async move {
                    let _ = connection.await;
                });
                Self::Http1(send)
            }
        })
    }

    /// Makes one call; whether it was answered with OK.
    pub(crate) async fn export(&mut self, plan: &Plan, body: &Bytes) -> Result<bool, Error> {
        match self {
            Self::Http2(send) => export_grpc(send, plan, body).await,
            Self::Http1(send) => export_http(send, plan, body).await,
        }
    }
}

async fn export_grpc(
    connection: &SendRequest<Bytes>,
    plan: &Plan,
    body: &Bytes,
) -> Result<bool, Error> {
    let mut request = Request::builder()
        .method(Method::POST)
        .uri(format!("http://{}{}", plan.target, plan.signal.grpc_path()))
        .header("content-type", "application/grpc")
        .header("te", "trailers");
    if plan.gzip {
        request = request.header("grpc-encoding", "gzip");
    }
    let mut connection = connection.clone().ready().await?;
    let (response, mut stream) = connection.send_request(request.body(())?, false)?;
    let mut rest = body.clone();
    while let Some(size) = plan.frame_bytes.filter(|size| rest.len() > *size) {
        stream.send_data(rest.split_to(size), false)?;
    }
    stream.send_data(rest, true)?;
    let (head, mut answer) = response.await?.into_parts();
    while let Some(chunk) = answer.data().await.transpose()? {
        answer.flow_control().release_capacity(chunk.len())?;
    }
    let trailers = answer.trailers().await?;
    // An error may come as the only header block, without trailers of its own.
    Ok(is_ok(trailers.as_ref().unwrap_or(&head.headers)))
}

fn is_ok(headers: &HeaderMap) -> bool {
    headers
        .get("grpc-status")
        .is_some_and(|status| status == "0")
}

async fn export_http(
    connection: &mut http1::SendRequest<Full<Bytes>>,
    plan: &Plan,
    body: &Bytes,
) -> Result<bool, Error> {
    let mut request = Request::builder()
        .method(Method::POST)
        .uri(plan.signal.http_path())
        .header("host", plan.target.to_string())
        .header("content-type", "application/x-protobuf");
    if plan.gzip {
        request = request.header("content-encoding", "gzip");
    }
    connection.ready().await?;
    let answer = connection
        .send_request(request.body(Full::new(body.clone()))?)
        .await?;
    let status = answer.status();
    // To its end, so that the connection is free for the next request.
    answer.into_body().collect().await?;
    Ok(status == StatusCode::OK)
}
