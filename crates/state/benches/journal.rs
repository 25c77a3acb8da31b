//! How many events a second are durable with `synchronous=FULL`, and how long a large memory
//! takes to open.

#[path = "../tests/it/sample.rs"]
#[expect(dead_code, reason = "shared with the tests, which use all of it")]
mod sample;

use std::path::PathBuf;

use divan::Bencher;
use divan::counter::ItemsCount;
use model::RolloutId;
use model::event::Draft;
use model::ports::Journal;
use sample::{accepted, at, journey, open, plan, progress};
use state::{SqliteJournal, SqliteReader};
use tokio::runtime::Runtime;

fn main() {
    divan::main();
}

fn id() -> RolloutId {
    RolloutId::new("0b5c2d8e-bench")
}

fn names(count: usize) -> Vec<String> {
    (0..count).map(|number| format!("sps-{number:05}")).collect()
}

/// A journal with one rollout of so many appliances, beside the target folder so that it is on
/// a real disk.
fn journal(runtime: &Runtime, members: &[String]) -> (tempfile::TempDir, PathBuf, SqliteJournal) {
    let dir = tempfile::tempdir_in(env!("CARGO_MANIFEST_DIR")).expect("a folder");
    let path = dir.path().join("fleet.db");
    let names: Vec<&str> = members.iter().map(String::as_str).collect();
    let journal = runtime.block_on(async {
        let journal = open(&path).await;
        journal.append(&[accepted(&id(), &plan("bench", &names), at(0))]).await.expect("begun");
        journal
    });
    (dir, path, journal)
}

fn runtime() -> Runtime {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("a runtime")
}

/// One appender, batches of so many events.
#[divan::bench(args = [1, 16, 256])]
fn durable_events_in_batches_of(bencher: Bencher, size: usize) {
    let runtime = runtime();
    let members = names(1000);
    let (_dir, _, journal) = journal(&runtime, &members);
    let batch: Vec<Draft> =
        (0..size).map(|n| progress(&id(), 1, &members[n % members.len()], n as u64)).collect();
    bencher.counter(ItemsCount::new(size)).bench_local(|| {
        runtime.block_on(journal.append(&batch)).expect("durable");
    });
}

/// So many appenders at once, ten single events each, one after the other.
#[divan::bench(args = [1, 8, 64, 512])]
fn durable_events_of_concurrent_appenders(bencher: Bencher, appenders: usize) {
    const EACH: usize = 10;
    let runtime = runtime();
    let members = names(1000);
    let (_dir, _, journal) = journal(&runtime, &members);
    let journal = std::sync::Arc::new(journal);
    bencher.counter(ItemsCount::new(appenders * EACH)).bench_local(|| {
        runtime.block_on(async {
            let mut tasks = tokio::task::JoinSet::new();
            for number in 0..appenders {
                let draft = progress(&id(), 1, &members[number % members.len()], 1);
                let journal = std::sync::Arc::clone(&journal);
                tasks.spawn(async move {
                    for _ in 0..EACH {
                        journal.append(std::slice::from_ref(&draft)).await.expect("durable");
                    }
                });
            }
            tasks.join_all().await
        });
    });
}

/// A journal of 10,000 appliances half way, and of 10,000 that are done.
fn large(runtime: &Runtime) -> (tempfile::TempDir, PathBuf) {
    let members = names(10_000);
    let (dir, path, journal) = journal(runtime, &members);
    runtime.block_on(async {
        for hundred in members.chunks(100) {
            let batch: Vec<Draft> =
                hundred.iter().flat_map(|name| journey(&id(), name, 10)).collect();
            journal.append(&batch).await.expect("written");
        }
        journal.close().await;
    });
    (dir, path)
}

/// Opening for writing folds the log of every rollout that has not ended: 150,001 events.
#[divan::bench(sample_count = 5)]
fn open_with_10_000_appliances(bencher: Bencher) {
    let runtime = runtime();
    let (_dir, path) = large(&runtime);
    bencher.bench_local(|| {
        runtime.block_on(async { open(&path).await.close().await });
    });
}

/// The status of the same rollout, from the tables.
#[divan::bench(sample_count = 5)]
fn status_of_10_000_appliances(bencher: Bencher) {
    let runtime = runtime();
    let (_dir, path) = large(&runtime);
    let reader = runtime.block_on(SqliteReader::open(&path)).expect("opens");
    bencher.bench_local(|| {
        let run = runtime.block_on(reader.snapshot(&id())).expect("read").expect("there");
        assert_eq!(run.appliances.len(), 10_000);
    });
}

/// A check of the same file: everything is read, folded and compared.
#[divan::bench(sample_count = 3)]
fn check_of_10_000_appliances(bencher: Bencher) {
    let runtime = runtime();
    let (_dir, path) = large(&runtime);
    let reader = runtime.block_on(SqliteReader::open(&path)).expect("opens");
    bencher.bench_local(|| {
        let report = runtime.block_on(reader.check()).expect("checked");
        assert!(report.is_sound());
    });
}
