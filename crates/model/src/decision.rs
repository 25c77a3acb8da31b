//! What a person decides about a rollout.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::names::{ApplianceName, SiteName, WaveName};

/// Who decided.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Actor {
    /// The user's id.
    pub uid: u32,
    /// The user's name, or the id as text when it has none.
    pub name: String,
    /// The process that asked.
    pub pid: u32,
}

/// A decision. Each goes into the journal with its actor and reason, and takes effect in the fold.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", rename_all_fields = "snake_case")]
pub enum Decision {
    /// No new disruptive step; staging goes on unless `all`.
    Pause {
        /// Staging stops too.
        all: bool,
        /// It takes hold inside a cluster that has begun, too.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        now: bool,
    },
    /// Lifts a pause; failures are counted anew.
    Resume,
    /// Gives the rollout up, for good; a cluster that has begun is finished.
    Abort,
    /// Gives the rollout up, for good, inside a cluster that has begun, too.
    AbortNow,
    /// Takes failed or held appliances up again.
    Retry {
        /// Which.
        appliances: Vec<ApplianceName>,
    },
    /// Leaves appliances out. Frees no place: only an observation does.
    Skip {
        /// Which.
        appliances: Vec<ApplianceName>,
    },
    /// Says what became of an act whose outcome is unknown.
    Resolve {
        /// Where.
        appliance: ApplianceName,
        /// Done, or not done.
        done: bool,
    },
    /// Lets the wave after this one start.
    Approve {
        /// The finished wave.
        wave: WaveName,
    },
    /// A person's step of an HA pair is done.
    Confirm {
        /// Where.
        appliance: ApplianceName,
        /// Which.
        step: PersonStep,
    },
    /// Freezes of a site do not count until then.
    OverrideFreeze {
        /// Where.
        site: SiteName,
        /// The end of the override.
        until: Timestamp,
    },
}

/// A step of an HA pair that is not done through the appliance's API (contract: semantics.md,
/// "A person's steps").
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PersonStep {
    /// The secondary holds the new firmware.
    PeerHasFirmware,
    /// The secondary is switched off.
    SecondaryOff,
    /// The primary is rebooted.
    Reboot,
    /// The secondary is switched on again.
    SecondaryOn,
    /// Both nodes form a healthy pair.
    PairHealthy,
}

impl PersonStep {
    /// The word (contract: semantics.md).
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::PeerHasFirmware => "peer-has-firmware",
            Self::SecondaryOff => "secondary-off",
            Self::Reboot => "reboot",
            Self::SecondaryOn => "secondary-on",
            Self::PairHealthy => "pair-healthy",
        }
    }

    /// All, in the order in which they are done.
    pub const ALL: [Self; 5] = [
        Self::PeerHasFirmware,
        Self::SecondaryOff,
        Self::Reboot,
        Self::SecondaryOn,
        Self::PairHealthy,
    ];

    /// What the person does (sps-api.md, section 6, "HA pair").
    #[must_use]
    pub fn instructions(self) -> &'static str {
        match self {
            Self::PeerHasFirmware => {
                "wait until Basic Settings > High Availability shows the new firmware on the other node"
            }
            Self::SecondaryOff => {
                "shut down the other node (Basic Settings > High Availability, or its IPMI); never this node"
            }
            Self::Reboot => {
                "reboot this node (Basic Settings > System > System control > This node)"
            }
            Self::SecondaryOn => "switch the other node on by its IPMI",
            Self::PairHealthy => {
                "wait until Basic Settings > High Availability shows status HA with both nodes on the new firmware"
            }
        }
    }
}

impl Decision {
    /// The command's name.
    #[must_use]
    pub fn verb(&self) -> &'static str {
        match self {
            Self::Pause { .. } => "pause",
            Self::Resume => "resume",
            Self::Abort | Self::AbortNow => "abort",
            Self::Retry { .. } => "retry",
            Self::Skip { .. } => "skip",
            Self::Resolve { .. } => "resolve",
            Self::Approve { .. } => "approve",
            Self::Confirm { .. } => "confirm",
            Self::OverrideFreeze { .. } => "freeze override",
        }
    }
}
