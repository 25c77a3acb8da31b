//! The journal on disk against the one in memory, and against what disks and people do.

/// Runs tests on both journals. The one on disk must afterwards hold what follows from its log.
macro_rules! both {
    ($($test:ident),+ $(,)?) => {
        mod memory {
            $(#[tokio::test]
            async fn $test() {
                super::$test(&model::memory::MemoryJournal::default()).await;
            })+
        }
        mod sqlite {
            $(#[tokio::test]
            async fn $test() {
                let dir = tempfile::tempdir().expect("a folder");
                let journal = crate::sample::open(&dir.path().join("fleet.db")).await;
                super::$test(&journal).await;
                let report = journal.reader().check().await.expect("checked");
                assert_eq!(report.problems, Vec::<String>::new());
                journal.close().await;
            })+
        }
    };
}

mod conformance;
mod files;
mod groups;
mod history;
mod reads;
mod sample;
mod storage;
mod writes;
