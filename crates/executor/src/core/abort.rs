//! What an abort leaves out.

use model::event::{ApplianceChange, Change, SkipReason};
use model::names::ApplianceName;
use model::run::Phase;

use super::{Command, Core};

impl Core {
    /// As [`Core::give_up`], for every member.
    pub(super) fn give_up_all(&mut self, commands: &mut Vec<Command>) {
        if self.run.aborted {
            self.order.clone().iter().for_each(|name| self.give_up(name, commands));
        }
    }

    /// Aborted: whoever is not down is left out. Who is down is watched to its end.
    pub(super) fn give_up(&mut self, name: &ApplianceName, commands: &mut Vec<Command>) {
        if !self.run.aborted {
            return;
        }
        let Some(run) = self.run.appliances.get(name) else { return };
        let begun = run.upgrade.as_ref().is_some_and(|upgrade| upgrade.returned.is_none());
        // Half a cluster does not audit: one that goes on is finished first.
        let finishes = self.run.plan.cluster_of(name).is_some_and(|(cluster, _)| {
            self.run.cluster_has_begun(cluster)
                && !self.run.aborted_now
                && self.run.half_upgraded(cluster).is_empty()
        });
        // What is switched off is switched on again where its condition holds.
        let goes_on = run.phase.is_terminal()
            || run.is_down() && !run.dark
            || run.down
            || begun
            || run.verified
            || finishes
            || run.phase == Phase::Verifying;
        if goes_on || !self.leaving.insert(name.clone()) {
            return;
        }
        if let Some(step) = self.active.remove(name) {
            self.free_transfer(name, step);
            commands.push(Command::Cancel(name.clone()));
        }
        let change = ApplianceChange::Skipped(SkipReason::Aborted);
        commands.push(Command::Record(Change::Appliance(name.clone(), change)));
    }
}
