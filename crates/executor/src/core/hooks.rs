//! Hooks: which is due, and what waits for it.

use model::event::{ApplianceChange, Change, HookChange, HookPoint, RolloutChange, Step};
use model::names::ApplianceName;
use model::rollout::HookKind;
use model::run::{ApplianceRun, HookState};

use super::{Command, Core};

impl Core {
    /// Whether a hook is due, and so what comes after it waits. Begins it where it has not begun.
    pub(super) fn hook_pending(
        &mut self,
        kind: HookKind,
        of: &str,
        commands: &mut Vec<Command>,
    ) -> bool {
        if !self.run.hook_is_due(kind, of) {
            return false;
        }
        self.begin_hook(&HookPoint::new(kind, of), commands);
        true
    }

    /// Begins a hook, or finds out what became of one over which a process of ours died. A failed
    /// one waits for a person.
    pub(super) fn begin_hook(&mut self, point: &HookPoint, commands: &mut Vec<Command>) {
        if self.stopping || self.halted || self.hooking.contains(point) {
            return;
        }
        match self.run.hooks.get(point).map(|record| &record.state) {
            None => {
                self.hooking.insert(point.clone());
                let change = HookChange::Intended;
                let change = RolloutChange::Hook { point: point.clone(), change };
                commands.push(Command::Record(Change::Rollout(change)));
            }
            Some(HookState::Open) => {
                self.hooking.insert(point.clone());
                commands.push(Command::Hook { point: point.clone(), leftover: true });
            }
            Some(HookState::Done | HookState::Failed(_) | HookState::Unknown(_)) => {}
        }
    }

    /// What a hook's event means for this process.
    pub(super) fn hook_changed(
        &mut self,
        point: &HookPoint,
        change: &HookChange,
        commands: &mut Vec<Command>,
    ) {
        match change {
            HookChange::Intended => {
                self.hooking.insert(point.clone());
                commands.push(Command::Hook { point: point.clone(), leftover: false });
            }
            HookChange::Started(_) => {}
            HookChange::Done => {
                self.hooking.remove(point);
            }
            HookChange::Failed(_) | HookChange::Unknown(_) => {
                self.hooking.remove(point);
                self.give_back(point, commands);
            }
        }
    }

    /// Whoever waits for a person because of a failed hook keeps no place that others could take.
    /// A cluster that has begun to take its places keeps them.
    fn give_back(&mut self, point: &HookPoint, commands: &mut Vec<Command>) {
        let waits = |(name, run): &(&ApplianceName, &ApplianceRun)| {
            run.permitted
                && run.upgrade.is_none()
                && !self.active.contains_key(*name)
                && self.run.plan.cluster_of(name).is_none()
                && self.run.failed_hook_of(name) == Some(point)
        };
        for (name, _) in self.run.appliances.iter().filter(waits) {
            let change = ApplianceChange::Withdrawn { why: format!("{point} did not end well") };
            commands.push(Command::Record(Change::Appliance(name.clone(), change)));
        }
    }

    /// The hook after an appliance is due once its part has begun and is over.
    pub(super) fn begin_hook_after(&mut self, name: &ApplianceName, commands: &mut Vec<Command>) {
        if !self.run.plan.hooks.contains_key(&HookKind::After) {
            return;
        }
        let over = self.run.appliances.get(name).is_some_and(|state| state.phase.is_terminal());
        let quiet = self.active.get(name).is_none_or(|step| *step == Step::Soak);
        if over && quiet && self.has_begun(name) {
            self.hook_pending(HookKind::After, name.as_str(), commands);
        }
    }

    /// Whether the disruptive part of an appliance began, or was about to.
    pub(super) fn has_begun(&self, name: &ApplianceName) -> bool {
        let before = HookPoint::new(HookKind::Before, name.as_str());
        self.run.hooks.contains_key(&before)
            || self.run.appliances.get(name).is_some_and(|state| state.upgrade.is_some())
    }
}
