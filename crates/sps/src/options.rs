//! What may be set about the client as a whole.

use std::path::PathBuf;
use std::time::Duration;

/// What every request says of itself. Never like a browser: SPS 7.5 and later ask browsers for an
/// `X-Token` with every change (sps-api.md, section 1, "X-Token").
pub const USER_AGENT: &str = concat!("spsfleet/", env!("CARGO_PKG_VERSION"));

/// Limits of the client. The defaults suit a real fleet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// For name lookup, TCP and TLS together.
    pub connect_timeout: Duration,
    /// For an ordinary request from its sending to the end of its answer. Test and upgrade get
    /// their own limit with the call, an upload has a stall limit only.
    pub answer_timeout: Duration,
    /// After this an idle connection is closed.
    pub idle_timeout: Duration,
    /// How many idle connections to one appliance are kept.
    pub idle_per_host: usize,
    /// How many requests may be under way at once, to all appliances together.
    pub in_flight: usize,
    /// The longest answer that is read, in bytes.
    pub answer_bytes: usize,
    /// Whether a service may be spoken to without TLS: only Redfish services whose identity the
    /// operator has said not to prove.
    pub in_clear: bool,
    /// Where `{credential: NAME}` is looked for: `$CREDENTIALS_DIRECTORY` of a systemd service.
    pub credentials_directory: Option<PathBuf>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            connect_timeout: Duration::from_secs(10),
            answer_timeout: Duration::from_secs(30),
            idle_timeout: Duration::from_secs(10),
            idle_per_host: 2,
            in_flight: 4096,
            answer_bytes: 8 << 20,
            in_clear: false,
            credentials_directory: None,
        }
    }
}

impl Options {
    /// The defaults, with `$CREDENTIALS_DIRECTORY` of this process.
    #[must_use]
    pub fn from_env() -> Self {
        let credentials_directory = std::env::var_os("CREDENTIALS_DIRECTORY").map(PathBuf::from);
        Self { credentials_directory, ..Self::default() }
    }
}
