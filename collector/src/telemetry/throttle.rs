//! Messages about what may happen thousands of times in a second.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Lets a message through every ten seconds, and counts what it is about in between.
#[derive(Debug, Default)]
pub struct Throttle(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    last: Option<Instant>,
    unsaid: u64,
}

const INTERVAL: Duration = Duration::from_secs(10);

/// The most of a peer's text that is repeated, in characters.
const MAX_TEXT: usize = 200;

// === impl Throttle ===

impl Throttle {
    /// Counts `amount`; returns everything since the last message if it is time for another one.
    pub fn count(&self, amount: u64) -> Option<u64> {
        self.count_at(amount, Instant::now())
    }

    fn count_at(&self, amount: u64, now: Instant) -> Option<u64> {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        state.unsaid = state.unsaid.saturating_add(amount);
        let early = state
            .last
            .is_some_and(|last| now.saturating_duration_since(last) < INTERVAL);
        if early {
            return None;
        }
        state.last = Some(now);
        Some(std::mem::take(&mut state.unsaid))
    }
}

/// A text of a peer as it can stand in a line of a log: not too long, and without control characters.
pub fn excerpt(text: &str) -> String {
    let mut excerpt = escaped(&text.chars().take(MAX_TEXT).collect::<String>());
    if text.chars().nth(MAX_TEXT).is_some() {
        excerpt.push('…');
    }
    excerpt
}

/// A text without control characters, which could forge lines or change how a terminal shows them.
pub fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        if character.is_control() {
            escaped.extend(character.escape_default());
        } else {
            escaped.push(character);
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_said_is_counted() {
        let throttle = Throttle::default();
        let start = Instant::now();
        assert_eq!(throttle.count_at(5, start), Some(5));
        assert_eq!(throttle.count_at(6, start), None);
        assert_eq!(throttle.count_at(7, start + INTERVAL / 2), None);
        assert_eq!(throttle.count_at(1, start + INTERVAL), Some(14));
        assert_eq!(throttle.count_at(1, start + INTERVAL), None);
    }

    #[test]
    fn texts_of_peers_stay_in_their_line() {
        assert_eq!(excerpt("a\nb\u{1b}[31m"), "a\\nb\\u{1b}[31m");
        assert_eq!(excerpt(&"é".repeat(200)), "é".repeat(200));
        let cut = excerpt(&"é".repeat(1000));
        assert_eq!(cut.chars().count(), 201);
        assert!(cut.ends_with('…'));
    }
}
