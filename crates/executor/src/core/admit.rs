//! The last questions before an act that takes an appliance down.

use jiff::Timestamp;
use model::event::Act;
use model::expect;
use model::hold::HoldReason;
use model::names::ApplianceName;
use model::run::Run;

use super::Core;
use super::account::membership;
use super::schedule::breach_of;

impl Core {
    /// Whether an act may be done right now: the last question before its intent.
    ///
    /// # Errors
    /// Why not.
    pub fn admit(
        &mut self,
        name: &ApplianceName,
        act: &Act,
        now: Timestamp,
    ) -> Result<(), HoldReason> {
        match act {
            Act::Upgrade { .. } => self.admit_disruption(name, now),
            Act::Reboot | Act::PowerOff { .. } => self.admit_reboot(name, now),
            // Whether the journal can be written again, only writing tells. What brings an
            // appliance back waits for nothing else.
            Act::PowerOn
            | Act::StartFetch { .. }
            | Act::Upload { .. }
            | Act::DeleteFetch { .. }
            | Act::DeleteSlot { .. } => Ok(()),
        }
    }

    /// Whether an appliance may go down by its upgrade call.
    fn admit_disruption(&mut self, name: &ApplianceName, now: Timestamp) -> Result<(), HoldReason> {
        if self.halted {
            return Err(HoldReason::JournalNotWritable);
        }
        if self.stopping {
            return Err(HoldReason::Paused);
        }
        if self.run.is_in_begun_cluster(name) {
            // Half a cluster does not audit: only a failed member and `--now` stop it.
            let stopped = self.run.pause.is_some_and(|pause| pause.now) || self.run.aborted_now;
            if stopped {
                return Err(HoldReason::Paused);
            }
            if let Some((cluster, _)) = self.run.plan.cluster_of(name) {
                let failed = self.run.half_upgraded(cluster);
                if !failed.is_empty() {
                    let gap_since = self.run.clusters.get(cluster).and_then(|run| run.gap_since);
                    let cluster = cluster.clone();
                    return Err(HoldReason::ClusterHalfUpgraded { cluster, failed, gap_since });
                }
            }
        } else {
            if let Some(reason) = self.closed() {
                return Err(reason);
            }
            if self.run.aborted {
                return Err(HoldReason::Paused);
            }
            self.in_window(name, now)?;
        }
        let who = membership(&self.run, name);
        who.map_or(Err(HoldReason::Paused), |who| self.occupancy.may_go_down(&who))
    }

    fn in_window(&mut self, name: &ApplianceName, now: Timestamp) -> Result<(), HoldReason> {
        let plan = std::sync::Arc::clone(&self.run.plan);
        if plan.calendars.is_empty() {
            return Ok(());
        }
        if let Some((_, cluster)) = plan.cluster_of(name) {
            let expected = expect::cluster(&plan, cluster, &self.history);
            let members = cluster.members().filter_map(|name| plan.appliances.get(name));
            for member in members {
                self.openings.fits(&self.run, &member.site, now, || expected)?;
            }
            return Ok(());
        }
        let Some(member) = plan.appliances.get(name) else { return Ok(()) };
        let history = &self.history;
        let drained = self.run.appliances.get(name).is_some_and(|run| run.drained.is_some());
        self.openings.fits(&self.run, &member.site, now, || {
            let mut expected = expect::appliance(&plan, name, history);
            // What is over is not waited for again.
            if let Some(drain) = plan.drain.as_ref().filter(|_| drained) {
                expected.took -= drain.wait;
            }
            expected
        })
    }

    /// Whether an appliance that is down by our call may be rebooted, or its secondary switched
    /// off, right now: it has its places, but a partner may have gone down and its window may have
    /// ended since.
    fn admit_reboot(&mut self, name: &ApplianceName, now: Timestamp) -> Result<(), HoldReason> {
        if self.halted {
            return Err(HoldReason::JournalNotWritable);
        }
        if self.stopping {
            return Err(HoldReason::Paused);
        }
        let armed = self.run.appliances.get(name).and_then(|run| run.upgrade.as_ref()?.armed_at);
        let site = self.run.plan.appliances.get(name).map(|member| member.site.clone());
        if !self.run.is_in_begun_cluster(name)
            && let (Some(since), Some(site)) = (armed, site)
            && self.openings.closed(&self.run, &site, now).is_some()
        {
            return Err(HoldReason::ArmedOutsideWindow { since });
        }
        membership(&self.run, name).map_or(Ok(()), |who| self.occupancy.may_go_down(&who))
    }

    /// Why nobody may go down, whoever it is; a cluster that has begun goes on.
    pub(super) fn closed(&self) -> Option<HoldReason> {
        if self.halted {
            return Some(HoldReason::JournalNotWritable);
        }
        closed(&self.run)
    }
}

/// Why nobody of a rollout may go down, from the fold alone.
pub(super) fn closed(run: &Run) -> Option<HoldReason> {
    if run.pause.is_some() {
        return Some(HoldReason::Paused);
    }
    let breach = run.breach.map(|breach| (breach.failures, breach.limit));
    if let Some((failures, limit)) =
        breach.or_else(|| breach_of(run).map(|(failures, limit, _)| (failures, limit)))
    {
        return Some(HoldReason::BudgetReached { failures, limit });
    }
    run.soak_failed.clone().map(|appliance| HoldReason::SoakFailed { appliance })
}
