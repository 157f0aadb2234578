//! How a request ended: span status, `error.type`, severity.
//!
//! Source: semantic conventions 1.44.0, "Status" of `docs/http/http-spans.md` and of
//! `docs/rpc/grpc.md`. Two cases are a proxy's own: no response at all is an error, named by
//! Envoy's first response flag, and so is a response that was cut short although its code is good.
//! Upgrades and tunnels are exempt from the latter where their bytes have no other end.

use super::{Side, flags};
use crate::request::Request;
use crate::stream::Attributes;

/// The names of gRPC status codes, by their numbers.
const GRPC_CODES: [&str; 17] = [
    "OK",
    "CANCELLED",
    "UNKNOWN",
    "INVALID_ARGUMENT",
    "DEADLINE_EXCEEDED",
    "NOT_FOUND",
    "ALREADY_EXISTS",
    "PERMISSION_DENIED",
    "RESOURCE_EXHAUSTED",
    "FAILED_PRECONDITION",
    "ABORTED",
    "OUT_OF_RANGE",
    "UNIMPLEMENTED",
    "INTERNAL",
    "UNAVAILABLE",
    "DATA_LOSS",
    "UNAUTHENTICATED",
];

/// The codes that are the server's fault: UNKNOWN, DEADLINE_EXCEEDED, UNIMPLEMENTED, INTERNAL,
/// UNAVAILABLE, DATA_LOSS.
const GRPC_SERVER_ERRORS: [u32; 6] = [2, 4, 12, 13, 14, 15];

/// gRPC's CANCELLED.
const CANCELLED: u32 = 1;
/// gRPC's UNKNOWN.
const UNKNOWN: u32 = 2;

/// How a request ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Outcome {
    /// What `error.type` says; `None` if the span status stays unset.
    pub(crate) error: Option<ErrorType>,
    /// Of the access log record.
    pub(crate) severity: Severity,
}

/// The value of `error.type`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ErrorType {
    /// The HTTP status code.
    Status(u16),
    /// A gRPC code's name, or one of Envoy's response flags.
    Name(&'static str),
}

/// The severities that an access log record has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Severity {
    Info,
    /// The client's fault.
    Warn,
    Error,
}

impl Outcome {
    /// The outcome as one side of the request sees it.
    pub(crate) fn new(side: Side, request: &Request<'_>, attributes: &Attributes<'_>) -> Self {
        let code = attributes.response_code;
        let is_grpc = request.grpc_method().is_some();
        let grpc_status = grpc_status(attributes).filter(|_| is_grpc);
        let error = match grpc_status {
            Some(status) => grpc_error(side, status),
            None if request.is_switched(code) => switched_error(attributes.response_flags),
            None => http_error(side, attributes),
        };
        let client_fault =
            (400..500).contains(&code) || grpc_status.is_some_and(|status| status != 0);
        let severity = match error {
            Some(_) if side == Side::Client && (400..500).contains(&code) => Severity::Warn,
            Some(_) => Severity::Error,
            None if client_fault => Severity::Warn,
            None => Severity::Info,
        };
        Self { error, severity }
    }
}

impl Severity {
    /// `LogRecord.severity_number`.
    pub(crate) fn number(self) -> u64 {
        match self {
            Self::Info => 9,
            Self::Warn => 13,
            Self::Error => 17,
        }
    }

    /// `LogRecord.severity_text`.
    pub(crate) fn text(self) -> &'static str {
        match self {
            Self::Info => "INFO",
            Self::Warn => "WARN",
            Self::Error => "ERROR",
        }
    }
}

/// The gRPC status. Where the response has none, Envoy derives it from the HTTP code, and so calls
/// UNKNOWN what the client has cancelled; its flags tell.
pub(crate) fn grpc_status(attributes: &Attributes<'_>) -> Option<u32> {
    match attributes.grpc_status? {
        UNKNOWN if flags::is_cancelled(attributes.response_flags) => Some(CANCELLED),
        status => Some(status),
    }
}

/// The name of a gRPC status code; a number that is none is UNKNOWN, as gRPC's libraries have it.
pub(crate) fn grpc_code(status: u32) -> &'static str {
    GRPC_CODES
        .get(status as usize)
        .copied()
        .unwrap_or("UNKNOWN")
}

fn grpc_error(side: Side, status: u32) -> Option<ErrorType> {
    let known = if (status as usize) < GRPC_CODES.len() {
        status
    } else {
        2
    };
    let is_error = match side {
        Side::Server => GRPC_SERVER_ERRORS.contains(&known),
        Side::Client => known != 0,
    };
    is_error.then(|| ErrorType::Name(grpc_code(known)))
}

fn http_error(side: Side, attributes: &Attributes<'_>) -> Option<ErrorType> {
    let code = attributes.response_code;
    if code == 0 {
        let flag = flags::names(attributes.response_flags)
            .next()
            .unwrap_or("_OTHER");
        return Some(ErrorType::Name(flag));
    }
    if code >= 500 || code >= 400 && side == Side::Client {
        return Some(ErrorType::Status(code));
    }
    flags::broken(attributes.response_flags)
        .filter(|_| code < 400)
        .map(ErrorType::Name)
}

/// The bytes of an upgrade or a tunnel end with the connection, and a WebSocket's server is to close
/// it first (RFC 6455, section 7.1.1): UC is how that looks to Envoy, and cuts nothing short.
fn switched_error(response_flags: u64) -> Option<ErrorType> {
    flags::broken(response_flags & !flags::UPSTREAM_CLOSED).map(ErrorType::Name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn http(side: Side, response_code: u16, response_flags: u64) -> Outcome {
        let attributes = Attributes {
            response_code,
            response_flags,
            ..Attributes::default()
        };
        Outcome::new(side, &Request::default(), &attributes)
    }

    /// A gRPC call.
    fn call() -> Request<'static> {
        Request {
            method: b"POST",
            target: b"/demo.v1.Inventory/Chat",
            content_type: b"application/grpc",
            ..Request::default()
        }
    }

    fn grpc(side: Side, status: u32) -> Option<ErrorType> {
        let attributes = Attributes {
            response_code: 200,
            grpc_status: Some(status),
            ..Attributes::default()
        };
        Outcome::new(side, &call(), &attributes).error
    }

    #[test]
    fn http_codes_are_errors_by_side() {
        for code in [100, 200, 204, 302, 399] {
            assert_eq!(http(Side::Server, code, 0).error, None);
            assert_eq!(http(Side::Client, code, 0).error, None);
        }
        for code in [400, 404, 499] {
            assert_eq!(http(Side::Server, code, 0).error, None);
            assert_eq!(
                http(Side::Client, code, 0).error,
                Some(ErrorType::Status(code))
            );
            assert_eq!(http(Side::Server, code, 0).severity, Severity::Warn);
            assert_eq!(http(Side::Client, code, 0).severity, Severity::Warn);
        }
        for code in [500, 503, 599] {
            assert_eq!(
                http(Side::Server, code, 0).error,
                Some(ErrorType::Status(code))
            );
            assert_eq!(
                http(Side::Client, code, 0x20).error,
                Some(ErrorType::Status(code))
            );
            assert_eq!(http(Side::Server, code, 0).severity, Severity::Error);
        }
    }

    #[test]
    fn no_response_and_a_broken_one_are_errors_named_by_the_flag() {
        assert_eq!(
            http(Side::Server, 0, 0x4000).error,
            Some(ErrorType::Name("DC"))
        );
        assert_eq!(
            http(Side::Server, 0, 0).error,
            Some(ErrorType::Name("_OTHER"))
        );
        assert_eq!(
            http(Side::Server, 200, 0x40).error,
            Some(ErrorType::Name("UC"))
        );
        assert_eq!(http(Side::Server, 200, 0x4000).error, None);
        assert_eq!(http(Side::Server, 404, 0x100).error, None);
    }

    #[test]
    fn an_upgrade_or_a_tunnel_that_the_upstream_closes_is_whole() {
        let websocket = Request {
            method: b"GET",
            upgrade: b"websocket",
            ..Request::default()
        };
        let tunnel = Request {
            method: b"CONNECT",
            ..Request::default()
        };
        for (request, response_code) in [(&websocket, 101), (&tunnel, 200)] {
            let error = |response_flags| {
                let attributes = Attributes {
                    response_code,
                    response_flags,
                    ..Attributes::default()
                };
                Outcome::new(Side::Server, request, &attributes).error
            };
            assert_eq!(error(0x40), None);
            assert_eq!(error(0x4000), None);
            // A timeout is still one.
            assert_eq!(error(0x40 | 0x10000), Some(ErrorType::Name("SI")));
        }
        // What was asked to become an upgrade and did not is a response as any other.
        let attributes = Attributes {
            response_code: 200,
            response_flags: 0x40,
            ..Attributes::default()
        };
        let refused = Outcome::new(Side::Server, &websocket, &attributes);
        assert_eq!(refused.error, Some(ErrorType::Name("UC")));
    }

    #[test]
    fn grpc_codes_are_errors_by_side() {
        let errors = |side| {
            (0..18)
                .filter(|status| grpc(side, *status).is_some())
                .collect::<Vec<_>>()
        };
        assert_eq!(errors(Side::Server), [2, 4, 12, 13, 14, 15, 17]);
        assert_eq!(errors(Side::Client), (1..18).collect::<Vec<_>>());
        assert_eq!(grpc(Side::Client, 5), Some(ErrorType::Name("NOT_FOUND")));
        assert_eq!(grpc(Side::Client, 99), Some(ErrorType::Name("UNKNOWN")));
    }

    #[test]
    fn a_call_that_the_client_cancels_is_no_fault_of_the_server() {
        let attributes = Attributes {
            response_code: 200,
            response_flags: 0x4000,
            grpc_status: Some(2),
            ..Attributes::default()
        };
        assert_eq!(Outcome::new(Side::Server, &call(), &attributes).error, None);
        let client = Outcome::new(Side::Client, &call(), &attributes);
        assert_eq!(client.error, Some(ErrorType::Name("CANCELLED")));
    }

    #[test]
    fn a_grpc_request_without_a_grpc_status_is_judged_by_its_http_code() {
        let attributes = Attributes {
            response_code: 503,
            ..Attributes::default()
        };
        let outcome = Outcome::new(Side::Server, &call(), &attributes);
        assert_eq!(outcome.error, Some(ErrorType::Status(503)));
    }
}
