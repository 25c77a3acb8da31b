//! Why something does not go on now: typed, with the numbers behind it. `status`, `explain`, the
//! report and the exit code all read this one value.

mod words;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::decision::PersonStep;
use crate::history::Expected;
use crate::names::{ApplianceName, ClusterName, GroupName, SiteName, WaveName};

/// Why an appliance waits.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", rename_all_fields = "snake_case")]
pub enum HoldReason {
    /// Its wave's turn has not come.
    EarlierWave {
        /// The wave that runs now.
        wave: WaveName,
        /// How many of its members are not finished.
        unfinished: usize,
    },
    /// As many appliances of the rollout are down as may be.
    RolloutLimit {
        /// The limit.
        limit: u32,
        /// Who is down.
        down: Vec<ApplianceName>,
    },
    /// As many appliances of the site are down as may be.
    SiteLimit {
        /// The site.
        site: SiteName,
        /// The limit.
        limit: u32,
        /// Who is down.
        down: Vec<ApplianceName>,
    },
    /// As many appliances of the redundancy group are down as may be.
    GroupLimit {
        /// The group.
        group: GroupName,
        /// The limit.
        limit: u32,
        /// Who is down.
        down: Vec<ApplianceName>,
    },
    /// No window of its site is open.
    OutsideWindow {
        /// The site.
        site: SiteName,
        /// When one opens that is long enough; `None`: never.
        until: Option<Timestamp>,
    },
    /// A freeze is in force.
    Frozen {
        /// The site.
        site: SiteName,
        /// Why.
        freeze: Option<String>,
        /// When it may go down again; `None`: never.
        until: Option<Timestamp>,
    },
    /// The window that is open ends before it would be through.
    WindowTooShort {
        /// The site.
        site: SiteName,
        /// When the window ends.
        closes: Timestamp,
        /// How long it is expected to take.
        expected: Expected,
        /// When a window opens that is long enough; `None`: never.
        until: Option<Timestamp>,
    },
    /// An earlier wave is watched before the next one starts.
    Soaking {
        /// The wave.
        wave: WaveName,
        /// Until then.
        until: Timestamp,
    },
    /// A person lets the next wave start.
    ApprovalRequired {
        /// The finished wave.
        wave: WaveName,
    },
    /// An appliance of a finished wave fell ill while it was watched.
    SoakFailed {
        /// Which appliance.
        appliance: ApplianceName,
    },
    /// Its cluster begins when all members are staged and tested.
    ClusterWaits {
        /// The cluster.
        cluster: ClusterName,
        /// Who is not.
        waiting_for: Vec<ApplianceName>,
    },
    /// Its cluster cannot begin: members failed, are held or were left out.
    ClusterIncomplete {
        /// The cluster.
        cluster: ClusterName,
        /// Who.
        members: Vec<ApplianceName>,
    },
    /// Its turn in the cluster has not come.
    ClusterOrder {
        /// The cluster.
        cluster: ClusterName,
        /// Who comes first.
        before: Vec<ApplianceName>,
    },
    /// A member failed inside a cluster that has begun: minions do not audit.
    ClusterHalfUpgraded {
        /// The cluster.
        cluster: ClusterName,
        /// Who failed.
        failed: Vec<ApplianceName>,
        /// Since when sessions are not audited.
        gap_since: Option<Timestamp>,
    },
    /// The cluster is not as the inventory says.
    ClusterDiffers {
        /// The cluster.
        cluster: ClusterName,
        /// In what.
        detail: String,
    },
    /// Sessions are waited for.
    Draining {
        /// How many are open, where known.
        sessions: Option<u64>,
        /// At most so many may be.
        allowed: u64,
        /// How long they are waited for.
        until: Timestamp,
    },
    /// Sessions did not end in time.
    SessionsOpen {
        /// How many are open, where known.
        sessions: Option<u64>,
        /// At most so many may be.
        allowed: u64,
    },
    /// A person's step of an HA pair.
    AttendedStep {
        /// Which.
        step: PersonStep,
        /// Waited for since.
        since: Timestamp,
    },
    /// The node behind the power switch is not proven to be the secondary.
    SecondaryNotProven {
        /// What the check said.
        detail: String,
    },
    /// A power act on the secondary did not come about.
    PowerFailed {
        /// Which step.
        step: PersonStep,
        /// What happened.
        detail: String,
    },
    /// A hook runs.
    HookRunning {
        /// Which.
        hook: String,
    },
    /// A hook before something failed, or it is not known whether it did its work.
    HookFailed {
        /// Which.
        hook: String,
        /// What it said.
        detail: String,
    },
    /// Another entry of the inventory is the same appliance.
    SameAppliance {
        /// The other entry.
        other: ApplianceName,
        /// By what they are alike.
        detail: String,
    },
    /// It says another host name than in the last rollout.
    HostnameChanged {
        /// Then.
        before: String,
        /// Now.
        found: String,
    },
    /// It is armed and its window has ended: any reboot boots the new firmware.
    ArmedOutsideWindow {
        /// Armed since.
        since: Timestamp,
    },
    /// All places for transfers are taken.
    TransferLimit {
        /// The limit.
        limit: u32,
    },
    /// The rollout is paused by a person.
    Paused,
    /// The failure budget is reached.
    BudgetReached {
        /// Failures that count.
        failures: usize,
        /// The number that breaches.
        limit: usize,
    },
    /// The journal cannot be written.
    JournalNotWritable,
    /// It does not answer; asked again at the time given.
    Unreachable {
        /// Not answering since.
        since: Timestamp,
        /// When it becomes a failure.
        until: Timestamp,
    },
    /// Its identity could not be proven; no credential was sent.
    IdentityNotProven {
        /// What was wrong with the certificate.
        detail: String,
    },
    /// It refused the password, or the password is withheld or unreadable.
    Credentials {
        /// What happened.
        detail: String,
    },
    /// It says another host name than the inventory.
    WrongHostname {
        /// The inventory's.
        expected: String,
        /// Its own.
        found: String,
    },
    /// Another hand is at work: a fetch that is not ours, a slot or version that changed.
    ChangedByOthers {
        /// What was seen.
        detail: String,
    },
    /// The target was already selected for the next boot before we came.
    AlreadyArmed {
        /// The slots.
        slots: String,
    },
    /// Another version is selected for the next boot.
    OtherFirmwareArmed {
        /// The slots.
        slots: String,
    },
    /// The upgrade call armed an appliance whose call is said to reboot.
    ArmedButReboots,
    /// It is armed and a person reboots it.
    OperatorReboot {
        /// Armed since.
        since: Timestamp,
    },
    /// Whether an act was done cannot be told; a person resolves it.
    OutcomeUnknown {
        /// Which act.
        act: String,
        /// What was seen.
        saw: String,
    },
    /// The configured reboot failed.
    RebootFailed {
        /// What happened.
        detail: String,
    },
    /// It refused something we cannot judge; a person must look.
    Refused {
        /// The appliance's own words.
        detail: String,
    },
}

impl HoldReason {
    /// A stable word for machines and for the documentation.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::EarlierWave { .. } => "earlier-wave",
            Self::RolloutLimit { .. } => "rollout-limit",
            Self::SiteLimit { .. } => "site-limit",
            Self::GroupLimit { .. } => "group-limit",
            Self::OutsideWindow { .. } => "outside-window",
            Self::Frozen { .. } => "frozen",
            Self::WindowTooShort { .. } => "window-too-short",
            Self::Soaking { .. } => "soaking",
            Self::ApprovalRequired { .. } => "approval-required",
            Self::SoakFailed { .. } => "soak-failed",
            Self::ClusterWaits { .. } => "cluster-waits",
            Self::ClusterIncomplete { .. } => "cluster-incomplete",
            Self::ClusterOrder { .. } => "cluster-order",
            Self::ClusterHalfUpgraded { .. } => "cluster-half-upgraded",
            Self::ClusterDiffers { .. } => "cluster-differs",
            Self::Draining { .. } => "draining",
            Self::SessionsOpen { .. } => "sessions-open",
            Self::AttendedStep { .. } => "attended-step",
            Self::SecondaryNotProven { .. } => "secondary-not-proven",
            Self::PowerFailed { .. } => "power-failed",
            Self::HookRunning { .. } => "hook-running",
            Self::HookFailed { .. } => "hook-failed",
            Self::SameAppliance { .. } => "same-appliance",
            Self::HostnameChanged { .. } => "hostname-changed",
            Self::ArmedOutsideWindow { .. } => "armed-outside-window",
            Self::TransferLimit { .. } => "transfer-limit",
            Self::Paused => "paused",
            Self::BudgetReached { .. } => "budget-reached",
            Self::JournalNotWritable => "journal-not-writable",
            Self::Unreachable { .. } => "unreachable",
            Self::IdentityNotProven { .. } => "identity-not-proven",
            Self::Credentials { .. } => "credentials-refused",
            Self::WrongHostname { .. } => "wrong-hostname",
            Self::ChangedByOthers { .. } => "changed-by-others",
            Self::AlreadyArmed { .. } => "already-armed",
            Self::OtherFirmwareArmed { .. } => "other-firmware-armed",
            Self::ArmedButReboots => "armed-but-reboots",
            Self::OperatorReboot { .. } => "operator-reboot",
            Self::OutcomeUnknown { .. } => "outcome-unknown",
            Self::RebootFailed { .. } => "reboot-failed",
            Self::Refused { .. } => "refused",
        }
    }

    /// Whether only a person ends it. What time or other appliances cure does not.
    #[must_use]
    pub fn needs_person(&self) -> bool {
        match self {
            // A window that never opens is not cured by time.
            Self::OutsideWindow { until, .. }
            | Self::Frozen { until, .. }
            | Self::WindowTooShort { until, .. } => until.is_none(),
            Self::EarlierWave { .. }
            | Self::RolloutLimit { .. }
            | Self::SiteLimit { .. }
            | Self::GroupLimit { .. }
            | Self::TransferLimit { .. }
            | Self::JournalNotWritable
            | Self::Unreachable { .. }
            | Self::Soaking { .. }
            | Self::ClusterWaits { .. }
            | Self::ClusterOrder { .. }
            | Self::Draining { .. }
            | Self::HookRunning { .. } => false,
            Self::Paused
            | Self::BudgetReached { .. }
            | Self::IdentityNotProven { .. }
            | Self::Credentials { .. }
            | Self::WrongHostname { .. }
            | Self::ChangedByOthers { .. }
            | Self::AlreadyArmed { .. }
            | Self::OtherFirmwareArmed { .. }
            | Self::ArmedButReboots
            | Self::OperatorReboot { .. }
            | Self::OutcomeUnknown { .. }
            | Self::RebootFailed { .. }
            | Self::Refused { .. }
            | Self::ApprovalRequired { .. }
            | Self::SoakFailed { .. }
            | Self::ClusterIncomplete { .. }
            | Self::ClusterHalfUpgraded { .. }
            | Self::ClusterDiffers { .. }
            | Self::SessionsOpen { .. }
            | Self::AttendedStep { .. }
            | Self::SecondaryNotProven { .. }
            | Self::PowerFailed { .. }
            | Self::HookFailed { .. }
            | Self::SameAppliance { .. }
            | Self::HostnameChanged { .. }
            | Self::ArmedOutsideWindow { .. } => true,
        }
    }

    /// When it may change by itself, where that is known.
    #[must_use]
    pub fn until(&self) -> Option<Timestamp> {
        match self {
            Self::Unreachable { until, .. }
            | Self::Soaking { until, .. }
            | Self::Draining { until, .. } => Some(*until),
            Self::OutsideWindow { until, .. }
            | Self::Frozen { until, .. }
            | Self::WindowTooShort { until, .. } => *until,
            _ => None,
        }
    }
}
