//! What an appliance may do that nobody wishes for.

use jiff::SignedDuration;
use serde::{Deserialize, Serialize};

use super::Pattern;
use crate::ledger::PowerAct;

fn once() -> u32 {
    1
}

/// What an appliance does.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Behaviour {
    /// Boots the new firmware, fails, and comes back on the old one by itself.
    Revert {
        /// So many times, then the upgrade works.
        #[serde(default = "once")]
        times: u32,
    },
    /// Comes back after the upgrade, but says this version.
    WrongVersionAfterReboot {
        /// The version it says.
        version: String,
    },
    /// Does not come back after the upgrade.
    NeverReturns {
        /// Shows the boot page for ever, instead of refusing connections.
        #[serde(default)]
        page: bool,
    },
    /// Takes the upgrade call, answers well, and does nothing.
    UpgradeIgnored {
        /// So many times.
        #[serde(default = "once")]
        times: u32,
    },
    /// The upgrade call only arms, whatever the appliance's kind is.
    UpgradeArms {},
    /// A fetch job downloads a part and then moves no more.
    FetchStuck {
        /// So many jobs.
        #[serde(default = "once")]
        times: u32,
    },
    /// A fetch job fails half-way.
    FetchFails {
        /// So many jobs.
        #[serde(default = "once")]
        times: u32,
        /// The job's `error`.
        #[serde(default)]
        error: Option<String>,
    },
    /// What arrives is not what the source has: the checksum does not match.
    FetchCorrupts {
        /// So many jobs.
        #[serde(default = "once")]
        times: u32,
    },
    /// The release has no `/api/firmware/fetch`.
    NoFetch {},
    /// The firmware test fails, alone and inside the upgrade call.
    TestFails {
        /// `test_summary`.
        summary: String,
        /// So many times; always when absent.
        #[serde(default)]
        times: Option<u32>,
    },
    /// Only the test inside the upgrade call fails.
    UpgradeTestFails {
        /// `test_summary`.
        summary: String,
        /// So many times; always when absent.
        #[serde(default)]
        times: Option<u32>,
    },
    /// Another administrator does something.
    OtherAdmin {
        /// When.
        when: When,
        /// What.
        act: AdminAct,
    },
    /// Has no power for a while.
    Outage {
        /// From so long after the simulator's start.
        at: SignedDuration,
        /// For so long.
        r#for: SignedDuration,
    },
    /// The password is another one than everybody believes.
    PasswordChanged {},
    /// Shows a certificate that nobody vouches for.
    WrongCertificate {
        /// When.
        when: CertificateWhen,
    },
    /// All slots hold something: the empty ones this version.
    SlotsFull {
        /// The version.
        version: String,
    },
    /// Has manually modified files.
    Tainted {
        /// So many.
        files: u64,
    },
    /// Its disk is this full.
    DiskUsed {
        /// In percent.
        percent: f64,
    },
    /// The core firmware's integrity is `CORRUPTED` after the upgrade.
    CorruptedAfterReboot {},
    /// Booting takes so much longer.
    SlowBoot {
        /// How much.
        by: SignedDuration,
    },
    /// Has so many open sessions for a while.
    Sessions {
        /// How many.
        open: u64,
        /// From so long after the simulator's start; from the start when absent.
        #[serde(default)]
        from: SignedDuration,
        /// Until so long after the start, then none; for ever when absent.
        #[serde(default)]
        until: Option<SignedDuration>,
    },
    /// Falls ill some time after an upgrade that worked.
    FallsIll {
        /// How long after it is back.
        after: SignedDuration,
        /// For how long; for ever when absent.
        #[serde(default)]
        r#for: Option<SignedDuration>,
        /// What is wrong then.
        with: Illness,
    },
    /// A graceful shutdown of the secondary takes so much longer.
    SlowShutdown {
        /// How much.
        by: SignedDuration,
    },
    /// The power service accepts an act, and nothing happens.
    PowerIgnored {
        /// Which act; any when absent.
        #[serde(default)]
        act: Option<PowerAct>,
        /// So many times.
        #[serde(default = "once")]
        times: u32,
    },
    /// The secondary of the pair is off at the start.
    SecondaryOff {},
    /// The node that is taken for the secondary is the primary today.
    SwitchIsPrimary {},
    /// The selected firmware never reaches the secondary.
    PeerSyncStuck {},
    /// Central management says `pending` of it for ever, from its next restart on.
    ClusterPending {},
    /// Central management does not see it, though it is up.
    ClusterUnseen {
        /// Only once it has restarted.
        #[serde(default)]
        after_restart: bool,
    },
    /// Central management does not list it.
    ClusterMissing {},
    /// Its cluster's status lists a node that the simulator does not have.
    ClusterStranger {
        /// The node's name.
        fqdn: String,
    },
    /// Central management has a warning about its configuration.
    ClusterWarning {
        /// The warning.
        message: String,
        /// Only once it has restarted.
        #[serde(default)]
        after_restart: bool,
    },
    /// Says that it has these roles.
    Roles {
        /// As it writes them.
        roles: Vec<String>,
    },
}

/// What may be wrong with an appliance that worked.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Illness {
    /// The core firmware's integrity is `CORRUPTED`.
    Corrupted {},
    /// There are manually modified files.
    Tainted {
        /// So many.
        files: u64,
    },
    /// The disk is this full.
    Disk {
        /// In percent.
        percent: f64,
    },
    /// The RAID has another status.
    Raid {
        /// The status word.
        status: String,
    },
    /// It has no power.
    Silent {},
}

/// When another administrator acts.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum When {
    /// So long after the simulator's start.
    At(SignedDuration),
    /// Right after the first such request was served.
    After(Pattern),
    /// Right after a fetch job filled a slot.
    Fetched {},
}

/// What another administrator does. Where a slot is not named, it is the one that was filled last.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum AdminAct {
    /// Empties a slot.
    DeleteSlot {
        /// Its key.
        #[serde(default)]
        slot: Option<String>,
    },
    /// Puts other firmware into a slot.
    ReplaceSlot {
        /// Its key.
        #[serde(default)]
        slot: Option<String>,
        /// What is in it then.
        version: String,
    },
    /// Selects a slot for the next boot.
    Arm {
        /// Its key.
        #[serde(default)]
        slot: Option<String>,
    },
    /// Takes that selection back.
    Disarm {},
    /// Starts a fetch job.
    StartFetch {
        /// From here.
        url: String,
        /// With this sum.
        sha256: String,
    },
    /// Removes all records of ended fetch jobs.
    RemoveRecords {},
    /// Reboots the appliance.
    Reboot {},
    /// Ends all sessions.
    EndSessions {},
    /// Gives it another host name.
    Hostname {
        /// The name.
        hostname: String,
    },
    /// Gives it other roles in its cluster.
    Roles {
        /// As it writes them.
        roles: Vec<String>,
    },
}

/// When the wrong certificate is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CertificateWhen {
    /// Always.
    Always,
    /// While the boot page is shown (unknown by documentation).
    Booting,
}
