//! Many appliances: limits, waves, budgets, groups.

use std::collections::BTreeMap;
use std::sync::Arc;

use executor::Ending;
use model::decision::Decision;
use model::names::{ApplianceName, GroupName, SiteName};
use model::plan::Plan;
use model::rollout::{OnBreach, SiteLimits};
use model::run::Phase;
use sim::{Behaviour, FaultPlan, Life};

use crate::world::{World, change, name, spec, specs, wave};

const DONE: Ending = Ending::Finished { upgraded_all: true };
const PARTIAL: Ending = Ending::Finished { upgraded_all: false };

/// The most appliances of a set that were down at once, as they lived it: from the act that
/// restarts them until they answer again.
pub(crate) fn most_down(world: &World, of: impl Fn(&ApplianceName) -> bool) -> usize {
    let mut down: BTreeMap<String, bool> = BTreeMap::new();
    let mut most = 0;
    for entry in world.ledger().entries() {
        let Some(life) = entry.life() else { continue };
        if !of(&entry.appliance) {
            continue;
        }
        let is_down = match life {
            Life::Restarting { .. } | Life::Armed { .. } | Life::Down => true,
            Life::Up { .. } => false,
            _ => continue,
        };
        down.insert(entry.appliance.to_string(), is_down);
        most = most.max(down.values().filter(|down| **down).count());
    }
    most
}

#[tokio::test(start_paused = true)]
async fn no_more_than_the_limits_are_down_or_transferring() {
    let world = World::new(specs(40), FaultPlan::default(), |plan| {
        plan.limits.unavailable = 6;
        plan.limits.transfers = 7;
    })
    .await;
    assert_eq!(world.run().await, DONE);
    world.check_all_upgraded();
    assert_eq!(most_down(&world, |_| true), 6, "all places are used and not one more");
}

#[tokio::test(start_paused = true)]
async fn sites_and_groups_have_limits_of_their_own() {
    let site = |of: &str| SiteName::new(if of < "a0010" { "ams" } else { "nyc" }).expect("a name");
    let group = GroupName::new("edge").expect("a name");
    let in_group = |of: &ApplianceName| of.as_str() >= "a0015";
    let world = World::new(specs(20), FaultPlan::default(), |plan| {
        plan.limits.unavailable = 10;
        let limits =
            |unavailable| SiteLimits { unavailable: Some(unavailable), ..Default::default() };
        plan.sites = BTreeMap::from([
            (SiteName::new("ams").expect("a name"), limits(2)),
            (SiteName::new("nyc").expect("a name"), limits(4)),
        ]);
        plan.groups = BTreeMap::from([(group.clone(), 1)]);
        for of in plan.appliances.keys().cloned().collect::<Vec<_>>() {
            change(plan, of.as_str(), |entry| {
                entry.site = site(of.as_str());
                entry.group = in_group(&of).then(|| group.clone());
            });
        }
    })
    .await;
    assert_eq!(world.run().await, DONE);
    world.check_all_upgraded();
    assert!(most_down(&world, |of| site(of.as_str()).as_str() == "ams") <= 2);
    assert!(most_down(&world, |of| site(of.as_str()).as_str() == "nyc") <= 4);
    assert_eq!(most_down(&world, in_group), 1);
}

fn two_waves(plan: &mut Plan) {
    let names: Vec<ApplianceName> = plan.appliances.keys().cloned().collect();
    plan.waves = vec![wave("canary", &names[..1]), wave("rest", &names[1..])];
}

#[tokio::test(start_paused = true)]
async fn waves_go_in_order_and_staging_runs_ahead() {
    let world = World::new(specs(6), FaultPlan::default(), |plan| {
        two_waves(plan);
        plan.limits.unavailable = 5;
    })
    .await;
    assert_eq!(world.run().await, DONE);
    let entries = world.ledger().entries();
    let first_up = entries.iter().position(|e| matches!(e.life(), Some(Life::Up { .. })));
    let later_down = entries.iter().position(|e| {
        e.appliance.as_str() != "a0000" && matches!(e.life(), Some(Life::Restarting { .. }))
    });
    assert!(first_up < later_down, "the canary is back before the others go down");
    let staged_early = entries.iter().position(|e| {
        e.appliance.as_str() != "a0000" && matches!(e.life(), Some(Life::Slot { .. }))
    });
    assert!(staged_early < first_up, "the others are staged meanwhile");
}

#[tokio::test(start_paused = true)]
async fn a_failed_canary_stops_the_rollout_until_a_person_resumes() {
    let faults = FaultPlan::default().where_("a0000", Behaviour::Revert { times: 9 });
    let world = World::new(specs(4), faults, two_waves).await;
    assert_eq!(world.run().await, Ending::Held);
    for of in ["a0001", "a0002", "a0003"] {
        assert_eq!(world.phase(of), Phase::Ready, "{of} is staged and tested, and waits");
        assert_eq!(world.upgrades(of), 0);
    }
    world.decide(Decision::Resume).await;
    assert_eq!(world.run().await, PARTIAL);
    assert_eq!(world.phase("a0003"), Phase::Succeeded);
}

#[tokio::test(start_paused = true)]
async fn a_breach_can_abort_and_leaves_nothing_behind() {
    let faults = FaultPlan::default().where_("a0001", Behaviour::Revert { times: 9 });
    let world = World::new(specs(5), faults, |plan| {
        plan.failure_budget.on_breach = OnBreach::Abort;
        plan.limits.transfers = 1;
    })
    .await;
    assert_eq!(world.run().await, Ending::Aborted);
    assert_eq!(world.phase("a0000"), Phase::Succeeded);
    assert_eq!(world.phase("a0004"), Phase::Skipped);
    world.check_nothing_left();
    assert_eq!(world.run().await, Ending::Aborted, "abort is final");
}

#[tokio::test(start_paused = true)]
async fn abort_stops_staging_and_lets_who_is_down_come_back() {
    let world = World::new(specs(6), FaultPlan::default(), |plan| plan.limits.transfers = 2).await;
    let ending = world.run_and_decide(Decision::Abort).await;
    assert_eq!(ending, Ending::Aborted);
    world.check_nothing_left();
    let up = world.fleet.appliances().filter(|a| a.version() == "7.5.1").count();
    assert_eq!(up, 1, "who was down is finished, nobody else goes down");
    assert!(world.folded().appliances.values().all(|run| !run.is_down()));
}

#[tokio::test(start_paused = true)]
async fn a_pause_stops_going_down_and_staging_goes_on() {
    let world = World::new(specs(3), FaultPlan::default(), |_| {}).await;
    world.decide(Decision::Pause { all: false, now: false }).await;
    assert_eq!(world.run().await, Ending::Held);
    assert!(world.folded().appliances.values().all(|run| run.phase == Phase::Ready));
    assert_eq!(world.run().await, Ending::Held, "a second run never lifts a pause");
    world.decide(Decision::Resume).await;
    assert_eq!(world.run().await, DONE);

    let world = World::new(specs(3), FaultPlan::default(), |_| {}).await;
    world.decide(Decision::Pause { all: true, now: false }).await;
    assert_eq!(world.run().await, Ending::Held);
    assert!(world.folded().appliances.values().all(|run| run.phase == Phase::Pending));
}

#[tokio::test(start_paused = true)]
async fn skipped_and_failed_ones_end_in_a_partial_finish() {
    let faults = FaultPlan::default()
        .where_("a0000", Behaviour::TestFails { summary: "no".to_owned(), times: Some(1) });
    let world = World::new(specs(3), faults, |plan| plan.failure_budget.count = Some(3)).await;
    world.decide(Decision::Skip { appliances: vec![name("a0001")] }).await;
    assert_eq!(world.run().await, PARTIAL);
    assert_eq!(world.phase("a0001"), Phase::Skipped);
    assert_eq!(world.ledger().calls_of("a0001").len(), 0);
    let both = vec![name("a0000"), name("a0001")];
    world.decide(Decision::Retry { appliances: both }).await;
    assert_eq!(world.run().await, DONE, "what failed and what was skipped can be taken up");
}

#[tokio::test(start_paused = true)]
async fn a_dead_appliance_keeps_its_place_until_it_is_seen_up() {
    let by = jiff::SignedDuration::from_hours(2);
    let faults = FaultPlan::default().where_("a0000", Behaviour::SlowBoot { by });
    let world = World::new(specs(3), faults, |plan| plan.failure_budget.count = Some(3)).await;
    assert_eq!(world.run().await, Ending::Held, "nobody else may go down, and nothing cures it");
    let reasons = executor::reasons(&world.folded(), &Default::default(), world.ports.clock.now());
    let reason = reasons.get("a0001").expect("a reason");
    assert_eq!(reason.code(), "rollout-limit");
    assert!(reason.to_string().contains("a0000"), "{reason}");
    world.ports.clock.sleep(std::time::Duration::from_hours(3)).await;
    assert_eq!(world.run().await, PARTIAL);
    assert_eq!(world.phase("a0002"), Phase::Succeeded);
}

#[tokio::test(start_paused = true)]
async fn a_silent_bystander_of_the_group_keeps_its_partner_up() {
    let group = GroupName::new("edge").expect("a name");
    let world = World::new(vec![spec("a"), spec("b")], FaultPlan::default(), |plan| {
        plan.groups = BTreeMap::from([(group.clone(), 1)]);
        for of in ["a", "b"] {
            change(plan, of, |entry| entry.group = Some(group.clone()));
        }
        let (of, entry) = plan.appliances.remove_entry("b").expect("b");
        plan.waves = vec![wave("all", &[name("a")])];
        plan.bystanders = BTreeMap::from([(of, Arc::clone(&entry))]);
    })
    .await;
    let partner = world.fleet.appliance("b").expect("it is there");
    partner.power_off();
    assert_eq!(world.run().await, Ending::Held);
    assert_eq!(world.phase("a"), Phase::Ready);
    let reasons = executor::reasons(&world.folded(), &Default::default(), world.ports.clock.now());
    assert_eq!(reasons.get("a").expect("a reason").code(), "group-limit");
    assert!(world.ledger().calls_of("b").iter().all(|call| call.path == "/api/setup"));
    partner.power_on();
    assert_eq!(world.run().await, DONE);
    assert_eq!(world.version("b"), "7.5.0", "a bystander is never touched");
}

#[tokio::test(start_paused = true)]
async fn a_group_that_allows_two_down_goes_on_beside_a_dead_partner() {
    let group = GroupName::new("edge").expect("a name");
    let world = World::new(specs(3), FaultPlan::default(), |plan| {
        plan.groups = BTreeMap::from([(group.clone(), 2)]);
        for of in ["a0000", "a0001", "a0002"] {
            change(plan, of, |entry| entry.group = Some(group.clone()));
        }
        let (of, entry) = plan.appliances.remove_entry("a0002").expect("a member");
        plan.waves = vec![wave("all", &[name("a0000"), name("a0001")])];
        plan.bystanders = BTreeMap::from([(of, entry)]);
    })
    .await;
    world.fleet.appliance("a0002").expect("it is there").power_off();
    assert_eq!(world.run().await, DONE);
    assert_eq!(most_down(&world, |_| true), 2, "one of the two at a time, beside the dead one");
}

#[tokio::test(start_paused = true)]
async fn no_wait_does_not_wait_for_who_is_only_watched() {
    let group = GroupName::new("edge").expect("a name");
    let world = World::new(vec![spec("a"), spec("b")], FaultPlan::default(), |plan| {
        plan.groups = BTreeMap::from([(group.clone(), 1)]);
        for of in ["a", "b"] {
            change(plan, of, |entry| entry.group = Some(group.clone()));
        }
        let (of, entry) = plan.appliances.remove_entry("b").expect("b");
        plan.waves = vec![wave("all", &[name("a")])];
        plan.bystanders = BTreeMap::from([(of, entry)]);
    })
    .await;
    world.fleet.appliance("b").expect("it is there").power_off();
    let began = world.ports.clock.monotonic();
    let options = executor::Options { no_wait: true, stay_for_person: false };
    assert_eq!(world.run_with(options).await, Ending::Waits);
    assert!(world.ports.clock.monotonic() - began < std::time::Duration::from_mins(10));
}
