//! Central clusters: the vendor's order, all or nothing, never left half done in silence.

use std::collections::BTreeMap;
use std::time::Duration;

use executor::Ending;
use jiff::SignedDuration;
use model::decision::Decision;
use model::event::FailureCode;
use model::fleet::{ClusterMember, Role};
use model::names::{ApplianceName, ClusterName};
use model::plan::{Plan, PlannedCluster};
use model::run::{Phase, RolloutState};
use sim::ledger::observer::{ClusterLimits, Limits, violations};
use sim::{ApplianceSpec, Behaviour, FaultPlan};

use crate::world::{World, change, name, spec, wave};

const DONE: Ending = Ending::Finished { upgraded_all: true };

/// Two minions, a host, central management, the search-master; and one that belongs to nobody.
const MEMBERS: [(&str, &[Role]); 5] = [
    ("us-cm", &[Role::CentralManagement, Role::SearchLocal]),
    ("us-host", &[Role::ManagedHost, Role::SearchLocal]),
    ("us-m1", &[Role::ManagedHost, Role::SearchMinion]),
    ("us-m2", &[Role::ManagedHost, Role::SearchMinion]),
    ("us-master", &[Role::ManagedHost, Role::SearchMaster]),
];

pub(crate) fn us() -> ClusterName {
    ClusterName::new("us").expect("a name")
}

pub(crate) fn ranks() -> Vec<Vec<ApplianceName>> {
    [&["us-m1", "us-m2"][..], &["us-host"], &["us-cm"], &["us-master"]]
        .iter()
        .map(|rank| rank.iter().map(|of| name(of)).collect())
        .collect()
}

pub(crate) fn members() -> Vec<ApplianceSpec> {
    let of = |(of, roles): (&str, &[Role])| ApplianceSpec {
        roles: roles.iter().map(|role| role.name().to_owned()).collect(),
        cluster: Some("us".to_owned()),
        ..spec(of)
    };
    MEMBERS.into_iter().map(of).collect()
}

/// Declares the cluster in a plan.
pub(crate) fn declare(plan: &mut Plan, parallel: u32) {
    for (of, roles) in MEMBERS {
        change(plan, of, |entry| {
            entry.cluster = Some(ClusterMember { name: us(), roles: roles.to_vec() });
        });
    }
    let cluster = PlannedCluster { ranks: ranks(), parallel, manager: name("us-cm") };
    plan.clusters = BTreeMap::from([(us(), cluster)]);
    for wave in &mut plan.waves {
        let (mut inside, outside): (Vec<_>, Vec<_>) =
            wave.appliances.drain(..).partition(|of| of.as_str().starts_with("us-"));
        let place = |of: &ApplianceName| ranks().iter().flatten().position(|member| member == of);
        inside.sort_by_key(place);
        wave.appliances = inside.into_iter().chain(outside).collect();
    }
}

/// Declares the members that a plan has as a cluster.
pub(crate) fn declare_some(plan: &mut Plan) {
    let there: Vec<_> =
        MEMBERS.iter().filter(|(of, _)| plan.appliances.contains_key(*of)).collect();
    for (of, roles) in there {
        let roles = roles.to_vec();
        change(plan, of, |entry| entry.cluster = Some(ClusterMember { name: us(), roles }));
    }
    let here = |rank: Vec<ApplianceName>| -> Vec<ApplianceName> {
        rank.into_iter().filter(|of| plan.appliances.contains_key(of)).collect()
    };
    let ranks: Vec<_> = ranks().into_iter().map(here).filter(|rank| !rank.is_empty()).collect();
    let in_order = ranks.iter().flatten().cloned().collect();
    let cluster = PlannedCluster { ranks, parallel: 1, manager: name("us-cm") };
    plan.clusters = BTreeMap::from([(us(), cluster)]);
    plan.waves[0].appliances = in_order;
}

async fn world(faults: FaultPlan, tune: impl FnOnce(&mut Plan)) -> World {
    let mut specs = members();
    specs.push(spec("solo"));
    World::new(specs, faults, |plan| {
        declare(plan, 1);
        tune(plan);
    })
    .await
}

/// What the appliances saw broke no rule.
fn check(world: &World, parallel: usize) {
    let limits = Limits {
        unavailable: Some(world.folded().plan.limits.unavailable as usize),
        clusters: BTreeMap::from([(us(), ClusterLimits { ranks: ranks(), parallel })]),
        target: Some("7.5.1".to_owned()),
        via: world.folded().plan.via.iter().map(|hop| hop.version.to_string()).collect(),
        ..Limits::default()
    };
    let found = violations(world.ledger(), &limits);
    assert!(found.is_empty(), "{found:#?}\n{}", world.story());
}

#[tokio::test(start_paused = true)]
async fn a_cluster_goes_in_the_vendors_order_without_a_pause() {
    let world = world(FaultPlan::default(), |_| {}).await;
    assert_eq!(world.run().await, DONE, "{}", world.story());
    world.check_all_upgraded();
    check(&world, 1);
    let run = world.folded();
    let cluster = &run.clusters[&us()];
    assert!(cluster.finished && cluster.synced && cluster.gap_since.is_none(), "{cluster:?}");
    let gap = cluster.gap;
    assert!(gap > SignedDuration::from_mins(25), "five reboots of six minutes: {gap:?}");
    assert!(gap < SignedDuration::from_mins(60), "without a pause inside: {gap:?}");
}

#[tokio::test(start_paused = true)]
async fn minions_go_together_where_that_is_allowed() {
    let slow = world(FaultPlan::default(), |plan| plan.limits.unavailable = 3).await;
    assert_eq!(slow.run().await, DONE);
    let fast = world(FaultPlan::default(), |plan| {
        declare(plan, 2);
        plan.limits.unavailable = 3;
    })
    .await;
    assert_eq!(fast.run().await, DONE);
    fast.check_all_upgraded();
    check(&slow, 1);
    check(&fast, 2);
    let gap = |world: &World| world.folded().clusters[&us()].gap;
    assert!(gap(&fast) + SignedDuration::from_mins(5) < gap(&slow), "one reboot is saved");

    // A limit of one leaves one at a time, and the cluster still goes.
    let narrow = world(FaultPlan::default(), |plan| declare(plan, 5)).await;
    assert_eq!(narrow.run().await, DONE);
    check(&narrow, 1);
}

#[tokio::test(start_paused = true)]
async fn nobody_goes_down_before_all_are_staged_and_tested() {
    let faults = FaultPlan::default()
        .where_("us-master", Behaviour::TestFails { summary: "no".to_owned(), times: Some(1) });
    let world = world(faults, |plan| plan.failure_budget.count = Some(9)).await;
    assert_eq!(world.run().await, Ending::Held);
    assert_eq!(world.phase("solo"), Phase::Succeeded, "who is in no cluster goes on");
    for of in ["us-cm", "us-host", "us-m1", "us-m2"] {
        assert_eq!(world.phase(of), Phase::Ready, "{of}");
        assert_eq!(world.upgrades(of), 0, "{of}");
    }
    let run = world.folded();
    let reasons = executor::reasons(&run, &Default::default(), world.ports.clock.now());
    assert_eq!(reasons["us-m1"].code(), "cluster-incomplete", "{}", reasons["us-m1"]);
    world.decide(Decision::Retry { appliances: vec![name("us-master")] }).await;
    assert_eq!(world.run().await, DONE, "{}", world.story());
    check(&world, 1);
}

#[tokio::test(start_paused = true)]
async fn a_failed_member_stops_the_cluster_and_cries_until_a_person_decides() {
    let faults = FaultPlan::default().where_("us-m1", Behaviour::Revert { times: 1 });
    for skip in [false, true] {
        let world = world(faults.clone(), |plan| plan.failure_budget.count = Some(9)).await;
        assert_eq!(world.run().await, Ending::Held);
        assert_eq!(world.failure("us-m1").0, FailureCode::Reverted);
        for of in ["us-m2", "us-host", "us-cm", "us-master"] {
            assert_eq!(world.upgrades(of), 0, "{of}: no further member goes down");
        }
        let run = world.folded();
        assert_eq!(run.state(false), RolloutState::Halted);
        let reasons = executor::reasons(&run, &Default::default(), world.ports.clock.now());
        assert_eq!(reasons["us-m2"].code(), "cluster-half-upgraded");
        assert!(reasons["us-m2"].to_string().contains("do not audit"), "{}", reasons["us-m2"]);
        let appliances = vec![name("us-m1")];
        if skip {
            world.decide(Decision::Skip { appliances }).await;
            assert_eq!(world.run().await, Ending::Finished { upgraded_all: false });
            let cluster = world.folded().clusters[&us()].clone();
            assert!(cluster.gap_since.is_some(), "an old minion is left: the gap stays open");
        } else {
            world.decide(Decision::Retry { appliances }).await;
            assert_eq!(world.run().await, DONE, "{}", world.story());
            assert_eq!(world.upgrades("us-m1"), 2);
            assert!(world.folded().clusters[&us()].gap_since.is_none());
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_pause_takes_hold_at_the_clusters_end_and_now_inside_it() {
    for now in [false, true] {
        let world = world(FaultPlan::default(), |plan| {
            plan.waves[0].appliances.retain(|of| of.as_str() != "solo");
            plan.waves.push(wave("later", &[name("solo")]));
        })
        .await;
        let ending = world.run_and_decide(Decision::Pause { all: false, now }).await;
        assert_eq!(ending, Ending::Held);
        let done = MEMBERS.iter().filter(|(of, _)| world.upgrades(of) == 1).count();
        assert_eq!(done, if now { 1 } else { 5 }, "now: {now}");
        assert_eq!(world.upgrades("solo"), 0);
        world.decide(Decision::Resume).await;
        assert_eq!(world.run().await, DONE, "{}", world.story());
        check(&world, 1);
    }
}

#[tokio::test(start_paused = true)]
async fn an_abort_finishes_a_cluster_that_has_begun() {
    for now in [false, true] {
        let world = world(FaultPlan::default(), |plan| {
            plan.waves[0].appliances.retain(|of| of.as_str() != "solo");
            plan.waves.push(wave("later", &[name("solo")]));
        })
        .await;
        let ending =
            world.run_and_decide(if now { Decision::AbortNow } else { Decision::Abort }).await;
        assert_eq!(ending, Ending::Aborted, "{}", world.story());
        let done = MEMBERS.iter().filter(|(of, _)| world.upgrades(of) == 1).count();
        assert_eq!(done, if now { 1 } else { 5 }, "now: {now}, {}", world.story());
        assert_eq!(world.upgrades("solo"), 0);
        world.check_nothing_left();
    }
}

#[tokio::test(start_paused = true)]
async fn a_cluster_that_is_not_as_declared_does_not_begin() {
    let stranger = Behaviour::ClusterStranger { fqdn: "us-m9.example".to_owned() };
    let other = Behaviour::Roles { roles: vec!["search-local".to_owned()] };
    for (of, behaviour) in [
        ("us-m2", Behaviour::ClusterMissing {}),
        ("us-cm", stranger),
        ("us-host", Behaviour::ClusterUnseen { after_restart: false }),
        ("us-m1", other),
    ] {
        let what = format!("{behaviour:?}");
        let world = world(FaultPlan::default().where_(of, behaviour), |_| {}).await;
        assert_eq!(world.run().await, Ending::Held, "{what}: {}", world.story());
        assert!(MEMBERS.iter().all(|(of, _)| world.upgrades(of) == 0), "{what}");
        let run = world.folded();
        let differs = run.appliances.values().filter_map(|state| state.hold.as_ref());
        let codes: Vec<&str> = differs.map(|hold| hold.code()).collect();
        assert_eq!(codes, ["cluster-differs"], "{what}");
        assert_eq!(world.phase("solo"), Phase::Succeeded, "{what}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_cluster_that_does_not_agree_afterwards_is_a_failure() {
    let warning =
        Behaviour::ClusterWarning { message: "old schema".to_owned(), after_restart: true };
    for (of, behaviour, said) in [
        ("us-m1", Behaviour::ClusterPending {}, "pending"),
        ("us-host", warning, "old schema"),
        ("us-m2", Behaviour::ClusterUnseen { after_restart: true }, "down"),
    ] {
        let what = format!("{behaviour:?}");
        let world = world(FaultPlan::default().where_(of, behaviour), |_| {}).await;
        assert_eq!(world.run().await, Ending::Held, "{what}: {}", world.story());
        let (code, text) = world.failure("us-cm");
        assert_eq!(code, FailureCode::VerifyFailed);
        assert!(text.contains(said), "{text}");
        for (of, _) in MEMBERS {
            assert_eq!(world.version(of), "7.5.1", "{what}: the cluster was finished");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_cluster_that_takes_its_time_to_agree_is_waited_for() {
    let mut specs = members();
    for spec in &mut specs {
        spec.cluster_sync = Some(Duration::from_mins(4));
    }
    let world = World::new(specs, FaultPlan::default(), |plan| declare(plan, 1)).await;
    assert_eq!(world.run().await, DONE, "{}", world.story());
    check(&world, 1);
}

#[tokio::test(start_paused = true)]
async fn two_hops_take_the_whole_cluster_twice() {
    let world = world(FaultPlan::default(), |plan| {
        crate::waits::via(plan);
    })
    .await;
    assert_eq!(world.run().await, DONE, "{}", world.story());
    for (of, _) in MEMBERS {
        assert_eq!(world.version(of), "7.5.1");
        assert_eq!(world.upgrades(of), 2, "{of}: once for each hop");
    }
    check(&world, 1);
}
