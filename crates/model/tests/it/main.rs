//! The fold: which events may follow which, and what they make of an appliance.

mod expect;

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use model::FirmwareVersion;
use model::decision::{Actor, Decision};
use model::event::{
    Act, ActKind, ActOutcome, ApplianceChange, Change, Event, Failure, FailureCode, RolloutChange,
    StagedHow, Step,
};
use model::names::{ApplianceName, RolloutId, SlotKey};
use model::observed::{Baseline, Health, Offered};
use model::plan::Plan;
use model::run::{ApplianceRun, Phase, Run};

fn version(text: &str) -> FirmwareVersion {
    FirmwareVersion::parse(text).expect("a version")
}

fn slot() -> SlotKey {
    SlotKey::new("2")
}

fn plan() -> Arc<Plan> {
    let name = ApplianceName::new("a").expect("a name");
    Arc::new(sim::sample::plan("r", [sim::sample::appliance(&name)]))
}

/// Folds one event after another, a second apart unless the clock is moved.
struct Log {
    run: Run,
    at: Timestamp,
}

impl Log {
    fn new() -> Self {
        let at: Timestamp = "2026-12-01T20:00:00Z".parse().expect("a time");
        let actor = Actor { uid: 0, name: "root".to_owned(), pid: 1 };
        let change = Change::Rollout(RolloutChange::PlanAccepted { plan: plan(), actor });
        let event = Event { seq: 1, rollout: RolloutId::new("r1"), at, change };
        Self { run: Run::begin(&event).expect("a run"), at }
    }

    fn append(&mut self, change: Change) -> Result<(), String> {
        self.at += SignedDuration::from_secs(1);
        let seq = self.run.seq + 1;
        let event = Event { seq, rollout: self.run.id.clone(), at: self.at, change };
        let before = self.run.clone();
        let result = self.run.apply(&event).map(|_| ()).map_err(|illegal| illegal.to_string());
        if result.is_err() {
            assert_eq!(self.run, before, "a refused event changes nothing");
        }
        result
    }

    fn of(&mut self, change: ApplianceChange) -> Result<(), String> {
        let name = ApplianceName::new("a").expect("a name");
        self.append(Change::Appliance(name, change))
    }

    fn ok(&mut self, change: ApplianceChange) {
        self.of(change).expect("a legal event");
    }

    fn decide(&mut self, decision: Decision) -> Result<(), String> {
        let actor = Actor { uid: 0, name: "root".to_owned(), pid: 1 };
        let reason = "why".to_owned();
        self.append(Change::Rollout(RolloutChange::Decided { actor, reason, decision }))
    }

    fn a(&self) -> &ApplianceRun {
        self.run.appliances.get("a").expect("a member")
    }

    /// Up to and with the permit.
    fn permitted() -> Self {
        let mut log = Self::new();
        let baseline = Baseline {
            version: version("7.5.0"),
            hostname: None,
            offered: Offered { fetch: true },
            slots: Vec::new(),
            health: Health::default(),
            fetch_jobs: Vec::new(),
            leaf: None,
            node: None,
        };
        log.ok(ApplianceChange::StepStarted(Step::Preflight));
        log.ok(ApplianceChange::Preflighted(Box::new(baseline)));
        log.ok(ApplianceChange::StepStarted(Step::Stage));
        log.ok(ApplianceChange::Staged { slot: slot(), how: StagedHow::Adopted });
        log.ok(ApplianceChange::StepStarted(Step::Test));
        log.ok(ApplianceChange::Tested { slot: slot(), summary: String::new() });
        log.ok(ApplianceChange::Permitted);
        log.ok(ApplianceChange::StepStarted(Step::Activate));
        log
    }

    fn called() -> Self {
        let mut log = Self::permitted();
        log.ok(ApplianceChange::Intended(Act::Upgrade { slot: slot() }));
        log
    }
}

fn outcome(act: ActKind, outcome: ActOutcome) -> ApplianceChange {
    ApplianceChange::Outcome { act, outcome, saw: String::new() }
}

#[test]
fn an_upgrade_call_needs_a_tested_slot_and_a_permit_and_comes_once() {
    let upgrade = || ApplianceChange::Intended(Act::Upgrade { slot: slot() });
    assert!(Log::new().of(upgrade()).is_err(), "nothing was tested");
    let mut other = Log::permitted();
    let wrong = Act::Upgrade { slot: SlotKey::new("3") };
    assert!(other.of(ApplianceChange::Intended(wrong)).is_err(), "another slot was tested");

    let mut log = Log::called();
    assert!(log.of(upgrade()).is_err(), "the first one is open");
    let done = ActOutcome::Done { job: None, slot: None };
    log.ok(outcome(ActKind::Upgrade, done));
    assert!(log.of(upgrade()).is_err(), "the first one was accepted");
}

#[test]
fn it_is_down_from_the_intent_to_the_return_and_a_skip_frees_nothing() {
    let mut log = Log::called();
    assert!(log.a().is_down());
    log.ok(outcome(ActKind::Upgrade, ActOutcome::ReplyLost));
    log.ok(ApplianceChange::RestartSeen { saw: String::new() });
    log.decide(Decision::Skip { appliances: vec![ApplianceName::new("a").expect("a name")] })
        .expect("it may be skipped");
    assert_eq!(log.a().phase, Phase::Skipped);
    assert!(log.a().is_down(), "only an observation frees the place");
    log.ok(ApplianceChange::Up { version: None });
    assert!(!log.a().takes_places());
}

#[test]
fn a_call_that_did_nothing_gives_the_place_back() {
    let mut log = Log::called();
    log.ok(outcome(ActKind::Upgrade, ActOutcome::NotDone));
    assert_eq!(log.a().phase, Phase::Ready);
    assert!(!log.a().takes_places());
    assert_eq!(log.a().calls, 1);
}

#[test]
fn a_gap_in_watching_stays_on_record_also_when_the_clock_goes_back() {
    let looked = || ApplianceChange::Looked { saw: String::new() };
    for (jump, gap) in [(20, false), (40, true), (-3600, true)] {
        let mut log = Log::called();
        log.ok(looked());
        log.at += SignedDuration::from_secs(jump);
        log.ok(looked());
        log.ok(looked());
        let upgrade = log.a().upgrade.as_ref().expect("a call");
        assert_eq!(upgrade.gap, gap, "a jump of {jump} s");
    }
}

#[test]
fn after_a_revert_only_a_retry_allows_another_call() {
    let mut log = Log::called();
    log.ok(ApplianceChange::RestartSeen { saw: String::new() });
    log.ok(ApplianceChange::Returned { version: version("7.5.0") });
    let text = "reverted".to_owned();
    let failure = Failure { step: Step::Return, code: FailureCode::Reverted, text };
    log.ok(ApplianceChange::Failed(failure));
    assert!(log.of(ApplianceChange::StepStarted(Step::Activate)).is_err());
    assert_eq!(log.run.counted.len(), 1);
    let a = ApplianceName::new("a").expect("a name");
    log.decide(Decision::Retry { appliances: vec![a] }).expect("it may be retried");
    assert!(log.a().upgrade.is_none());
    assert!(log.a().tested.is_none(), "the slot is tested again first");
    assert_eq!(log.a().phase, Phase::Pending);
}

#[test]
fn a_retry_never_forgets_an_open_call() {
    let mut log = Log::called();
    log.ok(ApplianceChange::RestartSeen { saw: String::new() });
    let text = "no return".to_owned();
    let failure = Failure { step: Step::Return, code: FailureCode::NoReturn, text };
    log.ok(ApplianceChange::Failed(failure));
    let a = ApplianceName::new("a").expect("a name");
    log.decide(Decision::Retry { appliances: vec![a] }).expect("it may be retried");
    assert!(log.a().upgrade.is_some());
    assert_eq!(log.a().phase, Phase::Returning, "it is observed first");
}

#[test]
fn what_cannot_be_told_is_resolved_by_a_person_only() {
    let a = || ApplianceName::new("a").expect("a name");
    let mut log = Log::called();
    log.ok(outcome(ActKind::Upgrade, ActOutcome::ReplyLost));
    let resolve = |done| Decision::Resolve { appliance: a(), done };
    assert!(log.decide(resolve(true)).is_err(), "it is not unknown yet");
    log.ok(outcome(ActKind::Upgrade, ActOutcome::CannotTell));
    assert_eq!(log.a().phase, Phase::Unknown);
    assert!(log.decide(Decision::Retry { appliances: vec![a()] }).is_err());
    let (mut done, mut not_done) = (log.run.clone(), log);
    not_done.decide(resolve(false)).expect("unknown");
    assert_eq!(not_done.a().phase, Phase::Ready);
    assert!(not_done.a().is_down(), "a decision frees no place, it is seen up first");
    let event = Event {
        seq: done.seq + 1,
        rollout: done.id.clone(),
        at: not_done.at,
        change: Change::Rollout(RolloutChange::Decided {
            actor: Actor { uid: 0, name: "root".to_owned(), pid: 1 },
            reason: "why".to_owned(),
            decision: resolve(true),
        }),
    };
    done.apply(&event).expect("unknown");
    assert_eq!(done.appliances.get("a").expect("a member").phase, Phase::Returning);
}

#[test]
fn a_new_plan_may_change_what_has_not_begun_and_nothing_else() {
    let replanned = |plan: Plan| {
        let actor = Actor { uid: 0, name: "root".to_owned(), pid: 1 };
        Change::Rollout(RolloutChange::Replanned { plan: Arc::new(plan), actor })
    };
    let other_target = || {
        let mut other = (*plan()).clone();
        other.firmware.version = version("7.5.2");
        other
    };
    let mut fresh = Log::new();
    fresh.append(replanned(other_target())).expect("nothing has begun");
    assert_eq!(fresh.run.plan.firmware.version, version("7.5.2"));

    let mut begun = Log::called();
    let refused = begun.append(replanned(other_target())).expect_err("a is on its way");
    assert!(refused.contains("another version needs another rollout"), "{refused}");
    let mut without = (*plan()).clone();
    without.appliances.clear();
    without.waves.clear();
    assert!(begun.append(replanned(without)).is_err(), "a cannot vanish");
    let mut wider = (*plan()).clone();
    wider.limits.unavailable = 5;
    begun.append(replanned(wider)).expect("limits may change");
    assert!(begun.a().is_down(), "what is known of it is kept");
}

#[test]
fn a_step_goes_on_from_its_old_start() {
    let mut log = Log::new();
    log.ok(ApplianceChange::StepStarted(Step::Preflight));
    let began = log.a().step;
    log.ok(ApplianceChange::StepStarted(Step::Preflight));
    assert_eq!(log.a().step, began);
}

#[test]
fn a_log_begins_with_its_plan_and_is_numbered() {
    let log = Log::new();
    let event = |seq, change| Event { seq, rollout: log.run.id.clone(), at: log.at, change };
    assert!(Run::begin(&event(1, Change::Rollout(RolloutChange::Finished))).is_err());
    let mut run = log.run.clone();
    assert!(run.apply(&event(1, Change::Rollout(RolloutChange::Finished))).is_err());
    let stranger = ApplianceName::new("b").expect("a name");
    let change = Change::Appliance(stranger, ApplianceChange::Permitted);
    assert!(run.apply(&event(2, change)).is_err());
}
