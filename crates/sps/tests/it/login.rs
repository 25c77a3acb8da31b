//! Logging in: once, with the right password, and never again with a refused one.

use std::sync::atomic::Ordering;
use std::time::Duration;

use model::SlotKey;
use model::failure::FailureClass;
use model::fleet::{PasswordSource, Trust};
use model::ports::{Appliance, Withheld};

use crate::support::{Caller, Do, Front, Pki, Server, api_error, endpoint_of, json, pair};

const LOGIN: &str = "GET /api/authentication";

#[tokio::test]
async fn a_password_in_any_script_arrives_as_utf8() {
    let (caller, server, client) = pair().await;
    client.info().await.expect("an answer");
    let login = server.scene.last(LOGIN);
    assert_eq!(login.header("user-agent"), Some(concat!("spsfleet/", env!("CARGO_PKG_VERSION"))));
    assert!(login.header("cookie").is_none());
    assert_eq!(caller.gate.settled(), [true]);
    let info = server.scene.last("GET /api/info");
    assert!(info.header("authorization").is_none(), "the password is sent to the login only");
    assert!(info.header("cookie").expect("a cookie").starts_with("session_id=5e551017"));
    let passed = caller.turnstile.0.load(Ordering::SeqCst);
    assert_eq!(passed, server.scene.heard().len(), "every request passes the throttle");
}

#[tokio::test]
async fn the_login_method_is_sent_when_given() {
    let leaf = Pki::new().leaf("a");
    let server = Server::start(Front::Tls(leaf.config())).await;
    let mut endpoint = endpoint_of(&server, Trust::Pin(leaf.pin()));
    endpoint.login.method = Some("my ldap".to_owned());
    Caller::new().client(endpoint).info().await.expect("an answer");
    assert_eq!(server.scene.count("GET /api/authentication?login_method=my+ldap"), 1);
}

#[tokio::test]
async fn a_user_name_with_a_colon_is_not_sent() {
    let leaf = Pki::new().leaf("a");
    let server = Server::start(Front::Tls(leaf.config())).await;
    let mut endpoint = endpoint_of(&server, Trust::Pin(leaf.pin()));
    endpoint.login.username = "a:b".to_owned();
    let error = Caller::new().client(endpoint).info().await.expect_err("no login");
    assert_eq!(error.class, FailureClass::CredentialsUnavailable);
    assert!(error.detail.contains("a:b"), "{error}");
    assert!(server.scene.heard().is_empty());
}

#[tokio::test]
async fn fifty_callers_cost_one_login() {
    let (caller, server, client) = pair().await;
    let calls = (0..50).map(|_| client.info());
    let answers = futures::future::join_all(calls).await;
    assert!(answers.iter().all(Result::is_ok));
    assert_eq!(server.scene.logins(), 1);
    assert_eq!(caller.gate.asked.load(Ordering::SeqCst), 1);
    assert_eq!(server.scene.count("GET /api/info"), 50);
}

#[tokio::test]
async fn a_refused_password_is_sent_once_however_many_ask() {
    let (caller, server, client) = pair().await;
    caller.runner.0.lock().expect("no panic").stdout = "wrong\n".to_owned();
    let calls = (0..50).map(|_| client.info());
    for answer in futures::future::join_all(calls).await {
        let error = answer.expect_err("refused");
        assert_eq!(error.class, FailureClass::CredentialsRefused, "{error}");
        assert_eq!(error.request, "GET /api/authentication");
    }
    assert_eq!(server.scene.logins(), 1);
    assert_eq!(caller.gate.settled(), [false]);
}

#[tokio::test]
async fn a_withheld_password_is_not_sent() {
    let (caller, server, client) = pair().await;
    *caller.gate.closed.lock().expect("no panic") = Some(Withheld::RefusedHere);
    let error = client.slots().await.expect_err("withheld");
    assert_eq!(error.class, FailureClass::CredentialsWithheld);
    assert!(error.detail.contains("retry"), "{error}");
    assert!(server.scene.heard().is_empty());
}

#[tokio::test]
async fn the_gate_sees_when_a_password_changed() {
    let (caller, _server, client) = pair().await;
    for word in ["one\n", "one", "two\n"] {
        caller.runner.0.lock().expect("no panic").stdout = word.to_owned();
        client.info().await.expect_err("refused");
    }
    let prints = caller.gate.prints.lock().expect("no panic").clone();
    assert_eq!(prints[0], prints[1]);
    assert_ne!(prints[0], prints[2]);
}

#[tokio::test]
async fn only_a_401_counts_as_a_refusal() {
    let html = Do::Reply {
        status: 200,
        headers: vec![("Content-Type", "text/html".to_owned())],
        body: b"<html>starting</html>".to_vec(),
    };
    let cookie = "session_id=0123; Path=/";
    for (todo, class) in [
        (html, FailureClass::NotAnApi),
        (json(503, ""), FailureClass::Transient),
        (json(302, "").with("Location", "https://127.0.0.1:1/"), FailureClass::NotAnApi),
        (api_error(403, "Unauthorized"), FailureClass::Refused),
        (json(200, r#"{"meta":{}}"#), FailureClass::Malformed),
        (json(200, r#"{"items":[]}"#).with("Set-Cookie", cookie), FailureClass::Malformed),
        (
            json(200, r#"{"meta":{},"error":{"type":"X"}}"#).with("Set-Cookie", cookie),
            FailureClass::Refused,
        ),
        (Do::Reset, FailureClass::Transient),
        (Do::Close, FailureClass::Transient),
    ] {
        let (caller, server, client) = pair().await;
        server.scene.once(LOGIN, todo.clone());
        let error = client.info().await.expect_err("no login");
        assert_eq!(error.class, class, "{todo:?}: {error}");
        assert_eq!(caller.gate.settled(), [] as [bool; 0], "{todo:?}");
        client.info().await.expect("the next login works");
        assert_eq!(caller.gate.settled(), [true]);
    }
}

#[tokio::test]
async fn a_change_whose_login_failed_was_not_sent() {
    let (_caller, server, client) = pair().await;
    server.scene.once(LOGIN, json(503, "<html>").with("Retry-After", "7"));
    let slot = SlotKey::new("2");
    let error = client.upgrade(&slot, "m", Duration::from_secs(60)).await.expect_err("no login");
    assert_eq!(error.class, FailureClass::LoggedOut, "{error}");
    assert_eq!(error.request, "POST /api/firmware/upgrade");
    assert_eq!(error.retry_after, Some(Duration::from_secs(7)));
    assert!(error.detail.contains("not sent"), "{error}");
    assert_eq!(server.scene.count("POST /api/firmware/upgrade"), 0);
}

#[tokio::test]
async fn an_unreadable_password_is_told() {
    let leaf = Pki::new().leaf("a");
    let server = Server::start(Front::Tls(leaf.config())).await;
    let mut endpoint = endpoint_of(&server, Trust::Pin(leaf.pin()));
    endpoint.login.password = PasswordSource::File("/nonexistent/password".to_owned());
    let error = Caller::new().client(endpoint).info().await.expect_err("no password");
    assert_eq!(error.class, FailureClass::CredentialsUnavailable);
    assert!(error.detail.contains("/nonexistent/password"), "{error}");
    assert!(error.detail.contains("No such file"), "{error}");
    assert!(server.scene.heard().is_empty());
}

#[tokio::test]
async fn setup_needs_no_login() {
    let (caller, server, client) = pair().await;
    let status = client.setup().await.expect("an answer");
    assert_eq!(status, model::observed::SetupStatus::Completed);
    assert_eq!(server.scene.logins(), 0);
    assert_eq!(caller.gate.asked.load(Ordering::SeqCst), 0);
    assert!(server.scene.last("GET /api/setup").header("cookie").is_none());
}
