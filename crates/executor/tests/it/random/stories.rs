//! What the random runs have found, told in the fewest events.

use executor::core::Command;
use executor::reasons;
use model::decision::{Actor, Decision};
use model::event::{
    Act, ActKind, ActOutcome, ApplianceChange as Is, Change, Event, Failure, FailureCode,
    RolloutChange, SkipReason, StagedHow, Step,
};
use model::hold::HoldReason;
use model::names::{ApplianceName, FetchKey, RolloutId, SlotKey};
use model::run::Phase;

use super::drive::Drive;
use super::plans::Parts;
use super::words::baseline;

fn name(text: &str) -> ApplianceName {
    ApplianceName::new(text).expect("a name")
}

fn slot() -> SlotKey {
    SlotKey::new("2")
}

impl Drive {
    /// The step of an appliance says this; it is written.
    fn says(&mut self, of: &str, change: Is) -> &mut Self {
        self.draft(Change::Appliance(name(of), change));
        self.write().expect("no rule is broken");
        self
    }

    /// The step under way begins, says this, and ends.
    fn step(&mut self, of: &str, step: Step, changes: impl IntoIterator<Item = Is>) -> &mut Self {
        assert_eq!(self.under_way(of), Some(step), "of {of}");
        self.says(of, Is::StepStarted(step));
        for change in changes {
            self.says(of, change);
        }
        self.end(&name(of));
        self.write().expect("no rule is broken");
        self
    }

    fn under_way(&self, of: &str) -> Option<Step> {
        self.tasks.get(of).map(|task| task.step)
    }

    fn phase(&self, of: &str) -> Phase {
        self.core.run().appliances.get(of).expect("a member").phase
    }

    fn says_person(&mut self, decision: Decision) -> &mut Self {
        self.decide(decision);
        self.write().expect("no rule is broken");
        self
    }

    /// Read, fetched and tested.
    fn made_ready(&mut self, of: &str) -> &mut Self {
        self.step(of, Step::Preflight, [read()])
            .step(of, Step::Stage, [Is::Staged { slot: slot(), how: StagedHow::Adopted }])
            .step(of, Step::Test, [tested()])
    }
}

fn read() -> Is {
    Is::Preflighted(Box::new(baseline(Vec::new())))
}

fn tested() -> Is {
    Is::Tested { slot: slot(), summary: String::new() }
}

fn outcome(act: ActKind, outcome: ActOutcome) -> Is {
    Is::Outcome { act, outcome, saw: String::new() }
}

/// As many appliances as waves are named, at one site; one may be down at once.
fn drive(waves: &[usize], ahead: bool) -> Drive {
    Drive::new(Parts::plain(waves, ahead).plan()).expect("a rollout")
}

#[test]
fn an_abort_decided_while_no_process_ran_leaves_out_and_cleans_up() {
    let mut drive = drive(&[0, 0], true);
    let job = Some(FetchKey::new("job"));
    drive
        .step("a00", Step::Preflight, [read()])
        .says("a00", Is::StepStarted(Step::Stage))
        .says("a00", Is::Intended(Act::StartFetch { known: Vec::new() }))
        .says("a00", outcome(ActKind::StartFetch, ActOutcome::Done { job, slot: None }));
    drive.decide_and_begin(Some(Decision::Abort)).expect("no rule is broken");
    drive.write().expect("no rule is broken");
    assert_eq!((drive.phase("a00"), drive.phase("a01")), (Phase::Skipped, Phase::Skipped));
    assert_eq!(drive.under_way("a00"), Some(Step::Cleanup), "our fetch is cancelled and removed");
}

#[test]
fn a_call_that_was_not_done_is_not_made_again_after_an_abort() {
    let mut drive = drive(&[0], true);
    drive
        .made_ready("a00")
        .step(
            "a00",
            Step::Activate,
            [
                Is::Intended(Act::Upgrade { slot: slot() }),
                outcome(ActKind::Upgrade, ActOutcome::ReplyLost),
            ],
        )
        .says_person(Decision::Abort);
    assert_eq!(drive.phase("a00"), Phase::Returning, "what is down is watched to its end");
    drive.step("a00", Step::Return, [outcome(ActKind::Upgrade, ActOutcome::NotDone)]);
    assert_eq!(drive.phase("a00"), Phase::Skipped);
}

#[test]
fn a_call_refused_after_an_abort_stays_a_failure() {
    let mut drive = drive(&[0], true);
    drive.made_ready("a00").says("a00", Is::StepStarted(Step::Activate));
    drive.says("a00", Is::Intended(Act::Upgrade { slot: slot() })).says_person(Decision::Abort);
    let text = "the appliance says no".to_owned();
    let refused = Failure { step: Step::Activate, code: FailureCode::UpgradeRefused, text };
    for change in [outcome(ActKind::Upgrade, ActOutcome::NotDone), Is::Failed(refused)] {
        drive.draft(Change::Appliance(name("a00"), change));
    }
    drive.end(&name("a00"));
    drive.write().expect("no rule is broken");
    assert_eq!(drive.phase("a00"), Phase::Failed);
}

#[test]
fn who_is_down_by_a_call_that_was_resolved_as_not_done_is_seen_up_after_an_abort() {
    let mut drive = drive(&[0], true);
    let lost = outcome(ActKind::Upgrade, ActOutcome::ReplyLost);
    let unknown = || outcome(ActKind::Upgrade, ActOutcome::CannotTell);
    let credentials = HoldReason::Credentials { detail: String::new() };
    let appliance = name("a00");
    drive
        .made_ready("a00")
        .step("a00", Step::Activate, [Is::Intended(Act::Upgrade { slot: slot() }), lost])
        .step("a00", Step::Return, [Is::Held(credentials)])
        .says_person(Decision::Retry { appliances: vec![appliance.clone()] })
        .step("a00", Step::Return, [unknown()])
        .says_person(Decision::Abort)
        .says_person(Decision::Resolve { appliance, done: false });
    assert_eq!(drive.under_way("a00"), Some(Step::Watch), "a person's word frees no place");
    drive.says("a00", Is::Up { version: None }).end(&name("a00"));
    drive.write().expect("no rule is broken");
    assert_eq!(drive.phase("a00"), Phase::Skipped);
}

#[test]
fn nothing_begins_for_an_appliance_that_an_abort_is_about_to_leave_out() {
    let mut drive = drive(&[0], true);
    let unproven = HoldReason::IdentityNotProven { detail: String::new() };
    drive.step("a00", Step::Preflight, [Is::Unreachable, Is::Held(unproven)]);
    assert_eq!(drive.under_way("a00"), Some(Step::Watch));
    let mut tell = |change| {
        let seq = drive.core.run().seq + 1;
        let event = Event { seq, rollout: RolloutId::new("r"), at: drive.now, change };
        drive.core.handle(&event, drive.now).expect("a legal event")
    };
    let actor = Actor { uid: 0, name: "root".to_owned(), pid: 1 };
    let (reason, decision) = (String::new(), Decision::Abort);
    let skipped = Change::Appliance(name("a00"), Is::Skipped(SkipReason::Aborted));
    assert_eq!(
        tell(Change::Rollout(RolloutChange::Decided { actor, reason, decision })),
        [Command::Cancel(name("a00")), Command::Record(skipped.clone())]
    );
    let after = tell(skipped);
    let watched = Command::Start(name("a00"), Step::Watch);
    assert!(after.contains(&watched), "its place is still to be freed: {after:?}");
}

#[test]
fn a_later_wave_that_stops_answering_is_looked_at_since_it_takes_a_place() {
    let mut drive = drive(&[0, 1], false);
    drive.says("a01", Is::Unreachable).made_ready("a00");
    assert_eq!(drive.phase("a00"), Phase::Ready, "one may be down, and a01 is");
    assert_eq!(drive.under_way("a01"), Some(Step::Watch));
    drive.says("a01", Is::Reachable);
    assert_eq!(drive.under_way("a00"), Some(Step::Activate));
}

#[test]
fn who_stops_answering_before_its_transfer_is_looked_at_under_a_pause_too() {
    let mut drive = drive(&[0, 0], true);
    drive.step("a00", Step::Preflight, [read()]).step("a01", Step::Preflight, [read()]);
    drive.says_person(Decision::Pause { all: true, now: false }).says("a01", Is::Unreachable);
    assert_eq!(drive.under_way("a01"), Some(Step::Watch));
}

#[test]
fn a_later_wave_that_is_not_staged_yet_says_why() {
    let drive = drive(&[0, 1], false);
    let reason =
        reasons(drive.core.run(), drive.core.history(), drive.now).remove("a01").expect("a reason");
    assert_eq!(reason.code(), "earlier-wave");
}

#[test]
fn staging_that_a_pause_keeps_from_going_on_after_a_restart_says_why() {
    let mut drive = drive(&[0], true);
    drive.says("a00", Is::StepStarted(Step::Preflight));
    drive
        .decide_and_begin(Some(Decision::Pause { all: true, now: false }))
        .expect("no rule is broken");
    assert_eq!(drive.under_way("a00"), None);
    let reason =
        reasons(drive.core.run(), drive.core.history(), drive.now).remove("a00").expect("a reason");
    assert_eq!(reason.code(), "paused");
}

#[test]
fn a_test_over_which_the_process_died_is_made_again_before_a_permit() {
    let mut drive = drive(&[0], true);
    let armed = HoldReason::AlreadyArmed { slots: String::new() };
    drive.made_ready("a00").step("a00", Step::Activate, [Is::Held(armed)]);
    drive.restart().expect("no rule is broken");
    assert_eq!(drive.under_way("a00"), Some(Step::Test), "what was held is looked at again");
    drive.says("a00", Is::StepStarted(Step::Test));
    drive.restart().expect("no rule is broken");
    drive.write().expect("no rule is broken");
    assert_eq!(drive.under_way("a00"), Some(Step::Test));
    drive.step("a00", Step::Test, [tested()]);
    assert_eq!(drive.under_way("a00"), Some(Step::Activate));
}

#[test]
fn who_stops_answering_while_it_waits_is_waited_for_whatever_the_clock_does() {
    let mut drive = drive(&[0], true);
    drive.decide(Decision::Pause { all: false, now: false });
    drive.made_ready("a00").says("a00", Is::Unreachable);
    drive.pass(100_000);
    drive.tick().expect("no rule is broken");
    assert_eq!(drive.under_way("a00"), Some(Step::Watch), "it comes back, or this step fails it");
    assert_eq!(drive.at_rest(), None);
}

#[test]
fn a_permit_keeps_its_place_whatever_is_heard_before_it_is_written() {
    let mut drive = drive(&[0, 0, 0], true);
    drive.made_ready("a00");
    let called = outcome(ActKind::Upgrade, ActOutcome::Done { job: None, slot: None });
    drive.step("a00", Step::Activate, [Is::Intended(Act::Upgrade { slot: slot() }), called]);
    drive.made_ready("a01").made_ready("a02");
    drive.says("a00", Is::StepStarted(Step::Return));
    let version = super::plans::target();
    drive.draft(Change::Appliance(name("a00"), Is::Returned { version }));
    drive.draft(Change::Appliance(name("a01"), Is::Reachable));
    drive.write().expect("one may be down");
    assert_eq!(drive.under_way("a01"), Some(Step::Activate));
    assert_eq!(drive.under_way("a02"), None);
}

#[test]
fn who_is_set_aside_just_before_its_call_is_tested_again_before_a_permit() {
    let mut drive = drive(&[0], true);
    let retry_at = drive.now;
    let aside = Is::SetAside { error: String::new(), retry_at };
    drive.made_ready("a00").step("a00", Step::Activate, [Is::Unreachable, aside]);
    drive.step("a00", Step::Preflight, [Is::Reachable, read()]);
    assert_eq!(drive.under_way("a00"), Some(Step::Test));
}
