//! Uploads: the documented form, hashed while sent, given up when stuck.

use std::io::Write as _;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures::future::Either;
use model::Sha256Hex;
use model::failure::FailureClass;
use model::ports::Appliance;
use model::rollout::Image;

use crate::support::{Do, api_error, json, pair};

const UPLOAD: &str = "POST /api/upload/firmware";
const STALL: Duration = Duration::from_secs(60);
const SIZE: usize = 3 * 1024 * 1024 + 17;

fn image(size: usize) -> (tempfile::NamedTempFile, Vec<u8>, Image) {
    let bytes: Vec<u8> = (0..size).map(|n| (n * 7 + n / 251) as u8).collect();
    let mut file = tempfile::Builder::new().suffix(" ü.iso").tempfile().expect("a file");
    file.write_all(&bytes).expect("written");
    let path = file.path().to_str().expect("text").to_owned();
    (file, bytes, Image { path, size: size as u64 })
}

fn silent() -> Arc<dyn Fn(u64) + Send + Sync> {
    Arc::new(|_| {})
}

#[tokio::test]
async fn an_upload_is_the_documented_form_and_hashed_while_sent() {
    let (_caller, server, client) = pair().await;
    let (_file, bytes, image) = image(SIZE);
    let told = Arc::new(Mutex::new(Vec::new()));
    let note = Arc::clone(&told);
    let sent = Arc::new(move |bytes| note.lock().expect("no panic").push(bytes));
    let uploaded = client.upload(&image, STALL, sent).await.expect("uploaded");
    assert_eq!(uploaded.sha256, Sha256Hex::of(&bytes));
    assert_eq!(uploaded.slot.key.as_str(), "2");
    let content = uploaded.slot.content.expect("content");
    assert_eq!((content.version.as_str(), content.after_reboot), ("7.5.1", false));

    let heard = server.scene.last(UPLOAD);
    let length: usize =
        heard.header("content-length").expect("a length").parse().expect("a number");
    assert_eq!(length, heard.body_length);
    assert!(heard.header("transfer-encoding").is_none());
    let kind = heard.header("content-type").expect("a type");
    let boundary = kind.strip_prefix("multipart/form-data; boundary=").expect("a form").to_owned();
    let start = String::from_utf8_lossy(&heard.body[..400]).into_owned();
    assert!(
        start.starts_with(&format!(
            "--{boundary}\r\nContent-Disposition: form-data; name=\"firmware\"; filename=\""
        )),
        "{start}"
    );
    assert!(start.contains("_.iso\"\r\n"), "{start}");
    let head = start.find("\r\n\r\n").expect("a head") + 4;
    assert_eq!(heard.body[head..head + 1000], bytes[..1000]);
    // The whole body, sum for sum.
    let mut whole = heard.body[..head].to_vec();
    whole.extend_from_slice(&bytes);
    whole.extend_from_slice(format!("\r\n--{boundary}--\r\n").as_bytes());
    assert_eq!(heard.body_sum, Sha256Hex::of(&whole).as_str());

    let told = told.lock().expect("no panic");
    assert!(told.is_sorted() && told.len() > 10, "{} reports", told.len());
    assert_eq!(told.last(), Some(&(SIZE as u64)));
}

#[tokio::test]
async fn a_stuck_upload_is_given_up() {
    let (caller, server, client) = pair().await;
    server.scene.stop_reading_after(1024 * 1024);
    let (_file, _, image) = image(64 * 1024 * 1024);
    let seen = Arc::new(AtomicU64::new(0));
    let (note, clock) = (Arc::clone(&seen), caller.clock.clone());
    // Time passes while bytes move, far more of it than the limit; that is no stall.
    let sent = Arc::new(move |bytes| {
        note.store(bytes, Ordering::SeqCst);
        clock.pass(59);
    });
    // What is on its way into the buffers still moves for a moment.
    let time = async {
        server.scene.arrives(UPLOAD, 1).await;
        loop {
            caller.clock.pass(1);
            tokio::task::yield_now().await;
        }
    };
    let (upload, time) = (client.upload(&image, STALL, sent), std::pin::pin!(time));
    let answer = match futures::future::select(upload, time).await {
        Either::Left((answer, _)) => answer,
        Either::Right((never, _)) => never,
    };
    let error = answer.expect_err("stuck");
    assert_eq!(error.class, FailureClass::OutcomeUnknown);
    assert!(error.detail.contains("did not move for 60s"), "{error}");
    let seen = seen.load(Ordering::SeqCst);
    assert!(seen >= 1024 * 1024 && seen < image.size, "{seen}");
}

#[tokio::test]
async fn an_upload_without_an_answer_is_given_up() {
    let (caller, server, client) = pair().await;
    server.scene.once(UPLOAD, Do::Hang);
    let (_file, bytes, image) = image(SIZE);
    let time = async {
        server.scene.arrives(UPLOAD, 1).await;
        caller.clock.pass(60);
    };
    let (answer, ()) = futures::future::join(client.upload(&image, STALL, silent()), time).await;
    assert_eq!(answer.expect_err("no answer").class, FailureClass::OutcomeUnknown);
    assert_eq!(server.scene.count(UPLOAD), 1);
    assert_eq!(client.uploaded_sum(), Some(Sha256Hex::of(&bytes)), "it was sent whole");
}

#[tokio::test]
async fn the_sum_of_what_was_sent_is_known_without_an_answer() {
    let (_caller, server, client) = pair().await;
    let (_file, bytes, image) = image(SIZE);
    assert_eq!(client.uploaded_sum(), None);
    for lost in [Do::Close, Do::Reset, json(502, "")] {
        server.scene.once(UPLOAD, lost);
        client.upload(&image, STALL, silent()).await.expect_err("no answer");
        assert_eq!(client.uploaded_sum(), Some(Sha256Hex::of(&bytes)));
    }
    let shorter = Arc::new(tempfile::NamedTempFile::new().expect("a file"));
    shorter.as_file().set_len(32 << 20).expect("grown");
    let path = shorter.path().display().to_string();
    let cut = Arc::new(move |_| shorter.as_file().set_len(1024).expect("cut"));
    let image = Image { path, size: 32 << 20 };
    client.upload(&image, STALL, cut).await.expect_err("it became shorter");
    assert_eq!(client.uploaded_sum(), None, "not sent whole, and nothing of the one before");
}

#[tokio::test]
async fn an_image_that_cannot_be_read_is_a_local_failure() {
    let (_caller, server, client) = pair().await;
    let (file, _, mut image) = image(SIZE);
    image.size -= 1;
    let error = client.upload(&image, STALL, silent()).await.expect_err("another size");
    assert_eq!(error.class, FailureClass::Local);
    assert!(error.detail.contains("3145745") && error.detail.contains("3145744"), "{error}");
    drop(file);
    let error = client.upload(&image, STALL, silent()).await.expect_err("no file");
    assert_eq!(error.class, FailureClass::Local);
    assert!(error.detail.contains(&image.path), "{error}");
    assert!(server.scene.heard().is_empty(), "nothing is sent for it");
}

#[tokio::test]
async fn an_image_that_shrinks_while_it_is_sent_is_a_local_failure() {
    let (_caller, server, client) = pair().await;
    let (file, _, image) = image(32 * 1024 * 1024);
    let handle = Arc::new(file);
    let cut = Arc::clone(&handle);
    let sent = Arc::new(move |_| cut.as_file().set_len(1024).expect("cut"));
    let error = client.upload(&image, STALL, sent).await.expect_err("shorter");
    assert_eq!(error.class, FailureClass::Local, "{error}");
    assert!(error.detail.contains("shorter"), "{error}");
    assert_eq!(server.scene.logins(), 1);
}

#[tokio::test]
async fn an_upload_is_never_repeated() {
    let (_caller, server, client) = pair().await;
    let (_file, _, image) = image(SIZE);
    for (todo, class) in [
        (api_error(401, "Unauthenticated"), FailureClass::LoggedOut),
        (api_error(409, "NoEmptySlot"), FailureClass::Refused),
        (json(500, ""), FailureClass::OutcomeUnknown),
        (json(200, r#"{"meta":{}}"#), FailureClass::OutcomeUnknown),
        (Do::Reset, FailureClass::OutcomeUnknown),
    ] {
        let before = server.scene.count(UPLOAD);
        server.scene.once(UPLOAD, todo.clone());
        let error = client.upload(&image, STALL, silent()).await.expect_err("a failure");
        assert_eq!(error.class, class, "{todo:?}: {error}");
        assert_eq!(server.scene.count(UPLOAD), before + 1);
    }
    client.upload(&image, STALL, silent()).await.expect("uploaded");
    assert_eq!(server.scene.logins(), 2, "one more after the lost session");
}
