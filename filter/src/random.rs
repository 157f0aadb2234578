//! Random numbers for ids and jitter.
//!
//! One xoshiro256++ generator per VM, seeded once with 32 bytes of the host's randomness: ids have
//! to be unique and evenly spread (W3C Trace Context Level 2, the random flag), not secret, and a
//! host call for each would cost more than all the rest of making an id. Never from the clock:
//! workers start at the same instant.

use std::cell::RefCell;
use std::rc::Rc;

use rand_xoshiro::Xoshiro256PlusPlus;
use rand_xoshiro::rand_core::{Rng, SeedableRng};
use spanmesh_trace_context::{SpanId, TraceId};

/// A VM's generator. Clones draw from the same sequence.
#[derive(Clone, Debug)]
pub struct Random(Rc<RefCell<Xoshiro256PlusPlus>>);

impl Random {
    /// A generator whose sequence follows from `seed`.
    pub fn new(seed: [u8; 32]) -> Self {
        Self(Rc::new(RefCell::new(Xoshiro256PlusPlus::from_seed(seed))))
    }

    /// 64 random bits.
    pub fn next(&self) -> u64 {
        self.0.borrow_mut().next_u64()
    }

    /// A new trace id; all of its 16 bytes are random.
    pub fn trace_id(&self) -> TraceId {
        loop {
            let bits = u128::from(self.next()) << 64 | u128::from(self.next());
            if let Some(id) = TraceId::from_bytes(bits.to_be_bytes()) {
                return id;
            }
        }
    }

    /// A new span id.
    pub fn span_id(&self) -> SpanId {
        loop {
            if let Some(id) = SpanId::from_bytes(self.next().to_be_bytes()) {
                return id;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn clones_never_draw_the_same_id() {
        let random = Random::new([7; 32]);
        let clone = random.clone();
        let ids: HashSet<_> = (0..1000)
            .flat_map(|_| [random.span_id(), clone.span_id()])
            .map(|id| *id.as_bytes())
            .collect();
        assert_eq!(ids.len(), 2000);
    }

    #[test]
    fn another_seed_is_another_sequence() {
        assert_ne!(
            Random::new([1; 32]).trace_id().as_bytes(),
            Random::new([2; 32]).trace_id().as_bytes()
        );
    }

    #[test]
    fn every_bit_of_a_trace_id_varies() {
        let random = Random::new([3; 32]);
        let (mut ones, mut zeros) = (0u128, 0u128);
        for _ in 0..200 {
            let id = u128::from_be_bytes(*random.trace_id().as_bytes());
            ones |= id;
            zeros |= !id;
        }
        assert_eq!((ones, zeros), (u128::MAX, u128::MAX));
    }
}
