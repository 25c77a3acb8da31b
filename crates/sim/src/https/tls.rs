//! The simulator's own certificate authority and what each appliance shows.

use std::net::IpAddr;
use std::sync::Arc;

use model::digest::Sha256Hex;
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, KeyUsagePurpose,
    SanType,
};
use rustls::ServerConfig;
use rustls::crypto::CryptoProvider;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};

use super::SimError;

/// TLS sessions that are remembered for each appliance; there is one client.
const SESSIONS: usize = 8;

/// A certificate authority made for one run.
pub(super) struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    /// One key for all leaves: a certificate each is what tells appliances apart.
    leaf_key: KeyPair,
    provider: Arc<CryptoProvider>,
}

impl std::fmt::Debug for Authority {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Authority").finish_non_exhaustive()
    }
}

/// What one appliance shows.
#[derive(Clone)]
pub(super) struct Shown {
    pub(super) config: Arc<ServerConfig>,
    /// SHA-256 of the leaf certificate.
    pub(super) sum: Sha256Hex,
}

impl std::fmt::Debug for Shown {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shown").field("sum", &self.sum).finish_non_exhaustive()
    }
}

impl Authority {
    pub(super) fn new(name: &str) -> Result<Self, SimError> {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate()?)?;
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        Ok(Self { issuer, leaf_key: KeyPair::generate()?, provider })
    }

    pub(super) fn pem(&self) -> String {
        self.issuer.pem()
    }

    /// A certificate for addresses and a host name.
    pub(super) fn leaf(&self, addresses: &[IpAddr], hostname: &str) -> Result<Shown, SimError> {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, hostname);
        params.subject_alt_names.extend(addresses.iter().copied().map(SanType::IpAddress));
        if let Ok(name) = hostname.try_into() {
            params.subject_alt_names.push(SanType::DnsName(name));
        }
        params.use_authority_key_identifier_extension = true;
        let leaf = params.signed_by(&self.leaf_key, &self.issuer)?;
        let der = CertificateDer::from(leaf.der().to_vec());
        let sum = Sha256Hex::of(&der);
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(self.leaf_key.serialize_der()));
        let mut config = ServerConfig::builder_with_provider(Arc::clone(&self.provider))
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_single_cert(vec![der], key)?;
        config.session_storage = rustls::server::ServerSessionMemoryCache::new(SESSIONS);
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Shown { config: Arc::new(config), sum })
    }
}
