//! The rules: what the scheduler may say, begin and admit, and when it may rest.

use std::collections::BTreeMap;

use executor::core::{Command, Rest};
use model::event::{ApplianceChange, Change, RolloutChange, Step};
use model::hold::HoldReason;
use model::names::{ApplianceName, SlotKey};
use model::rollout::{FailureBudget, StageMode};
use model::run::Run;

use super::{Call, Checked, Member, Reference};

impl Reference {
    /// The scheduler wants this.
    pub(crate) fn told(&mut self, command: &Command) -> Checked {
        match command {
            Command::Start(name, step) => self.may_start(name, *step)?,
            Command::Hook { point, .. } => return Err(format!("{point} is not asked for")),
            Command::Cancel(name) => {
                self.steps.remove(name);
            }
            Command::Record(Change::Rollout(RolloutChange::WaveStarted { wave })) => {
                let at = self.plan.waves.iter().position(|known| known.name == *wave);
                let earlier = |member: &Member| at.is_some_and(|at| member.wave < at);
                self.all_done(earlier).map_err(|why| format!("{wave} begins, but {why}"))?;
            }
            Command::Record(Change::Rollout(RolloutChange::WaveFinished { wave })) => {
                let at = self.plan.waves.iter().position(|known| known.name == *wave);
                let of = |member: &Member| Some(member.wave) == at;
                self.all_done(of).map_err(|why| format!("{wave} is finished, but {why}"))?;
            }
            Command::Record(Change::Rollout(RolloutChange::Finished)) => {
                self.all_done(|_| true).map_err(|why| format!("finished, but {why}"))?;
                self.nothing_is_left()?;
            }
            Command::Record(Change::Rollout(RolloutChange::BudgetReached { .. })) => {
                if !self.budget_is_spent() {
                    return Err("the budget is said to be spent and is not".to_owned());
                }
            }
            Command::Record(Change::Appliance(name, ApplianceChange::Permitted)) => {
                self.open_for(name)?;
                let wave = self.member(name)?.wave;
                self.all_done(|member| member.wave < wave)
                    .map_err(|why| format!("{name} gets a permit, but {why}"))?;
                if !self.plan.waves.get(wave).is_some_and(|of| self.waves_begun.contains(&of.name))
                {
                    return Err(format!("{name} gets a permit before its wave has begun"));
                }
                if let Some(member) = self.members.get_mut(name) {
                    member.promised = true;
                }
            }
            Command::Record(Change::Appliance(name, ApplianceChange::Skipped(_))) => {
                let member = self.member(name)?;
                if !self.aborted || member.done || member.down {
                    return Err(format!("{name} must not be left out now"));
                }
            }
            Command::Record(other) => return Err(format!("not the scheduler's to say: {other:?}")),
        }
        Ok(())
    }

    /// No step but looking is under way, and no fetch record of ours is left; where the outcome of
    /// an upgrade call is open it waits for that.
    fn nothing_is_left(&self) -> Checked {
        if let Some((name, (step, _))) = self.steps.iter().find(|(_, (s, _))| *s != Step::Watch) {
            return Err(format!("finished, but {} of {name} is under way", step.name()));
        }
        let keeps = |member: &Member| member.call != Call::Open && !member.records.is_empty();
        match self.members.iter().find(|(_, member)| keeps(member)) {
            Some((name, member)) => Err(format!("finished, but {name} keeps {:?}", member.records)),
            None => Ok(()),
        }
    }

    fn may_start(&mut self, name: &ApplianceName, step: Step) -> Checked {
        let no = |why: &str| Err(format!("{} of {name} begins, but {why}", step.name()));
        if self.stopped {
            return no("the program was told to stop");
        }
        if let Some((other, _)) = self.steps.get(name) {
            return no(&format!("its {} is under way", other.name()));
        }
        let mut transfer = false;
        match (self.members.get(name), step) {
            (None, Step::Watch) => {}
            (None, _) => return no("it is a bystander"),
            (Some(_), Step::Cleanup | Step::Watch) => {}
            (Some(member), Step::Soak) => {
                let over = |other: &Member| other.wave == member.wave;
                self.all_done(over).map_err(|why| format!("{name} soaks, but {why}"))?;
            }
            (Some(member), _) if member.done => return no("it is finished"),
            (Some(_), Step::Preflight | Step::Stage | Step::Test) if self.aborted => {
                return no("the rollout was given up");
            }
            (Some(_), Step::Stage | Step::Test) if self.paused == Some(true) => {
                return no("staging is paused");
            }
            (Some(member), Step::Stage) => {
                let early = |other: &Member| other.wave < member.wave;
                if self.plan.stage == StageMode::InWindow {
                    self.all_done(early).map_err(|why| format!("{name} is staged, but {why}"))?;
                }
                let adopts = self.plan.firmware.adopt && !member.adoptable.is_empty();
                transfer = !adopts || member.any_job;
            }
            (Some(member), Step::Activate) if !member.permitted => return no("it has no permit"),
            (Some(member), Step::Return) if member.call != Call::Open => {
                return no("no call is open");
            }
            (Some(_), _) => {}
        }
        if let Some(member) = self.members.get_mut(name) {
            member.look_again &= step == Step::Watch;
        }
        self.steps.insert(name.clone(), (step, transfer));
        self.transfers_are_kept()
    }

    fn transfers_are_kept(&self) -> Checked {
        let staging = self.steps.iter().filter(|(_, (_, transfer))| *transfer);
        let sites: Vec<_> =
            staging.filter_map(|(name, _)| Some(&self.plan.appliances.get(name)?.site)).collect();
        let limit = self.plan.limits.transfers as usize;
        if sites.len() > limit {
            return Err(format!("{} transfers at once, {limit} may be", sites.len()));
        }
        for (site, limits) in &self.plan.sites {
            let at_once = sites.iter().filter(|at| **at == site).count();
            if limits.transfers.is_some_and(|limit| at_once > limit as usize) {
                return Err(format!("{at_once} transfers at once at {site}: {limits:?}"));
            }
        }
        Ok(())
    }

    /// An upgrade call is about to be made.
    pub(super) fn may_call(&self, name: &ApplianceName, slot: &SlotKey) -> Checked {
        self.open_for(name)?;
        let member = self.member(name)?;
        let no = |why: &str| Err(format!("{name} is to be upgraded, but {why}"));
        match member.call {
            Call::NotMade => {}
            Call::Open => return no("a call is open"),
            Call::BackOnTarget => return no("it is at the target"),
            Call::BackOnOther => return no("it reverted, and nobody said retry"),
        }
        if !member.permitted || member.tested.as_ref() != Some(slot) || member.done {
            return no("it has no permit, or this slot was not tested, or it is finished");
        }
        self.all_done(|other| other.wave < member.wave && !other.reopened)
            .map_err(|why| format!("{name} is to be upgraded, but {why}"))
    }

    /// The scheduler admits a call exactly when the contract does.
    pub(crate) fn admission(&self, name: &ApplianceName, admitted: bool) -> Checked {
        match (self.open_for(name), admitted) {
            (Err(why), true) => Err(format!("admitted, but {why}")),
            (Ok(()), false) => Err(format!("{name} is not admitted, and nothing is in its way")),
            (Ok(()), true) | (Err(_), false) => Ok(()),
        }
    }

    /// Nothing stops new disruptive steps, and there is a place left for this one.
    fn open_for(&self, name: &ApplianceName) -> Checked {
        let spent = self.breached || self.budget_is_spent();
        if self.paused.is_some() || spent || self.aborted || self.halted || self.stopped {
            return Err(format!("{name} is to go down, but no disruptive step may begin"));
        }
        let known = |of: &ApplianceName| {
            self.plan.appliances.get(of).or_else(|| self.plan.bystanders.get(of))
        };
        let Some(it) = known(name) else { return Err(format!("{name} is not planned")) };
        let takes =
            |member: &Member| member.down || member.dark || member.permitted || member.promised;
        let members = self.members.iter().filter(|(_, member)| takes(member)).map(|(of, _)| of);
        let others: Vec<_> = members.filter(|of| *of != name).collect();
        let all: Vec<_> = others.iter().copied().chain(&self.dark_bystanders).collect();
        let at = all.iter().filter(|of| known(of).is_some_and(|of| of.site == it.site)).count();
        let of_group = |of: &&&ApplianceName| known(of).is_some_and(|of| of.group == it.group);
        let site = self.plan.sites.get(&it.site).and_then(|limits| limits.unavailable);
        let group = it.group.as_ref().and_then(|group| self.plan.groups.get(group)).copied();
        let full = |limit: Option<u32>, down: usize| limit.is_some_and(|l| down >= l as usize);
        if full(Some(self.plan.limits.unavailable), others.len())
            || full(site, at)
            || full(group, all.iter().filter(of_group).count())
        {
            return Err(format!("{name} is to go down, but down are {all:?}"));
        }
        Ok(())
    }

    fn budget_is_spent(&self) -> bool {
        let spent = |budget: &FailureBudget, failed: usize, of: usize| {
            let count = budget.count.is_some_and(|count| failed >= count as usize);
            let percent = budget.percent.is_some_and(|p| failed * 100 >= p as usize * of);
            failed > 0 && (count || percent)
        };
        let of_wave = |at: usize| {
            let failed = |name: &&ApplianceName| {
                self.members.get(*name).is_some_and(|member| member.wave == at)
            };
            self.failures.iter().filter(failed).count()
        };
        spent(&self.plan.failure_budget, self.failures.len(), self.members.len())
            || self.plan.waves.iter().enumerate().any(|(at, wave)| {
                let own = wave.failure_budget.as_ref();
                own.is_some_and(|own| spent(own, of_wave(at), self.members.len()))
            })
    }

    fn member(&self, name: &ApplianceName) -> Checked<&Member> {
        self.members.get(name).ok_or_else(|| format!("{name} is not a member"))
    }

    fn all_done(&self, of: impl Fn(&Member) -> bool) -> Checked {
        match self.members.iter().find(|(_, member)| of(member) && !member.done) {
            Some((name, _)) => Err(format!("{name} is not finished")),
            None => Ok(()),
        }
    }

    /// Nothing goes on by itself any more: everybody is finished or has a reason to wait.
    pub(crate) fn rest(
        &self,
        rest: Rest,
        run: &Run,
        reasons: &BTreeMap<ApplianceName, HoldReason>,
        wakeup: bool,
    ) -> Checked {
        if rest == Rest::Time && !wakeup {
            return Err("time is waited for, but for no time in particular".to_owned());
        }
        if rest == Rest::Ended {
            return self.all_done(|_| true).map_err(|why| format!("ended, but {why}"));
        }
        if self.halted || self.stopped {
            return Ok(());
        }
        if self.budget_is_spent() && !self.breached && !self.aborted {
            return Err("the budget is spent, and nobody is told".to_owned());
        }
        if self.all_done(|_| true).is_ok() && !self.breached {
            return Err("everybody is finished, but the rollout is not".to_owned());
        }
        for (name, member) in self.members.iter().filter(|(_, member)| !member.done) {
            let lost = |why: &str| Err(format!("{name} is lost: {why}"));
            let phase = run.appliances.get(name).map(|state| state.phase);
            let Some(reason) = reasons.get(name) else {
                return lost(&format!("{phase:?} without a reason"));
            };
            let earlier = self.all_done(|other| other.wave < member.wave).is_err();
            let kept = self.paused == Some(true) || earlier || self.aborted || member.dark;
            if member.look_again && member.held && !kept {
                return lost("it was held before, and this process did not look at it again");
            }
            let right = match reason {
                HoldReason::EarlierWave { unfinished, .. } => earlier && *unfinished > 0,
                HoldReason::Paused => self.paused.is_some(),
                HoldReason::BudgetReached { .. } => self.breached,
                HoldReason::Unreachable { .. } => {
                    wakeup || self.paused == Some(true) || earlier || self.aborted
                }
                HoldReason::RolloutLimit { .. }
                | HoldReason::SiteLimit { .. }
                | HoldReason::GroupLimit { .. } => self.open_for(name).is_err(),
                // Nothing is under way: nobody takes a place for a transfer.
                HoldReason::TransferLimit { .. } | HoldReason::JournalNotWritable => false,
                _ => phase.is_some_and(model::run::Phase::needs_person),
            };
            if !right {
                return lost(&format!("{phase:?} because: {reason}"));
            }
        }
        Ok(())
    }
}
