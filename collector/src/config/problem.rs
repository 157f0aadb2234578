//! What is wrong with a configuration, and where.

use std::fmt;

use super::Place;

/// One thing that is wrong with a configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Where; absent if a thing is missing altogether.
    pub place: Option<Place>,
    /// The keys that lead there, joined by `::` as in the OpenTelemetry Collector; may be empty.
    pub path: String,
    /// What is wrong, and what was expected.
    pub message: String,
}

/// Everything that is wrong with a configuration, in the order of its places.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Problems(Vec<Problem>);

// === impl Problem ===

impl Problem {
    /// A problem at a place.
    pub fn new(place: &Place, path: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            place: Some(place.clone()),
            path: path.into(),
            message: message.into(),
        }
    }

    /// A problem of the configuration as a whole.
    pub fn general(message: impl Into<String>) -> Self {
        Self {
            place: None,
            path: String::new(),
            message: message.into(),
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(place) = &self.place {
            write!(f, "{place}: ")?;
        }
        if !self.path.is_empty() {
            write!(f, "{}: ", self.path)?;
        }
        f.write_str(&self.message)
    }
}

impl std::error::Error for Problem {}

// === impl Problems ===

impl Problems {
    /// Adds one.
    pub fn push(&mut self, problem: Problem) {
        self.0.push(problem);
    }

    /// Adds those of another part.
    pub fn extend(&mut self, others: Self) {
        self.0.extend(others.0);
    }

    /// Notes the problems of a part and returns the part if it has none.
    pub fn note<T, E: Into<Self>>(&mut self, part: Result<T, E>) -> Option<T> {
        match part {
            Ok(part) => Some(part),
            Err(problems) => {
                self.extend(problems.into());
                None
            }
        }
    }

    /// Whether nothing is wrong.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The problems.
    pub fn iter(&self) -> impl Iterator<Item = &Problem> {
        self.0.iter()
    }

    /// `part` if nothing is wrong.
    ///
    /// # Errors
    /// The problems, ordered by place.
    pub fn or<T>(self, part: T) -> Result<T, Self> {
        if self.0.is_empty() {
            return Ok(part);
        }
        Err(self.ordered())
    }

    /// The problems, ordered by place, each once.
    #[must_use]
    pub fn ordered(mut self) -> Self {
        self.0
            .sort_by(|a, b| (&a.place, &a.path, &a.message).cmp(&(&b.place, &b.path, &b.message)));
        self.0.dedup();
        self
    }
}

impl From<Problem> for Problems {
    fn from(problem: Problem) -> Self {
        Self(vec![problem])
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.0.iter().enumerate() {
            if index > 0 {
                f.write_str("\n")?;
            }
            problem.fmt(f)?;
        }
        Ok(())
    }
}

impl std::error::Error for Problems {}
