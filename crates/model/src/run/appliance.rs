//! One appliance of a rollout, folded: everything that a step needs to go on where it stopped.

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use crate::event::{
    Act, ActKind, ActOutcome, ApplianceChange, Failure, SkipReason, StagedHow, Step,
};
use crate::hold::HoldReason;
use crate::names::{FetchKey, SlotKey};
use crate::observed::Baseline;
use crate::plan::Plan;
use crate::ports::ProcessId;
use crate::version::FirmwareVersion;

/// Where an appliance stands (contract: cli.md, "Appliance states").
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Phase {
    /// Nothing is being done just now.
    Pending,
    /// It is read.
    Preflight,
    /// The image is on its way into a slot.
    Staging,
    /// The appliance tests the firmware.
    Testing,
    /// Staged and tested; waits for leave to go down.
    Ready,
    /// Waits for sessions to end.
    Draining,
    /// The upgrade call is being made.
    Activating,
    /// The upgrade call was made; its outcome and the return are awaited.
    Returning,
    /// It is back; its health is compared.
    Verifying,
    /// Waits for a person's step.
    Attended,
    /// Waits for a person.
    Held,
    /// The outcome of an act is unknown; waits for a person.
    Unknown,
    /// Does not answer; asked again later.
    SetAside,
    /// At the target, by us.
    Succeeded,
    /// At the target before we came.
    UpToDate,
    /// Failed.
    Failed,
    /// Left out.
    Skipped,
}

impl Phase {
    /// The word (contract: cli.md).
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Preflight => "preflight",
            Self::Staging => "staging",
            Self::Testing => "testing",
            Self::Ready => "ready",
            Self::Draining => "draining",
            Self::Activating => "activating",
            Self::Returning => "returning",
            Self::Verifying => "verifying",
            Self::Attended => "attended",
            Self::Held => "held",
            Self::Unknown => "unknown",
            Self::SetAside => "set-aside",
            Self::Succeeded => "succeeded",
            Self::UpToDate => "up-to-date",
            Self::Failed => "failed",
            Self::Skipped => "skipped",
        }
    }

    /// Whether nothing more happens to it without a person.
    #[must_use]
    pub fn is_terminal(self) -> bool {
        matches!(self, Self::Succeeded | Self::UpToDate | Self::Failed | Self::Skipped)
    }

    /// Whether it is at the target.
    #[must_use]
    pub fn is_upgraded(self) -> bool {
        matches!(self, Self::Succeeded | Self::UpToDate)
    }

    /// Whether it waits for a person.
    #[must_use]
    pub fn needs_person(self) -> bool {
        matches!(self, Self::Attended | Self::Held | Self::Unknown)
    }
}

/// An act whose outcome is not known (yet).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct OpenAct {
    /// Which act.
    pub act: Act,
    /// When its intent was written.
    pub since: Timestamp,
    /// The process of its command.
    pub process: Option<ProcessId>,
}

/// A fetch job that we made or adopted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobRecord {
    /// Its key.
    pub key: FetchKey,
    /// Whether we made it: only then its record is ours to remove.
    pub ours: bool,
    /// Whether it has ended without a firmware.
    pub failed: bool,
    /// Whether its record is gone.
    pub removed: bool,
}

/// How far a transfer is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Transfer {
    /// Bytes so far.
    pub done: u64,
    /// Bytes in all; 0 when unknown.
    pub total: u64,
}

/// What is known of the image on its way into a slot.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct StageRecord {
    /// Fetch jobs, oldest first.
    pub jobs: Vec<JobRecord>,
    /// Transfers begun since the last `retry`.
    pub attempts: u32,
    /// The slot that a transfer of ours filled; not read again yet.
    pub filled: Option<SlotKey>,
    /// The slot that was read again and holds the target.
    pub slot: Option<SlotKey>,
    /// How it got there.
    pub how: Option<StagedHow>,
    /// Slots whose content is not the image.
    pub bad_slots: Vec<SlotKey>,
    /// How far the transfer is.
    pub transfer: Option<Transfer>,
}

impl StageRecord {
    /// The job that is waited for.
    #[must_use]
    pub fn live_job(&self) -> Option<&JobRecord> {
        self.jobs.iter().rev().find(|job| !job.failed && !job.removed)
    }

    /// Records of ours that are still on the appliance.
    pub fn records_left(&self) -> impl Iterator<Item = &JobRecord> {
        self.jobs.iter().filter(|job| job.ours && !job.removed)
    }
}

/// What is known of the upgrade call's reply.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CallState {
    /// The intent is written; no reply yet, or the program died.
    Open,
    /// The appliance accepted it (2xx), or a person resolved it as done.
    Accepted,
    /// The reply was lost.
    Lost,
}

/// An upgrade call from its intent on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct UpgradeRecord {
    /// The slot.
    pub slot: SlotKey,
    /// When the intent was written.
    pub intended_at: Timestamp,
    /// The reply.
    pub call: CallState,
    /// The last look that is journalled.
    pub last_look: Timestamp,
    /// Whether watching had a gap longer than `timeouts.blind`.
    pub gap: bool,
    /// When the target was first seen selected for the next boot.
    pub armed_at: Option<Timestamp>,
    /// When the configured reboot was asked for.
    pub reboot_at: Option<Timestamp>,
    /// When a restart was seen.
    pub restart_at: Option<Timestamp>,
    /// The version after the return.
    pub returned: Option<FirmwareVersion>,
}

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
        }
    }

    /// Whether it counts as down: by our act, or because it does not answer
    /// (contract: semantics.md, "Down").
    #[must_use]
    pub fn is_down(&self) -> bool {
        self.down || self.dark
    }

    /// Whether its places are taken.
    #[must_use]
    pub fn takes_places(&self) -> bool {
        self.is_down() || self.permitted
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
    fn end_step(&mut self, expected: Step, at: Timestamp) -> Option<(Step, SignedDuration)> {
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
                self.baseline = Some((**baseline).clone());
                self.set_aside_at = None;
                self.retry_at = None;
                self.last_error = None;
                self.enter(Phase::Pending, at);
                return Ok(self.end_step(Step::Preflight, at));
            }
            ApplianceChange::SetAside { error, retry_at } => {
                self.set_aside_at.get_or_insert(at);
                self.retry_at = Some(*retry_at);
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
            ApplianceChange::Withdrawn { .. } => {
                self.permitted = false;
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
                if upgrade.restart_at.replace(at).is_none() {
                    self.enter(Phase::Returning, at);
                    return Ok(Some((Step::Activate, at.duration_since(began))));
                }
            }
            ApplianceChange::Returned { version } => return self.returned(version, at),
            ApplianceChange::Succeeded { version, .. } => {
                if *version != plan.firmware.version {
                    return Err(format!("{version} is not the target"));
                }
                self.version = Some(version.clone());
                let took = self.end_step(Step::Verify, at);
                self.end(Phase::Succeeded, at);
                return Ok(took);
            }
            ApplianceChange::Failed(failure) => {
                self.failure = Some(failure.clone());
                self.end(Phase::Failed, at);
            }
            ApplianceChange::Held(reason) => self.hold_for(reason, at),
            ApplianceChange::Unreachable => self.dark = true,
            ApplianceChange::Reachable => self.dark = false,
            ApplianceChange::Up { version } => {
                self.version = version.clone().or(self.version.take());
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
        if matches!(step, Step::Cleanup | Step::Watch) {
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
            Step::Activate => Phase::Activating,
            Step::Return => Phase::Returning,
            Step::Verify => Phase::Verifying,
            Step::Cleanup | Step::Watch => return Ok(()),
        };
        self.enter(phase, at);
        Ok(())
    }

    fn intend(&mut self, act: &Act, at: Timestamp) -> Result<(), String> {
        if let Some(open) = &self.open {
            return Err(format!("{} is open", open.act.kind().name()));
        }
        match act {
            Act::Upgrade { slot } => {
                if self.tested.as_ref() != Some(slot) || !self.permitted {
                    return Err(format!("slot {slot} is not tested and permitted"));
                }
                if self.upgrade.is_some() {
                    return Err("an upgrade call was made before".to_owned());
                }
                self.calls += 1;
                self.down = true;
                self.upgrade = Some(UpgradeRecord {
                    slot: slot.clone(),
                    intended_at: at,
                    call: CallState::Open,
                    last_look: at,
                    gap: false,
                    armed_at: None,
                    reboot_at: None,
                    restart_at: None,
                    returned: None,
                });
            }
            Act::Reboot => {
                let upgrade = self.upgrade_mut()?;
                if upgrade.reboot_at.is_some() || upgrade.restart_at.is_some() {
                    return Err("a reboot was asked for or seen before".to_owned());
                }
                upgrade.reboot_at = Some(at);
            }
            Act::StartFetch { .. } | Act::Upload { .. } => self.stage.attempts += 1,
            Act::DeleteFetch { .. } | Act::DeleteSlot { .. } => {}
        }
        self.open = Some(OpenAct { act: act.clone(), since: at, process: None });
        Ok(())
    }

    fn settle(
        &mut self,
        kind: ActKind,
        outcome: &ActOutcome,
        saw: &str,
        at: Timestamp,
    ) -> Result<(), String> {
        let open = self.open.clone().filter(|open| open.act.kind() == kind);
        let Some(open) = open else {
            return Err(format!("{} is not open", kind.name()));
        };
        match outcome {
            ActOutcome::Done { job, slot } => {
                self.done(&open.act, job.as_ref(), slot.as_ref(), at)?;
                self.open = None;
            }
            ActOutcome::NotDone => {
                self.not_done(kind, at);
                self.open = None;
            }
            ActOutcome::ReplyLost => {
                if kind == ActKind::Upgrade {
                    self.upgrade_mut()?.call = CallState::Lost;
                    self.enter(Phase::Returning, at);
                }
            }
            ActOutcome::CannotTell => {
                let act = kind.name().to_owned();
                self.hold_for(&HoldReason::OutcomeUnknown { act, saw: saw.to_owned() }, at);
            }
        }
        Ok(())
    }

    fn done(
        &mut self,
        act: &Act,
        job: Option<&FetchKey>,
        slot: Option<&SlotKey>,
        at: Timestamp,
    ) -> Result<(), String> {
        match act {
            Act::StartFetch { .. } => {
                let key = job.ok_or("a fetch that was started has a key")?.clone();
                self.stage.jobs.push(JobRecord { key, ours: true, failed: false, removed: false });
            }
            Act::Upload { .. } => self.stage.filled = slot.cloned(),
            Act::DeleteFetch { key } => {
                // One intent covers both deletes of a live job: done means that the record is gone.
                self.forget_record(key);
            }
            Act::DeleteSlot { .. } | Act::Reboot => {}
            Act::Upgrade { .. } => {
                self.upgrade_mut()?.call = CallState::Accepted;
                self.enter(Phase::Returning, at);
            }
        }
        Ok(())
    }

    pub(super) fn not_done(&mut self, kind: ActKind, at: Timestamp) {
        match kind {
            ActKind::Upgrade => {
                self.upgrade = None;
                self.down = false;
                self.permitted = false;
                self.step = None;
                self.enter(Phase::Ready, at);
            }
            ActKind::Reboot => {
                if let Some(upgrade) = &mut self.upgrade {
                    upgrade.reboot_at = None;
                }
            }
            ActKind::StartFetch | ActKind::Upload | ActKind::DeleteFetch | ActKind::DeleteSlot => {}
        }
    }

    fn close(&mut self, kind: ActKind) {
        if self.open.as_ref().is_some_and(|open| open.act.kind() == kind) {
            self.open = None;
        }
    }

    fn forget_record(&mut self, key: &FetchKey) {
        for job in self.stage.jobs.iter_mut().filter(|job| job.key == *key) {
            job.removed = true;
        }
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
            HoldReason::OperatorReboot { .. } | HoldReason::ArmedButReboots => Phase::Attended,
            HoldReason::RebootFailed { .. } => Phase::Attended,
            HoldReason::OutcomeUnknown { .. } => Phase::Unknown,
            _ => Phase::Held,
        };
        self.hold = Some(reason.clone());
        self.permitted = false;
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

    fn upgrade_mut(&mut self) -> Result<&mut UpgradeRecord, String> {
        self.upgrade.as_mut().ok_or_else(|| "no upgrade call was made".to_owned())
    }
}
