//! `bearertokenauth`: a token in a header, as RFC 6750 has it. Receivers look for it, exporters show it.
//!
//! Tokens of a file are read again when it changes. Comparisons take the same time whichever byte is
//! wrong.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue};
use serde::Deserialize;
use subtle::{Choice, ConstantTimeEq};

use crate::config::Secret;
use crate::pipeline::{
    Attributes, Authenticator, BoxFuture, BuildContext, ClientAuthenticator, Extension,
    ExtensionConfig, ExtensionFactory, ExtensionKind, Passive, ServerAuthenticator, StartError,
    Unauthenticated,
};
use crate::transport::Reloading;

/// Makes `bearertokenauth` extensions.
pub const FACTORY: &dyn ExtensionFactory =
    &ExtensionKind::<Options, Config>::new("bearertokenauth");

#[derive(Debug, Deserialize)]
#[serde(default)]
struct Options {
    /// The header that holds the token.
    header: String,
    /// What stands before it; nothing if it is empty.
    scheme: String,
    /// The token.
    token: Option<Secret>,
    /// Several, of which receivers take any; exporters show the first.
    tokens: Vec<Secret>,
    /// A file with a token in each line, instead of both.
    filename: Option<PathBuf>,
}

struct Config(Arc<BearerToken>);

struct BearerToken {
    header: HeaderName,
    challenge: HeaderValue,
    /// Whole values of the header, one at least.
    values: Reloading<Vec<HeaderValue>>,
}

/// How often the file is looked at, if it is used.
const RELOAD_INTERVAL: Duration = Duration::from_secs(1);

// === impl Options ===

impl Default for Options {
    fn default() -> Self {
        Self {
            header: "authorization".to_owned(),
            scheme: "Bearer".to_owned(),
            token: None,
            tokens: Vec::new(),
            filename: None,
        }
    }
}

// === impl Config ===

impl TryFrom<Options> for Config {
    type Error = String;

    fn try_from(options: Options) -> Result<Self, String> {
        Ok(Self(Arc::new(BearerToken::new(options)?)))
    }
}

impl ExtensionConfig for Config {
    fn authenticator(&self) -> Option<Authenticator> {
        Some(Authenticator {
            server: Some(self.0.clone()),
            client: Some(self.0.clone()),
        })
    }

    fn start(
        self: Box<Self>,
        _context: BuildContext,
    ) -> BoxFuture<'static, Result<Box<dyn Extension>, StartError>> {
        Passive::start()
    }
}

// === impl BearerToken ===

impl BearerToken {
    fn new(options: Options) -> Result<Self, String> {
        let name = &options.header;
        let header = name
            .parse()
            .map_err(|_| format!("header: {name:?} is no name of a header"))?;
        let scheme = options.scheme.clone();
        let challenge = if scheme.is_empty() {
            "Bearer"
        } else {
            scheme.as_str()
        };
        let challenge = HeaderValue::from_str(challenge)
            .map_err(|_| format!("scheme: {scheme:?} cannot stand in a header"))?;
        let configured: Vec<Secret> = options.token.into_iter().chain(options.tokens).collect();
        let values = match options.filename {
            Some(file) => {
                let files = vec![file.clone()];
                Reloading::new(files, Some(RELOAD_INTERVAL), move || read(&scheme, &file))?
            }
            None if configured.is_empty() => {
                return Err("expected \"token\" or \"filename\", but found neither".to_owned());
            }
            None => Reloading::new(Vec::new(), None, move || {
                configured
                    .iter()
                    .map(|token| value(&scheme, token.expose(), "the token"))
                    .collect()
            })?,
        };
        Ok(Self {
            header,
            challenge,
            values,
        })
    }

    fn is_known(&self, found: &HeaderValue) -> bool {
        let values = self.values.current();
        let any = values.iter().fold(Choice::from(0), |any, value| {
            any | value.as_bytes().ct_eq(found.as_bytes())
        });
        any.into()
    }
}

impl ServerAuthenticator for BearerToken {
    fn authenticate<'a>(
        &'a self,
        headers: &'a HeaderMap,
    ) -> BoxFuture<'a, Result<Attributes, Unauthenticated>> {
        let message = match headers.get(&self.header) {
            Some(found) if self.is_known(found) => {
                return Box::pin(std::future::ready(Ok(Attributes::default())));
            }
            Some(_) => "the token is not known",
            None => "expected a token, but found none",
        };
        let refused = Unauthenticated {
            message,
            challenge: self.challenge.clone(),
        };
        Box::pin(std::future::ready(Err(refused)))
    }
}

impl ClientAuthenticator for BearerToken {
    fn header(&self) -> Result<(HeaderName, HeaderValue), String> {
        let values = self.values.current();
        let value = values.first().ok_or("there is no token to show")?;
        Ok((self.header.clone(), value.clone()))
    }
}

fn read(scheme: &str, file: &Path) -> Result<Vec<HeaderValue>, String> {
    let shown = file.display();
    let text =
        std::fs::read_to_string(file).map_err(|error| format!("cannot read {shown}: {error}"))?;
    let tokens = text
        .lines()
        .map(str::trim)
        .filter(|token| !token.is_empty());
    let place = format!("a token in {shown}");
    let values = tokens.map(|token| value(scheme, token, &place));
    let values = values.collect::<Result<Vec<_>, _>>()?;
    match values.is_empty() {
        true => Err(format!("expected a token in {shown}, but found none")),
        false => Ok(values),
    }
}

/// The whole value of the header, marked as sensitive.
fn value(scheme: &str, token: &str, place: &str) -> Result<HeaderValue, String> {
    let text = match scheme {
        "" => token.to_owned(),
        scheme => format!("{scheme} {token}"),
    };
    let mut value = HeaderValue::try_from(text)
        .map_err(|_| format!("{place} has characters that cannot stand in a header"))?;
    value.set_sensitive(true);
    Ok(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token(json: &str) -> Result<BearerToken, String> {
        BearerToken::new(serde_json::from_str(json).unwrap())
    }

    async fn is_taken(token: &BearerToken, name: &str, value: &str) -> bool {
        let mut headers = HeaderMap::new();
        headers.insert(name.parse::<HeaderName>().unwrap(), value.parse().unwrap());
        token.authenticate(&headers).await.is_ok()
    }

    #[tokio::test]
    async fn the_whole_header_has_to_be_right() {
        let plain = token(r#"{"token": "hidden"}"#).unwrap();
        for (name, value, taken) in [
            ("authorization", "Bearer hidden", true),
            ("authorization", "Bearer hidde", false),
            ("authorization", "Bearer hidden ", false),
            ("authorization", "hidden", false),
            ("authorization", "Basic hidden", false),
            ("x-token", "Bearer hidden", false),
        ] {
            assert_eq!(
                is_taken(&plain, name, value).await,
                taken,
                "{name}: {value}"
            );
        }
        let own = token(r#"{"header": "X-Token", "scheme": "", "tokens": ["a", "b"]}"#).unwrap();
        assert!(is_taken(&own, "x-token", "a").await);
        assert!(is_taken(&own, "x-token", "b").await);
        let (name, value) = own.header().unwrap();
        assert_eq!((name.as_str(), value.as_bytes()), ("x-token", &b"a"[..]));
        let refused = own.authenticate(&HeaderMap::new()).await.unwrap_err();
        assert_eq!(refused.challenge, "Bearer");
    }

    #[test]
    fn a_token_is_needed_and_never_shown() {
        assert!(token("{}").is_err());
        let message = token(r#"{"token": "hid\nden"}"#).map(|_| ()).unwrap_err();
        assert!(!message.contains("hid"), "{message}");
        let options: Options = serde_json::from_str(r#"{"token": "hidden"}"#).unwrap();
        assert!(!format!("{options:?}").contains("hidden"));
        let (_, value) = token(r#"{"token": "hidden"}"#).unwrap().header().unwrap();
        assert_eq!(format!("{value:?}"), "Sensitive");
    }

    #[test]
    fn files_hold_a_token_in_each_line() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("tokens");
        std::fs::write(&file, "first\n\n second \n").unwrap();
        let json = format!("{{\"filename\": {file:?}}}");
        let (_, value) = token(&json).unwrap().header().unwrap();
        assert_eq!(value.as_bytes(), b"Bearer first");
        std::fs::write(&file, "\n").unwrap();
        assert!(token(&json).is_err());
        std::fs::remove_file(&file).unwrap();
        let message = token(&json).map(|_| ()).unwrap_err();
        assert!(message.starts_with("cannot read "), "{message}");
    }
}
