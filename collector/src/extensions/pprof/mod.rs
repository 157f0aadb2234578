//! `pprof`: CPU and heap profiles on request, in the format of `go tool pprof`
//! (`github.com/google/pprof/proto/profile.proto`), compressed with gzip, with the names of functions.
//!
//! Nothing is sampled unless it was asked for: the CPU while a profile is taken, allocations while the
//! extension runs, so that a heap profile shows what was allocated since then and is still there.
//!
//! Left out: what is about Go's runtime (`goroutine`, `block`, `mutex`, `trace`, `symbol`), `allocs`,
//! which jemalloc does not keep, heap profiles over an interval, and `cmdline`, which can hold secrets.

mod cpu;
mod heap;
mod options;
mod profile;
mod saving;
mod scratch;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use http::{HeaderName, HeaderValue, StatusCode};
use tokio::task::spawn_blocking;

use self::cpu::CpuSampling;
use self::heap::HeapSampling;
use self::options::Options;
use self::saving::Saving;
use crate::pipeline::{
    BoxFuture, BuildContext, Extension, ExtensionConfig, ExtensionFactory, ExtensionKind,
    StartError,
};
use crate::transport::{Page, Server, TEXT, not_found, page, serve_extension};

/// Makes `pprof` extensions.
pub const FACTORY: &dyn ExtensionFactory = &ExtensionKind::<Options>::new("pprof");

struct Pprof {
    server: Server,
    /// The profile of the whole time.
    saving: Option<Saving>,
}

/// Why there is no profile.
#[derive(Debug, PartialEq, Eq)]
enum Failure {
    /// Only one can be taken at a time.
    Busy,
    /// Not by this build of the collector.
    Unavailable(&'static str),
    /// Something went wrong.
    Failed(String),
}

/// How long the CPU is watched if the request does not say.
const DEFAULT_SECONDS: u64 = 30;
/// The longest that it may ask for, so that a forgotten client does not slow the collector for good.
const MAX_SECONDS: u64 = 600;

/// What `go tool pprof` looks for before it shows the text of an error.
const GO_PPROF: HeaderName = HeaderName::from_static("x-go-pprof");

const INDEX: &str = "\
/debug/pprof/profile?seconds=30   where the CPU time goes, from now on
/debug/pprof/heap                 what holds the memory that was allocated since this extension runs

go tool pprof -top http://THIS-ADDRESS/debug/pprof/profile?seconds=10
";

// === impl Options ===

impl ExtensionConfig for Options {
    fn start(
        self: Box<Self>,
        context: BuildContext,
    ) -> BoxFuture<'static, Result<Box<dyn Extension>, StartError>> {
        Box::pin(async move {
            let saving = self.save_to_file.map(|path| {
                Saving::new(&path).map_err(|error| {
                    let (id, path) = (&context.id, path.display());
                    StartError(format!(
                        "extension \"{id}\" cannot save a profile to {path}: {error}"
                    ))
                })
            });
            let saving = saving.transpose()?;
            let heap = blocking(|| Ok(HeapSampling::start())).await;
            let heap = heap.map_err(|error| StartError(error.to_string()))?;
            let heap = Arc::new(heap);
            let server = serve_extension(&context, &self.endpoint, move |request| {
                answer(request.uri().clone(), heap.clone())
            })
            .await?;
            Ok(Box::new(Pprof { server, saving }) as Box<dyn Extension>)
        })
    }
}

// === impl Pprof ===

impl Extension for Pprof {
    fn address(&self) -> Option<SocketAddr> {
        self.server.address().tcp()
    }

    fn ready(&self) {
        if let Some(saving) = &self.saving {
            saving.begin();
        }
    }

    fn stop(self: Box<Self>) -> BoxFuture<'static, ()> {
        Box::pin(async move {
            self.server.stop().await;
            if let Some(saving) = self.saving {
                saving.finish().await;
            }
        })
    }
}

async fn answer(uri: http::Uri, heap: Arc<HeapSampling>) -> Page {
    let profile = match uri.path() {
        "/" | "/debug/pprof" | "/debug/pprof/" => return page(StatusCode::OK, TEXT, INDEX),
        "/debug/pprof/heap" => blocking(move || heap.profile()).await,
        "/debug/pprof/profile" => match duration(uri.query().unwrap_or_default()) {
            Ok(duration) => cpu_profile(duration).await,
            Err(message) => return refusal(StatusCode::BAD_REQUEST, message),
        },
        _ => return not_found(),
    };
    match profile {
        Ok(profile) => page(StatusCode::OK, "application/octet-stream", profile),
        Err(failure) => refusal(failure.status(), failure.to_string()),
    }
}

async fn cpu_profile(duration: Duration) -> Result<Vec<u8>, Failure> {
    // Should the client go away, this is dropped, and sampling ends with it.
    let sampling = blocking(CpuSampling::start).await?;
    tokio::time::sleep(duration).await;
    blocking(|| sampling.finish()).await
}

/// Runs what reads files and looks for names on a thread that may wait.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Failure> + Send + 'static,
) -> Result<T, Failure> {
    let result = spawn_blocking(work).await;
    result.unwrap_or_else(|error| Err(Failure::Failed(error.to_string())))
}

/// `seconds` of a query.
fn duration(query: &str) -> Result<Duration, String> {
    let mut pairs = query.split('&').filter_map(|pair| pair.split_once('='));
    let Some((_, text)) = pairs.find(|(name, _)| *name == "seconds") else {
        return Ok(Duration::from_secs(DEFAULT_SECONDS));
    };
    match text.parse() {
        Ok(seconds) if (1..=MAX_SECONDS).contains(&seconds) => Ok(Duration::from_secs(seconds)),
        _ => Err(format!(
            "seconds: expected a number from 1 to {MAX_SECONDS}, but found {text:?}"
        )),
    }
}

fn refusal(status: StatusCode, message: String) -> Page {
    let mut answer = page(status, TEXT, message + "\n");
    let headers = answer.headers_mut();
    headers.insert(GO_PPROF, HeaderValue::from_static("1"));
    answer
}

// === impl Failure ===

impl Failure {
    fn status(&self) -> StatusCode {
        match self {
            Self::Busy => StatusCode::CONFLICT,
            Self::Unavailable(_) => StatusCode::NOT_IMPLEMENTED,
            Self::Failed(_) => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Busy => f.write_str("a CPU profile is being taken already"),
            Self::Unavailable(message) => f.write_str(message),
            Self::Failed(message) => f.write_str(message),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_profile_takes_as_long_as_asked_for() {
        let p = |query: &str| duration(query).map(|duration| duration.as_secs());
        assert_eq!(p(""), Ok(30));
        assert_eq!(p("seconds=5"), Ok(5));
        assert_eq!(p("a=b&seconds=600"), Ok(600));
        for wrong in ["seconds=0", "seconds=601", "seconds=", "seconds=1.5"] {
            let error = p(wrong).unwrap_err();
            assert!(error.starts_with("seconds: expected"), "{wrong}: {error}");
        }
    }
}
