//! sps-api.md, section 6, "HA pair": both nodes, and the power of each.

use std::sync::Arc;
use std::time::Duration;

use model::SlotKey;
use model::failure::FailureClass;
use model::ports::{Appliance, NoThrottle, OpenGate, PowerState, PowerSwitch};
use sim::ledger::observer::{Limits, violations};
use sim::{
    ApplianceSpec, Behaviour, FaultPlan, Life, Node, Phase, RestartBy, SimAppliance, SimFleet,
    SimImage, UpgradeMode, sample,
};

use crate::support::{clock, name};

const URL: &str = "https://repo.example/sps.iso";
const LIMIT: Duration = Duration::from_secs(900);

struct Pair {
    fleet: Arc<SimFleet>,
    port: Arc<dyn Appliance>,
    primary: Arc<dyn PowerSwitch>,
    secondary: Arc<dyn PowerSwitch>,
}

fn arms() -> ApplianceSpec {
    let mut spec = ApplianceSpec::new(name("a"), "7.5.0");
    spec.ha = true;
    spec.upgrade_call = UpgradeMode::Arms;
    spec
}

fn image() -> SimImage {
    SimImage::described("7.5.1", 1_000_000)
}

impl Pair {
    fn new(spec: ApplianceSpec, plan: FaultPlan) -> Self {
        let fleet = SimFleet::builder()
            .clock(clock())
            .appliance(spec)
            .image(URL, image())
            .faults(plan)
            .build();
        let entry = fleet.inventory_entry("a").expect("an entry");
        let port = fleet.connector().connect(&entry, Arc::new(NoThrottle), Arc::new(OpenGate));
        let power = |node| fleet.power().connect(&sample::redfish(&name("a"), node), &name("a"));
        let (primary, secondary) = (power(Node::Primary), power(Node::Secondary));
        Self { fleet, port, primary, secondary }
    }

    fn sim(&self) -> Arc<SimAppliance> {
        self.fleet.appliance("a").expect("it is there")
    }

    async fn sleep(&self, seconds: u64) {
        self.fleet.clock().sleep(Duration::from_secs(seconds)).await;
    }

    async fn staged(&self) -> SlotKey {
        let job = self.port.start_fetch(URL, &image().sha256).await.expect("a job");
        self.sleep(60).await;
        let job = self.port.fetch_job(&job).await.expect("ok").expect("a job");
        let slot = job.slot.expect("a slot");
        self.port.slot(&slot).await.expect("a slot");
        slot
    }

    /// Staged, tested, and the call is made.
    async fn called(&self) -> SlotKey {
        let slot = self.staged().await;
        self.port.test(&slot, LIMIT).await.expect("a good test");
        self.port.upgrade(&slot, "x", LIMIT).await.expect("it acts");
        slot
    }

    fn life(&self) -> Vec<Life> {
        self.fleet.ledger().life_of("a")
    }

    fn violations(&self) -> Vec<String> {
        violations(self.fleet.ledger(), &Limits::default())
    }

    async fn sees_the_other(&self) -> bool {
        self.port.health().await.expect("health").tainted.contains_key("ha_other")
    }
}

#[tokio::test(start_paused = true)]
async fn the_documented_order_brings_a_pair_over() {
    let pair = Pair::new(arms(), FaultPlan::default());
    assert!(pair.sees_the_other().await);
    pair.called().await;
    assert_eq!(pair.sim().pair().expect("a pair").secondary_holds, "7.5.0", "it takes minutes");
    pair.sleep(200).await;
    assert_eq!(pair.sim().pair().expect("a pair").secondary_holds, "7.5.1");
    pair.secondary.off().await.expect("it is asked");
    assert_eq!(pair.secondary.state().await, Ok(PowerState::On));
    assert!(pair.sees_the_other().await, "it is still there");
    pair.sleep(45).await;
    assert_eq!(pair.secondary.state().await, Ok(PowerState::Off));
    assert!(!pair.sees_the_other().await);
    assert_eq!(pair.sim().phase(), Phase::Up, "the primary goes on");
    pair.primary.restart().await.expect("it is asked");
    pair.sleep(400).await;
    assert_eq!(pair.sim().version(), "7.5.1");
    pair.secondary.on().await.expect("it is asked");
    assert!(!pair.sees_the_other().await);
    pair.sleep(310).await;
    assert!(pair.sees_the_other().await);
    let view = pair.sim().pair().expect("a pair");
    assert!(view.whole && !view.broken && view.secondary_has_power);
    assert_eq!(pair.violations(), Vec::<String>::new());
    let of_the_pair: Vec<Life> = pair
        .life()
        .into_iter()
        .filter(|life| !matches!(life, Life::Slot { .. } | Life::Armed { .. }))
        .filter(|life| !matches!(life, Life::FetchQueued { .. } | Life::FetchEnded { .. }))
        .collect();
    let version = || "7.5.1".to_owned();
    assert_eq!(
        of_the_pair,
        [
            Life::PeerHasFirmware { version: version() },
            Life::SecondaryShuttingDown,
            Life::SecondaryOff,
            Life::Restarting { by: RestartBy::Switch },
            Life::Down,
            Life::BootPage,
            Life::Up { version: version(), reverted: false },
            Life::SecondaryBooting,
            Life::SecondaryUp { version: version() },
            Life::PairWhole,
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn the_ha_check_fails_while_the_pair_is_not_whole() {
    let plan = FaultPlan::default().where_("a", Behaviour::SecondaryOff {});
    let pair = Pair::new(arms(), plan);
    let slot = pair.staged().await;
    for answer in [pair.port.test(&slot, LIMIT).await, pair.port.upgrade(&slot, "x", LIMIT).await] {
        let error = answer.expect_err("it fails");
        assert_eq!(error.class, FailureClass::TestFailed);
        assert_eq!(error.test_summary.as_deref(), Some("HA check started\nHA check failed"));
    }
    pair.secondary.on().await.expect("it is asked");
    pair.sleep(250).await;
    assert!(pair.port.test(&slot, LIMIT).await.is_err(), "it runs and has not joined");
    pair.sleep(60).await;
    let summary = pair.port.test(&slot, LIMIT).await.expect("a good test").summary;
    assert_eq!(summary, "HA check started\nHA check finished");
}

#[tokio::test(start_paused = true)]
async fn a_reboot_beside_a_running_secondary_is_a_takeover() {
    let pair = Pair::new(arms(), FaultPlan::default());
    pair.called().await;
    pair.sleep(200).await;
    pair.primary.restart().await.expect("it is asked");
    pair.sleep(400).await;
    assert!(pair.life().contains(&Life::Takeover { by: RestartBy::Switch }));
    let found = pair.violations();
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(found[0].contains("while the secondary had power"), "{found:?}");

    let outage = Pair::new(arms(), FaultPlan::default());
    outage.sim().power_off();
    outage.sim().power_on();
    outage.sleep(500).await;
    assert!(outage.life().contains(&Life::Takeover { by: RestartBy::Power }));
    assert_eq!(outage.violations(), Vec::<String>::new(), "nobody did that");
    assert!(outage.sim().pair().expect("a pair").whole, "they come together again");
}

#[tokio::test(start_paused = true)]
async fn a_secondary_with_other_firmware_breaks_the_pair() {
    // It was switched off before the firmware had reached it.
    let plan = FaultPlan::default().where_("a", Behaviour::PeerSyncStuck {});
    let pair = Pair::new(arms(), plan);
    pair.called().await;
    pair.sleep(2000).await;
    pair.secondary.off().await.expect("it is asked");
    pair.sleep(60).await;
    pair.sim().reboot();
    pair.sleep(400).await;
    pair.secondary.on().await.expect("it is asked");
    pair.sleep(2000).await;
    let broken = Life::PairBroken { primary: "7.5.1".to_owned(), secondary: "7.5.0".to_owned() };
    assert_eq!(pair.life().iter().filter(|life| **life == broken).count(), 1);
    let view = pair.sim().pair().expect("a pair");
    assert!(view.broken && !view.whole);
    assert!(!pair.sees_the_other().await);
    let found = pair.violations();
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(found[0].contains("beside a primary with 7.5.1"), "{found:?}");

    // The primary went back to the old firmware, and the secondary holds the new.
    let plan = FaultPlan::default().where_("a", Behaviour::Revert { times: 1 });
    let pair = Pair::new(arms(), plan);
    pair.called().await;
    pair.sleep(200).await;
    pair.secondary.force_off().await.expect("it is asked");
    pair.primary.restart().await.expect("it is asked");
    pair.sleep(1000).await;
    assert_eq!(pair.sim().version(), "7.5.0");
    pair.secondary.on().await.expect("it is asked");
    assert_eq!(pair.violations().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_call_that_reboots_takes_both_nodes() {
    let spec = ApplianceSpec { upgrade_call: UpgradeMode::Reboots, ..arms() };
    let pair = Pair::new(spec, FaultPlan::default());
    pair.called().await;
    pair.sleep(375).await;
    assert_eq!(pair.sim().version(), "7.5.1");
    assert!(!pair.sees_the_other().await, "they join a little later");
    pair.sleep(60).await;
    assert!(pair.sees_the_other().await);
    assert_eq!(pair.sim().pair().expect("a pair").secondary_holds, "7.5.1");
    assert_eq!(pair.violations(), Vec::<String>::new());
}

#[tokio::test(start_paused = true)]
async fn switching_the_wrong_node_off_takes_the_appliance_down() {
    let plan = FaultPlan::default().where_("a", Behaviour::SwitchIsPrimary {});
    let pair = Pair::new(arms(), plan);
    pair.secondary.off().await.expect("it is asked");
    pair.sleep(15).await;
    assert_eq!(pair.sim().phase(), Phase::Down);
    assert_eq!(pair.port.setup().await.expect_err("it is down").class, FailureClass::Unreachable);
    assert_eq!(pair.secondary.state().await, Ok(PowerState::Off));
    assert_eq!(pair.primary.state().await, Ok(PowerState::On));
    pair.sleep(4000).await;
    assert_eq!(pair.sim().phase(), Phase::Down, "it stays down");
    pair.secondary.on().await.expect("it is asked");
    pair.sleep(310).await;
    assert_eq!(pair.sim().phase(), Phase::Up);
}

#[tokio::test(start_paused = true)]
async fn a_shutdown_may_be_slow_and_a_single_appliance_has_no_secondary() {
    let by = jiff::SignedDuration::from_mins(10);
    let plan = FaultPlan::default().where_("a", Behaviour::SlowShutdown { by });
    let pair = Pair::new(arms(), plan);
    pair.secondary.off().await.expect("it is asked");
    pair.sleep(600).await;
    assert_eq!(pair.secondary.state().await, Ok(PowerState::On));
    pair.sleep(60).await;
    assert_eq!(pair.secondary.state().await, Ok(PowerState::Off));

    let single = Pair::new(ApplianceSpec::new(name("a"), "7.5.0"), FaultPlan::default());
    assert_eq!(single.sim().pair(), None);
    let missing = single.secondary.state().await.expect_err("there is none");
    assert_eq!(missing.class, FailureClass::Refused);
    single.primary.restart().await.expect("it is asked");
    single.sleep(400).await;
    assert_eq!(single.violations(), Vec::<String>::new());
}
