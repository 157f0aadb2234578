//! What a request says of who sent it.

use http::{Extensions, HeaderMap};

use crate::pipeline::Client;
use crate::transport::Peer;

/// The sender of a request; its headers are included only if processors are to see them.
pub(super) fn client(
    extensions: &Extensions,
    headers: &HeaderMap,
    include_metadata: bool,
) -> Client {
    Client {
        address: extensions.get::<Peer>().map(|Peer(address)| *address),
        metadata: match include_metadata {
            true => headers.clone(),
            false => HeaderMap::new(),
        },
        ..Client::default()
    }
}
