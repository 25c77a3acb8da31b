//! What goes wrong on the way, by class; and that nothing is repeated.

use std::time::Duration;

use jiff::SignedDuration;
use model::failure::FailureClass;
use model::observed::SetupStatus;

use super::{LIMIT, Stage, Subject, class, quick, ready};
use crate::faults::{Fault, FaultPlan, FaultRule};

pub(super) async fn all(stage: &dyn Stage) {
    reads(stage).await;
    slow_reads(stage).await;
    changes(stage).await;
    refusals(stage).await;
    silence(stage).await;
    no_power(stage).await;
}

const SLOTS: &str = "GET /api/firmware/slots";
const UPGRADE: &str = "POST /api/firmware/upgrade";

async fn with(stage: &dyn Stage, on: &str, fault: Fault) -> Subject {
    ready(stage, quick(), FaultPlan::default().with(FaultRule::once(on, fault))).await
}

fn html(code: u16) -> Fault {
    Fault::Html { code, acts: false }
}

fn body(text: &str) -> Fault {
    Fault::Body { code: 200, text: text.to_owned(), acts: false }
}

async fn reads(stage: &dyn Stage) {
    let later = Fault::Status {
        code: 503,
        r#type: None,
        message: None,
        retry_after: Some(3600),
        acts: false,
    };
    let envelope = r#"{"error": {"type": "SomethingElse", "message": "no"}}"#;
    let cases = [
        (Fault::status(503), FailureClass::Transient),
        (Fault::status(500), FailureClass::Transient),
        (Fault::status(429), FailureClass::Transient),
        (later, FailureClass::Transient),
        (Fault::Reset, FailureClass::Transient),
        (Fault::ReplyLost, FailureClass::Transient),
        (Fault::Truncate { after: 20 }, FailureClass::Transient),
        (html(200), FailureClass::NotAnApi),
        (Fault::Booting, FailureClass::NotAnApi),
        (body("{}"), FailureClass::Malformed),
        (body(envelope), FailureClass::Refused),
    ];
    for (fault, expected) in cases {
        let it = with(stage, SLOTS, fault.clone()).await;
        it.port.info().await.expect("info");
        let error = it.port.slots().await.expect_err("a fault");
        assert_eq!(error.class, expected, "{fault:?}: {error}");
        assert_eq!(it.count(SLOTS), 1, "the client repeats nothing by itself: {fault:?}");
        if let Fault::Status { code, retry_after, .. } = &fault {
            assert_eq!(error.status, Some(*code));
            let clamped = retry_after.map(|_| Duration::from_secs(60));
            assert_eq!(error.retry_after, clamped);
        }
        assert!(it.port.slots().await.is_ok(), "the fault is over: {fault:?}");
    }
    let it = with(stage, "GET /api/setup", Fault::Booting).await;
    assert_eq!(it.port.setup().await, Ok(SetupStatus::Booting));
    let it = with(stage, "GET /api/setup", body(r#"{"status": "uninitialized"}"#)).await;
    let status = it.port.setup().await;
    assert!(
        matches!(status, Ok(SetupStatus::Uninitialized)) || status.is_err(),
        "an appliance that was never set up is not ready: {status:?}"
    );
}

async fn slow_reads(stage: &dyn Stage) {
    let delay = Fault::Delay { r#for: SignedDuration::from_millis(300) };
    for fault in [delay, Fault::Slow { bytes_per_second: 5000 }] {
        let it = with(stage, SLOTS, fault.clone()).await;
        assert!(it.port.slots().await.is_ok(), "slow is not wrong: {fault:?}");
    }
}

/// A change whose fate is not known is never sent again by the client.
async fn changes(stage: &dyn Stage) {
    let acts_then_502 =
        Fault::Status { code: 502, r#type: None, message: None, retry_after: None, acts: true };
    let cases = [
        (Fault::ReplyLost, 1),
        (Fault::Truncate { after: 10 }, 1),
        (acts_then_502, 1),
        (Fault::Html { code: 200, acts: true }, 1),
        (Fault::Reset, 0),
        (html(200), 0),
        (Fault::status(503), 0),
    ];
    for (fault, acted) in cases {
        let it = with(stage, UPGRADE, fault.clone()).await;
        let slot = it.staged().await;
        let error = it.port.upgrade(&slot, "CHG1", LIMIT).await.expect_err("a fault");
        assert_eq!(error.class, FailureClass::OutcomeUnknown, "{fault:?}: {error}");
        assert_eq!((it.count(UPGRADE), it.changes(UPGRADE)), (1, acted), "{fault:?}");
    }
    let it = with(stage, "POST /api/firmware/fetch", Fault::ReplyLost).await;
    let answer = it.port.start_fetch(&it.url, &it.sha256).await;
    assert_eq!(class(answer), FailureClass::OutcomeUnknown);
    let jobs = it.port.fetch_jobs().await.expect("jobs");
    assert_eq!(jobs.len(), 1, "it was done all the same");
    let it = with(stage, "DELETE /api/firmware/slots/{key}", Fault::ReplyLost).await;
    let slot = it.staged().await;
    assert_eq!(class(it.port.delete_slot(&slot).await), FailureClass::OutcomeUnknown);
    let it = with(stage, "POST /api/firmware/test", Fault::Reset).await;
    let slot = it.staged().await;
    let broken = it.port.test(&slot, LIMIT).await;
    assert_eq!(class(broken), FailureClass::Transient, "a test changes nothing");
}

async fn refusals(stage: &dyn Stage) {
    let refusal = |code, kind: &str| Fault::Status {
        code,
        r#type: Some(kind.to_owned()),
        message: Some("in its own words".to_owned()),
        retry_after: None,
        acts: false,
    };
    for (code, kind) in [
        (403, "Unauthorized"),
        (400, "IncompleteRequestBodyError"),
        (400, "UpgradeMessageMissing"),
        (404, "ResourceNotFound"),
        (409, "NeverHeardOf"),
        (423, "ConfigurationLocked"),
    ] {
        let it = with(stage, UPGRADE, refusal(code, kind)).await;
        let slot = it.staged().await;
        let error = it.port.upgrade(&slot, "CHG1", LIMIT).await.expect_err("a refusal");
        assert_eq!(error.class, FailureClass::Refused, "{code} {kind}: {error}");
        assert_eq!(error.error_type.as_deref(), Some(kind));
        assert_eq!(error.status, Some(code));
        assert!(error.to_string().contains("in its own words"), "{error}");
        assert_eq!(it.count(UPGRADE), 1);
    }
    // The type decides before the status does.
    let it = with(stage, UPGRADE, refusal(500, "FirmwareTestFailed")).await;
    let slot = it.staged().await;
    let answer = it.port.upgrade(&slot, "CHG1", LIMIT).await;
    assert_eq!(class(answer), FailureClass::TestFailed);
}

/// Limits of test and upgrade are kept; an upgrade that was not answered in time is unknown.
async fn silence(stage: &dyn Stage) {
    let hang = |acts| Fault::Hang { r#for: SignedDuration::from_secs(3600), acts };
    let short = Duration::from_secs(1);
    let it = with(stage, "POST /api/firmware/test", hang(false)).await;
    let slot = it.staged().await;
    let before = it.clock.monotonic();
    assert_eq!(class(it.port.test(&slot, short).await), FailureClass::Transient);
    assert!(it.clock.monotonic() - before < Duration::from_secs(10));
    let it = with(stage, UPGRADE, hang(true)).await;
    let slot = it.staged().await;
    let answer = it.port.upgrade(&slot, "CHG1", short).await;
    assert_eq!(class(answer), FailureClass::OutcomeUnknown);
    assert_eq!(it.changes(UPGRADE), 1);
}

async fn no_power(stage: &dyn Stage) {
    let it = ready(stage, quick(), FaultPlan::default()).await;
    let slot = it.staged().await;
    it.sim.power_off();
    // A server needs a moment to stop listening.
    for _ in 0..100 {
        if it.port.setup().await.is_err_and(|error| error.class == FailureClass::Unreachable) {
            break;
        }
        it.sleep(20).await;
    }
    assert_eq!(class(it.port.setup().await), FailureClass::Unreachable);
    assert_eq!(class(it.port.slots().await), FailureClass::Unreachable);
    let answer = it.port.upgrade(&slot, "CHG1", LIMIT).await;
    assert_eq!(class(answer), FailureClass::Unreachable, "it did not reach the appliance");
    assert_eq!(it.count(UPGRADE), 0);
    it.sim.power_on();
    it.returned().await;
    assert_eq!(it.version().await, "7.5.0");
}
