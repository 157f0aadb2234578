//! A filter that does nothing in any callback: the part of a filter's cost that Proxy-WASM itself
//! takes. It keeps every export of the SDK, as a filter made from a template does.
#![cfg(target_arch = "wasm32")]
// The SDK's `main!` makes a function without docs.
#![allow(missing_docs)]

use proxy_wasm::traits::{Context, HttpContext, RootContext};
use proxy_wasm::types::ContextType;

/// The plugin.
#[derive(Debug)]
struct Root;

/// One request.
#[derive(Debug)]
struct Http;

// === impl Root ===

impl Context for Root {}

impl RootContext for Root {
    fn create_http_context(&self, _context_id: u32) -> Option<Box<dyn HttpContext>> {
        Some(Box::new(Http))
    }

    fn get_type(&self) -> Option<ContextType> {
        Some(ContextType::HttpContext)
    }
}

// === impl Http ===

impl Context for Http {}

impl HttpContext for Http {}

proxy_wasm::main! {{
    proxy_wasm::set_root_context(|_| Box::new(Root));
}}
