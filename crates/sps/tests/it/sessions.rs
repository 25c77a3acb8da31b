//! How long a session is believed in, and what happens when it is lost.

use std::time::Duration;

use model::SlotKey;
use model::failure::FailureClass;
use model::ports::Appliance;

use crate::support::{api_error, json, pair};

const LIMIT: Duration = Duration::from_secs(900);

#[tokio::test]
async fn a_read_heals_a_lost_session() {
    let (_caller, server, client) = pair().await;
    client.slots().await.expect("an answer");
    server.scene.forget_sessions();
    client.slots().await.expect("healed");
    assert_eq!(server.scene.logins(), 2);
    assert_eq!(server.scene.count("GET /api/firmware/slots"), 3);
    client.slots().await.expect("an answer");
    assert_eq!(server.scene.logins(), 2);
}

#[tokio::test]
async fn an_info_without_version_is_a_lost_session() {
    let (_caller, server, client) = pair().await;
    client.info().await.expect("an answer");
    server.scene.forget_sessions();
    let info = client.info().await.expect("healed");
    assert_eq!(info.firmware_version.to_string(), "7.5.0");
    assert_eq!(server.scene.logins(), 2);
}

#[tokio::test]
async fn what_a_login_does_not_cure_is_not_tried_with_every_poll() {
    let (caller, server, client) = pair().await;
    server.scene.always("GET /api/info", json(200, r#"{"body":{"hostname":"sps"},"meta":{}}"#));
    for _ in 0..5 {
        let error = client.info().await.expect_err("no version");
        assert_eq!(error.class, FailureClass::LoggedOut, "{error}");
    }
    assert_eq!(server.scene.logins(), 2, "the first one, and one to cure");
    caller.clock.pass(61);
    client.info().await.expect_err("no version");
    assert_eq!(server.scene.logins(), 3);
}

#[tokio::test]
async fn the_test_may_be_repeated_after_a_new_login() {
    let (_caller, server, client) = pair().await;
    client.slots().await.expect("an answer");
    server.scene.forget_sessions();
    client.test(&SlotKey::new("2"), LIMIT).await.expect("healed");
    assert_eq!(server.scene.count("POST /api/firmware/test"), 2);
}

#[tokio::test]
async fn a_change_with_a_lost_session_is_not_repeated() {
    let (_caller, server, client) = pair().await;
    let slot = SlotKey::new("2");
    client.slots().await.expect("an answer");
    server.scene.forget_sessions();
    let error = client.upgrade(&slot, "m", LIMIT).await.expect_err("refused");
    assert_eq!(error.class, FailureClass::LoggedOut);
    assert_eq!(server.scene.count("POST /api/firmware/upgrade"), 1);
    let error = client.delete_slot(&slot).await.map(drop);
    error.expect("the next call logs in anew");
    assert_eq!(server.scene.logins(), 2);
    server.scene.forget_sessions();
    let error = client.delete_slot(&slot).await.expect_err("refused");
    assert_eq!(error.class, FailureClass::LoggedOut);
    assert_eq!(server.scene.count("DELETE /api/firmware/slots/2"), 2);
}

#[tokio::test]
async fn the_newest_cookie_is_used() {
    let (_caller, server, client) = pair().await;
    let answer = json(200, r#"{"items":[],"meta":{}}"#)
        .with("Set-Cookie", "session_id=newer; expires=Thu, 1 Jan 1970 00:00:00 GMT");
    server.scene.once("GET /api/firmware/slots", answer);
    client.slots().await.expect("an answer");
    server.scene.once("GET /api/firmware/slots", json(200, r#"{"items":[]}"#));
    client.slots().await.expect("an answer");
    let heard = server.scene.last("GET /api/firmware/slots");
    assert_eq!(heard.header("cookie"), Some("session_id=newer"));
}

#[tokio::test]
async fn a_cookie_of_a_refusal_is_not_taken() {
    let (_caller, server, client) = pair().await;
    let answer = api_error(403, "Unauthorized").with("Set-Cookie", "session_id=planted");
    server.scene.once("GET /api/firmware/slots", answer);
    client.slots().await.expect_err("refused");
    client.slots().await.expect("an answer");
    let heard = server.scene.last("GET /api/firmware/slots");
    assert_ne!(heard.header("cookie"), Some("session_id=planted"));
}

#[tokio::test]
async fn the_appliance_says_how_long_a_session_lasts() {
    let (caller, server, client) = pair().await;
    server.scene.remaining(120);
    client.slots().await.expect("an answer");
    caller.clock.pass(107);
    client.slots().await.expect("an answer");
    assert_eq!(server.scene.logins(), 1, "107 of 120 s");
    caller.clock.pass(108);
    client.slots().await.expect("an answer");
    assert_eq!(server.scene.logins(), 2, "renewed before it runs out");
}

#[tokio::test]
async fn ten_idle_minutes_are_assumed_when_it_does_not() {
    let (caller, server, client) = pair().await;
    client.slots().await.expect("an answer");
    for _ in 0..3 {
        caller.clock.pass(500);
        client.slots().await.expect("an answer");
    }
    assert_eq!(server.scene.logins(), 1, "each request keeps it alive");
    caller.clock.pass(590);
    client.slots().await.expect("an answer");
    assert_eq!(server.scene.logins(), 2);
}

#[tokio::test]
async fn an_upgrade_starts_with_a_new_session() {
    let (caller, server, client) = pair().await;
    client.slots().await.expect("an answer");
    caller.clock.pass(50);
    client.upgrade(&SlotKey::new("2"), "m", LIMIT).await.expect("an answer");
    assert_eq!(server.scene.logins(), 1, "50 s old is new enough");
    caller.clock.pass(50);
    client.upgrade(&SlotKey::new("2"), "m", LIMIT).await.expect("an answer");
    assert_eq!(server.scene.logins(), 2);
}
