use std::time::{Duration, UNIX_EPOCH};

use http::StatusCode;

use super::super::Queue;
use super::*;

const WELL: &str = "\
spanmesh_build_info{version=\"1.2.3\"} 1
otelcol_process_uptime 7300
otelcol_process_memory_rss 50
spanmesh_process_memory_limit_bytes 100
spanmesh_memory_budget_bytes 100
spanmesh_memory_budget_used_bytes 10
spanmesh_exporter_failing{exporter=\"a\"} 0
otelcol_exporter_queue_size{exporter=\"a\"} 1
otelcol_exporter_queue_capacity{exporter=\"a\"} 10
spanmesh_account_accepted_items{exporter=\"a\",signal=\"traces\"} 10
spanmesh_account_recovered_items{exporter=\"a\",signal=\"traces\"} 2
spanmesh_account_sent_items{exporter=\"a\",signal=\"traces\"} 8
spanmesh_account_sampled_out_items{exporter=\"a\",signal=\"traces\"} 1
spanmesh_account_queued_items{exporter=\"a\",signal=\"traces\"} 3
spanmesh_config_last_reload_successful 1
spanmesh_tls_certificate_expiry_timestamp_seconds{component=\"c\",transport=\"grpc\",role=\"certificate\",file=\"f\"} 2000000
";

/// The findings of a collector that showed `WELL` first, and then `WELL` with `changes`.
fn found(changes: &str) -> Vec<String> {
    found_between("", changes)
}

/// The findings of a collector that shows `WELL` with the one and then the other changes: a line takes
/// the place of that with the same name and labels.
fn found_between(before: &str, now: &str) -> Vec<String> {
    let seen = Observation {
        before: Metrics::parse(&changed(before)),
        now: Metrics::parse(&changed(now)),
        health: Ok(Health {
            code: StatusCode::OK,
            body: String::new(),
        }),
        queues: vec![Queue {
            exporter: "a".to_owned(),
            since: "noon".to_owned(),
            message: "cannot connect".to_owned(),
        }],
        at: UNIX_EPOCH + Duration::from_secs(1_000_000),
        certificate_warning: Duration::from_secs(86_400),
    };
    all(&seen).iter().map(ToString::to_string).collect()
}

fn changed(changes: &str) -> String {
    let key = |line: &str| line.rsplit_once(' ').map(|(key, _)| key.to_owned());
    let changed: Vec<_> = changes.lines().map(key).collect();
    let kept = WELL.lines().filter(|line| !changed.contains(&key(line)));
    let text: Vec<_> = kept.chain(changes.lines()).collect();
    text.join("\n")
}

#[test]
fn a_collector_that_is_well_has_no_findings() {
    assert_eq!(found(""), Vec::<String>::new());
    assert_eq!(
        summary(&Metrics::parse(WELL)),
        "version 1.2.3, up 2 hours; accepted 12, sent 8, sampled out 1, dropped 0, waiting 3"
    );
}

#[test]
fn everything_that_is_wrong_is_found() {
    for (changes, expected) in [
        (
            "spanmesh_exporter_failing{exporter=\"a\"} 1",
            "wrong: the destination of exporter \"a\" does not take what it gets since noon: cannot connect",
        ),
        (
            "spanmesh_account_dropped_items{exporter=\"a\",signal=\"traces\",reason=\"too_large\"} 3\n\
             spanmesh_account_queued_items{exporter=\"a\",signal=\"traces\"} 0",
            "wrong: exporter \"a\" has dropped 3 items of traces (too_large), 3 of them just now",
        ),
        (
            "spanmesh_account_sent_items{exporter=\"a\",signal=\"traces\"} 7",
            "wrong: the account of exporter \"a\" for traces is not balanced: 12 came, and 11 are accounted \
             for",
        ),
        (
            "otelcol_receiver_refused_log_records{receiver=\"r\",transport=\"grpc\"} 5",
            "wrong: receiver \"r\" (grpc) refuses: 5 log records just now",
        ),
        (
            "spanmesh_receiver_rejected_requests{receiver=\"r\",transport=\"http\",reason=\"malformed\"} 1",
            "wrong: receiver \"r\" (http) has rejected 1 requests (malformed), 1 of them just now",
        ),
        (
            "spanmesh_storage_size_bytes{exporter=\"a\",signal=\"logs\"} 9\n\
             spanmesh_storage_capacity_bytes{exporter=\"a\",signal=\"logs\"} 10",
            "wrong: the queue on disk of exporter \"a\" for logs is 90 % full",
        ),
        (
            "spanmesh_memory_budget_used_bytes 85",
            "wrong: 85 % of the memory for payloads is used",
        ),
        (
            "otelcol_process_memory_rss 95",
            "wrong: the process takes up 95 % of the memory that it may have",
        ),
        (
            "spanmesh_config_last_reload_successful 0",
            "wrong: the configuration was refused when it was last read, and a former one runs on",
        ),
    ] {
        let findings = found(changes);
        let [finding] = findings.as_slice() else {
            panic!("{changes}: {findings:?}");
        };
        assert_eq!(finding.lines().next().unwrap().trim(), expected);
    }
}

#[test]
fn a_queue_is_nearly_full_if_it_stays_so() {
    let full = "otelcol_exporter_queue_size{exporter=\"a\"} 8";
    assert_eq!(found_between("", full), Vec::<String>::new());
    assert_eq!(found_between(full, ""), Vec::<String>::new());
    let [finding] = &*found_between(full, full) else {
        panic!("expected one finding");
    };
    assert!(
        finding.contains("wrong: the queue of exporter \"a\" is 80 % full"),
        "{finding}"
    );
}

#[test]
fn what_was_dropped_once_is_told_but_not_wrong() {
    let dropped = "\
        spanmesh_account_dropped_items{exporter=\"a\",signal=\"traces\",reason=\"too_large\"} 3\n\
        spanmesh_account_queued_items{exporter=\"a\",signal=\"traces\"} 0";
    let [finding] = &*found_between(dropped, dropped) else {
        panic!("expected one finding");
    };
    let told =
        "note: exporter \"a\" has dropped 3 items of traces (too_large), none of them just now";
    assert!(finding.contains(told), "{finding}");
}

#[test]
fn certificates_are_told_of_before_they_end() {
    let p = |end: u64| {
        found(&format!(
            "spanmesh_tls_certificate_expiry_timestamp_seconds{{component=\"c\",transport=\"grpc\",\
             role=\"certificate\",file=\"f\"}} {end}"
        ))
    };
    assert_eq!(p(1_086_400), Vec::<String>::new());
    let soon = "wrong: the certificate in f of c (grpc) expires in 23 hours";
    assert!(p(1_086_399)[0].contains(soon), "{:?}", p(1_086_399));
    let over = "wrong: the certificate in f of c (grpc) expired 50 seconds ago";
    assert!(p(999_950)[0].contains(over), "{:?}", p(999_950));
}

#[test]
fn an_unready_collector_says_what_it_does() {
    let p = |code: u16, body: &str| {
        let code = StatusCode::from_u16(code).unwrap();
        let body = body.to_owned();
        health(&Health { code, body }).map(|finding| finding.to_string())
    };
    assert_eq!(p(200, ""), None);
    let starting = p(503, "{\"status\": \"StatusStarting\"}").unwrap();
    assert!(
        starting.contains("not ready: it answers 503, StatusStarting"),
        "{starting}"
    );
    let ill = p(500, "no JSON").unwrap();
    assert!(ill.contains("not healthy"), "{ill}");
}
