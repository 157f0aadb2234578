//! `tls` of receivers and exporters, on rustls.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::server::WebPkiClientVerifier;
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, ServerConfig, SignatureScheme};
use serde::{Deserialize, Deserializer, de};

/// `tls` of an exporter.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct ClientTlsOptions {
    /// No TLS at all.
    pub insecure: bool,
    /// TLS, but whoever answers is believed.
    pub insecure_skip_verify: bool,
    /// Authorities to believe instead of the system's, PEM.
    #[serde(deserialize_with = "optional_certificates")]
    pub ca_file: Option<PathBuf>,
    /// The certificate to show, PEM.
    #[serde(deserialize_with = "optional_certificates")]
    pub cert_file: Option<PathBuf>,
    /// Its key, PEM.
    #[serde(deserialize_with = "optional_key")]
    pub key_file: Option<PathBuf>,
    /// The name that the certificate of the other side has to have, instead of the host's.
    pub server_name_override: Option<String>,
}

/// `tls` of a receiver.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct ServerTlsOptions {
    /// The certificate to show, PEM.
    #[serde(deserialize_with = "certificates")]
    pub cert_file: PathBuf,
    /// Its key, PEM.
    #[serde(deserialize_with = "key")]
    pub key_file: PathBuf,
    /// If set, clients have to show a certificate of one of these authorities, PEM.
    #[serde(default, deserialize_with = "optional_certificates")]
    pub client_ca_file: Option<PathBuf>,
}

// === impl ClientTlsOptions ===

impl ClientTlsOptions {
    /// Reads the files and makes the configuration of rustls, with ALPN for `protocols`.
    ///
    /// # Errors
    /// A file is unreadable or holds nothing useful; a sentence that names it.
    pub fn build(&self, protocols: &[&str]) -> Result<Arc<ClientConfig>, String> {
        let provider = Arc::new(ring::default_provider());
        let builder = ClientConfig::builder_with_provider(provider.clone())
            .with_safe_default_protocol_versions()
            .map_err(|error| error.to_string())?;
        let builder = if self.insecure_skip_verify {
            builder
                .dangerous()
                .with_custom_certificate_verifier(Arc::new(BelieveAnyone(provider)))
        } else {
            builder.with_root_certificates(self.roots()?)
        };
        let mut config = match (&self.cert_file, &self.key_file) {
            (Some(certificate), Some(key)) => builder
                .with_client_auth_cert(read_certificates(certificate)?, read_key(key)?)
                .map_err(|error| format!("{}: {error}", certificate.display()))?,
            (None, None) => builder.with_no_client_auth(),
            _ => return Err("expected \"cert_file\" and \"key_file\" together".to_owned()),
        };
        config.alpn_protocols = protocols
            .iter()
            .map(|name| name.as_bytes().to_vec())
            .collect();
        Ok(Arc::new(config))
    }

    fn roots(&self) -> Result<RootCertStore, String> {
        let mut roots = RootCertStore::empty();
        match &self.ca_file {
            Some(file) => add_roots(&mut roots, file)?,
            None => {
                let system = rustls_native_certs::load_native_certs();
                roots.add_parsable_certificates(system.certs);
                if roots.is_empty() {
                    return Err(
                        "the system has no certificate authorities; expected \"ca_file\""
                            .to_owned(),
                    );
                }
            }
        }
        Ok(roots)
    }
}

// === impl ServerTlsOptions ===

impl ServerTlsOptions {
    /// Reads the files and makes the configuration of rustls, with ALPN for `protocols`.
    ///
    /// # Errors
    /// A file is unreadable or holds nothing useful; a sentence that names it.
    pub fn build(&self, protocols: &[&str]) -> Result<Arc<ServerConfig>, String> {
        let provider = Arc::new(ring::default_provider());
        let builder = ServerConfig::builder_with_provider(provider.clone())
            .with_safe_default_protocol_versions()
            .map_err(|error| error.to_string())?;
        let builder = match &self.client_ca_file {
            None => builder.with_no_client_auth(),
            Some(file) => {
                let mut roots = RootCertStore::empty();
                add_roots(&mut roots, file)?;
                let verifier =
                    WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider)
                        .build()
                        .map_err(|error| format!("{}: {error}", file.display()))?;
                builder.with_client_cert_verifier(verifier)
            }
        };
        let mut config = builder
            .with_single_cert(
                read_certificates(&self.cert_file)?,
                read_key(&self.key_file)?,
            )
            .map_err(|error| format!("{}: {error}", self.cert_file.display()))?;
        config.alpn_protocols = protocols
            .iter()
            .map(|name| name.as_bytes().to_vec())
            .collect();
        Ok(Arc::new(config))
    }
}

/// For `insecure_skip_verify`.
#[derive(Debug)]
struct BelieveAnyone(Arc<CryptoProvider>);

impl ServerCertVerifier for BelieveAnyone {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

/// The name of a file that holds certificates. It is read again when they are used.
fn certificates<'de, D: Deserializer<'de>>(deserializer: D) -> Result<PathBuf, D::Error> {
    let path = PathBuf::deserialize(deserializer)?;
    read_certificates(&path).map_err(de::Error::custom)?;
    Ok(path)
}

/// The name of a file that holds a key.
fn key<'de, D: Deserializer<'de>>(deserializer: D) -> Result<PathBuf, D::Error> {
    let path = PathBuf::deserialize(deserializer)?;
    read_key(&path).map_err(de::Error::custom)?;
    Ok(path)
}

/// The same; an empty name stands for none.
fn optional_certificates<'de, D>(deserializer: D) -> Result<Option<PathBuf>, D::Error>
where
    D: Deserializer<'de>,
{
    optional(deserializer, |path| read_certificates(path).map(drop))
}

/// The same; an empty name stands for none.
fn optional_key<'de, D>(deserializer: D) -> Result<Option<PathBuf>, D::Error>
where
    D: Deserializer<'de>,
{
    optional(deserializer, |path| read_key(path).map(drop))
}

fn optional<'de, D: Deserializer<'de>>(
    deserializer: D,
    read: impl Fn(&Path) -> Result<(), String>,
) -> Result<Option<PathBuf>, D::Error> {
    let path = PathBuf::deserialize(deserializer)?;
    if path.as_os_str().is_empty() {
        return Ok(None);
    }
    read(&path).map_err(de::Error::custom)?;
    Ok(Some(path))
}

fn add_roots(roots: &mut RootCertStore, file: &Path) -> Result<(), String> {
    for certificate in read_certificates(file)? {
        roots
            .add(certificate)
            .map_err(|error| format!("{}: {error}", file.display()))?;
    }
    Ok(())
}

fn read_certificates(file: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let fail = |error: &dyn std::fmt::Display| {
        format!("expected certificates in {}: {error}", file.display())
    };
    let certificates: Vec<_> = CertificateDer::pem_file_iter(file)
        .map_err(|error| fail(&error))?
        .collect::<Result<_, _>>()
        .map_err(|error| fail(&error))?;
    if certificates.is_empty() {
        return Err(fail(&"there is none"));
    }
    Ok(certificates)
}

fn read_key(file: &Path) -> Result<PrivateKeyDer<'static>, String> {
    PrivateKeyDer::from_pem_file(file)
        .map_err(|error| format!("expected a private key in {}: {error}", file.display()))
}
