//! The request headers that the records are made of.

use crate::pairs::Pairs;

/// The headers of one request, by what they mean here; absent ones are empty. Of a repeated header
/// the first value counts.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Request<'a> {
    pub(crate) method: &'a [u8],
    /// Path and query as they arrived.
    pub(crate) target: &'a [u8],
    pub(crate) authority: &'a [u8],
    pub(crate) scheme: &'a [u8],
    pub(crate) content_type: &'a [u8],
    pub(crate) user_agent: &'a [u8],
    pub(crate) forwarded: &'a [u8],
    pub(crate) forwarded_for: &'a [u8],
    pub(crate) forwarded_host: &'a [u8],
    pub(crate) forwarded_proto: &'a [u8],
    /// The protocol that is asked for in HTTP's place, by `upgrade` or by extended CONNECT.
    pub(crate) upgrade: &'a [u8],
}

impl<'a> Request<'a> {
    /// Picks the headers out of the map.
    pub(crate) fn new(headers: &'a Pairs) -> Self {
        let mut request = Self::default();
        for (name, value) in headers {
            let place = match name {
                b":method" => &mut request.method,
                b":path" => &mut request.target,
                b":authority" => &mut request.authority,
                b":scheme" => &mut request.scheme,
                b"content-type" => &mut request.content_type,
                b"user-agent" => &mut request.user_agent,
                b"forwarded" => &mut request.forwarded,
                b"x-forwarded-for" => &mut request.forwarded_for,
                b"x-forwarded-host" => &mut request.forwarded_host,
                b"x-forwarded-proto" => &mut request.forwarded_proto,
                b"upgrade" | b":protocol" => &mut request.upgrade,
                _ => continue,
            };
            if place.is_empty() {
                *place = value;
            }
        }
        request
    }

    /// The path without the query.
    pub(crate) fn path(&self) -> &'a [u8] {
        self.split_target().0
    }

    /// The query without its `?`.
    pub(crate) fn query(&self) -> &'a [u8] {
        self.split_target().1
    }

    /// The full method of a gRPC request, `package.Service/Method`; `None` if it is none.
    ///
    /// Source: gRPC over HTTP/2, "Requests": POST, and a content type that is `application/grpc`
    /// or begins with it and `+` or `;`.
    pub(crate) fn grpc_method(&self) -> Option<&'a [u8]> {
        let rest = self
            .content_type
            .strip_prefix(b"application/grpc".as_slice())?;
        if self.method != b"POST" || !matches!(rest.first(), None | Some(b'+' | b';')) {
            return None;
        }
        let method = self.path().strip_prefix(b"/")?;
        let slash = method.iter().position(|byte| *byte == b'/')?;
        (0 < slash && slash + 1 < method.len()).then_some(method)
    }

    /// Whether the request, answered with `response_code`, became what is meant to last: an upgrade
    /// or a tunnel that was granted, or gRPC, whose streams look like its unary calls.
    ///
    /// Envoy shows an extended CONNECT as an upgrade of HTTP/1.1, its answer included.
    pub(crate) fn is_stream(&self, response_code: u16) -> bool {
        self.is_switched(response_code) || self.grpc_method().is_some()
    }

    /// Whether the request, answered with `response_code`, became an upgrade or a tunnel: bytes of
    /// another protocol, which go on until a connection is closed.
    pub(crate) fn is_switched(&self, response_code: u16) -> bool {
        let is_upgraded = !self.upgrade.is_empty() && response_code == 101;
        let is_tunnel = self.method == b"CONNECT" && (200..300).contains(&response_code);
        is_upgraded || is_tunnel
    }

    /// Whether this is an OTLP export call. None of them is traced or logged, on any hop: a sidecar
    /// in front of the collector would otherwise make records of the delivery of records.
    pub(crate) fn is_otlp_export(&self) -> bool {
        self.method == b"POST"
            && matches!(
                self.path(),
                b"/opentelemetry.proto.collector.trace.v1.TraceService/Export"
                    | b"/opentelemetry.proto.collector.logs.v1.LogsService/Export"
                    | b"/opentelemetry.proto.collector.metrics.v1.MetricsService/Export"
                    | b"/opentelemetry.proto.collector.profiles.v1development.ProfilesService/Export"
                    | b"/v1/traces"
                    | b"/v1/logs"
                    | b"/v1/metrics"
                    | b"/v1development/profiles"
            )
    }

    fn split_target(&self) -> (&'a [u8], &'a [u8]) {
        match self.target.iter().position(|byte| *byte == b'?') {
            Some(at) => {
                let (path, query) = self.target.split_at(at);
                (path, query.get(1..).unwrap_or_default())
            }
            None => (self.target, &[]),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pairs::tests::pairs;

    fn request<'a>(method: &'a str, target: &'a str, content_type: &'a str) -> Request<'a> {
        Request {
            method: method.as_bytes(),
            target: target.as_bytes(),
            content_type: content_type.as_bytes(),
            ..Request::default()
        }
    }

    #[test]
    fn the_first_value_of_a_header_counts() {
        let headers = pairs(&[
            (b":path", b"/a?b=c?d"),
            (b"x-forwarded-for", b"1.1.1.1"),
            (b"x-forwarded-for", b"2.2.2.2"),
        ]);
        let request = Request::new(&headers);
        assert_eq!(request.forwarded_for, b"1.1.1.1");
        assert_eq!(
            (request.path(), request.query()),
            (b"/a".as_slice(), b"b=c?d".as_slice())
        );
        assert!(request.user_agent.is_empty());
    }

    #[test]
    fn grpc_is_a_post_with_its_content_type_and_a_full_method() {
        let grpc = |method, target, kind| request(method, target, kind).grpc_method();
        assert_eq!(
            grpc("POST", "/a.B/C", "application/grpc"),
            Some(b"a.B/C".as_slice())
        );
        assert_eq!(
            grpc("POST", "/a.B/C", "application/grpc+proto"),
            Some(b"a.B/C".as_slice())
        );
        assert_eq!(grpc("POST", "/a.B/C", "application/grpc-web"), None);
        assert_eq!(grpc("GET", "/a.B/C", "application/grpc"), None);
        for target in ["/a", "/a/", "//b", "*", ""] {
            assert_eq!(grpc("POST", target, "application/grpc"), None, "{target}");
        }
    }

    #[test]
    fn only_what_was_granted_is_meant_to_last() {
        let upgrade = Request {
            method: b"GET",
            upgrade: b"websocket",
            ..Request::default()
        };
        assert!(upgrade.is_stream(101));
        assert!(
            ![0, 200, 403, 503]
                .iter()
                .any(|code| upgrade.is_stream(*code))
        );
        let tunnel = request("CONNECT", "", "");
        assert!(tunnel.is_stream(200));
        assert!(![0, 403, 503].iter().any(|code| tunnel.is_stream(*code)));
        assert!(!request("GET", "/", "").is_stream(101));
        assert!(request("POST", "/a.B/C", "application/grpc").is_stream(0));
    }

    #[test]
    fn export_calls_are_known_by_their_paths() {
        let export = |method, target| request(method, target, "").is_otlp_export();
        assert!(export(
            "POST",
            "/opentelemetry.proto.collector.trace.v1.TraceService/Export"
        ));
        assert!(export("POST", "/v1/logs"));
        assert!(!export("GET", "/v1/logs"));
        assert!(!export("POST", "/v1/logs/x"));
    }
}
