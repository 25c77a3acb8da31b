//! The immutable result of planning. It leaves the executor no choice but to go, to wait or to
//! stop.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::SignedDuration;
use serde::{Deserialize, Serialize};

use crate::calendar::Calendar;
use crate::digest::Sha256Hex;
use crate::fleet::Appliance;
use crate::names::{ApplianceName, ClusterName, GroupName, RolloutName, SiteName, WaveName};
use crate::rollout::{
    Checks, Drain, FailureBudget, Firmware, Hook, HookKind, MakeRoom, RolloutLimits, SiteLimits,
    StageMode, Timeouts,
};
use crate::version::FirmwareVersion;

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
    /// Versions that are installed before it, in this order; one that an appliance has passed is
    /// left out there.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub via: Vec<Firmware>,
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
    /// When appliances of a site may go down; a site that is not here has no windows and freezes.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub calendars: BTreeMap<SiteName, Calendar>,
    /// The central clusters among the members; each stands in one wave as a whole.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub clusters: BTreeMap<ClusterName, PlannedCluster>,
    /// When images are staged.
    pub stage: StageMode,
    /// What sessions are waited for; `None`: they are shown, not waited for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub drain: Option<Drain>,
    /// Programs before and after.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub hooks: BTreeMap<HookKind, Hook>,
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
    /// How long it is watched after its last member is finished, before the next wave may start.
    #[serde(default, skip_serializing_if = "SignedDuration::is_zero")]
    pub soak: SignedDuration,
    /// Whether a person lets the next wave start.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub approval: bool,
}

/// A central cluster of a plan: its members go down in the vendor's order, without a pause.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlannedCluster {
    /// Its members in the order in which they are taken: a rank begins when the one before is
    /// verified (sps-api.md, section 6: minions, other managed hosts, central-management unless it
    /// is the search-master, the search-master). No rank is empty.
    pub ranks: Vec<Vec<ApplianceName>>,
    /// How many members of a rank may be under way at once.
    pub parallel: u32,
    /// The member with central-management: it is asked how the cluster is.
    pub manager: ApplianceName,
}

impl PlannedCluster {
    /// All members, in order.
    pub fn members(&self) -> impl Iterator<Item = &ApplianceName> {
        self.ranks.iter().flatten()
    }

    /// How many of these members can be down together while the cluster is upgraded.
    #[must_use]
    pub fn width(&self, of: impl Fn(&ApplianceName) -> bool) -> u32 {
        let most = self.ranks.iter().map(|rank| rank.iter().filter(|name| of(name)).count()).max();
        u32::try_from(most.unwrap_or_default()).unwrap_or(u32::MAX).min(self.parallel)
    }
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

    /// All versions to install, in order; the target is the last.
    pub fn hops(&self) -> impl Iterator<Item = &Firmware> {
        self.via.iter().chain([&self.firmware])
    }

    /// The firmware of a hop; the target for any that is not there.
    #[must_use]
    pub fn hop(&self, hop: usize) -> &Firmware {
        self.via.get(hop).unwrap_or(&self.firmware)
    }

    /// The hop that an appliance of this version needs next. The target's for one that needs none.
    #[must_use]
    pub fn next_hop(&self, version: &FirmwareVersion) -> usize {
        self.via.iter().position(|hop| hop.version > *version).unwrap_or(self.via.len())
    }

    /// The cluster of a member.
    #[must_use]
    pub fn cluster_of(&self, name: &ApplianceName) -> Option<(&ClusterName, &PlannedCluster)> {
        if self.clusters.is_empty() {
            return None;
        }
        let member = self.appliances.get(name)?.cluster.as_ref()?;
        self.clusters.get_key_value(&member.name)
    }

    /// The smaller of a site's and the rollout's transfer limit.
    #[must_use]
    pub fn site_transfers(&self, site: &SiteName) -> u32 {
        let own = self.sites.get(site).and_then(|limits| limits.transfers);
        own.map_or(self.limits.transfers, |own| own.min(self.limits.transfers))
    }
}
