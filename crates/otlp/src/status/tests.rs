use std::time::{Duration, SystemTime};

use super::*;
use crate::encode::{put_bytes, put_uint};

fn full() -> Status {
    Status::new(Code::Unavailable, "queue is full")
        .with_retry_delay(Duration::from_millis(1500))
        .with_violation("resource_spans[0]", "expected \"a\", but found b")
        .with_violation("", "")
}

#[test]
fn codes_have_the_numbers_of_grpc() {
    for (number, code) in Code::ALL.into_iter().enumerate() {
        assert_eq!(usize::from(code.number()), number);
        assert_eq!(Code::from_number(number as i64), code);
    }
    for unknown in [-1, 17, i64::MAX] {
        assert_eq!(Code::from_number(unknown), Code::Unknown);
    }
    assert_eq!(Code::DataLoss.to_string(), "DATA_LOSS");
}

#[test]
fn what_is_retryable_in_grpc_is_retryable_in_http() {
    for code in Code::ALL {
        let retryable = http_is_retryable(code.http_status());
        assert_eq!(retryable, code.is_retryable(true), "{code}");
    }
    assert!(!Code::ResourceExhausted.is_retryable(false));
    assert!(Code::Unavailable.is_retryable(false));
}

#[test]
fn only_four_http_statuses_are_retryable() {
    let retryable: Vec<u16> = (100..600).filter(|&s| http_is_retryable(s)).collect();
    assert_eq!(retryable, [429, 502, 503, 504]);
}

#[test]
fn http_statuses_have_codes() {
    let cases = [
        (200, Code::Ok),
        (400, Code::InvalidArgument),
        (401, Code::Unauthenticated),
        (403, Code::PermissionDenied),
        (404, Code::Unimplemented),
        (405, Code::Unimplemented),
        (413, Code::ResourceExhausted),
        (415, Code::InvalidArgument),
        (418, Code::Unknown),
        (429, Code::ResourceExhausted),
        (500, Code::Internal),
        (503, Code::Unavailable),
    ];
    for (status, code) in cases {
        assert_eq!(Code::from_http_status(status), code, "{status}");
    }
}

#[test]
fn a_status_survives_protobuf() {
    for status in [Status::new(Code::Ok, ""), full()] {
        assert_eq!(Status::decode(&status.encode()), Ok(status));
    }
    assert!(full().is_retryable());
}

#[test]
fn a_delay_is_no_longer_than_is_believed() {
    let status = Status::new(Code::Unavailable, "").with_retry_delay(Duration::from_secs(u64::MAX));
    let read = Status::decode(&status.encode()).unwrap();
    let longest = Some(Duration::from_secs(3600));
    assert_eq!(read.retry_delay, longest);
    #[cfg(feature = "json")]
    assert_eq!(
        Status::from_json(&status.to_json()).unwrap().retry_delay,
        longest
    );
}

#[test]
fn a_status_has_the_layout_of_google_rpc() {
    let status = Status::new(Code::ResourceExhausted, "m").with_retry_delay(Duration::from_secs(2));
    let mut expected = vec![0x08, 8, 0x12, 1, b'm'];
    let mut any = Vec::new();
    put_bytes(&mut any, 1, b"type.googleapis.com/google.rpc.RetryInfo");
    put_bytes(&mut any, 2, &[0x0a, 2, 0x08, 2]);
    put_bytes(&mut expected, 3, &any);
    assert_eq!(status.encode(), expected);
}

#[test]
fn odd_statuses_of_a_peer_are_read_as_far_as_possible() {
    let mut status = Vec::new();
    put_uint(&mut status, 1, 99);
    put_bytes(&mut status, 2, b"\xff");
    put_bytes(&mut status, 3, b"\x0a\xff");
    put_bytes(&mut status, 3, b"");
    put_uint(&mut status, 4, 1);
    let read = Status::decode(&status).unwrap();
    assert_eq!(read, Status::new(Code::Unknown, "\u{fffd}"));
    assert!(Status::decode(b"Service Unavailable").is_err());
}

#[test]
fn a_retry_info_without_a_usable_delay_still_permits_a_retry() {
    let cases: &[&[u8]] = &[
        b"",
        &[0x0a, 0],
        // -1 second.
        &[
            0x0a, 11, 0x08, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1,
        ],
    ];
    for content in cases {
        let mut any = Vec::new();
        put_bytes(&mut any, 1, b"example.com/google.rpc.RetryInfo");
        put_bytes(&mut any, 2, content);
        let mut status = vec![0x08, 8];
        put_bytes(&mut status, 3, &any);
        let read = Status::decode(&status).unwrap();
        assert_eq!(read.retry_delay, Some(Duration::ZERO), "{content:x?}");
        assert!(read.is_retryable());
    }
}

#[test]
fn retry_after_is_seconds_or_a_date() {
    let now = SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_770);
    let cases = [
        ("0", Some(0)),
        (" 120 ", Some(120)),
        ("99999999999999999999999", Some(3600)),
        ("18446744073709551615", Some(3600)),
        ("Fri, 31 Dec 9999 23:59:59 GMT", Some(3600)),
        ("Sun, 06 Nov 1994 08:49:37 GMT", Some(7)),
        ("Sunday, 06-Nov-94 08:49:37 GMT", Some(7)),
        ("Sun Nov  6 08:49:37 1994", Some(7)),
        ("Sun, 06 Nov 1994 08:49:00 GMT", Some(0)),
        ("", None),
        ("-1", None),
        ("1.5", None),
        ("soon", None),
    ];
    for (value, expected) in cases {
        let expected = expected.map(Duration::from_secs);
        assert_eq!(retry_after(value, now), expected, "{value}");
    }
}

#[cfg(feature = "json")]
mod json {
    use super::*;

    #[test]
    fn a_status_survives_json() {
        for status in [Status::new(Code::Ok, ""), full()] {
            assert_eq!(Status::from_json(&status.to_json()), Ok(status));
        }
    }

    #[test]
    fn details_are_objects_with_a_type() {
        let status = Status::new(Code::Unavailable, "m").with_retry_delay(Duration::from_secs(2));
        assert_eq!(
            String::from_utf8(status.to_json()).unwrap(),
            concat!(
                r#"{"code":14,"details":[{"@type":"type.googleapis.com/google.rpc.RetryInfo","#,
                r#""retryDelay":"2s"}],"message":"m"}"#
            )
        );
    }

    #[test]
    fn durations_are_seconds_with_a_fraction() {
        let delay = |text: &str| {
            let status = format!(
                r#"{{"details":[{{"@type":"x/google.rpc.RetryInfo","retryDelay":"{text}"}}]}}"#
            );
            Status::from_json(status.as_bytes()).unwrap().retry_delay
        };
        let cases = [
            ("3s", 3_000),
            ("3.5s", 3_500),
            ("0.001s", 1),
            ("-3.5s", 0),
            ("3", 0),
            ("3.0000000001s", 0),
            ("xs", 0),
        ];
        for (text, millis) in cases {
            assert_eq!(delay(text), Some(Duration::from_millis(millis)), "{text}");
        }
    }

    #[test]
    fn odd_statuses_of_a_peer_are_read_as_far_as_possible() {
        let odd = br#"{"code":"x","message":3,"details":[1,{"@type":"y"}],"more":{}}"#;
        assert_eq!(Status::from_json(odd), Ok(Status::new(Code::Ok, "")));
        for none in [&b""[..], b"[]", b"Bad Gateway"] {
            assert!(Status::from_json(none).is_err());
        }
    }
}
