//! Who sent a payload, for processors that ask.

use std::collections::BTreeMap;
use std::net::IpAddr;

use http::HeaderMap;

/// What is known of a client.
#[derive(Clone, Debug, Default)]
pub struct Client {
    /// Where it is; absent on sockets without addresses.
    pub address: Option<IpAddr>,
    /// The headers of its request; none unless the receiver includes metadata.
    pub metadata: HeaderMap,
    /// What the receiver's authenticator knows of it, by name.
    pub auth: BTreeMap<String, Vec<String>>,
}
