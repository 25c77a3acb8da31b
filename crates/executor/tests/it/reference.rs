//! What must hold of every run of the scheduler, in the words of the contract (semantics.md, and
//! design.md section 6): told from the events and commands alone, with plain sets and counts.
//! It decides nothing; it only says what must not be.

mod rules;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use model::decision::Decision;
use model::event::{Act, ActKind, ActOutcome, ApplianceChange, Change, RolloutChange, Step};
use model::names::{ApplianceName, FetchKey, SlotKey, WaveName};
use model::plan::Plan;

/// What must not be, in words.
pub(crate) type Checked<T = ()> = Result<T, String>;

/// What the contract says of the rollout so far.
pub(crate) struct Reference {
    plan: Arc<Plan>,
    members: BTreeMap<ApplianceName, Member>,
    dark_bystanders: BTreeSet<ApplianceName>,
    /// Paused; with staging or without.
    paused: Option<bool>,
    breached: bool,
    aborted: bool,
    failures: BTreeSet<ApplianceName>,
    waves_begun: BTreeSet<WaveName>,
    pub(crate) halted: bool,
    pub(crate) stopped: bool,
    /// Steps under way, and whether they hold a place for a transfer.
    steps: BTreeMap<ApplianceName, (Step, bool)>,
}

#[derive(Default)]
struct Member {
    wave: usize,
    done: bool,
    held: bool,
    /// Held when this process began, and not looked at again yet.
    look_again: bool,
    /// A person took it up again after it was done: its wave had been left before.
    reopened: bool,
    down: bool,
    dark: bool,
    permitted: bool,
    /// A permit that is not durable yet.
    promised: bool,
    call: Call,
    tested: Option<SlotKey>,
    /// Slots that held the target before we came and are not bad.
    adoptable: BTreeSet<SlotKey>,
    any_job: bool,
    /// Fetch records of ours that may be on it, and the one that is being removed.
    records: BTreeSet<FetchKey>,
    removing: Option<FetchKey>,
}

#[derive(Default, PartialEq, Eq, Clone, Copy)]
enum Call {
    #[default]
    NotMade,
    Open,
    BackOnTarget,
    BackOnOther,
}

impl Reference {
    pub(crate) fn new(plan: &Arc<Plan>) -> Self {
        let member = |(wave, name): (usize, &ApplianceName)| {
            (name.clone(), Member { wave, ..Member::default() })
        };
        let waves = plan.waves.iter().enumerate();
        let all = waves.flat_map(|(wave, of)| of.appliances.iter().map(move |name| (wave, name)));
        Self {
            members: all.map(member).collect(),
            plan: Arc::clone(plan),
            dark_bystanders: BTreeSet::new(),
            paused: None,
            breached: false,
            aborted: false,
            failures: BTreeSet::new(),
            waves_begun: BTreeSet::new(),
            halted: false,
            stopped: false,
            steps: BTreeMap::new(),
        }
    }

    /// The process is gone: only what is durable is left.
    pub(crate) fn restart(&mut self) {
        (self.halted, self.stopped) = (false, false);
        self.steps.clear();
        for member in self.members.values_mut() {
            member.promised = false;
            member.look_again = member.held;
        }
    }

    /// A step has ended.
    pub(crate) fn ended(&mut self, name: &ApplianceName) {
        self.steps.remove(name);
    }

    /// An event is durable.
    pub(crate) fn saw(&mut self, change: &Change) -> Checked {
        match change {
            Change::Rollout(RolloutChange::Decided { decision, .. }) => self.decided(decision),
            Change::Rollout(RolloutChange::BudgetReached { abort, .. }) => {
                (self.breached, self.aborted) = (true, self.aborted || *abort);
            }
            Change::Rollout(RolloutChange::WaveStarted { wave }) => {
                self.waves_begun.insert(wave.clone());
            }
            Change::Rollout(_) => {}
            Change::Appliance(name, change) => return self.happened(name, change),
        }
        Ok(())
    }

    fn decided(&mut self, decision: &Decision) {
        match decision {
            Decision::Pause { all, .. } => self.paused = Some(*all),
            Decision::Resume => {
                self.paused = None;
                // Only `resume` after a breach counts anew.
                if std::mem::take(&mut self.breached) {
                    self.failures.clear();
                }
            }
            Decision::Abort | Decision::AbortNow => self.aborted = true,
            Decision::Confirm { .. } | Decision::OverrideFreeze { .. } => {}
            Decision::Retry { appliances } => {
                for name in appliances {
                    let Some(member) = self.members.get_mut(name) else { continue };
                    member.reopened |= member.done;
                    (member.done, member.held, member.tested) = (false, false, None);
                    if member.call == Call::BackOnOther {
                        member.call = Call::NotMade;
                    }
                }
            }
            Decision::Skip { appliances } => {
                for name in appliances {
                    let Some(member) = self.members.get_mut(name) else { continue };
                    (member.done, member.held, member.permitted) = (true, false, false);
                }
            }
            Decision::Resolve { appliance, done: false } => {
                if let Some(member) = self.members.get_mut(appliance) {
                    member.call = Call::NotMade;
                }
            }
            Decision::Resolve { .. } | Decision::Approve { .. } => {}
        }
    }

    fn happened(&mut self, name: &ApplianceName, change: &ApplianceChange) -> Checked {
        if let ApplianceChange::Intended(Act::Upgrade { slot }) = change {
            self.may_call(name, slot)?;
        }
        let Some(member) = self.members.get_mut(name) else {
            match change {
                ApplianceChange::Unreachable => self.dark_bystanders.insert(name.clone()),
                ApplianceChange::Reachable => self.dark_bystanders.remove(name),
                _ => return Err(format!("{name} is a bystander and not touched")),
            };
            return Ok(());
        };
        match change {
            ApplianceChange::Intended(Act::Upgrade { .. }) => {
                (member.call, member.down) = (Call::Open, true);
            }
            ApplianceChange::Outcome { act, outcome, .. } => match (act, outcome) {
                (ActKind::Upgrade, ActOutcome::NotDone) => {
                    (member.call, member.down, member.permitted) = (Call::NotMade, false, false);
                }
                (ActKind::Upgrade, ActOutcome::CannotTell) => member.permitted = false,
                (ActKind::StartFetch, ActOutcome::Done { job, .. }) => {
                    member.any_job = true;
                    member.records.extend(job.clone());
                }
                (ActKind::DeleteFetch, ActOutcome::Done { .. }) => {
                    let gone = member.removing.take();
                    member.records.retain(|key| Some(key) != gone.as_ref());
                }
                _ => {}
            },
            ApplianceChange::Intended(Act::DeleteFetch { key }) => {
                member.removing = Some(key.clone());
            }
            ApplianceChange::LeftBehind { key, .. } => {
                member.records.remove(key);
            }
            ApplianceChange::Preflighted(baseline) => {
                let target = &self.plan.firmware.version;
                let holding = baseline.slots.iter().filter(|slot| slot.holds(target));
                member.adoptable = holding.map(|slot| slot.key.clone()).collect();
            }
            ApplianceChange::JobAdopted { .. } => member.any_job = true,
            ApplianceChange::StepStarted(_) => member.held = false,
            ApplianceChange::SlotBad { slot: Some(slot), .. } => {
                member.adoptable.remove(slot);
            }
            ApplianceChange::Staged { .. } => member.tested = None,
            ApplianceChange::Tested { slot, .. } => member.tested = Some(slot.clone()),
            ApplianceChange::Permitted => (member.permitted, member.promised) = (true, false),
            ApplianceChange::Withdrawn { .. } | ApplianceChange::SetAside { .. } => {
                member.permitted = false;
            }
            ApplianceChange::Returned { version } => {
                let on_target = *version == self.plan.firmware.version;
                member.call = if on_target { Call::BackOnTarget } else { Call::BackOnOther };
                (member.down, member.dark, member.permitted) = (false, false, false);
            }
            ApplianceChange::Up { .. } => {
                (member.down, member.dark, member.permitted) = (false, false, false);
            }
            ApplianceChange::Unreachable => member.dark = true,
            ApplianceChange::Reachable => member.dark = false,
            ApplianceChange::UpToDate { .. }
            | ApplianceChange::Skipped(_)
            | ApplianceChange::Succeeded { .. }
            | ApplianceChange::Failed(_)
            | ApplianceChange::Held(_) => {
                if member.done {
                    return Err(format!("{name} was finished, and nobody said retry: {change:?}"));
                }
                member.permitted = false;
                member.held = matches!(change, ApplianceChange::Held(_));
                if !member.held {
                    (member.done, member.reopened) = (true, false);
                }
                match change {
                    ApplianceChange::Failed(_) => self.failures.insert(name.clone()),
                    ApplianceChange::UpToDate { .. } | ApplianceChange::Succeeded { .. } => {
                        self.failures.remove(name)
                    }
                    _ => false,
                };
            }
            _ => {}
        }
        Ok(())
    }
}
