//! The hash of the mode `hash_seed`: FNV-1a of 32 bits, of which 14 decide.
//!
//! Source: otelcol's processor of the same name. Collectors of both kinds that share a seed make the
//! same decisions.

use spanmesh_sampling::{Randomness, Threshold};

const BUCKET_BITS: u32 = 14;
const BUCKETS: u32 = 1 << BUCKET_BITS;
/// From 14 bits to the 56 of a threshold.
const SHIFT: u32 = 42;

/// The randomness of a trace id, or of an attribute's value.
pub(super) fn randomness(bytes: &[u8], seed: u32) -> Randomness {
    let hash = fnv_1a(&seed.to_le_bytes(), FNV_OFFSET);
    let hash = fnv_1a(bytes, hash);
    let bucket = u64::from(hash % BUCKETS);
    // The lowest buckets are kept, and of randomness the highest values are.
    let high = u64::from(BUCKETS - 1) - bucket;
    // The bits that decide nothing, in the places that are left.
    let unused = u64::from(hash >> (u32::BITS - BUCKET_BITS));
    let mixed = unused ^ (unused << 10);
    Randomness::from_low_bits((high << SHIFT) | (mixed << BUCKET_BITS) | bucket)
}

/// The threshold of a percentage; `None` if it rounds to nothing.
pub(super) fn threshold(percentage: f32) -> Option<Threshold> {
    // In single precision and rounded down, as it has always been.
    let kept = (percentage * (BUCKETS as f32 / 100.0)) as u32;
    let rejected = BUCKETS
        .checked_sub(kept.min(BUCKETS))
        .filter(|_| kept > 0)?;
    // 14 bits in the front of 56: four digits of hexadecimal.
    let digits = format!("{:04x}", rejected << 2);
    Threshold::parse(digits.as_bytes()).ok()
}

const FNV_OFFSET: u32 = 0x811c_9dc5;
const FNV_PRIME: u32 = 0x0100_0193;

fn fnv_1a(bytes: &[u8], from: u32) -> u32 {
    bytes.iter().fold(from, |hash, byte| {
        (hash ^ u32::from(*byte)).wrapping_mul(FNV_PRIME)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hash_is_fnv_1a() {
        // The vectors of the authors of FNV.
        assert_eq!(fnv_1a(b"", FNV_OFFSET), 0x811c_9dc5);
        assert_eq!(fnv_1a(b"a", FNV_OFFSET), 0xe40c_292c);
        assert_eq!(fnv_1a(b"foobar", FNV_OFFSET), 0xbf9c_f968);
    }

    #[test]
    fn thresholds_have_fourteen_bits() {
        let p = |percentage| threshold(percentage).map(|t| t.to_hex().as_str().to_owned());
        assert_eq!(p(100.0).as_deref(), Some("0"));
        assert_eq!(p(50.0).as_deref(), Some("8"));
        assert_eq!(p(25.0).as_deref(), Some("c"));
        assert_eq!(p(200.0).as_deref(), Some("0"));
        assert_eq!(p(0.001), None);
    }

    #[test]
    fn the_bucket_decides() {
        for seed in [0_u32, 1, 0xdead_beef] {
            for id in 0..2000_u128 {
                let id = id.to_be_bytes();
                let hash = fnv_1a(&id, fnv_1a(&seed.to_le_bytes(), FNV_OFFSET));
                for percentage in [1.0, 10.0, 33.3, 99.9] {
                    let kept = (percentage * (16_384.0 / 100.0_f32)) as u32;
                    let keeps = threshold(percentage).unwrap().keeps(randomness(&id, seed));
                    assert_eq!(keeps, hash & 0x3fff < kept);
                }
            }
        }
    }
}
