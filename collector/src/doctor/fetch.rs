//! One GET over HTTP/1.1, with an end to everything.

use std::fmt;
use std::io;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, StatusCode, header};
use http_body_util::{BodyExt as _, Empty, Limited};
use hyper::client::conn::http1::handshake;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use crate::transport::describe;

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct FetchError {
    message: String,
    is_refused: bool,
}

/// Metrics of a thousand exporters have less.
const MAX_BYTES: usize = 32 << 20;

/// The status and the text of an answer.
///
/// # Errors
/// There is none within `timeout`.
pub(super) async fn fetch(
    host: &str,
    port: u16,
    path: &str,
    timeout: Duration,
) -> Result<(StatusCode, String), FetchError> {
    let at = |message: String| format!("{host}:{port}: {message}");
    match tokio::time::timeout(timeout, get(host, port, path)).await {
        Ok(Ok(answer)) => Ok(answer),
        Ok(Err(mut error)) => {
            error.message = at(error.message);
            Err(error)
        }
        Err(_) => Err(FetchError::other(at(format!(
            "no answer within {timeout:?}"
        )))),
    }
}

async fn get(host: &str, port: u16, path: &str) -> Result<(StatusCode, String), FetchError> {
    let stream = TcpStream::connect((host, port)).await?;
    let failed = |error: hyper::Error| FetchError::other(describe(&error));
    let (mut sender, connection) = handshake(TokioIo::new(stream)).await.map_err(failed)?;
    tokio::spawn(connection);
    let authority = match host.contains(':') {
        true => format!("[{host}]:{port}"),
        false => format!("{host}:{port}"),
    };
    let request = Request::get(path)
        .header(header::HOST, authority)
        .body(Empty::<Bytes>::new())
        .map_err(|error| FetchError::other(error.to_string()))?;
    let response = sender.send_request(request).await.map_err(failed)?;
    let status = response.status();
    let body = Limited::new(response.into_body(), MAX_BYTES)
        .collect()
        .await;
    let body = body.map_err(|error| FetchError::other(error.to_string()))?;
    let text = String::from_utf8_lossy(&body.to_bytes()).into_owned();
    Ok((status, text))
}

// === impl FetchError ===

impl FetchError {
    pub(super) fn other(message: String) -> Self {
        Self {
            message,
            is_refused: false,
        }
    }

    /// Whether the machine is there, and nothing listens.
    pub(super) fn is_refused(&self) -> bool {
        self.is_refused
    }
}

impl From<io::Error> for FetchError {
    fn from(error: io::Error) -> Self {
        Self {
            message: error.to_string(),
            is_refused: error.kind() == io::ErrorKind::ConnectionRefused,
        }
    }
}

impl fmt::Display for FetchError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}
