//! What components that speak over the network share: listeners, connections, TLS, compression and
//! the codec that keeps gRPC messages encoded.

mod activity;
mod codec;
mod compression;
mod connect;
mod error;
mod listener;
mod message;
mod page;
mod reload;
mod sending;
mod server;
mod socket;
mod target;
mod tls;

pub use self::codec::{RawClientCodec, RawServerCodec};
pub use self::compression::{
    Compression, DecompressError, Encoding, compact, compress, decompress,
};
pub use self::connect::{Connector, is_unconnected};
pub use self::error::describe;
pub use self::listener::{
    Address, Listener, Transport, check_endpoint, listen_endpoint, listen_endpoint_or_path,
};
pub use self::message::{Message, MessageChannel};
pub use self::page::{HTML, JSON, Page, TEXT, not_found, page, serve_extension, serve_pages};
pub use self::reload::Reloading;
pub use self::sending::SendingOptions;
pub(crate) use self::sending::sending_options;
pub use self::server::{Limits, Peer, Server};
pub use self::socket::{Either, Socket};
pub use self::target::Target;
pub use self::tls::{ClientTls, ClientTlsOptions, ServerTls, ServerTlsOptions, TlsUser};
