//! What every journal must do with clusters, pairs, hooks, gates and hops; as in `conformance`.

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use model::calendar::{Calendar, Freeze};
use model::decision::{Decision, PersonStep};
use model::event::{
    Act, ActKind, ActOutcome, ApplianceChange, Draft, HookChange, HookPoint, RolloutChange, Step,
};
use model::fleet::{Appliance, ClusterMember, Ha, HaMode, Role, UpgradeCall};
use model::hold::HoldReason;
use model::observed::HealthCheck;
use model::plan::{Plan, PlannedCluster};
use model::ports::{Journal, ProcessId};
use model::rollout::{Hook, HookKind};
use model::run::{ApplianceRun, HookState, Phase, RolloutState, Run};
use model::{ApplianceName, ClusterName, RolloutId, SiteName, SlotKey, WaveName};

use crate::sample::{accepted, at, decided, failed, journey, member, name, rollout, version};

both!(
    host_names_are_those_last_said,
    a_cluster_begins_and_ends,
    a_cluster_that_cannot_go_on_leaves_no_trace,
    hooks_begin_end_and_are_taken_up_again,
    a_pair_goes_its_way,
    gates_are_passed_by_people,
    a_soak_that_fails_stops_until_resume,
    a_hop_follows_another,
    giving_up_at_once_is_remembered,
);

fn id() -> RolloutId {
    RolloutId::new("a")
}

fn cluster() -> ClusterName {
    ClusterName::new("us").expect("a name")
}

fn site() -> SiteName {
    SiteName::new("ams").expect("a name")
}

fn wave(text: &str) -> WaveName {
    WaveName::new(text).expect("a name")
}

/// A cluster of a minion and a manager in one wave, then a pair and a single one.
fn whole() -> Arc<Plan> {
    let entry = |text: &str| Appliance { site: site(), ..sim::sample::appliance(&name(text)) };
    let clustered = |text: &str, roles: Vec<Role>| Appliance {
        cluster: Some(ClusterMember { name: cluster(), roles }),
        ..entry(text)
    };
    let pair = Appliance {
        ha: Some(Ha {
            mode: HaMode::Attended,
            peer_sync: None,
            secondary_check: None,
            secondary_power: None,
            force_off_after: None,
            reboots_both: false,
        }),
        upgrade_call: UpgradeCall::Arms,
        ..entry("pair")
    };
    let minion = clustered("minion", vec![Role::ManagedHost, Role::SearchMinion]);
    let manager = clustered("manager", vec![Role::CentralManagement, Role::SearchMaster]);
    let mut plan = sim::sample::plan("spring", [minion, manager, pair, entry("x")]);
    let mut first = sim::sample::wave("canary", &[name("minion"), name("manager")]);
    first.soak = SignedDuration::from_mins(30);
    first.approval = true;
    plan.waves = vec![first, sim::sample::wave("rest", &[name("pair"), name("x")])];
    let ranks = vec![vec![name("minion")], vec![name("manager")]];
    let planned = PlannedCluster { ranks, parallel: 1, manager: name("manager") };
    plan.clusters = [(cluster(), planned)].into();
    let day = |text: &str| text.parse().expect("a date and time");
    let freeze = Freeze {
        from: day("2026-12-18T00:00"),
        to: day("2027-01-05T00:00"),
        reason: Some("year-end".to_owned()),
    };
    let calendar = Calendar {
        time_zone: "Europe/Amsterdam".to_owned(),
        windows: Vec::new(),
        freezes: vec![freeze],
    };
    plan.calendars = [(site(), calendar)].into();
    let hook = Hook { command: vec!["true".to_owned()], timeout: SignedDuration::from_mins(1) };
    plan.hooks = [HookKind::Before, HookKind::After, HookKind::WaveBefore]
        .map(|kind| (kind, hook.clone()))
        .into();
    plan.digest = plan.content_digest();
    Arc::new(plan)
}

async fn begin(journal: &dyn Journal, plan: &Arc<Plan>) {
    journal.append(&[accepted(&id(), plan, at(0))]).await.expect("accepted");
}

async fn write(journal: &dyn Journal, second: i64, who: &str, change: ApplianceChange) {
    let written = journal.append(&[member(&id(), at(second), who, change)]).await;
    written.unwrap_or_else(|error| panic!("{who} at {second}: {error}"));
}

async fn say(journal: &dyn Journal, second: i64, change: RolloutChange) {
    journal.append(&[rollout(&id(), at(second), change)]).await.expect("written");
}

async fn decide(journal: &dyn Journal, second: i64, decision: Decision) {
    journal.append(&[decided(&id(), at(second), decision)]).await.expect("decided");
}

async fn fold(journal: &dyn Journal) -> Run {
    let events = journal.events(&id(), 0, usize::MAX).await.expect("events");
    Run::fold(&events).expect("legal").expect("begun")
}

async fn fold_of(journal: &dyn Journal, who: &str) -> ApplianceRun {
    fold(journal).await.appliances[&name(who)].clone()
}

/// The way up to where a test leaves it off: until the first event that is so, which is included.
fn way_until(who: &str, from: i64, last: &str) -> Vec<Draft> {
    let way = journey(&id(), who, from);
    let end = way.iter().position(|draft| format!("{:?}", draft.change).contains(last));
    way[..=end.expect("an event that is so")].to_vec()
}

async fn host_names_are_those_last_said(journal: &dyn Journal) {
    begin(journal, &whole()).await;
    let preflighted = |second: i64, who: &str, said: Option<&str>| {
        let way = way_until("x", second, "Preflighted");
        let change = way.last().expect("an event").change.clone();
        let model::event::Change::Appliance(_, ApplianceChange::Preflighted(mut read)) = change
        else {
            panic!("no preflight")
        };
        read.hostname = said.map(str::to_owned);
        let started = ApplianceChange::StepStarted(Step::Preflight);
        [
            member(&id(), at(second), who, started),
            member(&id(), at(second), who, ApplianceChange::Preflighted(read)),
        ]
    };
    let known = async || journal.hostnames().await.expect("host names");
    assert!(known().await.is_empty());
    // Two of one appliance in one transaction: the last counts.
    let twice = [preflighted(1, "x", Some("one")), preflighted(2, "x", Some("two"))].concat();
    journal.append(&twice).await.expect("written");
    journal.append(&preflighted(3, "pair", Some("sps-p"))).await.expect("written");
    journal.append(&preflighted(4, "x", None)).await.expect("says nothing, so nothing is new");
    assert_eq!(known().await, [(name("pair"), "sps-p".into()), (name("x"), "two".into())].into());
    let mut refused = preflighted(5, "x", Some("three")).to_vec();
    refused.push(member(&id(), at(5), "x", ApplianceChange::Armed));
    journal.append(&refused).await.expect_err("nothing was armed");
    assert_eq!(known().await[&name("x")], "two");
    // Another rollout knows it too.
    let other = RolloutId::new("b");
    journal.append(&[accepted(&other, &whole(), at(100))]).await.expect("accepted");
    let [started, read] = preflighted(101, "x", Some("four"));
    let of_other = [Draft { rollout: other.clone(), ..started }, Draft { rollout: other, ..read }];
    journal.append(&of_other).await.expect("written");
    assert_eq!(known().await[&name("x")], "four");
}

async fn a_cluster_begins_and_ends(journal: &dyn Journal) {
    begin(journal, &whole()).await;
    journal.append(&way_until("minion", 10, "Tested")).await.expect("staged");
    journal.append(&way_until("manager", 20, "Tested")).await.expect("staged");
    let saw = || "2 members".to_owned();
    write(journal, 200, "manager", ApplianceChange::ClusterAgrees { saw: saw() }).await;
    say(journal, 201, RolloutChange::ClusterStarted { cluster: cluster() }).await;
    let why = "a person paused".to_owned();
    say(journal, 202, RolloutChange::ClusterWithdrawn { cluster: cluster(), why }).await;
    let run = fold(journal).await;
    assert_eq!(run.appliances[&name("manager")].roster_at, None, "asked again");
    assert!(!run.cluster_has_started(&cluster()));
    write(journal, 203, "manager", ApplianceChange::ClusterAgrees { saw: saw() }).await;
    say(journal, 204, RolloutChange::ClusterStarted { cluster: cluster() }).await;
    for who in ["minion", "manager"] {
        write(journal, 205, who, ApplianceChange::StepStarted(Step::Drain)).await;
        write(journal, 206, who, ApplianceChange::Sessions { count: 3 }).await;
        write(journal, 215, who, ApplianceChange::Drained { sessions: Some(1) }).await;
    }
    let gap_begins = at(310);
    let rest = |who: &str, from: i64| {
        let way = journey(&id(), who, from);
        let permit =
            way.iter().position(|draft| format!("{:?}", draft.change).contains("Permitted"));
        way[permit.expect("a permit")..].to_vec()
    };
    // The steps of a way are ten seconds apart; the permit is its eighth.
    journal.append(&rest("minion", 220)).await.expect("through");
    journal.append(&rest("manager", 420)).await.expect("through");
    write(journal, 700, "manager", ApplianceChange::ClusterSynced { saw: saw() }).await;
    let open = fold(journal).await;
    assert!(open.cluster_has_begun(&cluster()));
    assert_eq!(open.clusters[&cluster()].gap_since, Some(gap_begins));
    say(journal, 701, RolloutChange::ClusterFinished { cluster: cluster() }).await;
    let run = fold(journal).await;
    let through = &run.clusters[&cluster()];
    assert_eq!((through.finished, through.synced, through.begun_at), (true, true, None));
    assert_eq!(through.gap, at(560).duration_since(gap_begins));
    assert_eq!(run.appliances[&name("minion")].sessions, Some(1));
    let durations = journal.durations().await.expect("durations");
    let drains = durations.iter().filter(|took| took.step == Step::Drain);
    assert_eq!(drains.map(|took| took.took.as_secs()).collect::<Vec<_>>(), [10, 10]);
}

async fn a_cluster_that_cannot_go_on_leaves_no_trace(journal: &dyn Journal) {
    begin(journal, &whole()).await;
    journal.append(&way_until("minion", 10, "Tested")).await.expect("staged");
    let before = fold(journal).await;
    let intent = way_until("minion", 300, "Intended(Upgrade").split_off(7);
    let mut batch =
        vec![rollout(&id(), at(300), RolloutChange::ClusterStarted { cluster: cluster() })];
    batch.extend(intent.clone());
    batch.push(rollout(&id(), at(400), RolloutChange::ClusterStarted { cluster: cluster() }));
    let error = journal.append(&batch).await.expect_err("it has its places");
    assert!(error.illegal && error.detail.contains("has its places already"), "{error}");
    assert_eq!(fold(journal).await, before);
    batch.pop();
    journal.append(&batch).await.expect("legal alone");
    let run = fold(journal).await;
    assert!(run.cluster_has_begun(&cluster()));
    // The member's own batch, too: a cluster that had begun is as it was.
    let lost = [
        member(&id(), at(500), "minion", failed(Step::Return)),
        member(&id(), at(501), "minion", ApplianceChange::Permitted),
    ];
    journal.append(&lost).await.expect_err("a failed one gets no permit");
    assert_eq!(fold(journal).await, run);
    let half = [member(&id(), at(502), "minion", failed(Step::Return))];
    journal.append(&half).await.expect("it fails");
    assert_eq!(fold(journal).await.state(false), RolloutState::Halted);
}

async fn hooks_begin_end_and_are_taken_up_again(journal: &dyn Journal) {
    begin(journal, &whole()).await;
    let point = |kind, of| HookPoint::new(kind, of);
    let hook = async |second: i64, point: &HookPoint, change: HookChange| {
        say(journal, second, RolloutChange::Hook { point: point.clone(), change }).await;
    };
    let before = point(HookKind::Before, "x");
    let around_wave = point(HookKind::WaveBefore, "rest");
    hook(1, &around_wave, HookChange::Intended).await;
    let process = ProcessId { pid: 77, started: 12 };
    hook(2, &around_wave, HookChange::Started(process)).await;
    hook(3, &around_wave, HookChange::Done).await;
    hook(4, &before, HookChange::Intended).await;
    hook(5, &before, HookChange::Failed("exit code 3".to_owned())).await;
    let run = fold(journal).await;
    let record = &run.hooks[&around_wave];
    assert_eq!((record.since, record.process), (at(1), Some(process)));
    assert_eq!(run.failed_hook_of(&name("x")), Some(&before));
    // What cannot happen leaves it as it was.
    let twice = RolloutChange::Hook { point: around_wave.clone(), change: HookChange::Intended };
    let other = RolloutChange::Hook {
        point: point(HookKind::Before, "pair"),
        change: HookChange::Intended,
    };
    let batch = [rollout(&id(), at(6), other), rollout(&id(), at(6), twice)];
    journal.append(&batch).await.expect_err("it has begun before");
    assert_eq!(fold(journal).await, run);
    decide(journal, 7, Decision::Retry { appliances: vec![name("x")] }).await;
    assert!(!fold(journal).await.hooks.contains_key(&before), "it runs again");
    hook(8, &before, HookChange::Intended).await;
    hook(9, &before, HookChange::Unknown("spsfleet died over it".to_owned())).await;
    decide(journal, 10, Decision::Resolve { appliance: name("x"), done: true }).await;
    let run = fold(journal).await;
    assert_eq!(run.hooks[&before].state, HookState::Done);
    assert_eq!(run.hooks.len(), 2);
}

async fn a_pair_goes_its_way(journal: &dyn Journal) {
    begin(journal, &whole()).await;
    journal.append(&way_until("pair", 10, "Outcome")).await.expect("the call");
    write(journal, 200, "pair", ApplianceChange::Armed).await;
    let attended =
        |step: PersonStep| ApplianceChange::Held(HoldReason::AttendedStep { step, since: at(201) });
    let confirm = |step| Decision::Confirm { appliance: name("pair"), step };
    write(journal, 201, "pair", attended(PersonStep::PeerHasFirmware)).await;
    let saw = || "in the test summary".to_owned();
    let step = PersonStep::PeerHasFirmware;
    write(journal, 202, "pair", ApplianceChange::PairStepDone { step, saw: saw() }).await;
    let off = Act::PowerOff { force: false };
    write(journal, 203, "pair", ApplianceChange::Intended(off)).await;
    let lost = ActOutcome::ReplyLost;
    let outcome =
        ApplianceChange::Outcome { act: ActKind::PowerOff, outcome: lost, saw: "reset".to_owned() };
    write(journal, 204, "pair", outcome).await;
    assert!(fold_of(journal, "pair").await.pair.is_off());
    write(journal, 205, "pair", attended(PersonStep::SecondaryOff)).await;
    decide(journal, 206, confirm(PersonStep::SecondaryOff)).await;
    write(journal, 207, "pair", ApplianceChange::Intended(Act::Reboot)).await;
    let restart = ApplianceChange::RestartSeen { saw: "connection refused".to_owned() };
    write(journal, 208, "pair", restart).await;
    write(journal, 300, "pair", ApplianceChange::Returned { version: version("7.5.1") }).await;
    write(journal, 301, "pair", ApplianceChange::StepStarted(Step::Verify)).await;
    let check = |name: &str, good| HealthCheck {
        name: name.to_owned(),
        before: Some("41.5".to_owned()),
        after: None,
        good,
    };
    let checks = vec![check("disk", true), check("raid", false)];
    write(journal, 302, "pair", ApplianceChange::Checked(checks.clone())).await;
    let verified = ApplianceChange::Verified { version: version("7.5.1"), sessions_cut: Some(12) };
    write(journal, 303, "pair", verified).await;
    write(journal, 304, "pair", ApplianceChange::StepStarted(Step::Rejoin)).await;
    write(journal, 305, "pair", ApplianceChange::Intended(Act::PowerOn)).await;
    let half = fold_of(journal, "pair").await;
    assert!(half.verified && half.is_down(), "the pair is down while its secondary is off");
    assert_eq!((half.checks, half.sessions_cut), (checks, Some(12)));
    let step = PersonStep::SecondaryOn;
    write(journal, 400, "pair", ApplianceChange::PairStepDone { step, saw: saw() }).await;
    write(journal, 401, "pair", attended(PersonStep::PairHealthy)).await;
    decide(journal, 402, confirm(PersonStep::PairHealthy)).await;
    let end = ApplianceChange::Succeeded { version: version("7.5.1"), sessions_cut: Some(12) };
    write(journal, 403, "pair", end).await;
    let run = fold_of(journal, "pair").await;
    assert_eq!((run.phase, run.is_down(), run.open.is_some()), (Phase::Succeeded, false, false));
    let done: Vec<(PersonStep, Timestamp)> = run.pair.done.into_iter().collect();
    assert_eq!(done.len(), 4);
    assert_eq!(done[0], (PersonStep::PeerHasFirmware, at(202)));
}

async fn gates_are_passed_by_people(journal: &dyn Journal) {
    begin(journal, &whole()).await;
    say(journal, 1, RolloutChange::WaveStarted { wave: wave("canary") }).await;
    let approve = || Decision::Approve { wave: wave("canary") };
    let early = [decided(&id(), at(2), approve())];
    journal.append(&early).await.expect_err("it is not finished");
    say(journal, 500, RolloutChange::WaveFinished { wave: wave("canary") }).await;
    decide(journal, 600, approve()).await;
    let until = at(90_000);
    decide(journal, 601, Decision::OverrideFreeze { site: site(), until }).await;
    decide(journal, 602, Decision::Pause { all: false, now: true }).await;
    let run = fold(journal).await;
    let approval = &run.approvals[&wave("canary")];
    assert_eq!((approval.by.name.as_str(), approval.at), ("ops", at(600)));
    assert_eq!(run.waves_ended[&wave("canary")], at(500));
    assert_eq!(run.lifted[&site()], until);
    assert!(run.pause.is_some_and(|pause| pause.now && !pause.all));
}

async fn a_soak_that_fails_stops_until_resume(journal: &dyn Journal) {
    begin(journal, &whole()).await;
    journal.append(&journey(&id(), "x", 10)).await.expect("through");
    let ill = member(&id(), at(900), "x", failed(Step::Soak));
    let no = member(&id(), at(901), "x", ApplianceChange::Permitted);
    let before = fold(journal).await;
    journal.append(&[ill.clone(), no]).await.expect_err("it is no longer ready");
    assert_eq!(fold(journal).await, before);
    journal.append(&[ill]).await.expect("it falls ill");
    let run = fold(journal).await;
    assert_eq!(
        (run.soak_failed.as_ref(), run.state(false)),
        (Some(&name("x")), RolloutState::Paused)
    );
    decide(journal, 902, Decision::Resume).await;
    let none: Option<ApplianceName> = None;
    assert_eq!(fold(journal).await.soak_failed, none);
}

async fn a_hop_follows_another(journal: &dyn Journal) {
    let mut plan = (*whole()).clone();
    let hop = model::rollout::Firmware { version: version("7.5.0.1"), ..plan.firmware.clone() };
    plan.via = vec![hop];
    plan.digest = plan.content_digest();
    begin(journal, &Arc::new(plan)).await;
    journal.append(&way_until("x", 10, "RestartSeen")).await.expect("the first call");
    let on_the_way = version("7.5.0.1");
    write(journal, 300, "x", ApplianceChange::Returned { version: on_the_way.clone() }).await;
    write(journal, 301, "x", ApplianceChange::StepStarted(Step::Verify)).await;
    let done = ApplianceChange::HopDone { version: on_the_way, sessions_cut: Some(4) };
    write(journal, 302, "x", done).await;
    let run = fold_of(journal, "x").await;
    assert_eq!((run.hop, run.phase, run.upgrade), (1, Phase::Pending, None));
    assert_eq!((run.sessions_cut, run.stage.slot), (Some(4), None::<SlotKey>));
    let took = journal.durations().await.expect("durations");
    assert_eq!(took.last().map(|took| took.step), Some(Step::Verify));
}

async fn giving_up_at_once_is_remembered(journal: &dyn Journal) {
    begin(journal, &whole()).await;
    write(journal, 1, "x", failed(Step::Preflight)).await;
    let bundle = ApplianceChange::Bundled { path: Some("x.zip".into()), saw: "4 MiB".into() };
    write(journal, 2, "x", bundle).await;
    decide(journal, 3, Decision::AbortNow).await;
    let run = fold(journal).await;
    assert!(run.aborted && run.aborted_now && run.appliances[&name("x")].bundled);
}

#[tokio::test]
async fn a_half_upgraded_cluster_shows_in_the_status_tables() {
    let dir = tempfile::tempdir().expect("a folder");
    let journal = crate::sample::open(&dir.path().join("fleet.db")).await;
    a_cluster_that_cannot_go_on_leaves_no_trace(&journal).await;
    let status = async || journal.reader().status(&id()).await.expect("read").expect("there");
    let rows = status().await;
    assert_eq!(rows.state, RolloutState::Halted);
    assert_eq!(rows, state::RolloutStatusRows::of(&fold(&journal).await));
    decide(&journal, 600, Decision::Abort).await;
    assert_eq!(status().await.state, RolloutState::Aborted);
}

#[tokio::test]
async fn what_is_derived_of_hooks_and_host_names_is_checked() {
    use sqlx::{ConnectOptions, Connection};

    let dir = tempfile::tempdir().expect("a folder");
    let path = dir.path().join("fleet.db");
    let journal = crate::sample::open(&path).await;
    hooks_begin_end_and_are_taken_up_again(&journal).await;
    journal.append(&way_until("x", 100, "Preflighted")).await.expect("written");
    let stored = journal.reader().snapshot(&id()).await.expect("read").expect("there");
    assert_eq!(stored, fold(&journal).await, "hooks are read back");
    journal.close().await;
    let options = sqlx::sqlite::SqliteConnectOptions::new().filename(&path);
    let mut connection = options.connect().await.expect("connected");
    let meddled = "DELETE FROM hooks WHERE around = 'rest'; UPDATE hostnames SET hostname = 'y'";
    sqlx::raw_sql(meddled).execute(&mut connection).await.expect("changed");
    connection.close().await.expect("closed");
    let journal = crate::sample::open(&path).await;
    let problems = journal.reader().check().await.expect("checked").problems;
    let said = problems.join("\n");
    assert_eq!(problems.len(), 2, "{said}");
    assert!(said.contains("the status of rollout a") && said.contains("the host names"), "{said}");
}
