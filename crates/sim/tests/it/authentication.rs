//! sps-api.md, section 1.

use reqwest::Method;
use serde_json::json;
use sim::Quirks;

use crate::support::{PASSWORD, Rig, send, spec};

#[tokio::test(start_paused = true)]
async fn login_is_a_get_with_basic_authentication_and_gives_a_cookie() {
    let rig = Rig::of(spec()).await;
    let got = rig.try_login("admin", PASSWORD).await;
    assert_eq!(got.status, 200);
    assert!(got.json["meta"].is_object(), "{}", got.text);
    let cookie = got.cookie.expect("a cookie");
    assert_eq!(cookie.len(), 40);
    assert!(cookie.bytes().all(|b| b.is_ascii_hexdigit()));
    let header = got.headers["set-cookie"].to_str().expect("text");
    assert!(header.contains("; expires=Sun, 1 Mar 2026 00:10:00 GMT"), "{header}");
    assert!(header.contains("; Path=/"), "{header}");
}

#[tokio::test(start_paused = true)]
async fn credentials_are_utf_8() {
    let mut spec = spec();
    spec.password = "pässwörd-✓".to_owned();
    let rig = Rig::of(spec).await;
    assert_eq!(rig.try_login("übel", "pässwörd-✓").await.status, 200);
    assert_eq!(rig.try_login("übel", "password").await.status, 401);
}

#[tokio::test(start_paused = true)]
async fn login_methods_need_no_login() {
    let got = Rig::of(spec()).await.get("/api/authentication/login_methods").await;
    assert_eq!(got.status, 200);
    assert!(got.json["login_methods"].is_array());
}

#[tokio::test(start_paused = true)]
async fn a_session_ends_when_idle_and_lives_when_used() {
    let mut rig = Rig::logged_in(spec()).await;
    let got = rig.get("/api/firmware/slots").await;
    assert_eq!(got.json["meta"]["remaining_seconds"], 600);
    for _ in 0..3 {
        rig.sleep(500).await;
        assert_eq!(rig.get("/api/firmware/slots").await.status, 200);
    }
    rig.sleep(601).await;
    let got = rig.get("/api/firmware/slots").await;
    assert_eq!((got.status, got.error_type()), (401, "Unauthenticated"));
    assert_eq!(got.json["error"]["details"]["path"], "/api/firmware/slots");
    rig.login().await;
    assert_eq!(rig.get("/api/firmware/slots").await.status, 200);
}

#[tokio::test(start_paused = true)]
async fn the_idle_limit_is_configurable_and_readable() {
    let quirks = Quirks { session_idle: std::time::Duration::from_secs(1200), ..Quirks::default() };
    let rig = Rig::logged_in(sim::ApplianceSpec { quirks, ..spec() }).await;
    let got = rig.get("/api/configuration/management/webinterface").await;
    assert_eq!(got.json["body"]["timeout"], 20);
    rig.sleep(1100).await;
    assert_eq!(rig.get("/api/firmware").await.status, 200);
}

#[tokio::test(start_paused = true)]
async fn no_session_is_401_not_403() {
    let rig = Rig::of(spec()).await;
    for path in ["/api/firmware", "/api/health_status", "/api/user_info", "/api/nothing"] {
        let got = rig.get(path).await;
        assert_eq!((got.status, got.error_type()), (401, "Unauthenticated"), "{path}");
    }
}

#[tokio::test(start_paused = true)]
async fn twenty_refusals_block_even_the_right_password_for_ten_minutes() {
    let rig = Rig::of(spec()).await;
    for _ in 0..20 {
        assert_eq!(rig.try_login("admin", "wrong").await.status, 401);
    }
    let blocked = rig.try_login("other", PASSWORD).await;
    assert_eq!(blocked.status, 401);
    assert_eq!(blocked.json["error"]["message"], "Unable to authenticate");
    rig.sleep(300).await;
    assert_eq!(rig.try_login("admin", PASSWORD).await.status, 401);
    rig.sleep(301).await;
    assert_eq!(
        rig.try_login("admin", PASSWORD).await.status,
        200,
        "refused attempts must not extend the block"
    );
}

#[tokio::test(start_paused = true)]
async fn sessions_survive_a_reboot_or_not_as_configured() {
    for survive in [true, false] {
        let mut spec = spec();
        spec.quirks.sessions_survive_reboot = survive;
        let rig = Rig::logged_in(spec).await;
        rig.appliance().reboot();
        rig.sleep(380).await;
        let status = rig.get("/api/firmware/slots").await.status;
        assert_eq!(status, if survive { 200 } else { 401 });
    }
}

#[tokio::test(start_paused = true)]
async fn user_info_has_the_shape_of_its_release() {
    let old = sim::ApplianceSpec::new(crate::support::name("a"), "7.0.5.1");
    let rig = Rig::logged_in(old).await;
    for path in ["/api/user_info", "/api/user/info", "/api/userinfo"] {
        let got = rig.get(path).await;
        assert_eq!(got.json["user"]["name"], "admin");
        assert!(got.json["endpoints"][0]["methods"].is_array(), "{}", got.text);
    }
    let rig = Rig::logged_in(spec()).await;
    let got = rig.get("/api/user_info").await;
    assert_eq!(got.json["login_method"]["authentication"], "local");
    assert!(got.json.get("endpoints").is_none());
}

#[tokio::test(start_paused = true)]
async fn browser_like_clients_need_a_token_for_changes_from_7_5_on() {
    let rig = Rig::logged_in(spec()).await;
    let slot = rig.staged("7.5.1").await;
    let path = format!("/api/firmware/slots/{slot}");
    let browser = |method| rig.request(method, &path).header("User-Agent", "Mozilla/5.0 (X11)");
    assert_eq!(send(browser(Method::GET)).await.expect("an answer").status, 200);
    let refused = send(browser(Method::DELETE)).await.expect("an answer");
    assert_eq!((refused.status, refused.error_type()), (403, "Unauthorized"));
    let info = rig.get("/api/user_info").await;
    let token = info.json["token"].as_str().expect("a token");
    let taken = send(browser(Method::DELETE).header("X-Token", token)).await.expect("an answer");
    assert_eq!(taken.status, 200);

    let old = sim::ApplianceSpec::new(crate::support::name("a"), "7.4.0");
    let rig = Rig::logged_in(old).await;
    let slot = rig.staged("7.5.1").await;
    let request = rig.request(Method::DELETE, &format!("/api/firmware/slots/{slot}"));
    let got = send(request.header("User-Agent", "Mozilla/5.0")).await.expect("an answer");
    assert_eq!(got.status, 200, "before 7.5 it was opt-in");
}

#[tokio::test(start_paused = true)]
async fn a_refused_password_and_a_lost_session_look_different_by_request_only() {
    let rig = Rig::of(spec()).await;
    assert_eq!(rig.try_login("admin", "wrong").await.status, 401);
    let got = rig.post("/api/firmware/test", json!({"slot_id": 2})).await;
    assert_eq!(got.status, 401);
    let logins: Vec<bool> = rig
        .server
        .fleet()
        .ledger()
        .calls_of("a")
        .iter()
        .filter_map(|call| call.login.as_ref().map(|login| login.accepted))
        .collect();
    assert_eq!(logins, [false]);
}

#[tokio::test(start_paused = true)]
async fn the_cookie_may_slide() {
    let mut spec = spec();
    spec.quirks.sliding_cookie = true;
    let mut rig = Rig::logged_in(spec).await;
    let old = rig.session.clone();
    rig.sleep(400).await;
    let newer = rig.get("/api/firmware").await.cookie;
    assert!(newer.is_some() && newer != old);
    rig.sleep(400).await;
    assert_eq!(rig.get("/api/firmware").await.status, 401, "the old cookie is too old");
    rig.session = newer;
    assert_eq!(rig.get("/api/firmware").await.status, 200);
}

#[tokio::test(start_paused = true)]
async fn a_clock_that_is_ahead_shows_in_date_and_expiry() {
    let mut spec = spec();
    spec.quirks.clock_ahead = -86_400;
    let got = Rig::of(spec).await.try_login("admin", PASSWORD).await;
    assert_eq!(got.headers["date"], "Sat, 28 Feb 2026 00:00:00 GMT");
    let cookie = got.headers["set-cookie"].to_str().expect("text");
    assert!(cookie.contains("expires=Sat, 28 Feb 2026 00:10:00 GMT"), "{cookie}");
}

#[tokio::test(start_paused = true)]
async fn an_upload_on_its_way_is_activity_or_not_as_configured() {
    for activity in [true, false] {
        let mut spec = spec();
        spec.quirks.upload_is_activity = activity;
        let rig = Rig::logged_in(spec).await;
        let clock = std::sync::Arc::clone(&rig.clock);
        let image = sim::SimImage::bytes("7.5.1", 1000);
        let length = image.len();
        let slowly = futures::stream::once(async move {
            clock.sleep(std::time::Duration::from_secs(700)).await;
            Ok::<_, std::io::Error>(image)
        });
        let request = rig
            .request(Method::POST, "/api/upload/firmware")
            .header("Content-Length", length)
            .body(reqwest::Body::wrap_stream(slowly));
        let got = send(request).await.expect("an answer");
        assert_eq!(got.status, if activity { 200 } else { 401 });
    }
}
