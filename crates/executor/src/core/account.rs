//! Keeps places, counts and queues up to date with what the fold says.

use jiff::Timestamp;
use model::names::{ApplianceName, ClusterName, RolloutId};
use model::run::{Phase, Run};
use model::safety::{Claim, Membership, Occupancy};

use super::Core;

impl Core {
    /// Brings counts and queues up to date with what the fold says of a member.
    pub(super) fn account(&mut self, name: &ApplianceName, before: Option<Phase>) {
        let Some((index, wave)) = self.places.get(name).copied() else { return };
        let Some(run) = self.run.appliances.get(name) else { return };
        // A permit that is recorded but not yet come back as an event takes its places already.
        let takes = run.takes_places() || self.permitting.contains(name);
        let (phase, retry_at) = (run.phase, run.retry_at);
        if let Some(who) = membership(&self.run, name) {
            if takes { self.occupancy.take(&who) } else { self.occupancy.free(&who) }
        }
        if let Some(left) = self.unfinished.get_mut(wave) {
            match (before.is_some_and(Phase::is_terminal), phase.is_terminal()) {
                (false, true) => *left = left.saturating_sub(1),
                (true, false) => *left += 1,
                (true, true) | (false, false) => {}
            }
        }
        self.set_timer(index, retry_at.filter(|_| phase == Phase::SetAside));
        self.wake(name);
    }

    /// Members of a cluster that gave its places back hold no permit any more.
    pub(super) fn account_cluster(&mut self, cluster: &ClusterName) {
        let planned = self.run.plan.clusters.get(cluster);
        let members: Vec<ApplianceName> =
            planned.map(|planned| planned.members().cloned().collect()).unwrap_or_default();
        for name in members {
            let phase = self.run.appliances.get(&name).map(|run| run.phase);
            self.account(&name, phase);
        }
    }

    pub(super) fn set_timer(&mut self, index: usize, at: Option<Timestamp>) {
        if let Some(old) = self.timer_of.remove(&index) {
            self.timers.remove(&(old, index));
        }
        if let Some(at) = at {
            self.timer_of.insert(index, at);
            self.timers.insert((at, index));
        }
    }

    pub(super) fn recount(&mut self) {
        self.unfinished = vec![0; self.run.plan.waves.len()];
        for (name, run) in &self.run.appliances {
            if let Some((_, wave)) = self.places.get(name)
                && !run.phase.is_terminal()
                && let Some(left) = self.unfinished.get_mut(*wave)
            {
                *left += 1;
            }
        }
    }

    pub(super) fn account_bystander(&mut self, name: &ApplianceName) {
        let dark = self.run.dark_bystanders.contains(name);
        if let Some(who) = membership(&self.run, name) {
            if dark { self.occupancy.take(&who) } else { self.occupancy.free(&who) }
        }
    }

    pub(super) fn wake(&mut self, name: &ApplianceName) {
        if let Some((index, _)) = self.places.get(name) {
            self.eager.insert(*index);
        }
    }
}

/// Who counts where when it is down.
pub(super) fn membership(run: &Run, name: &ApplianceName) -> Option<Membership> {
    let (appliance, rollout) = match run.plan.appliances.get(name) {
        Some(member) => (member, Some(run.id.clone())),
        None => (run.plan.bystanders.get(name)?, None),
    };
    let (site, group) = (appliance.site.clone(), appliance.group.clone());
    let cluster = appliance.cluster.as_ref().map(|member| member.name.clone());
    Some(Membership { name: name.clone(), rollout, site, group, cluster })
}

/// The limits of a rollout's plan, and the places that its clusters have taken.
pub(super) fn limits_of(run: &Run) -> Occupancy {
    let plan = &run.plan;
    let mut occupancy = Occupancy::default();
    occupancy.limit_rollout(&run.id, plan.limits.unavailable);
    for (site, limits) in &plan.sites {
        if let Some(limit) = limits.unavailable {
            occupancy.limit_site(site, limit);
        }
    }
    for (group, limit) in &plan.groups {
        occupancy.limit_group(group, *limit);
    }
    claim_started(run, Some(&run.id), &mut occupancy);
    occupancy
}

/// Takes the places of the clusters that have them.
fn claim_started(run: &Run, rollout: Option<&RolloutId>, occupancy: &mut Occupancy) {
    for (name, cluster) in &run.plan.clusters {
        if run.cluster_has_started(name) {
            occupancy.claim(name, &Claim::of(&run.plan, rollout, cluster));
        }
    }
}

/// Takes the places of other rollouts' clusters that have them, and of their appliances that are
/// down.
pub(super) fn take_for_others<'a>(
    others: impl IntoIterator<Item = &'a Run>,
    occupancy: &mut Occupancy,
) {
    for other in others {
        claim_started(other, None, occupancy);
        for (name, state) in &other.appliances {
            if state.is_down()
                && let Some(mut who) = membership(other, name)
            {
                who.rollout = None;
                occupancy.take(&who);
            }
        }
    }
}
