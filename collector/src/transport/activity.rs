//! Whether a connection is in use.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use hyper::service::Service;

/// The requests of one connection.
#[derive(Debug)]
pub(super) struct Activity(Mutex<State>);

#[derive(Debug)]
struct State {
    /// Requests that have begun and are not answered.
    open: usize,
    /// When the last one was answered, or the connection was made.
    last: Instant,
    /// Whether there has been one at all.
    used: bool,
}

/// A service that tells of its requests.
#[derive(Debug)]
pub(super) struct Busy<S> {
    service: S,
    activity: Arc<Activity>,
}

/// A request that has begun.
pub(super) struct Request<F> {
    answer: F,
    _open: Open,
}

struct Open(Arc<Activity>);

// === impl Activity ===

impl Default for Activity {
    fn default() -> Self {
        Self(Mutex::new(State {
            open: 0,
            last: Instant::now(),
            used: false,
        }))
    }
}

impl Activity {
    /// Returns when there has been no request for so long; never for `None`.
    pub(super) async fn idle(&self, timeout: Option<Duration>) {
        let Some(timeout) = timeout else {
            return std::future::pending().await;
        };
        loop {
            let quiet = self.quiet();
            match timeout.checked_sub(quiet) {
                Some(rest) if !rest.is_zero() => tokio::time::sleep(rest).await,
                _ => return,
            }
        }
    }

    /// Returns after so long if no request has begun by then; never otherwise.
    pub(super) async fn unused(&self, timeout: Duration) {
        tokio::time::sleep(timeout).await;
        if self.is_used() {
            std::future::pending::<()>().await;
        }
    }

    fn is_used(&self) -> bool {
        let state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        state.used
    }

    /// For how long there has been no request.
    fn quiet(&self) -> Duration {
        let state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if state.open > 0 {
            return Duration::ZERO;
        }
        state.last.elapsed()
    }

    fn begin(self: &Arc<Self>) -> Open {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        state.open += 1;
        state.used = true;
        Open(self.clone())
    }
}

// === impl Busy ===

impl<S> Busy<S> {
    pub(super) fn new(service: S, activity: Arc<Activity>) -> Self {
        Self { service, activity }
    }
}

impl<S, R> Service<R> for Busy<S>
where
    S: Service<R>,
    S::Future: Unpin,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = Request<S::Future>;

    fn call(&self, request: R) -> Self::Future {
        Request {
            _open: self.activity.begin(),
            answer: self.service.call(request),
        }
    }
}

// === impl Request ===

impl<F: Future + Unpin> Future for Request<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        Pin::new(&mut self.answer).poll(cx)
    }
}

// === impl Open ===

impl Drop for Open {
    fn drop(&mut self) {
        let mut state = self.0.0.lock().unwrap_or_else(PoisonError::into_inner);
        state.open -= 1;
        state.last = Instant::now();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_request_keeps_its_connection_from_being_idle() {
        let activity = Arc::new(Activity::default());
        let request = activity.begin();
        let timeout = Duration::from_millis(20);
        let idle = tokio::time::timeout(timeout * 5, activity.idle(Some(timeout)));
        assert!(idle.await.is_err(), "idle in the middle of a request");
        drop(request);
        activity.idle(Some(timeout)).await;
        assert!(activity.quiet() >= timeout);
    }
}
