//! What a request says of who sent it.

use http::Request;

use crate::pipeline::Client;
use crate::transport::Peer;

/// The sender of a request; its headers are included only if processors are to see them.
pub(super) fn client<B>(request: &Request<B>, include_metadata: bool) -> Client {
    Client {
        address: request
            .extensions()
            .get::<Peer>()
            .map(|Peer(address)| *address),
        metadata: match include_metadata {
            true => request.headers().clone(),
            false => http::HeaderMap::new(),
        },
        ..Client::default()
    }
}
