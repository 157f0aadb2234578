//! What is taken out of URLs before they are emitted.
//!
//! Source: semantic conventions 1.44.0, `docs/http/http-spans.md` and the `url` registry: values of
//! well-known secret query keys and the userinfo of an authority become `REDACTED`; the keys stay,
//! and are compared case-sensitively. A configured list replaces the default one.

use std::borrow::Cow;

/// The conventions' list.
const DEFAULT_KEYS: [&str; 5] = [
    "X-Amz-Signature",
    "X-Amz-Credential",
    "X-Amz-Security-Token",
    "sig",
    "X-Goog-Signature",
];

/// What stands in place of a secret.
pub(crate) const REDACTED: &[u8] = b"REDACTED";

/// The query keys whose values are secret.
#[derive(Clone, Debug)]
pub struct Redaction {
    keys: Vec<Vec<u8>>,
}

impl Redaction {
    /// Redacts the values of these keys, and of no others.
    pub fn new(keys: Vec<String>) -> Self {
        Self {
            keys: keys.into_iter().map(String::into_bytes).collect(),
        }
    }

    /// A query, without its `?`, with the secrets out.
    pub(crate) fn query<'a>(&self, query: &'a [u8]) -> Cow<'a, [u8]> {
        let secret = |pair: &[u8]| {
            let key = pair.split(|byte| *byte == b'=').next().unwrap_or_default();
            pair.len() > key.len() && self.keys.iter().any(|listed| listed == key)
        };
        if !query.split(|byte| *byte == b'&').any(secret) {
            return Cow::Borrowed(query);
        }
        let mut redacted = Vec::with_capacity(query.len());
        for (at, pair) in query.split(|byte| *byte == b'&').enumerate() {
            if at > 0 {
                redacted.push(b'&');
            }
            if secret(pair) {
                redacted.extend(pair.iter().take_while(|byte| **byte != b'='));
                redacted.push(b'=');
                redacted.extend_from_slice(REDACTED);
            } else {
                redacted.extend_from_slice(pair);
            }
        }
        Cow::Owned(redacted)
    }
}

impl Default for Redaction {
    fn default() -> Self {
        Self::new(DEFAULT_KEYS.map(str::to_owned).to_vec())
    }
}

/// An authority with its userinfo out.
pub(crate) fn authority(authority: &[u8]) -> Cow<'_, [u8]> {
    let Some(at) = authority.iter().rposition(|byte| *byte == b'@') else {
        return Cow::Borrowed(authority);
    };
    let (userinfo, host) = authority.split_at(at);
    let mut redacted = REDACTED.to_vec();
    if userinfo.contains(&b':') {
        redacted.push(b':');
        redacted.extend_from_slice(REDACTED);
    }
    redacted.extend_from_slice(host);
    Cow::Owned(redacted)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn listed_keys_lose_their_values_and_nothing_else_changes() {
        let redaction = Redaction::default();
        let check = |query: &str, expected: &str| {
            let redacted = redaction.query(query.as_bytes());
            assert_eq!(str::from_utf8(&redacted), Ok(expected));
        };
        check("a=1&sig=secret&b=2", "a=1&sig=REDACTED&b=2");
        check("sig=a=b&sig=", "sig=REDACTED&sig=REDACTED");
        check(
            "X-Amz-Credential=x&X-Goog-Signature=y",
            "X-Amz-Credential=REDACTED&X-Goog-Signature=REDACTED",
        );
        check("Sig=kept&sig&signature=kept", "Sig=kept&sig&signature=kept");
        check("", "");
    }

    #[test]
    fn a_configured_list_replaces_the_default() {
        let redaction = Redaction::new(vec!["token".to_owned()]);
        assert_eq!(
            redaction.query(b"token=x&sig=y").as_ref(),
            b"token=REDACTED&sig=y"
        );
    }

    #[test]
    fn userinfo_is_never_shown() {
        assert_eq!(
            authority(b"u:p@host:80").as_ref(),
            b"REDACTED:REDACTED@host:80"
        );
        assert_eq!(authority(b"u@v@host").as_ref(), b"REDACTED@host");
        assert_eq!(authority(b"host").as_ref(), b"host");
    }
}
