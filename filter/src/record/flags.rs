//! Envoy's response flags, from the bit vector of `response.flags` to their short names.
//!
//! Source: Envoy, `%RESPONSE_FLAGS%` in the access log documentation; the bit of a flag is its
//! place in `envoy/stream_info/stream_info.h`. Flags that come after the last one here, and those
//! that an extension registers, have no bit in this vector.

/// The name of each bit, from the lowest on.
const NAMES: [&str; 30] = [
    "LH", "UH", "UT", "LR", "UR", "UF", "UC", "UO", "NR", "DI", "FI", "RL", "UAEX", "RLSE", "DC",
    "URX", "SI", "IH", "DPE", "UMSDR", "RFCF", "NFCF", "DT", "UPE", "NC", "OM", "DF", "DO", "DR",
    "UDO",
];

/// Flags that say that the response, whatever its code, did not arrive whole: resets, broken
/// connections, timeouts, and protocol errors of the upstream.
const BROKEN: [&str; 10] = [
    "LR", "UR", "UC", "UT", "SI", "UMSDR", "DT", "UPE", "OM", "DPE",
];

/// UC: the upstream closed its connection.
pub(crate) const UPSTREAM_CLOSED: u64 = 1 << 6;

/// The short names of the flags that are set, lowest bit first.
pub(crate) fn names(flags: u64) -> impl Iterator<Item = &'static str> {
    NAMES
        .into_iter()
        .enumerate()
        .filter(move |(bit, _)| flags >> bit & 1 == 1)
        .map(|(_, it)| it)
}

/// The first flag that says that the response was cut short.
pub(crate) fn broken(flags: u64) -> Option<&'static str> {
    names(flags).find(|name| BROKEN.contains(name))
}

/// Whether the client went away: DC, its connection, or DR, its stream.
pub(crate) fn is_cancelled(flags: u64) -> bool {
    names(flags).any(|name| matches!(name, "DC" | "DR"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bits_have_envoys_short_names() {
        let all = |flags| names(flags).collect::<Vec<_>>().join(",");
        assert_eq!(all(0), "");
        assert_eq!(all(0x20 | 0x8000), "UF,URX");
        assert_eq!(all(0x100), "NR");
        assert_eq!(all(0x4000), "DC");
        assert_eq!(all(UPSTREAM_CLOSED), "UC");
        assert_eq!(all(1 << 29), "UDO");
        assert_eq!(all(1 << 30), "");
    }

    #[test]
    fn a_missing_route_is_not_a_broken_response() {
        assert_eq!(broken(0x100), None);
        assert_eq!(broken(0x40 | 0x100), Some("UC"));
    }
}
