//! The immutable result of planning. It leaves the executor no choice but to go, to wait or to
//! stop.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::SignedDuration;
use serde::{Deserialize, Serialize};

use crate::digest::Sha256Hex;
use crate::fleet::Appliance;
use crate::names::{ApplianceName, GroupName, RolloutName, SiteName, WaveName};
use crate::rollout::{
    Checks, FailureBudget, Firmware, MakeRoom, RolloutLimits, SiteLimits, StageMode, Timeouts,
};

/// Version of the plan's shape; a plan of another shape is not run.
pub const PLAN_SCHEMA: u32 = 1;

/// A whole rollout, ready to run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Plan {
    /// [`PLAN_SCHEMA`].
    pub schema: u32,
    /// The rollout's name.
    pub rollout: RolloutName,
    /// SHA-256 over everything below: equal digests are equal plans.
    pub digest: Sha256Hex,
    /// What is installed.
    pub firmware: Firmware,
    /// The message that goes with each upgrade call; never empty.
    pub message: String,
    /// In this order; every appliance is in exactly one.
    pub waves: Vec<PlannedWave>,
    /// Every selected appliance.
    pub appliances: BTreeMap<ApplianceName, Arc<Appliance>>,
    /// Members of the selected appliances' redundancy groups that are not in the rollout: they
    /// are looked at before a partner goes down, and never touched.
    pub bystanders: BTreeMap<ApplianceName, Arc<Appliance>>,
    /// The rollout's limits.
    pub limits: RolloutLimits,
    /// Limits of the sites concerned.
    pub sites: BTreeMap<SiteName, SiteLimits>,
    /// How many of each redundancy group concerned may be down.
    pub groups: BTreeMap<GroupName, u32>,
    /// When images are staged.
    pub stage: StageMode,
    /// How many failures the rollout takes.
    pub failure_budget: FailureBudget,
    /// What an appliance's health must be.
    pub checks: Checks,
    /// What is done when no slot is empty.
    pub make_room: MakeRoom,
    /// How long an unreachable appliance is set aside before it is a failure.
    pub unreachable_wait: SignedDuration,
    /// How long each thing may take.
    pub timeouts: Timeouts,
    /// What a person should know before accepting.
    pub warnings: Vec<Warning>,
}

/// One wave of a plan.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PlannedWave {
    /// Its name.
    pub name: WaveName,
    /// Its members in the order in which they are taken.
    pub appliances: Vec<ApplianceName>,
    /// Its own failure budget, besides the rollout's.
    pub failure_budget: Option<FailureBudget>,
}

/// Something that is allowed but should be known.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Warning {
    /// A stable name of the kind, such as `insecure`.
    pub code: String,
    /// What, where, what to do.
    pub text: String,
}

impl Plan {
    /// The SHA-256 over the plan's content; [`Plan::digest`] itself is left out.
    #[must_use]
    pub fn content_digest(&self) -> Sha256Hex {
        let blank = Self { digest: Sha256Hex::from_bytes(&[0; 32]), ..self.clone() };
        let json = serde_json::to_vec(&blank).unwrap_or_default();
        Sha256Hex::of(&json)
    }

    /// All members in wave order.
    pub fn in_order(&self) -> impl Iterator<Item = (&PlannedWave, &Arc<Appliance>)> {
        self.waves.iter().flat_map(move |wave| {
            wave.appliances.iter().filter_map(move |name| {
                self.appliances.get(name).map(|appliance| (wave, appliance))
            })
        })
    }

    /// The smaller of a site's and the rollout's transfer limit.
    #[must_use]
    pub fn site_transfers(&self, site: &SiteName) -> u32 {
        let own = self.sites.get(site).and_then(|limits| limits.transfers);
        own.map_or(self.limits.transfers, |own| own.min(self.limits.transfers))
    }
}
