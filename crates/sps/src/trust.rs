//! Proves who answers: by a CA, by the system's roots, by one pinned certificate, or, when the
//! operator said so, not at all. The handshake's signature is verified in every case.

use std::collections::HashMap;
use std::io::Read as _;
use std::sync::{Arc, OnceLock, PoisonError, RwLock};

use model::digest::Sha256Hex;
use model::fleet::Trust;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{
    CertificateError, DigitallySignedStruct, Error, OtherError, RootCertStore, SignatureScheme,
};

/// A CA file is not longer, in bytes.
const LONGEST: u64 = 4 << 20;

/// Why an identity cannot be proven at all.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum TrustError {
    #[error("the CA file {path} cannot be read: {why}")]
    Unreadable { path: String, why: String },
    #[error("the CA file {path} is no list of PEM certificates: {why}")]
    Invalid { path: String, why: String },
    #[error("the operating system has no trusted root certificates{why}")]
    NoRoots { why: String },
}

/// What the identity of an appliance is measured against, by value: two appliances with equal
/// measures may share connections' security state, others never.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Measure {
    /// A CA file by its content, so that a changed file is another measure.
    Ca(Sha256Hex),
    Pin(Sha256Hex),
    System,
    Any,
}

/// A measure with what is needed to apply it.
#[derive(Debug, Clone)]
pub(crate) struct Anchor {
    pub(crate) measure: Measure,
    roots: Option<Arc<WebPkiServerVerifier>>,
}

/// Makes anchors; those of CA files and of the system are made once.
#[derive(Debug)]
pub(crate) struct Anchors {
    provider: Arc<CryptoProvider>,
    cas: RwLock<HashMap<Sha256Hex, Arc<WebPkiServerVerifier>>>,
    system: OnceLock<Result<Arc<WebPkiServerVerifier>, TrustError>>,
}

impl Anchors {
    pub(crate) fn new(provider: Arc<CryptoProvider>) -> Self {
        Self { provider, cas: RwLock::default(), system: OnceLock::new() }
    }

    /// The anchor of a trust definition. Reads the CA file, so call it where that may block.
    pub(crate) fn anchor(&self, trust: &Trust) -> Result<Anchor, TrustError> {
        match trust {
            Trust::Pin(pin) => Ok(Anchor { measure: Measure::Pin(pin.clone()), roots: None }),
            Trust::Insecure => Ok(Anchor { measure: Measure::Any, roots: None }),
            Trust::System => {
                let roots = self.system.get_or_init(|| self.system_roots()).clone()?;
                Ok(Anchor { measure: Measure::System, roots: Some(roots) })
            }
            Trust::Ca(path) => self.ca(path),
        }
    }

    fn ca(&self, path: &str) -> Result<Anchor, TrustError> {
        let unreadable = |why: String| TrustError::Unreadable { path: path.to_owned(), why };
        let invalid = |why: String| TrustError::Invalid { path: path.to_owned(), why };
        let facts = std::fs::metadata(path).map_err(|error| unreadable(error.to_string()))?;
        if !facts.is_file() {
            return Err(unreadable("it is not a regular file".to_owned()));
        }
        let mut text = Vec::new();
        std::fs::File::open(path)
            .and_then(|file| file.take(LONGEST).read_to_end(&mut text))
            .map_err(|error| unreadable(error.to_string()))?;
        let sum = Sha256Hex::of(&text);
        let measure = Measure::Ca(sum.clone());
        let known = self.cas.read().unwrap_or_else(PoisonError::into_inner).get(&sum).cloned();
        if let Some(roots) = known {
            return Ok(Anchor { measure, roots: Some(roots) });
        }
        let store = roots_of(&text).map_err(invalid)?;
        let roots = self.verifier(store).map_err(invalid)?;
        let mut cas = self.cas.write().unwrap_or_else(PoisonError::into_inner);
        let roots = cas.entry(sum).or_insert(roots).clone();
        Ok(Anchor { measure, roots: Some(roots) })
    }

    fn system_roots(&self) -> Result<Arc<WebPkiServerVerifier>, TrustError> {
        let found = rustls_native_certs::load_native_certs();
        let mut store = RootCertStore::empty();
        store.add_parsable_certificates(found.certs);
        if store.is_empty() {
            let why = found.errors.first().map(|error| format!(": {error}")).unwrap_or_default();
            return Err(TrustError::NoRoots { why });
        }
        self.verifier(store).map_err(|why| TrustError::NoRoots { why: format!(": {why}") })
    }

    fn verifier(&self, roots: RootCertStore) -> Result<Arc<WebPkiServerVerifier>, String> {
        WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&self.provider))
            .build()
            .map_err(|error| error.to_string())
    }
}

/// Says whether a file's content is a list of PEM certificates that can be trusted as CAs, as it is
/// read when an appliance is called.
///
/// # Errors
/// What is wrong, in words for the person.
pub fn check_ca(text: &[u8]) -> Result<(), String> {
    roots_of(text).map(drop)
}

fn roots_of(text: &[u8]) -> Result<RootCertStore, String> {
    let mut store = RootCertStore::empty();
    for (certificate, number) in CertificateDer::pem_slice_iter(text).zip(1_usize..) {
        let bad = |why: String| format!("certificate {number} in it cannot be read ({why})");
        let certificate = certificate.map_err(|error| bad(error.to_string()))?;
        store.add(certificate).map_err(|error| bad(error.to_string()))?;
    }
    if store.is_empty() { Err("there is no PEM certificate in it".to_owned()) } else { Ok(store) }
}

/// Verifies the certificate of every host against the anchor of that host. The verifier sees no
/// port, so a host has exactly one anchor here and keeps it; see [`crate::clients::Lanes`].
#[derive(Debug)]
pub(crate) struct ByHost {
    provider: Arc<CryptoProvider>,
    anchors: RwLock<HashMap<Box<str>, Anchor>>,
}

impl ByHost {
    pub(crate) fn new(provider: Arc<CryptoProvider>) -> Self {
        Self { provider, anchors: RwLock::default() }
    }

    /// Takes a host in; `false` when it is already measured by something else.
    pub(crate) fn admit(&self, host: &ServerName<'_>, anchor: &Anchor) -> bool {
        let mut anchors = self.anchors.write().unwrap_or_else(PoisonError::into_inner);
        match anchors.get(&*key(host)) {
            Some(known) => known.measure == anchor.measure,
            None => {
                anchors.insert(key(host), anchor.clone());
                true
            }
        }
    }
}

fn key(host: &ServerName<'_>) -> Box<str> {
    host.to_str().to_ascii_lowercase().into_boxed_str()
}

/// The certificate is not the pinned one.
#[derive(Debug, thiserror::Error)]
#[error("the appliance shows the certificate {seen}, not the pinned {pinned}")]
pub(crate) struct OtherLeaf {
    seen: Sha256Hex,
    pinned: Sha256Hex,
}

/// No rule for this host: a fault of ours, answered with a refusal.
#[derive(Debug, thiserror::Error)]
#[error("there is no rule for this host's identity")]
struct NoRule;

impl ServerCertVerifier for ByHost {
    fn verify_server_cert(
        &self,
        leaf: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        host: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let anchors = self.anchors.read().unwrap_or_else(PoisonError::into_inner);
        let anchor = anchors.get(&*key(host)).cloned();
        drop(anchors);
        match anchor.map(|anchor| (anchor.measure, anchor.roots)) {
            Some((Measure::Any, _)) => Ok(ServerCertVerified::assertion()),
            Some((Measure::Pin(pinned), _)) => {
                let seen = Sha256Hex::of(leaf);
                if seen == pinned {
                    Ok(ServerCertVerified::assertion())
                } else {
                    Err(refused(OtherLeaf { seen, pinned }))
                }
            }
            Some((Measure::Ca(_) | Measure::System, Some(roots))) => {
                roots.verify_server_cert(leaf, intermediates, host, ocsp, now)
            }
            Some((Measure::Ca(_) | Measure::System, None)) | None => Err(refused(NoRule)),
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

fn refused(why: impl std::error::Error + Send + Sync + 'static) -> Error {
    Error::InvalidCertificate(CertificateError::Other(OtherError(Arc::new(why))))
}

/// Whether a TLS failure means that the certificate did not prove the identity, as opposed to a
/// handshake that broke.
pub(crate) fn is_about_identity(error: &Error) -> bool {
    matches!(
        error,
        Error::InvalidCertificate(_)
            | Error::NoCertificatesPresented
            | Error::UnsupportedNameType
            | Error::InvalidCertRevocationList(_)
    )
}

/// What is wrong with the certificate, and what the operator may do.
pub(crate) fn explain(error: &Error) -> String {
    use CertificateError as C;
    let Error::InvalidCertificate(fault) = error else { return error.to_string() };
    let (what, todo) = match fault {
        C::Other(OtherError(other)) => {
            return format!("the appliance's identity is not proven: {other}");
        }
        // Appliances may well name their own CAs alike: then the signature tells them apart.
        C::UnknownIssuer | C::BadSignature => (
            "its certificate is not signed by the trusted CA".to_owned(),
            "; give the CA of this appliance with `tls: {ca: FILE}`, or pin the certificate with `pin_sha256`",
        ),
        C::NotValidForName | C::NotValidForNameContext { .. } => (
            fault.to_string(),
            "; give the address that the certificate names, or pin it with `pin_sha256`",
        ),
        C::Expired | C::ExpiredContext { .. } | C::NotValidYet | C::NotValidYetContext { .. } => {
            (fault.to_string(), "; renew the certificate, and compare the clocks of both sides")
        }
        other if other.to_string().contains("CaUsedAsEndEntity") => {
            ("its certificate is a CA certificate itself".to_owned(), "; pin it with `pin_sha256`")
        }
        other => (other.to_string(), ""),
    };
    format!("the appliance's identity is not proven: {what}{todo}")
}
