//! The Proxy-WASM side: the only module that knows the ABI, and the only one with `unsafe`.
//!
//! Contexts and their dispatch come from the SDK. Host functions are declared here, since the SDK's
//! wrappers panic on statuses that a host can return, copy what need not be copied, or want UTF-8;
//! every status but Ok reads as "nothing". Answers to calls come here past the SDK, too: it knows
//! only the calls that its own wrappers have started, and panics on a token that it has seen. So
//! does memory for what the host returns, and nothing is taken that was not allocated for it. These
//! are exports of names of our own, which `spanmesh-finish-module` puts in the place of the SDK's.
//!
//! Spec: Proxy-WASM ABI 0.2.1.

#![allow(unsafe_code)]

mod abi;
mod host;

use std::cell::RefCell;
use std::rc::Rc;

use log::{Level, LevelFilter, Log, Metadata};
use proxy_wasm::traits::{Context, HttpContext, RootContext};
use proxy_wasm::types::{Action, ContextType};

use self::host::Proxy;
use crate::export::Budget;
use crate::host::{Answer, CallToken, Host};
use crate::http::Http;
use crate::random::Random;
use crate::root::{Root, Worker};

/// `PluginConfiguration` of the ABI's buffer types.
const PLUGIN_CONFIGURATION: u32 = 7;
/// The most that a client accepts of an answer, by OTLP 1.11.
const MAX_RESPONSE: usize = 4 * 1024 * 1024;

thread_local! {
    /// A VM has one thread.
    static WORKER: Worker = Worker {
        random: Random::new(abi::seed()),
        budget: Budget::default(),
        kept_bytes: Budget::default(),
    };
    /// The root contexts by their ids. There are two of them at most for longer than a moment: one
    /// in force and one that drains.
    static ROOTS: RefCell<Vec<(u32, SharedRoot)>> = const { RefCell::new(Vec::new()) };
}

/// A root context, for the SDK, for its streams, and for the answers to its calls.
type SharedRoot = Rc<RefCell<Root>>;

/// The SDK's root context around ours.
struct ProxyRoot {
    id: u32,
    root: SharedRoot,
}

/// The SDK's HTTP context around ours.
struct ProxyHttp {
    root: SharedRoot,
    http: Http,
}

/// Log lines go to Envoy's log, logger `wasm`, which puts the plugin's name before them.
struct ProxyLog;

proxy_wasm::main! {{
    std::panic::set_hook(Box::new(|panic| abi::write_log(Level::Error, &panic.to_string())));
    if log::set_logger(&ProxyLog).is_ok() {
        log::set_max_level(LevelFilter::Info);
    }
    proxy_wasm::set_root_context(|id| Box::new(ProxyRoot::new(id)));
}}

/// Envoy has the message that answers a gRPC call.
#[unsafe(no_mangle)]
extern "C" fn spanmesh_on_grpc_receive(root_id: u32, token: u32, size: usize) {
    let size = size.min(MAX_RESPONSE);
    on_answer(root_id, token, Answer::GrpcMessage { size });
}

/// A gRPC call has ended without a message.
#[unsafe(no_mangle)]
extern "C" fn spanmesh_on_grpc_close(root_id: u32, token: u32, status: u32) {
    on_answer(root_id, token, Answer::GrpcStatus(status));
}

/// An HTTP call has ended; without headers, it got no response.
#[unsafe(no_mangle)]
extern "C" fn spanmesh_on_http_call_response(
    root_id: u32,
    token: u32,
    headers: usize,
    body_size: usize,
    _trailers: usize,
) {
    let answer = if headers == 0 {
        Answer::HttpFailure
    } else {
        let body_size = body_size.min(MAX_RESPONSE);
        Answer::HttpResponse { body_size }
    };
    on_answer(root_id, token, answer);
}

fn on_answer(root_id: u32, token: u32, answer: Answer) {
    let root = ROOTS.with_borrow(|roots| {
        let found = roots.iter().find(|(id, _)| *id == root_id);
        found.map(|(_, root)| Rc::clone(root))
    });
    if let Some(root) = root {
        with(&root, |root| {
            root.on_answer(&Proxy, CallToken(token), answer);
        });
    }
}

/// Runs `action` unless the root context is at work already: a host that calls it from within one
/// of its own calls must not end the VM.
fn with<T: Default>(root: &SharedRoot, action: impl FnOnce(&mut Root) -> T) -> T {
    root.try_borrow_mut()
        .map(|mut root| action(&mut root))
        .unwrap_or_default()
}

impl ProxyRoot {
    fn new(id: u32) -> Self {
        let root = Root::new(WORKER.with(Clone::clone));
        let root = Rc::new(RefCell::new(root));
        ROOTS.with_borrow_mut(|roots| roots.push((id, Rc::clone(&root))));
        Self { id, root }
    }
}

impl Drop for ProxyRoot {
    fn drop(&mut self) {
        ROOTS.with_borrow_mut(|roots| roots.retain(|(id, _)| *id != self.id));
    }
}

impl Context for ProxyRoot {
    fn on_done(&mut self) -> bool {
        with(&self.root, |root| root.on_done(&Proxy))
    }
}

impl RootContext for ProxyRoot {
    fn on_configure(&mut self, size: usize) -> bool {
        let document = abi::buffer(PLUGIN_CONFIGURATION, size);
        let name = Proxy.property(&["plugin_name"]).unwrap_or_default();
        let name = String::from_utf8_lossy(&name);
        with(&self.root, |root| {
            root.configure(&Proxy, &name, &document, &abi::environment())
        })
    }

    fn on_tick(&mut self) {
        with(&self.root, |root| root.on_tick(&Proxy));
    }

    fn create_http_context(&self, _context_id: u32) -> Option<Box<dyn HttpContext>> {
        let http = self.root.try_borrow().map(|root| root.http());
        Some(Box::new(ProxyHttp {
            root: Rc::clone(&self.root),
            http: http.unwrap_or_default(),
        }))
    }

    fn get_type(&self) -> Option<ContextType> {
        Some(ContextType::HttpContext)
    }
}

impl Context for ProxyHttp {}

impl HttpContext for ProxyHttp {
    fn on_http_request_headers(&mut self, _count: usize, _end_of_stream: bool) -> Action {
        self.http.on_request_headers(&Proxy);
        Action::Continue
    }

    fn on_log(&mut self) {
        if self.http.on_log(&Proxy) {
            // Envoy starts the call of a stream from the stream's root context.
            with(&self.root, |root| root.on_tick(&Proxy));
        }
    }
}

impl Log for ProxyLog {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.level() <= log::max_level()
    }

    fn log(&self, record: &log::Record<'_>) {
        if self.enabled(record.metadata()) {
            abi::write_log(record.level(), &record.args().to_string());
        }
    }

    fn flush(&self) {}
}
