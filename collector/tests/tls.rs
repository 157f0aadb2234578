//! TLS between two collectors: one sends, the other receives.

mod support;

use std::path::Path;
use std::time::Duration;

use prost::Message;
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair, date_time_ymd};
use support::telemetry::traces;
use support::{Collector, DRAIN, eventually};

/// Writes an authority, a server's and a client's certificate into a folder.
fn certificates(folder: &Path) {
    certificates_until(folder, 2040);
}

/// The same, valid until a year begins.
fn certificates_until(folder: &Path, year: i32) {
    let write = |name: &str, text: String| std::fs::write(folder.join(name), text).unwrap();
    let mut authority = CertificateParams::new(Vec::new()).unwrap();
    authority.not_after = date_time_ymd(year, 1, 1);
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let key = KeyPair::generate().unwrap();
    write("ca.pem", authority.self_signed(&key).unwrap().pem());
    let issuer = Issuer::new(authority, key);
    for name in ["server", "client"] {
        let mut params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
        params.not_after = date_time_ymd(year, 1, 1);
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
    timeout: 1m
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
        let account = sender.stop(DRAIN).await;
        assert_eq!(account.totals().sent, u64::from(arrives) * 10);
    }
}

/// A receiver on gRPC with these options of `tls`.
async fn grpc_receiver(tls: &str) -> Collector {
    Collector::start(&grpc_sections(tls)).await
}

fn grpc_sections(tls: &str) -> String {
    format!(
        "
  otlp/tls:
    protocols:
      grpc: {{endpoint: 'localhost:0', tls: {{{tls}}}}}
exporters: {{nop: }}
service:
  {{metrics}}
  pipelines:
    traces: {{receivers: [otlp, otlp/tls], exporters: [nop]}}
"
    )
}

/// Sends ten spans; whether they arrive.
async fn arrives(receiver: &Collector, tls: &str) -> bool {
    let port = receiver.address("otlp/tls", "grpc").port();
    let sender = sender("otlp_grpc", &format!("localhost:{port}"), tls).await;
    sender.post_traces(traces(0..10).encode_to_vec()).await;
    let account = sender.stop(DRAIN).await;
    assert_eq!(account.totals().accepted, 10);
    account.totals().sent == 10
}

#[tokio::test]
async fn servers_show_new_certificates_without_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    certificates(folder.path());
    let path = folder.path().to_str().unwrap();
    let receiver = grpc_receiver(&format!(
        "cert_file: {path}/server.pem, key_file: {path}/server.key, reload_interval: 1ms"
    ))
    .await;
    std::fs::copy(folder.path().join("ca.pem"), folder.path().join("old.pem")).unwrap();
    let (old, new) = (
        format!("ca_file: {path}/old.pem"),
        format!("ca_file: {path}/ca.pem"),
    );
    assert!(arrives(&receiver, &old).await);
    // The authority, too, is another one now.
    certificates(folder.path());
    tokio::time::sleep(Duration::from_millis(10)).await;
    assert!(!arrives(&receiver, &old).await);
    assert!(arrives(&receiver, &new).await);
    // What cannot be used is not used.
    std::fs::write(folder.path().join("server.pem"), "broken").unwrap();
    tokio::time::sleep(Duration::from_millis(10)).await;
    assert!(arrives(&receiver, &new).await);
    let account = receiver.stop(DRAIN).await;
    assert_eq!((account.received, account.totals().sent), (30, 30));
}

#[tokio::test]
async fn servers_believe_new_authorities_without_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    certificates(folder.path());
    let other = tempfile::tempdir().unwrap();
    certificates(other.path());
    let path = folder.path().to_str().unwrap();
    let clients = folder.path().join("clients.pem");
    std::fs::copy(folder.path().join("ca.pem"), &clients).unwrap();
    let receiver = grpc_receiver(&format!(
        "cert_file: {path}/server.pem, key_file: {path}/server.key, \
         client_ca_file: {path}/clients.pem, client_ca_file_reload: true"
    ))
    .await;
    let shown = |from: &Path| {
        let from = from.display();
        format!("ca_file: {path}/ca.pem, cert_file: {from}/client.pem, key_file: {from}/client.key")
    };
    assert!(arrives(&receiver, &shown(folder.path())).await);
    assert!(!arrives(&receiver, &shown(other.path())).await);
    std::fs::copy(other.path().join("ca.pem"), &clients).unwrap();
    tokio::time::sleep(Duration::from_millis(1100)).await;
    assert!(!arrives(&receiver, &shown(folder.path())).await);
    assert!(arrives(&receiver, &shown(other.path())).await);
    assert_eq!(receiver.stop(DRAIN).await.received, 20);
}

#[tokio::test]
async fn a_reload_reads_all_files_of_a_receiver_that_stays_if_it_is_accepted() {
    let (folder, clients) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    certificates(folder.path());
    certificates(clients.path());
    let (path, client) = (folder.path().display(), clients.path().display());
    let sections = grpc_sections(&format!(
        "cert_file: {path}/server.pem, key_file: {path}/server.key, \
         client_ca_file: {client}/ca.pem, client_ca_file_reload: true"
    ));
    let mut receiver = Collector::start(&sections).await;
    std::fs::copy(folder.path().join("ca.pem"), folder.path().join("old.pem")).unwrap();
    let shown = format!("cert_file: {client}/client.pem, key_file: {client}/client.key");
    let (old, new) = (
        format!("ca_file: {path}/old.pem, {shown}"),
        format!("ca_file: {path}/ca.pem, {shown}"),
    );
    certificates(folder.path());
    let refused = sections
        .replace("{nop: }", "{nop: , file: {path: /}}")
        .replace("[nop]", "[nop, file]");
    assert!(!receiver.reload(&refused).await);
    assert!(arrives(&receiver, &old).await);
    assert!(receiver.reload(&sections).await);
    assert!(!arrives(&receiver, &old).await);
    assert!(arrives(&receiver, &new).await);
    assert_eq!(receiver.stop(DRAIN).await.received, 20);
}

#[tokio::test]
async fn clients_read_new_certificates_without_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    certificates(folder.path());
    let path = folder.path().to_str().unwrap();
    let receiver = grpc_receiver(&format!(
        "cert_file: {path}/server.pem, key_file: {path}/server.key, client_ca_file: {path}/ca.pem"
    ))
    .await;
    // The client begins with a certificate that the server does not know.
    let own = tempfile::tempdir().unwrap();
    certificates(own.path());
    let shown = own.path().to_str().unwrap();
    let tls = format!(
        "ca_file: {path}/ca.pem, cert_file: {shown}/client.pem, key_file: {shown}/client.key, \
         reload_interval: 1ms"
    );
    let port = receiver.address("otlp/tls", "grpc").port();
    let sender = sender("otlp_grpc", &format!("localhost:{port}"), &tls).await;
    let send = async || {
        sender.post_traces(traces(0..10).encode_to_vec()).await;
        eventually("it is settled", async || {
            sender.account().totals().queued == 0
        })
        .await;
        sender.account().totals().sent
    };
    assert_eq!(send().await, 0);
    for name in ["client.pem", "client.key"] {
        std::fs::copy(folder.path().join(name), own.path().join(name)).unwrap();
    }
    tokio::time::sleep(Duration::from_millis(10)).await;
    assert_eq!(send().await, 10);
    let account = sender.stop(DRAIN).await;
    assert_eq!(account.totals().dropped_total(), 10);
    assert_eq!(receiver.stop(DRAIN).await.received, 10);
}

#[tokio::test]
async fn it_is_shown_when_certificates_expire() {
    const NAME: &str = "spanmesh_tls_certificate_expiry_timestamp_seconds";
    /// 2040, of all certificates below.
    const FIRST: f64 = 2_208_988_800.0;
    /// 2050.
    const SECOND: f64 = 2_524_608_000.0;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().to_str().unwrap();
    certificates_until(folder.path(), 2040);
    let mut receiver = grpc_receiver(&format!(
        "cert_file: {path}/server.pem, key_file: {path}/server.key, client_ca_file: {path}/ca.pem, \
         reload_interval: 1ms"
    ))
    .await;
    let client = format!(
        "ca_file: {path}/ca.pem, cert_file: {path}/client.pem, key_file: {path}/client.key"
    );
    let sender = sender("otlp_http", "https://localhost:9", &client).await;
    let series = |component: &str, transport: &str, role: &str, file: &str| {
        format!(
            "{NAME}{{component=\"{component}\",transport=\"{transport}\",role=\"{role}\",\
             file=\"{path}/{file}\"}}"
        )
    };
    let server = series("receiver:otlp/tls", "grpc", "certificate", "server.pem");
    let clients = series("receiver:otlp/tls", "grpc", "authority", "ca.pem");
    assert_eq!(receiver.metric(&server).await, FIRST);
    assert_eq!(receiver.metric(&clients).await, FIRST);
    let own = series("exporter:otlp_http", "http", "certificate", "client.pem");
    let authority = series("exporter:otlp_http", "http", "authority", "ca.pem");
    assert_eq!(sender.metric(&own).await, FIRST);
    assert_eq!(sender.metric(&authority).await, FIRST);

    certificates_until(folder.path(), 2050);
    tokio::time::sleep(Duration::from_millis(10)).await;
    assert_eq!(receiver.metric(&server).await, SECOND);
    assert_eq!(receiver.metric(&clients).await, SECOND);
    // What is not read again is still in use.
    assert_eq!(sender.metric(&own).await, FIRST);

    // A receiver that is gone has no certificate.
    let without = "
exporters: {nop: }
service:
  {metrics}
  pipelines:
    traces: {receivers: [otlp], exporters: [nop]}
";
    assert!(receiver.reload(without).await);
    eventually("its last connections have ended", async || {
        !receiver.metrics().await.contains("receiver:otlp/tls")
    })
    .await;
    receiver.stop(DRAIN).await;
    sender.stop(DRAIN).await;
}

#[tokio::test]
async fn both_sides_choose_versions_and_suites() {
    let folder = tempfile::tempdir().unwrap();
    certificates(folder.path());
    let path = folder.path().to_str().unwrap();
    let server = format!("cert_file: {path}/server.pem, key_file: {path}/server.key");
    let client = format!("ca_file: {path}/ca.pem");
    const P256: &str = "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256";
    const CHACHA: &str = "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256";
    let suite = |name: &str| format!("max_version: '1.2', cipher_suites: [{name}]");
    for (on_server, on_client, expected) in [
        (
            "min_version: '1.3'".to_owned(),
            "max_version: '1.3'".to_owned(),
            true,
        ),
        (
            "min_version: 1.3".to_owned(),
            "max_version: 1.2".to_owned(),
            false,
        ),
        (
            "max_version: '1.2'".to_owned(),
            "min_version: '1.3'".to_owned(),
            false,
        ),
        (suite(P256), suite(P256), true),
        (suite(P256), suite(CHACHA), false),
        (
            "curve_preferences: [P256]".to_owned(),
            "curve_preferences: [X25519]".to_owned(),
            false,
        ),
    ] {
        let receiver = grpc_receiver(&format!("{server}, {on_server}")).await;
        let found = arrives(&receiver, &format!("{client}, {on_client}")).await;
        assert_eq!(found, expected, "{on_server} {on_client}");
        receiver.stop(DRAIN).await;
    }
}

#[tokio::test]
async fn certificates_and_keys_can_stand_in_the_configuration() {
    let folder = tempfile::tempdir().unwrap();
    certificates(folder.path());
    let read = |name: &str| {
        let text = std::fs::read_to_string(folder.path().join(name)).unwrap();
        text.replace("\r", "").replace('\n', "\\n")
    };
    let server = format!(
        "cert_pem: \"{}\", key_pem: \"{}\"",
        read("server.pem"),
        read("server.key")
    );
    let receiver = grpc_receiver(&server).await;
    assert!(arrives(&receiver, &format!("ca_pem: \"{}\"", read("ca.pem"))).await);
    receiver.stop(DRAIN).await;
}
