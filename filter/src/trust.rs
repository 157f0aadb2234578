//! What is believed of a context that a request brings.
//!
//! A proxy at the boundary of a trust domain cannot let strangers decide which traces are kept, or
//! put their requests into the traces of others. The first entry whose condition holds says what is
//! done; without one the context is continued.

use crate::condition::Condition;
use crate::host::Host;
use crate::stats::Stats;

/// What is done with an incoming context.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Action {
    /// Trace and decision go on.
    #[default]
    Continue,
    /// A new trace begins, with a link to the old context; what is left of foreign formats goes.
    Restart,
    /// The trace goes on, and the decision is made here; also about debug.
    IgnoreSampling,
}

/// The boundary, as it is configured.
#[derive(Debug, Default)]
pub struct Trust {
    pub(crate) entries: Vec<Entry>,
}

/// One case of the boundary.
#[derive(Debug)]
pub(crate) struct Entry {
    /// Without a condition it is about every request.
    pub(crate) when: Option<Condition>,
    pub(crate) action: Action,
    /// Whether `baggage` ends here.
    pub(crate) strips_baggage: bool,
}

/// What the boundary says about one request.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Passage {
    pub(crate) action: Action,
    pub(crate) strips_baggage: bool,
}

impl Trust {
    /// Judges the current request.
    pub(crate) fn judge(&self, host: &impl Host, stats: &Stats) -> Passage {
        let mut entries = self.entries.iter();
        let found = entries.find(|it| it.when.as_ref().is_none_or(|it| it.holds(host, stats)));
        found.map_or_else(Passage::default, |entry| Passage {
            action: entry.action,
            strips_baggage: entry.strips_baggage,
        })
    }
}
