//! What a person's decision changes in the fold, and when it is allowed.

use jiff::Timestamp;

use super::{ApplianceRun, Approval, CallState, HookState, Pause, Phase, Run};
use crate::decision::{Actor, Decision, PersonStep};
use crate::event::{ActKind, SkipReason};
use crate::hold::HoldReason;
use crate::names::ApplianceName;
use crate::plan::Plan;
use crate::version::FirmwareVersion;

impl Run {
    /// Whether the decision may be taken now.
    ///
    /// # Errors
    /// Why not, in words for the person.
    pub fn may_decide(&self, decision: &Decision) -> Result<(), String> {
        let after_the_end = match decision {
            Decision::Retry { .. } => true,
            // A debt outlives its rollout.
            Decision::Confirm { step, .. } => *step == PersonStep::SecondaryOn,
            _ => false,
        };
        if self.has_ended() && !after_the_end {
            return Err(format!("rollout {} has ended", self.plan.rollout));
        }
        match decision {
            Decision::Pause { .. } | Decision::Abort | Decision::AbortNow => Ok(()),
            Decision::Resume
                if self.pause.is_none() && self.breach.is_none() && self.soak_failed.is_none() =>
            {
                Err(format!("rollout {} is not paused", self.plan.rollout))
            }
            Decision::Resume => Ok(()),
            Decision::Retry { .. } if self.aborted => {
                Err(format!("rollout {} was aborted, which is final", self.plan.rollout))
            }
            Decision::Retry { appliances } => self.each(appliances, |name, run| {
                // Its hook failed: that is what is tried again.
                if self.failed_hook_of(name).is_some() { Ok(()) } else { may_retry(name, run) }
            }),
            Decision::Skip { appliances } => self.each(appliances, |name, run| {
                // Without a failed member a cluster goes on only when a person says so.
                let failed = run.phase == Phase::Failed && self.is_in_begun_cluster(name);
                if run.phase.is_terminal() && !failed {
                    Err(format!("{name} is {} already", run.phase.name()))
                } else {
                    Ok(())
                }
            }),
            Decision::Resolve { appliance, .. } => {
                self.each(std::slice::from_ref(appliance), |name, run| {
                    let hook = self.failed_hook_of(name).and_then(|point| self.hooks.get(point));
                    let hook = hook.is_some_and(|record| record.state.is_unknown());
                    if run.phase == Phase::Unknown || hook {
                        Ok(())
                    } else {
                        Err(format!(
                            "{name} is {}, not unknown: there is nothing to resolve",
                            run.phase.name()
                        ))
                    }
                })
            }
            Decision::Approve { wave } => {
                let Some(planned) = self.plan.waves.iter().find(|planned| planned.name == *wave)
                else {
                    return Err(format!("there is no wave {wave} in {}", self.plan.rollout));
                };
                if !planned.approval {
                    return Err(format!("wave {wave} asks for no approval"));
                }
                if !self.waves_finished.contains(wave) {
                    return Err(format!("wave {wave} is not finished; look at it when it is"));
                }
                match self.approvals.get(wave) {
                    Some(approval) => {
                        Err(format!("wave {wave} was approved by {} before", approval.by.name))
                    }
                    None => Ok(()),
                }
            }
            Decision::Confirm { appliance, step } => self
                .each(std::slice::from_ref(appliance), |name, run| {
                    may_confirm(name, run, *step, &self.plan)
                }),
            Decision::OverrideFreeze { site, .. } => {
                let frozen = |calendar: &crate::calendar::Calendar| !calendar.freezes.is_empty();
                if self.plan.calendars.get(site).is_some_and(frozen) {
                    Ok(())
                } else {
                    Err(format!("no freeze of site {site} concerns rollout {}", self.plan.rollout))
                }
            }
        }
    }

    fn each(
        &self,
        names: &[ApplianceName],
        check: impl Fn(&ApplianceName, &ApplianceRun) -> Result<(), String>,
    ) -> Result<(), String> {
        if names.is_empty() {
            return Err("no appliance was named".to_owned());
        }
        for name in names {
            let Some(run) = self.appliances.get(name) else {
                return Err(format!("{name} is not in rollout {}", self.plan.rollout));
            };
            check(name, run)?;
        }
        Ok(())
    }

    pub(super) fn decide(
        &mut self,
        decision: &Decision,
        actor: &Actor,
        reason: &str,
        at: Timestamp,
    ) -> Result<(), String> {
        self.may_decide(decision)?;
        match decision {
            Decision::Pause { all, now } => self.pause = Some(Pause { all: *all, now: *now }),
            Decision::Resume => {
                self.pause = None;
                // Only a breach counts anew: a pause in between forgives nothing.
                let ill = self.soak_failed.take().is_some();
                if self.breach.take().is_some() || ill {
                    self.counted.clear();
                }
            }
            Decision::Abort => self.aborted = true,
            Decision::AbortNow => {
                self.aborted = true;
                self.aborted_now = true;
            }
            Decision::Retry { appliances } => {
                self.finished = false;
                for name in appliances {
                    let hook = self.failed_hook_of(name).cloned();
                    if let Some(point) = &hook {
                        self.hooks.remove(point);
                    }
                    let retried =
                        |run: &&mut ApplianceRun| hook.is_none() || may_retry(name, run).is_ok();
                    if let Some(run) = self.appliances.get_mut(name).filter(retried) {
                        retry(run, &self.plan, at);
                    }
                    self.reopen_wave_of(name);
                }
            }
            Decision::Skip { appliances } => {
                for name in appliances {
                    if let Some(run) = self.appliances.get_mut(name) {
                        run.skipped = Some(SkipReason::ByPerson);
                        run.end(Phase::Skipped, at);
                    }
                }
            }
            Decision::Resolve { appliance, done } => {
                if let Some(point) = self.failed_hook_of(appliance).cloned() {
                    match self.hooks.get_mut(&point).filter(|_| *done) {
                        Some(record) => record.state = HookState::Done,
                        None => drop(self.hooks.remove(&point)),
                    }
                } else if let Some(run) = self.appliances.get_mut(appliance) {
                    resolve(run, *done, at);
                }
            }
            Decision::Approve { wave } => {
                let approval = Approval { by: actor.clone(), reason: reason.to_owned(), at };
                self.approvals.insert(wave.clone(), approval);
            }
            Decision::Confirm { appliance, step } => {
                if let Some(run) = self.appliances.get_mut(appliance) {
                    run.pair_step_done(*step, at);
                }
            }
            Decision::OverrideFreeze { site, until } => {
                self.lifted.insert(site.clone(), *until);
            }
        }
        Ok(())
    }

    fn reopen_wave_of(&mut self, name: &ApplianceName) {
        let wave = self.plan.waves.iter().find(|wave| wave.appliances.contains(name));
        if let Some(wave) = wave {
            self.waves_finished.remove(&wave.name);
            self.waves_ended.remove(&wave.name);
            self.approvals.remove(&wave.name);
        }
    }
}

fn may_retry(name: &ApplianceName, run: &ApplianceRun) -> Result<(), String> {
    match run.phase {
        Phase::Failed | Phase::Held | Phase::SetAside | Phase::Skipped => Ok(()),
        Phase::Unknown => Err(format!(
            "{name}: whether its act was done is not known; look at it, then `resolve` it as done or not-done"
        )),
        Phase::Attended
            if matches!(
                run.hold,
                Some(HoldReason::SecondaryNotProven { .. } | HoldReason::PowerFailed { .. })
            ) =>
        {
            Ok(())
        }
        Phase::Attended => {
            Err(format!("{name} waits for a person's step and goes on by itself after it"))
        }
        phase => Err(format!("{name} is {}: there is nothing to retry", phase.name())),
    }
}

fn may_confirm(
    name: &ApplianceName,
    run: &ApplianceRun,
    step: PersonStep,
    plan: &Plan,
) -> Result<(), String> {
    if step == PersonStep::SecondaryOn && run.pair.is_off() {
        return Ok(());
    }
    let waited_for = match &run.hold {
        Some(HoldReason::AttendedStep { step, .. } | HoldReason::PowerFailed { step, .. }) => {
            Some(*step)
        }
        Some(HoldReason::SecondaryNotProven { .. }) => Some(PersonStep::SecondaryOff),
        Some(
            HoldReason::OperatorReboot { .. }
            | HoldReason::ArmedButReboots
            | HoldReason::RebootFailed { .. }
            | HoldReason::ArmedOutsideWindow { .. },
        ) => Some(PersonStep::Reboot),
        _ => None,
    };
    match waited_for {
        Some(waited_for) if waited_for == step => Ok(()),
        Some(waited_for) => {
            Err(format!("{name} waits for {}, not for {}", waited_for.name(), step.name()))
        }
        None if plan.appliances.get(name).is_some_and(|appliance| appliance.ha.is_none()) => {
            Err(format!("{name} is no HA pair and waits for no person's step"))
        }
        None => Err(format!("{name} is {} and waits for no person's step", run.phase.name())),
    }
}

/// Begins anew, but never forgets an upgrade call whose outcome is open: that is observed first.
fn retry(run: &mut ApplianceRun, plan: &Plan, at: Timestamp) {
    run.retries += 1;
    if let Some(HoldReason::HostnameChanged { found, .. }) = &run.hold {
        run.accepted_hostname = Some(found.clone());
    }
    run.failure = None;
    run.skipped = None;
    run.hold = None;
    run.last_error = None;
    run.set_aside_at = None;
    run.retry_at = None;
    run.step = None;
    run.stage.attempts = 0;
    run.calls = 0;
    run.tested = None;
    run.drained = None;
    run.verified = false;
    run.bundled = false;
    // A call that ended in a revert is over: the person's retry may make a new one.
    let target = &plan.hop(run.hop).version;
    let over = |version: &FirmwareVersion| version != target;
    if run.upgrade.as_ref().and_then(|upgrade| upgrade.returned.as_ref()).is_some_and(over) {
        run.upgrade = None;
    }
    if run.upgrade.is_none() {
        again_with(&mut run.pair);
    }
    let open = run.upgrade.as_ref().is_some_and(|upgrade| upgrade.returned.is_none());
    // After a call its health is compared with what it was before that call.
    if run.upgrade.is_none() {
        run.baseline = None;
    }
    match run.upgrade.as_mut().filter(|_| open) {
        Some(upgrade) => upgrade.retried_at = Some(at),
        // Whatever it runs now, the person has seen it.
        None => run.version = None,
    }
    let phase = if open { Phase::Returning } else { Phase::Pending };
    run.enter(phase, at);
}

/// A pair begins anew; that its secondary is off still is a debt and is not forgotten.
fn again_with(pair: &mut super::PairRecord) {
    if pair.is_off() {
        pair.done.retain(|step, _| *step == PersonStep::SecondaryOff);
    } else {
        *pair = super::PairRecord::default();
    }
}

fn resolve(run: &mut ApplianceRun, done: bool, at: Timestamp) {
    run.hold = None;
    let Some(open) = run.open.take() else { return };
    match (open.act.kind(), done) {
        (ActKind::Upgrade, true) => {
            if let Some(upgrade) = &mut run.upgrade {
                upgrade.call = CallState::Accepted;
                upgrade.accepted_at = Some(at);
                upgrade.gap = false;
                upgrade.last_look = at;
            }
            run.step = None;
            run.enter(Phase::Returning, at);
        }
        (kind, false) => {
            // A decision frees no place: it is seen up first.
            let down = run.down;
            run.not_done(kind, at);
            run.down = down;
            let after_upgrade = run.upgrade.is_some();
            let phase = match kind {
                ActKind::Upgrade => Phase::Ready,
                _ if after_upgrade => Phase::Returning,
                _ => Phase::Pending,
            };
            run.enter(phase, at);
        }
        (_, true) => {
            let phase = if run.upgrade.is_some() { Phase::Returning } else { Phase::Pending };
            run.enter(phase, at);
        }
    }
}
