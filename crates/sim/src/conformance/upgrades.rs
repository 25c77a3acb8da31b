//! Test and upgrade, and what the appliance looks like on its way down and up.

use model::failure::FailureClass;
use model::names::SlotKey;
use model::observed::SetupStatus;

use super::{LIMIT, Stage, VERSION, quick, ready};
use crate::faults::{Behaviour, FaultPlan};
use crate::spec::UpgradeMode;

const UPGRADE: &str = "POST /api/firmware/upgrade";

pub(super) async fn all(stage: &dyn Stage) {
    reboots(stage).await;
    arms(stage).await;
    tests(stage).await;
    reverts(stage).await;
}

async fn reboots(stage: &dyn Stage) {
    let it = ready(stage, quick(), FaultPlan::default()).await;
    let slot = it.staged().await;
    it.port.test(&slot, LIMIT).await.expect("a good test");
    let report = it.port.upgrade(&slot, "CHG1", LIMIT).await.expect("an upgrade");
    assert!(!report.summary.is_empty());
    assert_eq!(it.changes(UPGRADE), 1);
    let (mut refused, mut booting) = (0, 0);
    for _ in 0..400 {
        match it.port.setup().await {
            Ok(SetupStatus::Completed) if refused + booting > 0 => break,
            Ok(SetupStatus::Completed) => {}
            Ok(SetupStatus::Booting) => booting += 1,
            Ok(other) => panic!("not a status of this appliance: {other:?}"),
            Err(error) => match error.class {
                FailureClass::Unreachable => refused += 1,
                FailureClass::NotAnApi => booting += 1,
                // What was under way when it went down.
                FailureClass::Transient => {}
                other => panic!("while it boots: {other:?}: {error}"),
            },
        }
        it.sleep(20).await;
    }
    assert!(refused > 0 && booting > 0, "refused {refused} times, booting {booting} times");
    assert_eq!(it.version().await, VERSION);
    let now = it.port.slot(&slot).await.expect("a slot").content.expect("it is full");
    assert!(now.current && !now.after_reboot);
    assert_eq!(it.count(UPGRADE), 1);
}

async fn arms(stage: &dyn Stage) {
    let mut spec = quick();
    spec.upgrade_call = UpgradeMode::Arms;
    let it = ready(stage, spec, FaultPlan::default()).await;
    let slot = it.staged().await;
    it.port.upgrade(&slot, "CHG1", LIMIT).await.expect("it is armed");
    it.sleep(2000).await;
    assert_eq!(it.version().await, "7.5.0");
    assert!(it.port.slot(&slot).await.expect("a slot").is_armed());
    it.sim.reboot();
    it.sleep(300).await;
    it.returned().await;
    assert_eq!(it.version().await, VERSION);
}

async fn tests(stage: &dyn Stage) {
    let summary = "HA check started\nHA check failed".to_owned();
    let does = Behaviour::TestFails { summary: summary.clone(), times: Some(2) };
    let it = ready(stage, quick(), FaultPlan::default().where_("*", does)).await;
    let slot = it.staged().await;
    let failed = it.port.test(&slot, LIMIT).await.expect_err("the test fails");
    assert_eq!(failed.class, FailureClass::TestFailed);
    assert_eq!(failed.error_type.as_deref(), Some("FirmwareTestFailed"));
    assert_eq!(failed.test_summary.as_deref(), Some(summary.as_str()));
    let failed = it.port.upgrade(&slot, "CHG1", LIMIT).await.expect_err("its own test fails");
    assert_eq!(failed.class, FailureClass::TestFailed);
    assert_eq!(failed.test_summary.as_deref(), Some(summary.as_str()));
    assert_eq!(it.changes(UPGRADE), 0);
    it.port.test(&slot, LIMIT).await.expect("the third test is good");

    let empty = SlotKey::new("4");
    for error in [
        it.port.test(&empty, LIMIT).await.expect_err("nothing is in it"),
        it.port.upgrade(&empty, "CHG1", LIMIT).await.expect_err("nothing is in it"),
    ] {
        assert_eq!(error.class, FailureClass::Refused);
        assert_eq!(error.error_type.as_deref(), Some("ResourceNotFound"));
    }
}

async fn reverts(stage: &dyn Stage) {
    let plan = FaultPlan::default().where_("*", Behaviour::Revert { times: 1 });
    let it = ready(stage, quick(), plan).await;
    let slot = it.staged().await;
    it.port.upgrade(&slot, "CHG1", LIMIT).await.expect("it is taken");
    it.sleep(300).await;
    it.returned().await;
    assert_eq!(it.version().await, "7.5.0");
    assert!(!it.port.slot(&slot).await.expect("a slot").is_armed());
}
