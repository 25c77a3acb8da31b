//! Fetch jobs from start to removal.

use model::digest::Sha256Hex;
use model::failure::FailureClass;
use model::names::FetchKey;
use model::observed::FetchStatus;

use super::{Stage, Subject, VERSION, class, quick, ready};
use crate::faults::{Behaviour, FaultPlan};

pub(super) async fn all(stage: &dyn Stage) {
    whole_way(stage).await;
    cancel_and_queue(stage).await;
    failures(stage).await;
}

async fn start(it: &Subject) -> FetchKey {
    it.port.start_fetch(&it.url, &it.sha256).await.expect("a job")
}

async fn whole_way(stage: &dyn Stage) {
    let it = ready(stage, quick(), FaultPlan::default()).await;
    let key = start(&it).await;
    let listed = it.port.fetch_jobs().await.expect("jobs");
    assert_eq!(listed.iter().map(|job| &job.key).collect::<Vec<_>>(), [&key]);
    assert!(listed.iter().all(|job| job.url == it.url));
    let job = it.job_ended(&key).await;
    assert_eq!(job.status, FetchStatus::Finished);
    assert_eq!((job.downloaded, job.total), (it.image.size, it.image.size));
    assert_eq!(job.error, None);
    let slot = it.port.slot(&job.slot.expect("a slot")).await.expect("a slot");
    assert_eq!(slot.content.map(|content| content.version).as_deref(), Some(VERSION));
    it.port.delete_fetch(&key).await.expect("one delete removes an ended job");
    assert_eq!(it.port.fetch_job(&key).await, Ok(None));
    it.port.delete_fetch(&key).await.expect("a record that is not there is success");
}

async fn cancel_and_queue(stage: &dyn Stage) {
    let mut spec = quick();
    spec.timings.fetch_bytes_per_second = 10_000;
    let it = ready(stage, spec, FaultPlan::default()).await;
    let (first, second) = (start(&it).await, start(&it).await);
    for _ in 0..100 {
        if it.job(&first).await.total > 0 {
            break;
        }
        it.sleep(50).await;
    }
    let (running, queued) = (it.job(&first).await, it.job(&second).await);
    assert_eq!(running.status, FetchStatus::InProgress);
    assert_eq!(running.info.as_deref(), Some("Downloading"));
    assert_eq!(running.total, it.image.size);
    assert_eq!((queued.status, queued.total), (FetchStatus::Queued, 0));
    it.port.delete_fetch(&second).await.expect("cancelled");
    it.port.delete_fetch(&first).await.expect("cancelled");
    for key in [&first, &second] {
        assert_eq!(it.job(key).await.status, FetchStatus::Cancelled, "the record stays");
        it.port.delete_fetch(key).await.expect("removed");
        assert_eq!(it.port.fetch_job(key).await, Ok(None));
    }
    let slots = it.port.slots().await.expect("slots");
    assert!(super::holding(&slots, VERSION).is_empty(), "a partial download fills nothing");
}

async fn failures(stage: &dyn Stage) {
    let it = ready(stage, quick(), FaultPlan::default()).await;
    let other = Sha256Hex::of(b"something else");
    let key = it.port.start_fetch(&it.url, &other).await.expect("a job");
    let job = it.job_ended(&key).await;
    assert_eq!(job.status, FetchStatus::Failed);
    assert!(job.error.is_some_and(|error| error.contains("checksum")));
    assert_eq!(job.slot, None);

    let plan = FaultPlan::default().where_("*", Behaviour::FetchFails { times: 1, error: None });
    let it = ready(stage, quick(), plan).await;
    let key = start(&it).await;
    let job = it.job_ended(&key).await;
    assert_eq!((job.status, job.total), (FetchStatus::Failed, 0));
    assert_eq!(job.info.as_deref(), Some("Firmware fetching failed"));
    it.staged().await;

    let plan = FaultPlan::default().where_("*", Behaviour::FetchStuck { times: 1 });
    let it = ready(stage, quick(), plan).await;
    let key = start(&it).await;
    let before = it.job(&key).await;
    it.sleep(2000).await;
    assert_eq!(it.job(&key).await, before, "a stuck job does not move");
    assert!(before.status.is_live());

    let unknown = FetchKey::new("00000000-0000-4000-a000-000000000000");
    assert_eq!(it.port.fetch_job(&unknown).await, Ok(None));
    let full =
        FaultPlan::default().where_("*", Behaviour::SlotsFull { version: "7.4.0".to_owned() });
    let it = ready(stage, quick(), full).await;
    let key = start(&it).await;
    assert_eq!(it.job_ended(&key).await.status, FetchStatus::Failed);
    let slot = model::names::SlotKey::new("9");
    assert_eq!(class(it.port.delete_slot(&slot).await), FailureClass::Refused);
}
