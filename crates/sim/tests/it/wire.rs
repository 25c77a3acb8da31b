//! Faults on the wire, certificates, and other administrators, over HTTPS.

use std::time::Duration;

use jiff::SignedDuration;
use reqwest::Method;
use serde_json::json;
use sim::{
    AdminAct, ApplianceSpec, Behaviour, CertificateWhen, Fault, FaultPlan, FaultRule, SimError,
    SimFleet, SimServer, When,
};

use crate::support::{Rig, builder, client, clock, name, send, spec};

const SLOTS: &str = "GET /api/firmware/slots";

async fn with(fault: Fault) -> Rig {
    Rig::with_faults(FaultPlan::default().with(FaultRule::once(SLOTS, fault))).await
}

#[tokio::test(start_paused = true)]
async fn connections_break_in_each_way() {
    for fault in [
        Fault::Reset,
        Fault::ReplyLost,
        Fault::Truncate { after: 30 },
        Fault::Hang { r#for: SignedDuration::from_mins(2), acts: false },
    ] {
        let rig = with(fault.clone()).await;
        let before = rig.clock.monotonic();
        let broken = send(rig.request(Method::GET, "/api/firmware/slots")).await;
        let error = broken.expect_err("no whole answer");
        assert!(!error.is_connect(), "{fault:?}");
        if matches!(fault, Fault::Hang { .. }) {
            assert!(rig.clock.monotonic() - before >= Duration::from_secs(120));
        }
        assert_eq!(rig.get("/api/firmware/slots").await.status, 200, "{fault:?} is over");
        let call = rig
            .server
            .fleet()
            .ledger()
            .calls_of("a")
            .into_iter()
            .find(|call| call.is(SLOTS))
            .expect("it is in the ledger");
        assert_eq!(call.fault.as_deref(), Some(fault.code()));
    }
}

#[tokio::test(start_paused = true)]
async fn a_reset_is_a_reset() {
    let rig = with(Fault::Reset).await;
    let error = send(rig.request(Method::GET, "/api/firmware/slots")).await.expect_err("a reset");
    let text = model::Chain(&error).to_string();
    assert!(text.contains("reset"), "{text}");
}

#[tokio::test(start_paused = true)]
async fn answers_come_late_slowly_or_as_something_else() {
    let rig = with(Fault::Delay { r#for: SignedDuration::from_secs(9) }).await;
    let before = rig.clock.monotonic();
    assert_eq!(rig.get("/api/firmware/slots").await.status, 200);
    assert!(rig.clock.monotonic() - before >= Duration::from_secs(9));

    let rig = with(Fault::Slow { bytes_per_second: 10 }).await;
    let before = rig.clock.monotonic();
    let got = rig.get("/api/firmware/slots").await;
    assert!(got.json["items"].is_array());
    assert!(rig.clock.monotonic() - before >= Duration::from_secs(20));

    let rig = with(Fault::Html { code: 502, acts: false }).await;
    let got = rig.get("/api/firmware/slots").await;
    assert_eq!((got.status, got.json.is_null()), (502, true));
    let rig = with(Fault::Body { code: 200, text: "{}".to_owned(), acts: false }).await;
    assert_eq!(rig.get("/api/firmware/slots").await.json, json!({}));
    let status = Fault::Status {
        code: 429,
        r#type: Some("TooMany".to_owned()),
        message: None,
        retry_after: Some(7),
        acts: false,
    };
    let got = with(status).await.get("/api/firmware/slots").await;
    assert_eq!((got.status, got.error_type()), (429, "TooMany"));
    assert_eq!(got.headers["retry-after"], "7");
}

#[tokio::test(start_paused = true)]
async fn a_lost_reply_follows_the_act() {
    let rule = FaultRule::once("POST /api/firmware/upgrade", Fault::ReplyLost);
    let rig = Rig::with_faults(FaultPlan::default().with(rule)).await;
    let slot = rig.staged("7.5.1").await;
    let body = json!({"slot_id": slot, "message": "x"});
    assert!(rig.try_post("/api/firmware/upgrade", body).await.is_err());
    assert_eq!(rig.server.fleet().ledger().changes("a", "POST /api/firmware/upgrade"), 1);
    rig.sleep(400).await;
    assert_eq!(rig.appliance().version(), "7.5.1");
}

#[tokio::test(start_paused = true)]
async fn the_certificate_proves_the_address_unless_a_plan_says_otherwise() {
    for (when, fails_now, fails_booting) in
        [(CertificateWhen::Always, true, true), (CertificateWhen::Booting, false, true)]
    {
        let plan = FaultPlan::default().where_("a", Behaviour::WrongCertificate { when });
        let rig = Rig::start(builder(spec()).faults(plan)).await;
        let ask = async || {
            let fresh = client(&rig.server.ca_pem());
            send(fresh.get(rig.url("/api/setup"))).await.is_err()
        };
        assert_eq!(ask().await, fails_now);
        rig.appliance().reboot();
        rig.sleep(200).await;
        assert_eq!(ask().await, fails_booting);
        rig.sleep(200).await;
        assert_eq!(ask().await, fails_now);
    }
}

#[tokio::test(start_paused = true)]
async fn only_loopback_addresses_are_bound_and_each_appliance_has_its_own() {
    let mut outside = spec();
    outside.address = Some("192.0.2.1".parse().expect("an address"));
    let error = SimServer::start(builder(outside)).await.expect_err("not here");
    assert!(matches!(error, SimError::NotLoopback { .. }), "{error}");
    let fleet = SimFleet::builder()
        .clock(clock())
        .appliances(["a", "b", "c"].map(|text| ApplianceSpec::new(name(text), "7.5.0")));
    let server = SimServer::start(fleet).await.expect("a simulator");
    let place = |name| server.address(name).expect("an address").ip();
    assert!(place("a") != place("b") && place("b") != place("c") && place("a") != place("c"));
    assert_ne!(server.certificate_sum("a"), server.certificate_sum("b"));
    server.stop().await;
}

#[tokio::test(start_paused = true)]
async fn another_administrator_acts_after_a_call_a_fetch_or_by_the_clock() {
    let admin = |when, act| FaultPlan::default().where_("a", Behaviour::OtherAdmin { when, act });
    let test = sim::faults::Pattern::read("POST /api/firmware/test").expect("a pattern");
    let replace = AdminAct::ReplaceSlot { slot: None, version: "7.3.0".to_owned() };
    let rig = Rig::with_faults(admin(When::After(test), replace)).await;
    let slot = rig.staged("7.5.1").await;
    rig.post("/api/firmware/test", json!({"slot_id": slot})).await;
    let got = rig.get(&format!("/api/firmware/slots/{slot}")).await;
    assert_eq!(got.json["body"]["version"], "7.3.0");

    let at = When::At(SignedDuration::from_secs(60));
    let arm = AdminAct::Arm { slot: Some("2".to_owned()) };
    let rig = Rig::with_faults(admin(at, arm)).await;
    rig.staged("7.5.1").await;
    rig.sleep(61).await;
    let got = rig.get("/api/firmware/slots/2").await;
    assert_eq!(got.json["body"]["after_reboot"], true);
    rig.appliance().admin(&AdminAct::Disarm {});
    let got = rig.get("/api/firmware/slots/2").await;
    assert_eq!(got.json["body"]["after_reboot"], false);
    let other =
        AdminAct::StartFetch { url: "http://127.0.0.1:9/x".to_owned(), sha256: "0".repeat(64) };
    rig.appliance().admin(&other);
    assert_eq!(rig.appliance().fetch_records().len(), 1);
    rig.sleep(60).await;
    rig.appliance().admin(&AdminAct::RemoveRecords {});
    assert_eq!(rig.appliance().fetch_records(), []);
}

#[tokio::test(start_paused = true)]
async fn a_changed_password_and_missing_rights_show() {
    let rig = Rig::of(spec()).await;
    rig.appliance().set_password("new");
    assert_eq!(rig.try_login("admin", crate::support::PASSWORD).await.status, 401);
    assert_eq!(rig.try_login("admin", "new").await.status, 200);
    let plan = FaultPlan::default().where_("a", Behaviour::PasswordChanged {});
    let rig = Rig::start(builder(spec()).faults(plan)).await;
    assert_eq!(rig.try_login("admin", crate::support::PASSWORD).await.status, 401);
    let rule = FaultRule::once(
        "POST *",
        Fault::Status {
            code: 403,
            r#type: Some("Unauthorized".to_owned()),
            message: None,
            retry_after: None,
            acts: false,
        },
    );
    let rig = Rig::with_faults(FaultPlan::default().with(rule)).await;
    let got = rig.post("/api/firmware/test", json!({"slot_id": 1})).await;
    assert_eq!((got.status, got.error_type()), (403, "Unauthorized"));
}

#[tokio::test(start_paused = true)]
async fn two_entries_of_one_appliance_show_one_certificate() {
    let spec = |text: &str, certificate: Option<&str>| {
        let mut spec = ApplianceSpec::new(name(text), "7.5.0");
        spec.hostname = "same".to_owned();
        spec.certificate = certificate.map(str::to_owned);
        spec
    };
    let builder = SimFleet::builder().clock(clock()).appliances([
        spec("a", Some("x")),
        spec("b", Some("x")),
        spec("c", None),
    ]);
    let rig = Rig::start(builder).await;
    let sum = |name: &str| rig.server.certificate_sum(name).expect("a sum").clone();
    assert_eq!(sum("a"), sum("b"));
    assert_ne!(sum("a"), sum("c"));
    let fleet = rig.server.fleet();
    let leaf = |name: &str| fleet.appliance(name).expect("it is there").leaf();
    assert_eq!(leaf("a"), leaf("b"), "in-process, too");
    assert_ne!(leaf("a"), leaf("c"));
    for name in ["a", "b", "c"] {
        let address = rig.server.address(name).expect("an address");
        let got = send(rig.http.get(format!("https://{address}/api/info"))).await;
        let got = got.expect("the certificate is good for both addresses");
        assert_eq!(got.json["body"]["hostname"], "same");
    }
}
