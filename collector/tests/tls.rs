//! TLS between two collectors: one sends, the other receives.

mod support;

use std::path::Path;
use std::time::Duration;

use prost::Message;
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use support::telemetry::traces;
use support::{Collector, eventually};

/// Writes an authority, a server's and a client's certificate into a folder.
fn certificates(folder: &Path) {
    let write = |name: &str, text: String| std::fs::write(folder.join(name), text).unwrap();
    let mut authority = CertificateParams::new(Vec::new()).unwrap();
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let key = KeyPair::generate().unwrap();
    write("ca.pem", authority.self_signed(&key).unwrap().pem());
    let issuer = Issuer::new(authority, key);
    for name in ["server", "client"] {
        let params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &issuer).unwrap();
        write(&format!("{name}.pem"), certificate.pem());
        write(&format!("{name}.key"), key.serialize_pem());
    }
}

/// A receiver that demands TLS and a client's certificate, on both transports.
async fn receiver(folder: &str) -> Collector {
    let tls = format!(
        "tls: {{cert_file: {folder}/server.pem, key_file: {folder}/server.key, \
         client_ca_file: {folder}/ca.pem}}"
    );
    Collector::start(&format!(
        "
  otlp/tls:
    protocols:
      grpc:
        endpoint: localhost:0
        {tls}
      http:
        endpoint: localhost:0
        {tls}
exporters: {{nop: }}
service:
  {{metrics}}
  pipelines:
    traces: {{receivers: [otlp, otlp/tls], exporters: [nop]}}
"
    ))
    .await
}

async fn sender(exporter: &str, endpoint: &str, tls: &str) -> Collector {
    Collector::start(&format!(
        "
exporters:
  {exporter}:
    endpoint: {endpoint}
    tls: {{{tls}}}
    retry_on_failure: {{enabled: false}}
service:
  {{metrics}}
  pipelines:
    traces: {{receivers: [otlp], exporters: [{exporter}]}}
"
    ))
    .await
}

#[tokio::test]
async fn both_transports_speak_mutual_tls() {
    let folder = tempfile::tempdir().unwrap();
    certificates(folder.path());
    let folder = folder.path().to_str().unwrap();
    let receiver = receiver(folder).await;
    let grpc = format!("localhost:{}", receiver.address("otlp/tls", "grpc").port());
    let http = receiver.address("otlp/tls", "http").port();
    let http = format!("https://localhost:{http}");
    let ca = format!("ca_file: {folder}/ca.pem");
    let client = format!("cert_file: {folder}/client.pem, key_file: {folder}/client.key");
    let mut expected = 0;
    for (exporter, endpoint, tls, arrives) in [
        ("otlp_grpc", &grpc, format!("{ca}, {client}"), true),
        ("otlp_http", &http, format!("{ca}, {client}"), true),
        (
            "otlp_grpc",
            &grpc,
            format!("insecure_skip_verify: true, {client}"),
            true,
        ),
        // Nobody that we know signed the server's certificate.
        ("otlp_grpc", &grpc, client.clone(), false),
        ("otlp_http", &http, client.clone(), false),
        // The certificate is for another name.
        (
            "otlp_grpc",
            &grpc,
            format!("{ca}, {client}, server_name_override: other"),
            false,
        ),
        // The client has no certificate.
        ("otlp_grpc", &grpc, ca.clone(), false),
        ("otlp_http", &http, ca.clone(), false),
    ] {
        let sender = sender(exporter, endpoint, &tls).await;
        sender.post_traces(traces(0..10).encode_to_vec()).await;
        eventually("it is settled", async || {
            sender.account().totals().queued == 0
        })
        .await;
        expected += u64::from(arrives) * 10;
        assert_eq!(receiver.account().received, expected, "{exporter} {tls}");
        let account = sender.stop(Duration::from_secs(5)).await;
        assert_eq!(account.totals().sent, u64::from(arrives) * 10);
    }
}
