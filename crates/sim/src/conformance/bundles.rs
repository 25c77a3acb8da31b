//! Support bundles, and the certificate that was seen.

use std::time::Duration;

use model::failure::FailureClass;

use super::{Stage, class, quick, ready};
use crate::faults::{Fault, FaultPlan, FaultRule};

pub(super) async fn all(stage: &dyn Stage) {
    leaf(stage).await;
    bundle(stage).await;
    too_big(stage).await;
    cut_off(stage).await;
}

async fn leaf(stage: &dyn Stage) {
    let it = ready(stage, quick(), FaultPlan::default()).await;
    assert_eq!(it.port.leaf(), None, "there was no connection yet");
    it.port.info().await.expect("info");
    assert_eq!(it.port.leaf().as_ref(), Some(&it.leaf));
}

async fn bundle(stage: &dyn Stage) {
    let mut spec = quick();
    spec.quirks.bundle_takes = Duration::from_millis(100);
    let it = ready(stage, spec, FaultPlan::default()).await;
    let key = it.port.start_bundle().await.expect("a bundle is begun");
    for _ in 0..200 {
        if it.port.bundle_is_ready(&key).await.expect("an answer") {
            break;
        }
        it.sleep(20).await;
    }
    let file = it.dir.join("bundle");
    let size = it.port.download_bundle(&key, &file, 1_000_000).await.expect("it is downloaded");
    let kept = std::fs::read(&file).expect("a file");
    assert!(size > 0 && size == kept.len() as u64);
    std::fs::remove_file(&file).expect("it is removed");
    it.port.delete_bundle(&key).await.expect("it is deleted");
    it.port.delete_bundle(&key).await.expect("what is gone is deleted");
    let gone = it.port.download_bundle(&key, &file, 1_000_000).await;
    assert_eq!(class(gone), FailureClass::Refused);
    assert!(!file.exists(), "nothing is left of it");
    assert_eq!(it.count("POST /api/troubleshooting/support-bundle"), 1);
}

async fn too_big(stage: &dyn Stage) {
    let mut spec = quick();
    spec.quirks.bundle_takes = Duration::ZERO;
    spec.quirks.bundle_bytes = 300_000;
    let it = ready(stage, spec, FaultPlan::default()).await;
    let key = it.port.start_bundle().await.expect("a bundle is begun");
    let file = it.dir.join("big-bundle");
    assert_eq!(class(it.port.download_bundle(&key, &file, 100_000).await), FailureClass::Local);
    assert!(!file.exists(), "nothing is left of it");
    let size =
        it.port.download_bundle(&key, &file, 300_000).await.expect("it is just small enough");
    assert_eq!(size, 300_000);
    std::fs::remove_file(&file).expect("it is removed");
}

async fn cut_off(stage: &dyn Stage) {
    let mut spec = quick();
    spec.quirks.bundle_takes = Duration::ZERO;
    let download = "GET /api/troubleshooting/support-bundle/{key}/download";
    let cut = FaultRule::once(download, Fault::Truncate { after: 10 });
    let it = ready(stage, spec, FaultPlan::default().with(cut)).await;
    let key = it.port.start_bundle().await.expect("a bundle is begun");
    let file = it.dir.join("cut-bundle");
    assert_eq!(class(it.port.download_bundle(&key, &file, 100_000).await), FailureClass::Transient);
    assert!(!file.exists(), "nothing is left of it");
}
