//! From YAML text to typed options.
//!
//! The way of a configuration: each [`Source`] is parsed into a tree of [`Node`]s that know file, line
//! and column; the trees are merged and `${…}` is expanded ([`Effective`]); [`Document`] splits the tree into its
//! sections; and each component reads its own section into its own type through
//! [`Section::read`]. Whatever is wrong on the way is a [`Problem`] with its place, and all problems
//! of all sections are reported together.
//!
//! The language is the one of the OpenTelemetry Collector. Left out: the providers `http:` and
//! `https:`.

mod byte_size;
mod de;
mod document;
mod duration;
mod effective;
mod enabled;
mod expand;
mod former;
mod id;
mod node;
mod problem;
mod render;
mod secret;
mod secrets;
mod source;
mod suggest;
mod yaml;

pub use self::byte_size::ByteSize;
pub use self::de::Section;
pub use self::document::{Document, Entry, PipelineEntry, Reference};
pub use self::duration::Span;
pub use self::effective::Effective;
pub use self::enabled::enabled;
pub use self::expand::{Environment, ProcessEnvironment};
pub use self::former::Former;
pub use self::id::ComponentId;
pub use self::node::{Node, Place, Value};
pub use self::problem::{Problem, Problems};
pub use self::render::Form;
pub use self::secret::Secret;
pub use self::source::Source;
pub use self::suggest::nearest;

/// The tree of a text, for tests of those who read parts of one.
#[cfg(test)]
pub(crate) fn parse_for_tests(text: &str) -> Node {
    yaml::parse("test.yaml", text).unwrap()
}
