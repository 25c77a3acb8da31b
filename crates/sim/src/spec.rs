//! What a simulated appliance is like: versions, timings, and how the things are that no manual
//! states.

use std::net::IpAddr;
use std::time::Duration;

use model::names::{ApplianceName, SiteName};

use crate::pair::PairSpec;

/// One appliance to simulate.
#[derive(Debug, Clone)]
pub struct ApplianceSpec {
    /// Its name in the inventory; fault plans and the ledger speak of it by this name.
    pub name: ApplianceName,
    /// What it says its host name is.
    pub hostname: String,
    /// Its site; only the ledger's observer asks for it.
    pub site: Option<SiteName>,
    /// Where it listens over HTTPS; a loopback address of its own when `None`.
    pub address: Option<IpAddr>,
    /// On which port it listens over HTTPS; a free one when `None`.
    pub port: Option<u16>,
    /// The content of its slots in order; keys are "1", "2", … (sps-api.md, "Slots").
    pub slots: Vec<Option<String>>,
    /// Which of the slots runs; the appliance's version is that slot's.
    pub current: usize,
    /// The only user it knows; `None` takes any name.
    pub username: Option<String>,
    /// The password it takes.
    pub password: String,
    /// The password that the in-process client holds; `None`: the right one.
    pub client_password: Option<String>,
    /// What its certificate is made of; its name when `None`. Appliances with the same text here
    /// show the same certificate, as two inventory entries of one appliance do.
    pub certificate: Option<String>,
    /// What `POST /api/firmware/upgrade` does here.
    pub upgrade_call: UpgradeMode,
    /// Whether two nodes stand behind the address.
    pub ha: bool,
    /// How they are, when there are two.
    pub pair: PairSpec,
    /// Its roles as `/api/info` writes them; empty outside a central cluster.
    pub roles: Vec<String>,
    /// The central cluster whose status it answers with when its roles say central-management.
    pub cluster: Option<String>,
    /// How long central management says `pending` of it after it came up (how long is not
    /// documented: sps-api.md, section 6); for ever when `None`.
    pub cluster_sync: Option<Duration>,
    /// How long things take.
    pub timings: Timings,
    /// How the undocumented things are.
    pub quirks: Quirks,
    /// What it says of its health.
    pub health: HealthSpec,
}

impl ApplianceSpec {
    /// A healthy single appliance that runs `version` from slot 1 of 4, the others empty.
    #[must_use]
    pub fn new(name: ApplianceName, version: &str) -> Self {
        Self {
            hostname: format!("sps-{name}"),
            name,
            site: None,
            address: None,
            port: None,
            slots: vec![Some(version.to_owned()), None, None, None],
            current: 0,
            username: None,
            password: "sesame-32".to_owned(),
            client_password: None,
            certificate: None,
            upgrade_call: UpgradeMode::Reboots,
            ha: false,
            pair: PairSpec::default(),
            roles: Vec::new(),
            cluster: None,
            cluster_sync: Some(Duration::from_secs(30)),
            timings: Timings::default(),
            quirks: Quirks::default(),
            health: HealthSpec::default(),
        }
    }
}

/// What `POST /api/firmware/upgrade` does (sps-api.md, "Upgrade", unknown 1: both are possible).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UpgradeMode {
    /// It activates the slot and reboots by itself.
    Reboots,
    /// It only selects the slot for the next boot.
    Arms,
}

/// How long things take. None of it is documented but the 30 minutes after which to worry
/// (sps-api.md, section 6, "Time").
#[derive(Debug, Clone, PartialEq)]
pub struct Timings {
    /// `POST /api/firmware/test`.
    pub test: Duration,
    /// The test inside `POST /api/firmware/upgrade`.
    pub upgrade_test: Duration,
    /// From the act that reboots until connections are refused.
    pub shutdown: Duration,
    /// How long connections are refused.
    pub down: Duration,
    /// How long the boot page is shown.
    pub boot: Duration,
    /// Speed of a download.
    pub fetch_bytes_per_second: u64,
    /// "Verifying checksum".
    pub verify: Duration,
    /// "Installing", after a fetch or inside an upload.
    pub install: Duration,
}

impl Default for Timings {
    /// A 1.5 GB image arrives in about a minute, a reboot takes six.
    fn default() -> Self {
        Self {
            test: Duration::from_secs(20),
            upgrade_test: Duration::from_secs(20),
            shutdown: Duration::from_secs(10),
            down: Duration::from_secs(50),
            boot: Duration::from_secs(300),
            fetch_bytes_per_second: 25_000_000,
            verify: Duration::from_secs(10),
            install: Duration::from_secs(30),
        }
    }
}

/// A duration at so many times the speed; a speed that is not above 0 changes nothing.
pub(crate) fn shorter(duration: Duration, speed: f64) -> Duration {
    if !speed.is_finite() || speed <= 0.0 {
        return duration;
    }
    Duration::try_from_secs_f64(duration.as_secs_f64() / speed).unwrap_or(duration)
}

impl Timings {
    /// Everything `speed` times as fast. A speed that is not above 0 changes nothing.
    #[must_use]
    pub fn scaled(&self, speed: f64) -> Self {
        if !speed.is_finite() || speed <= 0.0 {
            return self.clone();
        }
        let shorter = |duration| shorter(duration, speed);
        #[expect(
            clippy::cast_precision_loss,
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a rate; the cast saturates"
        )]
        let rate = (self.fetch_bytes_per_second as f64 * speed) as u64;
        Self {
            test: shorter(self.test),
            upgrade_test: shorter(self.upgrade_test),
            shutdown: shorter(self.shutdown),
            down: shorter(self.down),
            boot: shorter(self.boot),
            fetch_bytes_per_second: rate.max(1),
            verify: shorter(self.verify),
            install: shorter(self.install),
        }
    }

    /// From the act that reboots until the API answers again.
    #[must_use]
    pub fn reboot(&self) -> Duration {
        self.shutdown + self.down + self.boot
    }
}

/// How the things are that the manuals leave open (sps-api.md, "Open uncertainties"); each can be
/// had both ways.
#[derive(Debug, Clone, PartialEq)]
pub struct Quirks {
    /// Idle limit of a session (section 1: 10 or 20 minutes; the sample configuration says 10).
    pub session_idle: Duration,
    /// Whether every answer carries a new session cookie and an old one dies at its age (section 1:
    /// unknown); else one cookie lives while it is used.
    pub sliding_cookie: bool,
    /// Whether an upload on its way counts as use of its session (section 3: unknown); else the
    /// session must still be alive when the upload has arrived.
    pub upload_is_activity: bool,
    /// How far its clock is ahead, in seconds; shows in `Date` and in the cookie's expiry.
    pub clock_ahead: i64,
    /// The key of the first slot: 1 by all samples, 0 if the vendor's client is right (section 3,
    /// "Trap").
    pub first_slot_key: usize,
    /// Whether sessions outlive a reboot (section 1: said to).
    pub sessions_survive_reboot: bool,
    /// Failed logins that start a block (section 1: 20).
    pub block_after: u32,
    /// Length of the block (section 1: 10 minutes).
    pub block_for: Duration,
    /// How long a support bundle takes to be made (section 5; the vendor's client waits up to 10
    /// minutes).
    pub bundle_takes: Duration,
    /// How many bytes a support bundle has at least.
    pub bundle_bytes: usize,
    /// Whether `message: null` is refused (section 3, "Upgrade").
    pub require_commit_log: bool,
    /// Whether `POST /api/firmware/fetch` exists on this release.
    pub fetch_offered: bool,
    /// Whether fetch jobs outlive a reboot (section 3, "Fetch": unknown).
    pub jobs_survive_reboot: bool,
    /// Whether the running slot says `after_reboot: true` when nothing is pending (unknown).
    pub running_slot_after_reboot: bool,
    /// Whether an upgrade call for a slot that is already selected acts again (unknown).
    pub upgrade_repeats: bool,
    /// HTTP status of `IncompleteRequestBodyError` (400 likely).
    pub incomplete_status: u16,
    /// HTTP status of `ResourceNotFound` (404 likely).
    pub not_found_status: u16,
    /// HTTP status of `FirmwareTestFailed` (not 2xx, by inference).
    pub test_failed_status: u16,
    /// How a cancelled fetch job is written: `canceled` or `cancelled`.
    pub cancelled_word: &'static str,
    /// Whether bodies without `Content-Length` are taken (section 2 speaks of bodies that are
    /// empty; the strict reading is the default).
    pub takes_chunked_bodies: bool,
    /// HTTP status with which the power service accepts an act; Redfish allows 200, 202, 204.
    pub power_accepted: u16,
    /// What API paths answer while the boot page is shown.
    pub boot_page: BootPage,
    /// Whether the newer shape of `user_info` (7.4 and later) is answered; `None`: by version.
    pub new_user_info: Option<bool>,
    /// Whether browser-like clients need `X-Token` for changes (from 7.5 on); `None`: by version.
    pub x_token: Option<bool>,
}

impl Default for Quirks {
    fn default() -> Self {
        Self {
            session_idle: Duration::from_secs(600),
            sliding_cookie: false,
            upload_is_activity: true,
            clock_ahead: 0,
            first_slot_key: 1,
            sessions_survive_reboot: true,
            block_after: 20,
            block_for: Duration::from_secs(600),
            bundle_takes: Duration::from_secs(20),
            bundle_bytes: 0,
            require_commit_log: false,
            fetch_offered: true,
            jobs_survive_reboot: true,
            running_slot_after_reboot: false,
            upgrade_repeats: true,
            incomplete_status: 400,
            not_found_status: 404,
            test_failed_status: 400,
            cancelled_word: "canceled",
            takes_chunked_bodies: false,
            power_accepted: 204,
            boot_page: BootPage::default(),
            new_user_info: None,
            x_token: None,
        }
    }
}

/// What is answered while booting (sps-api.md, section 4: progress is shown on the same
/// addresses; status code and content of API paths are unknown).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BootPage {
    /// HTTP status of the page.
    pub status: u16,
    /// Whether `/api/setup` answers `status: booting` in the second half of the phase; else it
    /// shows the page like every other path.
    pub setup_says_booting: bool,
}

impl Default for BootPage {
    fn default() -> Self {
        Self { status: 200, setup_says_booting: true }
    }
}

/// What `/api/health_status` says (sps-api.md, section 5).
#[derive(Debug, Clone, PartialEq)]
pub struct HealthSpec {
    /// Disk use in percent.
    pub disk: f64,
    /// Manually modified files of the core firmware.
    pub tainted_core: u64,
    /// Integrity of the core firmware: `OK` or `CORRUPTED`.
    pub integrity_core: String,
    /// RAID status word.
    pub raid: String,
    /// Sessions that pass now, by protocol.
    pub sessions: Vec<(String, u64)>,
    /// Length of the pipeline's queues by name; none are reported when empty.
    pub queues: Vec<(String, u64)>,
    /// The indexer's state; not reported when `None`.
    pub indexer: Option<String>,
}

impl Default for HealthSpec {
    fn default() -> Self {
        Self {
            disk: 31.0,
            tainted_core: 0,
            integrity_core: "OK".to_owned(),
            raid: "optimal".to_owned(),
            sessions: Vec::new(),
            queues: Vec::new(),
            indexer: None,
        }
    }
}

impl HealthSpec {
    /// Sessions that pass now, over all protocols.
    #[must_use]
    pub fn sessions_total(&self) -> u64 {
        self.sessions.iter().map(|(_, count)| count).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn speed_shortens_everything() {
        let fast = Timings::default().scaled(10.0);
        assert_eq!(fast.reboot(), Duration::from_secs(36));
        assert_eq!(fast.fetch_bytes_per_second, 250_000_000);
        assert_eq!(Timings::default().scaled(0.0), Timings::default());
    }
}
