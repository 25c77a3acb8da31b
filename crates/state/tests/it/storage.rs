//! Storage that fails: full, read-only, locked by a stranger, cut short, spoilt. Nothing is lost
//! that was confirmed, nothing is overwritten, and nothing is repaired in silence.

use std::ffi::CString;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use model::RolloutId;
use model::event::{ApplianceChange, Draft};
use model::ports::Journal;
use rustix::mount::{MountFlags, UnmountFlags, mount, mount_bind, mount_remount, unmount};
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions, Connection};
use state::{Error, OpenOptions, SqliteJournal, SqliteReader};

use crate::sample::{accepted, at, holder, journey, member, open, plan, progress};

fn id() -> RolloutId {
    RolloutId::new("5d0c1f6e-0001")
}

/// A file system of its own that is gone after the test. Mounted without another program: one that
/// is just being started shares our open files, and with them the locks of other tests.
struct Mounted {
    folder: tempfile::TempDir,
    mounts: Vec<PathBuf>,
}

impl Mounted {
    /// A small one in memory; `None`, with a loud note, where mounting is not permitted.
    fn small(kibibytes: u32) -> Option<Self> {
        let folder = tempfile::tempdir().expect("a folder");
        let disk = folder.path().join("disk");
        fs::create_dir(&disk).expect("made");
        let size = CString::new(format!("size={kibibytes}k")).expect("text");
        let mounted = mount("spsfleet-test", &disk, "tmpfs", MountFlags::empty(), size.as_c_str());
        if let Err(error) = mounted {
            skipped(&format!("mounting is not permitted here ({error}); run the tests as root"));
            return None;
        }
        Some(Self { folder, mounts: vec![disk] })
    }

    fn disk(&self) -> PathBuf {
        self.folder.path().join("disk")
    }

    /// The same files seen through a second mount that cannot be written.
    fn read_only_view(&mut self) -> PathBuf {
        let view = self.folder.path().join("view");
        fs::create_dir(&view).expect("made");
        mount_bind(self.disk(), &view).expect("a second mount is permitted too");
        self.mounts.push(view.clone());
        mount_remount(&view, MountFlags::BIND | MountFlags::RDONLY, c"").expect("read-only");
        view
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        for at in self.mounts.iter().rev() {
            unmount(at, UnmountFlags::DETACH).expect("unmounted");
        }
    }
}

/// Loud: past the test harness, which keeps the output of tests that pass.
fn skipped(why: &str) {
    let note = format!("\n!!!! SKIPPED: {why} !!!!\n");
    std::io::stderr().write_all(note.as_bytes()).expect("said");
}

async fn begin(path: &Path, members: &[&str]) -> SqliteJournal {
    let journal = open(path).await;
    journal.append(&[accepted(&id(), &plan("spring", members), at(0))]).await.expect("begun");
    journal
}

async fn sound(path: &Path) -> u64 {
    let reader = SqliteReader::open(path).await.expect("readable");
    let report = reader.check().await.expect("checked");
    assert_eq!(report.problems, Vec::<String>::new());
    reader.close().await;
    report.events
}

/// A large fact, so that a small disk is soon full.
fn large(seconds: i64) -> Draft {
    let error = "e".repeat(20_000);
    member(&id(), at(seconds), "x", ApplianceChange::SetAside { error, retry_at: at(seconds + 9) })
}

/// A disk that fills up: an append fails, says why, and leaves no trace; with room again the same
/// journal goes on, without being opened anew.
#[tokio::test]
async fn a_small_real_disk_fills_and_is_freed() {
    let Some(mounted) = Mounted::small(600) else { return };
    let path = mounted.disk().join("fleet.db");
    let journal = begin(&path, &["x", "y"]).await;
    let ballast = mounted.disk().join("ballast");
    fs::write(&ballast, vec![0_u8; 100 * 1024]).expect("fits");
    let mut written = 1;
    let error = loop {
        match journal.append(&[large(1)]).await {
            Ok(_) => written += 1,
            Err(error) => break error,
        }
        assert!(written < 60, "the disk has an end");
    };
    assert!(!error.illegal, "{error}");
    assert!(error.to_string().contains("the disk is full"), "{error}");
    for _ in 0..3 {
        assert!(journal.append(&[large(1)]).await.is_err(), "it stays full");
    }
    assert_eq!(journal.events(&id(), 0, 100).await.expect("reads go on").len(), written);

    fs::remove_file(&ballast).expect("removed");
    let event = journal.append(&[large(2)]).await.expect("room again");
    assert_eq!(event[0].seq, written as u64 + 1, "what failed left no trace");
    journal.close().await;
    assert_eq!(sound(&path).await, written as u64 + 1);
}

/// No room at all for a new database: said, and nothing half made stands in the way later.
#[tokio::test]
async fn a_disk_that_is_full_from_the_start_is_said() {
    let Some(mounted) = Mounted::small(64) else { return };
    let ballast = mounted.disk().join("ballast");
    // As much as there is room for; the write that meets the end fails.
    let filled = fs::write(&ballast, vec![0_u8; 128 * 1024]);
    assert!(filled.is_err());
    let path = mounted.disk().join("fleet.db");
    let error = SqliteJournal::open(&path, OpenOptions::or_create(holder())).await;
    let error = error.map(drop).expect_err("no room");
    assert!(matches!(error, Error::Full { .. }), "{error}");
    fs::remove_file(&ballast).expect("removed");
    // 64 KiB are too few for the tables; the same place with room takes the file up as it is.
    let copy = mounted.folder.path().join("fleet.db");
    if path.exists() {
        fs::copy(&path, &copy).expect("copied");
    }
    begin(&copy, &["x"]).await.close().await;
    assert_eq!(sound(&copy).await, 1);
}

#[tokio::test]
async fn a_read_only_file_system_is_named_and_left_alone() {
    let Some(mut mounted) = Mounted::small(2048) else { return };
    let path = mounted.disk().join("fleet.db");
    begin(&path, &["x"]).await.close().await;
    let before = fs::read(&path).expect("there");
    let view = mounted.read_only_view().join("fleet.db");
    let error = SqliteJournal::open(&view, OpenOptions::existing(holder())).await;
    let error = error.map(drop).expect_err("not to be written");
    assert!(matches!(error, Error::ReadOnly { .. }), "{error}");
    let fresh = view.with_file_name("new.db");
    let error = SqliteJournal::open(&fresh, OpenOptions::or_create(holder())).await;
    let error = error.map(drop).expect_err("not to be made");
    assert!(matches!(error, Error::ReadOnly { .. }), "{error}");
    // SQLite needs to write beside a living database; a backup can be read anywhere.
    let error = SqliteReader::open(&view).await.map(drop).expect_err("not to be opened");
    assert!(matches!(error, Error::NotOpened { .. }), "{error}");
    let reader = SqliteReader::open(&path).await.expect("readable");
    reader.backup(&mounted.disk().join("copy.db")).await.expect("copied");
    reader.close().await;
    assert_eq!(sound(&view.with_file_name("copy.db")).await, 1);
    assert_eq!(fs::read(&path).expect("there"), before);
}

/// Permissions instead of mounts; root may write anywhere, so it tells nothing then.
#[tokio::test]
async fn a_file_that_we_may_not_write_is_named() {
    use std::os::unix::fs::PermissionsExt;
    let dir = tempfile::tempdir().expect("a folder");
    let path = dir.path().join("fleet.db");
    begin(&path, &["x"]).await.close().await;
    fs::set_permissions(&path, fs::Permissions::from_mode(0o400)).expect("set");
    if fs::OpenOptions::new().write(true).open(&path).is_ok() {
        return skipped("root may write to any file; run the tests as another user");
    }
    let error = SqliteJournal::open(&path, OpenOptions::existing(holder())).await;
    let error = error.map(drop).expect_err("not to be written");
    assert!(matches!(error, Error::ReadOnly { .. } | Error::Permission { .. }), "{error}");
}

/// A person with `sqlite3` and an open transaction: appends fail and say so, and go on afterwards.
#[tokio::test]
async fn a_stranger_that_holds_sqlite_s_lock_is_survived() {
    let dir = tempfile::tempdir().expect("a folder");
    let path = dir.path().join("fleet.db");
    let journal = begin(&path, &["x"]).await;
    let mut stranger =
        SqliteConnectOptions::new().filename(&path).connect().await.expect("connected");
    sqlx::raw_sql("BEGIN IMMEDIATE").execute(&mut stranger).await.expect("locked");
    let one = [progress(&id(), 1, "x", 1)];
    let error = journal.append(&one).await.expect_err("locked");
    assert!(!error.illegal, "{error}");
    assert!(error.to_string().contains("keeps the database locked"), "{error}");
    assert_eq!(journal.events(&id(), 0, 9).await.expect("reads go on").len(), 1);
    sqlx::raw_sql("ROLLBACK").execute(&mut stranger).await.expect("freed");
    assert_eq!(journal.append(&one).await.expect("goes on")[0].seq, 2);
    journal.close().await;

    // The same while it is opened.
    sqlx::raw_sql("BEGIN IMMEDIATE").execute(&mut stranger).await.expect("locked");
    match SqliteJournal::open(&path, OpenOptions::existing(holder())).await {
        // Nothing has to be written to open it.
        Ok(journal) => journal.close().await,
        Err(error) => assert!(matches!(error, Error::Busy { .. }), "{error}"),
    }
    stranger.close().await.expect("closed");
    assert_eq!(sound(&path).await, 2);
}

/// A database of some pages, closed in good order, as bytes.
async fn whole(dir: &Path) -> Vec<u8> {
    let path = dir.join("whole.db");
    let journal = begin(&path, &["x", "y"]).await;
    for name in ["x", "y"] {
        journal.append(&journey(&id(), name, 10)).await.expect("written");
    }
    journal.close().await;
    fs::read(&path).expect("there")
}

/// Whether anything notices that a file is not what it was: opening it, or the check.
async fn is_noticed(path: &Path) -> bool {
    let Ok(reader) = SqliteReader::open(path).await else { return true };
    let report = reader.check().await;
    reader.close().await;
    report.map_or(true, |report| !report.is_sound())
}

#[tokio::test]
async fn a_file_that_was_cut_short_is_never_taken_for_whole() {
    const PAGE: usize = 4096;
    let dir = tempfile::tempdir().expect("a folder");
    let bytes = whole(dir.path()).await;
    let path = dir.path().join("short.db");
    let cuts =
        (1..bytes.len() / PAGE).flat_map(|page| [page * PAGE, page * PAGE + 1, page * PAGE - 77]);
    let mut tried = 0;
    for cut in cuts {
        fs::write(&path, &bytes[..cut]).expect("written");
        assert!(is_noticed(&path).await, "cut to {cut} of {} bytes", bytes.len());
        assert_eq!(fs::read(&path).expect("there"), &bytes[..cut], "the check changes nothing");
        let opened = SqliteJournal::open(&path, OpenOptions::or_create(holder())).await;
        let error = opened.map(drop).expect_err("not to be written");
        assert!(matches!(error, Error::Damaged { .. } | Error::NotADatabase { .. }), "{error}");
        assert_eq!(fs::read(&path).expect("there"), &bytes[..cut], "nothing is repaired");
        tried += 1;
    }
    assert!(tried > 30, "{tried}");
}

/// Each page is overwritten in turn. Whatever still opens is told apart by the check; nothing
/// that is spoilt is taken for whole, and no attempt to open it changes it.
#[tokio::test]
async fn a_spoilt_page_is_noticed_and_never_repaired() {
    const PAGE: usize = 4096;
    let dir = tempfile::tempdir().expect("a folder");
    let bytes = whole(dir.path()).await;
    let path = dir.path().join("spoilt.db");
    let mut tried = 0;
    for page in 0..bytes.len() / PAGE {
        let mut spoilt = bytes.clone();
        // The first hundred bytes stay: a spoilt header is another test.
        let from = if page == 0 { 100 } else { page * PAGE };
        spoilt[from..(page + 1) * PAGE].fill(0xA5);
        fs::write(&path, &spoilt).expect("written");
        assert!(is_noticed(&path).await, "page {page}");
        assert_eq!(
            fs::read(&path).expect("there"),
            spoilt,
            "page {page}: the check changes nothing"
        );
        tried += 1;
    }
    assert!(tried > 10, "{tried}");
}

/// One digit of a stored fact changes and every page stays valid: only folding the log tells.
#[tokio::test]
async fn a_status_that_does_not_follow_from_the_log_is_noticed() {
    let dir = tempfile::tempdir().expect("a folder");
    let bytes = whole(dir.path()).await;
    let spoil = [
        "UPDATE appliances SET phase = 'failed', record = replace(record, 'succeeded', 'failed') WHERE name = 'x'",
        "DELETE FROM events WHERE seq = 9",
        "DELETE FROM appliances WHERE name = 'y'",
        "UPDATE durations SET took = took + 1 WHERE seq = (SELECT min(seq) FROM durations)",
        "DELETE FROM rollouts",
        "INSERT INTO logins_proven (credential) VALUES ('nobody')",
        "UPDATE events SET payload = replace(payload, '7.5.1', '7.5.2') WHERE payload LIKE '%returned%'",
    ];
    for statement in spoil {
        let path = dir.path().join("spoilt.db");
        fs::write(&path, &bytes).expect("written");
        let mut stranger = SqliteConnectOptions::new()
            .filename(&path)
            .foreign_keys(false)
            .connect()
            .await
            .expect("connected");
        let script = sqlx::AssertSqlSafe(format!("{UNGUARDED}; {statement}"));
        sqlx::raw_sql(script).execute(&mut stranger).await.expect(statement);
        stranger.close().await.expect("closed");
        assert!(is_noticed(&path).await, "{statement}");
    }
}

/// The tables guard themselves; a stranger who wants to can take that away.
const UNGUARDED: &str = "DROP TRIGGER events_are_not_changed; DROP TRIGGER events_are_not_removed";

/// Power is lost while the write-ahead log is written: any cut of it leaves a whole database with
/// the first so many events, and it goes on from there.
#[tokio::test]
async fn any_cut_of_the_write_ahead_log_leaves_a_prefix() {
    let dir = tempfile::tempdir().expect("a folder");
    let path = dir.path().join("fleet.db");
    let journal = begin(&path, &["x"]).await;
    let mut drafts = journey(&id(), "x", 10);
    let last = drafts.pop().expect("an end");
    for draft in drafts {
        journal.append(&[draft]).await.expect("written");
    }
    let all = journal.events(&id(), 0, 100).await.expect("events");
    let wal = fs::read(dir.path().join("fleet.db-wal")).expect("there");
    let database = fs::read(&path).expect("there");
    let cut_at = |at: usize| {
        let cut = dir.path().join("cut.db");
        for ending in ["", "-wal", "-shm"] {
            drop(fs::remove_file(format!("{}{ending}", cut.display())));
        }
        fs::write(&cut, &database).expect("written");
        fs::write(dir.path().join("cut.db-wal"), &wal[..at]).expect("written");
        cut
    };
    let mut before = 0;
    // An odd stride meets every part of a frame.
    for at in (0..wal.len()).step_by(4093).chain([wal.len()]) {
        let cut = cut_at(at);
        let next = open(&cut).await;
        let events = next.events(&id(), 0, 100).await.expect("events");
        assert!(all.starts_with(&events), "cut at {at}");
        assert!(events.len() >= before, "more of the log is never less of the memory");
        before = events.len();
        next.close().await;
        assert_eq!(sound(&cut).await, events.len() as u64);
    }
    assert_eq!(before, all.len());
    assert_eq!(journal.append(&[last]).await.expect("goes on").len(), 1);
}
