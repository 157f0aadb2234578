//! What is negotiated: versions, cipher suites, curves.

use std::sync::Arc;

use rustls::crypto::{CryptoProvider, SupportedKxGroup, ring};
use rustls::version::{TLS12, TLS13};
use rustls::{NamedGroup, SupportedCipherSuite, SupportedProtocolVersion};
use serde::Deserialize;

/// A version of TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
pub(super) enum Version {
    /// RFC 5246.
    #[serde(rename = "1.2")]
    Tls12,
    /// RFC 8446.
    #[serde(rename = "1.3")]
    Tls13,
}

/// Both sides' choice.
#[derive(Clone, Debug)]
pub(super) struct Parameters {
    pub(super) provider: Arc<CryptoProvider>,
    pub(super) versions: Vec<&'static SupportedProtocolVersion>,
}

// === impl Parameters ===

impl Parameters {
    /// # Errors
    /// A name that is not known, or no version at all.
    pub(super) fn new(
        min: Option<Version>,
        max: Option<Version>,
        cipher_suites: &[String],
        curves: &[String],
    ) -> Result<Self, String> {
        let mut provider = ring::default_provider();
        if !cipher_suites.is_empty() {
            provider.cipher_suites = chosen_suites(&provider.cipher_suites, cipher_suites)?;
        }
        if !curves.is_empty() {
            provider.kx_groups = chosen_groups(&provider.kx_groups, curves)?;
        }
        Ok(Self {
            provider: Arc::new(provider),
            versions: versions(min, max)?,
        })
    }
}

fn versions(
    min: Option<Version>,
    max: Option<Version>,
) -> Result<Vec<&'static SupportedProtocolVersion>, String> {
    let (min, max) = (min.unwrap_or(Version::Tls12), max.unwrap_or(Version::Tls13));
    match (min, max) {
        (Version::Tls12, Version::Tls13) => Ok(vec![&TLS13, &TLS12]),
        (Version::Tls12, Version::Tls12) => Ok(vec![&TLS12]),
        (Version::Tls13, Version::Tls13) => Ok(vec![&TLS13]),
        (Version::Tls13, Version::Tls12) => {
            Err("expected \"max_version\" not to be below \"min_version\"".to_owned())
        }
    }
}

/// The suites of TLS 1.2 that are named, and all of TLS 1.3: as in Go, the option is not about those.
fn chosen_suites(
    available: &[SupportedCipherSuite],
    names: &[String],
) -> Result<Vec<SupportedCipherSuite>, String> {
    let name_of = |suite: &SupportedCipherSuite| format!("{:?}", suite.suite());
    let is_old = |suite: &&SupportedCipherSuite| suite.tls13().is_none();
    let mut chosen: Vec<_> = available.iter().filter(|s| !is_old(s)).copied().collect();
    for name in names {
        let suite = available.iter().filter(is_old);
        let Some(suite) = suite.clone().find(|suite| name_of(suite) == *name) else {
            let known: Vec<_> = suite.map(name_of).collect();
            let known = known.join(", ");
            return Err(format!(
                "cipher_suites: expected some of {known}, but found {name:?}"
            ));
        };
        chosen.push(*suite);
    }
    Ok(chosen)
}

fn chosen_groups(
    available: &[&'static dyn SupportedKxGroup],
    names: &[String],
) -> Result<Vec<&'static dyn SupportedKxGroup>, String> {
    let mut chosen = Vec::new();
    for name in names {
        let group = match name.as_str() {
            "X25519" => Some(NamedGroup::X25519),
            "P256" => Some(NamedGroup::secp256r1),
            "P384" => Some(NamedGroup::secp384r1),
            _ => None,
        };
        let found = available.iter().find(|known| Some(known.name()) == group);
        chosen.push(*found.ok_or_else(|| {
            format!("curve_preferences: expected some of X25519, P256, P384, but found {name:?}")
        })?);
    }
    Ok(chosen)
}

/// Names of protocols as ALPN has them.
pub(super) fn alpn(protocols: &[&str]) -> Vec<Vec<u8>> {
    let names = protocols.iter().map(|name| name.as_bytes().to_vec());
    names.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_a_range() {
        let count = |min, max| versions(min, max).map(|versions| versions.len());
        assert_eq!(count(None, None), Ok(2));
        assert_eq!(count(Some(Version::Tls13), None), Ok(1));
        assert_eq!(count(None, Some(Version::Tls12)), Ok(1));
        assert!(count(Some(Version::Tls13), Some(Version::Tls12)).is_err());
    }

    #[test]
    fn suites_and_curves_have_their_names_in_go() {
        let p = |suites: &[&str], curves: &[&str]| {
            let owned = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
            let (suites, curves): (Vec<String>, Vec<String>) = (owned(suites), owned(curves));
            Parameters::new(None, None, &suites, &curves)
        };
        let one = p(&["TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256"], &["P256"]).unwrap();
        assert_eq!(one.provider.cipher_suites.len(), 4, "one and those of 1.3");
        assert_eq!(one.provider.kx_groups.len(), 1);
        assert!(p(&["TLS_RSA_WITH_RC4_128_SHA"], &[]).is_err());
        assert!(p(&[], &["P521"]).is_err());
    }
}
