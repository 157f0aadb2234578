//! `spanmesh-collector doctor`: looks at running collectors from outside, and says in words what is wrong
//! and what to do about it.
//!
//! It reads what every collector shows of itself: its metrics, twice, so that what happens now is told
//! from what happened once; its `health_check`; and its `zpages`, which know why a destination fails. It
//! changes nothing, and needs neither the configuration nor rights on the other machine.
//!
//! Left out: TLS, which these ports do not have, and more than HTTP/1.1.

mod checks;
mod exposition;
mod fetch;
mod options;
mod report;

use std::time::{Duration, SystemTime};

use http::StatusCode;
use serde::Deserialize;
use tokio::task::JoinSet;

use self::exposition::Metrics;
use self::fetch::{FetchError, fetch};
pub use self::options::DoctorOptions;
use self::options::Host;
use self::report::{Diagnosis, Finding};
pub use self::report::{Report, Verdict};

/// Everything that one collector shows of itself.
#[derive(Debug)]
struct Observation {
    /// Two readings of the metrics.
    before: Metrics,
    now: Metrics,
    health: Result<Health, FetchError>,
    /// Why exporters fail; empty without `zpages`.
    queues: Vec<Queue>,
    at: SystemTime,
    certificate_warning: Duration,
}

/// An answer of `health_check`.
#[derive(Debug)]
struct Health {
    code: StatusCode,
    body: String,
}

/// What `/debug/queuez` says of one exporter.
#[derive(Debug, Deserialize)]
struct Queue {
    exporter: String,
    since: String,
    message: String,
}

/// What `/debug/queuez?format=json` is.
#[derive(Debug, Deserialize)]
struct Queues {
    queues: Vec<Queue>,
}

/// Where `health_check` answers by default, in its first and in its second version.
const HEALTH_PATHS: [&str; 2] = ["/", "/status"];

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// Looks at all collectors at once.
pub async fn examine(options: &DoctorOptions) -> Report {
    let mut examining = JoinSet::new();
    for (index, host) in options.hosts().into_iter().enumerate() {
        let options = options.clone();
        examining.spawn(async move {
            let diagnosis = diagnose(&host, &options).await;
            (index, host.given, diagnosis)
        });
    }
    let mut found = examining.join_all().await;
    found.sort_by_key(|(index, ..)| *index);
    let found = found.into_iter();
    Report::new(
        found
            .map(|(_, name, diagnosis)| (name, diagnosis))
            .collect(),
    )
}

async fn diagnose(host: &Host, options: &DoctorOptions) -> Diagnosis {
    let health = health(host, options).await;
    let before = match metrics(host, options).await {
        Ok(metrics) => metrics,
        Err(error) => return without_metrics(&error, &health),
    };
    if before.sum("spanmesh_build_info", &[]).is_none() {
        return Diagnosis::Unknown(format!(
            "what answers at {}:{} is not a Spanmesh collector: its metrics lack spanmesh_build_info",
            host.name, host.metrics_port
        ));
    }
    tokio::time::sleep(Duration::from_secs(options.seconds)).await;
    let now = match metrics(host, options).await {
        Ok(metrics) => metrics,
        Err(error) => return without_metrics(&error, &health),
    };
    let observation = Observation {
        before,
        now,
        health,
        queues: queues(host, options).await,
        at: SystemTime::now(),
        certificate_warning: DAY * options.certificate_days,
    };
    Diagnosis::Examined {
        findings: checks::all(&observation),
        summary: checks::summary(&observation.now),
    }
}

/// What can be said of a collector whose metrics cannot be read.
fn without_metrics(error: &FetchError, health: &Result<Health, FetchError>) -> Diagnosis {
    match health {
        Ok(health) if health.code != StatusCode::OK => Diagnosis::Examined {
            findings: checks::health(health).into_iter().collect(),
            summary: format!("its metrics cannot be read: {error}"),
        },
        Ok(_) => Diagnosis::Unknown(format!(
            "it is healthy by its own account, but its metrics cannot be read: {error}. Say where they \
             are with --metrics-port; service::telemetry::metrics of its configuration says whether other \
             machines can read them"
        )),
        Err(other) if error.is_refused() && other.is_refused() => Diagnosis::Examined {
            findings: vec![Finding::problem(
                format!("it does not run, or listens elsewhere: {error}; {other}"),
                "Look at the log of the process or of the former container (kubectl logs --previous); \
                 if it runs, say where with --metrics-port and --health-port",
            )],
            summary: String::new(),
        },
        Err(_) => Diagnosis::Unknown(format!("its metrics cannot be read: {error}")),
    }
}

async fn metrics(host: &Host, options: &DoctorOptions) -> Result<Metrics, FetchError> {
    let (port, timeout) = (host.metrics_port, options.timeout());
    let (code, body) = fetch(&host.name, port, "/metrics", timeout).await?;
    if code != StatusCode::OK {
        let message = format!("{}:{port}/metrics answers {code}", host.name);
        return Err(FetchError::other(message));
    }
    Ok(Metrics::parse(&body))
}

async fn health(host: &Host, options: &DoctorOptions) -> Result<Health, FetchError> {
    let own = options.health_path.as_deref();
    let paths: &[&str] = match &own {
        Some(path) => std::slice::from_ref(path),
        None => &HEALTH_PATHS,
    };
    let mut answer = Err(FetchError::other("there is no path to ask".to_owned()));
    for path in paths {
        let found = fetch(&host.name, options.health_port, path, options.timeout()).await;
        let is_there = !matches!(found, Ok((StatusCode::NOT_FOUND, _)));
        answer = found.map(|(code, body)| Health { code, body });
        if is_there {
            break;
        }
    }
    answer
}

/// Without `zpages` findings have no reasons, and there is nothing else to say about that.
async fn queues(host: &Host, options: &DoctorOptions) -> Vec<Queue> {
    let path = "/debug/queuez?format=json";
    let answer = fetch(&host.name, options.zpages_port, path, options.timeout()).await;
    let Ok((StatusCode::OK, body)) = answer else {
        return Vec::new();
    };
    let queues: Result<Queues, _> = serde_json::from_str(&body);
    queues.map(|all| all.queues).unwrap_or_default()
}
