//! The view of gates, clusters, pairs, hooks and hops.

use std::collections::BTreeMap;

use control::wire::{ClusterState, RolloutView, WaveState};
use jiff::{SignedDuration, Timestamp};
use model::decision::{Decision, PersonStep};
use model::event::{
    Act, ActKind, ActOutcome, ApplianceChange, Failure, FailureCode, HookChange, HookPoint,
    RolloutChange, StagedHow, Step,
};
use model::fleet::{ClusterMember, Ha, HaMode, Role};
use model::history::History;
use model::hold::HoldReason;
use model::plan::PlannedCluster;
use model::rollout::HookKind;
use model::run::RolloutState;
use model::{ClusterName, SiteName, SlotKey};

use crate::fleet::{Folding, at, change, name, plan, version, wave};

fn view(folding: &Folding, now: Timestamp) -> RolloutView {
    RolloutView::of(&folding.run, false, &BTreeMap::new(), now)
}

fn up_to_date(folding: &mut Folding, who: &str) {
    folding.member(who, ApplianceChange::UpToDate { version: version("7.5.1") });
}

/// Staged, tested, permitted, and the call accepted.
fn goes_down(folding: &mut Folding, who: &str) {
    let slot = SlotKey::new("2");
    let steps = [
        ApplianceChange::StepStarted(Step::Stage),
        ApplianceChange::Staged { slot: slot.clone(), how: StagedHow::Fetched },
        ApplianceChange::StepStarted(Step::Test),
        ApplianceChange::Tested { slot: slot.clone(), summary: "passed".to_owned() },
        ApplianceChange::Permitted,
        ApplianceChange::Intended(Act::Upgrade { slot }),
        ApplianceChange::Outcome {
            act: ActKind::Upgrade,
            outcome: ActOutcome::Done { job: None, slot: None },
            saw: "200".to_owned(),
        },
    ];
    steps.into_iter().for_each(|change| folding.member(who, change));
}

#[test]
fn a_finished_wave_is_watched_then_waits_for_a_person() {
    let mut plan = plan();
    plan.waves[0].soak = SignedDuration::from_mins(30);
    plan.waves[0].approval = true;
    let mut folding = Folding::of(plan);
    folding.rollout(RolloutChange::WaveStarted { wave: wave("canary") });
    up_to_date(&mut folding, "b");
    folding.rollout(RolloutChange::WaveFinished { wave: wave("canary") });
    let ended = at(40);

    let soaking = view(&folding, at(60));
    assert_eq!(soaking.waves[0].state, WaveState::Soaking);
    assert_eq!(soaking.waves[0].ended_at, Some(ended));
    let reason = soaking.waves[0].reason.as_ref().expect("a reason");
    assert_eq!(
        (reason.code.as_str(), reason.until),
        ("soaking", Some(ended + SignedDuration::from_mins(30)))
    );

    let waiting = view(&folding, at(40 + 1800));
    assert_eq!(waiting.waves[0].state, WaveState::AwaitingApproval);
    assert_eq!(serde_json::to_value(waiting.waves[0].state).expect("json"), "awaiting-approval");

    folding.decide(Decision::Approve { wave: wave("canary") });
    let approved = view(&folding, at(40 + 1800));
    assert_eq!(approved.waves[0].state, WaveState::Succeeded);
    assert_eq!(approved.waves[0].reason, None);
    let approval = &approved.approvals[0];
    assert_eq!((approval.by.as_str(), approval.uid), ("ops", 1000));
    assert_eq!((approval.wave.as_str(), approval.reason.as_str()), ("canary", "because"));

    folding.decide(Decision::Abort);
    assert_eq!(view(&folding, at(60)).waves[0].state, WaveState::Succeeded, "nothing follows");
}

#[test]
fn who_falls_ill_while_it_is_watched_stops_the_others() {
    let mut folding = Folding::new();
    up_to_date(&mut folding, "b");
    let text = "the disk fills up".to_owned();
    let failure = Failure { step: Step::Soak, code: FailureCode::VerifyFailed, text };
    folding.member("b", ApplianceChange::Failed(failure));
    let ill = view(&folding, at(100));
    assert_eq!((ill.state, ill.soak_failed), (RolloutState::Paused, Some(name("b"))));
}

fn cluster_of_two() -> Folding {
    let us = ClusterName::new("us").expect("a name");
    let mut plan = plan();
    for (who, role) in [("a", Role::SearchMinion), ("c", Role::CentralManagement)] {
        let member = ClusterMember { name: us.clone(), roles: vec![role] };
        change(&mut plan, who, |entry| entry.cluster = Some(member));
    }
    let ranks = vec![vec![name("a")], vec![name("c")]];
    plan.clusters.insert(us, PlannedCluster { ranks, parallel: 1, manager: name("c") });
    Folding::of(plan)
}

#[test]
fn a_half_upgraded_cluster_is_an_alarm_with_its_gap() {
    let us = || ClusterName::new("us").expect("a name");
    let mut folding = cluster_of_two();
    let state = |folding: &Folding| view(folding, at(1_000)).clusters[0].state;
    assert_eq!(state(&folding), ClusterState::Pending);
    folding.rollout(RolloutChange::ClusterStarted { cluster: us() });
    assert_eq!(state(&folding), ClusterState::Started);
    goes_down(&mut folding, "a");
    assert_eq!(state(&folding), ClusterState::Upgrading);
    let began = folding.run.clusters[&us()].gap_since.expect("a gap");

    let text = "it came back on 7.5.0".to_owned();
    let failure = Failure { step: Step::Return, code: FailureCode::Reverted, text };
    folding.member("a", ApplianceChange::Failed(failure));
    let half = view(&folding, began + SignedDuration::from_secs(90));
    assert_eq!(half.state, RolloutState::Halted);
    let cluster = &half.clusters[0];
    assert_eq!(cluster.state, ClusterState::HalfUpgraded);
    assert_eq!((cluster.audit_gap_seconds, cluster.audit_gap_since), (90, Some(began)));
    assert_eq!((&cluster.half_upgraded, cluster.members.len()), (&vec![name("a")], 2));
    assert_eq!(cluster.audit_gap_expected_seconds, None);
    let expecting = half.clone().expecting(&folding.run, &History::default());
    // Two members one after the other, 15m + 3m + 45m + 10m each.
    assert_eq!(expecting.clusters[0].audit_gap_expected_seconds, Some(2 * 73 * 60));
    let alarm = &half.alarms[0];
    assert_eq!((alarm.code.as_str(), alarm.since), ("cluster-half-upgraded", Some(began)));
    assert!(alarm.text.contains("do not audit"), "{}", alarm.text);
}

#[test]
fn a_pair_shows_its_steps_and_its_debt() {
    let mut plan = plan();
    change(&mut plan, "a", |entry| {
        entry.ha = Some(Ha {
            mode: HaMode::Attended,
            peer_sync: None,
            secondary_check: None,
            secondary_power: None,
            force_off_after: None,
            reboots_both: false,
        });
    });
    let mut folding = Folding::of(plan);
    goes_down(&mut folding, "a");
    folding.member("a", ApplianceChange::Armed);
    let step = PersonStep::PeerHasFirmware;
    folding.member("a", ApplianceChange::PairStepDone { step, saw: "both".to_owned() });
    let step = PersonStep::SecondaryOff;
    folding.member("a", ApplianceChange::Held(HoldReason::AttendedStep { step, since: at(1) }));
    folding.decide(Decision::Confirm { appliance: name("a"), step });
    let off = view(&folding, at(1_000));
    let of = |who: &str| off.appliances.iter().find(|a| a.name == name(who)).expect("a member");
    let pair = of("a").pair.as_ref().expect("a pair");
    let done: Vec<PersonStep> = pair.done.iter().map(|step| step.step).collect();
    assert_eq!(done, [PersonStep::PeerHasFirmware, PersonStep::SecondaryOff]);
    assert!(pair.secondary_off_since.is_some() && of("a").down);
    assert_eq!(of("b").pair, None);
    let debt = &off.debts[0];
    assert_eq!((debt.appliance.as_str(), debt.since), ("a", pair.secondary_off_since));
    assert!(debt.text.starts_with("switch the secondary node on when"), "{}", debt.text);
    assert_eq!((debt.stuck.as_ref(), off.alarms.len()), (None, 0));

    folding.decide(Decision::Skip { appliances: vec![name("a")] });
    let stuck = view(&folding, at(1_000));
    assert!(stuck.debts[0].stuck.is_some());
    assert_eq!(stuck.alarms[0].code, "debt-stuck");
}

#[test]
fn a_hook_that_failed_afterwards_is_a_warning() {
    let mut folding = Folding::new();
    for kind in [HookKind::Before, HookKind::After] {
        let point = HookPoint::new(kind, "a");
        for change in [HookChange::Intended, HookChange::Failed("exit code 3".to_owned())] {
            folding.rollout(RolloutChange::Hook { point: point.clone(), change });
        }
    }
    let warnings = view(&folding, at(1_000)).warnings;
    assert_eq!(warnings.len(), 1, "the other one is a hold: {warnings:?}");
    assert_eq!(warnings[0].text, "hook `after` of a failed: exit code 3");
}

#[test]
fn hops_are_counted_and_an_override_is_shown_while_it_lasts() {
    let mut plan = plan();
    let first = model::rollout::Firmware { version: version("7.0.5"), ..plan.firmware.clone() };
    plan.via.push(first);
    let ams = SiteName::new("ams").expect("a name");
    let freezes = vec![model::calendar::Freeze {
        from: "2026-12-18T00:00".parse().expect("a time"),
        to: "2027-01-05T00:00".parse().expect("a time"),
        reason: None,
    }];
    let calendar = model::calendar::Calendar {
        time_zone: "Europe/Amsterdam".to_owned(),
        windows: Vec::new(),
        freezes,
    };
    plan.calendars.insert(ams.clone(), calendar);
    let mut folding = Folding::of(plan);
    folding.decide(Decision::OverrideFreeze { site: ams, until: at(500) });
    let early = view(&folding, at(100));
    let hop = early.appliances[0].hop.as_ref().expect("a hop");
    assert_eq!((hop.number, hop.of, hop.version.to_string().as_str()), (1, 2, "7.0.5"));
    assert_eq!(early.freeze_overrides[0].until, at(500));
    assert!(view(&folding, at(500)).freeze_overrides.is_empty());
}
