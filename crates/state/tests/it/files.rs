//! Files that are not what they should be, and two hands on one file.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use model::ports::Journal;
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions, Connection};
use state::{Error, OpenOptions, SqliteJournal, SqliteReader};

use crate::sample::{accepted, at, holder, open, plan};

async fn write(path: &Path, create: bool) -> Result<SqliteJournal, Error> {
    SqliteJournal::open(path, OpenOptions { create, ..OpenOptions::existing(holder()) }).await
}

async fn refused(path: &Path) -> (Error, Error) {
    let read = SqliteReader::open(path).await.map(drop).expect_err("not to be read");
    let written = write(path, true).await.map(drop).expect_err("not to be written");
    (read, written)
}

async fn foreign(path: &Path, statements: &'static str) {
    let options = SqliteConnectOptions::new().filename(path).create_if_missing(true);
    let mut connection = options.connect().await.expect("connected");
    sqlx::raw_sql(statements).execute(&mut connection).await.expect("made");
    connection.close().await.expect("closed");
}

#[tokio::test]
async fn a_missing_file_is_made_only_when_asked_for_and_private() {
    let dir = tempfile::tempdir().expect("a folder");
    let path = dir.path().join("fleet.db");
    assert!(matches!(write(&path, false).await, Err(Error::NoSuchFile { .. })));
    assert!(matches!(SqliteReader::open(&path).await, Err(Error::NoSuchFile { .. })));
    assert_eq!(fs::read_dir(dir.path()).expect("a folder").count(), 0, "nothing was made");
    let journal = write(&path, true).await.expect("made");
    journal
        .append(&[accepted(&model::RolloutId::new("a"), &plan("spring", &["x"]), at(0))])
        .await
        .expect("written");
    for file in fs::read_dir(dir.path()).expect("a folder") {
        let file = file.expect("an entry");
        let mode = file.metadata().expect("there").permissions().mode() & 0o777;
        assert_eq!(mode, 0o600, "{:?}", file.file_name());
    }
    let no_folder = write(&dir.path().join("no/fleet.db"), true).await.expect_err("no folder");
    assert!(no_folder.to_string().contains("the folder"), "{no_folder}");
}

#[tokio::test]
async fn an_empty_file_is_no_journal_yet() {
    let dir = tempfile::tempdir().expect("a folder");
    let path = dir.path().join("fleet.db");
    fs::write(&path, "").expect("written");
    assert!(matches!(SqliteReader::open(&path).await, Err(Error::Empty { .. })));
    assert!(matches!(write(&path, false).await, Err(Error::Empty { .. })));
    assert!(write(&path, true).await.is_ok());
}

#[tokio::test]
async fn what_is_no_database_stays_untouched() {
    let dir = tempfile::tempdir().expect("a folder");
    let path = dir.path().join("fleet.yaml");
    for content in ["version: 1\n".to_owned(), "x".repeat(5000)] {
        fs::write(&path, &content).expect("written");
        let (read, written) = refused(&path).await;
        assert!(matches!(read, Error::NotADatabase { .. }), "{read}");
        assert!(matches!(written, Error::NotADatabase { .. }), "{written}");
        assert_eq!(fs::read_to_string(&path).expect("there"), content);
    }
    let (read, written) = refused(dir.path()).await;
    assert!(matches!(read, Error::NotADatabase { .. }), "{read}");
    assert!(matches!(written, Error::NotADatabase { .. }), "{written}");
}

#[tokio::test]
async fn a_database_of_another_program_stays_untouched() {
    let dir = tempfile::tempdir().expect("a folder");
    let marked = dir.path().join("marked.db");
    foreign(&marked, "PRAGMA application_id = 77; CREATE TABLE t (x)").await;
    let unmarked = dir.path().join("unmarked.db");
    foreign(&unmarked, "CREATE TABLE rollouts (x)").await;
    for path in [marked, unmarked] {
        let before = fs::read(&path).expect("there");
        let (read, written) = refused(&path).await;
        assert!(matches!(read, Error::Foreign { .. }), "{read}");
        assert!(matches!(written, Error::Foreign { .. }), "{written}");
        assert_eq!(fs::read(&path).expect("there"), before);
    }
}

#[tokio::test]
async fn a_newer_schema_is_named() {
    let dir = tempfile::tempdir().expect("a folder");
    let path = dir.path().join("fleet.db");
    open(&path).await.close().await;
    foreign(
        &path,
        "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time)
         VALUES (9000, 'the future', true, x'00', 0)",
    )
    .await;
    let (read, written) = refused(&path).await;
    for error in [read, written] {
        assert!(matches!(error, Error::Newer { found: 9000, .. }), "{error}");
        assert!(error.to_string().contains("made by a newer spsfleet"), "{error}");
    }
}

#[tokio::test]
async fn a_damaged_file_is_named() {
    let dir = tempfile::tempdir().expect("a folder");
    let path = dir.path().join("fleet.db");
    let journal = open(&path).await;
    let id = model::RolloutId::new("a");
    journal.append(&[accepted(&id, &plan("spring", &["x"]), at(0))]).await.expect("written");
    journal.close().await;
    let mut bytes = fs::read(&path).expect("there");
    // The header stays; all that is behind it is lost.
    bytes[100..].fill(0xA5);
    fs::write(&path, bytes).expect("written");
    let (read, written) = refused(&path).await;
    assert!(matches!(read, Error::Damaged { .. }), "{read}");
    assert!(matches!(written, Error::Damaged { .. }), "{written}");
}

#[tokio::test]
async fn the_second_hand_is_told_who_the_first_is() {
    let dir = tempfile::tempdir().expect("a folder");
    let path = dir.path().join("fleet.db");
    let journal = open(&path).await;
    let link = dir.path().join("link.db");
    std::os::unix::fs::symlink(&path, &link).expect("linked");
    for way in [&path, &link] {
        let error = write(way, true).await.map(drop).expect_err("in use");
        let Error::InUse { holder: Some(named), .. } = &error else { panic!("{error}") };
        assert_eq!(*named, holder());
        assert!(
            error
                .to_string()
                .ends_with("in use by `run`, process 4711 on ops-1, since 2026-11-24T08:00:00Z")
        );
    }
    assert!(SqliteReader::open(&path).await.is_ok(), "reading needs no lock");
    journal.close().await;
    assert!(write(&path, false).await.is_ok());
}

#[tokio::test]
async fn an_opening_that_fails_gives_the_lock_free() {
    let dir = tempfile::tempdir().expect("a folder");
    let path = dir.path().join("fleet.db");
    fs::write(&path, "no database").expect("written");
    assert!(matches!(write(&path, true).await, Err(Error::NotADatabase { .. })));
    fs::remove_file(&path).expect("removed");
    assert!(write(&path, true).await.is_ok());
}
