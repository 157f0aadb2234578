//! What of a request's headers is kept until its end.
//!
//! A header map may have 60 KiB and a proxy a hundred thousand open streams, so of each only the
//! values that the records need are kept, cut, in one allocation; and all of them together are
//! within a budget of the VM. Over it nothing is kept, and the records are made of what Envoy still
//! has of the request at its end, after other filters and the route have changed it.

use crate::capture::Captured;
use crate::export::Budget;
use crate::record::cut_for_text;
use crate::request::Request;

/// What a VM may keep for its open streams, in bytes: about 100,000 usual ones.
const MAX_KEPT: usize = 32 * 1024 * 1024;
/// How many values a [`Request`] has.
const VALUES: usize = 11;

/// The kept values of one request.
#[derive(Debug)]
pub(crate) struct Kept {
    /// All values, one after the other.
    values: Box<[u8]>,
    /// In bytes; a value is cut long before this type ends.
    lengths: [u32; VALUES],
    captured: Captured,
    /// Where the memory is counted.
    budget: Budget,
}

impl Kept {
    /// Keeps the values of a request, each cut at what the records can use of it; `None` if there
    /// is no room.
    pub(crate) fn new(
        request: &Request<'_>,
        captured: Captured,
        value_limit: usize,
        budget: &Budget,
    ) -> Option<Self> {
        let values = values(&Request {
            // Path and query are two attributes.
            target: cut_for_text(request.target, 2 * value_limit),
            method: cut_for_text(request.method, value_limit),
            authority: cut_for_text(request.authority, value_limit),
            scheme: cut_for_text(request.scheme, value_limit),
            content_type: cut_for_text(request.content_type, value_limit),
            user_agent: cut_for_text(request.user_agent, value_limit),
            forwarded: cut_for_text(request.forwarded, value_limit),
            forwarded_for: cut_for_text(request.forwarded_for, value_limit),
            forwarded_host: cut_for_text(request.forwarded_host, value_limit),
            forwarded_proto: cut_for_text(request.forwarded_proto, value_limit),
            upgrade: cut_for_text(request.upgrade, value_limit),
        });
        let lengths = values.map(<[u8]>::len);
        if !budget.take(lengths.iter().sum::<usize>() + captured.size(), MAX_KEPT) {
            return None;
        }
        Some(Self {
            values: values.concat().into(),
            lengths: lengths.map(|length| length as u32),
            captured,
            budget: budget.clone(),
        })
    }

    /// What was captured of the request.
    pub(crate) fn captured(&self) -> &Captured {
        &self.captured
    }

    /// The request, as far as it was kept.
    pub(crate) fn request(&self) -> Request<'_> {
        let mut rest = &*self.values;
        let [
            method,
            target,
            authority,
            scheme,
            content_type,
            user_agent,
            forwarded,
            forwarded_for,
            forwarded_host,
            forwarded_proto,
            upgrade,
        ] = self.lengths.map(|length| {
            let (value, after) = rest.split_at_checked(length as usize).unwrap_or_default();
            rest = after;
            value
        });
        Request {
            method,
            target,
            authority,
            scheme,
            content_type,
            user_agent,
            forwarded,
            forwarded_for,
            forwarded_host,
            forwarded_proto,
            upgrade,
        }
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        self.budget
            .give_back(self.values.len() + self.captured.size());
    }
}

/// The values of a request, in a fixed order.
fn values<'a>(request: &Request<'a>) -> [&'a [u8]; VALUES] {
    [
        request.method,
        request.target,
        request.authority,
        request.scheme,
        request.content_type,
        request.user_agent,
        request.forwarded,
        request.forwarded_for,
        request.forwarded_host,
        request.forwarded_proto,
        request.upgrade,
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pairs::tests::pairs;

    const NAMES: [&[u8]; VALUES] = [
        b":method",
        b":path",
        b":authority",
        b":scheme",
        b"content-type",
        b"user-agent",
        b"forwarded",
        b"x-forwarded-for",
        b"x-forwarded-host",
        b"x-forwarded-proto",
        b"upgrade",
    ];

    #[test]
    fn a_kept_request_has_the_values_of_the_headers() {
        let list: Vec<(&[u8], &[u8])> = NAMES.iter().map(|name| (*name, *name)).collect();
        let headers = pairs(&list);
        let kept = Kept::new(
            &Request::new(&headers),
            Captured::default(),
            100,
            &Budget::default(),
        )
        .unwrap();
        assert_eq!(values(&kept.request()), NAMES);
        assert_eq!(values(&kept.request()), values(&Request::new(&headers)));
    }

    #[test]
    fn values_are_cut_and_the_memory_is_counted_until_the_end() {
        let long = [b'a'; 5000];
        let headers = pairs(&[
            (b":path", &long),
            (b"user-agent", &long),
            (b"x-other", &long),
        ]);
        let budget = Budget::default();
        let kept = Kept::new(&Request::new(&headers), Captured::default(), 1000, &budget).unwrap();
        assert_eq!(
            (kept.request().target.len(), kept.request().user_agent.len()),
            (2003, 1003)
        );
        assert_eq!(budget.held(), 3006);
        drop(kept);
        assert_eq!(budget.held(), 0);
    }

    #[test]
    fn no_character_is_broken() {
        let agent = "\u{1f980}".repeat(10);
        let headers = pairs(&[(b"user-agent", agent.as_bytes())]);
        let request = Request::new(&headers);
        let kept = Kept::new(&request, Captured::default(), 19, &Budget::default()).unwrap();
        let agent = kept.request().user_agent;
        assert_eq!(crate::record::text(agent, 19), "\u{1f980}".repeat(4));
    }

    #[test]
    fn without_room_nothing_is_kept() {
        let budget = Budget::default();
        assert!(budget.take(MAX_KEPT - 3, MAX_KEPT));
        let headers = pairs(&[(b":path", b"/long")]);
        assert!(Kept::new(&Request::new(&headers), Captured::default(), 1000, &budget).is_none());
        assert_eq!(budget.held(), MAX_KEPT - 3);
    }
}
