//! Central clusters in the fold: who has begun, what failed, and how long minions do not audit.

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::{Phase, Run};
use crate::event::{Act, ApplianceChange, SkipReason};
use crate::fleet::Role;
use crate::names::{ApplianceName, ClusterName};

/// A cluster of a rollout, folded.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClusterRun {
    /// Since when it has its places.
    pub started_at: Option<Timestamp>,
    /// When the first member's upgrade call was about to be sent: from here on it is finished.
    pub begun_at: Option<Timestamp>,
    /// Since when upgraded minions do not audit; `None` while they do.
    pub gap_since: Option<Timestamp>,
    /// How long they did not, in all that is over.
    pub gap: SignedDuration,
    /// When a member was last verified.
    pub verified_at: Option<Timestamp>,
    /// Whether central management saw all members in agreement after the last one.
    pub synced: bool,
    /// Which of the plan's hops its members go to together.
    pub hop: usize,
    /// Whether it was gone through.
    pub finished: bool,
}

impl ClusterRun {
    /// How long sessions were not audited, up to now.
    #[must_use]
    pub fn audit_gap(&self, now: Timestamp) -> SignedDuration {
        let open = self.gap_since.map_or(SignedDuration::ZERO, |since| now.duration_since(since));
        self.gap + open.max(SignedDuration::ZERO)
    }
}

impl Run {
    /// Whether a cluster has its places.
    #[must_use]
    pub fn cluster_has_started(&self, cluster: &ClusterName) -> bool {
        self.clusters.get(cluster).is_some_and(|run| run.started_at.is_some())
    }

    /// Whether a member of the cluster has gone down and the cluster is not through.
    #[must_use]
    pub fn cluster_has_begun(&self, cluster: &ClusterName) -> bool {
        self.clusters.get(cluster).is_some_and(|run| run.begun_at.is_some())
    }

    /// Whether an appliance is a member of a cluster that has begun.
    #[must_use]
    pub fn is_in_begun_cluster(&self, name: &ApplianceName) -> bool {
        self.plan.cluster_of(name).is_some_and(|(cluster, _)| self.cluster_has_begun(cluster))
    }

    /// The members that keep a cluster that has begun from going on; none when it goes on.
    #[must_use]
    pub fn half_upgraded(&self, cluster: &ClusterName) -> Vec<ApplianceName> {
        if !self.cluster_has_begun(cluster) {
            return Vec::new();
        }
        let stuck = |name: &&ApplianceName| {
            self.appliances.get(*name).is_some_and(|run| {
                matches!(run.phase, Phase::Failed | Phase::Held | Phase::Unknown | Phase::SetAside)
            })
        };
        let planned = self.plan.clusters.get(cluster);
        planned.map(|c| c.members().filter(stuck).cloned().collect()).unwrap_or_default()
    }

    /// Whether any cluster is half upgraded.
    #[must_use]
    pub fn any_half_upgraded(&self) -> bool {
        self.clusters.keys().any(|cluster| !self.half_upgraded(cluster).is_empty())
    }

    /// The hop that a cluster is at: the earliest of its members that are not finished.
    fn hop_of_cluster(&self, cluster: &ClusterName) -> usize {
        let planned = self.plan.clusters.get(cluster);
        let members = planned.into_iter().flat_map(|planned| planned.members());
        let hops = members.filter_map(|name| self.appliances.get(name));
        let hops = hops.filter(|run| !run.phase.is_terminal()).map(|run| run.hop);
        hops.min().unwrap_or(self.plan.via.len())
    }

    /// Whether a member of a cluster is done with the hop that the cluster is at, one way or the
    /// other.
    #[must_use]
    pub fn is_through(&self, name: &ApplianceName) -> bool {
        let cluster = self.plan.cluster_of(name).and_then(|(name, _)| self.clusters.get(name));
        let hop = cluster.map_or(usize::MAX, |cluster| cluster.hop);
        self.appliances.get(name).is_some_and(|run| {
            run.phase.is_upgraded() || run.phase == Phase::Skipped || run.hop > hop
        })
    }

    /// Whether a person has left a member of a cluster out.
    pub(super) fn is_left_out(&self, name: &ApplianceName) -> bool {
        self.appliances.get(name).is_some_and(|run| {
            run.phase == Phase::Skipped && !matches!(run.skipped, Some(SkipReason::Newer { .. }))
        })
    }

    pub(super) fn cluster_started(
        &mut self,
        cluster: &ClusterName,
        at: Timestamp,
    ) -> Result<(), String> {
        if !self.plan.clusters.contains_key(cluster) {
            return Err(format!("there is no cluster {cluster}"));
        }
        let hop = self.hop_of_cluster(cluster);
        let run = self.clusters.entry(cluster.clone()).or_default();
        if run.started_at.is_some() {
            return Err(format!("cluster {cluster} has its places already"));
        }
        run.started_at = Some(at);
        run.hop = hop;
        run.synced = false;
        run.finished = false;
        Ok(())
    }

    pub(super) fn cluster_withdrawn(&mut self, cluster: &ClusterName) -> Result<(), String> {
        match self.clusters.get_mut(cluster) {
            Some(run) if run.begun_at.is_none() => run.started_at = None,
            _ => return Err(format!("cluster {cluster} has begun and cannot be withdrawn")),
        }
        let members: Vec<ApplianceName> = self
            .plan
            .clusters
            .get(cluster)
            .map(|c| c.members().cloned().collect())
            .unwrap_or_default();
        for name in members {
            if let Some(run) = self.appliances.get_mut(&name) {
                run.permitted = false;
                run.drained = None;
                run.roster_at = None;
            }
        }
        Ok(())
    }

    pub(super) fn cluster_finished(&mut self, cluster: &ClusterName) -> Result<(), String> {
        let Some(planned) = self.plan.clusters.get(cluster) else {
            return Err(format!("there is no cluster {cluster}"));
        };
        // Whoever is left out leaves the cluster half upgraded: the gap stays open.
        let whole = !planned.members().any(|name| self.is_left_out(name));
        for name in planned.members() {
            if let Some(run) = self.appliances.get_mut(name) {
                run.roster_at = None;
            }
        }
        let Some(run) = self.clusters.get_mut(cluster) else {
            return Err(format!("cluster {cluster} has not begun"));
        };
        if whole && let (Some(since), Some(until)) = (run.gap_since.take(), run.verified_at) {
            run.gap += until.duration_since(since).max(SignedDuration::ZERO);
        }
        run.started_at = None;
        run.begun_at = None;
        run.finished = true;
        Ok(())
    }

    /// The first call begins the cluster; the first minion's begins the audit gap.
    pub(super) fn cluster_member_changed(
        &mut self,
        name: &ApplianceName,
        change: &ApplianceChange,
        at: Timestamp,
    ) {
        if self.plan.clusters.is_empty() {
            return;
        }
        let Some(member) = self.plan.appliances.get(name).and_then(|a| a.cluster.as_ref()) else {
            return;
        };
        if !self.plan.clusters.contains_key(&member.name) {
            return;
        }
        let run = self.clusters.entry(member.name.clone()).or_default();
        match change {
            ApplianceChange::Intended(Act::Upgrade { .. }) => {
                run.begun_at.get_or_insert(at);
                run.finished = false;
                if member.roles.contains(&Role::SearchMinion) {
                    run.gap_since.get_or_insert(at);
                }
            }
            ApplianceChange::Succeeded { .. }
            | ApplianceChange::Verified { .. }
            | ApplianceChange::HopDone { .. } => run.verified_at = Some(at),
            ApplianceChange::ClusterSynced { .. } => run.synced = true,
            _ => {}
        }
    }
}
