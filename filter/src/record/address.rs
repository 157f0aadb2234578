//! Hosts, ports and clients, from authorities and forwarding headers.
//!
//! Source: RFC 3986 §3.2 (authority), RFC 7239 (`Forwarded`), and the semantic conventions on
//! `server.address` and `client.address`: what a proxy in front says goes before what the socket
//! says, and of several clients the left-most is the original one.

use std::net::IpAddr;

use crate::request::Request;

/// A host and, if it is given and valid, a port.
pub(crate) type HostPort<'a> = (&'a [u8], Option<u16>);

/// Splits `host:port`, `[v6]:port` or a bare host; the brackets of an IPv6 address are dropped.
pub(crate) fn host_port(text: &[u8]) -> HostPort<'_> {
    if let Some(rest) = text.strip_prefix(b"[") {
        let Some(end) = rest.iter().position(|byte| *byte == b']') else {
            return (text, None);
        };
        let (host, rest) = rest.split_at(end);
        return (host, rest.strip_prefix(b"]:").and_then(port));
    }
    let mut colons = text
        .iter()
        .enumerate()
        .filter(|(_, byte)| **byte == b':')
        .map(|(at, _)| at);
    match (colons.next(), colons.next()) {
        (Some(at), None) => {
            let (host, rest) = text.split_at(at);
            (host, rest.get(1..).and_then(port))
        }
        // No colon: a bare host. Several: a bare IPv6 address.
        _ => (text, None),
    }
}

/// The host of an authority, without userinfo and port.
pub(crate) fn host_of(authority: &[u8]) -> &[u8] {
    host_port(without_userinfo(authority)).0
}

/// The server that the client asked for, with its port where one is given or the scheme has one.
pub(crate) fn server<'a>(request: &Request<'a>) -> HostPort<'a> {
    let forwarded = parameter(request.forwarded, b"host");
    let asked = [forwarded, first(request.forwarded_host), request.authority];
    let asked = asked
        .map(without_userinfo)
        .into_iter()
        .find(|host| !host.is_empty())
        .unwrap_or_default();
    let (host, port) = host_port(asked);
    (host, port.or_else(|| default_port(scheme(request))))
}

/// The original client, as far as the headers tell. What is neither an address nor one of RFC 7239's
/// obfuscated identifiers is passed over: the header is anybody's to write.
pub(crate) fn client<'a>(request: &Request<'a>, source_address: &'a [u8]) -> &'a [u8] {
    let forwarded = parameter(request.forwarded, b"for");
    let told = [forwarded, first(request.forwarded_for)].map(|client| host_port(client).0);
    told.into_iter()
        .find(|client| is_client(client))
        .unwrap_or_else(|| host_port(source_address).0)
}

fn is_client(text: &[u8]) -> bool {
    match text.split_first() {
        Some((b'_', name)) => {
            let legal = |byte: &u8| byte.is_ascii_alphanumeric() || b"._-".contains(byte);
            !name.is_empty() && name.iter().all(legal)
        }
        _ => str::from_utf8(text).is_ok_and(|text| text.parse::<IpAddr>().is_ok()),
    }
}

/// The scheme that the client used.
pub(crate) fn scheme<'a>(request: &Request<'a>) -> &'a [u8] {
    let forwarded = parameter(request.forwarded, b"proto");
    let told = [forwarded, first(request.forwarded_proto), request.scheme];
    told.into_iter()
        .find(|scheme| !scheme.is_empty())
        .unwrap_or_default()
}

/// An authority from behind its userinfo on.
pub(crate) fn without_userinfo(authority: &[u8]) -> &[u8] {
    let at = authority
        .iter()
        .rposition(|byte| *byte == b'@')
        .map_or(0, |at| at + 1);
    authority.get(at..).unwrap_or_default()
}

fn default_port(scheme: &[u8]) -> Option<u16> {
    match scheme {
        b"http" => Some(80),
        b"https" => Some(443),
        _ => None,
    }
}

fn port(digits: &[u8]) -> Option<u16> {
    str::from_utf8(digits)
        .ok()
        .filter(|text| !text.starts_with('+'))?
        .parse()
        .ok()
}

/// The first element of a comma-separated list.
fn first(list: &[u8]) -> &[u8] {
    list.split(|byte| *byte == b',')
        .next()
        .unwrap_or_default()
        .trim_ascii()
}

/// A parameter of the first element of a `Forwarded` header, without its quotes.
fn parameter<'a>(forwarded: &'a [u8], name: &[u8]) -> &'a [u8] {
    let mut rest = forwarded;
    while !rest.is_empty() {
        let (pair, separator, after) = split_unquoted(rest);
        let equals = pair
            .iter()
            .position(|byte| *byte == b'=')
            .unwrap_or(pair.len());
        let (found, value) = pair.split_at(equals);
        if found.trim_ascii().eq_ignore_ascii_case(name) {
            let value = value.strip_prefix(b"=").unwrap_or_default().trim_ascii();
            let quoted = value
                .strip_prefix(b"\"")
                .and_then(|rest| rest.strip_suffix(b"\""));
            return quoted.unwrap_or(value);
        }
        if separator != Some(b';') {
            break;
        }
        rest = after;
    }
    &[]
}

/// Splits at the first `;` or `,` that is not within quotes.
fn split_unquoted(text: &[u8]) -> (&[u8], Option<u8>, &[u8]) {
    let mut is_quoted = false;
    for (at, byte) in text.iter().enumerate() {
        match byte {
            b'"' => is_quoted = !is_quoted,
            b';' | b',' if !is_quoted => {
                let (before, rest) = text.split_at(at);
                return (before, Some(*byte), rest.get(1..).unwrap_or_default());
            }
            _ => {}
        }
    }
    (text, None, &[])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_and_ports_come_apart() {
        let check = |text: &str, host: &str, port| {
            assert_eq!(
                host_port(text.as_bytes()),
                (host.as_bytes(), port),
                "{text}"
            );
        };
        check("cart.shop:8080", "cart.shop", Some(8080));
        check("cart", "cart", None);
        check("10.0.0.1:80", "10.0.0.1", Some(80));
        check("[::1]:15006", "::1", Some(15006));
        check("[::1]", "::1", None);
        check("::1", "::1", None);
        check("cart:", "cart", None);
        check("cart:99999", "cart", None);
        check("cart:+80", "cart", None);
        check("[::1", "[::1", None);
        check("", "", None);
    }

    #[test]
    fn what_a_proxy_in_front_says_goes_first() {
        let request = Request {
            authority: b"u:p@inner:8080",
            scheme: b"http",
            forwarded: b"for=\"[2001:db8::1]:4711\";host=outer;proto=https, for=10.0.0.9",
            forwarded_for: b"192.0.2.1, 10.0.0.1",
            forwarded_host: b"middle",
            ..Request::default()
        };
        assert_eq!(server(&request), (b"outer".as_slice(), Some(443)));
        assert_eq!(client(&request, b"10.0.0.2:999"), b"2001:db8::1");
        let request = Request {
            forwarded: b"",
            ..request
        };
        assert_eq!(server(&request), (b"middle".as_slice(), Some(80)));
        assert_eq!(client(&request, b"10.0.0.2:999"), b"192.0.2.1");
        let request = Request {
            forwarded_for: b"",
            forwarded_host: b"",
            ..request
        };
        assert_eq!(server(&request), (b"inner".as_slice(), Some(8080)));
        assert_eq!(client(&request, b"10.0.0.2:999"), b"10.0.0.2");
    }

    #[test]
    fn userinfo_is_no_part_of_a_server_whoever_names_it() {
        let check = |request: &Request<'_>| {
            assert_eq!(server(request), (b"shop".as_slice(), Some(8080)));
        };
        let none = Request::default();
        check(&Request {
            authority: b"u:p@shop:8080",
            ..none
        });
        check(&Request {
            forwarded_host: b"u:p@shop:8080, b",
            ..none
        });
        check(&Request {
            forwarded: b"host=\"u:p@shop:8080\"",
            ..none
        });
    }

    #[test]
    fn a_client_that_is_no_address_is_passed_over() {
        let client_of = |forwarded_for: &str, forwarded: &str| {
            let request = Request {
                forwarded: forwarded.as_bytes(),
                forwarded_for: forwarded_for.as_bytes(),
                ..Request::default()
            };
            String::from_utf8(client(&request, b"10.0.0.2:999").to_vec()).unwrap()
        };
        assert_eq!(client_of("1.1.1.1 - admin [x] GET", ""), "10.0.0.2");
        assert_eq!(client_of("unknown", ""), "10.0.0.2");
        assert_eq!(client_of("::1", "for=unknown"), "::1");
        assert_eq!(client_of("", "for=_hidden-1.x"), "_hidden-1.x");
        assert_eq!(client_of("", "for=_"), "10.0.0.2");
        assert_eq!(client_of("192.0.2.1:80", ""), "192.0.2.1");
    }

    #[test]
    fn separators_in_quotes_do_not_separate() {
        let host = |forwarded: &[u8]| parameter(forwarded, b"host").to_vec();
        assert_eq!(host(b"for=a;host=\"a,b;c\";proto=http, host=d"), b"a,b;c");
        assert_eq!(host(b"for=a, host=d"), b"");
        assert_eq!(host(b"HOST = x"), b"x");
        assert_eq!(host(b"host"), b"");
    }

    proptest::proptest! {
        #[test]
        fn no_bytes_panic(text: Vec<u8>) {
            let request = Request { forwarded: &text, authority: &text, ..Request::default() };
            let _ = (server(&request), client(&request, &text), scheme(&request));
        }
    }
}
