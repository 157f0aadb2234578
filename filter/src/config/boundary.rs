//! `trust`: one word, or a list of cases.

use super::ConfigError;
use super::section::Section;
use crate::host::Host;
use crate::trust::{Action, Entry, Trust};

const ACTIONS: [(&str, Action); 3] = [
    ("continue", Action::Continue),
    ("restart", Action::Restart),
    ("ignore_sampling", Action::IgnoreSampling),
];

/// Reads the key out of the document.
#[inline(never)]
pub(super) fn read(document: &mut Section, host: &impl Host) -> Result<Trust, ConfigError> {
    if !document.is_list("trust") {
        let action = document.choice("trust", &ACTIONS)?.unwrap_or_default();
        let entry = Entry {
            when: None,
            action,
            strips_baggage: false,
        };
        return Ok(Trust {
            entries: vec![entry],
        });
    }
    let mut entries = Vec::new();
    for mut case in document.sections("trust")? {
        let when = case.condition("when", host)?;
        let action = case.choice("action", &ACTIONS)?.unwrap_or_default();
        let words = [("continue", false), ("strip", true)];
        let strips_baggage = case.choice("baggage", &words)?.unwrap_or(false);
        case.end()?;
        entries.push(Entry {
            when,
            action,
            strips_baggage,
        });
    }
    Ok(Trust { entries })
}
