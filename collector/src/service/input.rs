//! What a configuration is read from, and whether it has changed since.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use super::plan::Plan;
use crate::config::{Effective, Environment, Problems, ProcessEnvironment, Source};

/// The sources of a configuration.
#[derive(Clone, Debug)]
pub struct Input {
    sources: Vec<Source>,
}

/// What the files of a configuration held when they were read. A file that could not be read is
/// `None`.
///
/// Compared by content: a Kubernetes ConfigMap changes by a symbolic link to another folder, and an
/// editor may write a new file in the place of the old one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Files(BTreeMap<PathBuf, Option<String>>);

/// An environment that notes which files are read.
struct Recorder {
    files: RefCell<Files>,
}

// === impl Input ===

impl Input {
    /// The values of `--config` and of `--set`, which lie over all of the former; `default` is read
    /// if there is no `--config`.
    ///
    /// # Errors
    /// Everything that names no source.
    pub fn new(
        locations: &[String],
        assignments: &[String],
        default: &str,
    ) -> Result<Self, Problems> {
        let mut problems = Problems::default();
        let mut sources = Vec::new();
        if locations.is_empty() {
            sources.push(Source::text("default configuration", default));
        }
        for location in locations {
            sources.extend(problems.note(Source::parse(location)));
        }
        for assignment in assignments {
            sources.extend(problems.note(Source::set(assignment)));
        }
        problems.or(Self { sources })
    }

    /// Reads the configuration as it takes effect.
    ///
    /// # Errors
    /// Everything that cannot be read.
    pub fn effective(&self) -> Result<Effective, Problems> {
        Effective::read(&self.sources, &ProcessEnvironment)
    }

    /// Reads the configuration, and says what its files held.
    pub fn plan(&self) -> (Result<Plan, Problems>, Files) {
        let recorder = Recorder {
            files: RefCell::default(),
        };
        let plan = Effective::read(&self.sources, &recorder).and_then(Plan::new);
        (plan, recorder.files.into_inner())
    }
}

// === impl Files ===

impl Files {
    /// Reads the same files again.
    #[must_use]
    pub fn again(&self) -> Self {
        let paths = self.0.keys();
        Self(
            paths
                .map(|path| (path.clone(), ProcessEnvironment.file(path).ok()))
                .collect(),
        )
    }

    /// Whether there is none: a configuration from elsewhere cannot be watched.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

// === impl Recorder ===

impl Environment for Recorder {
    fn variable(&self, name: &str) -> Option<String> {
        ProcessEnvironment.variable(name)
    }

    fn file(&self, path: &Path) -> io::Result<String> {
        let read = ProcessEnvironment.file(path);
        let content = read.as_ref().ok().cloned();
        self.files.borrow_mut().0.insert(path.to_owned(), content);
        read
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::service::DEFAULT_CONFIG;

    #[test]
    fn files_are_watched_by_what_they_hold() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        // As Kubernetes lays out a ConfigMap.
        for (version, verbosity) in [("v1", "basic"), ("v2", "normal")] {
            std::fs::create_dir(at(version)).unwrap();
            let text = format!("verbosity: {verbosity}\n");
            std::fs::write(at(version).join("debug.yaml"), text).unwrap();
            let config = DEFAULT_CONFIG.replace(
                "debug:\n    verbosity: normal",
                &format!("debug: ${{file:{}}}", at("debug.yaml").display()),
            );
            std::fs::write(at(version).join("c.yaml"), config).unwrap();
        }
        let link = |version: &str| {
            let _ = std::fs::remove_file(at("data"));
            std::os::unix::fs::symlink(version, at("data")).unwrap();
        };
        link("v1");
        for name in ["c.yaml", "debug.yaml"] {
            std::os::unix::fs::symlink(format!("data/{name}"), at(name)).unwrap();
        }
        let location = at("c.yaml").to_str().unwrap().to_owned();
        let input = Input::new(&[location], &[], "").unwrap();
        let (plan, files) = input.plan();
        plan.unwrap();
        assert_eq!(files.0.len(), 2);
        assert_eq!(files.again(), files);
        link("v2");
        assert_ne!(files.again(), files);
        std::fs::remove_file(at("data")).unwrap();
        assert!(files.again().0.values().all(Option::is_none));
    }

    #[test]
    fn everything_that_names_no_source_is_found() {
        let wrong = [String::from("https://x"), String::from("s3:x")];
        let problems = Input::new(&wrong, &["x".to_owned()], "").unwrap_err();
        assert_eq!(problems.iter().count(), 3);
    }
}
