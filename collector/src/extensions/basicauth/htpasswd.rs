//! Users and their passwords, as Apache's `htpasswd` writes them: `user:hash` in each line.
//!
//! Hashes: bcrypt (`-B`), `{SHA}` (`-s`), salted `{SSHA}`, and passwords in clear (`-p`). Left out: the
//! MD5 of Apache (`$apr1$`, the default of old versions) and the hashes of crypt(3); both are errors and
//! not taken for passwords.

use std::collections::BTreeMap;
use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ring::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};
use subtle::ConstantTimeEq;

/// The users.
#[derive(Debug, Default)]
pub(super) struct Users(BTreeMap<String, Hash>);

/// How a password is kept.
#[derive(Clone)]
pub(super) enum Hash {
    Bcrypt(String),
    /// The digest, and what was appended to the password.
    Sha1(Vec<u8>, Vec<u8>),
    Clear(Vec<u8>),
}

/// How long a SHA-1 digest is, in bytes.
const SHA1_LENGTH: usize = 20;

// === impl Users ===

impl Users {
    /// Adds the users of a text; those that are known already stay as they are.
    ///
    /// # Errors
    /// A line that is not understood, by its number in `place`; never its text.
    pub(super) fn add(&mut self, text: &str, place: &str) -> Result<(), String> {
        for (index, line) in text.lines().enumerate() {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let fail = |what: &str| format!("{what} in line {} of {place}", index + 1);
            let (user, hash) = line
                .split_once(':')
                .filter(|(user, hash)| !user.is_empty() && !hash.is_empty())
                .ok_or_else(|| fail("expected \"user:hash\""))?;
            let hash = Hash::parse(hash).map_err(fail)?;
            self.0.entry(user.to_owned()).or_insert(hash);
        }
        Ok(())
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The hash of a user's password. For one that nobody knows it is some other user's: to find out who
    /// is known shall not be possible by the time that an answer takes.
    pub(super) fn hash(&self, user: &str) -> (Option<Hash>, bool) {
        match self.0.get(user) {
            Some(hash) => (Some(hash.clone()), true),
            None => (self.0.values().next().cloned(), false),
        }
    }
}

// === impl Hash ===

impl Hash {
    fn parse(text: &str) -> Result<Self, &'static str> {
        if let Some(encoded) = text.strip_prefix("{SHA}") {
            let digest = decode(encoded).filter(|digest| digest.len() == SHA1_LENGTH);
            return digest
                .map(|digest| Self::Sha1(digest, Vec::new()))
                .ok_or("expected a SHA-1 digest behind {SHA}");
        }
        if let Some(encoded) = text.strip_prefix("{SSHA}") {
            let mut digest = decode(encoded)
                .filter(|bytes| bytes.len() > SHA1_LENGTH)
                .ok_or("expected a SHA-1 digest and a salt behind {SSHA}")?;
            let salt = digest.split_off(SHA1_LENGTH);
            return Ok(Self::Sha1(digest, salt));
        }
        if ["$2a$", "$2b$", "$2y$"]
            .iter()
            .any(|prefix| text.starts_with(prefix))
        {
            let parts: Result<bcrypt::HashParts, _> = text.parse();
            return match parts {
                Ok(_) => Ok(Self::Bcrypt(text.to_owned())),
                Err(_) => Err("expected a bcrypt hash"),
            };
        }
        if text.starts_with('$') {
            return Err(
                "expected bcrypt (\"htpasswd -B\"), {SHA} or {SSHA}, but found another hash",
            );
        }
        Ok(Self::Clear(text.as_bytes().to_vec()))
    }

    /// Whether it is the hash of a password. Slow for bcrypt: tens of milliseconds.
    pub(super) fn verify(&self, password: &[u8]) -> bool {
        match self {
            Self::Bcrypt(hash) => bcrypt::verify(password, hash).unwrap_or(false),
            Self::Sha1(expected, salt) => {
                let found = digest(&SHA1_FOR_LEGACY_USE_ONLY, &[password, salt].concat());
                found.as_ref().ct_eq(expected).into()
            }
            Self::Clear(expected) => password.ct_eq(expected).into(),
        }
    }

    /// Whether [`Self::verify`] takes long.
    pub(super) fn is_slow(&self) -> bool {
        matches!(self, Self::Bcrypt(_))
    }
}

impl fmt::Debug for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[REDACTED]")
    }
}

fn decode(text: &str) -> Option<Vec<u8>> {
    STANDARD.decode(text).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn users(text: &str) -> Result<Users, String> {
        let mut users = Users::default();
        users.add(text, "test").map(|()| users)
    }

    #[test]
    fn every_hash_is_understood() {
        let bcrypt = bcrypt::hash("secret", 4).unwrap();
        let ssha = digest(&SHA1_FOR_LEGACY_USE_ONLY, b"secretsalt");
        let ssha = STANDARD.encode([ssha.as_ref(), b"salt"].concat());
        // What `htpasswd -s` and `htpasswd -B` of Apache 2.4 wrote for "secret".
        let text = format!(
            "# users\na:{bcrypt}\nb:{{SHA}}5en6G6MezRroT3XKqkdPOmY/BfQ=\nc:{{SSHA}}{ssha}\n\nd:secret\n"
        );
        let users = users(&text).unwrap();
        for user in ["a", "b", "c", "d"] {
            let (hash, known) = users.hash(user);
            let hash = hash.unwrap();
            assert!(known && hash.verify(b"secret"), "{user}");
            assert!(!hash.verify(b"Secret"), "{user}");
            assert_eq!(hash.is_slow(), user == "a");
        }
        assert!(!users.hash("e").1);
    }

    #[test]
    fn what_is_not_understood_is_an_error_that_shows_nothing() {
        for (text, expected) in [
            ("a:b\nhidden", "expected \"user:hash\" in line 2 of test"),
            (":hidden", "expected \"user:hash\" in line 1 of test"),
            ("a:$apr1$hidden", "but found another hash in line 1 of test"),
            ("a:$2y$hidden", "expected a bcrypt hash in line 1 of test"),
            ("a:{SHA}hidden", "behind {SHA} in line 1 of test"),
            ("a:{SSHA}hidden", "behind {SSHA} in line 1 of test"),
        ] {
            let message = users(text).unwrap_err();
            assert!(message.ends_with(expected), "{message}");
            assert!(!message.contains("hidden"), "{message}");
        }
    }
}
