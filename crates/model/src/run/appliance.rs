//! One appliance of a rollout, folded: everything that a step needs to go on where it stopped.

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::{
    DrainRecord, JobRecord, OpenAct, PairRecord, Phase, StageRecord, Transfer, UpgradeRecord,
};
use crate::event::{ActKind, ApplianceChange, Failure, SkipReason, Step};
use crate::hold::HoldReason;
use crate::names::SlotKey;
use crate::observed::{Baseline, HealthCheck};
use crate::plan::Plan;
use crate::version::FirmwareVersion;

/// One appliance of a rollout, folded.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ApplianceRun {
    /// Where it stands.
    pub phase: Phase,
    /// Since when.
    pub since: Timestamp,
    /// The step under way, and when it began: deadlines count from there, over restarts too.
    pub step: Option<(Step, Timestamp)>,
    /// Why it waits for a person.
    pub hold: Option<HoldReason>,
    /// Not answering its first question since.
    pub set_aside_at: Option<Timestamp>,
    /// When it is asked again.
    pub retry_at: Option<Timestamp>,
    /// Why the last try did not work.
    pub last_error: Option<String>,
    /// What preflight read.
    pub baseline: Option<Baseline>,
    /// The version last seen.
    pub version: Option<FirmwareVersion>,
    /// The image on its way into a slot.
    pub stage: StageRecord,
    /// The slot whose test passed.
    pub tested: Option<SlotKey>,
    /// Whether it holds a permit: its places are taken.
    pub permitted: bool,
    /// The act whose outcome is open.
    pub open: Option<OpenAct>,
    /// Upgrade calls made since the last `retry`.
    pub calls: u32,
    /// The upgrade call that counts.
    pub upgrade: Option<UpgradeRecord>,
    /// Whether it is down by our act.
    pub down: bool,
    /// Whether it does not answer.
    pub dark: bool,
    /// Why it failed.
    pub failure: Option<Failure>,
    /// Why it is left out.
    pub skipped: Option<SkipReason>,
    /// How often a person said `retry`.
    pub retries: u32,
    /// Which of the plan's hops it is on its way to.
    #[serde(default)]
    pub hop: usize,
    /// Its second node, when it is an HA pair.
    #[serde(default)]
    pub pair: PairRecord,
    /// The end of the wait for sessions before the upgrade call.
    #[serde(default)]
    pub drained: Option<DrainRecord>,
    /// Sessions that were open when last counted.
    #[serde(default)]
    pub sessions: Option<u64>,
    /// Sessions that its upgrades cut, where known.
    #[serde(default)]
    pub sessions_cut: Option<u64>,
    /// Its health after the return, beside what it was before.
    #[serde(default)]
    pub checks: Vec<HealthCheck>,
    /// Whether the primary of a pair is verified and only the pair is not whole yet.
    #[serde(default)]
    pub verified: bool,
    /// When central management last named the members that the plan names.
    #[serde(default)]
    pub roster_at: Option<Timestamp>,
    /// What central management then said of the cluster.
    #[serde(default)]
    pub roster: Option<String>,
    /// A new host name that a person has accepted.
    #[serde(default)]
    pub accepted_hostname: Option<String>,
    /// Whether a support bundle was asked for after its failure.
    #[serde(default)]
    pub bundled: bool,
}

impl ApplianceRun {
    /// An appliance to which nothing has happened yet.
    #[must_use]
    pub fn new(at: Timestamp) -> Self {
        Self {
            phase: Phase::Pending,
            since: at,
            step: None,
            hold: None,
            set_aside_at: None,
            retry_at: None,
            last_error: None,
            baseline: None,
            version: None,
            stage: StageRecord::default(),
            tested: None,
            permitted: false,
            open: None,
            calls: 0,
            upgrade: None,
            down: false,
            dark: false,
            failure: None,
            skipped: None,
            retries: 0,
            hop: 0,
            pair: PairRecord::default(),
            drained: None,
            sessions: None,
            sessions_cut: None,
            checks: Vec::new(),
            verified: false,
            roster_at: None,
            roster: None,
            accepted_hostname: None,
            bundled: false,
        }
    }

    /// Whether it counts as down: by our act, because it does not answer, or while its secondary
    /// is off (contract: semantics.md, "Down").
    #[must_use]
    pub fn is_down(&self) -> bool {
        self.down || self.dark || self.pair.is_off()
    }

    /// Whether its places are taken: a pair keeps them until it is whole.
    #[must_use]
    pub fn takes_places(&self) -> bool {
        self.is_down() || self.permitted || self.verified && !self.phase.is_terminal()
    }

    /// Whether anything was done to it.
    #[must_use]
    pub fn has_begun(&self) -> bool {
        self.upgrade.is_some()
            || self.open.is_some()
            || !self.stage.jobs.is_empty()
            || self.phase != Phase::Pending
    }

    pub(super) fn enter(&mut self, phase: Phase, at: Timestamp) {
        if self.phase != phase {
            self.phase = phase;
            self.since = at;
        }
    }

    /// Ends the step under way; returns how long it took when it is the one expected.
    pub(super) fn end_step(
        &mut self,
        expected: Step,
        at: Timestamp,
    ) -> Option<(Step, SignedDuration)> {
        let (step, began) = self.step.take()?;
        (step == expected).then(|| (step, at.duration_since(began)))
    }

    /// Folds one event in. Returns how long a step took when the event ends one.
    ///
    /// # Errors
    /// Why the event cannot happen here.
    pub fn apply(
        &mut self,
        change: &ApplianceChange,
        at: Timestamp,
        plan: &Plan,
    ) -> Result<Option<(Step, SignedDuration)>, String> {
        match change {
            ApplianceChange::StepStarted(step) => self.start(*step, at)?,
            ApplianceChange::Preflighted(baseline) => {
                self.version = Some(baseline.version.clone());
                // A slot that was emptied since is a new one.
                self.stage.bad_slots.retain(|bad| {
                    baseline.slots.iter().any(|slot| slot.key == *bad && slot.content.is_some())
                });
                self.hop = plan.next_hop(&baseline.version);
                self.baseline = Some((**baseline).clone());
                self.sessions = baseline.health.sessions;
                self.set_aside_at = None;
                self.retry_at = None;
                self.last_error = None;
                self.enter(Phase::Pending, at);
                return Ok(self.end_step(Step::Preflight, at));
            }
            ApplianceChange::SetAside { error, retry_at } => {
                self.set_aside_at.get_or_insert(at);
                self.retry_at = Some(*retry_at);
                self.permitted = false;
                self.last_error = Some(error.clone());
                self.step = None;
                self.enter(Phase::SetAside, at);
            }
            ApplianceChange::UpToDate { version } => {
                self.version = Some(version.clone());
                self.end(Phase::UpToDate, at);
            }
            ApplianceChange::Skipped(reason) => {
                self.skipped = Some(reason.clone());
                self.end(Phase::Skipped, at);
            }
            ApplianceChange::Intended(act) => self.intend(act, at)?,
            ApplianceChange::CommandStarted(process) => match &mut self.open {
                Some(open) => open.process = Some(*process),
                None => return Err("a command belongs to an intent".to_owned()),
            },
            ApplianceChange::Outcome { act, outcome, saw } => {
                self.settle(*act, outcome, saw, at)?;
            }
            ApplianceChange::Progress { done, total } => {
                self.stage.transfer = Some(Transfer { done: *done, total: *total });
            }
            ApplianceChange::JobAdopted { key } => {
                let job =
                    JobRecord { key: key.clone(), ours: false, failed: false, removed: false };
                self.stage.jobs.push(job);
            }
            ApplianceChange::JobFailed { key, error } => {
                self.last_error = Some(error.clone());
                for job in self.stage.jobs.iter_mut().filter(|job| job.key == *key) {
                    job.failed = true;
                }
            }
            ApplianceChange::SlotBad { slot, why } => {
                self.last_error = Some(why.clone());
                self.stage.bad_slots.extend(slot.clone());
                self.stage.filled = None;
            }
            ApplianceChange::Staged { slot, how } => {
                if self.stage.bad_slots.contains(slot) {
                    return Err(format!("slot {slot} is bad"));
                }
                self.stage.slot = Some(slot.clone());
                self.stage.how = Some(*how);
                self.stage.transfer = None;
                self.tested = None;
                self.enter(Phase::Pending, at);
                return Ok(self.end_step(Step::Stage, at));
            }
            ApplianceChange::Tested { slot, .. } => {
                if self.stage.slot.as_ref() != Some(slot) {
                    return Err(format!("slot {slot} is not the staged one"));
                }
                self.tested = Some(slot.clone());
                self.enter(Phase::Ready, at);
                return Ok(self.end_step(Step::Test, at));
            }
            ApplianceChange::Permitted => {
                if self.phase != Phase::Ready {
                    return Err("only a ready appliance gets a permit".to_owned());
                }
                self.permitted = true;
            }
            ApplianceChange::ClusterAgrees { saw } => {
                self.roster_at = Some(at);
                self.roster = Some(saw.clone());
            }
            ApplianceChange::Sessions { count } => self.sessions = Some(*count),
            ApplianceChange::Drained { sessions } => {
                self.sessions = sessions.or(self.sessions);
                self.drained = Some(DrainRecord { at, sessions: *sessions });
                self.enter(Phase::Ready, at);
                return Ok(self.end_step(Step::Drain, at));
            }
            ApplianceChange::Withdrawn { .. } => {
                self.permitted = false;
                self.drained = None;
                self.step = None;
                self.enter(Phase::Ready, at);
            }
            ApplianceChange::Looked { .. } => self.looked(at, plan.timeouts.blind)?,
            ApplianceChange::Armed => {
                // Whatever the call's reply was: it did what it does.
                self.upgrade_mut()?.armed_at = Some(at);
                self.close(ActKind::Upgrade);
            }
            ApplianceChange::RestartSeen { .. } => {
                let upgrade = self.upgrade_mut()?;
                let began = upgrade.reboot_at.unwrap_or(upgrade.intended_at);
                // What a person took is no measure of what the appliance takes.
                let by_person = upgrade.reboot_at.is_none()
                    && upgrade
                        .armed_at
                        .is_some_and(|armed| at.duration_since(armed) > plan.timeouts.armed_grace);
                if upgrade.restart_at.replace(at).is_none() {
                    self.enter(Phase::Returning, at);
                    let took = (Step::Activate, at.duration_since(began));
                    return Ok((!by_person).then_some(took));
                }
            }
            ApplianceChange::Returned { version } => {
                // One that reverted booted twice: that is no measure for the others.
                let took = self.returned(version, at)?;
                return Ok(took.filter(|_| *version == plan.hop(self.hop).version));
            }
            ApplianceChange::PairStepDone { step, .. } => self.pair_step_done(*step, at),
            ApplianceChange::Checked(checks) => self.checks.clone_from(checks),
            ApplianceChange::HopDone { version, sessions_cut } => {
                if *version != plan.hop(self.hop).version || self.hop >= plan.via.len() {
                    return Err(format!("{version} is not the hop it is on its way to"));
                }
                let took = self.verified(version, *sessions_cut, at);
                self.next_hop();
                self.enter(Phase::Pending, at);
                return Ok(took);
            }
            ApplianceChange::Verified { version, sessions_cut } => {
                if *version != plan.hop(self.hop).version {
                    return Err(format!("{version} is not the target"));
                }
                let took = self.verified(version, *sessions_cut, at);
                self.verified = true;
                return Ok(took);
            }
            ApplianceChange::Succeeded { version, sessions_cut } => {
                if *version != plan.firmware.version {
                    return Err(format!("{version} is not the target"));
                }
                let took = self.verified(version, *sessions_cut, at);
                self.end(Phase::Succeeded, at);
                return Ok(took);
            }
            ApplianceChange::ClusterSynced { .. } => {}
            ApplianceChange::Bundled { .. } => self.bundled = true,
            ApplianceChange::Failed(failure) => {
                self.failure = Some(failure.clone());
                self.end(Phase::Failed, at);
            }
            ApplianceChange::Held(reason) => {
                if self.phase.is_terminal() {
                    return Err(format!("it is {}", self.phase.name()));
                }
                self.hold_for(reason, at);
            }
            ApplianceChange::Unreachable => self.dark = true,
            ApplianceChange::Reachable => self.dark = false,
            ApplianceChange::Up { version } => {
                self.version = version.clone().or(self.version.take());
                self.close(ActKind::Upgrade);
                self.close(ActKind::Reboot);
                self.down = false;
                self.dark = false;
                self.permitted = false;
            }
            ApplianceChange::LeftBehind { key, .. } => self.forget_record(key),
            ApplianceChange::Login { .. } => {}
        }
        Ok(None)
    }

    fn start(&mut self, step: Step, at: Timestamp) -> Result<(), String> {
        if step.is_beside() {
            return Ok(());
        }
        if self.phase.is_terminal() {
            return Err(format!("it is {}; {} cannot begin", self.phase.name(), step.name()));
        }
        // A step that a dead process began goes on from its old start.
        if self.step.is_none_or(|(under_way, _)| under_way != step) {
            self.step = Some((step, at));
        }
        self.hold = None;
        let phase = match step {
            Step::Preflight => Phase::Preflight,
            Step::Stage => Phase::Staging,
            Step::Test => Phase::Testing,
            Step::Drain => Phase::Draining,
            Step::Activate => Phase::Activating,
            Step::Return => Phase::Returning,
            Step::Verify | Step::Rejoin => Phase::Verifying,
            Step::Roster | Step::Sync | Step::Soak | Step::Bundle | Step::Cleanup | Step::Watch => {
                return Ok(());
            }
        };
        self.enter(phase, at);
        Ok(())
    }

    /// A gap in watching stays on record: an unseen restart can no longer be ruled out. A clock
    /// that went backwards counts as a gap, since nobody knows how long it was.
    fn looked(&mut self, at: Timestamp, blind: SignedDuration) -> Result<(), String> {
        let upgrade = self.upgrade_mut()?;
        let gap = at.duration_since(upgrade.last_look);
        upgrade.gap |= gap > blind || gap.is_negative();
        upgrade.last_look = at;
        Ok(())
    }

    fn returned(
        &mut self,
        version: &FirmwareVersion,
        at: Timestamp,
    ) -> Result<Option<(Step, SignedDuration)>, String> {
        let upgrade = self.upgrade_mut()?;
        upgrade.returned = Some(version.clone());
        let began = upgrade.restart_at;
        self.version = Some(version.clone());
        self.down = false;
        self.dark = false;
        self.permitted = false;
        self.step = None;
        // What the call or the reboot did is known now, whatever their replies said.
        self.close(ActKind::Upgrade);
        self.close(ActKind::Reboot);
        self.enter(Phase::Verifying, at);
        Ok(began.map(|began| (Step::Return, at.duration_since(began))))
    }

    pub(super) fn hold_for(&mut self, reason: &HoldReason, at: Timestamp) {
        let phase = match reason {
            HoldReason::OperatorReboot { .. }
            | HoldReason::ArmedButReboots
            | HoldReason::RebootFailed { .. }
            | HoldReason::ArmedOutsideWindow { .. }
            | HoldReason::AttendedStep { .. }
            | HoldReason::PowerFailed { .. }
            | HoldReason::SecondaryNotProven { .. } => Phase::Attended,
            HoldReason::OutcomeUnknown { .. } => Phase::Unknown,
            _ => Phase::Held,
        };
        self.hold = Some(reason.clone());
        self.permitted = false;
        self.drained = None;
        if phase != Phase::Attended {
            self.step = None;
        }
        self.enter(phase, at);
    }

    pub(super) fn end(&mut self, phase: Phase, at: Timestamp) {
        self.step = None;
        self.hold = None;
        self.retry_at = None;
        self.permitted = false;
        self.enter(phase, at);
    }

    pub(super) fn upgrade_mut(&mut self) -> Result<&mut UpgradeRecord, String> {
        self.upgrade.as_mut().ok_or_else(|| "no upgrade call was made".to_owned())
    }
}
