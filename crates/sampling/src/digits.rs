//! 56-bit numbers as lower-case hex digits.

/// How many digits 56 bits have.
pub(crate) const DIGITS: usize = 14;

/// Reads 1 to 14 lower-case digits as the left-most ones of 56 bits.
pub(crate) fn parse_left_aligned(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() || digits.len() > DIGITS {
        return None;
    }
    let mut value = 0;
    for digit in digits {
        let nibble = match digit {
            b'0'..=b'9' => digit - b'0',
            b'a'..=b'f' => digit - b'a' + 10,
            _ => return None,
        };
        value = (value << 4) | u64::from(nibble);
    }
    Some(value << (4 * (DIGITS - digits.len())))
}

/// The 14 digits of the low 56 bits.
pub(crate) fn format(value: u64) -> [u8; DIGITS] {
    let mut digits = [b'0'; DIGITS];
    let mut rest = value;
    for digit in digits.iter_mut().rev() {
        let nibble = (rest & 0xf) as u8;
        *digit = if nibble < 10 {
            b'0' + nibble
        } else {
            b'a' + (nibble - 10)
        };
        rest >>= 4;
    }
    digits
}
