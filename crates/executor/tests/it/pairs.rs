//! HA pairs: their steps by a person and by power switches, what is lost on the way, and a program
//! that dies at every event.

mod around;
mod deaths;
mod switches;

use std::time::Duration;

use executor::Ending;
use jiff::SignedDuration;
use model::decision::{Decision, PersonStep};
use model::event::FailureCode;
use model::fleet::{Appliance, Ha, HaMode, PowerTarget, Reboot, UpgradeCall};
use model::hold::HoldReason;
use model::plan::Plan;
use model::run::Phase;
use sim::ledger::observer::{Limits, violations};
use sim::{ApplianceSpec, Behaviour, Fault, FaultPlan, FaultRule, Node, PowerAct, UpgradeMode};

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
    planned(faults, mode, call, |plan| change(plan, "a", tune)).await
}

async fn planned(
    faults: FaultPlan,
    mode: HaMode,
    call: UpgradeCall,
    tune: impl FnOnce(&mut Plan),
) -> World {
    let simulated = match call {
        UpgradeCall::Reboots => UpgradeMode::Reboots,
        _ => UpgradeMode::Arms,
    };
    World::new(vec![pair_spec(simulated)], faults, |plan| {
        change(plan, "a", |entry| {
            let sample = sim::sample::pair(&entry.name, mode, call);
            (entry.ha, entry.reboot) = (sample.ha, sample.reboot);
            entry.upgrade_call = call;
        });
        tune(plan);
    })
    .await
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
        let Some(step) = waited_for(world).filter(|_| done.len() < 12) else {
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
    // A person has put it right: it is judged by what it is now.
    world.decide(Decision::Retry { appliances: vec![name("a")] }).await;
    world.decide(Decision::Resume).await;
    assert_eq!(world.run().await, ALL, "{}", world.story());
    assert_eq!(taken(&world, Node::Secondary, PowerAct::On), 1);
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

    let before = FaultPlan::default().where_("a", Behaviour::SecondaryOff {});
    let world = automatic(before).await;
    world.run().await;
    let (code, text) = world.failure("a");
    assert!(code == FailureCode::TestFailed && text.contains("HA check"), "{code:?}: {text}");
    assert_eq!(world.upgrades("a"), 0);
}

#[tokio::test(start_paused = true)]
async fn an_act_that_is_taken_and_ignored_is_a_persons() {
    let cases = [
        (PowerAct::Off, PersonStep::SecondaryOff),
        (PowerAct::On, PersonStep::SecondaryOn),
        (PowerAct::Restart, PersonStep::Reboot),
    ];
    for (act, step) in cases {
        let ignored = Behaviour::PowerIgnored { act: Some(act), times: 1 };
        let world = automatic(FaultPlan::default().where_("a", ignored)).await;
        let (ending, done) = with_a_person(&world).await;
        assert_eq!((ending, done), (ALL, vec![step]), "{act:?}: {}", world.story());
        check_whole(&world);
    }
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_never_gets_the_firmware_breaks_nothing() {
    let stuck = || FaultPlan::default().where_("a", Behaviour::PeerSyncStuck {});
    let seen = world(stuck(), HaMode::Attended, UpgradeCall::Arms, |_| {}).await;
    for _ in 0..3 {
        assert_eq!(seen.run().await, Ending::Held, "a person sees that it is not there");
        assert_eq!(waited_for(&seen), Some(PersonStep::PeerHasFirmware));
        seen.ports.clock.sleep(Duration::from_hours(5)).await;
    }
    let pair = seen.fleet.appliance("a").and_then(|a| a.pair()).expect("a pair");
    assert!(pair.whole && pair.secondary_has_power, "{pair:?}");
    assert_eq!(seen.version("a"), "7.5.0");

    // Where no person looks nobody sees it; but that the pair does not come together is seen.
    let unseen = automatic(stuck()).await;
    assert_eq!(unseen.run().await, Ending::Held);
    assert_eq!(waited_for(&unseen), Some(PersonStep::PairHealthy), "{}", unseen.story());
    assert_eq!(unseen.version("a"), "7.5.1");
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
