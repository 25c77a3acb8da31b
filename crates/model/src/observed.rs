//! What an appliance said of itself. Unknown fields are left out, unknown words are kept.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::digest::Sha256Hex;
use crate::names::{FetchKey, SlotKey};
use crate::version::FirmwareVersion;

/// `GET /api/setup`, readable without login (sps-api.md, section 5).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SetupStatus {
    /// Ready for use.
    Completed,
    /// Starting; the API is not there yet.
    Booting,
    /// Never set up.
    Uninitialized,
    /// A word we do not know.
    Other(String),
}

/// `GET /api/info` with a valid login.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Info {
    /// The firmware that runs.
    pub firmware_version: FirmwareVersion,
    /// Its host name.
    pub hostname: Option<String>,
    /// Its roles in a central cluster, as it writes them.
    pub roles: Vec<String>,
}

/// `GET /api/firmware`: which firmware endpoints this release has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Offered {
    /// It can pull an image by URL.
    pub fetch: bool,
}

/// One firmware slot.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Slot {
    /// Its key, verbatim.
    pub key: SlotKey,
    /// What is in it; `None` when it is empty (`"body": {}`).
    pub content: Option<SlotContent>,
}

/// What a firmware slot holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SlotContent {
    /// The firmware's version as the appliance writes it, trimmed.
    pub version: String,
    /// It runs now.
    pub current: bool,
    /// It is booted next.
    pub after_reboot: bool,
}

impl Slot {
    /// Whether the slot holds exactly this version.
    #[must_use]
    pub fn holds(&self, version: &FirmwareVersion) -> bool {
        self.content.as_ref().is_some_and(|content| {
            FirmwareVersion::observed(&content.version).is_ok_and(|held| held == *version)
        })
    }

    /// Whether the slot is booted next and does not run now.
    #[must_use]
    pub fn is_armed(&self) -> bool {
        self.content.as_ref().is_some_and(|content| content.after_reboot && !content.current)
    }
}

/// Slots in one line for messages: `1: 7.5.0 (current), 2: empty`.
#[must_use]
pub fn describe_slots(slots: &[Slot]) -> String {
    let one = |slot: &Slot| match &slot.content {
        None => format!("{}: empty", slot.key),
        Some(content) => {
            let mark = match (content.current, content.after_reboot) {
                (true, _) => " (current)",
                (false, true) => " (after reboot)",
                (false, false) => "",
            };
            format!("{}: {}{mark}", slot.key, content.version)
        }
    };
    slots.iter().map(one).collect::<Vec<_>>().join(", ")
}

/// One fetch job (sps-api.md, "Fetch").
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FetchJob {
    /// Its key.
    pub key: FetchKey,
    /// Where it pulls from.
    pub url: String,
    /// How far it is.
    pub status: FetchStatus,
    /// What it does just now, in the appliance's words.
    pub info: Option<String>,
    /// Why it failed, in the appliance's words.
    pub error: Option<String>,
    /// Where the firmware was put; history, so the slot must be read again.
    pub slot: Option<SlotKey>,
    /// Bytes so far.
    pub downloaded: u64,
    /// Bytes in all; 0 while that is unknown.
    pub total: u64,
}

/// A fetch job's `status`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FetchStatus {
    /// Waits for its turn.
    Queued,
    /// Downloads, verifies or installs.
    InProgress,
    /// Installed into a slot.
    Finished,
    /// Did not work.
    Failed,
    /// Cancelled; the appliance writes this with one l or two.
    Cancelled,
    /// A word we do not know: wait until the deadline.
    Other(String),
}

impl FetchStatus {
    /// Whether the job may still change by itself.
    #[must_use]
    pub fn is_live(&self) -> bool {
        matches!(self, Self::Queued | Self::InProgress | Self::Other(_))
    }
}

/// What a firmware test said.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TestReport {
    /// `test_summary`, in the appliance's words.
    pub summary: String,
}

/// What an upload put where.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Uploaded {
    /// The slot that was filled.
    pub slot: Slot,
    /// SHA-256 of the bytes that we sent.
    pub sha256: Sha256Hex,
}

/// `GET /api/health_status` (sps-api.md, section 5). Absent values were not reported.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Health {
    /// Disk use in percent.
    pub disk_used: Option<f64>,
    /// Manually modified files by firmware part.
    pub tainted: BTreeMap<String, u64>,
    /// Integrity by firmware part: `OK` or another word.
    pub integrity: BTreeMap<String, String>,
    /// RAID status word.
    pub raid: Option<String>,
    /// Sessions that pass now.
    pub sessions: Option<u64>,
    /// Length of the pipeline's queues by name, where reported.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub queues: BTreeMap<String, u64>,
    /// The indexer's state, where reported.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub indexer: Option<String>,
}

/// One node in `GET /api/cluster/status` as central management sees it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClusterNode {
    /// Its id.
    pub key: String,
    /// Its fully qualified name.
    pub fqdn: Option<String>,
    /// When it was last seen, as written.
    pub last_seen: Option<String>,
    /// Whether it reports health; `false` when the node is down.
    pub healthy: bool,
    /// `sync_status`, as written.
    pub sync_status: Option<String>,
    /// Warnings of the configuration's synchronisation.
    pub warnings: Vec<String>,
    /// Whether this is the node that was asked.
    pub is_self: bool,
}

/// What preflight read: the picture that later ones are compared with.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Baseline {
    /// The firmware that ran.
    pub version: FirmwareVersion,
    /// Its host name.
    pub hostname: Option<String>,
    /// Which firmware endpoints it has.
    pub offered: Offered,
    /// Its slots.
    pub slots: Vec<Slot>,
    /// Its health.
    pub health: Health,
    /// Keys of the fetch jobs that were there.
    pub fetch_jobs: Vec<FetchKey>,
    /// SHA-256 of the certificate with which it proved itself, where one was seen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub leaf: Option<Sha256Hex>,
    /// Its id as a node of a central cluster, where it said so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node: Option<String>,
}

/// One check of an appliance's health: before the upgrade and after it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HealthCheck {
    /// What is checked, such as `disk`.
    pub name: String,
    /// What it was, as text; `None` when it was not reported.
    pub before: Option<String>,
    /// What it is.
    pub after: Option<String>,
    /// Whether it is good.
    pub good: bool,
}
