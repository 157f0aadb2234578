//! `baggage`, W3C Baggage: reading single entries.
//!
//! Members are read one after the other from all `baggage` headers, in order; nothing is collected.
//! A value is percent-decoded; what is not UTF-8 after that becomes U+FFFD, as the specification
//! wants it. A `%` without two digits stays.
//!
//! Left out: writing (a proxy passes baggage on by leaving it alone), and the properties of a
//! member, which describe it and are no part of its value.

use std::borrow::Cow;

use crate::carrier::Carrier;
use crate::{header, ows};

/// The most members that are read: what the specification has everybody pass on.
pub const MAX_MEMBERS: usize = 64;

/// The most bytes of all headers together that are read, commas included; as above.
pub const MAX_BYTES: usize = 8192;

/// A well-formed member of the list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Member<'a> {
    key: &'a str,
    /// Still encoded, `baggage-octet`s only.
    value: &'a str,
}

/// The members of the `baggage` headers, in order; keys may be there several times.
///
/// What is no member is passed over. What is beyond [`MAX_MEMBERS`] or [`MAX_BYTES`] is not read,
/// and no member is read in part.
pub fn members<C: Carrier + ?Sized>(carrier: &C) -> impl Iterator<Item = Member<'_>> {
    // No comma comes after the last member.
    let mut room = MAX_BYTES + 1;
    carrier
        .values(header::BAGGAGE)
        .flat_map(|value| value.split(|byte| *byte == b','))
        .map_while(move |member| {
            room = room.checked_sub(member.len() + 1)?;
            Some(member)
        })
        .filter(|member| !ows::trim(member).is_empty())
        .take(MAX_MEMBERS)
        .filter_map(Member::parse)
}

/// Whether `key` can be the key of a member.
pub fn is_key(key: &str) -> bool {
    !key.is_empty() && key.bytes().all(is_token)
}

// === impl Member ===

impl<'a> Member<'a> {
    /// Reads `key=value;property`.
    fn parse(member: &'a [u8]) -> Option<Self> {
        let member = str::from_utf8(member).ok()?;
        let pair = member.split(';').next()?;
        let (key, value) = pair.split_once('=')?;
        let key = trim(key);
        let value = trim(value);
        (is_key(key) && value.bytes().all(is_octet)).then_some(Self { key, value })
    }

    /// The key, case-sensitive.
    pub const fn key(&self) -> &'a str {
        self.key
    }

    /// The decoded value.
    pub fn value(&self) -> Cow<'a, str> {
        if !self.value.contains('%') {
            return Cow::Borrowed(self.value);
        }
        let mut decoded = Vec::with_capacity(self.value.len());
        let mut rest = self.value.as_bytes();
        while let [byte, after @ ..] = rest {
            let (decoded_byte, after) = match (byte, after) {
                (b'%', [high, low, beyond @ ..]) => match (digit(*high), digit(*low)) {
                    (Some(high), Some(low)) => (high << 4 | low, beyond),
                    _ => (b'%', after),
                },
                (byte, after) => (*byte, after),
            };
            decoded.push(decoded_byte);
            rest = after;
        }
        Cow::Owned(String::from_utf8_lossy(&decoded).into_owned())
    }
}

fn trim(text: &str) -> &str {
    text.trim_matches([' ', '\t'])
}

/// `tchar` of RFC 9110.
fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

/// `baggage-octet`: printable ASCII but for quotes, commas, semicolons and backslashes.
fn is_octet(byte: u8) -> bool {
    byte.is_ascii_graphic() && !b"\",;\\".contains(&byte)
}

/// Percent-encoding has digits in both cases.
fn digit(byte: u8) -> Option<u8> {
    char::from(byte).to_digit(16)?.try_into().ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(values: &[&str]) -> Vec<(String, String)> {
        let headers: Vec<(&str, &str)> = values.iter().map(|value| ("baggage", *value)).collect();
        members(headers.as_slice())
            .map(|member| (member.key().to_owned(), member.value().into_owned()))
            .collect()
    }

    fn check(values: &[&str], expected: &[(&str, &str)]) {
        let found = read(values);
        let found: Vec<(&str, &str)> = found
            .iter()
            .map(|(k, v)| (k.as_str(), v.as_str()))
            .collect();
        assert_eq!(found, expected, "{values:?}");
    }

    #[test]
    fn members_of_all_headers_come_in_order() {
        check(
            &["user=alice,tenant=gold", "user=bob"],
            &[("user", "alice"), ("tenant", "gold"), ("user", "bob")],
        );
        check(&[], &[]);
    }

    #[test]
    fn white_space_and_properties_are_no_part_of_a_value() {
        check(
            &["a =\t1 ; ttl=30;secret , b=2;x, ,c=x=y"],
            &[("a", "1"), ("b", "2"), ("c", "x=y")],
        );
    }

    #[test]
    fn values_are_percent_decoded() {
        check(&["a=gr%C3%BC%c3%9f%20Gott%2C"], &[("a", "grüß Gott,")]);
        check(&["a=1+1", "b="], &[("a", "1+1"), ("b", "")]);
        // What is no UTF-8 is replaced, what is no encoding stays.
        check(
            &["a=x%FFy", "b=100%", "c=%zz%4"],
            &[("a", "x\u{fffd}y"), ("b", "100%"), ("c", "%zz%4")],
        );
    }

    #[test]
    fn what_is_no_member_costs_only_itself() {
        check(
            &["noequals,=1,k ey=1,k=a b,k=a\"b,k=\u{e4},good=1"],
            &[("good", "1")],
        );
    }

    #[test]
    fn what_is_beyond_the_limits_is_not_read() {
        let many: Vec<String> = (0..100).map(|at| format!("k{at}={at}")).collect();
        assert_eq!(read(&[&many.join(",")]).len(), MAX_MEMBERS);
        let long = format!("a=1,b={},c=3", "x".repeat(MAX_BYTES));
        check(&[&long], &[("a", "1")]);
        let whole = format!("a={}", "x".repeat(MAX_BYTES - 2));
        assert_eq!(read(&[&whole]).len(), 1);
        assert!(read(&[&format!("{whole}x")]).is_empty());
    }

    proptest! {
        #[test]
        fn no_bytes_panic(value: Vec<u8>) {
            let headers = [("baggage", value)];
            for member in members(headers.as_slice()) {
                prop_assert!(is_key(member.key()));
                let _ = member.value();
            }
        }

        #[test]
        fn an_encoded_value_comes_back(value: String) {
            let encoded: String = value.bytes().map(|byte| format!("%{byte:02X}")).collect();
            let header = format!("key={encoded}");
            let found = read(&[&header]);
            let expected = (header.len() <= MAX_BYTES).then(|| ("key".to_owned(), value));
            prop_assert_eq!(found, Vec::from_iter(expected));
        }
    }
}
