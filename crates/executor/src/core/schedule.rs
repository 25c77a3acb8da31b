//! Who begins what now: waves, the failure budget, transfers, leave to go down.

use std::collections::BTreeSet;

use jiff::Timestamp;
use model::event::{ApplianceChange, Change, RolloutChange, Step};
use model::names::{ApplianceName, SiteName};
use model::rollout::{OnBreach, StageMode};
use model::run::{ApplianceRun, Run};

use super::account::membership;
use super::want::{Want, leaves_work, want};
use super::{Command, Core};

impl Core {
    pub(super) fn schedule(&mut self, now: Timestamp) -> Vec<Command> {
        let mut commands = Vec::new();
        self.follow_waves(&mut commands);
        self.watch_budget(&mut commands);
        self.sort_eager(now, &mut commands);
        if !self.stopping {
            self.start_transfers(now, &mut commands);
            self.give_permits(&mut commands);
            self.watch_bystanders(now, &mut commands);
        }
        commands
    }

    fn announce(&mut self, what: &'static str, change: RolloutChange, commands: &mut Vec<Command>) {
        if self.announced.insert(what) {
            commands.push(Command::Record(Change::Rollout(change)));
        }
    }

    fn current_wave(&self) -> Option<usize> {
        self.run.plan.waves.iter().position(|wave| !self.run.waves_finished.contains(&wave.name))
    }

    fn follow_waves(&mut self, commands: &mut Vec<Command>) {
        if self.run.finished {
            return;
        }
        match self.current_wave() {
            Some(wave) => {
                let name = self.run.plan.waves[wave].name.clone();
                if !self.run.waves_started.contains(&name) {
                    if !self.run.aborted && !self.stopping {
                        let change = RolloutChange::WaveStarted { wave: name };
                        self.announce("wave-started", change, commands);
                    }
                } else if self.unfinished.get(wave) == Some(&0) {
                    let change = RolloutChange::WaveFinished { wave: name };
                    self.announce("wave-finished", change, commands);
                }
            }
            // A reached budget waits for a person even when nobody is left to stop.
            None if breach_of(&self.run).is_some() => {}
            None => {
                let clean = |run: &ApplianceRun| !leaves_work(run);
                let quiet = self.active.values().all(|step| *step == Step::Watch);
                if quiet && self.run.appliances.values().all(clean) {
                    self.announce("finished", RolloutChange::Finished, commands);
                }
            }
        }
    }

    fn watch_budget(&mut self, commands: &mut Vec<Command>) {
        if self.run.breach.is_some() || self.run.aborted || self.run.finished {
            return;
        }
        if let Some((failures, limit, on_breach)) = breach_of(&self.run) {
            let abort = on_breach == OnBreach::Abort;
            let change = RolloutChange::BudgetReached { failures, limit, abort };
            self.announce("budget", change, commands);
        }
    }

    /// Begins what needs no place, and queues what does.
    fn sort_eager(&mut self, now: Timestamp, commands: &mut Vec<Command>) {
        for index in std::mem::take(&mut self.eager) {
            let Some(name) = self.order.get(index).cloned() else { continue };
            let Some(run) = self.run.appliances.get(&name) else { continue };
            let wave = self.places.get(&name).map_or(0, |(_, wave)| *wave);
            if let Some(ready) = self.ready.get_mut(wave) {
                ready.remove(&index);
            }
            self.to_stage.remove(&index);
            if self.active.contains_key(&name) || self.leaving.contains(&name) {
                continue;
            }
            let again = self.look_again.contains(&name);
            let wanted = match want(run, &self.run.plan, again, now) {
                // Its turn has not come, but it takes places: only a look frees them.
                Want::Step(step) if run.is_down() && !self.may_begin(step, wave) => {
                    Want::Step(Step::Watch)
                }
                Want::Transfer if run.is_down() && !self.may_stage(wave) => Want::Step(Step::Watch),
                wanted => wanted,
            };
            match wanted {
                Want::Nothing => {}
                Want::Later(at) => self.set_timer(index, Some(at)),
                Want::Permit => {
                    if let Some(ready) = self.ready.get_mut(wave) {
                        ready.insert(index);
                    }
                }
                Want::Transfer => {
                    self.to_stage.insert(index);
                }
                Want::Step(step) if self.may_begin(step, wave) => {
                    self.start(name, step, now, commands)
                }
                Want::Step(_) => {}
            }
        }
    }

    /// What is in flight goes on in every state; new work waits for a rollout that runs.
    fn may_begin(&self, step: Step, wave: usize) -> bool {
        if self.stopping {
            return false;
        }
        match step {
            Step::Preflight | Step::Stage | Step::Test => self.may_stage(wave),
            Step::Activate => !self.run.aborted,
            Step::Return | Step::Verify | Step::Cleanup | Step::Watch => true,
        }
    }

    fn may_stage(&self, wave: usize) -> bool {
        let turn = self.run.plan.stage == StageMode::Ahead
            || self.current_wave().is_some_and(|current| wave <= current);
        turn && !self.run.aborted && !self.run.pause.is_some_and(|pause| pause.all)
    }

    fn start(
        &mut self,
        name: ApplianceName,
        step: Step,
        now: Timestamp,
        commands: &mut Vec<Command>,
    ) {
        if step == Step::Watch {
            self.watched_since.entry(name.clone()).or_insert(now);
        } else {
            self.look_again.remove(&name);
        }
        self.active.insert(name.clone(), step);
        commands.push(Command::Start(name, step));
    }

    fn start_transfers(&mut self, now: Timestamp, commands: &mut Vec<Command>) {
        let limit = self.run.plan.limits.transfers as usize;
        let mut full: BTreeSet<SiteName> = BTreeSet::new();
        let mut begun = Vec::new();
        for index in &self.to_stage {
            if self.transfers_in_all >= limit {
                break;
            }
            let Some(name) = self.order.get(*index) else { continue };
            let Some(appliance) = self.run.plan.appliances.get(name) else { continue };
            let wave = self.places.get(name).map_or(0, |(_, wave)| *wave);
            if full.contains(&appliance.site) || !self.may_stage(wave) {
                continue;
            }
            let of_site = self.transfers.entry(appliance.site.clone()).or_default();
            if of_site.len() >= self.run.plan.site_transfers(&appliance.site) as usize {
                full.insert(appliance.site.clone());
                continue;
            }
            of_site.insert(name.clone());
            self.transfers_in_all += 1;
            begun.push((*index, name.clone()));
        }
        for (index, name) in begun {
            self.to_stage.remove(&index);
            self.start(name, Step::Stage, now, commands);
        }
    }

    pub(super) fn free_transfer(&mut self, name: &ApplianceName, step: Step) {
        if step == Step::Stage
            && let Some(appliance) = self.run.plan.appliances.get(name)
            && let Some(of_site) = self.transfers.get_mut(&appliance.site)
            && of_site.remove(name)
        {
            self.transfers_in_all -= 1;
        }
    }

    fn give_permits(&mut self, commands: &mut Vec<Command>) {
        if self.closed().is_some() || self.run.aborted {
            return;
        }
        let Some(wave) = self.current_wave() else { return };
        if !self.run.waves_started.contains(&self.run.plan.waves[wave].name) {
            return;
        }
        let mut permitted = Vec::new();
        for index in self.ready.get(wave).into_iter().flatten() {
            if self.occupancy.rollout_is_full(&self.run.id) {
                break;
            }
            let Some(name) = self.order.get(*index) else { continue };
            let Some(who) = membership(&self.run, name) else { continue };
            if self.permitting.contains(name) || self.occupancy.may_go_down(&who).is_err() {
                continue;
            }
            self.occupancy.take(&who);
            permitted.push((*index, name.clone()));
        }
        for (index, name) in permitted {
            if let Some(ready) = self.ready.get_mut(wave) {
                ready.remove(&index);
            }
            self.permitting.insert(name.clone());
            commands.push(Command::Record(Change::Appliance(name, ApplianceChange::Permitted)));
        }
    }

    fn watch_bystanders(&mut self, now: Timestamp, commands: &mut Vec<Command>) {
        let unwatched =
            self.run.dark_bystanders.iter().filter(|name| !self.active.contains_key(*name));
        for name in unwatched.cloned().collect::<Vec<_>>() {
            self.start(name, Step::Watch, now, commands);
        }
    }
}

/// The failures that count, the number that breaches, and what then happens; `None` while the
/// budget is kept.
pub(super) fn breach_of(run: &Run) -> Option<(usize, usize, OnBreach)> {
    if run.counted.is_empty() {
        return None;
    }
    let budget = &run.plan.failure_budget;
    let failures = run.counted.len();
    let whole = budget.breached_at(run.plan.appliances.len());
    if let Some(limit) = whole.filter(|limit| failures >= *limit) {
        return Some((failures, limit, budget.on_breach));
    }
    run.plan.waves.iter().find_map(|wave| {
        let own = wave.failure_budget.as_ref()?;
        let failures = wave.appliances.iter().filter(|name| run.counted.contains(*name)).count();
        let limit = own.breached_at(run.plan.appliances.len())?;
        (failures >= limit).then_some((failures, limit, own.on_breach))
    })
}
