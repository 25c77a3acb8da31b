//! Who begins what now: waves, the failure budget, transfers, leave to go down.

use jiff::Timestamp;
use model::event::{Change, RolloutChange, Step};
use model::hold::HoldReason;
use model::names::ApplianceName;
use model::rollout::{HookKind, OnBreach, StageMode};
use model::run::{ApplianceRun, Run};

use super::transfers::transfer_lives;
use super::want::{Want, bundle_is_due, leaves_work, want};
use super::{Command, Core};

impl Core {
    pub(super) fn schedule(&mut self, now: Timestamp) -> Vec<Command> {
        let mut commands = Vec::new();
        self.wake_at = None;
        self.follow_waves(now, &mut commands);
        self.watch_budget(&mut commands);
        self.sort_eager(now, &mut commands);
        if !self.stopping {
            self.start_transfers(now, &mut commands);
            self.give_permits(now, &mut commands);
            self.watch_bystanders(now, &mut commands);
        }
        commands
    }

    fn announce(&mut self, what: &'static str, change: RolloutChange, commands: &mut Vec<Command>) {
        if self.announced.insert(what) {
            commands.push(Command::Record(Change::Rollout(change)));
        }
    }

    pub(super) fn current_wave(&self) -> Option<usize> {
        self.run.plan.waves.iter().position(|wave| !self.run.waves_finished.contains(&wave.name))
    }

    fn follow_waves(&mut self, now: Timestamp, commands: &mut Vec<Command>) {
        if self.run.finished {
            return;
        }
        let current = self.current_wave();
        let gate = self.run.wave_gate(current.unwrap_or(self.run.plan.waves.len()), now);
        if let Some(HoldReason::Soaking { until, .. }) = &gate {
            self.wake_at(*until);
        }
        match current {
            Some(wave) => {
                let name = self.run.plan.waves[wave].name.clone();
                if !self.run.waves_started.contains(&name) {
                    if gate.is_none() && !self.run.aborted && !self.stopping {
                        let change = RolloutChange::WaveStarted { wave: name };
                        self.announce("wave-started", change, commands);
                    }
                } else if self.unfinished.get(wave) == Some(&0)
                    && self.clusters_are_through(wave)
                    && !self.after_hooks_are_due(wave)
                    && !self.hook_pending(HookKind::WaveAfter, name.as_str(), commands)
                {
                    let change = RolloutChange::WaveFinished { wave: name };
                    self.announce("wave-finished", change, commands);
                }
            }
            // A reached budget waits for a person even when nobody is left to stop, and so does
            // one who fell ill.
            None if breach_of(&self.run).is_some() || self.run.soak_failed.is_some() => {}
            None if gate.is_some() => {}
            None => {
                let clean =
                    |run: &ApplianceRun| !leaves_work(run) && !bundle_is_due(&self.run, run);
                let quiet =
                    self.active.values().all(|step| matches!(step, Step::Watch | Step::Soak));
                if quiet
                    && self.hooking.is_empty()
                    && self.run.appliances.values().all(clean)
                    && !self.hooks_after_pending(commands)
                {
                    self.end_soaks(commands);
                    self.announce("finished", RolloutChange::Finished, commands);
                }
            }
        }
    }

    /// Nobody is watched any more: there is nothing left to stop.
    fn end_soaks(&mut self, commands: &mut Vec<Command>) {
        let soaking = self.active.iter().filter(|(_, step)| **step == Step::Soak);
        for name in soaking.map(|(name, _)| name.clone()).collect::<Vec<_>>() {
            self.active.remove(&name);
            commands.push(Command::Cancel(name));
        }
    }

    /// Whether no cluster of a wave is under way.
    fn clusters_are_through(&self, wave: usize) -> bool {
        self.run.plan.clusters.iter().all(|(name, cluster)| {
            self.places.get(&cluster.manager).is_none_or(|(_, of)| *of != wave)
                || !self.run.cluster_has_started(name)
        })
    }

    /// Whether the hook after a member of a wave is to run still.
    fn after_hooks_are_due(&self, wave: usize) -> bool {
        if !self.run.plan.hooks.contains_key(&HookKind::After) {
            return false;
        }
        let members = self.run.plan.waves.get(wave).map(|wave| &wave.appliances);
        members.into_iter().flatten().any(|name| {
            self.has_begun(name) && self.run.hook_is_due(HookKind::After, name.as_str())
        })
    }

    /// Whether a hook after an appliance has not run yet; begins those that are due.
    fn hooks_after_pending(&mut self, commands: &mut Vec<Command>) -> bool {
        if self.run.plan.hooks.contains_key(&HookKind::After) {
            for name in self.order.clone() {
                self.begin_hook_after(&name, commands);
            }
        }
        !self.hooking.is_empty()
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
                ready.remove(index);
            }
            self.to_stage.remove(&(true, index));
            self.to_stage.remove(&(false, index));
            if self.active.contains_key(&name) || self.leaving.contains(&name) {
                continue;
            }
            let again = self.look_again.contains(&name);
            let (is_down, transfer_lives) = (run.is_down(), transfer_lives(run));
            let wanted = match want(&self.run, (&name, wave), again, now) {
                // Its turn has not come, but it takes places: only a look frees them.
                Want::Step(step) if is_down && !self.may_begin(step, &name, now) => {
                    Want::Step(Step::Watch)
                }
                Want::Transfer if is_down && !self.may_stage(&name, now) => Want::Step(Step::Watch),
                wanted => wanted,
            };
            match wanted {
                Want::Nothing => {}
                Want::Later(at) => self.set_timer(index, Some(at)),
                Want::Permit => {
                    let member = self.run.plan.appliances.get(&name);
                    let alone = member
                        .filter(|_| self.run.plan.cluster_of(&name).is_none())
                        .map(|member| &member.site);
                    if let Some(ready) = self.ready.get_mut(wave) {
                        ready.insert(index, alone);
                    }
                }
                Want::Hook(point) => self.begin_hook(&point, commands),
                // What a dead process of ours began goes on on the appliance: it comes first.
                Want::Transfer => {
                    self.to_stage.insert((!transfer_lives, index));
                }
                Want::Step(step) if self.may_begin(step, &name, now) => {
                    self.start(name, step, now, commands)
                }
                // It is looked at again when its window opens.
                Want::Step(step) => {
                    let waits = matches!(step, Step::Preflight | Step::Stage | Step::Test);
                    if let Some(until) = self.window_of(&name, now).filter(|_| waits) {
                        self.set_timer(index, Some(until));
                    }
                }
            }
        }
    }

    /// What is in flight goes on in every state; new work waits for a rollout that runs.
    fn may_begin(&mut self, step: Step, name: &ApplianceName, now: Timestamp) -> bool {
        if self.stopping {
            return false;
        }
        match step {
            Step::Preflight | Step::Stage | Step::Test => self.may_stage(name, now),
            Step::Drain | Step::Activate => {
                !self.run.aborted || (self.run.is_in_begun_cluster(name) && !self.run.aborted_now)
            }
            Step::Return
            | Step::Verify
            | Step::Rejoin
            | Step::Roster
            | Step::Sync
            | Step::Soak
            | Step::Bundle
            | Step::Cleanup
            | Step::Watch => true,
        }
    }

    pub(super) fn may_stage(&mut self, name: &ApplianceName, now: Timestamp) -> bool {
        // A member that a person takes up again inside a cluster that has begun waits for nothing.
        if self.run.is_in_begun_cluster(name) {
            return !self.run.aborted_now;
        }
        if self.run.aborted || self.run.pause.is_some_and(|pause| pause.all) {
            return false;
        }
        if self.run.plan.stage == StageMode::Ahead {
            return true;
        }
        let wave = self.places.get(name).map_or(0, |(_, wave)| *wave);
        let started = |wave: usize| {
            let planned = self.run.plan.waves.get(wave);
            planned.is_some_and(|planned| self.run.waves_started.contains(&planned.name))
        };
        let turn = self
            .current_wave()
            .is_some_and(|current| wave < current || started(wave) && wave == current);
        let waits = self.window_of(name, now);
        if let (true, Some(until)) = (turn, waits) {
            self.wake_at(until);
        }
        turn && waits.is_none()
    }

    /// When the window of a member's site opens, if it is closed now; never when that is not known.
    fn window_of(&mut self, name: &ApplianceName, now: Timestamp) -> Option<Timestamp> {
        let site = self.run.plan.appliances.get(name)?.site.clone();
        let closed = self.openings.closed(&self.run, &site, now)?;
        Some(closed.until().unwrap_or(Timestamp::MAX))
    }

    pub(super) fn start(
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
