//! What is wanted: one firmware version, under conditions. Validated; defaults are already applied
//! (contract: semantics.md, "rollout.yaml").

use jiff::SignedDuration;
use serde::{Deserialize, Serialize};

use crate::digest::Sha256Hex;
use crate::version::FirmwareVersion;

/// The firmware to roll out and where it comes from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Firmware {
    /// The target version.
    pub version: FirmwareVersion,
    /// SHA-256 of the image.
    pub sha256: Sha256Hex,
    /// URL that the appliance pulls from; http or https, no user information.
    pub fetch: Option<String>,
    /// Local image that is pushed.
    pub upload: Option<Image>,
    /// Whether a slot that already holds the version is used.
    pub adopt: bool,
}

/// A local firmware image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Image {
    /// Absolute path.
    pub path: String,
    /// Size in bytes; 0 when the files were not looked at.
    pub size: u64,
}

/// The limits of a rollout.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RolloutLimits {
    /// How many appliances may stage at once.
    pub transfers: u32,
    /// How many appliances may be down at once.
    pub unavailable: u32,
    /// Requests per second to all appliances together.
    pub requests_per_second: u32,
}

/// The limits of a site; an absent one leaves the rollout's.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SiteLimits {
    /// How many appliances of the site may stage at once.
    pub transfers: Option<u32>,
    /// How many appliances of the site may be down at once.
    pub unavailable: Option<u32>,
    /// Requests per second to the site's appliances together.
    pub requests_per_second: Option<u32>,
}

/// When images are staged and tested.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StageMode {
    /// Everything early, for all waves.
    Ahead,
    /// Each appliance inside its window.
    InWindow,
}

/// How many failures a rollout takes. *Reached* is breached.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FailureBudget {
    /// As a number of appliances.
    pub count: Option<u32>,
    /// As a percentage of all selected appliances.
    pub percent: Option<u32>,
    /// What happens then.
    pub on_breach: OnBreach,
}

impl FailureBudget {
    /// The smallest number of failures that breaches, of `selected` appliances; at least one.
    #[must_use]
    pub fn breached_at(&self, selected: usize) -> Option<usize> {
        let count = self.count.map(|count| usize::try_from(count).unwrap_or(usize::MAX));
        let percent = self.percent.map(|percent| (selected * percent as usize).div_ceil(100));
        match (count, percent) {
            (Some(count), Some(percent)) => Some(count.min(percent).max(1)),
            (Some(one), None) | (None, Some(one)) => Some(one.max(1)),
            (None, None) => None,
        }
    }
}

/// What a breached failure budget does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnBreach {
    /// No new disruptive step; what is in flight finishes; a person decides.
    Pause,
    /// The rollout is given up.
    Abort,
}

/// What an appliance's health must be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Checks {
    /// Highest use of the disk, in percent (10 % free are needed: sps-api.md, section 6).
    pub disk_used_max: u32,
    /// Whether manually modified files are a failure.
    pub require_untainted: bool,
    /// Whether a support bundle is fetched after a failure.
    pub support_bundle: bool,
}

/// What is done when no slot is empty.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MakeRoom {
    /// The appliance fails, with its slots listed.
    Never,
    /// The oldest slot that is not needed is deleted.
    Oldest,
}

/// Waiting for sessions to end before an appliance goes down.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Drain {
    /// At most so many sessions.
    pub sessions: u64,
    /// For at most so long.
    pub wait: SignedDuration,
    /// Then hold, or go on.
    pub otherwise: DrainOtherwise,
}

/// What happens when sessions do not end in time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DrainOtherwise {
    /// Wait for a person.
    Hold,
    /// Cut them.
    Proceed,
}

/// A program around an appliance, a cluster or a wave.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hook {
    /// The program and its arguments; no shell.
    pub command: Vec<String>,
    /// After this it is ended.
    pub timeout: SignedDuration,
}

/// Around what a hook runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HookKind {
    /// Before an appliance's disruptive part.
    Before,
    /// After it, whatever became of the appliance.
    After,
    /// Before a cluster's first member.
    ClusterBefore,
    /// After its last member.
    ClusterAfter,
    /// Before a wave's first appliance goes down.
    WaveBefore,
    /// After its last member is finished.
    WaveAfter,
}

impl HookKind {
    /// The key in rollout.yaml.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Before => "before",
            Self::After => "after",
            Self::ClusterBefore => "cluster_before",
            Self::ClusterAfter => "cluster_after",
            Self::WaveBefore => "wave_before",
            Self::WaveAfter => "wave_after",
        }
    }

    /// Whether it runs before: its failing is a hold. After, its failing is a warning.
    #[must_use]
    pub fn is_before(self) -> bool {
        matches!(self, Self::Before | Self::ClusterBefore | Self::WaveBefore)
    }
}

/// How long each thing may take.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Timeouts {
    /// Staging as a whole.
    pub stage: SignedDuration,
    /// A transfer that does not move.
    pub stall: SignedDuration,
    /// The firmware test.
    pub test: SignedDuration,
    /// From the upgrade call until the restart is seen.
    pub upgrade: SignedDuration,
    /// How long an armed appliance may still reboot by itself.
    pub armed_grace: SignedDuration,
    /// From the restart until the API answers with a version.
    pub r#return: SignedDuration,
    /// Until health is good after the return.
    pub verify: SignedDuration,
    /// The longest gap in watching in which an unseen restart is still ruled out.
    pub blind: SignedDuration,
}

impl Default for Timeouts {
    /// The values of the contract's rollout.yaml.
    fn default() -> Self {
        Self {
            stage: SignedDuration::from_hours(3),
            stall: SignedDuration::from_mins(10),
            test: SignedDuration::from_mins(15),
            upgrade: SignedDuration::from_mins(15),
            armed_grace: SignedDuration::from_mins(3),
            r#return: SignedDuration::from_mins(45),
            verify: SignedDuration::from_mins(10),
            blind: SignedDuration::from_secs(30),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_smaller_budget_counts_and_one_failure_is_the_least() {
        let budget = |count, percent| FailureBudget { count, percent, on_breach: OnBreach::Pause };
        assert_eq!(budget(Some(1), None).breached_at(100), Some(1));
        assert_eq!(budget(Some(10), Some(5)).breached_at(100), Some(5));
        assert_eq!(budget(Some(10), Some(5)).breached_at(30), Some(2));
        assert_eq!(budget(None, Some(5)).breached_at(2), Some(1));
        assert_eq!(budget(None, None).breached_at(100), None);
    }
}
