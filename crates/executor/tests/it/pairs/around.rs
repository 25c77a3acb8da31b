//! Pairs and what is around them: windows, hops, bundles, and what concerns single appliances too.

use std::time::Duration;

use executor::Ending;
use model::calendar::{Calendar, Freeze};
use model::decision::{Decision, PersonStep};
use model::event::{ApplianceChange, Change, Event};
use model::fleet::{HaMode, Reboot, UpgradeCall};
use model::hold::HoldReason;
use model::plan::Plan;
use model::rollout::Firmware;
use model::run::Phase;
use sim::{Behaviour, FaultPlan, FaultRule, Node, PowerAct, SimImage, UpgradeMode};

use super::{ALL, automatic, check_whole, lost, planned, taken, with_a_person};
use crate::prefixes::run_and_die;
use crate::world::{SIZE, World, change, name, spec};

fn quiet() -> FaultPlan {
    FaultPlan::default()
}

/// No appliance may go down around midnight of the first day.
fn frozen(plan: &mut Plan) {
    let freeze = Freeze {
        from: "2026-12-01T23:30".parse().expect("a time"),
        to: "2026-12-02T00:30".parse().expect("a time"),
        reason: None,
    };
    let time_zone = "UTC".to_owned();
    let calendar = Calendar { time_zone, windows: Vec::new(), freezes: vec![freeze] };
    let site = plan.appliances.values().next().expect("a member").site.clone();
    plan.calendars.insert(site, calendar);
}

/// How many events there are until the first that is so.
fn events_until(world: &World, is: impl Fn(&ApplianceChange) -> bool) -> usize {
    let is = |event: &Event| matches!(&event.change, Change::Appliance(_, change) if is(change));
    world.journal.all().iter().position(is).expect("there is one")
}

#[tokio::test(start_paused = true)]
async fn an_armed_pair_is_left_alone_while_its_window_is_closed() {
    let fresh = || planned(quiet(), HaMode::Automatic, UpgradeCall::Arms, frozen);
    let is_off = |change: &ApplianceChange| {
        matches!(change, ApplianceChange::PairStepDone { step: PersonStep::SecondaryOff, .. })
    };
    let whole = fresh().await;
    assert_eq!(whole.run().await, ALL, "{}", whole.story());
    let armed = events_until(&whole, |change| *change == ApplianceChange::Armed);
    for (until, off) in [(armed, 0), (events_until(&whole, is_off), 1)] {
        let world = fresh().await;
        run_and_die(&world, until).await;
        // It is 23:42 when somebody looks again.
        world.ports.clock.sleep(Duration::from_mins(220)).await;
        let ending =
            world.run_with(executor::Options { no_wait: true, ..Default::default() }).await;
        assert_eq!(ending, Ending::Held, "{}", world.story());
        let held = world.hold("a");
        assert!(matches!(held, HoldReason::ArmedOutsideWindow { .. }), "{held:?}");
        assert_eq!(taken(&world, Node::Secondary, PowerAct::Off), off);
        assert_eq!(taken(&world, Node::Primary, PowerAct::Restart), 0);
        let mut ending = world.run().await;
        if ending == Ending::Held {
            world.ports.clock.sleep(Duration::from_hours(1)).await;
            ending = world.run().await;
        }
        assert_eq!(ending, ALL, "{}", world.story());
        check_whole(&world);
    }
}

#[tokio::test(start_paused = true)]
async fn a_single_appliance_is_rebooted_through_redfish() {
    for request in [None, Some("POWER /primary/restart")] {
        let mut arms = spec("a");
        arms.upgrade_call = UpgradeMode::Arms;
        let faults = request.map_or_else(quiet, lost);
        let world = World::new(vec![arms], faults, |plan| {
            change(plan, "a", |entry| {
                entry.reboot = Reboot::Redfish(sim::sample::redfish(&entry.name, Node::Primary));
            });
        })
        .await;
        assert_eq!(world.run().await, ALL, "{}", world.story());
        world.check_all_upgraded();
        assert_eq!(taken(&world, Node::Primary, PowerAct::Restart), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn a_person_confirms_the_reboot_of_a_single_appliance() {
    let mut arms = spec("a");
    arms.upgrade_call = UpgradeMode::Arms;
    let world = World::new(vec![arms], quiet(), |_| {}).await;
    assert_eq!(world.run().await, Ending::Held);
    assert!(matches!(world.hold("a"), HoldReason::OperatorReboot { .. }));
    let confirm = Decision::Confirm { appliance: name("a"), step: PersonStep::Reboot };
    world.decide(confirm.clone()).await;
    assert_eq!(world.run().await, Ending::Held, "it was not rebooted after all");
    assert!(matches!(world.hold("a"), HoldReason::RebootFailed { .. }), "{}", world.story());
    world.fleet.appliance("a").expect("it is there").reboot();
    world.decide(confirm).await;
    assert_eq!(world.run().await, ALL, "{}", world.story());
    world.check_all_upgraded();
}

#[tokio::test(start_paused = true)]
async fn a_primary_that_falls_silent_while_the_pair_rejoins_counts_as_down() {
    let world = automatic(quiet()).await;
    let appliance = world.fleet.appliance("a").expect("it is there");
    let script = async {
        while !world.state("a").pair.is_done(PersonStep::SecondaryOn) {
            world.ports.clock.sleep(Duration::from_secs(1)).await;
        }
        appliance.power_off();
        world.ports.clock.sleep(Duration::from_mins(1)).await;
        let silent = world.state("a");
        appliance.power_on();
        silent
    };
    let executor = world.load(executor::Options::default()).await;
    let (ending, silent) = futures::join!(executor.run(), script);
    assert!(silent.dark && silent.phase == Phase::Verifying, "{:?}", silent.phase);
    assert_eq!(ending, ALL, "{}", world.story());
    assert!(!world.state("a").is_down());
}

#[tokio::test(start_paused = true)]
async fn a_pair_goes_over_several_versions() {
    const VIA: &str = "https://repo.example/sps-7.5.0.9.iso";
    for mode in [HaMode::Automatic, HaMode::Attended] {
        let world = planned(quiet(), mode, UpgradeCall::Arms, |plan| {
            let image = SimImage::described("7.5.0.9", SIZE);
            plan.via = vec![Firmware {
                version: "7.5.0.9".parse().expect("a version"),
                sha256: image.sha256,
                fetch: Some(VIA.to_owned()),
                ..plan.firmware.clone()
            }];
        })
        .await;
        world.fleet.images().offer(VIA, SimImage::described("7.5.0.9", SIZE));
        let (ending, done) = with_a_person(&world).await;
        assert_eq!(ending, ALL, "{}", world.story());
        let persons = if mode == HaMode::Attended { 2 * PersonStep::ALL.len() } else { 0 };
        assert_eq!(done.len(), persons, "{done:?}");
        assert_eq!(world.version("a"), "7.5.1");
        assert_eq!(world.upgrades("a"), 2);
        let pair = world.fleet.appliance("a").and_then(|a| a.pair()).expect("a pair");
        assert!(pair.whole && pair.secondary_holds == "7.5.1", "{pair:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_failure_leaves_a_support_bundle_or_says_why_not() {
    let folder = std::env::temp_dir().join(format!("spsfleet-bundles-{}", std::process::id()));
    let summary = "Disk check failed".to_owned();
    let fails =
        || quiet().where_("a", Behaviour::TestFails { summary: summary.clone(), times: None });
    let gone = FaultRule::once("POST /api/troubleshooting/support-bundle", sim::Fault::status(500));
    for (faults, kept) in [(fails(), true), (fails().with(gone), false)] {
        let mut world = World::new(vec![spec("a")], faults, |plan| {
            plan.checks.support_bundle = true;
        })
        .await;
        world.ports.bundles = Some(folder.clone());
        world.run().await;
        let events = world.journal.all();
        let said: Vec<_> = events
            .iter()
            .filter_map(|event| match &event.change {
                Change::Appliance(_, ApplianceChange::Bundled { path, saw }) => Some((path, saw)),
                _ => None,
            })
            .collect();
        let [(path, saw)] = said[..] else { panic!("{said:?}") };
        assert_eq!(path.is_some(), kept, "{saw}");
        if let Some(path) = path {
            assert!(path.contains("/r1/a-") && path.ends_with(".bundle"), "{path}");
            assert!(std::fs::metadata(path).expect("a file").len() > 0);
        }
        let deleted = world.ledger().count("a", "DELETE /api/troubleshooting/support-bundle/{key}");
        assert_eq!(deleted, usize::from(kept));
        world.run().await;
        assert_eq!(world.journal.all().iter().filter(is_bundled).count(), 1, "said once");
    }
    std::fs::remove_dir_all(&folder).expect("removed");
}

fn is_bundled(event: &&Event) -> bool {
    matches!(&event.change, Change::Appliance(_, ApplianceChange::Bundled { .. }))
}
