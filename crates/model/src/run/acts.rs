//! Intents and outcomes in the fold of one appliance: which act may follow which.

use jiff::Timestamp;

use super::{ApplianceRun, CallState, JobRecord, OpenAct, Phase, UpgradeRecord};
use crate::event::{Act, ActKind, ActOutcome};
use crate::hold::HoldReason;
use crate::names::{FetchKey, SlotKey};

impl ApplianceRun {
    pub(super) fn intend(&mut self, act: &Act, at: Timestamp) -> Result<(), String> {
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
                    accepted_at: None,
                    retried_at: None,
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
            Act::PowerOff { force } => {
                let upgrade = self.upgrade_mut()?;
                if upgrade.armed_at.is_none() || upgrade.restart_at.is_some() {
                    return Err("a secondary is switched off before the reboot only".to_owned());
                }
                let asked = if *force { &mut self.pair.forced } else { &mut self.pair.off_asked };
                if asked.is_some() {
                    return Err("the secondary was switched off before".to_owned());
                }
                *asked = Some(at);
            }
            Act::PowerOn => {
                if !self.pair.is_off() {
                    return Err("the secondary is not off".to_owned());
                }
                if self.pair.on_asked.is_some() {
                    return Err("the secondary was switched on before".to_owned());
                }
                self.pair.on_asked = Some(at);
            }
            Act::StartFetch { .. } | Act::Upload { .. } => self.stage.attempts += 1,
            Act::DeleteFetch { .. } | Act::DeleteSlot { .. } => {}
        }
        self.open = Some(OpenAct { act: act.clone(), since: at, process: None, lost: false });
        Ok(())
    }

    pub(super) fn settle(
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
                if matches!(kind, ActKind::StartFetch | ActKind::Upload) && !open.lost {
                    self.stage.attempts = self.stage.attempts.saturating_sub(1);
                }
                self.not_done(kind, at);
                self.open = None;
            }
            ActOutcome::ReplyLost => {
                if let Some(open) = &mut self.open {
                    open.lost = true;
                }
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
            Act::DeleteSlot { key, .. } => self.stage.bad_slots.retain(|bad| bad != key),
            Act::Reboot | Act::PowerOff { .. } | Act::PowerOn => {}
            Act::Upgrade { .. } => {
                let upgrade = self.upgrade_mut()?;
                upgrade.call = CallState::Accepted;
                upgrade.accepted_at = Some(at);
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
            // Switched off by force: the graceful try before it stays asked for.
            ActKind::PowerOff => {
                if self.pair.forced.take().is_none() {
                    self.pair.off_asked = None;
                }
            }
            ActKind::PowerOn => self.pair.on_asked = None,
            ActKind::StartFetch | ActKind::Upload | ActKind::DeleteFetch | ActKind::DeleteSlot => {}
        }
    }

    pub(super) fn close(&mut self, kind: ActKind) {
        if self.open.as_ref().is_some_and(|open| open.act.kind() == kind) {
            self.open = None;
        }
    }

    pub(super) fn forget_record(&mut self, key: &FetchKey) {
        for job in self.stage.jobs.iter_mut().filter(|job| job.key == *key) {
            job.removed = true;
        }
    }
}
