//! What a client reads of a healthy appliance, and uploads.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use model::failure::FailureClass;
use model::names::SlotKey;
use model::observed::SetupStatus;

use super::{LIMIT, Stage, VERSION, class, holding, quick, ready};
use crate::faults::{Behaviour, FaultPlan};
use crate::spec::HealthSpec;

pub(super) async fn all(stage: &dyn Stage) {
    plain_reads(stage).await;
    no_fetch(stage).await;
    upload(stage).await;
    delete_slot(stage).await;
    cluster(stage).await;
    keys_from_zero(stage).await;
}

async fn plain_reads(stage: &dyn Stage) {
    let mut spec = quick();
    spec.health = HealthSpec {
        disk: 77.5,
        tainted_core: 3,
        integrity_core: "CORRUPTED".to_owned(),
        raid: "degraded".to_owned(),
        sessions: vec![("ssh".to_owned(), 4), ("rdp".to_owned(), 2)],
        queues: vec![("content".to_owned(), 7)],
        indexer: Some("running".to_owned()),
    };
    spec.roles = vec!["managed-host".to_owned(), "search-minion".to_owned()];
    let it = ready(stage, spec, FaultPlan::default()).await;
    assert_eq!(it.port.setup().await, Ok(SetupStatus::Completed));
    assert_eq!(it.count("GET /api/authentication"), 0, "setup costs no login");

    let info = it.port.info().await.expect("info");
    assert_eq!(info.firmware_version.to_string(), "7.5.0");
    assert_eq!(info.hostname.as_deref(), Some("sps-subject"));
    assert_eq!(info.roles, ["managed-host", "search-minion"]);
    assert!(it.port.offered().await.expect("offered").fetch);

    let slots = it.port.slots().await.expect("slots");
    let keys: Vec<&str> = slots.iter().map(|slot| slot.key.as_str()).collect();
    assert_eq!(keys, ["1", "2", "3", "4"]);
    let current = slots.first().and_then(|slot| slot.content.as_ref()).expect("slot 1 runs");
    assert!(current.current && !current.after_reboot && current.version == "7.5.0");
    assert!(slots.iter().skip(1).all(|slot| slot.content.is_none()));
    let one = it.port.slot(&SlotKey::new("1")).await.expect("a slot");
    assert_eq!(Some(&one), slots.first());
    let none = it.port.slot(&SlotKey::new("9")).await.expect_err("there is no slot 9");
    assert_eq!(none.class, FailureClass::Refused);
    assert_eq!(none.error_type.as_deref(), Some("ResourceNotFound"));

    let health = it.port.health().await.expect("health");
    assert_eq!(health.disk_used, Some(77.5));
    assert_eq!(health.tainted.get("core"), Some(&3));
    assert_eq!(health.tainted.get("boot"), Some(&0));
    assert_eq!(health.integrity.get("core").map(String::as_str), Some("CORRUPTED"));
    assert_eq!(health.raid.as_deref(), Some("degraded"));
    assert_eq!(health.sessions, Some(6));
    assert_eq!(health.queues.get("content"), Some(&7));
    assert_eq!(health.indexer.as_deref(), Some("running"));
    assert_eq!(it.port.fetch_jobs().await, Ok(Vec::new()));
    assert_eq!(it.count("GET /api/authentication"), 1, "one login for all of it");
}

async fn no_fetch(stage: &dyn Stage) {
    let plan = FaultPlan::default().where_("*", Behaviour::NoFetch {});
    let it = ready(stage, quick(), plan).await;
    assert!(!it.port.offered().await.expect("offered").fetch);
    assert_eq!(class(it.port.start_fetch(&it.url, &it.sha256).await), FailureClass::Refused);
}

async fn upload(stage: &dyn Stage) {
    let it = ready(stage, quick(), FaultPlan::default()).await;
    let sent = Arc::new(AtomicU64::new(0));
    let told = Arc::clone(&sent);
    let report: Arc<dyn Fn(u64) + Send + Sync> =
        Arc::new(move |bytes| told.store(bytes, Ordering::Relaxed));
    let uploaded = it.port.upload(&it.image, LIMIT, report).await.expect("an upload");
    assert_eq!(uploaded.sha256, it.sha256);
    assert_eq!(sent.load(Ordering::Relaxed), it.image.size);
    let slots = it.port.slots().await.expect("slots");
    let filled = holding(&slots, VERSION);
    assert_eq!(filled.len(), 1);
    assert_eq!(filled.first().map(|slot| &slot.key), Some(&uploaded.slot.key));
    assert_eq!(it.count("POST /api/upload/firmware"), 1);

    let plan =
        FaultPlan::default().where_("*", Behaviour::SlotsFull { version: "7.4.0".to_owned() });
    let full = ready(stage, quick(), plan).await;
    let answer = full.port.upload(&full.image, LIMIT, Arc::new(|_| {})).await;
    assert_eq!(class(answer), FailureClass::Refused);

    let mut missing = it.image.clone();
    missing.path.push_str(".is-not-there");
    let answer = it.port.upload(&missing, LIMIT, Arc::new(|_| {})).await;
    assert_eq!(class(answer), FailureClass::Local);
}

async fn delete_slot(stage: &dyn Stage) {
    let it = ready(stage, quick(), FaultPlan::default()).await;
    let slot = it.staged().await;
    let current = it.port.delete_slot(&SlotKey::new("1")).await;
    assert_eq!(class(current), FailureClass::Refused);
    it.port.delete_slot(&slot).await.expect("it can be deleted");
    assert_eq!(it.port.slot(&slot).await.expect("a slot").content, None);
}

async fn cluster(stage: &dyn Stage) {
    let it = ready(stage, quick(), FaultPlan::default()).await;
    assert_eq!(class(it.port.cluster_status().await), FailureClass::Refused);
    let mut spec = quick();
    spec.cluster = Some("us".to_owned());
    spec.roles = vec!["central-management".to_owned(), "search-master".to_owned()];
    let it = ready(stage, spec, FaultPlan::default()).await;
    let nodes = it.port.cluster_status().await.expect("nodes");
    let node = nodes.first().expect("one node");
    assert!(node.healthy && node.is_self && nodes.len() == 1);
    assert_eq!(node.fqdn.as_deref(), Some("sps-subject.sim.invalid"));
    assert!(node.sync_status.is_some() && node.last_seen.is_some());
}

/// Keys are taken verbatim.
async fn keys_from_zero(stage: &dyn Stage) {
    let mut spec = quick();
    spec.quirks.first_slot_key = 0;
    let it = ready(stage, spec, FaultPlan::default()).await;
    let slot = it.staged().await;
    assert_eq!(slot.as_str(), "1");
    it.port.test(&slot, LIMIT).await.expect("a good test");
    it.port.upgrade(&slot, "CHG1", LIMIT).await.expect("it is taken");
    it.sleep(300).await;
    it.returned().await;
    assert_eq!(it.version().await, VERSION);
}
