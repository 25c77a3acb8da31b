//! Finding, filtering, checking and copying.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use model::RolloutId;
use model::event::{RolloutChange, Step};
use model::ports::Journal;
use model::run::{Phase, RolloutState};
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions, Connection};
use state::{Error, EventQuery, Order, SqliteJournal, SqliteReader};

use crate::sample::{accepted, at, failed, journey, member, name, open, plan, progress, rollout};

async fn journal_with_two(path: &Path) -> SqliteJournal {
    let journal = open(path).await;
    let (old, new) = (RolloutId::new("aa11"), RolloutId::new("aa22"));
    let mut batch = vec![
        accepted(&old, &plan("spring", &["x", "y"]), at(0)),
        accepted(&new, &plan("spring", &["x", "y"]), at(100)),
    ];
    batch.extend(journey(&new, "x", 110));
    batch.push(member(&new, at(400), "y", failed(Step::Test)));
    batch.push(progress(&old, 401, "y", 1));
    journal.append(&batch).await.expect("written");
    journal
}

/// Changes the file behind the journal's back.
async fn meddle(path: &Path, statements: &'static str) {
    let options = SqliteConnectOptions::new().filename(path).foreign_keys(false);
    let mut connection = options.connect().await.expect("connected");
    sqlx::raw_sql(statements).execute(&mut connection).await.expect("changed");
    connection.close().await.expect("closed");
}

#[tokio::test]
async fn a_rollout_is_found_by_name_or_by_the_beginning_of_its_id() {
    let dir = tempfile::tempdir().expect("a folder");
    let journal = journal_with_two(&dir.path().join("fleet.db")).await;
    let find = async |wanted: &str| {
        let found = journal.reader().find(wanted).await;
        found.map(|head| head.map(|head| head.id.to_string()))
    };
    assert_eq!(find("spring").await.expect("found").as_deref(), Some("aa22"), "the latest");
    assert_eq!(find("aa1").await.expect("found").as_deref(), Some("aa11"));
    assert_eq!(find("winter").await.expect("none"), None);
    assert_eq!(find("").await.expect("none"), None);
    let error = find("aa").await.expect_err("two");
    assert!(matches!(&error, Error::Ambiguous { ids, .. } if ids.len() == 2), "{error}");
}

#[tokio::test]
async fn events_are_filtered_from_either_end() {
    let dir = tempfile::tempdir().expect("a folder");
    let journal = journal_with_two(&dir.path().join("fleet.db")).await;
    let numbers = async |query: EventQuery| {
        let events = journal.reader().events(&query).await.expect("events");
        events.iter().map(|event| event.seq).collect::<Vec<_>>()
    };
    let (rollout, limit) = (Some(RolloutId::new("aa22")), 3);
    let query = EventQuery { rollout, limit, ..EventQuery::default() };
    assert_eq!(numbers(query.clone()).await, [2, 3, 4]);
    assert_eq!(numbers(EventQuery { after: 3, ..query.clone() }).await, [4, 5, 6]);
    let newest = EventQuery { order: Order::Newest, ..query.clone() };
    assert_eq!(numbers(newest.clone()).await, [18, 17, 16]);
    assert_eq!(numbers(EventQuery { after: 17, ..newest.clone() }).await, [18]);
    let of_y = EventQuery { appliance: Some(name("y")), ..newest };
    assert_eq!(numbers(of_y.clone()).await, [18]);
    assert_eq!(numbers(EventQuery { order: Order::Oldest, ..of_y.clone() }).await, [18]);
    assert_eq!(numbers(EventQuery { rollout: None, ..of_y.clone() }).await, [19, 18]);
    let all = EventQuery { limit: 100, ..EventQuery::default() };
    assert_eq!(numbers(all.clone()).await, (1..=19).collect::<Vec<_>>());
    assert_eq!(numbers(EventQuery { appliance: Some(name("y")), ..all }).await, [18, 19]);
    assert_eq!(numbers(EventQuery { limit: 0, ..of_y }).await, [0_u64; 0]);
    assert_eq!(journal.reader().last_seq().await.expect("read"), 19);
}

#[tokio::test]
async fn a_reader_sees_what_a_writer_commits_meanwhile() {
    let dir = tempfile::tempdir().expect("a folder");
    let path = dir.path().join("fleet.db");
    let journal = journal_with_two(&path).await;
    let reader = SqliteJournal::open_read_only(&path).await.expect("opens beside the writer");
    let id = RolloutId::new("aa22");
    let rows = reader.status(&id).await.expect("read").expect("there");
    assert_eq!((rows.head.ended, rows.state), (false, RolloutState::Running));
    let brief: Vec<_> = rows
        .appliances
        .iter()
        .map(|row| (row.name.as_str(), row.site.as_str(), row.wave.as_str(), row.phase))
        .collect();
    let expected = [("x", "ams", "all", Phase::Succeeded), ("y", "ams", "all", Phase::Failed)];
    assert_eq!(brief, expected);
    assert_eq!(rows.target_version.to_string(), "7.5.1");
    journal.append(&[rollout(&id, at(500), RolloutChange::Finished)]).await.expect("written");
    let rows = reader.status(&id).await.expect("read").expect("there");
    assert_eq!((rows.head.ended, rows.state, rows.seq), (true, RolloutState::Failed, 20));
}

#[tokio::test]
async fn a_check_finds_what_was_changed_behind_its_back() {
    let dir = tempfile::tempdir().expect("a folder");
    let pristine = dir.path().join("fleet.db");
    let journal = journal_with_two(&pristine).await;
    let report = journal.reader().check().await.expect("checked");
    assert_eq!((report.rollouts, report.events, report.is_sound()), (2, 19, true));
    journal.close().await;

    let cases: [(&str, &'static str, &str); 7] = [
        ("phase", "UPDATE appliances SET record = replace(record, '\"failed\"', '\"held\"')", "y"),
        ("state", "UPDATE rollouts SET record = replace(record, 'ops', 'root')", "as a whole"),
        ("gone", "DELETE FROM appliances WHERE name = 'x'", "x"),
        (
            "hole",
            "DROP TRIGGER events_are_not_removed; DELETE FROM events WHERE seq = 3",
            "events 3 to 3 are missing",
        ),
        (
            "payload",
            "DROP TRIGGER events_are_not_changed; UPDATE events SET payload = '{' WHERE seq = 4",
            "event 4",
        ),
        ("durations", "DELETE FROM durations", "the durations"),
        ("logins", "DELETE FROM logins_proven", "the memory of logins"),
    ];
    for (case, statements, expected) in cases {
        let path = dir.path().join(format!("{case}.db"));
        std::fs::copy(&pristine, &path).expect("copied");
        meddle(&path, statements).await;
        let reader = SqliteReader::open(&path).await.expect("opens");
        let report = reader.check().await.expect("checked");
        let found = report.problems.iter().any(|problem| problem.contains(expected));
        assert!(found, "{case}: {:?}", report.problems);
        reader.close().await;
    }
}

#[tokio::test]
async fn events_cannot_be_changed_or_removed() {
    let dir = tempfile::tempdir().expect("a folder");
    let path = dir.path().join("fleet.db");
    journal_with_two(&path).await.close().await;
    let mut connection =
        SqliteConnectOptions::new().filename(&path).connect().await.expect("connected");
    for statement in ["UPDATE events SET at = 0", "DELETE FROM events"] {
        let refused = sqlx::raw_sql(statement).execute(&mut connection).await;
        assert!(refused.expect_err("refused").to_string().contains("events are never"));
    }
}

#[tokio::test]
async fn a_backup_is_a_whole_journal_and_overwrites_nothing() {
    let dir = tempfile::tempdir().expect("a folder");
    let (path, copy) = (dir.path().join("fleet.db"), dir.path().join("copy.db"));
    let journal = journal_with_two(&path).await;
    std::fs::write(dir.path().join("copy.db.partial"), "half of an older copy").expect("written");
    journal.reader().backup(&copy).await.expect("copied while open");
    let mode = std::fs::metadata(&copy).expect("there").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    assert!(!dir.path().join("copy.db.partial").exists());
    let again = journal.reader().backup(&copy).await.expect_err("exists");
    assert!(matches!(again, Error::Exists { .. }), "{again}");

    let reader = SqliteReader::open(&copy).await.expect("a journal");
    assert!(reader.check().await.expect("checked").is_sound());
    assert_eq!(reader.last_seq().await.expect("read"), 19);
    reader.close().await;
    // It can be written on at once, by its own lock.
    let restored = open(&copy).await;
    let id = RolloutId::new("aa11");
    restored.append(&[progress(&id, 900, "x", 1)]).await.expect("written");
    assert_eq!(restored.reader().last_seq().await.expect("read"), 20);
    assert_eq!(journal.reader().last_seq().await.expect("read"), 19);
}
