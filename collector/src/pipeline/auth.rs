//! Who may send, and how we show who we are: extensions that receivers and exporters name in `auth`.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use http::{HeaderMap, HeaderName, HeaderValue};
use serde::de::{self, Deserialize, Deserializer};

use super::component::BoxFuture;
use crate::config::ComponentId;

/// `auth` of a receiver or an exporter: the extension that does it.
#[derive(Clone, Debug, PartialEq, Eq, serde::Deserialize)]
pub struct AuthOptions {
    /// The name of the extension.
    authenticator: Name,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Name(ComponentId);

/// What is known of a client that may send, by name.
pub type Attributes = BTreeMap<String, Vec<String>>;

/// Finds out whether a client may send.
pub trait ServerAuthenticator: Send + Sync {
    /// Looks at the headers of a request, before anything else of it is read, and says what it knows
    /// of the client.
    ///
    /// # Errors
    /// It may not, with what it should have shown.
    fn authenticate<'a>(
        &'a self,
        headers: &'a HeaderMap,
    ) -> BoxFuture<'a, Result<Attributes, Unauthenticated>>;
}

/// Shows a server who we are.
pub trait ClientAuthenticator: Send + Sync {
    /// The header of the next request. Its value is marked as sensitive.
    ///
    /// # Errors
    /// There is none at the moment, as a sentence without secrets.
    fn header(&self) -> Result<(HeaderName, HeaderValue), String>;
}

/// A client that did not show what it should have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unauthenticated {
    /// What is wrong, without repeating what was shown.
    pub message: &'static str,
    /// What a client over HTTP is told to show: the value of `WWW-Authenticate`.
    pub challenge: HeaderValue,
}

/// What an extension can do of both.
#[derive(Clone, Default)]
pub struct Authenticator {
    /// For receivers.
    pub server: Option<Arc<dyn ServerAuthenticator>>,
    /// For exporters.
    pub client: Option<Arc<dyn ClientAuthenticator>>,
}

/// The extensions that are there, by name.
#[derive(Clone, Debug, Default)]
pub struct Authenticators(BTreeMap<ComponentId, Authenticator>);

// === impl AuthOptions ===

impl AuthOptions {
    /// What a receiver needs.
    ///
    /// # Errors
    /// A sentence: the extension is not there, or is not made for receivers.
    pub fn server(&self, all: &Authenticators) -> Result<Arc<dyn ServerAuthenticator>, String> {
        let Name(id) = &self.authenticator;
        all.find(id)?.server.clone().ok_or_else(|| {
            format!("auth: the extension \"{id}\" is not configured to check clients")
        })
    }

    /// What an exporter needs.
    ///
    /// # Errors
    /// A sentence: the extension is not there, or is not made for exporters.
    pub fn client(&self, all: &Authenticators) -> Result<Arc<dyn ClientAuthenticator>, String> {
        let Name(id) = &self.authenticator;
        all.find(id)?.client.clone().ok_or_else(|| {
            format!("auth: the extension \"{id}\" is not configured to show who we are")
        })
    }
}

impl<'de> Deserialize<'de> for Name {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        ComponentId::parse(&text)
            .map(Self)
            .map_err(de::Error::custom)
    }
}

// === impl Authenticators ===

impl Authenticators {
    /// Adds what an extension can do.
    pub fn insert(&mut self, id: ComponentId, authenticator: Authenticator) {
        self.0.insert(id, authenticator);
    }

    fn find(&self, id: &ComponentId) -> Result<&Authenticator, String> {
        self.0.get(id).ok_or_else(|| {
            format!(
                "auth: expected an authentication extension that is listed in \
                 \"service::extensions\", but found \"{id}\""
            )
        })
    }
}

// === impl Authenticator ===

impl fmt::Debug for Authenticator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Authenticator")
            .field("server", &self.server.is_some())
            .field("client", &self.client.is_some())
            .finish()
    }
}
