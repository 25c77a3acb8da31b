//! Who answers is proven before anything secret is sent.

use std::sync::atomic::Ordering;
use std::time::Duration;

use model::Sha256Hex;
use model::failure::FailureClass;
use model::fleet::Trust;
use model::ports::Appliance;

use crate::support::{Caller, Front, Pki, Server, endpoint_of};

fn file(text: &str) -> (tempfile::TempDir, String) {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("ca.pem");
    std::fs::write(&path, text).expect("a file");
    let path = path.to_str().expect("text").to_owned();
    (dir, path)
}

/// The client refuses this server, for this reason, and sends it nothing.
async fn refuses(server: &Server, trust: Trust, reason: &str) {
    let before = server.scene.heard().len();
    let caller = Caller::new();
    let client = caller.client(endpoint_of(server, trust));
    for error in [
        client.info().await.map(drop).expect_err("no identity"),
        client.setup().await.map(drop).expect_err("no identity"),
        client
            .upgrade(&model::SlotKey::new("2"), "m", Duration::from_secs(9))
            .await
            .map(drop)
            .expect_err("no identity"),
    ] {
        assert_eq!(error.class, FailureClass::IdentityNotProven, "{error}");
        assert!(error.detail.contains(reason), "{error}");
    }
    assert_eq!(server.scene.heard().len(), before, "nothing may be sent");
    assert!(caller.gate.settled().is_empty(), "no login was tried");
}

/// The client takes this server.
async fn accepts(server: &Server, trust: Trust) {
    let caller = Caller::new();
    let info = caller.client(endpoint_of(server, trust)).info().await.expect("an answer");
    assert_eq!(info.firmware_version.to_string(), "7.5.0");
}

#[tokio::test]
async fn a_ca_file_proves_its_certificates_by_address() {
    let pki = Pki::new();
    let server = Server::start(Front::Tls(pki.leaf("127.0.0.1").config())).await;
    let (_dir, path) = file(&pki.ca_pem);
    accepts(&server, Trust::Ca(path)).await;
}

#[tokio::test]
async fn a_ca_file_proves_its_certificates_by_name() {
    let pki = Pki::new();
    let server = Server::start(Front::Tls(pki.leaf("localhost").config())).await;
    let (_dir, path) = file(&format!("a comment\n{}\n{}", Pki::new().ca_pem, pki.ca_pem));
    let mut endpoint = endpoint_of(&server, Trust::Ca(path));
    endpoint.address = "LocalHost".to_owned();
    let caller = Caller::new();
    caller.client(endpoint).info().await.expect("an answer");
}

#[tokio::test]
async fn another_ca_or_another_name_proves_nothing() {
    let pki = Pki::new();
    let server = Server::start(Front::Tls(pki.leaf("127.0.0.1").config())).await;
    let (_dir, other) = file(&Pki::new().ca_pem);
    refuses(&server, Trust::Ca(other), "not signed by the trusted CA").await;

    let elsewhere = Server::start(Front::Tls(pki.leaf("127.0.0.2").config())).await;
    let (_dir, path) = file(&pki.ca_pem);
    refuses(&elsewhere, Trust::Ca(path), "127.0.0.2").await;
}

#[tokio::test]
async fn a_private_ca_is_not_among_the_systems_roots() {
    let server = Server::start(Front::Tls(Pki::new().leaf("127.0.0.1").config())).await;
    refuses(&server, Trust::System, "").await;
}

#[tokio::test]
async fn a_ca_file_that_cannot_be_used_is_named() {
    let server = Server::start(Front::Tls(Pki::new().leaf("127.0.0.1").config())).await;
    let gone = "/nonexistent/ca.pem".to_owned();
    refuses(&server, Trust::Ca(gone), "/nonexistent/ca.pem cannot be read").await;
    for text in
        ["", "no certificate", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"]
    {
        let (_dir, path) = file(text);
        refuses(&server, Trust::Ca(path), "ca.pem is no list of PEM certificates").await;
    }
}

#[test]
fn a_ca_file_is_checked_as_it_is_read() {
    let good = Pki::new().ca_pem;
    let frame =
        |inner: &str| format!("-----BEGIN CERTIFICATE-----\n{inner}\n-----END CERTIFICATE-----\n");
    sps::check_ca(good.as_bytes()).expect("a CA");
    sps::check_ca(format!("# ours\n{good}{good}").as_bytes()).expect("twice");
    for (bad, number) in [("AAAA", 2), ("bm8gY2VydGlmaWNhdGU=", 2), ("!!!!", 2)] {
        let error = sps::check_ca(format!("{good}{}", frame(bad)).as_bytes()).expect_err(bad);
        assert!(error.starts_with(&format!("certificate {number} in it")), "{bad}: {error}");
    }
    let cut = &good[..good.len() - 30];
    sps::check_ca(cut.as_bytes()).expect_err("it has no end");
    for empty in ["", "no certificate"] {
        let error = sps::check_ca(empty.as_bytes()).expect_err("nothing");
        assert_eq!(error, "there is no PEM certificate in it");
    }
}

#[tokio::test]
async fn a_corrected_ca_file_is_read_again() {
    let pki = Pki::new();
    let server = Server::start(Front::Tls(pki.leaf("127.0.0.1").config())).await;
    let (_dir, path) = file(&Pki::new().ca_pem);
    let client = Caller::new().client(endpoint_of(&server, Trust::Ca(path.clone())));
    let error = client.info().await.expect_err("the wrong CA");
    assert_eq!(error.class, FailureClass::IdentityNotProven);
    std::fs::write(&path, &pki.ca_pem).expect("a file");
    client.info().await.expect("the right CA");
}

#[tokio::test]
async fn a_pin_proves_exactly_that_certificate_whatever_its_name() {
    let pki = Pki::new();
    let leaf = pki.leaf("another.example");
    let server = Server::start(Front::Tls(leaf.config())).await;
    accepts(&server, Trust::Pin(leaf.pin())).await;
    let other = pki.leaf("another.example").pin();
    refuses(&server, Trust::Pin(other.clone()), other.as_str()).await;
    refuses(&server, Trust::Pin(Sha256Hex::of(b"x")), leaf.pin().as_str()).await;
}

#[tokio::test]
async fn the_pinned_certificate_without_its_key_proves_nothing() {
    let pki = Pki::new();
    let leaf = pki.leaf("127.0.0.1");
    let impostor = leaf.config_with_key_of(&pki.leaf("127.0.0.1"));
    let server = Server::start(Front::Tls(impostor)).await;
    refuses(&server, Trust::Pin(leaf.pin()), "").await;
    refuses(&server, Trust::Insecure, "").await;
}

#[tokio::test]
async fn insecure_believes_anything() {
    let server = Server::start(Front::Tls(Pki::new().leaf("another.example").config())).await;
    accepts(&server, Trust::Insecure).await;
}

#[tokio::test]
async fn two_ports_of_one_address_have_two_identities() {
    let pki = Pki::new();
    let (one, two) = (pki.leaf("a"), pki.leaf("b"));
    let first = Server::start(Front::Tls(one.config())).await;
    let second = Server::start(Front::Tls(two.config())).await;
    let caller = Caller::new();
    let client = |server, pin| caller.client(endpoint_of(server, Trust::Pin(pin)));
    client(&first, one.pin()).info().await.expect("the first");
    client(&second, two.pin()).info().await.expect("the second");
    // The pin of one port does not open the other, though both are known to the connector.
    let error = client(&first, two.pin()).info().await.expect_err("the other's pin");
    assert_eq!(error.class, FailureClass::IdentityNotProven);
    let error = client(&second, one.pin()).info().await.expect_err("the other's pin");
    assert_eq!(error.class, FailureClass::IdentityNotProven);
}

#[tokio::test]
async fn what_insecure_believed_proves_nothing_to_a_pin() {
    let leaf = Pki::new().leaf("a");
    let server = Server::start(Front::Tls(leaf.config())).await;
    let caller = Caller::new();
    caller.client(endpoint_of(&server, Trust::Insecure)).info().await.expect("believed");
    let before = server.scene.heard().len();
    // Same connector, same address and port: no connection or TLS session may be carried over.
    let strict = caller.client(endpoint_of(&server, Trust::Pin(Sha256Hex::of(b"x"))));
    let error = strict.info().await.expect_err("not the pin");
    assert_eq!(error.class, FailureClass::IdentityNotProven);
    assert_eq!(server.scene.heard().len(), before);
}

#[tokio::test]
async fn equal_clients_share_connections() {
    let leaf = Pki::new().leaf("a");
    let server = Server::start(Front::Tls(leaf.config())).await;
    let caller = Caller::new();
    for _ in 0..3 {
        caller.client(endpoint_of(&server, Trust::Pin(leaf.pin()))).setup().await.expect("setup");
    }
    assert_eq!(server.connections.load(Ordering::SeqCst), 1);
}
