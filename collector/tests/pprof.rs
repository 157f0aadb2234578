//! Profiles of the program itself, read as `github.com/google/pprof/proto/profile.proto` says.

mod support;

use std::io::Read;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use flate2::read::MultiGzDecoder;
use prost::Message;
use support::program::{Running, config, eventually, http, http_bytes};
use support::telemetry::traces;

const CONFIG: &str = "
receivers:
  otlp:
    protocols:
      http: {endpoint: '127.0.0.1:0'}
exporters:
  otlp_http: {endpoint: 'http://127.0.0.1:9'}
extensions:
  pprof: {endpoint: '127.0.0.1:0'}
service:
  extensions: [pprof]
  telemetry: {metrics: {level: none}}
  pipelines:
    traces: {receivers: [otlp], exporters: [otlp_http]}
";

/// The parts of a profile that are looked at.
#[derive(Clone, PartialEq, Message)]
struct Profile {
    #[prost(message, repeated, tag = "1")]
    sample_type: Vec<ValueType>,
    #[prost(message, repeated, tag = "2")]
    sample: Vec<Sample>,
    #[prost(message, repeated, tag = "5")]
    function: Vec<Function>,
    #[prost(string, repeated, tag = "6")]
    strings: Vec<String>,
    #[prost(int64, tag = "10")]
    duration_nanos: i64,
}

#[derive(Clone, PartialEq, Message)]
struct ValueType {
    #[prost(int64, tag = "1")]
    name: i64,
    #[prost(int64, tag = "2")]
    unit: i64,
}

#[derive(Clone, PartialEq, Message)]
struct Sample {
    #[prost(int64, repeated, tag = "2")]
    value: Vec<i64>,
}

#[derive(Clone, PartialEq, Message)]
struct Function {
    #[prost(int64, tag = "2")]
    name: i64,
}

impl Profile {
    fn get(address: SocketAddr, path: &str) -> Self {
        let answer = http_bytes(address, &format!("GET {path}"), "");
        let end = answer
            .windows(4)
            .position(|four| four == b"\r\n\r\n")
            .unwrap();
        let (head, body) = answer.split_at(end + 4);
        let head = String::from_utf8_lossy(head);
        assert!(
            head.starts_with("HTTP/1.1 200"),
            "{head}{}",
            String::from_utf8_lossy(body)
        );
        let mut bytes = Vec::new();
        MultiGzDecoder::new(body).read_to_end(&mut bytes).unwrap();
        Self::decode(bytes.as_slice()).unwrap()
    }

    /// What samples count, and in what unit.
    fn counts(&self) -> (&str, &str) {
        let [of] = self.sample_type.as_slice() else {
            panic!("{:?}", self.sample_type);
        };
        (
            &self.strings[of.name as usize],
            &self.strings[of.unit as usize],
        )
    }

    fn total(&self) -> i64 {
        self.sample.iter().map(|sample| sample.value[0]).sum()
    }

    fn knows(&self, part: &str) -> bool {
        let mut names = self.function.iter();
        names.any(|function| self.strings[function.name as usize].contains(part))
    }
}

#[test]
fn the_cpu_is_watched_while_a_profile_is_taken() {
    let file = config(CONFIG);
    let running = Running::start(file.path());
    let pprof = running.address("extension=\"pprof\"");
    let otlp = running.address("transport=\"http\"");
    // The first one takes longer, since it reads what stacks are unwound with.
    Profile::get(pprof, "/debug/pprof/profile?seconds=1");
    let busy = Arc::new(AtomicBool::new(true));
    let load = std::thread::spawn({
        let busy = busy.clone();
        let body = format!(r#"{{"resourceSpans":[{}{{}}]}}"#, "{},".repeat(20_000));
        move || {
            while busy.load(Ordering::Relaxed) {
                assert!(http(otlp, "POST /v1/traces", &body).starts_with("HTTP/1.1 200"));
            }
        }
    });
    let profile = Profile::get(pprof, "/debug/pprof/profile?seconds=2");
    assert_eq!(profile.counts(), ("cpu", "nanoseconds"));
    assert!(profile.duration_nanos >= 2_000_000_000);
    assert!(profile.total() > 0);
    assert!(profile.knows("spanmesh"), "{:?}", profile.strings);
    busy.store(false, Ordering::Relaxed);
    load.join().unwrap();
    // It can be taken again, but not twice at the same time.
    let mut answers = taken_at_once(pprof);
    eventually("one of them is refused", || {
        let refused = answers.iter().any(|answer| answer.contains("HTTP/1.1 409"));
        if !refused {
            // Each was taken, so the second one came after the three seconds of the first.
            answers = taken_at_once(pprof);
        }
        refused
    });
    let have = |part: &str| {
        answers
            .iter()
            .filter(|answer| answer.contains(part))
            .count()
    };
    assert_eq!((have("HTTP/1.1 200"), have("HTTP/1.1 409")), (1, 1));
    assert_eq!(have("a CPU profile is being taken already"), 1);
    let wrong = http(pprof, "GET /debug/pprof/profile?seconds=x", "");
    assert!(wrong.starts_with("HTTP/1.1 400"), "{wrong}");
    running.signal("TERM");
    assert_eq!(running.end().0, Some(0));
}

#[test]
fn the_heap_shows_what_waits() {
    let file = config(CONFIG);
    let running = Running::start(file.path());
    let pprof = running.address("extension=\"pprof\"");
    let otlp = running.address("transport=\"http\"");
    let empty = Profile::get(pprof, "/debug/pprof/heap");
    assert_eq!(empty.counts(), ("inuse_space", "bytes"));
    // Nobody takes them, so they wait in memory.
    let body = traces(0..20_000).encode_to_vec();
    let address = otlp.to_string();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    for _ in 0..10 {
        let url = format!("http://{address}/v1/traces");
        let headers = [("content-type", "application/x-protobuf")];
        let answer = support::request("POST", &url, &headers, body.clone());
        assert_eq!(runtime.block_on(answer).status, 200);
    }
    let full = Profile::get(pprof, "/debug/pprof/heap");
    let (before, after) = (empty.total(), full.total());
    let waiting = 10 * body.len() as i64;
    assert!(
        after - before > waiting / 2,
        "{before} and {after}, with {waiting}"
    );
    assert!(full.knows("spanmesh_collector"), "{:?}", full.strings);
    let index = http(pprof, "GET /debug/pprof/", "");
    assert!(index.contains("/debug/pprof/heap"), "{index}");
    assert!(http(pprof, "GET /debug/pprof/cmdline", "").starts_with("HTTP/1.1 404"));
}

/// The answers to two who ask for a profile.
fn taken_at_once(pprof: SocketAddr) -> [String; 2] {
    let both = [(); 2].map(|()| {
        std::thread::spawn(move || http_bytes(pprof, "GET /debug/pprof/profile?seconds=3", ""))
    });
    both.map(|answer| String::from_utf8_lossy(&answer.join().unwrap()).into_owned())
}

/// Returns when the whole time is watched, which begins as soon as the collector is ready.
fn until_busy(pprof: SocketAddr) {
    eventually("the CPU is watched", || {
        let answer = http_bytes(pprof, "GET /debug/pprof/profile?seconds=1", "");
        let busy = answer.starts_with(b"HTTP/1.1 409");
        if !busy {
            // This was taken in its place, which it looks for ten times a second.
            std::thread::sleep(Duration::from_millis(500));
        }
        busy
    });
}

#[test]
fn a_reload_goes_on_watching_the_whole_time() {
    let folder = tempfile::tempdir().unwrap();
    let [first, second] = ["first.pb.gz", "second.pb.gz"].map(|name| folder.path().join(name));
    let text = |path: &Path| {
        let options = format!("endpoint: '127.0.0.1:0', save_to_file: {}", path.display());
        CONFIG.replace(
            "endpoint: '127.0.0.1:0'}\nservice",
            &format!("{options}}}\nservice"),
        )
    };
    let file = config(&text(&first));
    let mut running = Running::start(file.path());
    let pprof = running.address("extension=\"pprof\"");
    until_busy(pprof);
    // What is there already is left alone by a configuration that does not run.
    std::fs::write(&second, "kept").unwrap();
    let wrong = "exporters:\n  file: {path: /}";
    let refused = text(&second)
        .replace("exporters:", wrong)
        .replace("[otlp_http]", "[file]");
    for (text, expected) in [
        (refused, "the former configuration runs on"),
        (text(&second), "the new configuration runs"),
    ] {
        std::fs::write(file.path(), text).unwrap();
        running.signal("HUP");
        let mut line = running.next_line();
        while !line.contains(" configuration runs") {
            line = running.next_line();
        }
        assert!(line.contains(expected), "{line}");
        if expected.contains("former") {
            assert_eq!(std::fs::read_to_string(&second).unwrap(), "kept");
        }
    }
    // Said before or after the new configuration runs.
    let is_saved = |line: &String| line.contains("saved the CPU profile");
    while !running.lines.iter().any(is_saved) {
        running.next_line();
    }
    until_busy(pprof);
    running.signal("TERM");
    assert_eq!(running.end().0, Some(0));
    for path in [first, second] {
        let mut bytes = Vec::new();
        MultiGzDecoder::new(std::fs::File::open(&path).unwrap())
            .read_to_end(&mut bytes)
            .unwrap();
        let profile = Profile::decode(bytes.as_slice()).unwrap();
        assert_eq!(profile.counts(), ("cpu", "nanoseconds"));
    }
}

#[test]
fn the_whole_time_can_be_saved() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("cpu.pb.gz");
    let options = format!("endpoint: '127.0.0.1:0', save_to_file: {}", path.display());
    let file = config(&CONFIG.replace(
        "endpoint: '127.0.0.1:0'}\nservice",
        &format!("{options}}}\nservice"),
    ));
    let running = Running::start(file.path());
    let pprof = running.address("extension=\"pprof\"");
    until_busy(pprof);
    running.signal("TERM");
    assert_eq!(running.end().0, Some(0));
    let mut bytes = Vec::new();
    MultiGzDecoder::new(std::fs::File::open(&path).unwrap())
        .read_to_end(&mut bytes)
        .unwrap();
    let profile = Profile::decode(bytes.as_slice()).unwrap();
    assert_eq!(profile.counts(), ("cpu", "nanoseconds"));
}
