//! `basicauth`: a user name and a password in the `Authorization` header, as RFC 7617 has it. Receivers
//! check them against a file of `htpasswd`, exporters show them.
//!
//! Files are read again when they change. A password that was right once is recognized by a keyed hash,
//! so that the slow hash of the file is computed once for each client, not for each request.

mod htpasswd;
mod options;
mod server;

use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderName, HeaderValue, header};

use self::options::{ClientOptions, Options, RELOAD_INTERVAL};
use self::server::Server;
use crate::pipeline::{
    Authenticator, BoxFuture, BuildContext, ClientAuthenticator, Extension, ExtensionConfig,
    ExtensionFactory, ExtensionKind, Passive, StartError,
};
use crate::transport::Reloading;

/// Makes `basicauth` extensions.
pub const FACTORY: &dyn ExtensionFactory = &ExtensionKind::<Options, Config>::new("basicauth");

struct Config(Authenticator);

/// What an exporter shows.
struct Client(Reloading<HeaderValue>);

// === impl Config ===

impl TryFrom<Options> for Config {
    type Error = String;

    fn try_from(options: Options) -> Result<Self, String> {
        let authenticator = match (options.htpasswd, options.client_auth) {
            (Some(users), None) => Authenticator {
                server: Some(Arc::new(Server::new(users)?)),
                client: None,
            },
            (None, Some(client)) => Authenticator {
                server: None,
                client: Some(Arc::new(Client::new(client)?)),
            },
            (Some(_), Some(_)) => {
                return Err("expected \"htpasswd\" or \"client_auth\", but found both".to_owned());
            }
            (None, None) => {
                return Err(
                    "expected \"htpasswd\" or \"client_auth\", but found neither".to_owned(),
                );
            }
        };
        Ok(Self(authenticator))
    }
}

impl ExtensionConfig for Config {
    fn authenticator(&self) -> Option<Authenticator> {
        Some(self.0.clone())
    }

    fn start(
        self: Box<Self>,
        _context: BuildContext,
    ) -> BoxFuture<'static, Result<Box<dyn Extension>, StartError>> {
        Passive::start()
    }
}

// === impl Client ===

impl Client {
    fn new(options: ClientOptions) -> Result<Self, String> {
        let files = options.files();
        Reloading::new(files, Some(RELOAD_INTERVAL), move || {
            let (user, password) = options.read()?;
            if user.contains(':') {
                return Err("expected a user name without a colon".to_owned());
            }
            let credentials = STANDARD.encode(format!("{user}:{password}"));
            let value = HeaderValue::try_from(format!("Basic {credentials}"));
            let mut value = value.map_err(|error| error.to_string())?;
            value.set_sensitive(true);
            Ok(value)
        })
        .map(Self)
    }
}

impl ClientAuthenticator for Client {
    fn header(&self) -> Result<(HeaderName, HeaderValue), String> {
        Ok((header::AUTHORIZATION, self.0.current().as_ref().clone()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(json: &str) -> Result<Config, String> {
        Config::try_from(serde_json::from_str::<Options>(json).unwrap())
    }

    #[test]
    fn clients_show_a_name_and_a_password() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("password");
        std::fs::write(&file, "open sesame\n").unwrap();
        let json = format!(
            "{{\"client_auth\": {{\"username\": \"Aladdin\", \"password_file\": {file:?}}}}}"
        );
        let client = config(&json).unwrap().0.client.unwrap();
        let (name, value) = client.header().unwrap();
        assert_eq!(name, header::AUTHORIZATION);
        // The example of the specification has no line break, and neither has what is shown.
        assert_eq!(value.as_bytes(), b"Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==");
        assert!(value.is_sensitive());
    }

    #[test]
    fn an_extension_is_for_one_side() {
        let client = r#""client_auth": {"username": "a", "password": "b"}"#;
        let server = r#""htpasswd": {"inline": "a:b"}"#;
        assert!(config(&format!("{{{client}}}")).unwrap().0.server.is_none());
        assert!(config(&format!("{{{server}}}")).unwrap().0.client.is_none());
        assert!(config(&format!("{{{client}, {server}}}")).is_err());
        assert!(config("{}").is_err());
        assert!(config(r#"{"client_auth": {"password": "b"}}"#).is_err());
    }
}
