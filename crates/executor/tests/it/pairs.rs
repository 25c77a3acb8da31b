//! HA pairs: their steps by a person and by power switches, what is lost on the way, and a program
//! that dies at every event.

use std::sync::Arc;
use std::sync::atomic::{AtomicI32, AtomicUsize, Ordering};
use std::time::Duration;

use executor::Ending;
use futures::future::BoxFuture;
use jiff::SignedDuration;
use model::decision::{Decision, PersonStep};
use model::event::{ActOutcome, ApplianceChange, Change, FailureCode};
use model::failure::{ApplianceError, FailureClass};
use model::fleet::{Appliance, Ha, HaMode, PowerTarget, Reboot, Redfish, UpgradeCall};
use model::hold::HoldReason;
use model::names::ApplianceName;
use model::ports::{
    Answer, Command, CommandError, CommandOutput, CommandRunner, PowerConnector, PowerState,
    PowerSwitch, ProcessId,
};
use model::run::Phase;
use sim::ledger::observer::{Limits, violations};
use sim::{
    ApplianceSpec, Behaviour, Fault, FaultPlan, FaultRule, Life, Node, PowerAct, UpgradeMode,
};

use crate::prefixes::{run_and_die, tell};
use crate::world::{World, change, name, spec};

fn pair_spec(mode: UpgradeMode) -> ApplianceSpec {
    let mut spec = spec("a");
    spec.ha = true;
    spec.upgrade_call = mode;
    spec
}

async fn world(
    faults: FaultPlan,
    mode: HaMode,
    call: UpgradeCall,
    tune: impl FnOnce(&mut Appliance),
) -> World {
    let simulated = match call {
        UpgradeCall::Reboots => UpgradeMode::Reboots,
        _ => UpgradeMode::Arms,
    };
    let mut world = World::new(vec![pair_spec(simulated)], faults, |plan| {
        change(plan, "a", |entry| {
            let sample = sim::sample::pair(&entry.name, mode, call);
            (entry.ha, entry.reboot) = (sample.ha, sample.reboot);
            entry.upgrade_call = call;
            tune(entry);
        });
    })
    .await;
    world.ports.power = world.fleet.power();
    world
}

async fn automatic(faults: FaultPlan) -> World {
    world(faults, HaMode::Automatic, UpgradeCall::Arms, |_| {}).await
}

async fn tuned(faults: FaultPlan, tune: impl FnOnce(&mut Ha)) -> World {
    let tune = |entry: &mut Appliance| tune(entry.ha.as_mut().expect("a pair"));
    world(faults, HaMode::Automatic, UpgradeCall::Arms, tune).await
}

fn lost(request: &str) -> FaultPlan {
    FaultPlan::default().with(FaultRule::once(request, Fault::ReplyLost))
}

/// What a person does at the machines.
async fn by_hand(world: &World, step: PersonStep) {
    let appliance = world.fleet.appliance("a").expect("it is there");
    match step {
        PersonStep::SecondaryOff => appliance.secondary_off(),
        PersonStep::SecondaryOn => appliance.secondary_on(),
        PersonStep::Reboot => appliance.reboot(),
        PersonStep::PeerHasFirmware | PersonStep::PairHealthy => {}
    }
    // A reboot is confirmed at once; for all else the person looks until it is so.
    if step != PersonStep::Reboot {
        world.ports.clock.sleep(Duration::from_mins(6)).await;
    }
    // One that does not shut down is unplugged.
    let has_power = || appliance.pair().is_some_and(|pair| pair.secondary_has_power);
    if step == PersonStep::SecondaryOff && has_power() {
        let redfish = sim::sample::redfish(appliance.name(), Node::Secondary);
        let switch = world.fleet.power().connect(&redfish, appliance.name());
        switch.force_off().await.expect("it is done");
    }
}

/// The step that a person is waited for.
fn waited_for(world: &World) -> Option<PersonStep> {
    match world.state("a").hold? {
        HoldReason::AttendedStep { step, .. } | HoldReason::PowerFailed { step, .. } => Some(step),
        HoldReason::SecondaryNotProven { .. } => Some(PersonStep::SecondaryOff),
        HoldReason::RebootFailed { .. } => Some(PersonStep::Reboot),
        _ => None,
    }
}

async fn confirm(world: &World, step: PersonStep) {
    world.decide(Decision::Confirm { appliance: name("a"), step }).await;
}

/// Runs on; a person does and confirms whatever is waited for.
async fn with_a_person(world: &World) -> (Ending, Vec<PersonStep>) {
    let mut done = Vec::new();
    loop {
        let ending = world.run().await;
        if world.phase("a") == Phase::Unknown {
            // The appliance's own log says whether the call acted.
            let done = world.upgrades("a") > 0;
            world.decide(Decision::Resolve { appliance: name("a"), done }).await;
            continue;
        }
        let Some(step) = waited_for(world).filter(|_| done.len() < 8) else {
            return (ending, done);
        };
        by_hand(world, step).await;
        confirm(world, step).await;
        done.push(step);
    }
}

fn taken(world: &World, node: Node, act: PowerAct) -> usize {
    let entries = world.ledger().entries();
    entries.iter().filter_map(sim::Entry::power).filter(|power| power.took(node, act)).count()
}

fn broken_rules(world: &World) -> Vec<String> {
    let limits = Limits { target: Some("7.5.1".to_owned()), ended: true, ..Limits::default() };
    violations(world.ledger(), &limits)
}

fn check_whole(world: &World) {
    world.check_all_upgraded();
    let pair = world.fleet.appliance("a").and_then(|a| a.pair()).expect("a pair");
    assert!(pair.whole && pair.secondary_has_power && !pair.broken, "{pair:?}");
    assert_eq!(pair.secondary_holds, "7.5.1");
    assert_eq!(broken_rules(world), Vec::<String>::new(), "{}", world.story());
    assert!(world.folded().debts().is_empty());
}

const ALL: Ending = Ending::Finished { upgraded_all: true };

#[tokio::test(start_paused = true)]
async fn a_person_does_and_confirms_every_step() {
    let world = world(FaultPlan::default(), HaMode::Attended, UpgradeCall::Arms, |_| {}).await;
    let (ending, done) = with_a_person(&world).await;
    assert_eq!(ending, ALL, "{}", world.story());
    assert_eq!(done, PersonStep::ALL);
    check_whole(&world);
}

#[tokio::test(start_paused = true)]
async fn confirms_reach_a_running_program() {
    let world = world(FaultPlan::default(), HaMode::Attended, UpgradeCall::Arms, |_| {}).await;
    let executor =
        world.load(executor::Options { stay_for_person: true, ..Default::default() }).await;
    let handle = executor.handle();
    let script = async {
        for step in PersonStep::ALL {
            while waited_for(&world) != Some(step) {
                world.ports.clock.sleep(Duration::from_secs(5)).await;
            }
            by_hand(&world, step).await;
            let decision = Decision::Confirm { appliance: name("a"), step };
            let done = handle.decide(crate::world::actor(), "done".to_owned(), decision).await;
            // The restart may have been seen before the person said so.
            assert!(done.is_ok() || step == PersonStep::Reboot, "{step:?}: {done:?}");
        }
    };
    let (ending, ()) = futures::join!(executor.run(), script);
    assert_eq!(ending, ALL, "{}", world.story());
    check_whole(&world);
}

#[tokio::test(start_paused = true)]
async fn what_a_person_does_is_seen_where_it_can_be() {
    let target = |entry: &mut Appliance| {
        let redfish = sim::sample::redfish(&entry.name, Node::Secondary);
        entry.ha.as_mut().expect("a pair").secondary_power = Some(PowerTarget::Redfish(redfish));
        entry.reboot = Reboot::Redfish(sim::sample::redfish(&entry.name, Node::Primary));
    };
    let world = world(FaultPlan::default(), HaMode::Attended, UpgradeCall::Arms, target).await;
    assert_eq!(world.run().await, Ending::Held);
    by_hand(&world, PersonStep::PeerHasFirmware).await;
    confirm(&world, PersonStep::PeerHasFirmware).await;
    assert_eq!(world.run().await, Ending::Held);
    assert_eq!(waited_for(&world), Some(PersonStep::SecondaryOff));
    by_hand(&world, PersonStep::SecondaryOff).await;
    assert_eq!(world.run().await, Ending::Held, "it is seen off, and rebooted through Redfish");
    assert_eq!(waited_for(&world), Some(PersonStep::SecondaryOn), "{}", world.story());
    by_hand(&world, PersonStep::SecondaryOn).await;
    let (ending, done) = with_a_person(&world).await;
    assert_eq!(ending, ALL);
    assert!(!done.contains(&PersonStep::Reboot), "{done:?}");
    check_whole(&world);
    assert_eq!(taken(&world, Node::Secondary, PowerAct::Off), 0);
}

#[tokio::test(start_paused = true)]
async fn power_switches_do_every_step() {
    let world = automatic(FaultPlan::default()).await;
    assert_eq!(world.run().await, ALL, "{}", world.story());
    check_whole(&world);
    assert_eq!(taken(&world, Node::Secondary, PowerAct::Off), 1);
    assert_eq!(taken(&world, Node::Secondary, PowerAct::ForceOff), 0);
    assert_eq!(taken(&world, Node::Secondary, PowerAct::On), 1);
    assert_eq!(taken(&world, Node::Primary, PowerAct::Restart), 1);
}

#[tokio::test(start_paused = true)]
async fn lost_replies_are_looked_after_and_nothing_is_sent_twice() {
    for request in ["POWER /secondary/off", "POWER /secondary/on", "POWER /primary/restart"] {
        let world = automatic(lost(request)).await;
        assert_eq!(world.run().await, ALL, "{request}: {}", world.story());
        check_whole(&world);
    }
}

#[tokio::test(start_paused = true)]
async fn an_act_of_which_nobody_knows_is_left_to_a_person() {
    let cases = [
        ("POWER /secondary/off", PersonStep::SecondaryOff),
        ("POWER /secondary/on", PersonStep::SecondaryOn),
        ("POWER /primary/restart", PersonStep::Reboot),
    ];
    for (request, step) in cases {
        let fault = Fault::status(503);
        let world = automatic(FaultPlan::default().with(FaultRule::once(request, fault))).await;
        let (ending, done) = with_a_person(&world).await;
        assert_eq!(ending, ALL, "{request}: {}", world.story());
        assert_eq!(done, [step], "{request}");
        check_whole(&world);
    }
}

/// Power switches that no connection reaches, so many times for each act.
struct Deaf {
    inner: Arc<dyn PowerConnector>,
    times: usize,
}

struct DeafSwitch {
    inner: Arc<dyn PowerSwitch>,
    left: [AtomicUsize; 3],
}

impl PowerConnector for Deaf {
    fn connect(&self, redfish: &Redfish, of: &ApplianceName) -> Arc<dyn PowerSwitch> {
        let left = [self.times; 3].map(AtomicUsize::new);
        Arc::new(DeafSwitch { inner: self.inner.connect(redfish, of), left })
    }
}

impl DeafSwitch {
    fn heard<'a>(&'a self, act: usize, answer: Answer<'a, ()>) -> Answer<'a, ()> {
        let left = &self.left[act];
        if left.load(Ordering::Relaxed) == 0 {
            return answer;
        }
        left.fetch_sub(1, Ordering::Relaxed);
        Box::pin(std::future::ready(Err(ApplianceError {
            class: FailureClass::Unreachable,
            request: "POST Reset".to_owned(),
            host: "bmc".to_owned(),
            detail: "connection refused".to_owned(),
            status: None,
            error_type: None,
            test_summary: None,
            retry_after: None,
        })))
    }
}

impl PowerSwitch for DeafSwitch {
    fn state(&self) -> Answer<'_, PowerState> {
        self.inner.state()
    }

    fn on(&self) -> Answer<'_, ()> {
        self.heard(0, self.inner.on())
    }

    fn off(&self) -> Answer<'_, ()> {
        self.heard(1, self.inner.off())
    }

    fn force_off(&self) -> Answer<'_, ()> {
        self.inner.force_off()
    }

    fn restart(&self) -> Answer<'_, ()> {
        self.heard(2, self.inner.restart())
    }
}

#[tokio::test(start_paused = true)]
async fn a_service_that_cannot_be_reached_is_asked_again() {
    let mut world = automatic(FaultPlan::default()).await;
    let inner = world.fleet.power();
    world.ports.power = Arc::new(Deaf { inner, times: 1 });
    // Restart is connected for anew each time it is asked for: it is never heard.
    let (ending, done) = with_a_person(&world).await;
    assert_eq!((ending, done), (ALL, vec![PersonStep::Reboot]), "{}", world.story());
    check_whole(&world);
    let not_done = |event: &&model::event::Event| {
        let Change::Appliance(_, ApplianceChange::Outcome { outcome, .. }) = &event.change else {
            return false;
        };
        *outcome == ActOutcome::NotDone
    };
    assert_eq!(world.journal.all().iter().filter(not_done).count(), 7, "{}", world.story());
}

#[tokio::test(start_paused = true)]
async fn a_refused_act_waits_for_a_person_who_says_retry() {
    let conflict = || Fault::Status {
        code: 409,
        r#type: Some("Base.1.8.ResourceInUse".to_owned()),
        message: Some("busy".to_owned()),
        retry_after: None,
        acts: false,
    };
    for request in ["POWER /secondary/off", "POWER /secondary/on"] {
        let rule = FaultRule::once(request, conflict());
        let world = automatic(FaultPlan::default().with(rule)).await;
        assert_eq!(world.run().await, Ending::Held, "{request}");
        assert!(matches!(world.hold("a"), HoldReason::PowerFailed { .. }), "{}", world.story());
        world.decide(Decision::Retry { appliances: vec![name("a")] }).await;
        assert_eq!(world.run().await, ALL, "{request}: {}", world.story());
        check_whole(&world);
    }
}

#[tokio::test(start_paused = true)]
async fn the_wrong_node_is_switched_on_again_and_the_pair_fails() {
    let world = automatic(FaultPlan::default().where_("a", Behaviour::SwitchIsPrimary {})).await;
    let ending = world.run().await;
    assert_eq!(ending, Ending::Held, "the budget is reached: {}", world.story());
    let (code, text) = world.failure("a");
    assert_eq!(code, FailureCode::NotReady, "{text}");
    assert!(text.contains("is not the secondary: it was switched on again"), "{text}");
    assert_eq!(taken(&world, Node::Secondary, PowerAct::Off), 1);
    assert_eq!(taken(&world, Node::Secondary, PowerAct::On), 1);
    assert!(world.folded().debts().is_empty());
    world.ports.clock.sleep(Duration::from_mins(20)).await;
    let pair = world.fleet.appliance("a").and_then(|a| a.pair()).expect("a pair");
    assert!(pair.secondary_has_power && !pair.broken, "{pair:?}");
}

#[tokio::test(start_paused = true)]
async fn a_shutdown_that_never_ends_is_a_persons_or_forced() {
    let slow = || {
        let by = SignedDuration::from_hours(30);
        FaultPlan::default().where_("a", Behaviour::SlowShutdown { by })
    };
    let world = automatic(slow()).await;
    assert_eq!(world.run().await, Ending::Held);
    assert_eq!(waited_for(&world), Some(PersonStep::SecondaryOff), "{}", world.story());
    assert_eq!(taken(&world, Node::Secondary, PowerAct::ForceOff), 0);
    assert_eq!(world.folded().debts().len(), 1);

    let after = SignedDuration::from_mins(5);
    let world = tuned(slow(), |ha| ha.force_off_after = Some(after)).await;
    assert_eq!(world.run().await, ALL, "{}", world.story());
    check_whole(&world);
    assert_eq!(taken(&world, Node::Secondary, PowerAct::Off), 1);
    assert_eq!(taken(&world, Node::Secondary, PowerAct::ForceOff), 1);

    let mut faults = slow();
    faults = faults.with(FaultRule::once("POWER /secondary/force_off", Fault::ReplyLost));
    let world = tuned(faults, |ha| ha.force_off_after = Some(after)).await;
    assert_eq!(world.run().await, ALL, "{}", world.story());
    check_whole(&world);
}

#[tokio::test(start_paused = true)]
async fn a_secondary_that_was_off_before_is_a_persons() {
    let world = automatic(FaultPlan::default()).await;
    let appliance = world.fleet.appliance("a").expect("it is there");
    let off = async {
        while !matches!(world.state("a").upgrade, Some(upgrade) if upgrade.armed_at.is_some()) {
            world.ports.clock.sleep(Duration::from_secs(5)).await;
        }
        appliance.secondary_off();
    };
    let executor = world.load(executor::Options::default()).await;
    let (ending, ()) = futures::join!(executor.run(), off);
    assert_eq!(ending, Ending::Held);
    assert_eq!(waited_for(&world), Some(PersonStep::SecondaryOff), "{}", world.story());
    assert_eq!(taken(&world, Node::Secondary, PowerAct::Off), 0);
}

#[tokio::test(start_paused = true)]
async fn a_reverted_primary_keeps_its_secondary_off() {
    let world = automatic(FaultPlan::default().where_("a", Behaviour::Revert { times: 1 })).await;
    world.run().await;
    assert_eq!(world.failure("a").0, FailureCode::Reverted);
    assert_eq!(taken(&world, Node::Secondary, PowerAct::On), 0);
    let debts = world.folded().debts();
    assert!(matches!(&debts[..], [debt] if debt.stuck.is_some()), "{debts:?}");
    let again = world.run().await;
    assert_eq!(again, Ending::Held);
    assert_eq!(taken(&world, Node::Secondary, PowerAct::On), 0, "not after a restart either");
    assert_eq!(broken_rules(&world), Vec::<String>::new());
}

#[tokio::test(start_paused = true)]
async fn a_pair_whose_call_reboots_is_only_waited_for() {
    let quiet = FaultPlan::default;
    let world_ = world(quiet(), HaMode::Automatic, UpgradeCall::Reboots, |_| {}).await;
    assert_eq!(world_.run().await, ALL, "{}", world_.story());
    check_whole(&world_);
    let world = world(quiet(), HaMode::Attended, UpgradeCall::Reboots, |_| {}).await;
    let (ending, done) = with_a_person(&world).await;
    assert_eq!((ending, done), (ALL, vec![PersonStep::PairHealthy]), "{}", world.story());
    check_whole(&world);
}

#[tokio::test(start_paused = true)]
async fn a_reboot_that_is_confirmed_and_does_not_come_is_held_again() {
    let world = world(FaultPlan::default(), HaMode::Attended, UpgradeCall::Arms, |_| {}).await;
    for step in [PersonStep::PeerHasFirmware, PersonStep::SecondaryOff] {
        assert_eq!(world.run().await, Ending::Held);
        by_hand(&world, step).await;
        confirm(&world, step).await;
    }
    assert_eq!(world.run().await, Ending::Held);
    confirm(&world, PersonStep::Reboot).await;
    assert_eq!(world.run().await, Ending::Held);
    assert!(matches!(world.hold("a"), HoldReason::RebootFailed { .. }), "{}", world.story());
    let (ending, done) = with_a_person(&world).await;
    assert_eq!(ending, ALL, "{}", world.story());
    assert_eq!(done.first(), Some(&PersonStep::Reboot));
    check_whole(&world);
}

/// Programs that press the simulated nodes' buttons.
struct Programs {
    power: Arc<dyn PowerSwitch>,
    check: Arc<AtomicI32>,
}

impl CommandRunner for Programs {
    fn run<'a>(
        &'a self,
        command: &'a Command,
        started: Box<dyn FnOnce(ProcessId) + Send + 'a>,
    ) -> BoxFuture<'a, Result<CommandOutput, CommandError>> {
        started(ProcessId { pid: 7, started: 7 });
        Box::pin(async move {
            let output = |code, stdout: &str| CommandOutput {
                code: Some(code),
                stdout: stdout.to_owned(),
                stderr: String::new(),
            };
            let step = command.env.iter().find(|(key, _)| key == "SPSFLEET_STEP");
            let step = step.map(|(_, step)| step.as_str()).expect("the step is told");
            let done = match command.words[0].as_str() {
                "check" => {
                    assert_eq!(step, "secondary-off");
                    return Ok(output(self.check.load(Ordering::Relaxed), ""));
                }
                "state" => {
                    let state = self.power.state().await.expect("a state");
                    let word = if state == PowerState::On { "ON\n" } else { "off\n" };
                    return Ok(output(0, word));
                }
                "on" => {
                    assert_eq!(step, "secondary-on");
                    self.power.on().await
                }
                "off" => {
                    assert_eq!(step, "secondary-off");
                    self.power.off().await
                }
                other => panic!("{other} is not there"),
            };
            Ok(output(i32::from(done.is_err()), ""))
        })
    }

    fn await_leftover(&self, _: ProcessId, _: Duration) -> BoxFuture<'_, bool> {
        Box::pin(std::future::ready(false))
    }
}

async fn by_programs(faults: FaultPlan) -> (World, Arc<AtomicI32>) {
    let words = |word: &str| vec![word.to_owned()];
    let mut world = tuned(faults, |ha| {
        ha.secondary_check = Some(words("check"));
        let (on, off, state) = (words("on"), words("off"), words("state"));
        ha.secondary_power = Some(PowerTarget::Command { on, off, state });
    })
    .await;
    let redfish = sim::sample::redfish(&name("a"), Node::Secondary);
    let check = Arc::new(AtomicI32::new(0));
    let power = world.fleet.power().connect(&redfish, &name("a"));
    world.ports.commands = Arc::new(Programs { power, check: Arc::clone(&check) });
    (world, check)
}

#[tokio::test(start_paused = true)]
async fn programs_switch_as_a_service_does() {
    let (world, _) = by_programs(FaultPlan::default()).await;
    assert_eq!(world.run().await, ALL, "{}", world.story());
    check_whole(&world);
    let started = |event: &&model::event::Event| {
        matches!(event.change, Change::Appliance(_, ApplianceChange::CommandStarted(_)))
    };
    assert_eq!(world.journal.all().iter().filter(started).count(), 2, "of the two acts only");
    // A program that ended ill may have done its work: it is looked after.
    for request in ["POWER /secondary/off", "POWER /secondary/on"] {
        let (world, _) = by_programs(lost(request)).await;
        assert_eq!(world.run().await, ALL, "{request}: {}", world.story());
        check_whole(&world);
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_not_proven_to_be_the_secondary_is_not_switched_off() {
    let (world, check) = by_programs(FaultPlan::default()).await;
    check.store(1, Ordering::Relaxed);
    assert_eq!(world.run().await, Ending::Held);
    assert!(matches!(world.hold("a"), HoldReason::SecondaryNotProven { .. }), "{}", world.story());
    assert_eq!(taken(&world, Node::Secondary, PowerAct::Off), 0);
    check.store(0, Ordering::Relaxed);
    world.decide(Decision::Retry { appliances: vec![name("a")] }).await;
    assert_eq!(world.run().await, ALL, "{}", world.story());
    check_whole(&world);
}

/// A way to run a pair, for the deaths of the program.
struct Story {
    name: &'static str,
    faults: fn() -> FaultPlan,
    mode: HaMode,
    call: UpgradeCall,
    force: bool,
}

#[tokio::test(start_paused = true)]
async fn a_death_at_any_event_breaks_no_pair() {
    fn quiet() -> FaultPlan {
        FaultPlan::default()
    }
    fn slow() -> FaultPlan {
        let by = SignedDuration::from_hours(30);
        quiet().where_("a", Behaviour::SlowShutdown { by })
    }
    let story = |name, faults, mode, call, force| Story { name, faults, mode, call, force };
    use HaMode::{Attended, Automatic};
    use UpgradeCall::{Arms, Reboots};
    let stories = [
        story("automatic", quiet, Automatic, Arms, false),
        story("attended", quiet, Attended, Arms, false),
        story("automatic, reboots", quiet, Automatic, Reboots, false),
        story("forced", slow, Automatic, Arms, true),
        story("off lost", || lost("POWER /secondary/off"), Automatic, Arms, false),
        story("on lost", || lost("POWER /secondary/on"), Automatic, Arms, false),
    ];
    let absences = [Duration::ZERO, Duration::from_secs(12), Duration::from_mins(20)];
    let (mut wrong, mut runs) = (Vec::new(), 0);
    for story in &stories {
        let fresh = || {
            world((story.faults)(), story.mode, story.call, |entry| {
                let ha = entry.ha.as_mut().expect("a pair");
                ha.force_off_after = story.force.then(|| SignedDuration::from_mins(5));
            })
        };
        let whole = fresh().await;
        assert_eq!(with_a_person(&whole).await.0, ALL, "{}: {}", story.name, whole.story());
        for prefix in 1..whole.journal.all().len() {
            for absence in absences {
                let world = fresh().await;
                run_and_die(&world, prefix).await;
                world.ports.clock.sleep(absence).await;
                let (ending, done) = with_a_person(&world).await;
                runs += 1;
                let told = format!("{}, event {prefix}, away {absence:?}", story.name);
                let pair = world.fleet.appliance("a").and_then(|a| a.pair()).expect("a pair");
                if ending != ALL || !pair.whole || world.phase("a") != Phase::Succeeded {
                    wrong.push(format!("{told}: {ending:?} {done:?} {pair:?}\n{}", world.story()));
                }
                for rule in broken_rules(&world) {
                    wrong.push(format!("{told}: {rule} ({done:?})\n{}", world.story()));
                }
            }
        }
    }
    let summary = format!("{runs} deaths of {} stories, {} wrong", stories.len(), wrong.len());
    let shown = wrong.iter().take(3).cloned().collect::<Vec<_>>().join("\n\n");
    assert!(wrong.is_empty(), "{summary}\n{shown}");
    assert!(runs > 300, "{summary}");
    tell(&summary);
}

#[tokio::test(start_paused = true)]
async fn a_death_while_the_wrong_node_is_off_still_brings_it_back() {
    let fresh = || automatic(FaultPlan::default().where_("a", Behaviour::SwitchIsPrimary {}));
    let whole = fresh().await;
    whole.run().await;
    let events = whole.journal.all().len();
    for prefix in 1..events {
        let world = fresh().await;
        run_and_die(&world, prefix).await;
        let (_, done) = with_a_person(&world).await;
        world.ports.clock.sleep(Duration::from_mins(20)).await;
        let pair = world.fleet.appliance("a").and_then(|a| a.pair()).expect("a pair");
        assert!(pair.secondary_has_power, "event {prefix}: {pair:?} {done:?}\n{}", world.story());
        let life = world.ledger().life_of("a");
        let broken = life.iter().any(|life| matches!(life, Life::PairBroken { .. }));
        assert!(!broken, "event {prefix}: {}", world.story());
        for act in [PowerAct::Off, PowerAct::On] {
            assert!(taken(&world, Node::Secondary, act) <= 1, "event {prefix}: {}", world.story());
        }
    }
}
