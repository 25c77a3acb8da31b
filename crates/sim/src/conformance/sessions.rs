//! Logins, sessions, the gate and the throttle.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures::future::BoxFuture;
use model::failure::FailureClass;
use model::names::{ApplianceName, CredentialId};
use model::ports::{Fingerprint, LoginAttempt, LoginGate, Throttle, Withheld};

use super::{Stage, Surroundings, class, quick, ready};
use crate::faults::{AdminAct, Behaviour, CertificateWhen, FaultPlan};

pub(super) async fn all(stage: &dyn Stage) {
    one_login_for_many(stage).await;
    a_lost_session(stage).await;
    an_idle_session(stage).await;
    a_sliding_cookie(stage).await;
    a_wrong_password(stage).await;
    the_gate(stage).await;
    the_throttle(stage).await;
    a_wrong_certificate(stage).await;
}

const LOGIN: &str = "GET /api/authentication";

async fn one_login_for_many(stage: &dyn Stage) {
    let it = ready(stage, quick(), FaultPlan::default()).await;
    let (a, b, c, d) =
        tokio::join!(it.port.slots(), it.port.info(), it.port.health(), it.port.fetch_jobs());
    assert!(a.is_ok() && b.is_ok() && c.is_ok() && d.is_ok());
    assert_eq!(it.count(LOGIN), 1, "concurrent callers share one login");
}

async fn a_lost_session(stage: &dyn Stage) {
    let it = ready(stage, quick(), FaultPlan::default()).await;
    let slot = it.staged().await;
    assert_eq!(it.count(LOGIN), 1);
    it.sim.admin(&AdminAct::EndSessions {});
    assert!(it.port.slots().await.is_ok(), "a read is repeated after a new login");
    assert_eq!(it.count(LOGIN), 2);
    it.sim.admin(&AdminAct::EndSessions {});
    let info = it.port.info().await.expect("info");
    assert_eq!(info.firmware_version.to_string(), "7.5.0", "never an answer without version");
    assert_eq!(it.count(LOGIN), 3);
    it.sim.admin(&AdminAct::EndSessions {});
    let refused = it.port.delete_slot(&slot).await;
    assert_eq!(class(refused), FailureClass::LoggedOut, "a change is not repeated");
    assert_eq!(it.count("DELETE /api/firmware/slots/{key}"), 1);
    it.port.delete_slot(&slot).await.expect("the next call has a new session");
}

async fn an_idle_session(stage: &dyn Stage) {
    let mut spec = quick();
    spec.quirks.session_idle = Duration::from_secs(2);
    let it = ready(stage, spec, FaultPlan::default()).await;
    assert!(it.port.slots().await.is_ok());
    it.sleep(2500).await;
    assert!(it.port.slots().await.is_ok());
    assert_eq!(it.count(LOGIN), 2);
}

async fn a_sliding_cookie(stage: &dyn Stage) {
    let mut spec = quick();
    spec.quirks.sliding_cookie = true;
    let it = ready(stage, spec, FaultPlan::default()).await;
    for _ in 0..3 {
        assert!(it.port.slots().await.is_ok());
        it.sim.keep_newest_session();
    }
    assert_eq!(it.count(LOGIN), 1, "a newer cookie is taken");
}

async fn a_wrong_password(stage: &dyn Stage) {
    let surroundings = Surroundings { wrong_password: true, ..Surroundings::default() };
    let it = stage.subject(quick(), FaultPlan::default(), surroundings).await;
    let error = it.port.info().await.expect_err("it is refused");
    assert_eq!(error.class, FailureClass::CredentialsRefused);
    assert_eq!(error.status, Some(401));
    assert_eq!(it.count(LOGIN), 1, "a refused password is not sent again by the client itself");
    assert!(it.port.setup().await.is_ok(), "what needs no login still works");
}

struct Shut;

impl LoginGate for Shut {
    fn admit<'a>(
        &'a self,
        _: &'a ApplianceName,
        _: &'a CredentialId,
        _: Fingerprint,
    ) -> BoxFuture<'a, Result<Box<dyn LoginAttempt>, Withheld>> {
        Box::pin(std::future::ready(Err(Withheld::RefusedHere)))
    }
}

#[derive(Default)]
struct Counting {
    accepted: Arc<AtomicUsize>,
    refused: Arc<AtomicUsize>,
}

struct Counted(Arc<AtomicUsize>, Arc<AtomicUsize>);

impl LoginAttempt for Counted {
    fn settle(self: Box<Self>, accepted: bool) {
        let counter = if accepted { &self.0 } else { &self.1 };
        counter.fetch_add(1, Ordering::Relaxed);
    }
}

impl LoginGate for Counting {
    fn admit<'a>(
        &'a self,
        _: &'a ApplianceName,
        _: &'a CredentialId,
        _: Fingerprint,
    ) -> BoxFuture<'a, Result<Box<dyn LoginAttempt>, Withheld>> {
        let counted = Counted(Arc::clone(&self.accepted), Arc::clone(&self.refused));
        Box::pin(std::future::ready(Ok(Box::new(counted) as Box<dyn LoginAttempt>)))
    }
}

async fn the_gate(stage: &dyn Stage) {
    let shut = Surroundings { logins: Arc::new(Shut), ..Surroundings::default() };
    let it = stage.subject(quick(), FaultPlan::default(), shut).await;
    assert_eq!(class(it.port.slots().await), FailureClass::CredentialsWithheld);
    assert_eq!(it.count(LOGIN), 0);

    for wrong_password in [false, true] {
        let gate = Arc::new(Counting::default());
        let logins = Arc::clone(&gate) as Arc<dyn LoginGate>;
        let surroundings = Surroundings { logins, wrong_password, ..Surroundings::default() };
        let it = stage.subject(quick(), FaultPlan::default(), surroundings).await;
        assert_eq!(it.port.slots().await.is_ok(), !wrong_password);
        let settled = (gate.accepted.load(Ordering::Relaxed), gate.refused.load(Ordering::Relaxed));
        assert_eq!(settled, if wrong_password { (0, 1) } else { (1, 0) });
    }
}

#[derive(Default)]
struct Tally(AtomicUsize);

impl Throttle for Tally {
    fn pass(&self) -> BoxFuture<'_, ()> {
        self.0.fetch_add(1, Ordering::Relaxed);
        Box::pin(std::future::ready(()))
    }
}

async fn the_throttle(stage: &dyn Stage) {
    let tally = Arc::new(Tally::default());
    let throttle = Arc::clone(&tally) as Arc<dyn Throttle>;
    let surroundings = Surroundings { throttle, ..Surroundings::default() };
    let it = stage.subject(quick(), FaultPlan::default(), surroundings).await;
    assert!(it.port.setup().await.is_ok() && it.port.info().await.is_ok());
    it.sim.admin(&AdminAct::EndSessions {});
    assert!(it.port.slots().await.is_ok());
    it.staged().await;
    let reached = it.fleet.ledger().calls_of("subject").len();
    assert_eq!(tally.0.load(Ordering::Relaxed), reached, "every request passes, logins too");
}

async fn a_wrong_certificate(stage: &dyn Stage) {
    let does = Behaviour::WrongCertificate { when: CertificateWhen::Always };
    let it = ready(stage, quick(), FaultPlan::default().where_("*", does)).await;
    assert_eq!(class(it.port.setup().await), FailureClass::IdentityNotProven);
    assert_eq!(class(it.port.info().await), FailureClass::IdentityNotProven);
    assert_eq!(it.count("* *"), 0, "nothing is sent, least of all a credential");
}
