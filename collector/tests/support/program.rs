//! The program itself, as a process of its own.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;
use std::time::{Duration, Instant};

use super::PATIENCE;

const PROGRAM: &str = env!("CARGO_BIN_EXE_spanmesh-collector");

/// A running program, killed if the test ends early.
pub struct Running {
    pub child: Child,
    log: Receiver<String>,
    pub lines: Vec<String>,
}

impl Running {
    pub fn start(config: &Path) -> Self {
        Self::start_with(config, &[])
    }

    pub fn start_with(config: &Path, more: &[&str]) -> Self {
        let mut child = Command::new(PROGRAM)
            .args(["--drain-timeout", "1", "--config"])
            .arg(config)
            .args(more)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let log = BufReader::new(child.stderr.take().unwrap());
        let (lines, received) = channel();
        thread::spawn(move || log.lines().try_for_each(|line| lines.send(line.unwrap())));
        let mut running = Self {
            child,
            log: received,
            lines: Vec::new(),
        };
        while !running.next_line().contains(" ready ") {}
        running
    }

    /// Waits for another line of the log, but not for ever.
    pub fn next_line(&mut self) -> String {
        let line = self.log.recv_timeout(PATIENCE).unwrap_or_else(|error| {
            let what = match error {
                RecvTimeoutError::Timeout => "nothing more is logged",
                RecvTimeoutError::Disconnected => "the log ended",
            };
            panic!("{what}: {:#?}", self.lines)
        });
        self.lines.push(line.clone());
        line
    }

    /// The address in the first line of the log that holds `text`.
    pub fn address(&self, text: &str) -> SocketAddr {
        let line = self.lines.iter().find(|line| line.contains(text)).unwrap();
        let (_, address) = line.rsplit_once("address=").unwrap();
        address.parse().unwrap()
    }

    pub fn signal(&self, name: &str) {
        signal(self.child.id(), name);
    }

    /// Waits for the end; returns the exit code, the output and the rest of the log.
    pub fn end(mut self) -> (Option<i32>, String, String) {
        let status = self.exit_status();
        let mut output = String::new();
        let mut stdout = self.child.stdout.take().unwrap();
        stdout.read_to_string(&mut output).unwrap();
        let rest: String = self.log.iter().map(|line| line + "\n").collect();
        (status.code(), output, rest)
    }

    /// Waits for the end of the process, but not for what it has written.
    pub fn exit_status(&mut self) -> ExitStatus {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            if Instant::now() > deadline {
                let rest: Vec<String> = self.log.try_iter().collect();
                panic!("it does not end: {:#?} {rest:#?}", self.lines);
            }
            thread::sleep(Duration::from_millis(10));
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It has ended already unless the test failed.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A configuration in a file.
pub fn config(text: &str) -> tempfile::NamedTempFile {
    let mut file = tempfile::NamedTempFile::with_suffix(".yaml").unwrap();
    file.write_all(text.as_bytes()).unwrap();
    file
}

/// The program, to be run to its end by [`output`].
pub fn program(arguments: &[&str]) -> Command {
    let mut command = Command::new(PROGRAM);
    command.args(arguments);
    command
}

/// Runs the program to its end.
pub fn run(arguments: &[&str]) -> Output {
    output(&mut program(arguments))
}

/// Runs a command to its end, for which it has [`PATIENCE`].
pub fn output(command: &mut Command) -> Output {
    let child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let pid = child.id();
    let (ended, output) = channel();
    // Nobody listens any more if it was too late.
    thread::spawn(move || ended.send(child.wait_with_output()));
    let Ok(output) = output.recv_timeout(PATIENCE) else {
        signal(pid, "KILL");
        panic!("it does not end: {command:?}")
    };
    output.unwrap()
}

fn signal(pid: u32, name: &str) {
    let status = Command::new("kill")
        .args(["-s", name, &pid.to_string()])
        .status()
        .unwrap();
    assert!(status.success());
}

/// Waits until something is so; see [`PATIENCE`].
pub fn eventually(what: &str, mut check: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !check() {
        assert!(
            Instant::now() < deadline,
            "not so within {PATIENCE:?}: {what}"
        );
        thread::sleep(Duration::from_millis(10));
    }
}

pub fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// A request over HTTP/1.1; returns the whole answer.
pub fn http(address: SocketAddr, head: &str, body: &str) -> String {
    text(&http_bytes(address, head, body))
}

pub fn http_bytes(address: SocketAddr, head: &str, body: &str) -> Vec<u8> {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let length = body.len();
    write!(
        stream,
        "{head} HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-type: application/json\r\n\
         content-length: {length}\r\n\r\n{body}"
    )
    .unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    answer
}
