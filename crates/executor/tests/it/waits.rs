//! What lets appliances wait: windows, freezes, soaks, approvals, sessions, hooks; and hops.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use executor::{Ending, Options};
use futures::future::BoxFuture;
use jiff::civil::Time;
use jiff::{SignedDuration, Timestamp};
use model::calendar::{Calendar, Close, Freeze, Window};
use model::decision::Decision;
use model::event::{FailureCode, HookPoint, Step};
use model::names::SiteName;
use model::plan::Plan;
use model::ports::{Command, CommandError, CommandOutput, CommandRunner, ProcessId};
use model::rollout::{Drain, DrainOtherwise, Firmware, Hook, HookKind, StageMode};
use model::run::{HookState, Phase, RolloutState};
use sim::ledger::observer::{Limits, violations};
use sim::{AdminAct, Behaviour, FaultPlan, SimImage, When};

use crate::world::{SIZE, World, name, spec, specs, wave};

const DONE: Ending = Ending::Finished { upgraded_all: true };
pub(crate) const HOP_URL: &str = "https://repo.example/sps-7.5.0.9.iso";

/// Goes over 7.5.0.9.
pub(crate) fn via(plan: &mut Plan) {
    plan.via = vec![Firmware {
        version: model::FirmwareVersion::parse("7.5.0.9").expect("a version"),
        sha256: SimImage::described("7.5.0.9", SIZE).sha256,
        fetch: Some(HOP_URL.to_owned()),
        ..plan.firmware.clone()
    }];
}

fn site() -> SiteName {
    SiteName::new("default").expect("a name")
}

fn at(text: &str) -> Timestamp {
    text.parse().expect("a time")
}

fn nightly(from: i8, to: i8) -> Window {
    let time = |hour| Time::constant(hour, 0, 0, 0);
    Window::Weekly { days: [true; 7], from: time(from), to: Close::At(time(to)) }
}

fn calendar(windows: Vec<Window>, freezes: Vec<Freeze>) -> BTreeMap<SiteName, Calendar> {
    let windows = if windows.is_empty() { Vec::new() } else { vec![windows] };
    BTreeMap::from([(site(), Calendar { time_zone: "UTC".to_owned(), windows, freezes })])
}

/// Nobody was down outside these spans.
fn check_spans(world: &World, spans: &[(&str, &str)]) {
    let spans: Vec<_> = spans.iter().map(|(from, until)| (at(from), at(until))).collect();
    let open = world.fleet.appliances().map(|a| (a.name().clone(), spans.clone())).collect();
    let found = violations(world.ledger(), &Limits { open, ..Limits::default() });
    assert!(found.is_empty(), "{found:#?}");
}

fn reason(world: &World, of: &str) -> model::hold::HoldReason {
    let run = world.folded();
    let mut reasons = executor::reasons(&run, &Default::default(), world.ports.clock.now());
    reasons.remove(of).unwrap_or_else(|| panic!("{of} is {}", run.appliances[of].phase.name()))
}

#[tokio::test(start_paused = true)]
async fn who_does_not_fit_into_this_window_waits_for_the_next() {
    // It is 20:00; the configured durations add up to 73 minutes, and what was seen is shorter.
    let world = World::new(specs(12), FaultPlan::default(), |plan| {
        plan.calendars = calendar(vec![nightly(22, 0)], Vec::new());
    })
    .await;
    assert_eq!(
        world.run_with(Options { no_wait: true, ..Default::default() }).await,
        Ending::Waits
    );
    assert_eq!(world.phase("a0000"), Phase::Ready, "staged early, then it waits");
    let why = reason(&world, "a0000");
    assert_eq!((why.code(), why.until()), ("outside-window", Some(at("2026-12-01T22:00:00Z"))));
    assert_eq!(world.run().await, DONE);
    world.check_all_upgraded();
    check_spans(
        &world,
        &[
            ("2026-12-01T22:00:00Z", "2026-12-02T00:00:00Z"),
            ("2026-12-02T22:00:00Z", "2026-12-03T00:00:00Z"),
        ],
    );
    assert!(world.ports.clock.now() < at("2026-12-03T00:00:00Z"));
}

#[tokio::test(start_paused = true)]
async fn a_window_that_is_too_short_for_anybody_waits_for_a_person() {
    let world = World::new(specs(1), FaultPlan::default(), |plan| {
        plan.calendars = calendar(vec![nightly(22, 23)], Vec::new());
    })
    .await;
    assert_eq!(world.run().await, Ending::Held);
    assert_eq!(world.upgrades("a0000"), 0);
    let why = reason(&world, "a0000");
    assert!(why.needs_person() && why.until().is_none(), "{why}");
}

#[tokio::test(start_paused = true)]
async fn a_freeze_wins_until_a_person_lifts_it() {
    let freeze = Freeze {
        from: "2026-12-01T00:00".parse().expect("a time"),
        to: "2026-12-20T00:00".parse().expect("a time"),
        reason: Some("audit week".to_owned()),
    };
    let frozen = |plan: &mut Plan| plan.calendars = calendar(Vec::new(), vec![freeze.clone()]);
    let world = World::new(specs(1), FaultPlan::default(), frozen).await;
    let no_wait = Options { no_wait: true, ..Default::default() };
    assert_eq!(world.run_with(no_wait).await, Ending::Waits);
    let why = reason(&world, "a0000");
    assert_eq!((why.code(), why.until()), ("frozen", Some(at("2026-12-20T00:00:00Z"))));
    assert!(why.to_string().contains("audit week"), "{why}");
    let until = at("2026-12-02T08:00:00Z");
    world.decide(Decision::OverrideFreeze { site: site(), until }).await;
    assert_eq!(world.run().await, DONE, "{}", world.story());
    assert!(world.ports.clock.now() < until);

    let world = World::new(specs(1), FaultPlan::default(), frozen).await;
    assert_eq!(world.run().await, DONE);
    assert!(world.ports.clock.now() > at("2026-12-20T00:00:00Z"));
}

#[tokio::test(start_paused = true)]
async fn in_window_nothing_is_staged_outside_it() {
    let world = World::new(specs(2), FaultPlan::default(), |plan| {
        plan.stage = StageMode::InWindow;
        plan.calendars = calendar(vec![nightly(22, 4)], Vec::new());
    })
    .await;
    assert_eq!(world.run().await, DONE, "{}", world.story());
    let fetched = world
        .ledger()
        .entries()
        .into_iter()
        .find(|entry| entry.call().is_some_and(|call| call.is("POST /api/firmware/fetch")));
    assert!(fetched.expect("one").began >= Duration::from_hours(2), "not before 22:00");
}

#[tokio::test(start_paused = true)]
async fn a_wave_soaks_and_is_approved_before_the_next_starts() {
    let world = World::new(specs(2), FaultPlan::default(), |plan| {
        plan.waves = vec![wave("canary", &[name("a0000")]), wave("rest", &[name("a0001")])];
        plan.waves[0].soak = SignedDuration::from_hours(3);
        plan.waves[0].approval = true;
    })
    .await;
    assert_eq!(world.run().await, Ending::Held);
    assert_eq!(reason(&world, "a0001").code(), "approval-required");
    let ended = world.folded().waves_ended.values().next().copied().expect("a finished wave");
    let soaked = world.ports.clock.now().duration_since(ended);
    assert!(soaked >= SignedDuration::from_hours(3), "{soaked:?}");
    let health = world.ledger().calls_of("a0000");
    let looks = health.iter().filter(|call| call.is("GET /api/health_status")).count();
    assert!((25..=60).contains(&looks), "it was watched all the time: {looks} looks");
    let run = world.folded();
    let approve =
        |wave: &str| Decision::Approve { wave: model::WaveName::new(wave).expect("a name") };
    assert!(run.may_decide(&approve("rest")).is_err());
    assert!(run.may_decide(&approve("other")).is_err());
    world.decide(approve("canary")).await;
    assert!(world.folded().may_decide(&approve("canary")).is_err(), "once is enough");
    assert_eq!(world.run().await, DONE);
    let run = world.folded();
    assert_eq!(run.approvals.values().next().expect("an approval").by.name, "tester");
}

#[tokio::test(start_paused = true)]
async fn who_falls_ill_while_its_wave_soaks_stops_the_rollout() {
    let faults = FaultPlan::default().where_(
        "a0000",
        Behaviour::FallsIll {
            after: SignedDuration::from_mins(40),
            r#for: None,
            with: sim::Illness::Corrupted {},
        },
    );
    for soak in [SignedDuration::from_hours(2), SignedDuration::ZERO] {
        let world = World::new(specs(14), faults.clone(), |plan| {
            let names: Vec<_> = plan.appliances.keys().cloned().collect();
            plan.waves = vec![wave("canary", &names[..1]), wave("rest", &names[1..])];
            plan.waves[0].soak = soak;
            plan.failure_budget.count = Some(9);
        })
        .await;
        assert_eq!(world.run().await, Ending::Held, "{}", world.story());
        let failure = world.state("a0000").failure.expect("it failed");
        assert_eq!((failure.step, failure.code), (Step::Soak, FailureCode::VerifyFailed));
        assert_eq!(world.folded().state(false), RolloutState::Paused);
        let last = world.phase("a0013");
        assert_eq!(last, Phase::Ready, "soak {soak:?}: the others wait");
        assert_eq!(reason(&world, "a0013").code(), "soak-failed");
        world.decide(Decision::Resume).await;
        assert_eq!(world.run().await, Ending::Finished { upgraded_all: false });
        assert_eq!(world.phase("a0013"), Phase::Succeeded);
    }
}

#[tokio::test(start_paused = true)]
async fn sessions_are_waited_for_then_held_or_cut() {
    let drain = |otherwise| {
        let wait = SignedDuration::from_mins(20);
        move |plan: &mut Plan| plan.drain = Some(Drain { sessions: 2, wait, otherwise })
    };
    let open = |until| {
        let from = SignedDuration::ZERO;
        FaultPlan::default().where_("a0000", Behaviour::Sessions { open: 7, from, until })
    };
    // They end in time.
    let soon = open(Some(SignedDuration::from_mins(12)));
    let world = World::new(specs(1), soon, drain(DrainOtherwise::Hold)).await;
    assert_eq!(world.run().await, DONE);
    assert_eq!(world.state("a0000").sessions_cut, Some(0));
    // They do not.
    let world = World::new(specs(1), open(None), drain(DrainOtherwise::Hold)).await;
    assert_eq!(world.run().await, Ending::Held);
    assert_eq!(world.hold("a0000").code(), "sessions-open");
    assert_eq!(world.upgrades("a0000"), 0);
    assert!(!world.state("a0000").takes_places(), "its place is free for others");
    // They are cut, and the report says how many.
    let world = World::new(specs(1), open(None), drain(DrainOtherwise::Proceed)).await;
    assert_eq!(world.run().await, DONE);
    assert_eq!(world.state("a0000").sessions_cut, Some(7));
}

/// Runs hooks: writes down which, and answers as told.
struct Hooks {
    ran: Mutex<Vec<String>>,
    bad: Mutex<Option<&'static str>>,
}

impl CommandRunner for Hooks {
    fn run<'a>(
        &'a self,
        command: &'a Command,
        started: Box<dyn FnOnce(ProcessId) + Send + 'a>,
    ) -> BoxFuture<'a, Result<CommandOutput, CommandError>> {
        started(ProcessId { pid: 9, started: 9 });
        let of = |key: &str| {
            let found = command.env.iter().find(|(known, _)| known == key);
            found.map(|(_, value)| value.clone())
        };
        let step = of("SPSFLEET_STEP").expect("the step is named");
        let who = of("SPSFLEET_APPLIANCE").or(of("SPSFLEET_WAVE")).or(of("SPSFLEET_CLUSTER"));
        let line = format!("{step} {}", who.expect("somebody"));
        let bad = self.bad.lock().expect("unpoisoned").is_some_and(|bad| bad == line);
        self.ran.lock().expect("unpoisoned").push(line);
        let output = CommandOutput {
            code: Some(i32::from(bad)),
            stdout: String::new(),
            stderr: "monitoring is away".to_owned(),
        };
        Box::pin(std::future::ready(Ok(output)))
    }

    fn await_leftover(&self, _: ProcessId, _: Duration) -> BoxFuture<'_, bool> {
        Box::pin(std::future::ready(false))
    }
}

fn all_hooks(plan: &mut Plan) {
    let hook = Hook { command: vec!["hook".to_owned()], timeout: SignedDuration::from_mins(1) };
    plan.hooks = [
        HookKind::Before,
        HookKind::After,
        HookKind::WaveBefore,
        HookKind::WaveAfter,
        HookKind::ClusterBefore,
        HookKind::ClusterAfter,
    ]
    .into_iter()
    .map(|kind| (kind, hook.clone()))
    .collect();
}

async fn with_hooks(count: usize, bad: Option<&'static str>) -> (World, Arc<Hooks>) {
    let mut world = World::new(specs(count), FaultPlan::default(), all_hooks).await;
    let hooks = Arc::new(Hooks { ran: Mutex::default(), bad: Mutex::new(bad) });
    world.ports.commands = Arc::clone(&hooks) as Arc<dyn CommandRunner>;
    (world, hooks)
}

fn ran(hooks: &Hooks) -> Vec<String> {
    hooks.ran.lock().expect("unpoisoned").clone()
}

#[tokio::test(start_paused = true)]
async fn hooks_run_around_appliances_and_waves() {
    let (world, hooks) = with_hooks(2, None).await;
    assert_eq!(world.run().await, DONE, "{}", world.story());
    assert_eq!(
        ran(&hooks),
        [
            "wave_before all",
            "before a0000",
            "before a0001",
            "after a0000",
            "after a0001",
            "wave_after all"
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn a_failed_hook_before_is_a_hold_and_after_a_warning() {
    let (world, hooks) = with_hooks(1, Some("before a0000")).await;
    assert_eq!(world.run().await, Ending::Held);
    assert_eq!(world.upgrades("a0000"), 0);
    let why = reason(&world, "a0000");
    assert_eq!(why.code(), "hook-failed");
    assert!(why.to_string().contains("monitoring is away"), "{why}");
    assert_eq!(world.run().await, Ending::Held);
    assert_eq!(ran(&hooks).len(), 2, "it is not run again by itself");
    *hooks.bad.lock().expect("unpoisoned") = None;
    world.decide(Decision::Retry { appliances: vec![name("a0000")] }).await;
    assert_eq!(world.run().await, DONE, "{}", world.story());

    let (world, _) = with_hooks(1, Some("after a0000")).await;
    assert_eq!(world.run().await, DONE);
    let point = HookPoint::new(HookKind::After, "a0000");
    assert!(matches!(world.folded().hooks[&point].state, HookState::Failed(_)));

    let (world, _) = with_hooks(2, Some("wave_before all")).await;
    assert_eq!(world.run().await, Ending::Held);
    assert_eq!(reason(&world, "a0001").code(), "hook-failed");
}

#[tokio::test(start_paused = true)]
async fn a_hook_over_which_the_program_died_is_a_persons_to_judge() {
    for done in [true, false] {
        let (world, hooks) = with_hooks(1, None).await;
        let point = HookPoint::new(HookKind::Before, "a0000");
        crate::prefixes::run_until(&world, |run| run.hooks.contains_key(&point)).await;
        let before = ran(&hooks).iter().filter(|line| *line == "before a0000").count();
        assert_eq!(world.run().await, Ending::Held, "{}", world.story());
        assert!(world.folded().hooks[&point].state.is_unknown());
        assert_eq!(world.upgrades("a0000"), 0);
        world.decide(Decision::Resolve { appliance: name("a0000"), done }).await;
        assert_eq!(world.run().await, DONE, "{}", world.story());
        let after = ran(&hooks).iter().filter(|line| *line == "before a0000").count();
        assert_eq!(after - before, usize::from(!done), "done: it is not run again");
    }
}

#[tokio::test(start_paused = true)]
async fn hops_are_taken_in_turn_and_one_that_is_passed_is_left_out() {
    let mut ahead = spec("b");
    ahead.slots[0] = Some("7.5.0.9".to_owned());
    let world = World::new(vec![spec("a"), ahead], FaultPlan::default(), via).await;
    assert_eq!(world.run().await, DONE, "{}", world.story());
    assert_eq!((world.version("a"), world.version("b")), ("7.5.1".into(), "7.5.1".into()));
    assert_eq!((world.upgrades("a"), world.upgrades("b")), (2, 1));
    world.check_nothing_left();
}

#[tokio::test(start_paused = true)]
async fn two_entries_of_one_appliance_are_both_held() {
    let mut twin = spec("b");
    let one = spec("a");
    twin.hostname.clone_from(&one.hostname);
    twin.certificate = Some("one box".to_owned());
    let one = sim::ApplianceSpec { certificate: Some("one box".to_owned()), ..one };
    let world = World::new(vec![one, twin, spec("c")], FaultPlan::default(), |_| {}).await;
    assert_eq!(world.run().await, Ending::Held, "{}", world.story());
    for of in ["a", "b"] {
        assert_eq!(world.hold(of).code(), "same-appliance");
        assert_eq!(world.upgrades(of), 0);
    }
    assert_eq!(world.phase("c"), Phase::Succeeded);
    world.decide(Decision::Skip { appliances: vec![name("b")] }).await;
    world.decide(Decision::Retry { appliances: vec![name("a")] }).await;
    assert_eq!(world.run().await, Ending::Finished { upgraded_all: false });
    assert_eq!(world.phase("a"), Phase::Succeeded);
}

#[tokio::test(start_paused = true)]
async fn a_host_name_that_changed_since_the_last_rollout_is_a_hold() {
    let renamed = Behaviour::OtherAdmin {
        act: AdminAct::Hostname { hostname: "sps-new".to_owned() },
        when: When::At(SignedDuration::from_hours(5)),
    };
    let world = World::new(specs(1), FaultPlan::default().where_("a0000", renamed), |_| {}).await;
    assert_eq!(world.run().await, DONE);
    world.ports.clock.sleep(Duration::from_hours(8)).await;
    // The next rollout of the same journal.
    let mut plan = (*world.folded().plan).clone();
    plan.rollout = model::RolloutName::new("next").expect("a name");
    plan.firmware.version = model::FirmwareVersion::parse("7.6.0").expect("a version");
    plan.firmware.sha256 = SimImage::described("7.6.0", SIZE).sha256;
    plan.firmware.fetch = Some(crate::world::NEXT_URL.to_owned());
    plan.digest = plan.content_digest();
    let next = world.another("r2", plan).await;
    assert_eq!(next.run().await, Ending::Held, "{}", next.story());
    assert_eq!(next.hold("a0000").code(), "hostname-changed");
    next.decide(Decision::Retry { appliances: vec![name("a0000")] }).await;
    assert_eq!(next.run().await, DONE, "{}", next.story());
    assert_eq!(next.version("a0000"), "7.6.0");
}
