//! A database of every schema there has been is kept in `tests/data`. Each is brought up to date,
//! folds, passes the check, and goes on.

use std::path::{Path, PathBuf};

use model::RolloutId;
use model::event::{ApplianceChange, Step};
use model::ports::Journal;
use model::run::Phase;
use state::{OpenOptions, SqliteJournal, SqliteReader};

use crate::sample::{accepted, at, decided, failed, holder, journey, member, name, open, plan};

fn data() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data")
}

fn first() -> RolloutId {
    RolloutId::new("018f2a10-0000-7000-8000-000000000001")
}

fn second() -> RolloutId {
    RolloutId::new("018f2a10-0000-7000-8000-000000000002")
}

/// How many events the kept database of each schema holds.
const EVENTS: u64 = 46;

#[tokio::test]
async fn a_database_of_every_schema_is_taken_up() {
    let mut seen = 0;
    for schema in 1.. {
        let kept = data().join(format!("v{schema}.db"));
        if !kept.exists() {
            break;
        }
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("fleet.db");
        std::fs::copy(&kept, &path).expect("copied");
        let journal = SqliteJournal::open(&path, OpenOptions::existing(holder())).await;
        let journal = journal.unwrap_or_else(|error| panic!("v{schema}: {error}"));
        let report = journal.reader().check().await.expect("checked");
        assert_eq!((report.events, report.rollouts), (EVENTS, 2), "v{schema}");
        assert_eq!(report.problems, Vec::<String>::new(), "v{schema}");

        let done = journal.reader().run(&first()).await.expect("folds").expect("there");
        assert!(done.has_ended(), "v{schema}");
        let run = journal.reader().run(&second()).await.expect("folds").expect("there");
        let phase = |of: &str| run.appliances[&name(of)].phase;
        assert_eq!(phase("a"), Phase::Succeeded, "v{schema}");
        assert_eq!(phase("b"), Phase::Activating, "v{schema}");
        assert!(run.appliances[&name("b")].open.is_some(), "v{schema}: its intent is open");
        assert_eq!(phase("c"), Phase::Failed, "v{schema}");
        assert_eq!(phase("d"), Phase::Pending, "v{schema}");
        assert!(run.pause.is_some(), "v{schema}");
        let hostnames = journal.hostnames().await.expect("host names");
        let known: Vec<_> =
            hostnames.iter().map(|(of, said)| (of.as_str(), said.as_str())).collect();
        assert_eq!(known, [("a", "a"), ("b", "b")], "v{schema}");

        let goes_on =
            member(&second(), at(9_000), "d", ApplianceChange::StepStarted(Step::Preflight));
        let event = journal.append(&[goes_on]).await.expect("goes on");
        assert_eq!(event[0].seq, EVENTS + 1, "v{schema}");
        journal.close().await;
        seen = schema;
    }
    assert_eq!(
        seen,
        migrations(),
        "each schema keeps a database; see `the_present_schema_is_kept`"
    );
}

/// How many migrations there are: each makes a schema.
fn migrations() -> usize {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../migrations");
    let files = std::fs::read_dir(folder).expect("a folder").filter_map(Result::ok);
    files.filter(|file| file.path().extension().is_some_and(|ending| ending == "sql")).count()
}

/// A new schema has no database yet: it is made here, to be committed.
#[tokio::test]
async fn the_present_schema_is_kept() {
    let kept = data().join(format!("v{}.db", migrations()));
    if kept.exists() {
        return;
    }
    let dir = tempfile::tempdir().expect("a folder");
    let path = dir.path().join("fleet.db");
    let journal = open(&path).await;
    let whole = plan("spring", &["a"]);
    journal.append(&[accepted(&first(), &whole, at(0))]).await.expect("begun");
    journal.append(&journey(&first(), "a", 10)).await.expect("written");
    let ended = model::event::RolloutChange::Finished;
    journal.append(&[crate::sample::rollout(&first(), at(900), ended)]).await.expect("ended");
    let half = plan("autumn", &["a", "b", "c", "d"]);
    journal.append(&[accepted(&second(), &half, at(1_000))]).await.expect("begun");
    journal.append(&journey(&second(), "a", 1_010)).await.expect("written");
    let open_intent = journey(&second(), "b", 1_500);
    let until = open_intent
        .iter()
        .position(|draft| format!("{:?}", draft.change).contains("Intended(Upgrade"))
        .expect("an upgrade");
    journal.append(&open_intent[..=until]).await.expect("written");
    let step = |at_, change| member(&second(), at(at_), "c", change);
    let began = step(2_000, ApplianceChange::StepStarted(Step::Preflight));
    journal.append(&[began]).await.expect("written");
    journal
        .append(&[member(&second(), at(2_010), "c", failed(Step::Preflight))])
        .await
        .expect("ok");
    let pause = model::decision::Decision::Pause { all: false, now: false };
    journal.append(&[decided(&second(), at(2_020), pause)]).await.expect("paused");
    journal.close().await;
    let reader = SqliteReader::open(&path).await.expect("readable");
    assert!(reader.check().await.expect("checked").is_sound());
    reader.backup(&kept).await.expect("kept, and never overwritten");
    panic!("{} was not there and has been made: commit it", kept.display());
}
