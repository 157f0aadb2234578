//! Certificates and keys as PEM, in a file or in the configuration itself.

use std::path::{Path, PathBuf};

use rustls::RootCertStore;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use serde::{Deserialize, Deserializer, de};

use super::expiry::{Expiry, Role};
use crate::config::Secret;

/// Where PEM comes from.
#[derive(Clone, Debug)]
pub(super) enum Pem {
    /// A file.
    File(PathBuf),
    /// The value of this key.
    Text(&'static str, Secret),
}

/// A certificate and its key.
#[derive(Clone, Debug)]
pub(super) struct Identity {
    certificate: Pem,
    key: Pem,
}

// === impl Pem ===

impl Pem {
    /// What one of two keys names; `None` if both are absent.
    ///
    /// # Errors
    /// Both are there.
    pub(super) fn new(
        (file_key, file): (&'static str, Option<&PathBuf>),
        (text_key, text): (&'static str, Option<&Secret>),
    ) -> Result<Option<Self>, String> {
        match (file, text) {
            (Some(_), Some(_)) => Err(format!(
                "expected \"{file_key}\" or \"{text_key}\", but found both"
            )),
            (Some(file), None) => Ok(Some(Self::File(file.clone()))),
            (None, Some(text)) => Ok(Some(Self::Text(text_key, text.clone()))),
            (None, None) => Ok(None),
        }
    }

    pub(super) fn file(&self) -> Option<&Path> {
        match self {
            Self::File(file) => Some(file),
            Self::Text(..) => None,
        }
    }

    /// Adds every certificate to those that are believed, and says when the last of them expires.
    ///
    /// # Errors
    /// A sentence that says what is wrong, and where.
    pub(super) fn add_to(&self, roots: &mut RootCertStore) -> Result<Option<Expiry>, String> {
        let certificates = self.certificates()?;
        let expiry = Expiry::of(Role::Authority, self.name(), &certificates);
        for certificate in certificates {
            roots
                .add(certificate)
                .map_err(|error| format!("{}: {error}", self.name()))?;
        }
        Ok(expiry)
    }

    /// What it is called in messages.
    pub(super) fn name(&self) -> String {
        match self {
            Self::File(file) => file.display().to_string(),
            Self::Text(key, _) => format!("\"{key}\""),
        }
    }

    fn certificates(&self) -> Result<Vec<CertificateDer<'static>>, String> {
        let fail = |error: &dyn std::fmt::Display| {
            format!("expected certificates in {}: {error}", self.name())
        };
        let bytes = self.read().map_err(|error| fail(&error))?;
        let certificates: Vec<_> = CertificateDer::pem_slice_iter(&bytes)
            .collect::<Result<_, _>>()
            .map_err(|error| fail(&error))?;
        if certificates.is_empty() {
            return Err(fail(&"there is none"));
        }
        Ok(certificates)
    }

    fn key(&self) -> Result<PrivateKeyDer<'static>, String> {
        let fail = |error: &dyn std::fmt::Display| {
            format!("expected a private key in {}: {error}", self.name())
        };
        let bytes = self.read().map_err(|error| fail(&error))?;
        PrivateKeyDer::from_pem_slice(&bytes).map_err(|error| fail(&error))
    }

    fn read(&self) -> std::io::Result<Vec<u8>> {
        match self {
            Self::File(file) => std::fs::read(file),
            Self::Text(_, text) => Ok(text.expose().as_bytes().to_vec()),
        }
    }
}

// === impl Identity ===

impl Identity {
    /// From the options `cert_file`, `cert_pem`, `key_file` and `key_pem`; `None` without any.
    ///
    /// # Errors
    /// A certificate without a key or the reverse, or one of them given twice.
    pub(super) fn new(
        certificate: (Option<&PathBuf>, Option<&Secret>),
        key: (Option<&PathBuf>, Option<&Secret>),
    ) -> Result<Option<Self>, String> {
        let certificate = Pem::new(("cert_file", certificate.0), ("cert_pem", certificate.1))?;
        let key = Pem::new(("key_file", key.0), ("key_pem", key.1))?;
        match (certificate, key) {
            (Some(certificate), Some(key)) => Ok(Some(Self { certificate, key })),
            (None, None) => Ok(None),
            (Some(_), None) => {
                Err("expected \"key_file\" or \"key_pem\" with the certificate".to_owned())
            }
            (None, Some(_)) => {
                Err("expected \"cert_file\" or \"cert_pem\" with the key".to_owned())
            }
        }
    }

    pub(super) fn name(&self) -> String {
        self.certificate.name()
    }

    pub(super) fn files(&self) -> impl Iterator<Item = PathBuf> {
        [self.certificate.file(), self.key.file()]
            .into_iter()
            .flatten()
            .map(Path::to_owned)
    }

    /// Reads both.
    ///
    /// # Errors
    /// A sentence that says what is wrong, and where.
    pub(super) fn read(
        &self,
    ) -> Result<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>), String> {
        Ok((self.certificate.certificates()?, self.key.key()?))
    }

    /// When the first of `certificates`, which were read from it, expires.
    pub(super) fn expiry(&self, certificates: &[CertificateDer<'_>]) -> Option<Expiry> {
        Expiry::of(Role::Certificate, self.name(), certificates)
    }
}

/// For `#[serde(deserialize_with)]`: the name of a file that holds certificates, so that one that does
/// not is found where it is named. An empty name stands for none.
///
/// # Errors
/// It holds none, or cannot be read.
pub(super) fn certificate_file<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<PathBuf>, D::Error> {
    checked(deserializer, |pem| pem.certificates().map(drop))
}

/// The same for a key.
///
/// # Errors
/// It holds none, or cannot be read.
pub(super) fn key_file<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<PathBuf>, D::Error> {
    checked(deserializer, |pem| pem.key().map(drop))
}

fn checked<'de, D: Deserializer<'de>>(
    deserializer: D,
    check: impl Fn(&Pem) -> Result<(), String>,
) -> Result<Option<PathBuf>, D::Error> {
    let path = PathBuf::deserialize(deserializer)?;
    if path.as_os_str().is_empty() {
        return Ok(None);
    }
    check(&Pem::File(path.clone())).map_err(de::Error::custom)?;
    Ok(Some(path))
}
