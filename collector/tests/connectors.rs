//! Pipelines behind connectors.

mod support;

use prost::Message;
use spanmesh_otlp::Signal;
use support::sink::GrpcSink;
use support::telemetry::{distinct_ids, spans, traces};
use support::{Collector, DRAIN};

#[tokio::test]
async fn what_is_forwarded_arrives_once_for_each_way() {
    let (near, far) = (GrpcSink::default(), GrpcSink::default());
    let exporter =
        |address| format!("{{endpoint: '{address}', tls: {{insecure: true}}, timeout: 1m}}");
    let sections = format!(
        "
processors:
  batch: {{send_batch_size: 100, send_batch_max_size: 100, timeout: 1h}}
connectors:
  forward:
exporters:
  otlp_grpc/near: {}
  otlp_grpc/far: {}
service:
  {{metrics}}
  pipelines:
    traces/in: {{receivers: [otlp], processors: [batch], exporters: [forward, otlp_grpc/near]}}
    traces/one: {{receivers: [forward], exporters: [otlp_grpc/far]}}
    traces/two: {{receivers: [forward], exporters: [otlp_grpc/far]}}
",
        exporter(near.serve().await),
        exporter(far.serve().await),
    );
    let collector = Collector::start(&sections).await;
    collector.post_traces(traces(0..250).encode_to_vec()).await;
    let account = collector.stop(DRAIN).await;
    assert_eq!(distinct_ids(&near.spans()), (0..250).collect());
    // Two pipelines lead to it, and each brings everything.
    assert_eq!(far.spans().len(), 500);
    let (once, again) = far.spans().into_iter().partition::<Vec<_>, _>({
        let mut seen = std::collections::BTreeSet::new();
        move |span| seen.insert(span.span_id.clone())
    });
    assert_eq!(distinct_ids(&once), distinct_ids(&again));
    // What the first pipeline says of batches holds behind the connector too.
    for sink in [&near, &far] {
        assert!(
            sink.requests()
                .iter()
                .all(|request| spans(request).len() <= 100)
        );
    }
    let sent = |id: &str| {
        let found = account
            .destinations
            .iter()
            .find(|(name, signal, _)| name == id && *signal == Signal::Traces);
        found.map(|(_, _, totals)| totals.sent)
    };
    assert_eq!(sent("otlp_grpc/near"), Some(250));
    assert_eq!(sent("otlp_grpc/far"), Some(500));
    assert_eq!((account.received, account.refused), (250, 0));
}
