//! Proxy-WASM's serialised list of pairs: header maps and CEL lists, which are read in place, the
//! headers of calls, and what is kept of a header map until a request's end.
//!
//! Layout (proxy-wasm-cpp-host, `pairs_util`): `u32 count`, then `count` times `u32 name length,
//! u32 value length`, then all names and values, each followed by a NUL; integers are
//! little-endian. A CEL list arrives as pairs whose values are empty.

use spanmesh_trace_context::Carrier;

/// A list of pairs as the host wrote it. Bytes that do not have the layout read as a shorter list.
#[derive(Clone, Debug, Default)]
pub struct Pairs(Vec<u8>);

/// The pairs of a list, in order; the default one is empty.
#[derive(Clone, Debug, Default)]
pub struct Iter<'a> {
    lengths: &'a [u8],
    data: &'a [u8],
}

/// Encodes a list for a host call.
pub fn encode<T: AsRef<[u8]>>(list: &[(T, T)]) -> Vec<u8> {
    let length = |value: &T| u32::try_from(value.as_ref().len()).unwrap_or(u32::MAX);
    let mut bytes = u32::try_from(list.len())
        .unwrap_or(u32::MAX)
        .to_le_bytes()
        .to_vec();
    for (name, value) in list {
        bytes.extend(length(name).to_le_bytes());
        bytes.extend(length(value).to_le_bytes());
    }
    for (name, value) in list {
        bytes.extend_from_slice(name.as_ref());
        bytes.push(0);
        bytes.extend_from_slice(value.as_ref());
        bytes.push(0);
    }
    bytes
}

impl Pairs {
    /// Takes the host's bytes; nothing is copied.
    pub fn new(bytes: Vec<u8>) -> Self {
        Self(bytes)
    }

    /// Writes pairs; none take no memory.
    pub(crate) fn of(list: &[(&[u8], &[u8])]) -> Self {
        if list.is_empty() {
            Self::default()
        } else {
            Self(encode(list))
        }
    }

    /// The pairs in order.
    pub fn iter(&self) -> Iter<'_> {
        Iter::new(&self.0)
    }

    /// Whether there is nothing in it.
    pub fn is_empty(&self) -> bool {
        self.iter().next().is_none()
    }

    /// How many bytes it takes.
    pub fn size(&self) -> usize {
        self.0.len()
    }

    /// The value of the first pair with this name.
    pub fn get(&self, name: &[u8]) -> Option<&[u8]> {
        self.iter()
            .find(|(key, _)| *key == name)
            .map(|(_, value)| value)
    }
}

impl<'a> Iter<'a> {
    /// Reads a list within other bytes, such as one that is a value of another list.
    pub fn new(bytes: &'a [u8]) -> Self {
        let empty = Iter::default();
        let Some((count, rest)) = bytes.split_first_chunk::<4>() else {
            return empty;
        };
        let lengths = (u32::from_le_bytes(*count) as usize).saturating_mul(8);
        let Some((lengths, data)) = rest.split_at_checked(lengths) else {
            return empty;
        };
        Iter { lengths, data }
    }
}

impl<'a> Iterator for Iter<'a> {
    type Item = (&'a [u8], &'a [u8]);

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        let (name_length, rest) = self.lengths.split_first_chunk::<4>()?;
        let (value_length, rest) = rest.split_first_chunk::<4>()?;
        let (name, data) = split_terminated(self.data, u32::from_le_bytes(*name_length))?;
        let (value, data) = split_terminated(data, u32::from_le_bytes(*value_length))?;
        self.lengths = rest;
        self.data = data;
        Some((name, value))
    }
}

impl<'a> IntoIterator for &'a Pairs {
    type Item = (&'a [u8], &'a [u8]);
    type IntoIter = Iter<'a>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl Carrier for Pairs {
    fn values<'a>(&'a self, name: &str) -> impl Iterator<Item = &'a [u8]> {
        let name = name.as_bytes();
        self.iter()
            .filter(move |(key, _)| *key == name)
            .map(|(_, value)| value)
    }
}

#[inline]
fn split_terminated(data: &[u8], length: u32) -> Option<(&[u8], &[u8])> {
    let (taken, rest) = data.split_at_checked(length as usize)?;
    let (_, rest) = rest.split_first()?;
    Some((taken, rest))
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// Pairs as a host writes them.
    pub(crate) fn pairs(list: &[(&[u8], &[u8])]) -> Pairs {
        Pairs::new(encode(list))
    }

    impl Pairs {
        /// The host's bytes.
        pub(crate) fn into_bytes(self) -> Vec<u8> {
            self.0
        }
    }

    #[test]
    fn pairs_come_back_in_order_with_repeats() {
        let list: &[(&[u8], &[u8])] = &[
            (b":path", b"/a"),
            (b"tracestate", b"a=1"),
            (b"tracestate", b"b=\xff"),
        ];
        let pairs = pairs(list);
        assert!(pairs.iter().eq(list.iter().copied()));
        let name = "tracestate".to_owned();
        assert!(pairs.values(&name).eq([b"a=1".as_slice(), b"b=\xff"]));
        assert_eq!(pairs.get(b":path"), Some(b"/a".as_slice()));
        assert_eq!(pairs.get(b"host"), None);
    }

    #[test]
    fn truncated_pairs_are_a_shorter_list() {
        let whole = pairs(&[(b"a", b"1"), (b"b", b"2")]);
        for length in 0..whole.0.len() {
            let cut = Pairs::new(whole.0.get(..length).unwrap().to_vec());
            assert!(cut.iter().count() < 2, "{length}");
        }
    }

    proptest::proptest! {
        #[test]
        fn no_bytes_panic(bytes: Vec<u8>) {
            let _ = Pairs::new(bytes).iter().count();
        }
    }
}
