//! The one door to HTTP clients.
//!
//! All appliances share one pair of clients, whatever proves their identity: the certificate
//! verifier is keyed by host. A client costs 14 KB and more, and appliances signed by a CA of their
//! own are common, so a client for each CA would not do for 10,000 of them. Where one host is
//! measured in two ways (two ports with two pins, a CA file that changed) the second gets another
//! pair, with its own connections and TLS sessions, so that nothing proven by one measure is ever
//! used under the other.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use model::ports::Clock;
use rustls::ClientConfig;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::{ServerName, UnixTime};
use rustls::time_provider::TimeProvider;

use crate::options::{Options, USER_AGENT};
use crate::trust::{Anchor, Anchors, ByHost};

/// The clients for hosts that have one measure each.
pub(crate) struct Lane {
    hosts: Arc<ByHost>,
    /// Keeps connections: for requests that change nothing.
    pub(crate) kept: reqwest::Client,
    /// Makes a connection for each request: for requests that change something. A kept connection
    /// that the appliance just closed would leave their outcome unknown.
    pub(crate) fresh: reqwest::Client,
}

/// All lanes; nearly always one.
pub(crate) struct Lanes {
    pub(crate) anchors: Anchors,
    provider: Arc<CryptoProvider>,
    clock: Arc<dyn Clock>,
    options: Options,
    lanes: Mutex<Vec<Arc<Lane>>>,
}

impl Lanes {
    pub(crate) fn new(clock: Arc<dyn Clock>, options: Options) -> Self {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let anchors = Anchors::new(Arc::clone(&provider));
        Self { anchors, provider, clock, options, lanes: Mutex::default() }
    }

    /// The clients for a host that is measured by this anchor.
    pub(crate) fn lane(
        &self,
        host: &ServerName<'_>,
        anchor: &Anchor,
    ) -> Result<Arc<Lane>, reqwest::Error> {
        let mut lanes = self.lanes.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(lane) = lanes.iter().find(|lane| lane.hosts.admit(host, anchor)) {
            return Ok(Arc::clone(lane));
        }
        let lane = Arc::new(self.make()?);
        lane.hosts.admit(host, anchor);
        lanes.push(Arc::clone(&lane));
        Ok(lane)
    }

    fn make(&self) -> Result<Lane, reqwest::Error> {
        let hosts = Arc::new(ByHost::new(Arc::clone(&self.provider)));
        let time = Arc::new(TlsTime(Arc::clone(&self.clock)));
        // The default provider knows both versions, so this cannot fail; were it otherwise, the
        // client below would refuse to be built, as it knows no such backend.
        let tls = ClientConfig::builder_with_details(Arc::clone(&self.provider), time)
            .with_safe_default_protocol_versions()
            .map(|builder| {
                builder
                    .dangerous()
                    .with_custom_certificate_verifier(Arc::clone(&hosts) as Arc<_>)
                    .with_no_client_auth()
            });
        let client = |idle: usize| {
            let builder = builder()
                .user_agent(USER_AGENT)
                .redirect(reqwest::redirect::Policy::none())
                .retry(reqwest::retry::never())
                .no_proxy()
                .referer(false)
                // The leaf certificate of the connection stands beside each answer.
                .tls_info(true)
                .https_only(!self.options.in_clear)
                .http1_only()
                .connect_timeout(self.options.connect_timeout)
                .pool_idle_timeout(self.options.idle_timeout)
                .pool_max_idle_per_host(idle)
                // A peer that vanished during a long call is noticed after about a minute. The
                // user timeout would also cut uploads that wait for the appliance's disk.
                .tcp_keepalive(Duration::from_secs(15))
                .tcp_user_timeout(None);
            match &tls {
                Ok(tls) => builder.tls_backend_preconfigured(tls.clone()).build(),
                Err(_) => builder.tls_backend_preconfigured(()).build(),
            }
        };
        Ok(Lane { kept: client(self.options.idle_per_host)?, fresh: client(0)?, hosts })
    }
}

#[expect(clippy::disallowed_methods, reason = "the door to HTTP clients")]
fn builder() -> reqwest::ClientBuilder {
    reqwest::Client::builder()
}

/// The wall clock for the validity of certificates.
#[derive(Debug)]
struct TlsTime(Arc<dyn Clock>);

impl TimeProvider for TlsTime {
    fn current_time(&self) -> Option<UnixTime> {
        let seconds = u64::try_from(self.0.now().as_second()).ok()?;
        Some(UnixTime::since_unix_epoch(Duration::from_secs(seconds)))
    }
}
