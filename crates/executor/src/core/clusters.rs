//! Central clusters: begun as a whole, gone through in the vendor's order, never left half done
//! (design: section 5; sps-api.md, section 6).

use jiff::{SignedDuration, Timestamp};
use model::calendar::next_fit_of_all;
use model::event::{ApplianceChange, Change, RolloutChange, Step};
use model::expect;
use model::hold::HoldReason;
use model::names::{ApplianceName, ClusterName, SiteName};
use model::plan::PlannedCluster;
use model::rollout::HookKind;
use model::run::{ApplianceRun, Phase, Run};
use model::safety::{Claim, Occupancy};

use super::account::membership;
use super::windows::Openings;
use super::{Command, Core};

/// How old central management's word on who belongs to the cluster may be when that begins.
const ROSTER_LASTS: SignedDuration = SignedDuration::from_secs(60);

/// Where a cluster stands that has not begun.
pub(super) enum Standing {
    /// All members are through, or nothing is to be done.
    Through,
    /// Every member that is to go is staged and tested.
    Ready,
    /// Why not.
    Waits(HoldReason),
}

impl Core {
    /// Brings every cluster of the current wave, and every one that has begun, forward.
    pub(super) fn tend_clusters(
        &mut self,
        current: Option<usize>,
        now: Timestamp,
        commands: &mut Vec<Command>,
    ) {
        if self.run.plan.clusters.is_empty() {
            return;
        }
        let plan = std::sync::Arc::clone(&self.run.plan);
        for (name, cluster) in &plan.clusters {
            let wave = self.places.get(&cluster.manager).map(|(_, wave)| *wave);
            if self.run.cluster_has_begun(name) {
                self.go_through(name, cluster, now, commands);
            } else if self.run.cluster_has_started(name) {
                self.hold_or_begin(name, cluster, now, commands);
            } else if wave.is_some() && wave == current {
                self.start_cluster(name, cluster, now, commands);
            }
        }
    }

    /// Takes the cluster's places once everything speaks for it.
    fn start_cluster(
        &mut self,
        name: &ClusterName,
        cluster: &PlannedCluster,
        now: Timestamp,
        commands: &mut Vec<Command>,
    ) {
        if !matches!(standing(&self.run, name, cluster), Standing::Ready)
            || self.closed().is_some()
            || self.run.aborted
        {
            return;
        }
        let claim = Claim::of(&self.run.plan, Some(&self.run.id), cluster);
        if self.occupancy.may_claim(name, &claim).is_err() {
            return;
        }
        if let Some(at) = self.cluster_waits_until(name, cluster, now) {
            self.wake_at(at);
            return;
        }
        let manager = self.run.appliances.get(&cluster.manager);
        let asked = manager.and_then(|manager| manager.roster_at);
        let fresh = asked.is_some_and(|at| {
            let age = now.duration_since(at);
            !age.is_negative() && age <= ROSTER_LASTS
        });
        if fresh {
            // Nobody else may take them before the event is written.
            self.occupancy.claim(name, &claim);
            self.announce_for(
                name,
                RolloutChange::ClusterStarted { cluster: name.clone() },
                commands,
            );
        } else if !self.active.contains_key(&cluster.manager) && !self.stopping {
            self.start(cluster.manager.clone(), Step::Roster, now, commands);
        }
    }

    /// It has its places and nobody is down: it may still give them back.
    fn hold_or_begin(
        &mut self,
        name: &ClusterName,
        cluster: &PlannedCluster,
        now: Timestamp,
        commands: &mut Vec<Command>,
    ) {
        let stuck = cluster
            .members()
            .find(|member| self.run.appliances.get(*member).is_some_and(|run| !on_its_way(run)));
        let why = if let Some(member) = stuck {
            let phase = self.run.appliances.get(member).map_or("gone", |run| run.phase.name());
            Some(format!("{member} is {phase}"))
        } else if self.run.aborted {
            Some("the rollout was aborted".to_owned())
        } else if let Some(reason) = self.closed() {
            Some(reason.to_string())
        } else {
            self.cluster_waits_until(name, cluster, now).map(|at| {
                self.wake_at(at);
                "its window is over, or too short by now".to_owned()
            })
        };
        if let Some(why) = why {
            let change = RolloutChange::ClusterWithdrawn { cluster: name.clone(), why };
            self.announce_for(name, change, commands);
            return;
        }
        self.permit_members(cluster, commands);
    }

    /// A member has gone down: the rest follows, whatever the window, a pause or the budget say.
    fn go_through(
        &mut self,
        name: &ClusterName,
        cluster: &PlannedCluster,
        now: Timestamp,
        commands: &mut Vec<Command>,
    ) {
        if cluster.members().all(|member| self.run.is_through(member)) {
            self.end_cluster(name, cluster, now, commands);
            return;
        }
        let stopped_now = self.run.pause.is_some_and(|pause| pause.now) || self.run.aborted_now;
        if self.halted || stopped_now || !self.run.half_upgraded(name).is_empty() {
            return;
        }
        self.permit_members(cluster, commands);
    }

    /// Gives leave within the first rank that is not through.
    fn permit_members(&mut self, cluster: &PlannedCluster, commands: &mut Vec<Command>) {
        let open = |rank: &&Vec<ApplianceName>| !rank.iter().all(|name| self.run.is_through(name));
        let Some(rank) = cluster.ranks.iter().find(open) else { return };
        let under_way = |name: &&ApplianceName| {
            self.permitting.contains(*name)
                || self.run.appliances.get(*name).is_some_and(|run| {
                    run.permitted || run.upgrade.is_some() && !self.run.is_through(name)
                })
        };
        let busy = rank.iter().filter(under_way).count();
        let free = (cluster.parallel as usize).saturating_sub(busy);
        let mut permitted = Vec::new();
        for name in rank {
            if permitted.len() >= free {
                break;
            }
            let Some((index, wave)) = self.places.get(name).copied() else { continue };
            let waits = self.ready.get(wave).is_some_and(|ready| ready.contains(index));
            let Some(who) = membership(&self.run, name) else { continue };
            // A member that is at its next hop already waits for the others.
            let waits = waits && !self.run.is_through(name);
            if !waits || self.permitting.contains(name) || self.occupancy.may_go_down(&who).is_err()
            {
                continue;
            }
            self.occupancy.take(&who);
            permitted.push((index, wave, name.clone()));
        }
        for (index, wave, name) in permitted {
            self.permit(index, wave, name, commands);
        }
    }

    /// All members are through: central management is asked once, then the places are free.
    fn end_cluster(
        &mut self,
        name: &ClusterName,
        cluster: &PlannedCluster,
        now: Timestamp,
        commands: &mut Vec<Command>,
    ) {
        let all = cluster.members().all(|member| {
            self.run.appliances.get(member).is_some_and(|run| run.phase.is_upgraded())
        });
        let synced = self.run.clusters.get(name).is_some_and(|run| run.synced);
        // With a member left out, or between two hops, there is nothing to agree on yet.
        if all && !synced {
            if !self.active.contains_key(&cluster.manager) && !self.stopping {
                self.start(cluster.manager.clone(), Step::Sync, now, commands);
            }
            return;
        }
        if self.hook_pending(HookKind::ClusterAfter, name.as_str(), commands) {
            return;
        }
        self.announce_for(name, RolloutChange::ClusterFinished { cluster: name.clone() }, commands);
    }

    /// Until when the whole cluster must wait for its sites' windows, if it must.
    pub(super) fn cluster_waits_until(
        &mut self,
        name: &ClusterName,
        cluster: &PlannedCluster,
        now: Timestamp,
    ) -> Option<Timestamp> {
        if self.run.plan.calendars.is_empty() {
            return None;
        }
        if let Some(at) = self.too_late_clusters.get(name).filter(|at| now < **at) {
            return Some(*at);
        }
        let expected = expect::cluster(&self.run.plan, cluster, &self.history);
        let fit = fit(&self.run, cluster, now, expected.took);
        if fit == Some(now) {
            return None;
        }
        let at = fit.unwrap_or(Timestamp::MAX);
        self.too_late_clusters.insert(name.clone(), at);
        Some(at)
    }

    fn announce_for(
        &mut self,
        cluster: &ClusterName,
        change: RolloutChange,
        commands: &mut Vec<Command>,
    ) {
        if self.announced_clusters.insert(cluster.clone()) {
            commands.push(Command::Record(Change::Rollout(change)));
        }
    }

    /// Gives a member leave to go down; its places are taken.
    pub(super) fn permit(
        &mut self,
        index: usize,
        wave: usize,
        name: ApplianceName,
        commands: &mut Vec<Command>,
    ) {
        if let Some(ready) = self.ready.get_mut(wave) {
            ready.remove(index);
        }
        self.permitting.insert(name.clone());
        commands.push(Command::Record(Change::Appliance(name, ApplianceChange::Permitted)));
    }
}

/// When a cluster fits into the windows of all its sites; `None`: never.
fn fit(
    run: &Run,
    cluster: &PlannedCluster,
    now: Timestamp,
    need: SignedDuration,
) -> Option<Timestamp> {
    let sites = cluster.members().filter_map(|name| run.plan.appliances.get(name)).map(|a| &a.site);
    let sites: std::collections::BTreeSet<&SiteName> = sites.collect();
    let calendars: Vec<_> = sites
        .into_iter()
        .filter_map(|site| Some((run.plan.calendars.get(site)?, run.lifted.get(site).copied())))
        .collect();
    next_fit_of_all(&calendars, now, need)
}

/// A member of a cluster that has its places and goes on by itself, or is done.
fn on_its_way(run: &ApplianceRun) -> bool {
    match run.phase {
        Phase::Ready | Phase::Draining | Phase::Activating => !run.dark,
        Phase::Succeeded | Phase::UpToDate => true,
        // At a later hop already.
        Phase::Pending | Phase::Preflight | Phase::Staging | Phase::Testing => run.tested.is_none(),
        Phase::Returning | Phase::Verifying | Phase::Attended => true,
        Phase::Held | Phase::Unknown | Phase::SetAside | Phase::Failed | Phase::Skipped => false,
    }
}

/// Where a cluster stands that has not begun.
pub(super) fn standing(run: &Run, name: &ClusterName, cluster: &PlannedCluster) -> Standing {
    let state = |member: &ApplianceName| run.appliances.get(member);
    let going: Vec<&ApplianceName> = cluster
        .members()
        .filter(|member| state(member).is_some_and(|run| !run.phase.is_terminal()))
        .collect();
    let hop = going.iter().filter_map(|member| state(member)).map(|run| run.hop).min();
    let Some(hop) = hop else { return Standing::Through };
    let bad: Vec<ApplianceName> = cluster
        .members()
        .filter(|member| {
            state(member).is_some_and(|run| match run.phase {
                Phase::Failed | Phase::Skipped | Phase::Held | Phase::Unknown => true,
                // Down by an earlier hand of ours: its own step brings it back first.
                _ => false,
            })
        })
        .cloned()
        .collect();
    if !bad.is_empty() {
        return Standing::Waits(HoldReason::ClusterIncomplete {
            cluster: name.clone(),
            members: bad,
        });
    }
    let ready = |run: &ApplianceRun| {
        run.hop > hop || (run.phase == Phase::Ready && run.tested.is_some() && !run.is_down())
    };
    let waiting_for: Vec<ApplianceName> = going
        .into_iter()
        .filter(|member| state(member).is_some_and(|run| !ready(run)))
        .cloned()
        .collect();
    if waiting_for.is_empty() {
        Standing::Ready
    } else {
        Standing::Waits(HoldReason::ClusterWaits { cluster: name.clone(), waiting_for })
    }
}

/// Why a ready member of a cluster waits, from the fold alone.
pub(super) fn reason(
    run: &Run,
    member: &ApplianceName,
    occupancy: &Occupancy,
    openings: &mut Openings,
    history: &model::history::History,
    now: Timestamp,
) -> Option<HoldReason> {
    let (name, cluster) = run.plan.cluster_of(member)?;
    if run.cluster_has_begun(name) || run.cluster_has_started(name) {
        let failed = run.half_upgraded(name);
        if !failed.is_empty() {
            let gap_since = run.clusters.get(name).and_then(|cluster| cluster.gap_since);
            let cluster = name.clone();
            return Some(HoldReason::ClusterHalfUpgraded { cluster, failed, gap_since });
        }
        let before: Vec<ApplianceName> = cluster
            .members()
            .take_while(|other| *other != member)
            .filter(|other| {
                run.appliances.get(*other).is_some_and(|state| !state.phase.is_terminal())
            })
            .cloned()
            .collect();
        return (!before.is_empty())
            .then(|| HoldReason::ClusterOrder { cluster: name.clone(), before });
    }
    if let Standing::Waits(reason) = standing(run, name, cluster) {
        return Some(reason);
    }
    let expected = || expect::cluster(&run.plan, cluster, history);
    for site in cluster.members().filter_map(|name| run.plan.appliances.get(name)).map(|a| &a.site)
    {
        if let Err(mut reason) = openings.fits(run, site, now, expected) {
            // All its sites must be open together.
            let joint = fit(run, cluster, now, expected().took);
            if let HoldReason::OutsideWindow { until, .. }
            | HoldReason::Frozen { until, .. }
            | HoldReason::WindowTooShort { until, .. } = &mut reason
            {
                *until = joint;
            }
            return Some(reason);
        }
    }
    occupancy.may_claim(name, &Claim::of(&run.plan, Some(&run.id), cluster)).err()
}
