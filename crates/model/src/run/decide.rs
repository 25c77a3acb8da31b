//! What a person's decision changes in the fold, and when it is allowed.

use jiff::Timestamp;

use super::{ApplianceRun, CallState, Pause, Phase, Run};
use crate::decision::Decision;
use crate::event::{ActKind, SkipReason};
use crate::names::ApplianceName;
use crate::version::FirmwareVersion;

impl Run {
    /// Whether the decision may be taken now.
    ///
    /// # Errors
    /// Why not, in words for the person.
    pub fn may_decide(&self, decision: &Decision) -> Result<(), String> {
        if self.has_ended() && !matches!(decision, Decision::Retry { .. }) {
            return Err(format!("rollout {} has ended", self.plan.rollout));
        }
        match decision {
            Decision::Pause { .. } | Decision::Abort => Ok(()),
            Decision::Resume if self.pause.is_none() && self.breach.is_none() => {
                Err(format!("rollout {} is not paused", self.plan.rollout))
            }
            Decision::Resume => Ok(()),
            Decision::Retry { .. } if self.aborted => {
                Err(format!("rollout {} was aborted, which is final", self.plan.rollout))
            }
            Decision::Retry { appliances } => self.each(appliances, may_retry),
            Decision::Skip { appliances } => self.each(appliances, |name, run| {
                if run.phase.is_terminal() {
                    Err(format!("{name} is {} already", run.phase.name()))
                } else {
                    Ok(())
                }
            }),
            Decision::Resolve { appliance, .. } => {
                self.each(std::slice::from_ref(appliance), |name, run| {
                    if run.phase == Phase::Unknown {
                        Ok(())
                    } else {
                        Err(format!(
                            "{name} is {}, not unknown: there is nothing to resolve",
                            run.phase.name()
                        ))
                    }
                })
            }
            Decision::Approve { wave } => Err(format!("wave {wave} waits for no approval")),
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

    pub(super) fn decide(&mut self, decision: &Decision, at: Timestamp) -> Result<(), String> {
        self.may_decide(decision)?;
        match decision {
            Decision::Pause { all } => self.pause = Some(Pause { all: *all }),
            Decision::Resume => {
                self.pause = None;
                // Only a breach counts anew: a pause in between forgives nothing.
                if self.breach.take().is_some() {
                    self.counted.clear();
                }
            }
            Decision::Abort => self.aborted = true,
            Decision::Retry { appliances } => {
                self.finished = false;
                for name in appliances {
                    if let Some(run) = self.appliances.get_mut(name) {
                        retry(run, &self.plan.firmware.version, at);
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
                if let Some(run) = self.appliances.get_mut(appliance) {
                    resolve(run, *done, at);
                }
            }
            Decision::Approve { .. } => {}
        }
        Ok(())
    }

    fn reopen_wave_of(&mut self, name: &ApplianceName) {
        let wave = self.plan.waves.iter().find(|wave| wave.appliances.contains(name));
        if let Some(wave) = wave {
            self.waves_finished.remove(&wave.name);
        }
    }
}

fn may_retry(name: &ApplianceName, run: &ApplianceRun) -> Result<(), String> {
    match run.phase {
        Phase::Failed | Phase::Held | Phase::SetAside | Phase::Skipped => Ok(()),
        Phase::Unknown => Err(format!(
            "{name}: whether its act was done is not known; look at it, then `resolve` it as done or not-done"
        )),
        Phase::Attended => {
            Err(format!("{name} waits for a person's step and goes on by itself after it"))
        }
        phase => Err(format!("{name} is {}: there is nothing to retry", phase.name())),
    }
}

/// Begins anew, but never forgets an upgrade call whose outcome is open: that is observed first.
fn retry(run: &mut ApplianceRun, target: &FirmwareVersion, at: Timestamp) {
    run.retries += 1;
    run.failure = None;
    run.skipped = None;
    run.hold = None;
    run.last_error = None;
    run.set_aside_at = None;
    run.retry_at = None;
    run.step = None;
    run.baseline = None;
    run.stage.attempts = 0;
    run.calls = 0;
    run.tested = None;
    // A call that ended in a revert is over: the person's retry may make a new one.
    let over = |version: &FirmwareVersion| version != target;
    if run.upgrade.as_ref().and_then(|upgrade| upgrade.returned.as_ref()).is_some_and(over) {
        run.upgrade = None;
    }
    let open = run.upgrade.as_ref().is_some_and(|upgrade| upgrade.returned.is_none());
    match run.upgrade.as_mut().filter(|_| open) {
        Some(upgrade) => upgrade.retried_at = Some(at),
        // Whatever it runs now, the person has seen it.
        None => run.version = None,
    }
    let phase = if open { Phase::Returning } else { Phase::Pending };
    run.enter(phase, at);
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
