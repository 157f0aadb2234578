//! A filter that makes one kind of hostcall so many times for each request: what that call costs,
//! the data that it moves included.
//!
//! Its configuration is a line `KIND COUNT`, and after the line's end the bytes that some kinds
//! need: an expression, a body to compress, a message to send. It stops Envoy from starting when
//! that is wrong. Left out: every call whose cost nobody asks for.
#![cfg(target_arch = "wasm32")]
// The SDK's `main!` makes a function without docs.
#![allow(missing_docs)]

use std::rc::Rc;
use std::time::Duration;

use proxy_wasm::hostcalls;
use proxy_wasm::traits::{Context, HttpContext, RootContext};
use proxy_wasm::types::{Action, ContextType, MapType, MetricType, Status};

/// How long an export may take.
const TIMEOUT: Duration = Duration::from_secs(10);

/// What is set: as long as a `traceparent`.
const VALUE: &[u8] = b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

/// A hostcall and what it needs.
#[derive(Debug)]
enum Call {
    /// None: the calls of the filter itself.
    Nothing,
    /// All request headers at once.
    HeaderMap,
    /// One request header.
    Header,
    /// Replace a request header.
    SetHeader,
    /// One property.
    Property,
    /// Set a property, which Envoy keeps as filter state.
    SetProperty,
    /// The wall clock.
    Clock,
    /// Add to a counter.
    Metric(u32),
    /// Evaluate an expression, at the end of the stream.
    Expression(Vec<u8>),
    /// zlib, level 6.
    Compress(Vec<u8>),
    /// Start a gRPC call with this message to this cluster.
    Export(String, Vec<u8>),
}

/// What to do for each request.
#[derive(Debug)]
struct Plan {
    call: Call,
    count: u32,
}

/// The plugin.
#[derive(Debug, Default)]
struct Root {
    plan: Option<Rc<Plan>>,
}

/// One request.
#[derive(Debug)]
struct Http {
    plan: Rc<Plan>,
}

// === impl Call ===

impl Call {
    fn parse(kind: &str, data: Vec<u8>) -> Result<Self, Status> {
        Ok(match kind {
            "nothing" => Self::Nothing,
            "header-map" => Self::HeaderMap,
            "header" => Self::Header,
            "set-header" => Self::SetHeader,
            "property" => Self::Property,
            "set-property" => Self::SetProperty,
            "clock" => Self::Clock,
            "metric" => Self::Metric(hostcalls::define_metric(MetricType::Counter, "probe")?),
            "expression" => {
                let token = hostcalls::call_foreign_function("expr_create", Some(&data))?;
                Self::Expression(token.ok_or(Status::NotFound)?)
            }
            "compress" => Self::Compress(data),
            _ => match kind.split_once(':') {
                Some(("export", cluster)) => Self::Export(cluster.to_owned(), data),
                _ => return Err(Status::BadArgument),
            },
        })
    }

    /// Whether it is made when the stream ends.
    fn is_last(&self) -> bool {
        matches!(self, Self::Expression(_))
    }

    fn make(&self) -> Result<(), Status> {
        match self {
            Self::Nothing => {}
            Self::HeaderMap => {
                hostcalls::get_map_bytes(MapType::HttpRequestHeaders)?;
            }
            Self::Header => {
                hostcalls::get_map_value_bytes(MapType::HttpRequestHeaders, "user-agent")?;
            }
            Self::SetHeader => hostcalls::set_map_value_bytes(
                MapType::HttpRequestHeaders,
                "traceparent",
                Some(VALUE),
            )?,
            Self::Property => {
                hostcalls::get_property(vec!["request", "path"])?;
            }
            Self::SetProperty => hostcalls::set_property(vec!["probe"], Some(VALUE))?,
            Self::Clock => {
                hostcalls::get_current_time()?;
            }
            Self::Metric(id) => hostcalls::increment_metric(*id, 1)?,
            Self::Expression(token) => {
                hostcalls::call_foreign_function("expr_evaluate", Some(token))?;
            }
            Self::Compress(body) => {
                hostcalls::call_foreign_function("compress", Some(body))?;
            }
            Self::Export(cluster, message) => {
                hostcalls::dispatch_grpc_call(
                    cluster,
                    "opentelemetry.proto.collector.trace.v1.TraceService",
                    "Export",
                    Vec::new(),
                    Some(message),
                    TIMEOUT,
                )?;
            }
        }
        Ok(())
    }
}

// === impl Plan ===

impl Plan {
    fn parse(configuration: &[u8]) -> Result<Self, Status> {
        let end = configuration
            .iter()
            .position(|byte| *byte == b'\n')
            .ok_or(Status::ParseFailure)?;
        let (line, data) = configuration.split_at(end);
        let line = str::from_utf8(line).map_err(|_| Status::ParseFailure)?;
        let (kind, count) = line.split_once(' ').ok_or(Status::ParseFailure)?;
        let count = count.parse().map_err(|_| Status::ParseFailure)?;
        let data = data.iter().skip(1).copied().collect();
        let call = Call::parse(kind, data)?;
        Ok(Self { call, count })
    }

    fn make(&self) -> Result<(), Status> {
        (0..self.count).try_for_each(|_| self.call.make())
    }
}

// === impl Root ===

impl Context for Root {}

impl RootContext for Root {
    fn on_configure(&mut self, _size: usize) -> bool {
        let plan = self
            .get_plugin_configuration()
            .ok_or(Status::Empty)
            .and_then(|configuration| Plan::parse(&configuration));
        self.plan = plan.ok().map(Rc::new);
        self.plan.is_some()
    }

    fn create_http_context(&self, _context_id: u32) -> Option<Box<dyn HttpContext>> {
        let plan = self.plan.clone()?;
        Some(Box::new(Http { plan }))
    }

    fn get_type(&self) -> Option<ContextType> {
        Some(ContextType::HttpContext)
    }
}

// === impl Http ===

impl Context for Http {}

impl HttpContext for Http {
    fn on_http_request_headers(&mut self, _headers: usize, _end: bool) -> Action {
        // A call that fails must not pass for a cheap one: the request then gets a 500.
        if !self.plan.call.is_last() && self.plan.make().is_err() {
            self.send_http_response(500, Vec::new(), None);
            return Action::Pause;
        }
        Action::Continue
    }

    fn on_log(&mut self) {
        if self.plan.call.is_last() {
            let made = self.plan.make();
            assert!(made.is_ok(), "the hostcall failed: {made:?}");
        }
    }
}

proxy_wasm::main! {{
    proxy_wasm::set_root_context(|_| Box::new(Root::default()));
}}
