//! `tls` of an exporter.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};
use serde::Deserialize;

use super::expiry::{self, Certified, Expiries, TlsUser};
use super::parameters::{Parameters, Version, alpn};
use super::pem::{Identity, Pem, certificate_file, key_file};
use crate::config::{Secret, Span};
use crate::telemetry::Registry;
use crate::transport::reload::Reloading;

/// The options.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct ClientTlsOptions {
    /// No TLS at all.
    pub insecure: bool,
    /// TLS, but whoever answers is believed.
    insecure_skip_verify: bool,
    /// Authorities to believe instead of the system's.
    #[serde(deserialize_with = "certificate_file")]
    ca_file: Option<PathBuf>,
    ca_pem: Option<Secret>,
    /// The system's authorities are believed, too.
    include_system_ca_certs_pool: bool,
    /// The certificate to show.
    #[serde(deserialize_with = "certificate_file")]
    cert_file: Option<PathBuf>,
    cert_pem: Option<Secret>,
    /// Its key.
    #[serde(deserialize_with = "key_file")]
    key_file: Option<PathBuf>,
    key_pem: Option<Secret>,
    min_version: Option<Version>,
    max_version: Option<Version>,
    cipher_suites: Vec<String>,
    curve_preferences: Vec<String>,
    /// How often files are looked at again; 0 for never.
    reload_interval: Span,
    /// The name that the certificate of the other side has to have, instead of the host's.
    pub server_name_override: Option<String>,
}

/// What a client needs for its handshakes. Clones are the same.
#[derive(Clone, Debug)]
pub struct ClientTls(Arc<Reloading<Certified<ClientConfig>>>);

/// What a configuration of rustls is made of.
struct Source {
    parameters: Parameters,
    verify: bool,
    authorities: Option<Pem>,
    system: bool,
    identity: Option<Identity>,
    protocols: Vec<Vec<u8>>,
}

// === impl ClientTlsOptions ===

impl ClientTlsOptions {
    /// Reads the files and makes the configuration of rustls, with ALPN for `protocols`.
    ///
    /// # Errors
    /// A file is unreadable or holds nothing useful, or options contradict each other; a sentence
    /// that names it.
    pub fn build(&self, protocols: &[&str]) -> Result<ClientTls, String> {
        let authorities = Pem::new(
            ("ca_file", self.ca_file.as_ref()),
            ("ca_pem", self.ca_pem.as_ref()),
        )?;
        let identity = Identity::new(
            (self.cert_file.as_ref(), self.cert_pem.as_ref()),
            (self.key_file.as_ref(), self.key_pem.as_ref()),
        )?;
        let source = Source {
            parameters: Parameters::new(
                self.min_version,
                self.max_version,
                &self.cipher_suites,
                &self.curve_preferences,
            )?,
            verify: !self.insecure_skip_verify,
            system: self.include_system_ca_certs_pool || authorities.is_none(),
            authorities,
            identity,
            protocols: alpn(protocols),
        };
        let reload = self.reload_interval.non_zero();
        Reloading::new(source.files(), reload, move || source.make())
            .map(|config| ClientTls(Arc::new(config)))
    }
}

// === impl ClientTls ===

impl ClientTls {
    /// The configuration for the next handshake.
    pub(in crate::transport) fn config(&self) -> Arc<ClientConfig> {
        self.0.current().config.clone()
    }

    /// Shows when its certificates expire.
    pub(in crate::transport) fn show_expiry(&self, user: TlsUser<'_>, registry: &Registry) {
        expiry::show(&self.0, user, registry);
    }
}

// === impl Source ===

impl Source {
    fn files(&self) -> Vec<PathBuf> {
        let authorities = self.authorities.as_ref().and_then(Pem::file);
        let identity = self.identity.iter().flat_map(Identity::files);
        authorities
            .map(Path::to_owned)
            .into_iter()
            .chain(identity)
            .collect()
    }

    fn make(&self) -> Result<Certified<ClientConfig>, String> {
        let mut expiries = Expiries::new();
        let provider = self.parameters.provider.clone();
        let builder = ClientConfig::builder_with_provider(provider.clone())
            .with_protocol_versions(&self.parameters.versions)
            .map_err(|error| error.to_string())?;
        let builder = if self.verify {
            builder.with_root_certificates(self.roots(&mut expiries)?)
        } else {
            builder
                .dangerous()
                .with_custom_certificate_verifier(Arc::new(BelieveAnyone(provider)))
        };
        let mut config = match &self.identity {
            Some(identity) => {
                let (certificates, key) = identity.read()?;
                expiries.extend(identity.expiry(&certificates));
                builder
                    .with_client_auth_cert(certificates, key)
                    .map_err(|error| format!("{}: {error}", identity.name()))?
            }
            None => builder.with_no_client_auth(),
        };
        config.alpn_protocols.clone_from(&self.protocols);
        Ok(Certified {
            config: Arc::new(config),
            expiries,
        })
    }

    fn roots(&self, expiries: &mut Expiries) -> Result<RootCertStore, String> {
        let mut roots = RootCertStore::empty();
        if let Some(authorities) = &self.authorities {
            expiries.extend(authorities.add_to(&mut roots)?);
        }
        if self.system {
            let system = rustls_native_certs::load_native_certs();
            roots.add_parsable_certificates(system.certs);
        }
        if roots.is_empty() {
            return Err(
                "the system has no certificate authorities; expected \"ca_file\"".to_owned(),
            );
        }
        Ok(roots)
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
