//! Where headers are read from.

use crate::ows;

/// A header map.
pub trait Carrier {
    /// All values of the header `name` (lower case), in the order in which they arrived.
    fn values<'a>(&'a self, name: &str) -> impl Iterator<Item = &'a [u8]>;
}

/// A list of pairs; names match in any case.
impl<N: AsRef<[u8]>, V: AsRef<[u8]>> Carrier for [(N, V)] {
    fn values<'a>(&'a self, name: &str) -> impl Iterator<Item = &'a [u8]> {
        self.iter()
            .filter(move |(key, _)| key.as_ref().eq_ignore_ascii_case(name.as_bytes()))
            .map(|(_, value)| value.as_ref())
    }
}

/// The only value of a header.
pub(crate) enum Single<'a> {
    Absent,
    One(&'a [u8]),
    /// Two or more values: none can be trusted to be the caller's.
    Several,
}

pub(crate) fn single<'a, C: Carrier + ?Sized>(carrier: &'a C, name: &str) -> Single<'a> {
    let mut values = carrier.values(name);
    let Some(first) = values.next() else {
        return Single::Absent;
    };
    if values.next().is_some() {
        Single::Several
    } else {
        Single::One(ows::trim(first))
    }
}
