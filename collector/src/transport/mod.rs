//! What components that speak over the network share: listeners, connections, TLS, compression and
//! the codec that keeps gRPC messages encoded.

mod codec;
mod compression;
mod connect;
mod error;
mod listener;
mod server;
mod tls;

pub use self::codec::{Frames, RawClientCodec, RawServerCodec};
pub use self::compression::{
    Compression, DecompressError, Encoding, compact, compress, decompress,
};
pub use self::connect::{ConnectError, Connector, Target};
pub use self::error::describe;
pub use self::listener::{Listener, check_endpoint, listen_endpoint};
pub use self::server::{Limits, Peer, Server};
pub use self::tls::{ClientTlsOptions, ServerTlsOptions};
