//! Secrets stay out of everything that can be printed.

use model::failure::{ApplianceError, FailureClass};
use model::ports::Appliance;

use crate::support::scene::PASSWORD;
use crate::support::{json, pair};

fn holds_no_secret(text: &str) {
    use base64::Engine as _;
    let token = base64::engine::general_purpose::STANDARD.encode(format!("fleet:{PASSWORD}"));
    for secret in [PASSWORD, &token, "5e551017"] {
        assert!(!text.contains(secret), "{text}");
    }
}

fn error_holds_no_secret(error: &ApplianceError) {
    holds_no_secret(&format!("{error} {error:?}"));
}

#[tokio::test]
async fn an_appliance_that_repeats_our_secrets_is_not_repeated() {
    let (caller, server, client) = pair().await;
    use base64::Engine as _;
    let token = base64::engine::general_purpose::STANDARD.encode(format!("fleet:{PASSWORD}"));
    let said = format!(
        r#"{{"error":{{"type":"Bad{token}","message":"no {PASSWORD}","details":{{"a":"Basic {token}","test_summary":"{PASSWORD}"}}}}}}"#
    );
    server.scene.once("GET /api/authentication", json(401, &said));
    let error = client.info().await.expect_err("refused");
    assert_eq!(error.class, FailureClass::CredentialsRefused);
    assert!(error.detail.contains("(hidden)"), "{error}");
    error_holds_no_secret(&error);

    client.info().await.expect("an answer");
    let cookie = server.scene.last("GET /api/info").header("cookie").expect("a cookie").to_owned();
    let said = format!(r#"{{"error":{{"type":"X","message":"bad {cookie}"}}}}"#);
    server.scene.once("GET /api/firmware/slots", json(400, &said));
    error_holds_no_secret(&client.slots().await.expect_err("refused"));

    holds_no_secret(&format!("{client:?} {:?}", caller.connector));
}

#[tokio::test]
async fn words_of_an_appliance_cannot_drive_a_terminal() {
    let (_caller, server, client) = pair().await;
    let said = format!(
        r#"{{"error":{{"type":"X","message":"\u001b[2J\u202e{} http://u:pw@h/","details":{{"x":"\u0007\n"}}}}}}"#,
        "a".repeat(400)
    );
    server.scene.once("GET /api/firmware/slots", json(400, &said));
    let error = client.slots().await.expect_err("refused");
    assert!(!error.detail.chars().any(|c| c.is_control() || c == '\u{202e}'), "{error:?}");
    assert!(!error.detail.contains("pw") && error.detail.contains("http://h/"), "{error}");
    assert!(error.detail.chars().count() < 1000);
}

#[tokio::test]
async fn a_fetch_url_with_user_information_is_not_sent() {
    let (_caller, server, client) = pair().await;
    let sum = model::Sha256Hex::of(b"");
    let error = client.start_fetch("https://u:pw@repo/i", &sum).await.expect_err("refused here");
    assert_eq!(error.class, FailureClass::Local);
    assert!(!format!("{error:?}").contains("pw"), "{error}");
    assert!(server.scene.heard().is_empty());
}
