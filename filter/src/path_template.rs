//! Path templates, `/items/{id}`: what `http.route` may be made of, and what a sampling rule may
//! match.
//!
//! A variable stands for one segment that is not empty, or, as the last one and written `{name*}`,
//! for all that is left. Matching is by bytes; neither the template nor the path is decoded.

/// A template that is well-formed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PathTemplate {
    text: String,
    segments: Vec<Segment>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Segment {
    Literal(Vec<u8>),
    /// One segment.
    Variable,
    /// All that is left, at least one segment.
    Rest,
}

impl PathTemplate {
    /// Reads a template.
    ///
    /// # Errors
    /// What is wrong with it, for a configuration error.
    pub fn parse(text: &str) -> Result<Self, String> {
        let Some(path) = text.strip_prefix('/') else {
            return Err(format!(
                "found {text:?}, expected a path that begins with /"
            ));
        };
        let mut segments = Vec::new();
        for segment in path.split('/') {
            if segments.last() == Some(&Segment::Rest) {
                return Err(format!(
                    "found {text:?}, expected a {{name*}} only at the end"
                ));
            }
            segments.push(Segment::parse(segment).ok_or_else(|| {
                format!(
                    "found {segment:?} in {text:?}, expected literal text, {{name}} or {{name*}}"
                )
            })?);
        }
        Ok(Self {
            text: text.to_owned(),
            segments,
        })
    }

    /// The template as it is written.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether a path, without its query, is one of those that the template stands for.
    pub fn matches(&self, path: &[u8]) -> bool {
        let Some(path) = path.strip_prefix(b"/") else {
            return false;
        };
        let mut found = path.split(|byte| *byte == b'/');
        for segment in &self.segments {
            match (segment, found.next()) {
                (Segment::Rest, Some(first)) => return !first.is_empty() || found.next().is_some(),
                (Segment::Literal(literal), Some(text)) if literal == text => {}
                (Segment::Variable, Some(text)) if !text.is_empty() => {}
                _ => return false,
            }
        }
        found.next().is_none()
    }
}

impl Segment {
    fn parse(text: &str) -> Option<Self> {
        let Some(variable) = text.strip_prefix('{') else {
            return (!text.contains(['{', '}'])).then(|| Self::Literal(text.as_bytes().to_vec()));
        };
        let name = variable.strip_suffix('}')?;
        let (name, kind) = match name.strip_suffix('*') {
            Some(name) => (name, Self::Rest),
            None => (name, Self::Variable),
        };
        let legal =
            |character: char| character.is_ascii_alphanumeric() || "_-.".contains(character);
        (!name.is_empty() && name.chars().all(legal)).then_some(kind)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_variable_is_one_segment() {
        let check = |template: &str, path: &str, expected| {
            let parsed = PathTemplate::parse(template).unwrap();
            assert_eq!(
                parsed.matches(path.as_bytes()),
                expected,
                "{template} {path}"
            );
            assert_eq!(parsed.as_str(), template);
        };
        check("/items/{id}", "/items/1", true);
        check("/items/{id}", "/items/", false);
        check("/items/{id}", "/items", false);
        check("/items/{id}", "/items/1/", false);
        check("/items/{id}", "/items/1/x", false);
        check("/items/{id}/x", "/items/1/x", true);
        check("/items/{id}/x", "/items/1/y", false);
        check("/", "/", true);
        check("/", "", false);
        check("/", "/a", false);
        check("/a", "*", false);
        check("/static/{file*}", "/static/a/b.js", true);
        check("/static/{file*}", "/static/", false);
        check("/static/{file*}", "/static", false);
    }

    #[test]
    fn a_template_that_is_not_well_formed_is_refused() {
        for text in [
            "", "items", "/{", "/{}", "/a{b}", "/{a}b", "/{a b}", "/{a*}/b", "/}",
        ] {
            let error = PathTemplate::parse(text).unwrap_err();
            assert!(error.contains("expected"), "{error}");
        }
    }

    proptest::proptest! {
        #[test]
        fn nothing_panics(template: String, path: Vec<u8>) {
            if let Ok(template) = PathTemplate::parse(&template) {
                template.matches(&path);
            }
        }

        #[test]
        fn a_template_without_variables_matches_itself(path in "(/[a-z0-9.]{1,5}){1,5}") {
            proptest::prop_assert!(PathTemplate::parse(&path).unwrap().matches(path.as_bytes()));
        }
    }
}
