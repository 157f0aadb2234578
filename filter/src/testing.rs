//! A scripted proxy for the tests, and the independent decoding of what the filter sends.

pub(crate) mod cel;

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};
use opentelemetry_proto::tonic::logs::v1::LogRecord;
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message;

use crate::config::{Config, Environment};
use crate::export::Budget;
use crate::host::{
    Answer, CallToken, DispatchError, Expression, ExpressionError, GrpcCall, Host, HttpCall,
    Metric, MetricKind, SharedDataError,
};
use crate::http::Http;
use crate::pairs::Pairs;
use crate::pairs::tests::pairs;
use crate::random::Random;
use crate::root::{Root, Worker};

/// When the scripted proxy's clock starts: 2026-11-21T09:30:00Z.
pub(crate) const START: u64 = 1_795_253_400_000_000_000;

/// A proxy whose answers a test sets and whose calls it reads.
#[derive(Debug)]
pub(crate) struct FakeHost {
    pub(crate) now: Cell<u64>,
    uptime: Cell<u64>,
    /// Whether it has `expr_create`.
    pub(crate) has_cel: Cell<bool>,
    expressions: RefCell<Vec<String>>,
    pub(crate) headers: RefCell<Vec<(Vec<u8>, Vec<u8>)>>,
    /// How often a single header was asked for.
    pub(crate) header_calls: Cell<usize>,
    pub(crate) properties: RefCell<HashMap<String, Vec<u8>>>,
    /// Why a call cannot be started, if it cannot.
    pub(crate) dispatch_error: Cell<Option<DispatchError>>,
    /// The calls that were started, oldest first.
    pub(crate) calls: RefCell<Vec<Call>>,
    /// The message, or the body, of the answer that is delivered.
    pub(crate) response: RefCell<Vec<u8>>,
    pub(crate) response_headers: RefCell<Vec<(&'static str, &'static str)>>,
    /// What histograms got, by their names.
    pub(crate) recorded: RefCell<Vec<(String, u64)>>,
    pub(crate) tick_period: Cell<Option<Duration>>,
    pub(crate) done: Cell<bool>,
    metrics: RefCell<Vec<(String, i64)>>,
    shared: RefCell<HashMap<String, (Vec<u8>, u32)>>,
    pub(crate) shared_data_calls: Cell<usize>,
    /// What conditions come to, by their texts; others fail.
    pub(crate) conditions: RefCell<HashMap<String, bool>>,
    /// What other expressions come to, by their texts, each as the list of its type and its value;
    /// others fail.
    pub(crate) values: RefCell<HashMap<String, Vec<Vec<u8>>>>,
    /// The expressions that were evaluated, oldest first.
    pub(crate) evaluated: RefCell<Vec<String>>,
}

/// A call that was started.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    pub(crate) cluster: String,
    /// Of a gRPC call, the service; of an HTTP call, the path.
    pub(crate) service: String,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) message: Vec<u8>,
}

/// A request to be played.
#[derive(Clone, Debug)]
pub(crate) struct Script<'a> {
    pub(crate) headers: Vec<(&'a str, &'a str)>,
    /// Properties at the end of the stream, by their dotted paths, encoded.
    pub(crate) properties: Vec<(&'a str, Vec<u8>)>,
}

impl Call {
    fn is_of(&self, grpc_service: &str, http_path: &str) -> bool {
        self.service.ends_with(grpc_service) || self.service == http_path
    }
}

impl Default for FakeHost {
    fn default() -> Self {
        Self {
            now: Cell::new(START),
            uptime: Cell::default(),
            has_cel: Cell::default(),
            expressions: RefCell::default(),
            headers: RefCell::default(),
            header_calls: Cell::default(),
            properties: RefCell::default(),
            dispatch_error: Cell::default(),
            calls: RefCell::default(),
            response: RefCell::default(),
            response_headers: RefCell::default(),
            recorded: RefCell::default(),
            tick_period: Cell::default(),
            done: Cell::default(),
            metrics: RefCell::default(),
            shared: RefCell::default(),
            shared_data_calls: Cell::default(),
            conditions: RefCell::default(),
            values: RefCell::default(),
            evaluated: RefCell::default(),
        }
    }
}

impl FakeHost {
    /// The value of a stat, by its name without `spanmesh.`.
    pub(crate) fn stat(&self, name: &str) -> i64 {
        let name = format!("spanmesh.{name}");
        let metrics = self.metrics.borrow();
        let found = metrics.iter().find(|(found, _)| *found == name);
        found.unwrap_or_else(|| panic!("no stat {name}")).1
    }

    /// Every stat that is not zero.
    pub(crate) fn stats(&self) -> BTreeMap<String, i64> {
        let metrics = self.metrics.borrow();
        metrics
            .iter()
            .filter(|(_, value)| *value != 0)
            .map(|(name, value)| (name.trim_start_matches("spanmesh.").to_owned(), *value))
            .collect()
    }

    pub(crate) fn set_header(&self, name: &str, value: &str) {
        self.headers
            .borrow_mut()
            .push((name.as_bytes().to_vec(), value.as_bytes().to_vec()));
    }

    /// The values of a request header.
    pub(crate) fn header(&self, name: &str) -> Vec<String> {
        let headers = self.headers.borrow();
        let values = headers.iter().filter(|(found, _)| found == name.as_bytes());
        values
            .map(|(_, value)| String::from_utf8(value.clone()).unwrap())
            .collect()
    }

    pub(crate) fn set_property(&self, path: &str, value: &[u8]) {
        self.properties
            .borrow_mut()
            .insert(path.to_owned(), value.to_vec());
    }

    pub(crate) fn advance(&self, duration: Duration) {
        let nanos = duration.as_nanos() as u64;
        self.now.set(self.now.get() + nanos);
        self.uptime.set(self.uptime.get() + nanos);
    }

    /// A second later, a tick.
    pub(crate) fn tick(&self, root: &mut Root) {
        self.advance(Duration::from_secs(1));
        root.on_tick(self);
    }

    /// The spans of all calls that were started.
    pub(crate) fn spans(&self) -> Vec<Span> {
        let calls = self.calls.borrow();
        let traces = calls
            .iter()
            .filter(|call| call.is_of("TraceService", "/v1/traces"));
        traces
            .map(|call| ExportTraceServiceRequest::decode(call.message.as_slice()).unwrap())
            .flat_map(|request| request.resource_spans)
            .flat_map(|resource| resource.scope_spans)
            .flat_map(|scope| scope.spans)
            .collect()
    }

    /// The log records of all calls that were started.
    pub(crate) fn logs(&self) -> Vec<LogRecord> {
        let calls = self.calls.borrow();
        let logs = calls
            .iter()
            .filter(|call| call.is_of("LogsService", "/v1/logs"));
        logs.map(|call| ExportLogsServiceRequest::decode(call.message.as_slice()).unwrap())
            .flat_map(|request| request.resource_logs)
            .flat_map(|resource| resource.scope_logs)
            .flat_map(|scope| scope.log_records)
            .collect()
    }

    /// Answers every call that was started, and those that this starts, with OK.
    pub(crate) fn acknowledge_all(&self, root: &mut Root) {
        let mut token = 0;
        while token < self.calls.borrow().len() {
            root.on_answer(self, CallToken(token as u32), Answer::GrpcStatus(0));
            token += 1;
        }
    }

    fn start_call(
        &self,
        cluster: &str,
        service: &str,
        headers: &[(&str, &str)],
        message: &[u8],
    ) -> Result<CallToken, DispatchError> {
        if let Some(error) = self.dispatch_error.get() {
            return Err(error);
        }
        let mut calls = self.calls.borrow_mut();
        calls.push(Call {
            cluster: cluster.to_owned(),
            service: service.to_owned(),
            headers: headers
                .iter()
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
                .collect(),
            message: message.to_vec(),
        });
        Ok(CallToken(calls.len() as u32 - 1))
    }

    /// Plays a request from its headers to its end; tells whether a flush is due.
    pub(crate) fn play(&self, root: &Root, script: &Script<'_>) -> bool {
        let mut http = root.http();
        self.start(script, &mut http);
        self.end(script, &mut http)
    }

    /// Plays the request phase.
    pub(crate) fn start(&self, script: &Script<'_>, http: &mut Http) {
        self.headers.borrow_mut().clear();
        for (name, value) in &script.headers {
            self.set_header(name, value);
        }
        http.on_request_headers(self);
    }

    /// Plays the end of the stream.
    pub(crate) fn end(&self, script: &Script<'_>, http: &mut Http) -> bool {
        for (path, value) in &script.properties {
            self.set_property(path, value);
        }
        http.on_log(self)
    }
}

impl Script<'_> {
    /// A GET that is answered with 200.
    pub(crate) fn get() -> Self {
        Self {
            headers: vec![
                (":method", "GET"),
                (":path", "/items/1?sig=secret"),
                (":authority", "cart.shop:8080"),
                (":scheme", "http"),
                ("user-agent", "test/1"),
            ],
            properties: vec![
                ("request.time", START.to_le_bytes().to_vec()),
                ("request.duration", 12_500_000u64.to_le_bytes().to_vec()),
                ("response.code", 200u64.to_le_bytes().to_vec()),
                ("response.flags", 0u64.to_le_bytes().to_vec()),
                ("request.protocol", b"HTTP/1.1".to_vec()),
                ("source.address", b"10.0.0.2:4711".to_vec()),
                ("upstream.address", b"10.0.0.3:8080".to_vec()),
                (
                    "upstream.request_attempt_count",
                    1u64.to_le_bytes().to_vec(),
                ),
                ("request.size", 7u64.to_le_bytes().to_vec()),
                ("response.size", 512u64.to_le_bytes().to_vec()),
            ],
        }
    }
}

/// This configuration, on a proxy with CEL.
pub(crate) fn config(document: &str) -> Config {
    let host = FakeHost::default();
    host.has_cel.set(true);
    Config::new(
        &host,
        "spanmesh",
        document.as_bytes(),
        &Environment::default(),
    )
    .unwrap()
}

/// A root context with this configuration.
pub(crate) fn root(host: &FakeHost, document: &str) -> Root {
    let mut root = Root::new(worker());
    assert!(root.configure(
        host,
        "spanmesh",
        document.as_bytes(),
        &Environment::default()
    ));
    root
}

/// What the root contexts of one VM share.
pub(crate) fn worker() -> Worker {
    Worker {
        random: Random::new([7; 32]),
        budget: Budget::default(),
        kept_bytes: Budget::default(),
    }
}

/// An attribute as text; numbers as they are written.
pub(crate) fn attribute(attributes: &[KeyValue], key: &str) -> Option<String> {
    let mut found = attributes.iter().filter(|attribute| attribute.key == key);
    let value = text(found.next()?.value.as_ref().unwrap());
    assert!(found.next().is_none(), "{key} is there twice");
    Some(value)
}

/// A value as text.
pub(crate) fn text(value: &AnyValue) -> String {
    match value.value.as_ref().unwrap() {
        Value::StringValue(text) => text.clone(),
        Value::IntValue(number) => format!("int {number}"),
        Value::DoubleValue(number) => format!("double {number}"),
        Value::BoolValue(value) => format!("bool {value}"),
        Value::ArrayValue(list) => {
            format!("{:?}", list.values.iter().map(text).collect::<Vec<_>>())
        }
        other => panic!("{other:?}"),
    }
}

impl Host for FakeHost {
    fn wall_clock(&self) -> u64 {
        self.now.get()
    }

    fn monotonic_clock(&self) -> u64 {
        self.uptime.get()
    }

    fn request_headers(&self) -> Pairs {
        let headers = self.headers.borrow();
        let list: Vec<(&[u8], &[u8])> = headers
            .iter()
            .map(|(name, value)| (name.as_slice(), value.as_slice()))
            .collect();
        pairs(&list)
    }

    fn request_header(&self, name: &str) -> Option<Vec<u8>> {
        self.header_calls.set(self.header_calls.get() + 1);
        let headers = self.headers.borrow();
        let found = headers.iter().find(|(found, _)| found == name.as_bytes());
        found.map(|(_, value)| value.clone())
    }

    /// As Envoy does: the first value is replaced, further ones stay.
    fn set_request_header(&self, name: &str, value: &[u8]) {
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
        self.headers
            .borrow_mut()
            .retain(|(found, _)| found != name.as_bytes());
    }

    fn property(&self, path: &[&str]) -> Option<Vec<u8>> {
        self.properties.borrow().get(&path.join(".")).cloned()
    }

    fn create_expression(&self, text: &str) -> Result<Expression, ExpressionError> {
        if !self.has_cel.get() {
            return Err(ExpressionError::Unsupported);
        }
        if text.matches('(').count() != text.matches(')').count() {
            return Err(ExpressionError::Invalid);
        }
        let mut expressions = self.expressions.borrow_mut();
        expressions.push(text.to_owned());
        Ok(Expression(expressions.len() as u32 - 1))
    }

    /// Evaluates a condition or a list; see [`cel`].
    fn evaluate(&self, expression: Expression) -> Option<Vec<u8>> {
        let expressions = self.expressions.borrow();
        let text = &expressions[expression.0 as usize];
        self.evaluated.borrow_mut().push(text.clone());
        if let Some(result) = self.conditions.borrow().get(text) {
            return Some(vec![u8::from(*result)]);
        }
        cel::evaluate(self, text)
    }

    fn grpc_call(&self, call: &GrpcCall<'_>) -> Result<CallToken, DispatchError> {
        self.start_call(
            call.cluster.name(),
            call.service,
            call.metadata,
            call.message,
        )
    }

    fn http_call(&self, call: &HttpCall<'_>) -> Result<CallToken, DispatchError> {
        let path = call.headers.iter().find(|(name, _)| *name == ":path");
        self.start_call(
            call.cluster.name(),
            path.unwrap().1,
            call.headers,
            call.body,
        )
    }

    fn grpc_message(&self, _size: usize) -> Vec<u8> {
        self.response.borrow().clone()
    }

    fn http_response_headers(&self) -> Pairs {
        let headers = self.response_headers.borrow();
        let list: Vec<(&[u8], &[u8])> = headers
            .iter()
            .map(|(name, value)| (name.as_bytes(), value.as_bytes()))
            .collect();
        pairs(&list)
    }

    fn http_response_body(&self, _size: usize) -> Vec<u8> {
        self.response.borrow().clone()
    }

    fn set_tick_period(&self, period: Duration) {
        self.tick_period.set(Some(period));
    }

    fn done(&self) {
        assert!(!self.done.replace(true), "done twice");
    }

    fn define_metric(&self, _kind: MetricKind, name: &str) -> Option<Metric> {
        let mut metrics = self.metrics.borrow_mut();
        let at = metrics
            .iter()
            .position(|(found, _)| found == name)
            .unwrap_or_else(|| {
                metrics.push((name.to_owned(), 0));
                metrics.len() - 1
            });
        Some(Metric(at as u32))
    }

    fn add_to_metric(&self, metric: Metric, delta: i64) {
        self.metrics.borrow_mut()[metric.0 as usize].1 += delta;
    }

    fn record_metric(&self, metric: Metric, value: u64) {
        let name = self.metrics.borrow()[metric.0 as usize].0.clone();
        self.recorded.borrow_mut().push((name, value));
    }

    fn shared_data(&self, key: &str) -> Option<(Vec<u8>, u32)> {
        self.shared_data_calls.set(self.shared_data_calls.get() + 1);
        self.shared.borrow().get(key).cloned()
    }

    fn set_shared_data(
        &self,
        key: &str,
        value: &[u8],
        version: u32,
    ) -> Result<(), SharedDataError> {
        self.shared_data_calls.set(self.shared_data_calls.get() + 1);
        let mut shared = self.shared.borrow_mut();
        let found = shared.get(key).map_or(0, |(_, version)| *version);
        if version != 0 && version != found {
            return Err(SharedDataError::Changed);
        }
        shared.insert(key.to_owned(), (value.to_vec(), found + 1));
        Ok(())
    }
}
