//! A certificate authority and the certificates it signs.

use std::sync::Arc;

use model::Sha256Hex;
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::ServerConfig;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

pub(crate) struct Pki {
    issuer: Issuer<'static, KeyPair>,
    pub(crate) ca_pem: String,
}

pub(crate) struct Leaf {
    pub(crate) der: CertificateDer<'static>,
    key: PrivateKeyDer<'static>,
}

impl Pki {
    /// Each has its own key; all have the same name, as appliances' own CAs may.
    pub(crate) fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).expect("parameters");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().expect("a key");
        let ca_pem = params.self_signed(&key).expect("a certificate").pem();
        Self { issuer: Issuer::new(params, key), ca_pem }
    }

    /// A certificate for a name or an address.
    pub(crate) fn leaf(&self, name: &str) -> Leaf {
        let params = CertificateParams::new(vec![name.to_owned()]).expect("parameters");
        let key = KeyPair::generate().expect("a key");
        let certificate = params.signed_by(&key, &self.issuer).expect("a certificate");
        Leaf { der: certificate.der().clone(), key: key.serialize_der().try_into().expect("a key") }
    }
}

impl Leaf {
    pub(crate) fn pin(&self) -> Sha256Hex {
        Sha256Hex::of(&self.der)
    }

    pub(crate) fn config(&self) -> Arc<ServerConfig> {
        Self::config_with(vec![self.der.clone()], self.key.clone_key())
    }

    /// The certificate with a key that is not its own: what an impostor has.
    pub(crate) fn config_with_key_of(&self, other: &Leaf) -> Arc<ServerConfig> {
        Self::config_with(vec![self.der.clone()], other.key.clone_key())
    }

    fn config_with(
        chain: Vec<CertificateDer<'static>>,
        key: PrivateKeyDer<'static>,
    ) -> Arc<ServerConfig> {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let signing = provider.key_provider.load_private_key(key).expect("a key");
        let certified = rustls::sign::CertifiedKey::new(chain, signing);
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_no_client_auth()
            .with_cert_resolver(Arc::new(rustls::sign::SingleCertAndKey::from(certified)));
        Arc::new(config)
    }
}
