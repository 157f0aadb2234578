//! What must not be shown: values of keys whose names say that they are secret, headers, and
//! passwords in URLs.

use super::node::{Node, Value};

/// What stands for a secret, as in the OpenTelemetry Collector.
const MASK: &str = "[REDACTED]";

/// Keys whose values are secret, whatever is in them.
const SECRET_KEYS: [&str; 15] = [
    "authorization",
    "cookie",
    "credentials",
    "headers",
    "htpasswd",
    "key_pem",
    "passphrase",
    "passwd",
    "password",
    "private_key",
    "response_headers",
    "secret",
    "token",
    "tokens",
    "api_key",
];

/// Ends of keys whose values are secret, as in `client_secret`.
const SECRET_ENDS: [&str; 9] = [
    "_api_key",
    "_key_pem",
    "_password",
    "_passphrase",
    "_secret",
    "_token",
    "_secret_key",
    "_access_key",
    "_private_key",
];

/// Replaces every secret in the tree.
pub(super) fn mask(node: &mut Node) {
    match &mut node.value {
        Value::Mapping(entries) => {
            for (key, value) in entries {
                if is_secret(&key.text) {
                    mask_all(value);
                } else {
                    mask(value);
                }
            }
        }
        Value::Sequence(items) => items.iter_mut().for_each(mask),
        Value::Scalar { text, .. } => {
            if let Some(masked) = without_password(text) {
                *text = masked;
                node.original = None;
            }
        }
    }
}

fn is_secret(key: &str) -> bool {
    let key = key.to_ascii_lowercase().replace('-', "_");
    SECRET_KEYS.contains(&key.as_str()) || SECRET_ENDS.iter().any(|end| key.ends_with(end))
}

fn mask_all(node: &mut Node) {
    if node.is_null() {
        return;
    }
    match &mut node.value {
        Value::Mapping(entries) => {
            for (key, value) in entries {
                // The name of a file is not what is in it.
                match key.text.as_str() {
                    "file" | "filename" => {}
                    _ => mask_all(value),
                }
            }
        }
        Value::Sequence(items) => items.iter_mut().for_each(mask_all),
        Value::Scalar { text, plain } => {
            MASK.clone_into(text);
            *plain = false;
            node.original = None;
        }
    }
}

/// `scheme://user:password@host` without its password; `None` if it has none.
fn without_password(text: &str) -> Option<String> {
    let (scheme, rest) = text.split_once("://")?;
    let authority = rest.split(['/', '?', '#']).next()?;
    let (user, _) = authority.rsplit_once('@')?;
    let rest = &rest[user.len()..];
    let name = user.split(':').next().unwrap_or_default();
    Some(format!("{scheme}://{name}:{MASK}{rest}"))
}

#[cfg(test)]
mod tests {
    use super::super::render::{Form, render};
    use super::super::yaml;
    use super::*;

    #[test]
    fn secrets_are_masked_and_nothing_else() {
        let text = "exporters:
  otlp_grpc:
    endpoint: https://user:hidden@host:4317/x?a=b
    headers:
      authorization: Bearer hidden
      x-tenant: hidden
    tls:
      key_file: /etc/key.pem
      key_pem: hidden
extensions:
  bearertokenauth:
    filename: /etc/token
    token: hidden
    tokens: [hidden, hidden]
  basicauth:
    htpasswd:
      file: /etc/htpasswd
      inline: a:hidden
    client_auth:
      username: me
      password: hidden
processors:
  attributes:
    actions: [{key: a, action: insert, value: shown}]
  batch:
    metadata_keys: [x-token]
";
        let mut node = yaml::parse("c.yaml", text).unwrap();
        mask(&mut node);
        let shown = render(&node, Form::Yaml);
        assert!(!shown.contains("hidden"), "{shown}");
        assert_eq!(shown.matches(MASK).count(), 9, "{shown}");
        for part in [
            "https://user:[REDACTED]@host:4317/x?a=b",
            "/etc/key.pem",
            "/etc/token",
            "/etc/htpasswd",
            "username: me",
            "value: shown",
            "x-token",
        ] {
            assert!(shown.contains(part), "{part} not in {shown}");
        }
    }

    #[test]
    fn what_comes_from_variables_is_masked_as_well() {
        let mut node = yaml::parse("c.yaml", "token: 12").unwrap();
        let Value::Mapping(entries) = &mut node.value else {
            panic!()
        };
        entries[0].1.original = Some("012".to_owned());
        mask(&mut node);
        assert_eq!(render(&node, Form::Yaml), "token: \"[REDACTED]\"\n");
    }
}
