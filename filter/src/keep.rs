//! Late keep: requests worth a span although their trace is not sampled.
//!
//! Decided at the end of a request, so it is this hop's decision only: the sampled flag that was
//! passed on stays what it was, and the span says by an attribute why it is there. There is no
//! threshold, since nobody knows how likely the span was.

use std::time::Duration;

use crate::record::Ending;

/// What is kept.
#[derive(Clone, Copy, Debug, Default)]
pub struct Keep {
    /// Requests that end in an error.
    pub errors: bool,
    /// Requests that take longer.
    pub slower_than: Option<Duration>,
    /// Whether streams can be slow, too: upgrades, CONNECT and gRPC, which are meant to last.
    pub streams: bool,
}

/// Why a request is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reason {
    Error,
    Slow,
}

impl Keep {
    /// Whether anything may be kept.
    pub(crate) fn is_on(&self) -> bool {
        self.errors || self.slower_than.is_some()
    }

    /// Why this request is kept, if it is.
    pub(crate) fn reason(&self, ending: &Ending) -> Option<Reason> {
        if self.errors && ending.is_error {
            return Some(Reason::Error);
        }
        let is_slow = self
            .slower_than
            .is_some_and(|limit| ending.duration > limit);
        (is_slow && (self.streams || !ending.is_stream)).then_some(Reason::Slow)
    }
}

impl Reason {
    /// The value of `spanmesh.kept`.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Slow => "slow",
        }
    }
}
