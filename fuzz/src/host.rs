//! A proxy whose every answer may be spoiled, as the fuzzer's bytes say.
//!
//! Honest answers are Envoy's. A spoiled one has another status, another size, or bytes of the
//! fuzzer. Whatever the proxy says, what the filter asks of it has to be right: each header that it
//! sets is one of its own and legal, and each message that it sends is valid OTLP.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::time::Duration;

use arbitrary::Unstructured;
use spanmesh_filter::fuzzing::evaluate;
use spanmesh_filter::host::{
    CallToken, DispatchError, Expression, ExpressionError, GrpcCall, Host, HttpCall, Metric,
    MetricKind, SharedDataError,
};
use spanmesh_filter::pairs::{self, Pairs};
use spanmesh_otlp::Signal;
use spanmesh_trace_context::header;

/// By their paths, with dots.
pub(crate) type Properties = HashMap<String, Vec<u8>>;

/// A header map.
pub type Headers = Vec<(Vec<u8>, Vec<u8>)>;

/// When the clocks start: 2026-11-21T09:30:00Z.
const START: u64 = 1_795_253_400_000_000_000;

/// A call that was started.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Call {
    pub(crate) token: CallToken,
    pub(crate) is_http: bool,
}

/// A proxy, and what it knows of the stream that is being played.
#[derive(Debug)]
pub struct FuzzHost<'a> {
    input: RefCell<Unstructured<'a>>,
    /// Of 256 answers so many are spoiled.
    malice: u8,
    pub(crate) now: Cell<u64>,
    pub(crate) uptime: Cell<u64>,
    pub(crate) headers: RefCell<Headers>,
    pub(crate) properties: RefCell<Properties>,
    expressions: RefCell<Vec<String>>,
    /// The calls that were started and not answered.
    pub(crate) calls: RefCell<Vec<Call>>,
    started: Cell<u32>,
    metrics: RefCell<Vec<(String, i64)>>,
    shared: RefCell<HashMap<String, (Vec<u8>, u32)>>,
}

impl FuzzHost<'static> {
    /// A proxy that spoils nothing.
    pub fn honest() -> Self {
        Self::new(Unstructured::new(&[]), 0)
    }
}

impl<'a> FuzzHost<'a> {
    /// A proxy that spoils its answers by `input`, `malice` of 256.
    pub fn new(input: Unstructured<'a>, malice: u8) -> Self {
        Self {
            input: RefCell::new(input),
            malice,
            now: Cell::new(START),
            uptime: Cell::new(0),
            headers: RefCell::default(),
            properties: RefCell::default(),
            expressions: RefCell::default(),
            calls: RefCell::default(),
            started: Cell::new(0),
            metrics: RefCell::default(),
            shared: RefCell::default(),
        }
    }

    /// The next number of the input; 0 at its end.
    pub(crate) fn byte(&self) -> u8 {
        self.input.borrow_mut().arbitrary().unwrap_or(0)
    }

    /// Bytes of the input, at most 255.
    pub(crate) fn bytes(&self) -> Vec<u8> {
        let size = usize::from(self.byte());
        let mut input = self.input.borrow_mut();
        let size = size.min(input.len());
        input.bytes(size).unwrap_or_default().to_vec()
    }

    /// Whether the input is used up.
    pub(crate) fn is_at_end(&self) -> bool {
        self.input.borrow().is_empty()
    }

    /// The sum of what was added to a metric, over all that have this name.
    pub(crate) fn metric(&self, name: &str) -> i64 {
        let metrics = self.metrics.borrow();
        let found = metrics.iter().filter(|(found, _)| found == name);
        found.map(|(_, value)| value).sum()
    }

    pub(crate) fn advance(&self, duration: Duration) {
        let nanos = duration.as_nanos() as u64;
        self.now.set(self.now.get().saturating_add(nanos));
        self.uptime.set(self.uptime.get().saturating_add(nanos));
    }

    fn spoils(&self) -> bool {
        self.malice > 0 && self.byte() < self.malice
    }

    /// Starts a call, whose message has to be a request that carries something.
    fn start(
        &self,
        signal: Signal,
        message: &[u8],
        is_http: bool,
    ) -> Result<CallToken, DispatchError> {
        let counts = spanmesh_otlp::check(signal, message);
        assert!(
            matches!(&counts, Ok(counts) if counts.items > 0),
            "{counts:?}"
        );
        let token = if self.spoils() {
            match self.byte() {
                0..64 => return Err(DispatchError::Failed),
                64..128 => return Err(DispatchError::UnknownCluster),
                token => u32::from(token) - 128,
            }
        } else {
            self.started.set(self.started.get() + 1);
            self.started.get()
        };
        let token = CallToken(token);
        self.calls.borrow_mut().push(Call { token, is_http });
        Ok(token)
    }

    /// What a buffer of so many bytes holds.
    fn buffer(&self, size: usize) -> Vec<u8> {
        let mut bytes = self.bytes();
        if !self.spoils() {
            bytes.truncate(size);
        }
        bytes
    }
}

impl Host for FuzzHost<'_> {
    fn wall_clock(&self) -> u64 {
        if self.spoils() {
            u64::from_le_bytes([0; 8].map(|_: u8| self.byte()))
        } else {
            self.now.get()
        }
    }

    fn monotonic_clock(&self) -> u64 {
        if self.spoils() {
            u64::from_le_bytes([0; 8].map(|_: u8| self.byte()))
        } else {
            self.uptime.get()
        }
    }

    fn request_headers(&self) -> Pairs {
        if self.spoils() {
            return Pairs::new(self.bytes());
        }
        let mut bytes = pairs::encode(&self.headers.borrow());
        if self.spoils() {
            bytes.truncate(usize::from(self.byte()));
        }
        Pairs::new(bytes)
    }

    fn request_header(&self, name: &str) -> Option<Vec<u8>> {
        if self.spoils() {
            return Some(self.bytes());
        }
        let headers = self.headers.borrow();
        let found = headers.iter().find(|(found, _)| found == name.as_bytes());
        found.map(|(_, value)| value.clone())
    }

    fn set_request_header(&self, name: &str, value: &[u8]) {
        assert!(header::ALL.contains(&name), "{name} is not ours to set");
        let is_legal = |byte: &u8| matches!(byte, b' '..=b'~' | b'\t');
        assert!(value.iter().all(is_legal), "{name}: {value:?}");
        if self.spoils() {
            return;
        }
        let mut headers = self.headers.borrow_mut();
        match headers
            .iter_mut()
            .find(|(found, _)| found == name.as_bytes())
        {
            Some((_, place)) => *place = value.to_vec(),
            None => headers.push((name.as_bytes().to_vec(), value.to_vec())),
        }
    }

    fn remove_request_header(&self, name: &str) {
        let is_ours = header::ALL.contains(&name) || name == header::BAGGAGE;
        assert!(is_ours, "{name} is not ours to remove");
        if !self.spoils() {
            let mut headers = self.headers.borrow_mut();
            headers.retain(|(found, _)| found != name.as_bytes());
        }
    }

    fn property(&self, path: &[&str]) -> Option<Vec<u8>> {
        if self.spoils() {
            return Some(self.bytes());
        }
        self.properties.borrow().get(&path.join(".")).cloned()
    }

    fn create_expression(&self, text: &str) -> Result<Expression, ExpressionError> {
        if self.spoils() {
            return match self.byte() % 3 {
                0 => Err(ExpressionError::Unsupported),
                1 => Err(ExpressionError::Invalid),
                token => Ok(Expression(u32::from(token))),
            };
        }
        let mut expressions = self.expressions.borrow_mut();
        expressions.push(text.to_owned());
        Ok(Expression(expressions.len() as u32 - 1))
    }

    fn evaluate(&self, expression: Expression) -> Option<Vec<u8>> {
        if self.spoils() {
            return (self.byte() > 64).then(|| self.bytes());
        }
        let expressions = self.expressions.borrow();
        let text = expressions.get(expression.0 as usize)?;
        // What is not the filter's own text is a condition, or fails.
        let properties = self.properties.borrow();
        let value = evaluate(&|path| properties.get(path).cloned(), text);
        value.or_else(|| Some(vec![self.byte() & 1]))
    }

    fn grpc_call(&self, call: &GrpcCall<'_>) -> Result<CallToken, DispatchError> {
        let signal = Signal::all()
            .into_iter()
            .find(|signal| signal.grpc_service() == call.service)
            .expect("a service of OTLP");
        self.start(signal, call.message, false)
    }

    fn http_call(&self, call: &HttpCall<'_>) -> Result<CallToken, DispatchError> {
        let (_, path) = call
            .headers
            .iter()
            .find(|(name, _)| *name == ":path")
            .expect("a path");
        let signal = Signal::all()
            .into_iter()
            .find(|signal| path.ends_with(signal.http_path()))
            .expect("a path of OTLP");
        self.start(signal, call.body, true)
    }

    fn grpc_message(&self, size: usize) -> Vec<u8> {
        self.buffer(size)
    }

    fn http_response_headers(&self) -> Pairs {
        if self.spoils() {
            return Pairs::new(self.bytes());
        }
        let status: &[u8] = match self.byte() % 8 {
            0 => b"429",
            1 => b"503",
            2 => b"400",
            3 => b"",
            _ => b"200",
        };
        let mut headers = vec![(b":status".to_vec(), status.to_vec())];
        if self.byte() & 1 == 0 {
            headers.push((b"retry-after".to_vec(), self.bytes()));
        }
        Pairs::new(pairs::encode(&headers))
    }

    fn http_response_body(&self, size: usize) -> Vec<u8> {
        self.buffer(size)
    }

    fn set_tick_period(&self, period: Duration) {
        assert!(!period.is_zero(), "a period of 0 stops the ticks");
    }

    fn done(&self) {}

    fn define_metric(&self, _kind: MetricKind, name: &str) -> Option<Metric> {
        if self.spoils() {
            return None;
        }
        let mut metrics = self.metrics.borrow_mut();
        metrics.push((name.to_owned(), 0));
        Some(Metric(metrics.len() as u32 - 1))
    }

    fn add_to_metric(&self, metric: Metric, delta: i64) {
        let mut metrics = self.metrics.borrow_mut();
        let (_, value) = metrics
            .get_mut(metric.0 as usize)
            .expect("a metric that was defined");
        *value += delta;
    }

    fn record_metric(&self, metric: Metric, _value: u64) {
        let defined = self.metrics.borrow().len();
        assert!(
            (metric.0 as usize) < defined,
            "a metric that was not defined"
        );
    }

    fn shared_data(&self, key: &str) -> Option<(Vec<u8>, u32)> {
        if self.spoils() {
            return (self.byte() > 64).then(|| (self.bytes(), u32::from(self.byte())));
        }
        self.shared.borrow().get(key).cloned()
    }

    fn set_shared_data(
        &self,
        key: &str,
        value: &[u8],
        version: u32,
    ) -> Result<(), SharedDataError> {
        if self.spoils() {
            return Err(match self.byte() & 1 {
                0 => SharedDataError::Changed,
                _ => SharedDataError::Failed,
            });
        }
        let mut shared = self.shared.borrow_mut();
        let found = shared.get(key).map_or(0, |(_, version)| *version);
        if version != 0 && version != found {
            return Err(SharedDataError::Changed);
        }
        shared.insert(key.to_owned(), (value.to_vec(), found + 1));
        Ok(())
    }
}
