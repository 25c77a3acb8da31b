//! sps-api.md, sections 2 and 3, over HTTPS.

use std::time::Duration;

use model::digest::Sha256Hex;
use reqwest::Method;
use serde_json::{Value, json};
use sim::{Behaviour, FaultPlan, ImageServer, ImageShelf, SimImage};

use crate::support::{Got, Rig, builder, send, spec};

const FETCH: &str = "/api/firmware/fetch";

#[tokio::test(start_paused = true)]
async fn the_listing_shows_fetch_or_not() {
    let keys = |got: Got| -> Vec<String> {
        let items = got.json["items"].as_array().expect("items").clone();
        items.iter().map(|item| item["key"].as_str().expect("a key").to_owned()).collect()
    };
    let rig = Rig::logged_in(spec()).await;
    assert_eq!(keys(rig.get("/api/firmware").await), ["fetch", "slots", "test", "upgrade"]);
    let rig = Rig::with_faults(FaultPlan::default().where_("a", Behaviour::NoFetch {})).await;
    assert_eq!(keys(rig.get("/api/firmware").await), ["slots", "test", "upgrade"]);
    assert_eq!(rig.get(FETCH).await.status, 404);
}

#[tokio::test(start_paused = true)]
async fn slots_have_keys_from_one_and_empty_ones_an_empty_body() {
    let rig = Rig::logged_in(spec()).await;
    let got = rig.get("/api/firmware/slots").await;
    let items = got.json["items"].as_array().expect("items");
    assert_eq!(items.len(), 4);
    assert_eq!(items[0]["key"], "1");
    assert_eq!(items[0]["meta"]["href"], "/api/firmware/slots/1");
    assert_eq!(items[0]["body"]["version"], "7.5.0");
    assert_eq!(items[0]["body"]["current"], true);
    assert_eq!(items[0]["body"]["after_reboot"], false);
    assert_eq!(items[0]["body"]["upgrade_news"], Value::Null);
    assert!(items[0]["body"]["upgrade_notes"].is_string());
    assert_eq!(items[1]["body"], json!({}));
    assert!(got.json.get("body").is_none(), "the envelope is `items`");
    let one = rig.get("/api/firmware/slots/1").await;
    assert_eq!((&one.json["key"], &one.json["body"]), (&items[0]["key"], &items[0]["body"]));
    let none = rig.get("/api/firmware/slots/9").await;
    assert_eq!(none.error_type(), "ResourceNotFound");
}

#[tokio::test(start_paused = true)]
async fn the_current_and_the_selected_slot_cannot_be_deleted() {
    let mut spec = spec();
    spec.upgrade_call = sim::UpgradeMode::Arms;
    let rig = Rig::logged_in(spec).await;
    let (armed, other) = (rig.staged("7.5.1").await, rig.staged("7.4.9").await);
    let got = rig.post("/api/firmware/upgrade", json!({"slot_id": armed, "message": "x"})).await;
    assert_eq!(got.status, 200);
    for slot in ["1", armed.as_str()] {
        assert_eq!(rig.delete(&format!("/api/firmware/slots/{slot}")).await.status, 400, "{slot}");
    }
    assert_eq!(rig.delete(&format!("/api/firmware/slots/{other}")).await.status, 200);
    let got = rig.get(&format!("/api/firmware/slots/{other}")).await;
    assert_eq!(got.json["body"], json!({}));
}

#[tokio::test(start_paused = true)]
async fn the_running_slot_may_say_after_reboot_when_nothing_is_pending() {
    let mut spec = spec();
    spec.quirks.running_slot_after_reboot = true;
    spec.upgrade_call = sim::UpgradeMode::Arms;
    let rig = Rig::logged_in(spec).await;
    let first = |got: Got| got.json["items"][0]["body"]["after_reboot"].clone();
    assert_eq!(first(rig.get("/api/firmware/slots").await), true);
    let slot = rig.staged("7.5.1").await;
    rig.post("/api/firmware/upgrade", json!({"slot_id": slot, "message": "x"})).await;
    assert_eq!(first(rig.get("/api/firmware/slots").await), false);
}

#[tokio::test(start_paused = true)]
async fn upload_takes_the_form_field_or_a_raw_body_and_counts_empty_slots() {
    let rig = Rig::logged_in(spec()).await;
    let got = rig.upload(SimImage::bytes("7.5.1", 300_000)).await;
    assert_eq!(got.status, 200, "{}", got.text);
    assert_eq!(got.json["key"], "2");
    assert_eq!(got.json["body"]["version"], "7.5.1");
    assert_eq!(got.json["meta"]["number_of_empty_slots"], 2);
    assert_eq!(got.json["meta"]["slot"], "/api/firmware/slots/2");
    let raw = rig
        .request(Method::POST, "/api/upload/firmware")
        .header("Content-Type", "application/x-iso9660-image")
        .body(SimImage::bytes("7.5.2", 10_000));
    let got = send(raw).await.expect("an answer");
    assert_eq!((&got.json["key"], &got.json["body"]["version"]), (&json!("3"), &json!("7.5.2")));

    let form = reqwest::multipart::Form::new().text("file", "SPS-FIRMWARE 7.5.3\n");
    let request = rig.request(Method::POST, "/api/upload/firmware").multipart(form);
    assert_eq!(send(request).await.expect("an answer").status, 400, "the field is `firmware`");
    assert_eq!(rig.upload(b"no firmware".to_vec()).await.error_type(), "InvalidFirmwareImage");
    assert_eq!(rig.upload(SimImage::bytes("7.5.3", 10)).await.status, 200);
    let full = rig.upload(SimImage::bytes("7.5.4", 10)).await;
    assert_eq!((full.status, full.error_type()), (400, "NoEmptyFirmwareSlot"));
    assert_eq!(rig.server.fleet().ledger().changes("a", "POST /api/upload/firmware"), 3);
}

#[tokio::test(start_paused = true)]
async fn an_image_without_header_has_the_version_that_is_configured_for_its_sum() {
    let builder = builder(spec());
    let mut rig = Rig::start(builder).await;
    rig.login().await;
    let images = rig.server.fleet().images().clone();
    images.name_sum(Sha256Hex::of(b"some iso"), "7.6.0");
    assert_eq!(rig.upload(b"some iso".to_vec()).await.json["body"]["version"], "7.6.0");
    assert_eq!(rig.upload(b"another iso".to_vec()).await.status, 400);
    images.name_any("7.6.1");
    assert_eq!(rig.upload(b"another iso".to_vec()).await.json["body"]["version"], "7.6.1");
}

async fn start_fetch(rig: &Rig, url: &str, sha256: &Sha256Hex) -> String {
    let body = json!({"url": url, "checksum": {"sha256": sha256.as_str()}});
    let got = rig.post(FETCH, body).await;
    assert_eq!(got.status, 202, "{}", got.text);
    let key = got.json["key"].as_str().expect("a key").to_owned();
    assert_eq!(got.json["meta"]["href"], format!("{FETCH}/{key}"));
    for link in ["parent", "slots", "test", "upgrade"] {
        assert!(got.json["meta"][link].is_string(), "{link}");
    }
    key
}

async fn job(rig: &Rig, key: &str) -> Value {
    rig.get(&format!("{FETCH}/{key}")).await.json["body"].clone()
}

/// Waits until a job's `info` is this, or it has ended.
async fn until_info(rig: &Rig, key: &str, info: &str) -> Value {
    for _ in 0..10_000 {
        let body = job(rig, key).await;
        let status = body["status"].as_str().expect("a status");
        if body["info"] == info || !matches!(status, "queued" | "in-progress") {
            return body;
        }
        rig.clock.sleep(Duration::from_millis(500)).await;
    }
    panic!("the job does not come to {info}");
}

#[tokio::test(start_paused = true)]
async fn a_fetch_downloads_verifies_installs_and_its_record_stays() {
    let bytes = SimImage::bytes("7.5.1", 2_000_000);
    let sum = Sha256Hex::of(&bytes);
    let images = ImageServer::start(ImageShelf::default().bytes("sps.iso", bytes.clone()))
        .await
        .expect("images");
    let mut spec = spec();
    spec.timings.fetch_bytes_per_second = 100_000;
    let rig = Rig::logged_in(spec).await;
    let key = start_fetch(&rig, &images.url("sps.iso"), &sum).await;
    let started = job(&rig, &key).await;
    assert_eq!(
        (&started["status"], &started["info"]),
        (&json!("in-progress"), &json!("Downloading"))
    );
    assert_eq!(started["start_time"], "2026-03-01T00:00:00+00:00");
    assert_eq!(started["slot_id"], Value::Null);
    rig.sleep(10).await;
    let half = job(&rig, &key).await;
    let so_far = half["bytes_downloaded"].as_u64().expect("a number");
    assert!((500_000..1_500_000).contains(&so_far), "{so_far}");
    assert_eq!(half["bytes_total"], bytes.len());
    assert_eq!(until_info(&rig, &key, "Verifying checksum").await["status"], "in-progress");
    assert_eq!(until_info(&rig, &key, "Installing").await["status"], "in-progress");
    let ended = until_info(&rig, &key, "nothing").await;
    assert_eq!(ended["status"], "finished");
    assert_eq!((&ended["info"], &ended["error"]), (&Value::Null, &Value::Null));
    assert_eq!(ended["slot_id"], 2, "a number");
    assert_eq!(rig.get("/api/firmware/slots/2").await.json["body"]["version"], "7.5.1");
    rig.sleep(86_400).await;
    let mut rig = rig;
    rig.login().await;
    assert_eq!(job(&rig, &key).await["status"], "finished", "nobody removes records");
    assert_eq!(rig.delete("/api/firmware/slots/2").await.status, 200);
    assert_eq!(job(&rig, &key).await["slot_id"], 2, "a record is history");
    assert_eq!(rig.delete(&format!("{FETCH}/{key}")).await.status, 200);
    assert_eq!(rig.get(&format!("{FETCH}/{key}")).await.error_type(), "ResourceNotFound");
    assert_eq!(images.served(), 1);
}

#[tokio::test(start_paused = true)]
async fn downloads_run_one_at_a_time_and_a_second_post_makes_a_second_job() {
    let bytes = SimImage::bytes("7.5.1", 1000);
    let sum = Sha256Hex::of(&bytes);
    let images = ImageServer::start(ImageShelf::default().bytes("i", bytes)).await.expect("images");
    let rig = Rig::logged_in(spec()).await;
    let url = images.url("i");
    let (first, second) =
        (start_fetch(&rig, &url, &sum).await, start_fetch(&rig, &url, &sum).await);
    assert_ne!(first, second);
    let queued = job(&rig, &second).await;
    assert_eq!(queued["status"], "queued");
    assert_eq!((&queued["start_time"], &queued["bytes_total"]), (&Value::Null, &json!(0)));
    until_info(&rig, &second, "nothing").await;
    let list = rig.get(FETCH).await;
    let slots: Vec<&Value> = list.json["items"]
        .as_array()
        .expect("items")
        .iter()
        .map(|item| &item["body"]["slot_id"])
        .collect();
    assert_eq!(slots, [&json!(2), &json!(3)], "nothing forbids one version twice");
}

#[tokio::test(start_paused = true)]
async fn the_first_delete_cancels_and_the_second_removes() {
    let bytes = SimImage::bytes("7.5.1", 1_000_000);
    let sum = Sha256Hex::of(&bytes);
    let images = ImageServer::start(ImageShelf::default().bytes("i", bytes)).await.expect("images");
    for word in ["canceled", "cancelled"] {
        let mut spec = spec();
        spec.timings.fetch_bytes_per_second = 10_000;
        spec.quirks.cancelled_word = word;
        let rig = Rig::logged_in(spec).await;
        let key = start_fetch(&rig, &images.url("i"), &sum).await;
        rig.sleep(5).await;
        let path = format!("{FETCH}/{key}");
        assert_eq!(rig.delete(&path).await.status, 200);
        assert_eq!(job(&rig, &key).await["status"], word);
        rig.sleep(300).await;
        assert_eq!(rig.get("/api/firmware/slots/2").await.json["body"], json!({}));
        assert_eq!(rig.delete(&path).await.status, 200);
        assert_eq!(rig.get(&path).await.status, 404);
    }
}

#[tokio::test(start_paused = true)]
async fn an_installation_cannot_be_cancelled() {
    let bytes = SimImage::bytes("7.5.1", 1000);
    let sum = Sha256Hex::of(&bytes);
    let images = ImageServer::start(ImageShelf::default().bytes("i", bytes)).await.expect("images");
    let rig = Rig::logged_in(spec()).await;
    let key = start_fetch(&rig, &images.url("i"), &sum).await;
    until_info(&rig, &key, "Installing").await;
    assert_eq!(rig.delete(&format!("{FETCH}/{key}")).await.status, 400);
    assert_eq!(until_info(&rig, &key, "nothing").await["status"], "finished");
}

#[tokio::test(start_paused = true)]
async fn the_source_s_certificate_is_not_validated_but_the_checksum_is() {
    let bytes = SimImage::bytes("7.5.1", 1000);
    let sum = Sha256Hex::of(&bytes);
    let images =
        ImageServer::start_tls(ImageShelf::default().bytes("i", bytes)).await.expect("images");
    let rig = Rig::logged_in(spec()).await;
    let good = start_fetch(&rig, &images.url("i"), &sum).await;
    assert_eq!(until_info(&rig, &good, "nothing").await["status"], "finished");
    let wrong = start_fetch(&rig, &images.url("i"), &Sha256Hex::of(b"other")).await;
    let ended = until_info(&rig, &wrong, "nothing").await;
    assert_eq!((&ended["status"], &ended["slot_id"]), (&json!("failed"), &Value::Null));
    assert_eq!(ended["info"], "Firmware fetching failed");
    assert!(ended["error"].as_str().expect("a text").contains("checksum"));
    let nowhere = start_fetch(&rig, "http://127.0.0.1:9/sps.iso", &sum).await;
    let ended = until_info(&rig, &nowhere, "nothing").await;
    assert_eq!((&ended["status"], &ended["bytes_total"]), (&json!("failed"), &json!(0)));
    assert!(ended["error"].as_str().expect("a text").contains("ConnectionError"));
    let absent = start_fetch(&rig, &images.url("absent"), &sum).await;
    assert_eq!(until_info(&rig, &absent, "nothing").await["status"], "failed");
}

#[tokio::test(start_paused = true)]
async fn url_and_checksum_are_required() {
    let rig = Rig::logged_in(spec()).await;
    let got = rig.post(FETCH, json!({"url": "http://x.invalid/a"})).await;
    assert_eq!((got.status, got.error_type()), (400, "IncompleteRequestBodyError"));
    let got = rig.post(FETCH, json!({"checksum": {"sha256": "0"}})).await;
    assert_eq!(got.json["error"]["details"]["missing_paths"], json!(["url"]));
    let got =
        rig.post(FETCH, json!({"url": "http://x.invalid/a", "checksum": {"sha256": "0"}})).await;
    assert_eq!(got.status, 400, "only a SHA-256 sum is taken");
    assert_eq!(rig.get(FETCH).await.json["items"], json!([]));
}

#[tokio::test(start_paused = true)]
async fn jobs_outlive_a_reboot_or_not_as_configured() {
    for survive in [true, false] {
        let mut spec = spec();
        spec.quirks.jobs_survive_reboot = survive;
        let plan = FaultPlan::default().where_("a", Behaviour::FetchStuck { times: 1 });
        let mut rig = Rig::start(builder(spec).faults(plan)).await;
        rig.login().await;
        let key = start_fetch(&rig, "http://127.0.0.1:9/i", &Sha256Hex::of(b"")).await;
        assert_eq!(job(&rig, &key).await["status"], "in-progress");
        rig.appliance().reboot();
        rig.sleep(400).await;
        let got = rig.get(&format!("{FETCH}/{key}")).await;
        if survive {
            assert_eq!(got.json["body"]["status"], "failed", "it was interrupted");
        } else {
            assert_eq!(got.status, 404);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn the_test_is_synchronous_and_changes_nothing() {
    let mut ha = spec();
    ha.ha = true;
    let rig = Rig::logged_in(ha).await;
    let slot = rig.staged("7.5.1").await;
    let before = rig.clock.monotonic();
    // As a string and as a number.
    for id in [json!(slot), json!(slot.parse::<u64>().expect("a number"))] {
        let got = rig.post("/api/firmware/test", json!({"slot_id": id})).await;
        assert_eq!(got.status, 200, "{}", got.text);
        assert_eq!(got.json["key"], slot);
        assert_eq!(got.json["body"]["test_summary"], "HA check started\nHA check finished");
    }
    assert!(rig.clock.monotonic() - before >= Duration::from_secs(40));
    assert_eq!(rig.server.fleet().ledger().changes("a", "POST /api/firmware/test"), 0);
    let got = rig.post("/api/firmware/test", json!({})).await;
    assert_eq!(got.error_type(), "IncompleteRequestBodyError");
    assert_eq!(got.json["error"]["details"]["missing_paths"], json!(["slot_id"]));
    assert_eq!(
        rig.request(Method::GET, "/api/firmware/test").send().await.expect("an answer").status(),
        404,
        "it is a POST, whatever the page's URL line says"
    );
}

#[tokio::test(start_paused = true)]
async fn upgrade_s_message_rules() {
    for required in [false, true] {
        let mut spec = spec();
        spec.quirks.require_commit_log = required;
        spec.upgrade_call = sim::UpgradeMode::Arms;
        let rig = Rig::logged_in(spec).await;
        let slot = rig.staged("7.5.1").await;
        let upgrade = "/api/firmware/upgrade";
        let got = rig.post(upgrade, json!({"slot_id": slot})).await;
        assert_eq!((got.status, got.error_type()), (400, "IncompleteRequestBodyError"));
        assert_eq!(got.json["error"]["details"]["missing_paths"], json!(["message"]));
        let got = rig.post(upgrade, json!({"slot_id": slot, "message": null})).await;
        if required {
            assert_eq!((got.status, got.error_type()), (400, "UpgradeMessageMissing"));
        } else {
            assert_eq!(got.status, 200);
        }
        let got = rig.post(upgrade, json!({"slot_id": slot, "message": "CHG1"})).await;
        assert_eq!(got.status, 200);
        assert_eq!(got.json["meta"]["slot"], format!("/api/firmware/slots/{slot}"));
        assert!(got.json["body"]["test_summary"].is_string());
    }
}

#[tokio::test(start_paused = true)]
async fn an_empty_slot_is_a_resource_not_found() {
    let rig = Rig::logged_in(spec()).await;
    for call in ["test", "upgrade"] {
        let body = json!({"slot_id": 3, "message": "x"});
        let got = rig.post(&format!("/api/firmware/{call}"), body).await;
        assert_eq!((got.status, got.error_type()), (404, "ResourceNotFound"));
        let details = &got.json["error"]["details"];
        assert_eq!(details["mount_point"], format!("/firmware/{call}"));
        assert_eq!(details["resource"], "3");
        assert_eq!(got.json["meta"]["parent"], "/api/firmware");
    }
}

#[tokio::test(start_paused = true)]
async fn a_failed_test_says_why_and_the_upgrade_runs_it_too() {
    let summary = "HA check started\nHA check failed";
    let does = Behaviour::TestFails { summary: summary.to_owned(), times: None };
    let rig = Rig::with_faults(FaultPlan::default().where_("a", does)).await;
    let slot = rig.staged("7.5.1").await;
    for call in ["test", "upgrade"] {
        let body = json!({"slot_id": slot, "message": "x"});
        let got = rig.post(&format!("/api/firmware/{call}"), body).await;
        assert!(got.status >= 400);
        assert_eq!(got.error_type(), "FirmwareTestFailed");
        assert_eq!(got.json["error"]["message"], "The firmware test failed");
        let details = json!({"exit_code": 1, "test_summary": summary});
        assert_eq!(got.json["error"]["details"], details);
    }
    assert_eq!(rig.server.fleet().ledger().changes("a", "POST /api/firmware/upgrade"), 0);
}

#[tokio::test(start_paused = true)]
async fn statuses_of_named_errors_are_configurable() {
    let mut spec = spec();
    spec.quirks.incomplete_status = 422;
    spec.quirks.not_found_status = 410;
    spec.quirks.test_failed_status = 200;
    let does = Behaviour::TestFails { summary: "no".to_owned(), times: None };
    let mut rig = Rig::start(builder(spec).faults(FaultPlan::default().where_("a", does))).await;
    rig.login().await;
    let slot = rig.staged("7.5.1").await;
    let test = "/api/firmware/test";
    assert_eq!(rig.post(test, json!({})).await.status, 422);
    assert_eq!(rig.post(test, json!({"slot_id": 4})).await.status, 410);
    let got = rig.post(test, json!({"slot_id": slot})).await;
    assert_eq!((got.status, got.error_type()), (200, "FirmwareTestFailed"));
}

#[tokio::test(start_paused = true)]
async fn a_post_without_length_is_411_without_envelope() {
    let rig = Rig::logged_in(spec()).await;
    let chunked = futures::stream::iter([Ok::<_, std::io::Error>("{}")]);
    let request =
        rig.request(Method::POST, "/api/firmware/test").body(reqwest::Body::wrap_stream(chunked));
    let got = send(request).await.expect("an answer");
    assert_eq!(got.status, 411);
    assert!(got.json.is_null(), "{}", got.text);
    let body = rig.request(Method::POST, "/api/firmware/test").body("not json");
    assert_eq!(send(body).await.expect("an answer").status, 400, "requests must be JSON");
}
