//! sps-api.md, sections 4 to 7, over HTTPS: readiness, reboot, boot page, health, cluster.

use std::time::Duration;

use serde_json::{Value, json};
use sim::{ApplianceSpec, Behaviour, FaultPlan, HealthSpec, Life, Phase, RestartBy, SimFleet};

use crate::support::{Rig, clock, name, send, spec};

#[tokio::test(start_paused = true)]
async fn setup_is_readable_without_login() {
    let rig = Rig::of(spec()).await;
    let got = rig.get("/api/setup").await;
    assert_eq!((got.status, &got.json["status"]), (200, &json!("completed")));
    assert_eq!(got.json["meta"]["remaining_seconds"], 0);
}

#[tokio::test(start_paused = true)]
async fn info_hides_the_version_without_login_and_when_the_session_is_over() {
    let mut rig = Rig::of(spec()).await;
    let got = rig.get("/api/info").await;
    assert_eq!(got.status, 200);
    assert_eq!(got.json["key"], "about_info");
    assert_eq!(got.json["body"]["hostname"], "sps-a");
    assert!(got.json["body"].get("firmware_version").is_none());
    rig.login().await;
    let got = rig.get("/api/info").await;
    assert_eq!(got.json["body"]["firmware_version"], "7.5.0");
    assert_eq!(got.json["body"]["version"], "7 F5", "not to be compared");
    assert_eq!(got.json["body"]["roles"], json!([]));
    rig.sleep(601).await;
    let got = rig.get("/api/info").await;
    assert_eq!(got.status, 200, "an expired session degrades silently");
    assert!(got.json["body"].get("firmware_version").is_none());
}

#[tokio::test(start_paused = true)]
async fn health_has_the_documented_shape() {
    let mut spec = spec();
    spec.health = HealthSpec { sessions: vec![("ssh".to_owned(), 3)], ..HealthSpec::default() };
    let rig = Rig::logged_in(spec).await;
    let got = rig.get("/api/health_status").await;
    let health = &got.json["health_status"];
    assert_eq!((&health["sessions_total"], &health["sessions"]["ssh"]), (&json!(3), &json!(3)));
    assert_eq!(health["firmware"]["integrity"], json!({"boot": "OK", "core": "OK"}));
    let tainted = json!({"boot": 0, "core": 0, "ha_other": 0});
    assert_eq!(health["firmware"]["tainted_files"], tainted);
    assert!(health["disk"].is_number() && health["raid"]["status"]["status"].is_string());
    assert!(got.json.get("issues").is_some());
}

#[tokio::test(start_paused = true)]
async fn what_a_plan_says_of_health_is_shown() {
    let plan = FaultPlan::default()
        .where_("a", Behaviour::Tainted { files: 2 })
        .where_("a", Behaviour::DiskUsed { percent: 95.0 });
    let rig = Rig::with_faults(plan).await;
    let got = rig.get("/api/health_status").await;
    assert_eq!(got.json["health_status"]["firmware"]["tainted_files"]["core"], 2);
    assert_eq!(got.json["health_status"]["disk"], 95.0);
}

async fn upgrade(rig: &Rig) -> String {
    let slot = rig.staged("7.5.1").await;
    let got = rig.post("/api/firmware/upgrade", json!({"slot_id": slot, "message": "x"})).await;
    assert_eq!(got.status, 200, "{}", got.text);
    slot
}

async fn version(rig: &Rig) -> Value {
    rig.get("/api/info").await.json["body"]["firmware_version"].clone()
}

#[tokio::test(start_paused = true)]
async fn an_upgrade_that_reboots_goes_down_shows_a_page_and_comes_back_new() {
    let rig = Rig::logged_in(spec()).await;
    let slot = upgrade(&rig).await;
    assert_eq!(version(&rig).await, "7.5.0", "it still answers for a moment");
    let armed = rig.get(&format!("/api/firmware/slots/{slot}")).await;
    assert_eq!(armed.json["body"]["after_reboot"], true);
    rig.sleep(15).await;
    assert_eq!(rig.appliance().phase(), Phase::Down);
    let refused = send(rig.request(reqwest::Method::GET, "/api/setup")).await;
    assert!(refused.expect_err("nobody listens").is_connect());
    rig.sleep(60).await;
    for path in ["/api/setup", "/api/info", "/api/firmware/slots", "/"] {
        let got = rig.get(path).await;
        assert_eq!(got.status, 200, "{path}");
        assert!(got.text.starts_with("<!DOCTYPE html>"), "{path}: {}", got.text);
    }
    rig.sleep(200).await;
    assert_eq!(rig.get("/api/setup").await.json["status"], "booting");
    assert!(rig.get("/api/info").await.json.is_null());
    rig.sleep(100).await;
    assert_eq!(rig.get("/api/setup").await.json["status"], "completed");
    assert_eq!(version(&rig).await, "7.5.1", "the session is still good");
    let slot = rig.get(&format!("/api/firmware/slots/{slot}")).await;
    let flags = (&slot.json["body"]["current"], &slot.json["body"]["after_reboot"]);
    assert_eq!(flags, (&json!(true), &json!(false)));
    let life = rig.server.fleet().ledger().life_of("a");
    let reboot: Vec<&Life> =
        life.iter().filter(|life| !matches!(life, Life::Slot { .. })).collect();
    assert_eq!(
        reboot,
        [
            &Life::Armed { slot: model::SlotKey::new("2"), version: "7.5.1".to_owned() },
            &Life::Restarting { by: RestartBy::Upgrade },
            &Life::Down,
            &Life::BootPage,
            &Life::Up { version: "7.5.1".to_owned(), reverted: false },
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn the_boot_page_s_status_and_setup_s_answer_are_configurable() {
    let mut spec = spec();
    spec.quirks.boot_page = sim::BootPage { status: 503, setup_says_booting: false };
    let rig = Rig::logged_in(spec).await;
    upgrade(&rig).await;
    rig.sleep(300).await;
    for path in ["/api/setup", "/api/info"] {
        let got = rig.get(path).await;
        assert_eq!((got.status, got.json.is_null()), (503, true), "{path}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_upgrade_that_arms_waits_for_a_reboot() {
    let mut spec = spec();
    spec.upgrade_call = sim::UpgradeMode::Arms;
    let mut rig = Rig::logged_in(spec).await;
    let slot = upgrade(&rig).await;
    rig.sleep(7200).await;
    rig.login().await;
    assert_eq!(version(&rig).await, "7.5.0");
    let got = rig.get(&format!("/api/firmware/slots/{slot}")).await;
    assert_eq!(got.json["body"]["after_reboot"], true);
    rig.appliance().reboot();
    rig.sleep(400).await;
    assert_eq!(version(&rig).await, "7.5.1");
}

#[tokio::test(start_paused = true)]
async fn a_second_upgrade_call_acts_again_or_not_as_configured() {
    for repeats in [true, false] {
        let mut spec = spec();
        spec.upgrade_call = sim::UpgradeMode::Arms;
        spec.quirks.upgrade_repeats = repeats;
        let rig = Rig::logged_in(spec).await;
        let slot = upgrade(&rig).await;
        let body = json!({"slot_id": slot, "message": "x"});
        assert_eq!(rig.post("/api/firmware/upgrade", body).await.status, 200);
        let changes = rig.server.fleet().ledger().changes("a", "POST /api/firmware/upgrade");
        assert_eq!(changes, if repeats { 2 } else { 1 });
    }
}

#[tokio::test(start_paused = true)]
async fn a_failed_upgrade_reverts_by_itself() {
    let plan = FaultPlan::default().where_("a", Behaviour::Revert { times: 1 });
    let mut rig = Rig::with_faults(plan).await;
    let slot = upgrade(&rig).await;
    rig.sleep(900).await;
    rig.login().await;
    assert_eq!(version(&rig).await, "7.5.0");
    let got = rig.get(&format!("/api/firmware/slots/{slot}")).await;
    assert_eq!(got.json["body"]["after_reboot"], false);
    assert_eq!(got.json["body"]["version"], "7.5.1", "the slot keeps its content");
    let body = json!({"slot_id": slot, "message": "again"});
    assert_eq!(rig.post("/api/firmware/upgrade", body).await.status, 200);
    rig.sleep(400).await;
    assert_eq!(version(&rig).await, "7.5.1");
}

#[tokio::test(start_paused = true)]
async fn other_endings_of_an_upgrade() {
    let ending = async |does: Behaviour| {
        let rig = Rig::with_faults(FaultPlan::default().where_("a", does)).await;
        upgrade(&rig).await;
        rig.sleep(500).await;
        rig
    };
    let wrong = Behaviour::WrongVersionAfterReboot { version: "7.5.0.9".to_owned() };
    assert_eq!(version(&ending(wrong).await).await, "7.5.0.9");
    let gone = ending(Behaviour::NeverReturns { page: false }).await;
    gone.sleep(86_400).await;
    assert_eq!(gone.appliance().phase(), Phase::Down);
    let page = ending(Behaviour::NeverReturns { page: true }).await;
    page.sleep(86_400).await;
    assert!(page.get("/api/setup").await.text.starts_with("<!DOCTYPE html>"));
    let ignored = ending(Behaviour::UpgradeIgnored { times: 1 }).await;
    assert_eq!(version(&ignored).await, "7.5.0");
    assert_eq!(ignored.server.fleet().ledger().changes("a", "POST /api/firmware/upgrade"), 0);
    let corrupted = ending(Behaviour::CorruptedAfterReboot {}).await;
    let health = corrupted.get("/api/health_status").await;
    assert_eq!(health.json["health_status"]["firmware"]["integrity"]["core"], "CORRUPTED");
    let slow = ending(Behaviour::SlowBoot { by: jiff::SignedDuration::from_hours(1) }).await;
    assert_eq!(slow.appliance().phase(), Phase::Booting);
    slow.sleep(3600).await;
    assert_eq!(slow.appliance().phase(), Phase::Up);
}

#[tokio::test(start_paused = true)]
async fn an_upgrade_goes_on_when_its_caller_hangs_up() {
    let rig = Rig::logged_in(spec()).await;
    let slot = rig.staged("7.5.1").await;
    let body = json!({"slot_id": slot, "message": "x"}).to_string();
    let call = rig
        .request(reqwest::Method::POST, "/api/firmware/upgrade")
        .body(body)
        .timeout(Duration::from_secs(5));
    assert!(send(call).await.expect_err("no answer in 5 s").is_timeout());
    rig.sleep(400).await;
    assert_eq!(version(&rig).await, "7.5.1");
}

#[tokio::test(start_paused = true)]
async fn an_outage_comes_and_goes_by_the_clock() {
    let (at, r#for) = (jiff::SignedDuration::from_mins(5), jiff::SignedDuration::from_mins(10));
    let plan = FaultPlan::default().where_("a", Behaviour::Outage { at, r#for });
    let rig = Rig::with_faults(plan).await;
    rig.sleep(310).await;
    assert!(send(rig.request(reqwest::Method::GET, "/api/setup")).await.is_err());
    rig.sleep(600 + 310).await;
    assert_eq!(rig.get("/api/setup").await.json["status"], "completed");
}

#[tokio::test(start_paused = true)]
async fn cluster_status_is_answered_by_central_management_only() {
    let member = |text: &str, roles: &[&str]| {
        let mut spec = ApplianceSpec::new(name(text), "7.5.0");
        spec.cluster = Some("us".to_owned());
        spec.roles = roles.iter().map(|role| (*role).to_owned()).collect();
        spec
    };
    let builder = SimFleet::builder()
        .clock(clock())
        .appliance(member("a", &["central-management", "search-master"]))
        .appliance(member("b", &["managed-host", "search-minion"]));
    let mut rig = Rig::start(builder).await;
    rig.login().await;
    let items = |got: &Value| got["items"].as_array().expect("items").clone();
    let got = rig.get("/api/cluster/status").await;
    let nodes = items(&got.json);
    assert_eq!(nodes.len(), 2);
    assert!(nodes.iter().all(|node| node["health_status"].is_object()));
    let own = got.json["meta"]["self"].as_str().expect("a path");
    assert!(nodes.iter().any(|node| own.ends_with(node["key"].as_str().expect("a key"))));
    rig.server.fleet().appliance("b").expect("b").power_off();
    let nodes = items(&rig.get("/api/cluster/status").await.json);
    let down: Vec<&Value> = nodes.iter().filter(|node| node["health_status"].is_null()).collect();
    assert_eq!(down.len(), 1, "a node that is down has no health");
    assert_eq!(down[0]["fqdn"], "sps-b.sim.invalid");

    let alone = Rig::logged_in(spec()).await;
    assert_eq!(alone.get("/api/cluster/status").await.error_type(), "NotFound");
}

#[tokio::test(start_paused = true)]
async fn a_support_bundle_is_made_polled_taken_and_removed() {
    let rig = Rig::logged_in(spec()).await;
    let path = "/api/troubleshooting/support-bundle";
    let key = rig.post(path, json!({})).await.json["key"].as_str().expect("a key").to_owned();
    let one = format!("{path}/{key}");
    assert_ne!(rig.get(&one).await.json["body"]["status"], "finished");
    rig.sleep(30).await;
    assert_eq!(rig.get(&one).await.json["body"]["status"], "finished");
    assert!(!rig.get(&format!("{one}/download")).await.text.is_empty());
    assert_eq!(rig.delete(&one).await.status, 200);
    assert_eq!(rig.get(&one).await.status, 404);
}

#[tokio::test(start_paused = true)]
async fn firmware_calls_leave_the_transaction_closed() {
    let rig = Rig::logged_in(spec()).await;
    upgrade(&rig).await;
    assert_eq!(rig.get("/api/transaction").await.json["body"]["status"], "closed");
}

#[tokio::test(start_paused = true)]
async fn no_call_reboots_or_shuts_down() {
    let rig = Rig::logged_in(spec()).await;
    for path in ["/api/reboot", "/api/firmware/reboot", "/api/shutdown"] {
        let got = rig.post(path, json!({})).await;
        assert_eq!((got.status, got.error_type()), (404, "NotFound"), "{path}");
    }
    assert_eq!(rig.appliance().phase(), Phase::Up);
}
