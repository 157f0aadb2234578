//! Lower-case hexadecimal, by table.

const INVALID: u8 = 0xff;

/// The value of each byte as a lower-case hex digit.
#[expect(clippy::indexing_slicing, reason = "evaluated by the compiler")]
const VALUES: [u8; 256] = {
    let mut values = [INVALID; 256];
    let mut byte = 0;
    while byte < 256 {
        values[byte] = match byte as u8 {
            digit @ b'0'..=b'9' => digit - b'0',
            letter @ b'a'..=b'f' => letter - b'a' + 10,
            _ => INVALID,
        };
        byte += 1;
    }
    values
};

/// Decodes exactly `2 * N` lower-case digits.
#[inline]
pub(crate) fn decode<const N: usize>(digits: &[u8]) -> Option<[u8; N]> {
    if digits.len() != 2 * N {
        return None;
    }
    let mut bytes = [0; N];
    // One test at the end instead of one per digit: an invalid digit sets the high bits.
    let mut seen = 0;
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
        let &[high, low] = pair else { return None };
        let (high, low) = (value(high), value(low));
        seen |= high | low;
        *byte = (high << 4) | (low & 0x0f);
    }
    (seen & 0xf0 == 0).then_some(bytes)
}

/// Writes the digits of `bytes`, as far as `out` has room for both digits of a byte.
#[inline]
pub(crate) fn encode(bytes: &[u8], out: &mut [u8]) {
    for (byte, pair) in bytes.iter().zip(out.chunks_exact_mut(2)) {
        if let [high, low] = pair {
            *high = digit(byte >> 4);
            *low = digit(byte & 0x0f);
        }
    }
}

#[inline]
fn value(digit: u8) -> u8 {
    // The table has an entry for every byte, so the default is never taken.
    VALUES.get(usize::from(digit)).copied().unwrap_or(INVALID)
}

#[inline]
fn digit(nibble: u8) -> u8 {
    if nibble < 10 {
        b'0' + nibble
    } else {
        b'a' + (nibble - 10)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_lower_case_digits_of_the_exact_length_decode() {
        assert_eq!(decode::<2>(b"0aF0"), None);
        assert_eq!(decode::<2>(b"0af"), None);
        assert_eq!(decode::<2>(b"0af00"), None);
        assert_eq!(decode::<2>(b"0af0"), Some([0x0a, 0xf0]));
    }

    #[test]
    fn every_byte_is_a_digit_or_is_refused() {
        for byte in 0..=u8::MAX {
            let expected = match byte {
                b'0'..=b'9' => Some([byte - b'0']),
                b'a'..=b'f' => Some([byte - b'a' + 10]),
                _ => None,
            };
            assert_eq!(decode::<1>(&[b'0', byte]), expected, "{byte:#x}");
        }
    }

    proptest::proptest! {
        #[test]
        fn decode_reverses_encode(bytes: [u8; 8]) {
            let mut digits = [0; 16];
            encode(&bytes, &mut digits);
            proptest::prop_assert_eq!(decode(&digits), Some(bytes));
        }
    }
}
