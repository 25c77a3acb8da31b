//! Durability, failures of the disk, and what is left of them.

use std::fs;
use std::path::Path;

use model::RolloutId;
use model::event::{ApplianceChange, RolloutChange, Step};
use model::ports::Journal;
use model::run::{Phase, Run};
use state::{OpenOptions, SqliteJournal, SqliteReader};

use crate::sample::{
    accepted, at, failed, holder, journey, member, name, open, plan, progress, rollout,
};

fn id() -> RolloutId {
    RolloutId::new("5d0c1f6e-0001")
}

/// The files as a power cut at this moment leaves them.
fn cut_the_power(from: &Path, to: &Path) {
    for ending in ["", "-wal"] {
        let name = |path: &Path| format!("{}{ending}", path.display());
        fs::copy(name(from), name(to)).expect("copied");
    }
}

#[tokio::test]
async fn what_append_returned_survives_a_power_cut() {
    let dir = tempfile::tempdir().expect("a folder");
    let (path, after) = (dir.path().join("fleet.db"), dir.path().join("after.db"));
    let journal = open(&path).await;
    journal.append(&[accepted(&id(), &plan("spring", &["x"]), at(0))]).await.expect("written");
    let drafts = journey(&id(), "x", 10);
    journal.append(&drafts[..10]).await.expect("written");
    cut_the_power(&path, &after);
    let before = journal.events(&id(), 0, 100).await.expect("events");
    assert_eq!(before.len(), 11);

    // A reader that comes first finds everything, and so does the next writer, who goes on.
    let reader = SqliteReader::open(&after).await.expect("readable");
    assert_eq!(reader.page(&id(), 0, 100).await.expect("events"), before);
    reader.close().await;
    let next = open(&after).await;
    let run = next.reader().run(&id()).await.expect("folds").expect("there");
    assert!(run.appliances[&name("x")].open.is_some(), "the upgrade's intent is on record");
    let events = next.append(&drafts[10..]).await.expect("goes on");
    assert_eq!(events[0].seq, 12);
    assert!(next.reader().check().await.expect("checked").is_sound());
}

#[tokio::test]
async fn reopened_it_knows_what_may_happen() {
    let dir = tempfile::tempdir().expect("a folder");
    let path = dir.path().join("fleet.db");
    let journal = open(&path).await;
    journal.append(&[accepted(&id(), &plan("spring", &["x"]), at(0))]).await.expect("written");
    let drafts = journey(&id(), "x", 10);
    journal.append(&drafts[..9]).await.expect("written");
    journal.close().await;

    let journal = open(&path).await;
    let again = drafts[7].clone();
    assert!(journal.append(&[again]).await.expect_err("activating, not ready").illegal);
    journal.append(&drafts[9..]).await.expect("goes on");
    journal.close().await;

    // Nothing but the database and its lock is left when it is closed in good order.
    let mut files: Vec<String> = fs::read_dir(dir.path())
        .expect("a folder")
        .map(|entry| entry.expect("an entry").file_name().into_string().expect("text"))
        .collect();
    files.sort();
    assert_eq!(files, ["fleet.db", "fleet.db.lock"]);
}

#[tokio::test]
async fn a_full_disk_stops_nothing_but_the_append() {
    let dir = tempfile::tempdir().expect("a folder");
    let path = dir.path().join("fleet.db");
    let options = OpenOptions { page_limit: Some(60), ..OpenOptions::or_create(holder()) };
    let journal = SqliteJournal::open(&path, options).await.expect("opens");
    journal.append(&[accepted(&id(), &plan("spring", &["x", "y"]), at(0))]).await.expect("fits");
    let saw = ApplianceChange::SetAside { error: "e".repeat(20_000), retry_at: at(9) };
    let mut written = 0;
    let error = loop {
        match journal.append(&[member(&id(), at(1), "x", saw.clone())]).await {
            Ok(_) => written += 1,
            Err(error) => break error,
        }
        assert!(written < 60, "the limit holds");
    };
    assert!(!error.illegal, "{error}");
    assert!(error.to_string().contains("the disk is full"), "{error}");
    assert!(written > 0);

    // Reads go on; what failed left no trace, here or in the fold.
    let events = journal.events(&id(), 0, 100).await.expect("events");
    assert_eq!(events.len(), 1 + written);
    assert!(journal.append(&[member(&id(), at(1), "x", saw)]).await.is_err());
    let small = member(&id(), at(2), "y", ApplianceChange::StepStarted(Step::Preflight));
    let event = journal.append(&[small]).await.expect("a small one fits");
    assert_eq!(event[0].seq, 2 + written as u64);
    assert!(journal.reader().check().await.expect("checked").is_sound());
    journal.close().await;

    // With room again it goes on.
    let journal = open(&path).await;
    let run = journal.reader().run(&id()).await.expect("folds").expect("there");
    assert_eq!(run.appliances[&name("y")].phase, Phase::Preflight);
    journal.append(&[member(&id(), at(3), "y", failed(Step::Preflight))]).await.expect("room");
}

#[tokio::test]
async fn a_batch_that_fails_in_a_group_fails_alone() {
    let dir = tempfile::tempdir().expect("a folder");
    let journal = open(&dir.path().join("fleet.db")).await;
    journal.append(&[accepted(&id(), &plan("spring", &["x", "y"]), at(0))]).await.expect("ok");
    // All three wait while the first is taken, so the last two share a transaction.
    let bad = [
        member(&id(), at(1), "y", ApplianceChange::StepStarted(Step::Preflight)),
        member(&id(), at(1), "y", ApplianceChange::Armed),
    ];
    let (one, two, three) = ([progress(&id(), 1, "x", 1)], bad, [progress(&id(), 1, "x", 2)]);
    let (one, two, three) =
        tokio::join!(journal.append(&one), journal.append(&two), journal.append(&three));
    assert_eq!(one.expect("written")[0].seq, 2);
    assert!(two.expect_err("not armed").illegal);
    assert_eq!(three.expect("written")[0].seq, 3);
    let run = journal.reader().snapshot(&id()).await.expect("read").expect("there");
    assert_eq!(run.appliances[&name("y")].phase, Phase::Pending);
    assert!(journal.reader().check().await.expect("checked").is_sound());
}

#[tokio::test]
async fn dropped_it_still_writes_what_was_asked_for_and_gives_the_lock_free() {
    let dir = tempfile::tempdir().expect("a folder");
    let path = dir.path().join("fleet.db");
    let journal = open(&path).await;
    let batch = [accepted(&id(), &plan("spring", &["x"]), at(0))];
    {
        let mut append = journal.append(&batch);
        assert!(futures::poll!(&mut append).is_pending(), "handed over, not awaited");
    }
    drop(journal);
    let next = loop {
        match SqliteJournal::open(&path, OpenOptions::existing(holder())).await {
            Ok(journal) => break journal,
            Err(state::Error::InUse { .. }) => tokio::task::yield_now().await,
            Err(error) => panic!("{error}"),
        }
    };
    assert_eq!(next.events(&id(), 0, 9).await.expect("events").len(), 1);
}

#[tokio::test]
async fn rows_of_another_version_are_folded_anew() {
    use sqlx::{ConnectOptions, Connection};
    let dir = tempfile::tempdir().expect("a folder");
    let path = dir.path().join("fleet.db");
    let journal = open(&path).await;
    journal.append(&[accepted(&id(), &plan("spring", &["x", "y"]), at(0))]).await.expect("ok");
    journal.append(&journey(&id(), "x", 10)).await.expect("written");
    let before = journal.reader().run(&id()).await.expect("folds").expect("there");
    journal.close().await;

    let mut other = sqlx::sqlite::SqliteConnectOptions::new()
        .filename(&path)
        .connect()
        .await
        .expect("connected");
    sqlx::raw_sql("UPDATE rollouts SET folded_by = '0.0.9'; UPDATE appliances SET record = '{}'")
        .execute(&mut other)
        .await
        .expect("changed");
    other.close().await.expect("closed");

    let reader = SqliteReader::open(&path).await.expect("readable");
    assert_eq!(reader.snapshot(&id()).await.expect("read"), Some(before.clone()));
    let rows = reader.status(&id()).await.expect("read").expect("there");
    assert_eq!(rows, state::RolloutStatusRows::of(&before));
    reader.close().await;

    // The first write puts every row of that rollout anew, also those it does not touch.
    let journal = open(&path).await;
    journal.append(&[progress(&id(), 500, "y", 1)]).await.expect("written");
    let report = journal.reader().check().await.expect("checked");
    assert_eq!(report.problems, Vec::<String>::new());
    let rows = journal.reader().status(&id()).await.expect("read").expect("there");
    assert_eq!(rows.appliances[0].phase, Phase::Succeeded);
}

#[tokio::test]
async fn the_fold_of_the_tables_is_the_fold_of_the_log() {
    let dir = tempfile::tempdir().expect("a folder");
    let journal = open(&dir.path().join("fleet.db")).await;
    journal.append(&[accepted(&id(), &plan("spring", &["x", "y"]), at(0))]).await.expect("ok");
    let mut drafts = journey(&id(), "x", 10);
    drafts.push(member(&id(), at(300), "by-1", ApplianceChange::Unreachable));
    drafts.push(member(&id(), at(301), "y", failed(Step::Preflight)));
    let breach = RolloutChange::BudgetReached { failures: 1, limit: 1, abort: false };
    drafts.push(rollout(&id(), at(302), breach));
    let reader = journal.reader();
    for draft in drafts {
        journal.append(&[draft]).await.expect("written");
        let snapshot = reader.snapshot(&id()).await.expect("read").expect("there");
        let events = journal.events(&id(), 0, 100).await.expect("events");
        assert_eq!(Some(&snapshot), Run::fold(&events).expect("legal").as_ref());
    }
    assert_eq!(reader.status(&RolloutId::new("none")).await.expect("read"), None);
    assert_eq!(reader.snapshot(&RolloutId::new("none")).await.expect("read"), None);
    assert_eq!(reader.run(&RolloutId::new("none")).await.expect("read"), None);
}
