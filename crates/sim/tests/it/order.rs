//! The observer on clusters, waves, windows and power acts: each violation is found, and a good
//! story passes.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use model::names::{ApplianceName, ClusterName, SlotKey};
use model::ports::{Appliance, NoThrottle, OpenGate, PowerSwitch};
use sim::ledger::observer::{ClusterLimits, Limits, violations};
use sim::{
    ApplianceSpec, Fault, FaultPlan, FaultRule, Node, SimFleet, SimImage, UpgradeMode, sample,
};

use crate::support::{clock, name};

const URL: &str = "https://repo.example/sps.iso";
const LIMIT: Duration = Duration::from_secs(900);
const NAMES: [&str; 4] = ["h", "m1", "m2", "s"];

/// Two minions, a managed host, and the search-master.
struct World {
    fleet: Arc<SimFleet>,
    ports: BTreeMap<&'static str, Arc<dyn Appliance>>,
    slots: BTreeMap<&'static str, SlotKey>,
}

fn image() -> SimImage {
    SimImage::described("7.5.1", 1_000_000)
}

impl World {
    fn new(change: impl Fn(&mut ApplianceSpec), plan: FaultPlan) -> Self {
        let specs = NAMES.map(|text| {
            let mut spec = ApplianceSpec::new(name(text), "7.5.0");
            change(&mut spec);
            spec
        });
        let fleet = SimFleet::builder()
            .clock(clock())
            .appliances(specs)
            .image(URL, image())
            .faults(plan)
            .build();
        let connector = fleet.connector();
        let connect = |text| {
            let entry = fleet.inventory_entry(text).expect("an entry");
            (text, connector.connect(&entry, Arc::new(NoThrottle), Arc::new(OpenGate)))
        };
        let ports = NAMES.into_iter().map(connect).collect();
        Self { fleet, ports, slots: BTreeMap::new() }
    }

    /// With these members staged and tested.
    async fn ready(names: &[&'static str]) -> Self {
        let mut world = Self::new(|_| {}, FaultPlan::default());
        for name in names {
            world.prepare(name).await;
        }
        world
    }

    async fn prepare(&mut self, name: &'static str) {
        let port = &self.ports[name];
        port.info().await.expect("info");
        let job = port.start_fetch(URL, &image().sha256).await.expect("a job");
        self.sleep(60).await;
        let slot = port.fetch_job(&job).await.expect("ok").expect("a job").slot.expect("a slot");
        port.delete_fetch(&job).await.expect("removed");
        port.slot(&slot).await.expect("a slot");
        port.test(&slot, LIMIT).await.expect("a good test");
        self.slots.insert(name, slot);
    }

    async fn sleep(&self, seconds: u64) {
        self.fleet.clock().sleep(Duration::from_secs(seconds)).await;
    }

    async fn down(&self, name: &str) {
        // A login, when the session is over: the call itself is sent once.
        self.ports[name].slots().await.expect("slots");
        self.ports[name].upgrade(&self.slots[name], "x", LIMIT).await.expect("it acts");
    }

    async fn back(&self, name: &str) {
        self.sleep(400).await;
        self.ports[name].setup().await.expect("it is back");
    }

    async fn through(&self, names: &[&str]) {
        for name in names {
            self.down(name).await;
            self.back(name).await;
        }
    }

    fn power(&self, name: &str, node: Node) -> Arc<dyn PowerSwitch> {
        let name = crate::support::name(name);
        self.fleet.power().connect(&sample::redfish(&name, node), &name)
    }

    fn violations(&self, limits: &Limits) -> Vec<String> {
        violations(self.fleet.ledger(), limits)
    }
}

fn names(texts: &[&str]) -> Vec<ApplianceName> {
    texts.iter().map(|text| name(text)).collect()
}

fn cluster(parallel: usize) -> Limits {
    let ranks = vec![names(&["m1", "m2"]), names(&["h"]), names(&["s"])];
    let cluster = ClusterName::new("us").expect("a name");
    let clusters = [(cluster, ClusterLimits { ranks, parallel })].into();
    Limits { clusters, target: Some("7.5.1".to_owned()), ended: true, ..Limits::default() }
}

#[track_caller]
fn one(found: &[String], part: &str) {
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(found[0].contains(part), "{found:?}");
}

#[tokio::test(start_paused = true)]
async fn a_cluster_in_its_order_breaks_nothing() {
    let world = World::ready(&NAMES).await;
    world.through(&["m2", "m1", "h", "s"]).await;
    assert_eq!(world.violations(&cluster(1)), Vec::<String>::new());

    let world = World::ready(&NAMES).await;
    world.down("m1").await;
    world.down("m2").await;
    world.back("m1").await;
    world.back("m2").await;
    world.through(&["h", "s"]).await;
    assert_eq!(world.violations(&cluster(2)), Vec::<String>::new());
    one(&world.violations(&cluster(1)), "2 of one rank of cluster us were down: m1, m2");
}

#[tokio::test(start_paused = true)]
async fn a_cluster_that_begins_before_all_are_tested_is_seen() {
    let mut world = World::ready(&["m1", "m2", "s"]).await;
    world.through(&["m1", "m2"]).await;
    let found = world.violations(&cluster(1));
    one(&found, "m1 of cluster us went down");
    assert!(found[0].contains("nobody had looked at h"), "{found:?}");
    world.prepare("h").await;
    world.through(&["h", "s"]).await;
    one(&world.violations(&cluster(1)), "when h had not passed the test of 7.5.1");
    let without = Limits { given_up: names(&["h"]).into_iter().collect(), ..cluster(1) };
    assert_eq!(world.violations(&without), Vec::<String>::new());
}

#[tokio::test(start_paused = true)]
async fn a_member_that_runs_the_firmware_already_needs_no_test() {
    let mut world = World::new(
        |spec| {
            if spec.name.as_str() == "h" {
                spec.slots = vec![Some("7.5.1".to_owned()), None];
            }
        },
        FaultPlan::default(),
    );
    for name in ["m1", "m2", "s"] {
        world.prepare(name).await;
    }
    world.ports["h"].info().await.expect("it was looked at");
    world.through(&["m1", "m2", "s"]).await;
    assert_eq!(world.violations(&cluster(1)), Vec::<String>::new());
}

#[tokio::test(start_paused = true)]
async fn a_member_out_of_order_is_seen() {
    let world = World::ready(&NAMES).await;
    world.through(&["m1", "h", "m2", "s"]).await;
    one(&world.violations(&cluster(1)), "h of cluster us went down");
    let world = World::ready(&NAMES).await;
    world.through(&["m1", "m2"]).await;
    world.down("h").await;
    world.sleep(100).await;
    world.down("s").await;
    world.back("h").await;
    world.back("s").await;
    let found = world.violations(&cluster(1));
    one(&found, "s of cluster us went down");
    assert!(found[0].contains("before h was through"), "{found:?}");
}

#[tokio::test(start_paused = true)]
async fn a_member_that_reverted_stops_the_rest() {
    let plan = FaultPlan::default().where_("m1", sim::Behaviour::Revert { times: 1 });
    let mut world = World::new(|_| {}, plan);
    for name in NAMES {
        world.prepare(name).await;
    }
    world.down("m1").await;
    world.sleep(800).await;
    world.ports["m1"].setup().await.expect("it is back");
    world.through(&["m2"]).await;
    assert_eq!(world.violations(&cluster(1)), Vec::<String>::new(), "of the same rank");
    world.through(&["h"]).await;
    one(&world.violations(&cluster(1)), "before m1 was through");
}

fn waves() -> Limits {
    Limits { waves: vec![names(&["m1"]), names(&["m2", "h"]), names(&["s"])], ..Limits::default() }
}

#[tokio::test(start_paused = true)]
async fn a_wave_begins_when_the_earlier_are_through() {
    let world = World::ready(&NAMES).await;
    world.through(&["m1", "h", "m2", "s"]).await;
    assert_eq!(world.violations(&waves()), Vec::<String>::new());

    let world = World::ready(&NAMES).await;
    world.down("m1").await;
    world.sleep(60).await;
    world.down("h").await;
    world.back("m1").await;
    world.back("h").await;
    one(&world.violations(&waves()), "h of wave 2 went down");

    let world = World::ready(&NAMES).await;
    world.through(&["m1", "h", "s", "m2"]).await;
    one(&world.violations(&waves()), "s of wave 3 went down");
    let late = Limits { given_up: names(&["m2"]).into_iter().collect(), ..waves() };
    assert_eq!(world.violations(&late), Vec::<String>::new());
}

fn open(texts: &[&str], from: i64, until: i64) -> Limits {
    let start: Timestamp = "2026-03-01T00:00:00Z".parse().expect("a time");
    let at = |seconds| start + jiff::SignedDuration::from_secs(seconds);
    let spans = vec![(at(0), at(1)), (at(from), at(until))];
    let open = texts.iter().map(|text| (name(text), spans.clone())).collect();
    Limits { open, ..Limits::default() }
}

#[tokio::test(start_paused = true)]
async fn what_goes_down_outside_its_window_is_seen() {
    let world = World::ready(&["m1", "m2"]).await;
    world.through(&["m1", "m2"]).await;
    // Both are ready after some 160 s; m2's call comes some 420 s later.
    assert_eq!(world.violations(&open(&["m1", "m2"], 100, 3600)), Vec::<String>::new());
    let found = world.violations(&open(&["m1", "m2"], 100, 400));
    one(&found, "m2: an upgrade call came at");
    assert_eq!(world.violations(&open(&["m1"], 100, 400)), Vec::<String>::new());
    let clusters = cluster(1).clusters;
    let mut begun = Limits { clusters, ..open(&["m1", "m2"], 100, 400) };
    begun.given_up = names(&["h", "s"]).into_iter().collect();
    assert_eq!(world.violations(&begun), Vec::<String>::new(), "a cluster goes on");
}

fn pairs(spec: &mut ApplianceSpec) {
    spec.ha = true;
    spec.upgrade_call = UpgradeMode::Arms;
}

#[tokio::test(start_paused = true)]
async fn a_secondary_that_is_off_counts_as_down_and_wants_a_window() {
    let world = World::new(pairs, FaultPlan::default());
    world.sleep(10).await;
    world.power("m1", Node::Secondary).off().await.expect("it is asked");
    world.sleep(60).await;
    world.power("m2", Node::Secondary).off().await.expect("it is asked");
    world.sleep(60).await;
    let limits = Limits { unavailable: Some(1), ..Limits::default() };
    one(&world.violations(&limits), "m2 went down");
    one(&world.violations(&open(&["m1"], 100, 200)), "m1: the secondary's shutdown came");
    let world = World::new(pairs, FaultPlan::default());
    world.power("m1", Node::Secondary).off().await.expect("it is asked");
    world.sleep(60).await;
    world.power("m1", Node::Secondary).on().await.expect("it is asked");
    world.power("m2", Node::Secondary).off().await.expect("it is asked");
    assert_eq!(world.violations(&limits), Vec::<String>::new());
}

#[tokio::test(start_paused = true)]
async fn a_power_act_or_a_reboot_that_comes_twice_is_seen() {
    let lost = FaultRule::once("POWER /secondary/off", Fault::ReplyLost).at("m1");
    let refused = FaultRule::once("POWER /secondary/off", Fault::status(503)).at("m2");
    let world = World::new(pairs, FaultPlan::default().with(lost).with(refused));
    for text in ["m1", "m2"] {
        let power = world.power(text, Node::Secondary);
        assert!(power.off().await.is_err());
        power.off().await.expect("it is asked");
    }
    let found = world.violations(&Limits::default());
    one(&found, "m1: `off` of the secondary came 2 times");
    let allowed = Limits { power_again: names(&["m1"]).into_iter().collect(), ..Limits::default() };
    assert_eq!(world.violations(&allowed), Vec::<String>::new());

    let mut world = World::new(|spec| spec.upgrade_call = UpgradeMode::Arms, FaultPlan::default());
    world.prepare("h").await;
    world.down("h").await;
    for _ in 0..2 {
        world.fleet.appliance("h").expect("h").reboot();
        world.back("h").await;
    }
    one(&world.violations(&Limits::default()), "h: the reboot came 2 times");
}

#[tokio::test(start_paused = true)]
async fn a_hop_on_the_way_is_allowed_when_it_is_named() {
    let world = World::ready(&["m1"]).await;
    world.through(&["m1"]).await;
    let to = |via: &[&str]| Limits {
        target: Some("8.0.0".to_owned()),
        via: via.iter().map(|text| (*text).to_owned()).collect(),
        ..Limits::default()
    };
    one(&world.violations(&to(&[])), "the target is 8.0.0");
    assert_eq!(world.violations(&to(&["7.5.1"])), Vec::<String>::new());
}
