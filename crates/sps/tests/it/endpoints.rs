//! Every endpoint as the manual has it: path, method, body.

use std::time::Duration;

use model::failure::FailureClass;
use model::observed::{FetchStatus, SetupStatus};
use model::ports::Appliance;
use model::{FetchKey, Sha256Hex, SlotKey};
use serde_json::json as value;

use crate::support::{api_error, json, pair};

const LIMIT: Duration = Duration::from_secs(900);

#[tokio::test]
async fn reads_ask_for_what_the_manual_names() {
    let (_caller, server, client) = pair().await;
    let scene = &server.scene;
    scene.once("GET /api/setup", json(200, r#"{"status":"booting"}"#));
    assert_eq!(client.setup().await.expect("setup"), SetupStatus::Booting);

    scene.once("GET /api/firmware", json(200, r#"{"items":[{"key":"fetch"}],"meta":{}}"#));
    assert!(client.offered().await.expect("offered").fetch);

    let slot = r#"{"key":2,"body":{"version":"7.5.1","current":false,"after_reboot":true}}"#;
    scene.once("GET /api/firmware/slots/2", json(200, slot));
    assert!(client.slot(&SlotKey::new("2")).await.expect("a slot").is_armed());

    let job = r#"{"key":"j","body":{"url":"https://h/i","status":"canceled"}}"#;
    scene.once("GET /api/firmware/fetch/j", json(200, job));
    let found = client.fetch_job(&FetchKey::new("j")).await.expect("an answer").expect("a job");
    assert_eq!(found.status, FetchStatus::Cancelled);

    scene.once("GET /api/health_status", json(200, r#"{"health_status":{"disk":41}}"#));
    assert_eq!(client.health().await.expect("health").disk_used, Some(41.0));

    let cluster = r#"{"items":[{"key":"n","health_status":null}],"meta":{"self":"n"}}"#;
    scene.once("GET /api/cluster/status", json(200, cluster));
    assert!(client.cluster_status().await.expect("nodes")[0].is_self);

    let user = r#"{"user":{"name":"fleet"},"login_method":{"name":"local"}}"#;
    scene.once("GET /api/user_info", json(200, user));
    assert_eq!(client.user_info().await.expect("a user").name, "fleet");
}

#[tokio::test]
async fn changes_send_what_the_manual_names() {
    let (_caller, server, client) = pair().await;
    let sum = Sha256Hex::of(b"image");
    let key = client.start_fetch("https://repo/sps.iso?a=b", &sum).await.expect("a key");
    assert_eq!(key, FetchKey::new("job-1"));
    let heard = server.scene.last("POST /api/firmware/fetch");
    assert_eq!(heard.header("content-type"), Some("application/json"));
    let wanted = value!({"url": "https://repo/sps.iso?a=b", "checksum": {"sha256": sum.as_str()}});
    assert_eq!(heard.json(), wanted);

    let report = client.test(&SlotKey::new("2"), LIMIT).await.expect("a report");
    assert_eq!(report.summary, "HA check started\nHA check finished");
    assert_eq!(server.scene.last("POST /api/firmware/test").json(), value!({"slot_id": 2}));

    client.upgrade(&SlotKey::new("slot-b"), "CHG1 ü", LIMIT).await.expect("a report");
    let heard = server.scene.last("POST /api/firmware/upgrade");
    assert_eq!(heard.json(), value!({"slot_id": "slot-b", "message": "CHG1 ü"}));

    client.test(&SlotKey::new("02"), LIMIT).await.expect("a report");
    assert_eq!(server.scene.last("POST /api/firmware/test").json(), value!({"slot_id": "02"}));

    client.delete_slot(&SlotKey::new("2")).await.expect("done");
    client.delete_fetch(&FetchKey::new("a/b")).await.expect("done");
    assert_eq!(server.scene.count("DELETE /api/firmware/slots/2"), 1);
    assert_eq!(server.scene.count("DELETE /api/firmware/fetch/a%2Fb"), 1);
}

#[tokio::test]
async fn a_fetch_record_that_is_gone_is_no_failure() {
    let (_caller, server, client) = pair().await;
    let key = FetchKey::new("j");
    let gone = api_error(404, "ResourceNotFound");
    server.scene.always("GET /api/firmware/fetch/j", gone.clone());
    server.scene.always("DELETE /api/firmware/fetch/j", gone);
    assert_eq!(client.fetch_job(&key).await, Ok(None));
    assert_eq!(client.delete_fetch(&key).await, Ok(()));
    // A page that only looks like it says nothing about the record.
    server.scene.once("GET /api/firmware/fetch/j", json(404, "<html>not found</html>"));
    let error = client.fetch_job(&key).await.expect_err("not of the API");
    assert_eq!(error.class, FailureClass::NotAnApi);
    let slot = client.slot(&SlotKey::new("9")).await.expect_err("no such slot");
    assert_eq!(slot.class, FailureClass::Refused);
}

#[tokio::test]
async fn a_failed_test_speaks_for_itself() {
    let (_caller, server, client) = pair().await;
    let failed = r#"{"error":{"details":{"exit_code":1,"test_summary":"HA check started\nHA check failed"},"message":"The firmware test failed","type":"FirmwareTestFailed"},"meta":{}}"#;
    server.scene.always("POST /api/firmware/test", json(400, failed));
    server.scene.always("POST /api/firmware/upgrade", json(500, failed));
    let slot = SlotKey::new("2");
    for error in [
        client.test(&slot, LIMIT).await.expect_err("a failed test"),
        client.upgrade(&slot, "m", LIMIT).await.expect_err("a failed test"),
    ] {
        assert_eq!(error.class, FailureClass::TestFailed);
        assert_eq!(error.test_summary.as_deref(), Some("HA check started\nHA check failed"));
        assert!(error.to_string().ends_with("(HA check started; HA check failed)"), "{error}");
    }
}

#[tokio::test]
async fn what_an_answer_lacks_is_named() {
    let (_caller, server, client) = pair().await;
    server.scene.once("GET /api/firmware/slots", json(200, r#"{"body":{},"meta":{}}"#));
    let error = client.slots().await.expect_err("malformed");
    assert_eq!(error.class, FailureClass::Malformed);
    assert!(error.detail.contains("`items`"), "{error}");
    // Of a change it only means that we do not know what was done.
    server.scene.once("POST /api/firmware/fetch", json(202, r#"{"meta":{}}"#));
    let error = client.start_fetch("u", &Sha256Hex::of(b"")).await.expect_err("malformed");
    assert_eq!(error.class, FailureClass::OutcomeUnknown);
    assert!(error.detail.contains("`key`"), "{error}");
}

#[tokio::test]
async fn a_forbidden_change_gets_a_hint_when_reads_work() {
    let (_caller, server, client) = pair().await;
    server.scene.always("POST /api/firmware/fetch", api_error(403, "Unauthorized"));
    let before = client.start_fetch("u", &Sha256Hex::of(b"")).await.expect_err("forbidden");
    assert!(!before.detail.contains("X-Token"), "{before}");
    client.slots().await.expect("reads work");
    let after = client.start_fetch("u", &Sha256Hex::of(b"")).await.expect_err("forbidden");
    assert_eq!(after.class, FailureClass::Refused);
    assert!(after.detail.contains("X-Token"), "{after}");
}
