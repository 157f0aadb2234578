//! The body of a request over HTTP.

use std::time::Duration;

use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::body::{Body, Incoming};

use super::failure::Failure;
use crate::pipeline::Hold;
use crate::transport::compact;

/// Bodies up to this size are copied out of the connection's buffer, which is up to 400 KiB and would
/// otherwise be kept for as long as a queue holds the smallest of them.
const COPY_LIMIT: usize = 64 * 1024;

/// When a client whose body did not arrive should try again.
pub(super) const RETRY_AFTER: Duration = Duration::from_secs(1);

/// How long a client may pause within a body.
pub(super) const BODY_TIMEOUT: Duration = Duration::from_secs(30);

/// How much of the rest of a body that is refused is read in any case, however small the limit is.
const DISCARD_BYTES: usize = 8 << 20;

/// How long the rest of a body that is refused is read.
const DISCARD_TIMEOUT: Duration = Duration::from_secs(5);

/// Reads a body of at most `limit` bytes within `timeout`; see below.
///
/// # Errors
/// It is larger, broken off, too slow, or there is no memory for it.
pub(super) async fn read_body(
    body: &mut Incoming,
    limit: usize,
    timeout: Option<Duration>,
    hold: Hold,
) -> Result<(Bytes, Hold), Failure> {
    let reading = read_whole_body(body, limit, hold);
    let Some(timeout) = timeout else {
        return reading.await;
    };
    match tokio::time::timeout(timeout, reading).await {
        Ok(result) => result,
        Err(_) => {
            let message = format!("the body was not complete within {timeout:?}");
            Err(Failure::slow(message, RETRY_AFTER))
        }
    }
}

/// Reads a body of at most `limit` bytes. One that says that it is longer is not read at all. `hold`
/// grows with what has been read, not to what is announced: memory that nothing was written to is not
/// taken up yet.
async fn read_whole_body(
    body: &mut Incoming,
    limit: usize,
    mut hold: Hold,
) -> Result<(Bytes, Hold), Failure> {
    if body.size_hint().lower() > limit as u64 {
        return Err(Failure::too_large(limit));
    }
    let mut whole = Bytes::new();
    let mut parts = Vec::new();
    loop {
        let Ok(frame) = tokio::time::timeout(BODY_TIMEOUT, body.frame()).await else {
            let message = format!("the body did not go on within {BODY_TIMEOUT:?}");
            return Err(Failure::slow(message, RETRY_AFTER));
        };
        let data = match frame {
            None => break,
            Some(Ok(frame)) => frame.into_data().unwrap_or_default(),
            Some(Err(error)) => return Err(Failure::malformed("", &error)),
        };
        let size = whole.len() + parts.len() + data.len();
        if size > limit {
            return Err(Failure::too_large(limit));
        }
        hold.resize(size as u64)?;
        if whole.is_empty() && parts.is_empty() {
            // Kept as it came, in case it is the only one.
            whole = data;
            continue;
        }
        if parts.is_empty() {
            let announced = usize::try_from(body.size_hint().lower()).unwrap_or(limit);
            parts.reserve_exact(whole.len() + data.len() + announced.min(limit));
            parts.extend_from_slice(&std::mem::take(&mut whole));
        }
        parts.extend_from_slice(&data);
    }
    let whole = if parts.is_empty() {
        detached(whole)
    } else {
        compact(parts)
    };
    Ok((whole, hold))
}

/// Reads what is left of a body, as much again as `limit`, and keeps nothing of it. A connection over
/// HTTP/1.1 would be closed otherwise, and a client that is still sending would never see when to
/// come back.
pub(super) async fn discard(body: &mut Incoming, limit: usize) {
    let reading = async {
        let mut size = 0;
        while size <= limit.max(DISCARD_BYTES) {
            match body.frame().await {
                Some(Ok(frame)) => size += frame.data_ref().map_or(0, Bytes::len),
                Some(Err(_)) | None => return,
            }
        }
    };
    // Whoever takes longer does without the answer.
    let _ = tokio::time::timeout(DISCARD_TIMEOUT, reading).await;
}

/// A body that keeps no buffer alive that is much larger than itself.
fn detached(body: Bytes) -> Bytes {
    if body.len() <= COPY_LIMIT {
        Bytes::copy_from_slice(&body)
    } else {
        body
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_bodies_do_not_keep_the_buffer_of_the_connection() {
        let buffer = Bytes::from(vec![0; 400_000]);
        let body = detached(buffer.slice(..100));
        assert_eq!(body.len(), 100);
        assert!(buffer.is_unique());
    }
}
