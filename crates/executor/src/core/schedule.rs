//! Who begins what now: waves, the failure budget, transfers, leave to go down.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use model::event::{ActKind, Change, RolloutChange, Step};
use model::expect;
use model::hold::HoldReason;
use model::names::{ApplianceName, SiteName};
use model::plan::Plan;
use model::rollout::{HookKind, OnBreach, StageMode};
use model::run::{ApplianceRun, Run};

use super::account::membership;
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

    fn current_wave(&self) -> Option<usize> {
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

    fn may_stage(&mut self, name: &ApplianceName, now: Timestamp) -> bool {
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

    fn start_transfers(&mut self, now: Timestamp, commands: &mut Vec<Command>) {
        let limit = self.run.plan.limits.transfers as usize;
        let mut full: BTreeSet<SiteName> = BTreeSet::new();
        let plan = std::sync::Arc::clone(&self.run.plan);
        let mut from = (false, 0);
        while self.transfers_in_all < limit
            && let Some((new, index)) = self.to_stage.range(from..).next().copied()
        {
            from = (new, index + 1);
            let Some(name) = self.order.get(index).cloned() else { continue };
            let Some(appliance) = plan.appliances.get(&name) else { continue };
            if full.contains(&appliance.site) || !self.may_stage(&name, now) {
                continue;
            }
            let of_site = self.transfers.get(&appliance.site).map_or(0, BTreeSet::len);
            if of_site >= plan.site_transfers(&appliance.site) as usize {
                full.insert(appliance.site.clone());
                continue;
            }
            self.to_stage.remove(&(new, index));
            self.take_transfer(&name);
            self.start(name, Step::Stage, now, commands);
        }
    }

    fn take_transfer(&mut self, name: &ApplianceName) {
        let Some(appliance) = self.run.plan.appliances.get(name) else { return };
        let of_site = self.transfers.entry(appliance.site.clone()).or_default();
        if of_site.insert(name.clone()) {
            self.transfers_in_all += 1;
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

    fn give_permits(&mut self, now: Timestamp, commands: &mut Vec<Command>) {
        let started = |wave: &usize| {
            let planned = self.run.plan.waves.get(*wave);
            planned.is_some_and(|planned| self.run.waves_started.contains(&planned.name))
        };
        let current = self.current_wave().filter(started);
        let open = self.closed().is_none() && !self.run.aborted;
        let begun = current.filter(|wave| {
            let name = self.run.plan.waves.get(*wave).map(|wave| wave.name.clone());
            open && name.is_some_and(|name| {
                !self.hook_pending(HookKind::WaveBefore, name.as_str(), commands)
            })
        });
        self.tend_clusters(begun, now, commands);
        let Some(wave) = begun else { return };
        if self.occupancy.rollout_is_full(&self.run.id) {
            return;
        }
        let plan = std::sync::Arc::clone(&self.run.plan);
        let mut sites: BTreeMap<SiteName, usize> = BTreeMap::new();
        let waiting: Vec<SiteName> = self
            .ready
            .get(wave)
            .map(|ready| ready.sites.keys().cloned().collect())
            .unwrap_or_default();
        for site in waiting {
            if let Some(closed) = self.openings.closed(&self.run, &site, now) {
                self.wake_at(closed.until().unwrap_or(Timestamp::MAX));
            } else {
                sites.insert(site, 0);
            }
        }
        // The earliest of all sites that are open, one after the other.
        while !self.occupancy.rollout_is_full(&self.run.id) {
            let next = sites
                .iter()
                .filter_map(|(site, from)| {
                    let ready = self.ready.get(wave)?.sites.get(site)?;
                    ready.range(from..).next().map(|index| (*index, site.clone()))
                })
                .min();
            let Some((index, site)) = next else { break };
            sites.insert(site.clone(), index + 1);
            let Some(name) = self.order.get(index).cloned() else { continue };
            let Some(who) = membership(&self.run, &name) else { continue };
            if self.permitting.contains(&name) {
                continue;
            }
            match self.occupancy.may_go_down(&who) {
                Err(HoldReason::SiteLimit { .. }) => {
                    sites.remove(&site);
                    continue;
                }
                Err(_) => continue,
                Ok(()) => {}
            }
            if let Some(until) = self.member_waits_until(index, &plan, &name, &site, now) {
                self.wake_at(until);
                continue;
            }
            self.occupancy.take(&who);
            self.permit(index, wave, name, commands);
        }
    }

    /// Until when a member must wait for its window, if it must.
    fn member_waits_until(
        &mut self,
        index: usize,
        plan: &Plan,
        name: &ApplianceName,
        site: &SiteName,
        now: Timestamp,
    ) -> Option<Timestamp> {
        if !plan.calendars.contains_key(site) {
            return None;
        }
        if let Some(at) = self.too_late.get(&index).filter(|at| now < **at) {
            return Some(*at);
        }
        let history = &self.history;
        let expected = || expect::appliance(plan, name, history);
        let wait = self.openings.wait(&self.run, site, now, expected);
        match wait {
            Some(at) => self.too_late.insert(index, at),
            None => self.too_late.remove(&index),
        };
        wait
    }

    fn watch_bystanders(&mut self, now: Timestamp, commands: &mut Vec<Command>) {
        let unwatched =
            self.run.dark_bystanders.iter().filter(|name| !self.active.contains_key(*name));
        for name in unwatched.cloned().collect::<Vec<_>>() {
            self.start(name, Step::Watch, now, commands);
        }
    }
}

/// Whether a transfer of ours may be under way on the appliance.
fn transfer_lives(run: &ApplianceRun) -> bool {
    let open = run.open.as_ref().map(|open| open.act.kind());
    matches!(open, Some(ActKind::StartFetch | ActKind::Upload)) || run.stage.live_job().is_some()
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
