//! Support bundles, and the certificate that answers came with.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use model::failure::FailureClass;
use model::ports::Appliance;

use crate::support::{Do, Pki, api_error, json, pair};

const BUNDLES: &str = "/api/troubleshooting/support-bundle";

fn file(bytes: &[u8]) -> Do {
    let headers = vec![("Content-Type", "application/zip".to_owned())];
    Do::Reply { status: 200, headers, body: bytes.to_vec() }
}

fn download() -> String {
    format!("GET {BUNDLES}/b-1/download")
}

fn files(dir: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(dir).expect("a folder");
    entries.map(|entry| entry.expect("an entry").path()).collect()
}

#[tokio::test]
async fn a_bundle_is_made_waited_for_fetched_and_removed() {
    let (_caller, server, client) = pair().await;
    let scene = &server.scene;
    scene.once(&format!("POST {BUNDLES}"), json(201, r#"{"key":"b-1","meta":{}}"#));
    assert_eq!(client.start_bundle().await.expect("a key"), "b-1");
    assert_eq!(scene.last(&format!("POST {BUNDLES}")).header("content-length"), Some("0"));

    let state = format!("GET {BUNDLES}/b-1");
    for (status, ready) in [("in-progress", false), ("queued", false), ("finished", true)] {
        scene.once(&state, json(200, &format!(r#"{{"body":{{"status":"{status}"}}}}"#)));
        assert_eq!(client.bundle_is_ready("b-1").await, Ok(ready), "{status}");
    }
    scene.once(&state, json(200, r#"{"body":{"status":"failed"}}"#));
    let error = client.bundle_is_ready("b-1").await.expect_err("it never will be");
    assert_eq!(error.class, FailureClass::Refused);

    let dir = tempfile::tempdir().expect("a folder");
    let into = dir.path().join("ams-1.zip");
    let content = vec![7; 300_000];
    scene.once(&download(), file(&content));
    let size = client.download_bundle("b-1", &into, 300_000).await.expect("fetched");
    assert_eq!(size, 300_000);
    assert_eq!(std::fs::read(&into).expect("there"), content);
    let mode = into.metadata().expect("there").permissions().mode() & 0o777;
    assert_eq!(mode, 0o600);

    client.delete_bundle("b-1").await.expect("removed");
    scene.once(&format!("DELETE {BUNDLES}/b-1"), api_error(404, "ResourceNotFound"));
    client.delete_bundle("b-1").await.expect("gone is removed");
    assert_eq!(scene.count(&format!("DELETE {BUNDLES}/b-1")), 2);
}

#[tokio::test]
async fn a_download_that_fails_leaves_no_file() {
    let (_caller, server, client) = pair().await;
    let dir = tempfile::tempdir().expect("a folder");
    let into = dir.path().join("ams-1.zip");
    let cut = b"HTTP/1.1 200 OK\r\nContent-Type: application/zip\r\nContent-Length: 90\r\n\r\nPK";
    let chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nPK\r\n";
    for (what, answer, class) in [
        ("announced too long", file(&[7; 101]), FailureClass::Local),
        ("too long on the way", Do::Endless, FailureClass::Local),
        ("cut off", Do::CutOff(cut.to_vec()), FailureClass::Transient),
        ("a chunk is missing", Do::CutOff(chunked.to_vec()), FailureClass::Transient),
        ("an error", api_error(404, "ResourceNotFound"), FailureClass::Refused),
        ("an error with 200", api_error(200, "ResourceNotFound"), FailureClass::Refused),
        ("JSON", json(200, "{}"), FailureClass::Malformed),
        ("busy", json(503, ""), FailureClass::Transient),
        ("empty", file(b""), FailureClass::Malformed),
    ] {
        server.scene.once(&download(), answer);
        let error = client.download_bundle("b-1", &into, 100).await.expect_err(what);
        assert_eq!(error.class, class, "{what}: {error}");
        assert_eq!(files(dir.path()), Vec::<PathBuf>::new(), "{what}");
    }
    let page = vec![("Content-Type", "text/html".to_owned())];
    let page = Do::Reply { status: 200, headers: page, body: b"<html>booting".to_vec() };
    server.scene.once(&download(), page);
    let error = client.download_bundle("b-1", &into, 100).await.expect_err("a page");
    assert_eq!(error.class, FailureClass::NotAnApi);
    assert_eq!(files(dir.path()), Vec::<PathBuf>::new());

    // Nobody waits for it any more.
    let scene = &server.scene;
    let line = download();
    scene.once(&line, Do::Hang);
    tokio::select! {
        outcome = client.download_bundle("b-1", &into, 100) => panic!("{outcome:?}"),
        () = scene.arrives(&line, 11) => {}
    }
    assert_eq!(files(dir.path()), Vec::<PathBuf>::new());
}

#[tokio::test]
async fn what_is_there_already_stays() {
    let (_caller, server, client) = pair().await;
    let dir = tempfile::tempdir().expect("a folder");
    let into = dir.path().join("ams-1.zip");
    std::fs::write(&into, "mine").expect("written");
    server.scene.always(&download(), file(b"PK"));
    let error = client.download_bundle("b-1", &into, 100).await.expect_err("it is there");
    assert_eq!(error.class, FailureClass::Local);
    assert_eq!(std::fs::read(&into).expect("there"), b"mine");
    std::os::unix::fs::symlink("nowhere", dir.path().join("link")).expect("linked");
    client.download_bundle("b-1", &dir.path().join("link"), 100).await.expect_err("a link");
    assert_eq!(files(dir.path()).len(), 2);
    assert_eq!(server.scene.count(&download()), 0, "asked for nothing");
}

#[tokio::test]
async fn a_lost_session_is_renewed_for_a_download() {
    let (_caller, server, client) = pair().await;
    let dir = tempfile::tempdir().expect("a folder");
    let into = dir.path().join("ams-1.zip");
    client.info().await.expect("logged in");
    server.scene.once(&download(), api_error(401, "Unauthenticated"));
    server.scene.once(&download(), file(b"PK"));
    assert_eq!(client.download_bundle("b-1", &into, 100).await, Ok(2));
    assert_eq!(server.scene.logins(), 2);
}

#[tokio::test]
async fn the_leaf_is_that_of_the_last_answer() {
    use crate::support::{Caller, Front, Server, endpoint_of};
    use model::fleet::Trust;

    let caller = Caller::new();
    let pki = Pki::new();
    let (one, two) = (pki.leaf("127.0.0.1"), pki.leaf("127.0.0.1"));
    let dir = tempfile::tempdir().expect("a folder");
    let ca = dir.path().join("ca.pem");
    std::fs::write(&ca, &pki.ca_pem).expect("written");
    let ca = Trust::Ca(ca.display().to_string());
    // Two appliances at one host: their ports tell them apart.
    let servers = [
        Server::start(Front::Tls(one.config())).await,
        Server::start(Front::Tls(two.config())).await,
    ];
    let [first, second] = &servers;
    for (server, trust, leaf) in [
        (first, Trust::Pin(one.pin()), &one),
        (first, Trust::Insecure, &one),
        (first, ca.clone(), &one),
        (second, ca, &two),
    ] {
        let client = caller.client(endpoint_of(server, trust));
        assert_eq!(client.leaf(), None, "nobody has answered yet");
        client.setup().await.expect("an answer");
        client.info().await.expect("an answer over the same connection");
        assert_eq!(client.leaf(), Some(leaf.pin()));
    }
    let stranger = caller.client(endpoint_of(first, Trust::Pin(two.pin())));
    stranger.setup().await.expect_err("another certificate");
    assert_eq!(stranger.leaf(), None, "it proved nothing");
}
