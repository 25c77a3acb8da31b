//! The socket's file: made, defended, replaced, removed.

use std::fs;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::os::unix::net::UnixListener;

use control::{BindError, Client, ClientError, Socket};

#[tokio::test]
async fn it_is_private_and_gone_at_the_end() {
    let dir = tempfile::tempdir().expect("a folder");
    let path = dir.path().join("fleet.db.sock");
    let socket = Socket::bind(&path).await.expect("bound");
    assert_eq!(socket.path(), path);
    let file = fs::symlink_metadata(&path).expect("there");
    assert!(file.file_type().is_socket());
    assert_eq!(file.permissions().mode() & 0o777, 0o600);
    assert_eq!(fs::read_dir(dir.path()).expect("a folder").count(), 1);
    drop(socket);
    assert_eq!(fs::read_dir(dir.path()).expect("a folder").count(), 0);
}

#[tokio::test]
async fn a_live_one_is_not_stolen_and_a_dead_one_is_replaced() {
    let dir = tempfile::tempdir().expect("a folder");
    let path = dir.path().join("control.sock");
    let living = UnixListener::bind(&path).expect("bound");
    assert!(matches!(Socket::bind(&path).await, Err(BindError::InUse { .. })));
    // Its program ended without removing the file.
    drop(living);
    let dead = Client::connect(&path).await.expect_err("nobody answers");
    assert!(matches!(dead, ClientError::NoDaemon { .. }), "{dead}");
    fs::write(dir.path().join("control.sock.new"), "left over").expect("written");
    let socket = Socket::bind(&path).await.expect("replaced");
    assert!(matches!(Socket::bind(&path).await, Err(BindError::InUse { .. })));
    assert!(path.exists(), "the refused one removed nothing");
    drop(socket);
    assert!(!path.exists());
}

#[tokio::test]
async fn somebody_elses_file_stays() {
    let dir = tempfile::tempdir().expect("a folder");
    let path = dir.path().join("control.sock");
    fs::write(&path, "not a socket").expect("written");
    assert!(matches!(Socket::bind(&path).await, Err(BindError::NotASocket { .. })));
    assert_eq!(fs::read_to_string(&path).expect("there"), "not a socket");

    // One that was put in our place meanwhile is not removed with ours.
    let path = dir.path().join("moved.sock");
    let socket = Socket::bind(&path).await.expect("bound");
    fs::remove_file(&path).expect("removed");
    let _other = UnixListener::bind(&path).expect("bound");
    drop(socket);
    assert!(path.exists());
}

#[tokio::test]
async fn a_place_with_too_long_a_name_is_named() {
    let dir = tempfile::tempdir().expect("a folder");
    let longest = dir.path().join("x".repeat(102 - dir.path().as_os_str().len()));
    assert_eq!(longest.as_os_str().len(), 103);
    drop(Socket::bind(&longest).await.expect("fits"));
    let path = dir.path().join("x".repeat(120));
    let error = Socket::bind(&path).await.expect_err("too long");
    assert!(matches!(error, BindError::TooLong { .. }), "{error}");
    let nowhere = Socket::bind(&dir.path().join("no/such.sock")).await.expect_err("no folder");
    assert!(matches!(nowhere, BindError::Io { .. }), "{nowhere}");
}

#[tokio::test]
async fn without_a_socket_nobody_answers() {
    let dir = tempfile::tempdir().expect("a folder");
    let error = Client::connect(&dir.path().join("none.sock")).await.expect_err("no socket");
    assert!(matches!(error, ClientError::NoDaemon { .. }), "{error}");
}
