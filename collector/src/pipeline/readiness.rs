//! What keeps a running collector from being ready.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

type Condition = Box<dyn Fn() -> bool + Send + Sync>;

/// The conditions under which the collector should get no new clients. Clones share them.
#[derive(Clone, Default)]
pub struct Readiness(Arc<Mutex<Vec<Condition>>>);

// === impl Readiness ===

impl Readiness {
    /// From now on the collector is not ready while `condition` holds.
    pub fn fails_while(&self, condition: impl Fn() -> bool + Send + Sync + 'static) {
        let mut conditions = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        conditions.push(Box::new(condition));
    }

    /// Forgets all conditions, for those of another configuration.
    pub fn clear(&self) {
        let mut conditions = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        conditions.clear();
    }

    /// Whether no condition holds.
    pub fn is_ready(&self) -> bool {
        let conditions = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        !conditions.iter().any(|condition| condition())
    }
}

impl fmt::Debug for Readiness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Readiness").field(&self.is_ready()).finish()
    }
}
