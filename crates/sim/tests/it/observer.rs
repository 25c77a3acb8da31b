//! The observer sees each broken invariant, and nothing where all is well.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use model::names::{GroupName, SiteName, SlotKey};
use model::ports::{Appliance, NoThrottle, OpenGate};
use sim::ledger::observer::{Limits, violations};
use sim::{ApplianceSpec, SimFleet, SimImage, UpgradeMode};

use crate::support::{clock, name};

const URL: &str = "https://repo.example/sps.iso";
const LIMIT: Duration = Duration::from_secs(900);

struct World {
    fleet: Arc<SimFleet>,
    ports: BTreeMap<&'static str, Arc<dyn Appliance>>,
}

fn image() -> SimImage {
    SimImage::described("7.5.1", 1_000_000)
}

impl World {
    fn new(change: impl Fn(&mut ApplianceSpec)) -> Self {
        let specs = ["a", "b", "c"].map(|text| {
            let mut spec = ApplianceSpec::new(name(text), "7.5.0");
            change(&mut spec);
            spec
        });
        let fleet =
            SimFleet::builder().clock(clock()).appliances(specs).image(URL, image()).build();
        let connector = fleet.connector();
        let connect = |text| {
            let entry = fleet.inventory_entry(text).expect("an entry");
            (text, connector.connect(&entry, Arc::new(NoThrottle), Arc::new(OpenGate)))
        };
        let ports = ["a", "b", "c"].into_iter().map(connect).collect();
        Self { fleet, ports }
    }

    fn port(&self, name: &str) -> &Arc<dyn Appliance> {
        &self.ports[name]
    }

    async fn sleep(&self, seconds: u64) {
        self.fleet.clock().sleep(Duration::from_secs(seconds)).await;
    }

    async fn stage(&self, name: &str) -> SlotKey {
        let port = self.port(name);
        let job = port.start_fetch(URL, &image().sha256).await.expect("a job");
        self.sleep(60).await;
        let slot = port.fetch_job(&job).await.expect("ok").expect("a job").slot.expect("a slot");
        port.delete_fetch(&job).await.expect("removed");
        port.slot(&slot).await.expect("a slot");
        slot
    }

    async fn ready(&self, name: &str) -> SlotKey {
        let slot = self.stage(name).await;
        self.port(name).test(&slot, LIMIT).await.expect("a good test");
        slot
    }

    async fn upgrade(&self, name: &str, slot: &SlotKey) {
        self.port(name).upgrade(slot, "x", LIMIT).await.expect("it acts");
    }

    async fn back(&self, name: &str) {
        self.sleep(400).await;
        self.port(name).setup().await.expect("it is back");
    }

    fn violations(&self, limits: &Limits) -> Vec<String> {
        violations(self.fleet.ledger(), limits)
    }
}

fn limits() -> Limits {
    let site = SiteName::new("ams").expect("a name");
    let group = GroupName::new("edge").expect("a name");
    Limits {
        unavailable: Some(1),
        transfers: Some(1),
        requests_per_second: Some(100),
        target: Some("7.5.1".to_owned()),
        ended: true,
        sites: ["a", "b", "c"].map(|text| (name(text), site.clone())).into(),
        groups: ["a", "b"].map(|text| (name(text), group.clone())).into(),
        site_unavailable: [(site, 1)].into(),
        group_unavailable: [(group, 1)].into(),
        ..Limits::default()
    }
}

#[track_caller]
fn one(found: &[String], part: &str) {
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(found[0].contains(part), "{found:?}");
}

#[tokio::test(start_paused = true)]
async fn a_good_rollout_breaks_nothing() {
    let world = World::new(|_| {});
    for name in ["a", "b", "c"] {
        let slot = world.ready(name).await;
        world.upgrade(name, &slot).await;
        world.back(name).await;
    }
    assert_eq!(world.violations(&limits()), Vec::<String>::new());
}

#[tokio::test(start_paused = true)]
async fn a_second_upgrade_is_seen_and_a_person_may_allow_it() {
    let world = World::new(|spec| spec.upgrade_call = UpgradeMode::Arms);
    let slot = world.ready("a").await;
    world.upgrade("a", &slot).await;
    world.upgrade("a", &slot).await;
    one(&world.violations(&limits()), "begun 2 times");
    let allowed = Limits { upgrade_again: [name("a")].into(), ..limits() };
    assert_eq!(world.violations(&allowed), Vec::<String>::new());
}

#[tokio::test(start_paused = true)]
async fn too_many_down_are_seen_for_rollout_site_and_group() {
    let world = World::new(|_| {});
    let (a, b) = (world.ready("a").await, world.ready("b").await);
    world.upgrade("a", &a).await;
    world.upgrade("b", &b).await;
    world.back("a").await;
    world.back("b").await;
    let found = world.violations(&limits());
    assert_eq!(found.len(), 3, "{found:?}");
    for place in ["the rollout", "site ams", "group edge"] {
        assert!(found.iter().any(|text| text.contains(place)), "{place}: {found:?}");
    }
    assert!(found.iter().all(|text| text.starts_with("b went down")), "{found:?}");
    let two = Limits {
        unavailable: Some(2),
        site_unavailable: BTreeMap::new(),
        group_unavailable: BTreeMap::new(),
        ..limits()
    };
    assert_eq!(world.violations(&two), Vec::<String>::new());
}

#[tokio::test(start_paused = true)]
async fn an_appliance_is_down_until_it_was_seen_to_be_up() {
    let world = World::new(|_| {});
    let (a, c) = (world.ready("a").await, world.ready("c").await);
    world.upgrade("a", &a).await;
    world.sleep(400).await;
    world.upgrade("c", &c).await;
    let found = world.violations(&Limits { site_unavailable: BTreeMap::new(), ..limits() });
    one(&found, "c went down");
}

#[tokio::test(start_paused = true)]
async fn a_silent_member_of_the_group_is_seen() {
    let world = World::new(|_| {});
    let a = world.ready("a").await;
    world.fleet.appliance("b").expect("b").power_off();
    world.sleep(60).await;
    world.upgrade("a", &a).await;
    world.back("a").await;
    one(&world.violations(&limits()), "group edge");
}

#[tokio::test(start_paused = true)]
async fn an_untested_an_unread_and_a_wrong_slot_are_seen() {
    let world = World::new(|_| {});
    let slot = world.stage("a").await;
    world.upgrade("a", &slot).await;
    world.back("a").await;
    one(&world.violations(&limits()), "without a good test");

    let world = World::new(|_| {});
    let slot = world.ready("a").await;
    let replace = sim::AdminAct::ReplaceSlot { slot: None, version: "7.3.0".to_owned() };
    world.fleet.appliance("a").expect("a").admin(&replace);
    world.upgrade("a", &slot).await;
    world.back("a").await;
    let found = world.violations(&limits());
    assert_eq!(found.len(), 3, "{found:?}");
    assert!(found.iter().any(|text| text.contains("without being read")), "{found:?}");
    assert!(found.iter().any(|text| text.contains("the target is 7.5.1")), "{found:?}");
}

#[tokio::test(start_paused = true)]
async fn a_password_sent_again_a_record_left_and_a_foreign_slot_emptied_are_seen() {
    let world = World::new(|spec| {
        spec.client_password = Some("wrong".to_owned());
    });
    assert!(world.port("a").info().await.is_err());
    assert_eq!(world.violations(&limits()), Vec::<String>::new());
    assert!(world.port("a").info().await.is_err());
    one(&world.violations(&limits()), "sent again");

    let world =
        World::new(|spec| spec.slots = vec![Some("7.5.0".into()), Some("7.4.0".into()), None]);
    world.port("b").start_fetch(URL, &image().sha256).await.expect("a job");
    world.sleep(60).await;
    one(&world.violations(&limits()), "left behind");
    assert_eq!(world.violations(&Limits { ended: false, ..limits() }), Vec::<String>::new());
    world.port("b").delete_slot(&SlotKey::new("3")).await.expect("it is ours");
    world.port("b").delete_slot(&SlotKey::new("2")).await.expect("it is deleted");
    one(&world.violations(&Limits { ended: false, ..limits() }), "slot 2, which was not ours");
}

#[tokio::test(start_paused = true)]
async fn too_many_transfers_and_requests_are_seen() {
    let world = World::new(|_| {});
    for name in ["a", "b"] {
        world.port(name).start_fetch(URL, &image().sha256).await.expect("a job");
    }
    let ongoing = Limits { ended: false, ..limits() };
    one(&world.violations(&ongoing), "2 transfers at once");
    let requests = Limits { requests_per_second: Some(3), transfers: None, ..ongoing };
    one(&world.violations(&requests), "4 requests to all");
    let slack = Limits { request_slack: 0.34, ..requests };
    assert_eq!(world.violations(&slack), Vec::<String>::new());
}
