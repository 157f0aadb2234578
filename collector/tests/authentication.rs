//! `bearertokenauth` and `basicauth` between two collectors, over both transports.

mod support;

use std::time::Duration;

use opentelemetry_proto::tonic::collector::trace::v1::trace_service_client::TraceServiceClient;
use prost::Message;
use spanmesh_collector::config::ProcessEnvironment;
use spanmesh_collector::pipeline::DropReason;
use spanmesh_collector::service::Plan;
use spanmesh_otlp::status::{Code, Status};
use support::telemetry::traces;
use support::{Collector, DRAIN, eventually};

/// A collector whose receiver `otlp/closed` demands what the extension `name` knows.
async fn receiver(name: &str, options: &str) -> Collector {
    Collector::start(&format!(
        "
  otlp/closed:
    protocols:
      grpc: {{endpoint: 'localhost:0', auth: {{authenticator: {name}}}}}
      http: {{endpoint: 'localhost:0', auth: {{authenticator: {name}}}}}
extensions:
  {name}: {options}
exporters: {{nop: }}
service:
  {{metrics}}
  extensions: [{name}]
  pipelines:
    traces: {{receivers: [otlp, otlp/closed], exporters: [nop]}}
"
    ))
    .await
}

/// A collector that sends to both ports of a closed receiver and shows what the extension has.
async fn sender(receiver: &Collector, name: &str, options: &str) -> Collector {
    let grpc = receiver.address("otlp/closed", "grpc");
    let http = receiver.address("otlp/closed", "http");
    Collector::start(&format!(
        "
extensions:
  {name}: {options}
exporters:
  otlp_grpc: {{endpoint: '{grpc}', tls: {{insecure: true}}, timeout: 1m, auth: {{authenticator: {name}}}}}
  otlp_http: {{endpoint: 'http://{http}', timeout: 1m, auth: {{authenticator: {name}}}}}
service:
  {{metrics}}
  extensions: [{name}]
  pipelines:
    traces: {{receivers: [otlp], exporters: [otlp_grpc, otlp_http]}}
"
    ))
    .await
}

#[tokio::test]
async fn who_shows_the_right_thing_is_let_in() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("htpasswd");
    let hash = bcrypt::hash("pa:ss", 4).unwrap();
    std::fs::write(&file, format!("user:{hash}\n")).unwrap();
    let users = format!("{{htpasswd: {{file: '{}'}}}}", file.display());
    for (name, server, right, wrong) in [
        (
            "bearertokenauth",
            "{token: right}",
            "{token: right}",
            "{token: wrong}",
        ),
        (
            "bearertokenauth/own",
            "{header: X-Key, scheme: '', tokens: [old, right]}",
            "{header: X-Key, scheme: '', token: right}",
            "{token: right}",
        ),
        (
            "basicauth",
            users.as_str(),
            "{client_auth: {username: user, password: 'pa:ss'}}",
            "{client_auth: {username: user, password: pass}}",
        ),
    ] {
        let receiver = receiver(name, server).await;
        let known = sender(&receiver, name, right).await;
        known.post_traces(traces(0..10).encode_to_vec()).await;
        let account = known.stop(DRAIN).await;
        assert_eq!(account.totals().sent, 20, "{name}");

        let unknown = sender(&receiver, name, wrong).await;
        unknown.post_traces(traces(10..20).encode_to_vec()).await;
        let account = unknown.stop(DRAIN).await;
        assert_eq!(
            account.totals().dropped,
            [(DropReason::Refused, 20)],
            "{name}"
        );

        for transport in ["grpc", "http"] {
            let series = format!(
                "spanmesh_receiver_rejected_requests{{receiver=\"otlp/closed\",\
                 transport=\"{transport}\",signal=\"traces\",reason=\"unauthenticated\"}}"
            );
            assert_eq!(receiver.metric(&series).await, 1.0, "{name}");
        }
        let account = receiver.stop(DRAIN).await;
        assert_eq!(
            (account.received, account.totals().sent),
            (20, 20),
            "{name}"
        );
    }
}

#[tokio::test]
async fn who_is_not_let_in_hears_what_to_show() {
    for (name, options, challenge) in [
        ("bearertokenauth", "{token: right}", "Bearer"),
        ("basicauth", "{htpasswd: {inline: 'a:b'}}", "Basic realm="),
    ] {
        let receiver = receiver(name, options).await;
        let url = format!(
            "http://{}/v1/traces",
            receiver.address("otlp/closed", "http")
        );
        let headers = [("content-type", "application/json")];
        let answer = support::request("POST", &url, &headers, b"{}".to_vec()).await;
        assert_eq!(answer.status, 401);
        let found = answer.headers["www-authenticate"].to_str().unwrap();
        assert!(found.starts_with(challenge), "{found}");
        let status = Status::from_json(&answer.body).unwrap();
        assert_eq!(status.code, Code::Unauthenticated);

        let endpoint = format!("http://{}", receiver.address("otlp/closed", "grpc"));
        let mut client = TraceServiceClient::connect(endpoint).await.unwrap();
        let error = client.export(traces(0..1)).await.unwrap_err();
        assert_eq!(error.code(), tonic::Code::Unauthenticated);
        assert_eq!(receiver.stop(DRAIN).await.received, 0);
    }
}

#[tokio::test]
async fn tokens_follow_their_file_on_both_sides() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str| folder.path().join(name).display().to_string();
    let (server, client) = (file("server"), file("client"));
    std::fs::write(&server, "first\n").unwrap();
    std::fs::write(&client, "first\n").unwrap();
    let options = |file: &str| format!("{{filename: '{file}'}}");
    let receiver = receiver("bearertokenauth", &options(&server)).await;
    let sender = sender(&receiver, "bearertokenauth", &options(&client)).await;
    let post = async |start: u64| {
        sender
            .post_traces(traces(start..start + 1).encode_to_vec())
            .await;
        eventually("it is settled", async || {
            sender.account().totals().queued == 0
        })
        .await;
        sender.account().totals()
    };
    assert_eq!(post(0).await.sent, 2);
    // Both tokens are taken while clients change theirs.
    std::fs::write(&server, "second\nfirst\n").unwrap();
    std::fs::write(&client, "second\n").unwrap();
    tokio::time::sleep(Duration::from_millis(1100)).await;
    assert_eq!(post(1).await.sent, 4);
    std::fs::write(&server, "third\n").unwrap();
    tokio::time::sleep(Duration::from_millis(1100)).await;
    assert_eq!(post(2).await.dropped, [(DropReason::Refused, 2)]);
    let account = sender.stop(DRAIN).await;
    assert_eq!((account.totals().accepted, account.totals().sent), (6, 4));
    assert_eq!(receiver.stop(DRAIN).await.received, 4);
}

#[test]
fn extensions_that_are_not_there_or_do_not_fit_are_problems() {
    let load = |options: &str, enabled: &str| {
        let text = format!(
            "receivers:
  otlp: {{protocols: {{grpc: {{auth: {{authenticator: basicauth}}}}}}}}
extensions:
  basicauth: {options}
exporters:
  otlp_grpc: {{endpoint: 'a:1', auth: {{authenticator: basicauth/other}}}}
service:
  extensions: [{enabled}]
  pipelines: {{traces: {{receivers: [otlp], exporters: [otlp_grpc]}}}}
"
        );
        let files = [("c.yaml".to_owned(), text)];
        Plan::load(&files, &ProcessEnvironment)
            .unwrap_err()
            .to_string()
    };
    let client = "{client_auth: {username: a, password: hidden}}";
    let message = load(client, "basicauth");
    for part in [
        "c.yaml:2:3: receivers::otlp: auth: the extension \"basicauth\" is not configured to check \
         clients",
        "c.yaml:6:3: exporters::otlp_grpc: auth: expected an authentication extension that is \
         listed in \"service::extensions\", but found \"basicauth/other\"",
    ] {
        assert!(message.contains(part), "{part}\nnot in\n{message}");
    }
    let message = load(client, "");
    assert!(
        message.contains("c.yaml:2:3: receivers::otlp: auth: expected an auth"),
        "{message}"
    );
    assert!(!message.contains("hidden"));
}
