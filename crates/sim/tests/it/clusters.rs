//! sps-api.md, section 6, "Central cluster": what central management sees, and what may be wrong
//! with it.

use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use model::observed::ClusterNode;
use model::ports::{Appliance, NoThrottle, OpenGate};
use sim::{AdminAct, ApplianceSpec, Behaviour, FaultPlan, HealthSpec, Illness, SimFleet, SimImage};

use crate::support::{clock, name};

struct World {
    fleet: Arc<SimFleet>,
    manager: Arc<dyn Appliance>,
}

impl World {
    fn new(plan: FaultPlan) -> Self {
        let member = |text: &str, roles: &[&str]| {
            let mut spec = ApplianceSpec::new(name(text), "7.5.0");
            spec.cluster = Some("us".to_owned());
            spec.roles = roles.iter().map(|role| (*role).to_owned()).collect();
            spec
        };
        let fleet = SimFleet::builder()
            .clock(clock())
            .appliance(member("a", &["central-management", "search-master"]))
            .appliance(member("b", &["managed-host", "search-minion"]))
            .faults(plan)
            .build();
        let manager = Self::port(&fleet, "a");
        Self { fleet, manager }
    }

    fn port(fleet: &Arc<SimFleet>, text: &str) -> Arc<dyn Appliance> {
        let entry = fleet.inventory_entry(text).expect("an entry");
        fleet.connector().connect(&entry, Arc::new(NoThrottle), Arc::new(OpenGate))
    }

    async fn sleep(&self, seconds: u64) {
        self.fleet.clock().sleep(Duration::from_secs(seconds)).await;
    }

    async fn nodes(&self) -> Vec<ClusterNode> {
        self.manager.cluster_status().await.expect("nodes")
    }

    async fn node(&self, text: &str) -> Option<ClusterNode> {
        let fqdn = format!("sps-{text}.sim.invalid");
        self.nodes().await.into_iter().find(|node| node.fqdn.as_deref() == Some(&fqdn))
    }

    async fn b(&self) -> ClusterNode {
        self.node("b").await.expect("b is listed")
    }

    fn reboot(&self) {
        self.fleet.appliance("b").expect("b").reboot();
    }
}

fn b(does: Behaviour) -> FaultPlan {
    FaultPlan::default().where_("b", does)
}

#[tokio::test(start_paused = true)]
async fn a_member_is_pending_for_a_while_after_it_came_back() {
    let world = World::new(FaultPlan::default());
    let node = world.b().await;
    assert_eq!(node.sync_status.as_deref(), Some("n/a"));
    assert!(node.healthy && !node.is_self && node.warnings.is_empty());
    let own = world.node("a").await.expect("a is listed");
    assert!(own.is_self);
    world.reboot();
    world.sleep(100).await;
    let down = world.b().await;
    assert!(!down.healthy);
    let seen = |node: &ClusterNode| -> Timestamp {
        node.last_seen.as_deref().expect("a time").parse().expect("a time")
    };
    let silent = world.fleet.clock().now().duration_since(seen(&down));
    assert!(silent > SignedDuration::from_secs(80), "it was last seen when it went down: {silent}");
    world.sleep(265).await;
    let back = world.b().await;
    assert!(back.healthy);
    assert_eq!(back.sync_status.as_deref(), Some("pending"));
    world.sleep(30).await;
    assert_eq!(world.b().await.sync_status.as_deref(), Some("n/a"));
    let refused = World::port(&world.fleet, "b").cluster_status().await;
    assert!(refused.is_err(), "only central management answers");
}

#[tokio::test(start_paused = true)]
async fn what_a_plan_says_of_the_cluster_is_shown() {
    let world = World::new(b(Behaviour::ClusterPending {}));
    assert_eq!(world.b().await.sync_status.as_deref(), Some("n/a"));
    world.reboot();
    world.sleep(40_000).await;
    assert_eq!(world.b().await.sync_status.as_deref(), Some("pending"), "for ever");

    let world = World::new(b(Behaviour::ClusterUnseen { after_restart: true }));
    assert!(world.b().await.healthy);
    world.reboot();
    world.sleep(1000).await;
    assert!(!world.b().await.healthy);
    assert!(!World::new(b(Behaviour::ClusterUnseen { after_restart: false })).b().await.healthy);

    assert!(World::new(b(Behaviour::ClusterMissing {})).node("b").await.is_none());
    let stranger = Behaviour::ClusterStranger { fqdn: "old.example".to_owned() };
    let nodes = World::new(b(stranger)).nodes().await;
    assert_eq!(nodes.len(), 3);
    assert!(nodes.iter().any(|node| node.fqdn.as_deref() == Some("old.example")));

    let warning = Behaviour::ClusterWarning { message: "lost".to_owned(), after_restart: false };
    assert_eq!(World::new(b(warning)).b().await.warnings, ["lost"]);

    let world = World::new(b(Behaviour::Roles { roles: vec!["search-local".to_owned()] }));
    let info = World::port(&world.fleet, "b").info().await.expect("info");
    assert_eq!(info.roles, ["search-local"]);
}

#[tokio::test(start_paused = true)]
async fn other_hands_may_change_host_name_and_roles() {
    let world = World::new(FaultPlan::default());
    let sim = world.fleet.appliance("b").expect("b");
    sim.admin(&AdminAct::Hostname { hostname: "other.example".to_owned() });
    sim.admin(&AdminAct::Roles { roles: vec!["managed-host".to_owned()] });
    let info = World::port(&world.fleet, "b").info().await.expect("info");
    assert_eq!(info.hostname.as_deref(), Some("other.example"));
    assert_eq!(info.roles, ["managed-host"]);
    let nodes = world.nodes().await;
    assert!(nodes.iter().any(|node| node.fqdn.as_deref() == Some("other.example")));
}

#[tokio::test(start_paused = true)]
async fn sessions_end_or_never_do() {
    let minutes = SignedDuration::from_mins;
    let plan = FaultPlan::default()
        .where_("a", Behaviour::Sessions { open: 4, from: minutes(0), until: None })
        .where_("b", Behaviour::Sessions { open: 3, from: minutes(10), until: Some(minutes(30)) });
    let world = World::new(plan);
    let b = World::port(&world.fleet, "b");
    let sessions = async |port: &Arc<dyn Appliance>| port.health().await.expect("health").sessions;
    assert_eq!(sessions(&b).await, Some(0));
    world.sleep(601).await;
    assert_eq!(sessions(&b).await, Some(3));
    world.sleep(1200).await;
    assert_eq!(sessions(&b).await, Some(0));
    world.sleep(100_000).await;
    assert_eq!(sessions(&world.manager).await, Some(4));
}

#[tokio::test(start_paused = true)]
async fn an_upgraded_appliance_may_fall_ill_later() {
    let minutes = SignedDuration::from_mins;
    let url = "https://repo.example/sps.iso";
    let image = SimImage::described("7.5.1", 1_000_000);
    let ill = |r#for, with| Behaviour::FallsIll { after: minutes(30), r#for, with };
    for (with, lasts) in [
        (Illness::Corrupted {}, None),
        (Illness::Disk { percent: 97.0 }, Some(minutes(10))),
        (Illness::Raid { status: "degraded".to_owned() }, Some(minutes(10))),
        (Illness::Tainted { files: 2 }, None),
        (Illness::Silent {}, Some(minutes(10))),
    ] {
        let fleet = SimFleet::builder()
            .clock(clock())
            .appliance(ApplianceSpec::new(name("b"), "7.5.0"))
            .image(url, image.clone())
            .faults(b(ill(lasts, with.clone())))
            .build();
        let (port, sim) = (World::port(&fleet, "b"), fleet.appliance("b").expect("b"));
        let sleep = async |seconds| fleet.clock().sleep(Duration::from_secs(seconds)).await;
        sim.reboot();
        sleep(4000).await;
        let well = HealthSpec::default();
        assert_eq!(sim.spec().health, well, "a reboot alone is no upgrade");
        let job = port.start_fetch(url, &image.sha256).await.expect("a job");
        sleep(60).await;
        let slot = port.fetch_job(&job).await.expect("ok").expect("a job").slot.expect("a slot");
        port.upgrade(&slot, "x", Duration::from_secs(900)).await.expect("it acts");
        sleep(400 + 1700).await;
        assert_eq!(port.health().await.expect("it answers").disk_used, Some(31.0));
        sleep(200).await;
        let health = port.health().await;
        let found = match &with {
            Illness::Silent {} => health.is_err(),
            Illness::Corrupted {} => health.expect("health").integrity["core"] == "CORRUPTED",
            Illness::Disk { percent } => health.expect("health").disk_used == Some(*percent),
            Illness::Raid { status } => health.expect("health").raid.as_ref() == Some(status),
            Illness::Tainted { files } => health.expect("health").tainted["core"] == *files,
        };
        assert!(found, "{with:?}");
        sleep(1200).await;
        let healed = port.health().await.is_ok() && sim.spec().health == well;
        assert_eq!(healed, lasts.is_some(), "{with:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_reboot_cuts_the_sessions() {
    let open = Behaviour::Sessions { open: 3, from: SignedDuration::ZERO, until: None };
    let world = World::new(b(open));
    let port = World::port(&world.fleet, "b");
    assert_eq!(port.health().await.expect("health").sessions, Some(3));
    world.reboot();
    world.sleep(400).await;
    assert_eq!(port.health().await.expect("health").sessions, Some(0));
}
