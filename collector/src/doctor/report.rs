//! What is printed, and what the exit status says.

use std::fmt;

/// What was found at every collector, in the order in which they were named.
#[derive(Debug)]
pub struct Report(Vec<(String, Diagnosis)>);

/// What it all comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verdict {
    /// Nothing is wrong.
    Well,
    /// Some collector could not be looked at.
    Unknown,
    /// Something is wrong.
    Ill,
}

/// What was found at one collector.
#[derive(Debug)]
pub(super) enum Diagnosis {
    /// It was looked at.
    Examined {
        findings: Vec<Finding>,
        /// A sentence about it.
        summary: String,
    },
    /// It could not be, for this reason.
    Unknown(String),
}

/// One thing about a collector.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Finding {
    /// Whether something has to be done.
    is_problem: bool,
    /// What it is.
    what: String,
    /// What can be done.
    advice: String,
}

// === impl Report ===

impl Report {
    pub(super) fn new(found: Vec<(String, Diagnosis)>) -> Self {
        Self(found)
    }

    /// The worst of all.
    pub fn verdict(&self) -> Verdict {
        let verdicts = self.0.iter().map(|(_, diagnosis)| diagnosis.verdict());
        verdicts.max().unwrap_or(Verdict::Unknown)
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (host, diagnosis) in &self.0 {
            match diagnosis {
                Diagnosis::Unknown(reason) => writeln!(f, "{host}: cannot tell: {reason}")?,
                Diagnosis::Examined { findings, summary } => {
                    let problems = findings.iter().filter(|one| one.is_problem).count();
                    match problems {
                        0 => write!(f, "{host}: nothing is wrong")?,
                        1 => write!(f, "{host}: one thing is wrong")?,
                        many => write!(f, "{host}: {many} things are wrong")?,
                    }
                    match summary.is_empty() {
                        true => writeln!(f)?,
                        false => writeln!(f, " ({summary})")?,
                    }
                    for finding in findings {
                        finding.fmt(f)?;
                    }
                }
            }
        }
        Ok(())
    }
}

// === impl Verdict ===

impl Verdict {
    /// As an exit status.
    pub const fn code(self) -> u8 {
        match self {
            Self::Well => 0,
            Self::Ill => 1,
            Self::Unknown => 2,
        }
    }
}

// === impl Diagnosis ===

impl Diagnosis {
    fn verdict(&self) -> Verdict {
        match self {
            Self::Unknown(_) => Verdict::Unknown,
            Self::Examined { findings, .. } if findings.iter().any(|one| one.is_problem) => {
                Verdict::Ill
            }
            Self::Examined { .. } => Verdict::Well,
        }
    }
}

// === impl Finding ===

impl Finding {
    pub(super) fn problem(what: String, advice: impl Into<String>) -> Self {
        Self {
            is_problem: true,
            what,
            advice: advice.into(),
        }
    }

    pub(super) fn note(what: String, advice: impl Into<String>) -> Self {
        Self {
            is_problem: false,
            what,
            advice: advice.into(),
        }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mark = if self.is_problem { "wrong" } else { "note" };
        writeln!(f, "  {mark}: {}", self.what)?;
        writeln!(f, "    {}", self.advice)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn examined(findings: Vec<Finding>) -> Diagnosis {
        Diagnosis::Examined {
            findings,
            summary: String::new(),
        }
    }

    #[test]
    fn the_worst_decides() {
        let p = |all: Vec<Diagnosis>| {
            let all = all.into_iter().map(|one| (String::new(), one));
            Report::new(all.collect()).verdict().code()
        };
        let note = || examined(vec![Finding::note("a".to_owned(), "b")]);
        let problem = || examined(vec![Finding::problem("a".to_owned(), "b")]);
        let unknown = || Diagnosis::Unknown("c".to_owned());
        assert_eq!(p(vec![note(), examined(Vec::new())]), 0);
        assert_eq!(p(vec![note(), problem(), unknown()]), 1);
        assert_eq!(p(vec![note(), unknown()]), 2);
    }

    #[test]
    fn what_is_wrong_is_said_with_what_to_do() {
        let findings = vec![
            Finding::problem("the queue is full".to_owned(), "Make it larger."),
            Finding::note("it is young".to_owned(), "Wait."),
        ];
        let report = Report::new(vec![
            ("a".to_owned(), examined(findings)),
            ("b".to_owned(), Diagnosis::Unknown("no answer".to_owned())),
        ]);
        assert_eq!(
            report.to_string(),
            "a: one thing is wrong\n  wrong: the queue is full\n    Make it larger.\n  \
             note: it is young\n    Wait.\nb: cannot tell: no answer\n"
        );
    }
}
