//! The configuration as it takes effect: sources read, laid over each other, and expanded.

use super::expand::{self, Environment, Expansion};
use super::node::Node;
use super::problem::{Problem, Problems};
use super::render::{self, Form};
use super::secrets;
use super::source::Source;

/// See the module.
#[derive(Clone, Debug)]
pub struct Effective {
    pub(super) root: Node,
    /// What should be changed although it works.
    pub(super) warnings: Vec<String>,
}

// === impl Effective ===

impl Effective {
    /// Reads sources, lays the later ones over the earlier ones, and expands references.
    ///
    /// # Errors
    /// Everything that cannot be read, in all sources.
    pub fn read(sources: &[Source], environment: &dyn Environment) -> Result<Self, Problems> {
        let mut problems = Problems::default();
        let mut root: Option<Node> = None;
        for source in sources {
            let Some(tree) = problems.note(source.read(environment)) else {
                continue;
            };
            match &mut root {
                Some(root) => root.merge(tree),
                None => root = Some(tree),
            }
        }
        let Some(mut root) = root else {
            if problems.is_empty() {
                problems.push(Problem::general("expected at least one configuration file"));
            }
            return Err(problems.ordered());
        };
        let mut expansion = Expansion::default();
        expand::expand(&mut root, environment, &mut expansion);
        problems.extend(expansion.problems);
        problems.or(Self {
            root,
            warnings: expansion.warnings,
        })
    }

    /// The configuration with its secrets masked.
    #[must_use]
    pub fn masked(mut self) -> Self {
        secrets::mask(&mut self.root);
        self
    }

    /// What should be changed although it works.
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }

    /// The configuration as text.
    pub fn render(&self, form: Form) -> String {
        render::render(&self.root, form)
    }
}
