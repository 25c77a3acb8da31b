//! Behaviours of a fault plan that no other test meets, the image server, and the ledger's file.

use model::digest::Sha256Hex;
use serde_json::{Value, json};
use sim::{AdminAct, Behaviour, FaultPlan, ImageServer, ImageShelf, Phase, SimImage};

use crate::support::{Rig, builder, spec};

async fn behaving(does: Behaviour) -> Rig {
    Rig::with_faults(FaultPlan::default().where_("a", does)).await
}

#[tokio::test(start_paused = true)]
async fn only_the_test_inside_the_upgrade_may_fail() {
    let summary = "Free storage check failed".to_owned();
    let rig = behaving(Behaviour::UpgradeTestFails { summary, times: Some(1) }).await;
    let slot = rig.staged("7.5.1").await;
    assert_eq!(rig.post("/api/firmware/test", json!({"slot_id": slot})).await.status, 200);
    let body = json!({"slot_id": slot, "message": "x"});
    let got = rig.post("/api/firmware/upgrade", body.clone()).await;
    assert_eq!(got.error_type(), "FirmwareTestFailed");
    assert_eq!(rig.post("/api/firmware/upgrade", body).await.status, 200);
}

#[tokio::test(start_paused = true)]
async fn a_plan_can_make_the_upgrade_call_arm() {
    let rig = behaving(Behaviour::UpgradeArms {}).await;
    let slot = rig.staged("7.5.1").await;
    let body = json!({"slot_id": slot, "message": "x"});
    assert_eq!(rig.post("/api/firmware/upgrade", body).await.status, 200);
    rig.sleep(500).await;
    assert_eq!(rig.appliance().version(), "7.5.0");
    rig.appliance().admin(&AdminAct::Reboot {});
    rig.sleep(200).await;
    assert_eq!(rig.appliance().phase(), Phase::Booting);
    rig.sleep(200).await;
    assert_eq!(rig.appliance().version(), "7.5.1");
}

#[tokio::test(start_paused = true)]
async fn full_slots_take_nothing() {
    let rig = behaving(Behaviour::SlotsFull { version: "7.4.0".to_owned() }).await;
    let got = rig.upload(SimImage::bytes("7.5.1", 100)).await;
    assert_eq!(got.error_type(), "NoEmptyFirmwareSlot");
    assert_eq!(rig.get("/api/firmware/slots/4").await.json["body"]["version"], "7.4.0");
}

/// Fetches an image from a file and gives the ended job.
async fn fetched(rig: &Rig, images: &ImageServer, sum: &Sha256Hex) -> Value {
    let body = json!({"url": images.url("sps.iso"), "checksum": {"sha256": sum.as_str()}});
    let got = rig.post("/api/firmware/fetch", body).await;
    let path = format!("/api/firmware/fetch/{}", got.json["key"].as_str().expect("a key"));
    for _ in 0..200 {
        let body = rig.get(&path).await.json["body"].clone();
        if !matches!(body["status"].as_str(), Some("queued" | "in-progress")) {
            return body;
        }
        rig.sleep(1).await;
    }
    panic!("the job does not end");
}

#[tokio::test(start_paused = true)]
async fn a_fetch_may_fail_be_corrupted_or_stick_and_then_works() {
    let dir = tempfile::tempdir().expect("a folder");
    let bytes = SimImage::bytes("7.5.1", 700_000);
    let (sum, size) = (Sha256Hex::of(&bytes), bytes.len());
    let path = dir.path().join("sps.iso");
    std::fs::write(&path, &bytes).expect("written");
    let shelf = ImageShelf::default().file("sps.iso", &path);
    let images = ImageServer::start(shelf).await.expect("images");
    let error = Some("disk full".to_owned());
    for (does, expected) in [
        (Behaviour::FetchFails { times: 1, error }, "disk full"),
        (Behaviour::FetchCorrupts { times: 1 }, "checksum"),
    ] {
        let rig = behaving(does).await;
        let ended = fetched(&rig, &images, &sum).await;
        assert_eq!(ended["status"], "failed");
        assert!(ended["error"].as_str().expect("a text").contains(expected), "{ended}");
        let ended = fetched(&rig, &images, &sum).await;
        assert_eq!((&ended["status"], &ended["bytes_total"]), (&json!("finished"), &json!(size)));
    }
    let rig = behaving(Behaviour::FetchStuck { times: 1 }).await;
    let body = json!({"url": images.url("sps.iso"), "checksum": {"sha256": sum.as_str()}});
    let got = rig.post("/api/firmware/fetch", body).await;
    let stuck = format!("/api/firmware/fetch/{}", got.json["key"].as_str().expect("a key"));
    let before = rig.get(&stuck).await.json["body"].clone();
    rig.sleep(500).await;
    assert_eq!(rig.get(&stuck).await.json["body"], before);
    assert_eq!(before["status"], "in-progress");
    rig.delete(&stuck).await;
    assert_eq!(fetched(&rig, &images, &sum).await["status"], "finished");
}

#[tokio::test(start_paused = true)]
async fn sessions_can_be_ended_by_somebody_else() {
    let rig = Rig::logged_in(spec()).await;
    rig.appliance().admin(&AdminAct::EndSessions {});
    assert_eq!(rig.get("/api/firmware").await.status, 401);
}

#[tokio::test(start_paused = true)]
async fn the_ledger_is_also_a_file_of_json_lines_without_secrets() {
    let dir = tempfile::tempdir().expect("a folder");
    let path = dir.path().join("ledger.jsonl");
    let mut rig = Rig::start(builder(spec())).await;
    rig.server.fleet().ledger().write_to(&path).expect("a file");
    rig.login().await;
    rig.staged("7.5.1").await;
    let ledger = rig.server.fleet().ledger();
    assert_eq!(ledger.file_error(), None);
    let text = std::fs::read_to_string(&path).expect("a text");
    let lines: Vec<Value> =
        text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    assert_eq!(lines.len(), ledger.entries().len());
    let upload = lines
        .iter()
        .find(|line| line["call"]["path"] == "/api/upload/firmware")
        .expect("the upload");
    assert_eq!(upload["appliance"], "a");
    assert_eq!(
        (&upload["call"]["status"], &upload["call"]["changed"]),
        (&json!(200), &json!(true))
    );
    assert!(upload["call"]["bytes_in"].as_u64().expect("a number") >= 5000);
    assert_eq!(upload["call"]["user"], "admin");
    assert!(lines.iter().any(|line| line["life"]["slot"]["version"] == "7.5.1"));
    assert!(!text.contains(crate::support::PASSWORD));
    assert!(!text.contains(rig.session.as_deref().expect("a session")));
}
