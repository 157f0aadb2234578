//! When certificates expire, as a metric.
//!
//! It is about what is in use: files that have changed count from when they have been read again. Keys
//! have no end, and neither have authorities of the system that we could name.

use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::CertificateDer;
use x509_cert::Certificate;
use x509_cert::der::Decode as _;

use crate::telemetry::Registry;
use crate::transport::reload::Reloading;

/// What a value was made of, for the metric.
pub(super) type Expiries = Vec<Expiry>;

/// When certificates of one file, or of one key in the configuration, are no longer valid.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Expiry {
    role: Role,
    /// The file, or the key in quotation marks.
    name: String,
    /// Since 1970.
    at: Duration,
}

/// What certificates are there for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    /// To be shown to the other side.
    Certificate,
    /// To check what the other side shows.
    Authority,
}

/// Who uses certificates, as labels of the metric.
#[derive(Clone, Copy, Debug)]
pub struct TlsUser<'a> {
    /// As in `receiver:otlp`.
    pub component: &'a str,
    /// `grpc` or `http`.
    pub transport: &'a str,
}

/// A value with the certificates that it was made of.
#[derive(Debug)]
pub(super) struct Certified<T> {
    pub(super) config: Arc<T>,
    pub(super) expiries: Expiries,
}

// === impl Role ===

impl Role {
    const fn name(self) -> &'static str {
        match self {
            Self::Certificate => "certificate",
            Self::Authority => "authority",
        }
    }

    /// A chain is good for nothing as soon as one of its certificates has expired; of several authorities
    /// the old ones may expire while newer ones are there.
    fn decisive(self, ends: impl Iterator<Item = Duration>) -> Option<Duration> {
        match self {
            Self::Certificate => ends.min(),
            Self::Authority => ends.max(),
        }
    }
}

// === impl Expiry ===

impl Expiry {
    /// `None` if there is none to be read.
    pub(super) fn of(
        role: Role,
        name: String,
        certificates: &[CertificateDer<'_>],
    ) -> Option<Self> {
        let ends = certificates.iter().filter_map(not_after);
        let at = role.decisive(ends)?;
        Some(Self { role, name, at })
    }
}

fn not_after(certificate: &CertificateDer<'_>) -> Option<Duration> {
    let certificate = Certificate::from_der(certificate).ok()?;
    let validity = certificate.tbs_certificate().validity();
    Some(validity.not_after.to_unix_duration())
}

/// Shows the certificates that `value` has at each reading, for as long as it is there.
pub(super) fn show<T: Send + Sync + 'static>(
    value: &Arc<Reloading<Certified<T>>>,
    user: TlsUser<'_>,
    registry: &Registry,
) {
    for expiry in &value.current().expiries {
        let (role, name) = (expiry.role, expiry.name.clone());
        let labels = [
            ("component", user.component),
            ("transport", user.transport),
            ("role", role.name()),
            ("file", name.as_str()),
        ];
        let value = Arc::downgrade(value);
        let wanted = name.clone();
        registry.gauge_while(
            "spanmesh_tls_certificate_expiry_timestamp_seconds",
            "When a certificate in use is no longer valid, in seconds since 1970: the first of a chain, \
             the last of several authorities.",
            &labels,
            move || {
                let current = value.upgrade()?.current();
                let same = |one: &&Expiry| one.role == role && one.name == wanted;
                let expiry = current.expiries.iter().find(same)?;
                Some(expiry.at.as_secs_f64())
            },
        );
    }
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, KeyPair, date_time_ymd};

    use super::*;

    fn certificate(year: i32) -> CertificateDer<'static> {
        let mut params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
        params.not_before = date_time_ymd(2000, 1, 1);
        params.not_after = date_time_ymd(year, 1, 1);
        let key = KeyPair::generate().unwrap();
        params.self_signed(&key).unwrap().der().clone()
    }

    #[test]
    fn a_chain_ends_with_its_first_certificate_and_authorities_with_their_last() {
        // The later one is beyond what UTCTime can say, and so in the other form of RFC 5280.
        let certificates = [certificate(2033), certificate(2051)];
        let of = |role| Expiry::of(role, String::new(), &certificates).map(|one| one.at.as_secs());
        assert_eq!(of(Role::Certificate), Some(1_988_150_400));
        assert_eq!(of(Role::Authority), Some(2_556_144_000));
    }

    #[test]
    fn what_is_no_certificate_has_no_end() {
        let nothing = [CertificateDer::from(vec![0x30, 0x00])];
        assert_eq!(Expiry::of(Role::Certificate, String::new(), &nothing), None);
    }
}
