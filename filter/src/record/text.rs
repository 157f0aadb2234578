//! Bytes from the wire as valid, bounded UTF-8.
//!
//! OTLP strings have to be UTF-8, and a receiver may refuse a whole batch for one that is not;
//! header values may hold any byte. What is not UTF-8 becomes U+FFFD, the rest stays; what is
//! longer than the limit is cut at a character boundary.

use std::borrow::Cow;

/// `bytes` as text of at most `limit` bytes.
pub(crate) fn text(bytes: &[u8], limit: usize) -> Cow<'_, str> {
    match str::from_utf8(bytes) {
        Ok(text) => Cow::Borrowed(cut(text, limit)),
        Err(_) => {
            let mut text = String::from_utf8_lossy(bytes).into_owned();
            text.truncate(cut(&text, limit).len());
            Cow::Owned(text)
        }
    }
}

/// What of `bytes` is enough for [`text`] with this limit.
pub(crate) fn cut_for_text(bytes: &[u8], limit: usize) -> &[u8] {
    // What is left of a character at this end lies beyond the limit, and does not become U+FFFD.
    bytes.get(..limit.saturating_add(3)).unwrap_or(bytes)
}

fn cut(text: &str, limit: usize) -> &str {
    if text.len() <= limit {
        return text;
    }
    // A character has at most four bytes, so that one of these is a boundary.
    (0..4)
        .find_map(|back| text.get(..limit.checked_sub(back)?))
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn valid_text_is_borrowed() {
        assert!(matches!(
            text("grüß".as_bytes(), 100),
            Cow::Borrowed("grüß")
        ));
    }

    #[test]
    fn long_text_is_cut_between_characters() {
        assert_eq!(text("aéé".as_bytes(), 4), "aé");
        assert_eq!(text("aéé".as_bytes(), 3), "aé");
        assert_eq!(text("aéé".as_bytes(), 2), "a");
        assert_eq!(text(b"a\xff\xff", 4), "a\u{fffd}");
    }

    #[test]
    fn bad_bytes_cost_only_themselves() {
        assert_eq!(text(b"a\xffb", 100), "a\u{fffd}b");
    }

    proptest::proptest! {
        #[test]
        fn nothing_that_is_cut_before_is_missing(bytes: Vec<u8>, text_before: String, limit in 0usize..40) {
            for bytes in [bytes.as_slice(), text_before.as_bytes()] {
                let cut = cut_for_text(bytes, limit);
                proptest::prop_assert_eq!(text(cut, limit), text(bytes, limit));
            }
        }

        #[test]
        fn the_limit_holds_for_any_bytes(bytes: Vec<u8>, limit in 0usize..40) {
            assert!(text(&bytes, limit).len() <= limit);
        }
    }
}
