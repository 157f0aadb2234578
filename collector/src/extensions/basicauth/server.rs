//! Checks of user names and passwords.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderMap, HeaderValue, header};
use ring::hmac;
use ring::rand::SystemRandom;
use tokio::sync::Semaphore;

use super::htpasswd::{Hash, Users};
use super::options::{RELOAD_INTERVAL, UserOptions};
use crate::pipeline::{Attributes, BoxFuture, ServerAuthenticator, Unauthenticated};
use crate::transport::Reloading;

/// Lets in who is in the file.
pub(super) struct Server {
    known: Reloading<Known>,
    /// Bounds the time that unknown passwords can take up.
    slow: Arc<Semaphore>,
}

/// The users, and what was seen of them since the file was read.
struct Known {
    users: Users,
    key: hmac::Key,
    /// Keyed hashes of credentials that were right.
    right: Mutex<BTreeSet<Vec<u8>>>,
}

/// How many slow hashes are computed at the same time.
const SLOW_AT_ONCE: usize = 2;

/// How many credentials are remembered: two passwords for each user cannot both be right, so that only a
/// file with more users than that has its slow hashes computed again.
const REMEMBERED: usize = 10_000;

// === impl Server ===

impl Server {
    /// # Errors
    /// A sentence that says what is wrong, without secrets.
    pub(super) fn new(options: UserOptions) -> Result<Self, String> {
        let files = options.file.iter().cloned().collect();
        let known = Reloading::new(files, Some(RELOAD_INTERVAL), move || Known::read(&options))?;
        Ok(Self {
            known,
            slow: Arc::new(Semaphore::new(SLOW_AT_ONCE)),
        })
    }

    /// The user.
    async fn check(&self, headers: &HeaderMap) -> Result<String, &'static str> {
        let found = headers.get(header::AUTHORIZATION);
        let found = found.ok_or("expected a user name and a password, but found none")?;
        let (user, password) = credentials(found)
            .ok_or("expected a user name and a password, as in \"Basic dXNlcjpwYXNzd29yZA==\"")?;
        let known = self.known.current();
        let tag = known.tag(&user, &password);
        if known.was_right(&tag) {
            return Ok(user);
        }
        let (hash, user_is_known) = known.users.hash(&user);
        let is_right = match hash {
            Some(hash) => self.verify(hash, password).await,
            None => false,
        };
        if !is_right || !user_is_known {
            return Err("the user name or the password is wrong");
        }
        known.remember(tag);
        Ok(user)
    }

    async fn verify(&self, hash: Hash, password: Vec<u8>) -> bool {
        if !hash.is_slow() {
            return hash.verify(&password);
        }
        let Ok(permit) = self.slow.clone().acquire_owned().await else {
            return false;
        };
        let verifying = tokio::task::spawn_blocking(move || {
            // The hash is computed to its end, also for a client that has gone.
            let _permit = permit;
            hash.verify(&password)
        });
        verifying.await.unwrap_or(false)
    }
}

impl ServerAuthenticator for Server {
    fn authenticate<'a>(
        &'a self,
        headers: &'a HeaderMap,
    ) -> BoxFuture<'a, Result<Attributes, Unauthenticated>> {
        Box::pin(async move {
            let checked = self.check(headers).await;
            let known = |user| Attributes::from([("username".to_owned(), vec![user])]);
            checked.map(known).map_err(|message| Unauthenticated {
                message,
                challenge: HeaderValue::from_static("Basic realm=\"otlp\", charset=\"UTF-8\""),
            })
        })
    }
}

// === impl Known ===

impl Known {
    fn read(options: &UserOptions) -> Result<Self, String> {
        let mut users = Users::default();
        if let Some(inline) = &options.inline {
            users.add(inline.expose(), "\"htpasswd::inline\"")?;
        }
        if let Some(file) = &options.file {
            let shown = file.display().to_string();
            let text = std::fs::read_to_string(file)
                .map_err(|error| format!("cannot read {shown}: {error}"))?;
            users.add(&text, &shown)?;
        }
        if users.is_empty() {
            return Err("htpasswd: expected users in \"file\" or \"inline\"".to_owned());
        }
        let key = hmac::Key::generate(hmac::HMAC_SHA256, &SystemRandom::new())
            .map_err(|_| "the operating system has no random numbers".to_owned())?;
        Ok(Self {
            users,
            key,
            right: Mutex::default(),
        })
    }

    fn tag(&self, user: &str, password: &[u8]) -> Vec<u8> {
        // A colon cannot stand in a user name.
        let both = [user.as_bytes(), b":", password].concat();
        hmac::sign(&self.key, &both).as_ref().to_vec()
    }

    /// To compare keyed hashes byte by byte tells nothing: nobody can choose them.
    fn was_right(&self, tag: &[u8]) -> bool {
        let right = self.right.lock().unwrap_or_else(PoisonError::into_inner);
        right.contains(tag)
    }

    fn remember(&self, tag: Vec<u8>) {
        let mut right = self.right.lock().unwrap_or_else(PoisonError::into_inner);
        if right.len() < REMEMBERED {
            right.insert(tag);
        }
    }
}

/// The user name and the password of a header.
fn credentials(value: &HeaderValue) -> Option<(String, Vec<u8>)> {
    let (scheme, encoded) = value.to_str().ok()?.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let decoded = STANDARD.decode(encoded.trim()).ok()?;
    let colon = decoded.iter().position(|byte| *byte == b':')?;
    let user = std::str::from_utf8(&decoded[..colon]).ok()?;
    Some((user.to_owned(), decoded[colon + 1..].to_vec()))
}

#[cfg(test)]
mod tests {
    use std::future::{Future, poll_fn};
    use std::pin::pin;
    use std::task::Poll;

    use super::*;

    async fn is_taken(server: &Server, scheme: &str, credentials: &str) -> bool {
        let mut headers = HeaderMap::new();
        let value = format!("{scheme} {}", STANDARD.encode(credentials));
        headers.insert(header::AUTHORIZATION, value.parse().unwrap());
        server.authenticate(&headers).await.is_ok()
    }

    #[tokio::test]
    async fn only_the_right_password_of_the_right_user_is_taken() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("htpasswd");
        let hash = bcrypt::hash("secret:1", 4).unwrap();
        std::fs::write(&file, format!("a:{hash}\nb:other\n")).unwrap();
        let json = format!("{{\"file\": {file:?}, \"inline\": \"b:clear\"}}");
        let server = Server::new(serde_json::from_str(&json).unwrap()).unwrap();
        for (credentials, taken) in [
            ("a:secret:1", true),
            ("a:secret:1", true),
            ("a:secret", false),
            ("b:clear", true),
            ("b:other", false),
            ("c:clear", false),
            ("c:secret:1", false),
            ("a", false),
            (":", false),
        ] {
            let found = is_taken(&server, "basic", credentials).await;
            assert_eq!(found, taken, "{credentials}");
        }
        assert!(!is_taken(&server, "Bearer", "a:secret:1").await);
        let refused = server.authenticate(&HeaderMap::new()).await.unwrap_err();
        assert!(refused.challenge.to_str().unwrap().starts_with("Basic "));
    }

    /// Those who send wrong passwords and go away would have all threads that may wait otherwise.
    #[test]
    fn who_goes_away_does_not_make_room_for_another_slow_hash() {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .max_blocking_threads(1)
            .build()
            .unwrap();
        runtime.block_on(async {
            let (free, freed) = std::sync::mpsc::channel::<()>();
            let taken = tokio::task::spawn_blocking(move || freed.recv());
            let hash = bcrypt::hash("secret", 4).unwrap();
            let json = format!("{{\"inline\": \"a:{hash}\"}}");
            let server = Server::new(serde_json::from_str(&json).unwrap()).unwrap();
            for left in [1, 0, 0] {
                let mut checking = pin!(is_taken(&server, "basic", "a:secret"));
                let polled = poll_fn(|cx| Poll::Ready(checking.as_mut().poll(cx)));
                assert!(polled.await.is_pending());
                assert_eq!(server.slow.available_permits(), left);
            }
            drop(free);
            assert!(taken.await.unwrap().is_err());
            assert!(is_taken(&server, "basic", "a:secret").await);
        });
    }

    #[test]
    fn there_have_to_be_users() {
        let read = |json| Server::new(serde_json::from_str(json).unwrap()).map(|_| ());
        assert!(read("{}").is_err());
        assert!(read(r##"{"inline": "# nobody"}"##).is_err());
        assert!(read(r#"{"file": "/does/not/exist"}"#).is_err());
    }
}
