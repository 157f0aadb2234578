//! The collector's own metrics, sent as OTLP in regular intervals and once more at the end.
//!
//! They go out through an exporter of the collector, but not through a queue: what cannot be sent is
//! in the next reading, since all counters are cumulative.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::common::v1::{
    AnyValue, InstrumentationScope, KeyValue, any_value::Value as Any,
};
use opentelemetry_proto::tonic::metrics::v1::{
    AggregationTemporality, Gauge, Histogram, HistogramDataPoint, Metric, NumberDataPoint,
    ResourceMetrics, ScopeMetrics, Sum, metric::Data, number_data_point::Value as Number,
};
use opentelemetry_proto::tonic::resource::v1::Resource;
use prost::Message as _;
use spanmesh_otlp::Signal;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tracing::{info, warn};

use super::push_options::PushOptions;
use crate::config::{Node, Place, Problem, Problems, Section};
use crate::exporters;
use crate::pipeline::{Batch, BuildContext, Exporter, ExporterConfig, StartError};
use crate::telemetry::{FamilyReading, Kind, Labels, Reading, Registry, excerpt};

/// One destination of the collector's own metrics.
pub(super) struct Push {
    interval: Duration,
    timeout: Duration,
    exporter: Box<dyn ExporterConfig>,
}

/// One that is being sent to.
pub(super) struct Pushing {
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
}

/// Sends readings to one destination.
struct Sender {
    exporter: Arc<dyn Exporter>,
    registry: Registry,
    timeout: Duration,
    resource: Resource,
    started: SystemTime,
}

/// How long the last reading may take to be sent.
const STOP_TIMEOUT: Duration = Duration::from_secs(5);

// === impl Push ===

impl Push {
    /// Reads where to send to; `place` is that of `service.telemetry`.
    ///
    /// # Errors
    /// Everything that is wrong with it.
    pub(super) fn new(options: &PushOptions, place: &Place) -> Result<Self, Problems> {
        let kind = if options.grpc {
            "otlp_grpc"
        } else {
            "otlp_http"
        };
        let node = exporter_options(options, place);
        let section = Section::new(
            &node,
            "service::telemetry::metrics::readers::periodic::otlp",
        );
        let factory = exporters::REGISTRY.iter().find(|one| one.kind() == kind);
        let Some(factory) = factory else {
            let message = format!("the exporter {kind:?} is not available in this version");
            return Err(Problem::new(place, "service::telemetry", message).into());
        };
        Ok(Self {
            interval: options.interval,
            timeout: options.timeout,
            exporter: factory.configure(&section)?,
        })
    }

    /// Begins to send.
    ///
    /// # Errors
    /// The exporter cannot be built.
    pub(super) fn start(
        self,
        context: &BuildContext,
        attributes: &BTreeMap<String, String>,
    ) -> Result<Pushing, StartError> {
        let exporter = self.exporter.build(context)?;
        exporter.start()?;
        let sender = Sender {
            exporter,
            registry: context.registry.clone(),
            timeout: self.timeout,
            resource: resource(attributes),
            started: SystemTime::now(),
        };
        let (stop, stopped) = watch::channel(false);
        let task = tokio::spawn(sender.run(self.interval, stopped));
        Ok(Pushing { stop, task })
    }
}

impl fmt::Debug for Push {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Push")
            .field("interval", &self.interval)
            .finish_non_exhaustive()
    }
}

// === impl Pushing ===

impl Pushing {
    /// Sends the last reading, and ends; after five seconds at most.
    pub(super) async fn stop(mut self) {
        // It only fails if the task has ended already.
        let _ = self.stop.send(true);
        if tokio::time::timeout(STOP_TIMEOUT, &mut self.task)
            .await
            .is_err()
        {
            self.task.abort();
        }
    }
}

// === impl Sender ===

impl Sender {
    async fn run(self, interval: Duration, mut stopped: watch::Receiver<bool>) {
        let mut fails = false;
        loop {
            let told = async { stopped.wait_for(|stopped| *stopped).await.is_ok() };
            let last = tokio::select! {
                // Dropped without a word, what it was for did not start.
                is_end = told => if is_end { true } else { break },
                () = tokio::time::sleep(interval) => false,
            };
            let result = self.send().await;
            // Said once an outage.
            match &result {
                Ok(()) if fails => info!("the collector's own metrics can be sent again"),
                Err(error) if !fails => {
                    let error = excerpt(error);
                    warn!("the collector's own metrics cannot be sent: {error}");
                }
                Ok(()) | Err(_) => {}
            }
            fails = result.is_err();
            if last {
                break;
            }
        }
        self.exporter.stop().await;
    }

    async fn send(&self) -> Result<(), String> {
        let reading = self.registry.read();
        let (request, items) = request(&reading, &self.resource, self.started, SystemTime::now());
        let frame = Bytes::from(request.encode_to_vec());
        let batch = Batch {
            signal: Signal::Metrics,
            bytes: frame.len(),
            frames: vec![frame],
            items,
        };
        match tokio::time::timeout(self.timeout, self.exporter.export(&batch)).await {
            Ok(result) => result.map(drop).map_err(|error| error.to_string()),
            Err(_) => Err(format!("no answer within {:?}", self.timeout)),
        }
    }
}

/// The options as the exporters read them.
fn exporter_options(options: &PushOptions, place: &Place) -> Node {
    let text = |text: &str| Node::text(place.clone(), text);
    let map = |entries: Vec<(&str, Node)>| Node::mapping(place, entries);
    // As in OTEL_EXPORTER_OTLP_METRICS_ENDPOINT, a path is the whole path.
    let has_path = options.endpoint.split_once("://").is_some_and(|(_, rest)| {
        rest.split_once('/')
            .is_some_and(|(_, path)| !path.is_empty())
    });
    let endpoint = match !options.grpc && has_path {
        true => "metrics_endpoint",
        false => "endpoint",
    };
    let headers = options.headers.iter();
    let headers = headers.map(|(name, value)| (name.as_str(), text(value)));
    let mut tls = Vec::new();
    for (key, file) in [
        ("ca_file", &options.certificate),
        ("cert_file", &options.client_certificate),
        ("key_file", &options.client_key),
    ] {
        tls.extend(file.as_deref().map(|file| (key, text(file))));
    }
    if options.insecure {
        tls.push(("insecure", Node::plain(place.clone(), "true")));
    }
    map(vec![
        (endpoint, text(&options.endpoint)),
        ("headers", map(headers.collect())),
        ("compression", text(&options.compression)),
        ("tls", map(tls)),
    ])
}

fn resource(attributes: &BTreeMap<String, String>) -> Resource {
    let mut all = BTreeMap::from([
        ("service.name".to_owned(), "spanmesh-collector".to_owned()),
        (
            "service.version".to_owned(),
            env!("CARGO_PKG_VERSION").to_owned(),
        ),
    ]);
    all.extend(attributes.clone());
    Resource {
        attributes: all
            .iter()
            .map(|(key, value)| attribute(key, value))
            .collect(),
        ..Resource::default()
    }
}

fn request(
    reading: &Reading,
    resource: &Resource,
    started: SystemTime,
    now: SystemTime,
) -> (ExportMetricsServiceRequest, u64) {
    let metrics = reading.families.iter();
    let metrics: Vec<_> = metrics
        .map(|family| metric(family, nanos(started), nanos(now)))
        .collect();
    let items = reading
        .families
        .iter()
        .map(|family| (family.samples.len() + family.histograms.len()) as u64)
        .sum();
    let scope = InstrumentationScope {
        name: "spanmesh-collector".to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        ..InstrumentationScope::default()
    };
    let request = ExportMetricsServiceRequest {
        resource_metrics: vec![ResourceMetrics {
            resource: Some(resource.clone()),
            scope_metrics: vec![ScopeMetrics {
                scope: Some(scope),
                metrics,
                ..ScopeMetrics::default()
            }],
            ..ResourceMetrics::default()
        }],
    };
    (request, items)
}

fn metric(family: &FamilyReading, started: u64, now: u64) -> Metric {
    let points = family
        .samples
        .iter()
        .map(|(labels, value)| NumberDataPoint {
            attributes: attributes(labels),
            start_time_unix_nano: started,
            time_unix_nano: now,
            value: Some(Number::AsDouble(*value)),
            ..NumberDataPoint::default()
        });
    let data_points = points.collect();
    let histograms = family.histograms.iter();
    let histograms = histograms.map(|(labels, reading)| HistogramDataPoint {
        attributes: attributes(labels),
        start_time_unix_nano: started,
        time_unix_nano: now,
        count: reading.count(),
        sum: Some(reading.sum as f64),
        bucket_counts: reading.counts.clone(),
        explicit_bounds: reading.bounds.iter().map(|bound| *bound as f64).collect(),
        ..HistogramDataPoint::default()
    });
    let data = match family.kind {
        Kind::Histogram => Data::Histogram(Histogram {
            data_points: histograms.collect(),
            aggregation_temporality: AggregationTemporality::Cumulative.into(),
        }),
        Kind::Gauge => Data::Gauge(Gauge { data_points }),
        Kind::Counter => Data::Sum(Sum {
            data_points,
            aggregation_temporality: AggregationTemporality::Cumulative.into(),
            is_monotonic: true,
        }),
    };
    Metric {
        name: family.name.to_owned(),
        description: family.help.to_owned(),
        data: Some(data),
        ..Metric::default()
    }
}

fn attributes(labels: &Labels) -> Vec<KeyValue> {
    labels
        .iter()
        .map(|(key, value)| attribute(key, value))
        .collect()
}

fn attribute(key: &str, value: &str) -> KeyValue {
    KeyValue {
        key: key.to_owned(),
        value: Some(AnyValue {
            value: Some(Any::StringValue(value.to_owned())),
        }),
        ..KeyValue::default()
    }
}

fn nanos(moment: SystemTime) -> u64 {
    let since = moment.duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}
