//! The names of components: `type` or `type/name`.

use std::fmt;

/// The name of a component in a configuration.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ComponentId {
    /// Which component, as in `otlp_grpc`.
    pub kind: String,
    /// Which of several of that kind; absent in most configurations.
    pub name: Option<String>,
}

// === impl ComponentId ===

impl ComponentId {
    /// Reads `type` or `type/name`, blanks around the slash allowed.
    ///
    /// # Errors
    /// A sentence that says what is wrong.
    pub fn parse(text: &str) -> Result<Self, String> {
        let (kind, name) = match text.split_once('/') {
            Some((kind, name)) => (kind.trim(), Some(name.trim())),
            None => (text.trim(), None),
        };
        let valid_kind = kind.starts_with(|c: char| c.is_ascii_alphabetic())
            && kind.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
        if !valid_kind {
            return Err(format!(
                "expected a component as in \"otlp\" or \"otlp/name\", but found {text:?}"
            ));
        }
        if name.is_some_and(|name| name.is_empty() || name.chars().any(char::is_control)) {
            return Err(format!("expected a name behind the slash of {text:?}"));
        }
        Ok(Self {
            kind: kind.to_owned(),
            name: name.map(str::to_owned),
        })
    }
}

impl fmt::Display for ComponentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.kind)?;
        match &self.name {
            Some(name) => write!(f, "/{name}"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_have_a_kind_and_maybe_a_name() {
        let p = |text| ComponentId::parse(text).map(|id| id.to_string());
        assert_eq!(p("otlp"), Ok("otlp".to_owned()));
        assert_eq!(p("otlp / two"), Ok("otlp/two".to_owned()));
        assert!(p("").is_err());
        assert!(p("1x").is_err());
        assert!(p("otlp/").is_err());
        assert!(p("/x").is_err());
    }
}
