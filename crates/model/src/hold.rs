//! Why something does not go on now: typed, with the numbers behind it. `status`, `explain`, the
//! report and the exit code all read this one value.

use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::names::{ApplianceName, GroupName, SiteName, WaveName};

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
            Self::EarlierWave { .. }
            | Self::RolloutLimit { .. }
            | Self::SiteLimit { .. }
            | Self::GroupLimit { .. }
            | Self::TransferLimit { .. }
            | Self::JournalNotWritable
            | Self::Unreachable { .. } => false,
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
            | Self::Refused { .. } => true,
        }
    }

    /// When it may change by itself, where that is known.
    #[must_use]
    pub fn until(&self) -> Option<Timestamp> {
        if let Self::Unreachable { until, .. } = self { Some(*until) } else { None }
    }
}

fn list(names: &[ApplianceName]) -> String {
    const SHOWN: usize = 5;
    let shown: Vec<&str> = names.iter().take(SHOWN).map(ApplianceName::as_str).collect();
    let more = names.len().saturating_sub(SHOWN);
    if more == 0 { shown.join(", ") } else { format!("{} and {more} more", shown.join(", ")) }
}

impl fmt::Display for HoldReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::EarlierWave { wave, unfinished } => {
                write!(f, "wave {wave} is not finished ({unfinished} to go)")
            }
            Self::RolloutLimit { limit, down } => {
                write!(f, "the rollout allows {limit} down at once; down: {}", list(down))
            }
            Self::SiteLimit { site, limit, down } => {
                write!(f, "site {site} allows {limit} down at once; down: {}", list(down))
            }
            Self::GroupLimit { group, limit, down } => {
                write!(f, "redundancy group {group} allows {limit} down at once; down: {}", list(down))
            }
            Self::TransferLimit { limit } => write!(f, "all {limit} transfers are taken"),
            Self::Paused => f.write_str("the rollout is paused; `resume` lets it go on"),
            Self::BudgetReached { failures, limit } => write!(
                f,
                "failure budget reached ({failures} failed, {limit} stop the rollout); `resume` lets it go on"
            ),
            Self::JournalNotWritable => {
                f.write_str("the journal cannot be written; free the disk, then it goes on by itself")
            }
            Self::Unreachable { since, until } => {
                write!(f, "does not answer since {since:.0}; a failure from {until:.0} on")
            }
            Self::IdentityNotProven { detail } => write!(
                f,
                "its certificate does not prove its identity, no password was sent: {detail}; correct `tls`, then `retry`"
            ),
            Self::Credentials { detail } => {
                write!(f, "{detail}; correct the password, then `retry`")
            }
            Self::WrongHostname { expected, found } => write!(
                f,
                "the inventory expects host name {expected}, it says {found}; correct one of them, then `retry`"
            ),
            Self::ChangedByOthers { detail } => {
                write!(f, "another hand is at work: {detail}; when that is settled, `retry`")
            }
            Self::AlreadyArmed { slots } => write!(
                f,
                "the target was selected for the next boot before this rollout came ({slots}); reboot it or select another slot, then `retry`"
            ),
            Self::OtherFirmwareArmed { slots } => write!(
                f,
                "other firmware is selected for the next boot ({slots}); settle that, then `retry`"
            ),
            Self::ArmedButReboots => f.write_str(
                "the upgrade call only armed the appliance, though `upgrade_call: reboots` was said; reboot it by hand",
            ),
            Self::OperatorReboot { since } => write!(
                f,
                "armed since {since:.0}; reboot it (Basic Settings > System > System control), it goes on by itself"
            ),
            Self::OutcomeUnknown { act, saw } => write!(
                f,
                "whether {act} was done cannot be told ({saw}); look at the appliance, then `resolve` it as done or not-done"
            ),
            Self::RebootFailed { detail } => {
                write!(f, "the configured reboot failed: {detail}; reboot it by hand")
            }
            Self::Refused { detail } => write!(f, "{detail}; look into it, then `retry`"),
        }
    }
}
