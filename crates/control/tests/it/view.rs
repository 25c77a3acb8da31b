//! The view of a fold, field by field (contract: cli.md).

use std::collections::BTreeMap;

use control::wire::{ReasonView, RolloutView, StatusView, WaveState};
use model::decision::Decision;
use model::event::{
    ApplianceChange, Failure, FailureCode, RolloutChange, SkipReason, StagedHow, Step,
};
use model::hold::HoldReason;
use model::run::{Phase, RolloutState};
use model::{ApplianceName, SlotKey};
use serde_json::{Value, json};

use crate::fleet::{Folding, at, name, version, wave};

fn view(folding: &Folding) -> RolloutView {
    RolloutView::of(&folding.run, false, &BTreeMap::new(), at(86_400))
}

fn reason(view: &RolloutView, who: &str) -> Option<ReasonView> {
    let found = view.appliances.iter().find(|appliance| appliance.name == name(who));
    found.expect("a member").reason.clone()
}

fn code(view: &RolloutView, who: &str) -> Option<String> {
    reason(view, who).map(|reason| reason.code)
}

fn ready(folding: &mut Folding, who: &str) {
    let slot = SlotKey::new("2");
    folding.member(who, ApplianceChange::StepStarted(Step::Stage));
    let how = StagedHow::Adopted;
    folding.member(who, ApplianceChange::Staged { slot: slot.clone(), how });
    folding.member(who, ApplianceChange::StepStarted(Step::Test));
    folding.member(who, ApplianceChange::Tested { slot, summary: "passed".to_owned() });
}

fn fail(folding: &mut Folding, who: &str) {
    let text = "no space left on /boot".to_owned();
    let failure = Failure { step: Step::Test, code: FailureCode::TestFailed, text };
    folding.member(who, ApplianceChange::Failed(failure));
}

#[test]
fn it_has_the_contracts_shape() {
    let mut folding = Folding::new();
    folding.rollout(RolloutChange::WaveStarted { wave: wave("canary") });
    let until = at(9000);
    let hold = HoldReason::Unreachable { since: at(1), until };
    folding.member("b", ApplianceChange::StepStarted(Step::Preflight));
    let waiting = BTreeMap::from([(name("b"), hold)]);
    let status = StatusView::of(&folding.run, false, &waiting, at(86_400));
    let json = serde_json::to_value(&status).expect("json");
    let none: [Value; 0] = [];
    let rollout = &json["rollouts"][0];
    assert_eq!(json["schema"], 1);
    assert_eq!(rollout["name"], "sps-7.5.1");
    assert_eq!(rollout["id"], "5d0c1f6e");
    assert_eq!(rollout["target_version"], "7.5.1");
    assert_eq!(rollout["state"], "running");
    assert_eq!(rollout["accepted_at"], "2026-11-24T08:00:00Z");
    assert_eq!(
        rollout["waves"],
        json!([
            {
                "name": "canary", "state": "running", "appliances": ["b"],
                "ended_at": null, "reason": null,
            },
            {
                "name": "rest", "state": "pending", "appliances": ["d", "a", "c"],
                "ended_at": null, "reason": null,
            },
        ])
    );
    assert_eq!(
        rollout["appliances"][0],
        json!({
            "name": "b", "site": "ams", "wave": "canary", "state": "preflight", "version": null,
            "slot": null, "since": "2026-11-24T08:00:30Z", "down": false, "transfer": null,
            "reason": {
                "code": "unreachable",
                "text": "does not answer since 2026-11-24T08:00:01Z; a failure from 2026-11-24T10:30:00Z on",
                "until": "2026-11-24T10:30:00Z",
            },
            "sessions": null, "sessions_cut": null, "hop": null, "pair": null,
        })
    );
    let order: Vec<&Value> =
        rollout["appliances"].as_array().expect("a list").iter().map(|a| &a["name"]).collect();
    assert_eq!(order, ["b", "d", "a", "c"], "in wave order");
    assert_eq!(rollout["clusters"], json!(none));
    assert_eq!(rollout["debts"], json!(none));
    for list in ["approvals", "freeze_overrides", "alarms", "warnings"] {
        assert_eq!(rollout[list], json!(none), "{list}");
    }
    assert_eq!((&rollout["paused"], &rollout["soak_failed"]), (&Value::Null, &Value::Null));
    assert_eq!(rollout["failures"], 0);
    assert_eq!(rollout["budget"], json!({"count": 1, "breached_at": 1, "on_breach": "pause"}));
    let back: StatusView = serde_json::from_value(json).expect("reads back");
    assert_eq!(back, status);
}

#[test]
fn why_an_appliance_failed_was_skipped_or_waits_is_said() {
    let mut folding = Folding::new();
    fail(&mut folding, "a");
    let newer = SkipReason::Newer { version: version("7.6.0") };
    folding.member("b", ApplianceChange::Skipped(newer));
    let detail = "refused the password".to_owned();
    folding.member("c", ApplianceChange::Held(HoldReason::Credentials { detail }));
    let error = "connection refused".to_owned();
    folding.member("d", ApplianceChange::SetAside { error, retry_at: at(100) });
    let view = view(&folding);
    let failed = reason(&view, "a").expect("a reason");
    assert_eq!(
        (failed.code.as_str(), failed.text.as_str()),
        ("test-failed", "no space left on /boot")
    );
    let newer = reason(&view, "b").expect("a reason");
    assert_eq!(newer.code, "newer");
    assert!(newer.text.contains("7.6.0"), "{}", newer.text);
    assert_eq!(code(&view, "c").as_deref(), Some("credentials-refused"));
    let aside = reason(&view, "d").expect("a reason");
    // Set aside with the fifth event, for the plan's two hours.
    assert_eq!((aside.code.as_str(), aside.until), ("unreachable", Some(at(50 + 7200))));
    assert_eq!(view.failures, 1);
}

#[test]
fn a_stopped_rollout_is_the_reason_of_those_that_wait_for_it() {
    let mut folding = Folding::new();
    ready(&mut folding, "a");
    folding.member("b", ApplianceChange::StepStarted(Step::Stage));
    let idle = view(&folding);
    assert_eq!(code(&idle, "a"), None);

    folding.decide(Decision::Pause { all: false, now: false });
    let paused = view(&folding);
    assert_eq!(paused.state, RolloutState::Paused);
    assert_eq!(code(&paused, "a").as_deref(), Some("paused"));
    assert_eq!(code(&paused, "b"), None, "staging goes on");
    assert_eq!(code(&paused, "c"), None, "staging begins");
    folding.decide(Decision::Pause { all: true, now: false });
    assert_eq!(code(&view(&folding), "c").as_deref(), Some("paused"));
    folding.decide(Decision::Resume);

    fail(&mut folding, "d");
    folding.rollout(RolloutChange::BudgetReached { failures: 1, limit: 1, abort: false });
    let breached = view(&folding);
    assert_eq!(code(&breached, "a").as_deref(), Some("budget-reached"));
    assert_eq!(code(&breached, "c"), None, "staging begins");

    let halted = RolloutView::of(&folding.run, true, &BTreeMap::new(), at(86_400));
    assert_eq!(halted.state, RolloutState::Halted);
    assert_eq!(code(&halted, "a").as_deref(), Some("journal-not-writable"));

    // What the scheduler says of one appliance is more exact.
    let limit = HoldReason::TransferLimit { limit: 10 };
    let waiting: BTreeMap<ApplianceName, HoldReason> = [(name("a"), limit)].into();
    let exact = RolloutView::of(&folding.run, true, &waiting, at(86_400));
    assert_eq!(code(&exact, "a").as_deref(), Some("transfer-limit"));
}

#[test]
fn a_wave_succeeds_or_fails_when_it_is_over() {
    let mut folding = Folding::new();
    folding.member("b", ApplianceChange::UpToDate { version: version("7.5.1") });
    folding.rollout(RolloutChange::WaveFinished { wave: wave("canary") });
    let states =
        |folding: &Folding| view(folding).waves.iter().map(|wave| wave.state).collect::<Vec<_>>();
    assert_eq!(states(&folding), [WaveState::Succeeded, WaveState::Pending]);
    folding.rollout(RolloutChange::WaveStarted { wave: wave("rest") });
    assert_eq!(states(&folding)[1], WaveState::Running);
    for who in ["a", "c", "d"] {
        fail(&mut folding, who);
    }
    folding.rollout(RolloutChange::WaveFinished { wave: wave("rest") });
    folding.rollout(RolloutChange::Finished);
    assert_eq!(states(&folding), [WaveState::Succeeded, WaveState::Failed]);
    let over = view(&folding);
    assert_eq!(over.state, RolloutState::Failed);
    assert_eq!(over.appliances[0].state, Phase::UpToDate);
    assert_eq!(over.appliances[0].version, Some(version("7.5.1")));
    assert_eq!(reason(&over, "b"), None);
}

#[test]
fn the_slot_is_the_one_that_holds_the_target() {
    let mut folding = Folding::new();
    ready(&mut folding, "a");
    folding.member("b", ApplianceChange::Progress { done: 5, total: 9 });
    let view = view(&folding);
    let of = |who: &str| view.appliances.iter().find(|a| a.name == name(who)).expect("a member");
    assert_eq!(of("a").slot, Some(SlotKey::new("2")));
    assert_eq!(of("b").slot, None);
    assert_eq!(of("b").transfer.map(|transfer| (transfer.done, transfer.total)), Some((5, 9)));
}
