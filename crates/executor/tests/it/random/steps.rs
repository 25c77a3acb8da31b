//! What the steps of an appliance may report, in every order in which the real ones can: nothing
//! here is more than they say, and the first of the choices is always the good one.

use std::collections::VecDeque;

use executor::core::ask_again_after;
use jiff::Timestamp;
use model::event::{
    Act, ActKind, ActOutcome, ApplianceChange as Is, Failure, FailureCode, SkipReason, StagedHow,
    Step,
};
use model::hold::HoldReason;
use model::names::{ApplianceName, FetchKey, SlotKey};
use model::observed::{Slot, SlotContent};
use model::plan::Plan;
use model::run::{ApplianceRun, CallState, Phase, UpgradeRecord};

use super::plans::{old, target};
use super::words::{baseline, changed, credentials, done, failed, hold, left_behind, outcome_of};

/// What a step does next.
#[derive(Debug, Clone)]
pub(crate) enum Move {
    Fact(Is),
    About(ApplianceName, Is),
    Ask(Act),
    End,
}

use Move::{About, Ask, End, Fact};

/// What a step knows besides its own state.
pub(crate) struct Around<'a> {
    pub(crate) plan: &'a Plan,
    pub(crate) now: Timestamp,
    /// A partner of its redundancy group.
    pub(crate) partner: Option<ApplianceName>,
}

/// A step under way.
pub(crate) struct Task {
    pub(crate) step: Step,
    /// The fold as the step knows it; `None` for a bystander.
    view: Option<ApplianceRun>,
    next: VecDeque<Move>,
    /// It waits for leave for an act.
    pub(crate) waits: bool,
    removed: bool,
    called: bool,
}

impl Task {
    pub(crate) fn new(step: Step, view: Option<ApplianceRun>) -> Self {
        let quiet = matches!(step, Step::Cleanup | Step::Watch);
        let next = (!quiet).then_some(Fact(Is::StepStarted(step))).into_iter().collect();
        Self { step, view, next, waits: false, removed: false, called: false }
    }

    /// The next move; `None` when nothing happens just now.
    pub(crate) fn go_on(
        &mut self,
        around: &Around<'_>,
        choose: impl Fn(usize) -> usize,
    ) -> Result<Option<Move>, String> {
        if self.next.is_empty() {
            let mut choices = self.choices(around);
            let chosen = choices.swap_remove(choose(choices.len()));
            self.next.extend(chosen);
        }
        let next = self.next.pop_front();
        match &next {
            Some(Fact(change)) => self.knows(change, around)?,
            Some(Ask(act)) => {
                self.waits = true;
                self.removed |= act.kind() == ActKind::DeleteFetch;
            }
            Some(About(..) | End) | None => {}
        }
        Ok(next)
    }

    fn knows(&mut self, change: &Is, around: &Around<'_>) -> Result<(), String> {
        let Some(view) = &mut self.view else { return Ok(()) };
        view.apply(change, around.now, around.plan)
            .map(drop)
            .map_err(|why| format!("the test's own {} is wrong: {why}", self.step.name()))
    }

    /// The intent is durable.
    pub(crate) fn granted(&mut self, act: Act, around: &Around<'_>) -> Result<(), String> {
        self.waits = false;
        self.called |= act.kind() == ActKind::Upgrade;
        self.knows(&Is::Intended(act), around)
    }

    /// The act must not be done now.
    pub(crate) fn refused(&mut self, act: &Act, reason: &HoldReason) {
        self.waits = false;
        let then = match (self.step, act) {
            (Step::Activate, Act::Upgrade { .. }) => {
                vec![Fact(Is::Withdrawn { why: reason.to_string() }), End]
            }
            (_, Act::Reboot) => vec![],
            // It goes on as soon as its intent can be written.
            _ => vec![Ask(act.clone())],
        };
        self.next = then.into();
    }

    fn choices(&self, around: &Around<'_>) -> Vec<Vec<Move>> {
        let Some(view) = &self.view else { return vec![vec![Fact(Is::Reachable), End], vec![]] };
        match self.step {
            Step::Preflight => preflight(view, around),
            Step::Stage => self.stage(view, around),
            Step::Test => self.test(view, around),
            Step::Activate => self.activate(view, around),
            Step::Return => await_return(view),
            Step::Verify => verify(view),
            // Nothing in these plans asks for them: the core must not begin them.
            Step::Roster | Step::Drain | Step::Rejoin | Step::Sync | Step::Soak | Step::Bundle => {
                unreachable!("{} is not asked for", self.step.name())
            }
            Step::Cleanup => cleanup(view),
            Step::Watch => watch(view),
        }
    }

    fn stage(&self, view: &ApplianceRun, around: &Around<'_>) -> Vec<Vec<Move>> {
        if let Some(first) = unanswered(view, around, Step::Stage).or_else(|| settle(view)) {
            return first;
        }
        if view.stage.how.is_some() && view.stage.slot.is_some() {
            return self.then_remove(view).unwrap_or(vec![vec![End]]);
        }
        let slot = SlotKey::new(&format!("{}", 2 + view.stage.bad_slots.len()));
        let staged = |how| vec![Fact(Is::Staged { slot: slot.clone(), how })];
        let bad = || Is::SlotBad { slot: Some(slot.clone()), why: String::new() };
        let spoilt = vec![Fact(bad()), failed(Step::Stage, FailureCode::WrongImage), End];
        let aside = vec![Fact(set_aside(view, around)), End];
        let dark = vec![Fact(Is::Unreachable)];
        if let Some(job) = view.stage.live_job() {
            let how = if job.ours { StagedHow::Fetched } else { StagedHow::FetchAdopted };
            let key = job.key.clone();
            let mut lost = vec![Fact(Is::JobFailed { key: key.clone(), error: String::new() })];
            lost.extend(job.ours.then_some(Ask(Act::DeleteFetch { key })));
            let moves = vec![Fact(Is::Progress { done: 1, total: 2 })];
            return vec![staged(how), moves, lost, spoilt, aside, dark];
        }
        if view.stage.filled.is_some() {
            return vec![staged(StagedHow::Uploaded), aside];
        }
        if view.stage.attempts >= 3 {
            return vec![vec![failed(Step::Stage, FailureCode::StageFailed), End]];
        }
        let slots = view.baseline.as_ref().map_or(&[][..], |baseline| &baseline.slots);
        let bad_slots = &view.stage.bad_slots;
        let good = |slot: &&Slot| slot.holds(&target()) && !bad_slots.contains(&slot.key);
        let fetch = vec![Ask(Act::StartFetch { known: Vec::new() })];
        let first = match slots.iter().find(good) {
            Some(slot) if around.plan.firmware.adopt => {
                vec![Fact(Is::Staged { slot: slot.key.clone(), how: StagedHow::Adopted })]
            }
            _ => fetch.clone(),
        };
        let key = FetchKey::new(&format!("strange-{}", view.stage.jobs.len()));
        let delete = Act::DeleteSlot { key: SlotKey::new("9"), version: String::new() };
        vec![
            first,
            fetch,
            vec![Ask(Act::Upload { filled: Vec::new() })],
            vec![Ask(delete)],
            vec![Fact(Is::JobAdopted { key })],
            aside,
            dark,
            hold(changed()),
            vec![failed(Step::Stage, FailureCode::NoEmptySlot), End],
        ]
    }

    /// Removes a record of ours, once.
    fn then_remove(&self, view: &ApplianceRun) -> Option<Vec<Vec<Move>>> {
        let job = view.stage.records_left().next().filter(|_| !self.removed)?;
        Some(vec![vec![Ask(Act::DeleteFetch { key: job.key.clone() })], vec![End]])
    }

    fn test(&self, view: &ApplianceRun, around: &Around<'_>) -> Vec<Vec<Move>> {
        if let Some(first) = unanswered(view, around, Step::Test).or_else(|| settle(view)) {
            return first;
        }
        if let Some(mut first) = self.then_remove(view) {
            first.truncate(1);
            return first;
        }
        let Some(slot) = view.stage.slot.clone() else {
            return vec![vec![failed(Step::Test, FailureCode::NotReady), End]];
        };
        vec![
            vec![Fact(Is::Tested { slot, summary: String::new() }), End],
            vec![failed(Step::Test, FailureCode::TestFailed), End],
            vec![Fact(set_aside(view, around)), End],
            vec![Fact(Is::Unreachable)],
            hold(changed()),
        ]
    }

    fn activate(&self, view: &ApplianceRun, around: &Around<'_>) -> Vec<Vec<Move>> {
        let refused = vec![failed(Step::Activate, FailureCode::UpgradeRefused), End];
        let (Some(slot), true) = (view.tested.clone(), view.calls < 3) else {
            return vec![refused];
        };
        let Some(upgrade) = &view.upgrade else {
            if self.called {
                return vec![vec![End], refused, hold(changed())];
            }
            let withdrawn = || vec![Fact(Is::Withdrawn { why: String::new() }), End];
            let first = settle(view);
            let silent = |name| vec![About(name, Is::Unreachable)];
            let call = || vec![Ask(Act::Upgrade { slot: slot.clone() })];
            let mut choices = vec![
                call(),
                call(),
                call(),
                call(),
                withdrawn(),
                hold(HoldReason::AlreadyArmed { slots: String::new() }),
                vec![failed(Step::Activate, FailureCode::NotReady), End],
                vec![Fact(Is::Unreachable), Fact(set_aside(view, around)), End],
            ];
            choices.extend(around.partner.clone().map(silent));
            return first.unwrap_or(choices);
        };
        let end = |outcome| vec![outcome_of(ActKind::Upgrade, outcome), End];
        let lost = end(ActOutcome::ReplyLost);
        if upgrade.restart_at.is_some() {
            return vec![lost];
        }
        vec![
            end(done()),
            lost.clone(),
            lost,
            vec![outcome_of(ActKind::Upgrade, ActOutcome::NotDone)],
            vec![Fact(Is::Looked { saw: String::new() })],
            vec![Fact(Is::RestartSeen { saw: String::new() })],
        ]
    }
}

fn preflight(view: &ApplianceRun, around: &Around<'_>) -> Vec<Vec<Move>> {
    if let Some(first) = unanswered(view, around, Step::Preflight) {
        return first;
    }
    let content =
        SlotContent { version: target().to_string(), current: false, after_reboot: false };
    let filled = Slot { key: SlotKey::new("7"), content: Some(content) };
    vec![
        vec![Fact(Is::Preflighted(Box::new(baseline(Vec::new())))), End],
        vec![Fact(Is::Preflighted(Box::new(baseline(vec![filled])))), End],
        vec![Fact(set_aside(view, around)), End],
        vec![Fact(Is::Unreachable)],
        vec![Fact(Is::UpToDate { version: target() }), End],
        vec![Fact(Is::Skipped(SkipReason::Newer { version: target() })), End],
        vec![failed(Step::Preflight, FailureCode::Unhealthy), End],
        hold(credentials()),
    ]
}

fn await_return(view: &ApplianceRun) -> Vec<Vec<Move>> {
    let Some(upgrade) = &view.upgrade else { return vec![vec![End]] };
    let back = |version| Fact(Is::Returned { version });
    let seen = vec![Fact(Is::RestartSeen { saw: String::new() })];
    let good = vec![back(target()), End];
    let restarted = upgrade.restart_at.is_some();
    let mut choices = if restarted { vec![good] } else { vec![seen, good] };
    choices.extend([
        vec![back(old()), failed(Step::Return, FailureCode::Reverted), End],
        vec![Fact(Is::Looked { saw: String::new() })],
        hold(credentials()),
        vec![failed(Step::Return, FailureCode::VerifyFailed), End],
    ]);
    if upgrade.armed_at.is_none() {
        choices.push(vec![Fact(Is::Armed)]);
    }
    if restarted {
        choices.push(vec![failed(Step::Return, FailureCode::NoReturn), End]);
    } else {
        choices.extend(before_restart(view, upgrade));
    }
    choices
}

fn before_restart(view: &ApplianceRun, upgrade: &UpgradeRecord) -> Vec<Vec<Move>> {
    let kind = view.open.as_ref().map(|open| open.act.kind());
    let attend = |reason| (view.phase != Phase::Attended).then_some(Fact(Is::Held(reason)));
    if kind == Some(ActKind::Reboot) {
        let failing = HoldReason::RebootFailed { detail: String::new() };
        let mut lost = vec![outcome_of(ActKind::Reboot, ActOutcome::ReplyLost)];
        lost.extend(attend(failing));
        return vec![
            vec![outcome_of(ActKind::Reboot, done())],
            vec![outcome_of(ActKind::Reboot, ActOutcome::NotDone)],
            lost,
        ];
    }
    let Some(since) = upgrade.armed_at else {
        if upgrade.call == CallState::Accepted || kind != Some(ActKind::Upgrade) {
            return Vec::new();
        }
        let ends = [ActOutcome::CannotTell, ActOutcome::CannotTell, ActOutcome::NotDone];
        return ends.map(|end| vec![outcome_of(ActKind::Upgrade, end), End]).into();
    };
    let mut choices: Vec<Vec<Move>> =
        attend(HoldReason::OperatorReboot { since }).map(|held| vec![held]).into_iter().collect();
    if upgrade.reboot_at.is_none() && kind.is_none() {
        choices.push(vec![Ask(Act::Reboot)]);
    }
    choices
}

fn verify(view: &ApplianceRun) -> Vec<Vec<Move>> {
    let returned = view.upgrade.as_ref().and_then(|upgrade| upgrade.returned.clone());
    if returned != Some(target()) {
        return vec![vec![failed(Step::Verify, FailureCode::Reverted), End]];
    }
    if view.dark {
        return vec![vec![Fact(Is::Reachable)], vec![]];
    }
    vec![
        vec![Fact(Is::Succeeded { version: target(), sessions_cut: None }), End],
        vec![Fact(Is::Unreachable)],
        vec![failed(Step::Verify, FailureCode::VerifyFailed), End],
        hold(credentials()),
    ]
}

fn cleanup(view: &ApplianceRun) -> Vec<Vec<Move>> {
    if let Some(open) = view.open.as_ref().map(|open| &open.act) {
        if let Act::DeleteFetch { key } = open {
            let stays = outcome_of(ActKind::DeleteFetch, ActOutcome::NotDone);
            let gone = outcome_of(ActKind::DeleteFetch, done());
            return vec![vec![gone], vec![stays, left_behind(key)]];
        }
        if let Some(mut first) = settle(view) {
            first.truncate(2);
            return first;
        }
    }
    let Some(job) = view.stage.records_left().next() else { return vec![vec![End]] };
    match &view.open {
        None => vec![vec![Ask(Act::DeleteFetch { key: job.key.clone() })]],
        // No second act beside an upgrade call whose outcome is open.
        Some(_) => vec![vec![left_behind(&job.key)]],
    }
}

fn watch(view: &ApplianceRun) -> Vec<Vec<Move>> {
    let up = if view.down { Is::Up { version: Some(old()) } } else { Is::Reachable };
    let mut choices = vec![vec![Fact(up), End], vec![]];
    if view.dark && !view.phase.is_terminal() {
        choices.push(vec![failed(Step::Watch, FailureCode::Unreachable), End]);
    }
    choices
}

/// It does not answer: before anything else it is seen up again, or given up.
fn unanswered(view: &ApplianceRun, around: &Around<'_>, step: Step) -> Option<Vec<Vec<Move>>> {
    let aside = vec![Fact(set_aside(view, around)), End];
    let given_up = vec![failed(step, FailureCode::NotReady), End];
    let unproven = HoldReason::IdentityNotProven { detail: String::new() };
    view.dark.then(|| vec![vec![Fact(Is::Reachable)], aside, given_up, hold(unproven)])
}

/// An act of staging whose outcome is open is looked at first.
fn settle(view: &ApplianceRun) -> Option<Vec<Vec<Move>>> {
    let kind = view.open.as_ref()?.act.kind();
    let (job, slot) = match kind {
        ActKind::StartFetch => {
            (Some(FetchKey::new(&format!("job-{}", view.stage.jobs.len()))), None)
        }
        ActKind::Upload => {
            (None, Some(SlotKey::new(&format!("{}", 2 + view.stage.bad_slots.len()))))
        }
        ActKind::DeleteFetch | ActKind::DeleteSlot => (None, None),
        ActKind::Upgrade | ActKind::Reboot | ActKind::PowerOff | ActKind::PowerOn => return None,
    };
    let done = ActOutcome::Done { job, slot };
    let mut choices =
        vec![vec![outcome_of(kind, done)], vec![outcome_of(kind, ActOutcome::NotDone)]];
    if matches!(kind, ActKind::StartFetch | ActKind::Upload) {
        choices.push(vec![outcome_of(kind, ActOutcome::ReplyLost)]);
    }
    Some(choices)
}

fn set_aside(view: &ApplianceRun, around: &Around<'_>) -> Is {
    let wait = around.plan.unreachable_wait;
    let silent_for = around.now.duration_since(view.set_aside_at.unwrap_or(around.now));
    if silent_for >= wait {
        let (step, code) = (Step::Preflight, FailureCode::Unreachable);
        return Is::Failed(Failure { step, code, text: String::new() });
    }
    Is::SetAside { error: String::new(), retry_at: around.now + ask_again_after(silent_for, wait) }
}
