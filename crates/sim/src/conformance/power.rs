//! One suite for every implementation of [`model::ports::PowerSwitch`]: the in-process switch of
//! this crate and a real Redfish client must both pass it.
//!
//! ```no_run
//! # async fn example(connector: std::sync::Arc<dyn model::ports::PowerConnector>) {
//! use sim::conformance::power::{RedfishOverHttps, power_switch};
//! // In the real client's tests, in real or in virtual time:
//! power_switch(&RedfishOverHttps::new(std::path::Path::new("/tmp/power"), connector)).await;
//! # }
//! ```

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use model::failure::{ApplianceError, FailureClass};
use model::fleet::{PasswordSource, Redfish};
use model::ports::{Clock, PowerConnector, PowerState, PowerSwitch};

use super::stage::{WRONG, write_secret};
use crate::clock::TokioClock;
use crate::faults::{Behaviour, Fault, FaultPlan, FaultRule};
use crate::ledger::{Life, Node, PowerAct, RestartBy};
use crate::spec::ApplianceSpec;
use crate::{SimAppliance, SimFleet, SimServer, sample};

/// Where the suite's subjects come from.
pub trait PowerStage: Sync {
    /// Sets one pair up with these faults, and switches for its nodes. With `wrong_password` the
    /// switches hold a password that is not right (an implementation that holds none leaves the
    /// answer to the fault plan).
    fn subject(
        &self,
        spec: ApplianceSpec,
        plan: FaultPlan,
        wrong_password: bool,
    ) -> BoxFuture<'_, PowerSubject>;
}

/// One simulated pair and the switches that are examined.
pub struct PowerSubject {
    /// The switch of its primary.
    pub primary: Arc<dyn PowerSwitch>,
    /// The switch of its secondary.
    pub secondary: Arc<dyn PowerSwitch>,
    /// A switch of a system that there is not.
    pub nobody: Arc<dyn PowerSwitch>,
    /// The pair.
    pub sim: Arc<SimAppliance>,
    /// Its fleet, for the ledger.
    pub fleet: Arc<SimFleet>,
    /// The clock of all.
    pub clock: Arc<dyn Clock>,
    /// Whatever must live as long as the subject.
    pub keep: Box<dyn std::any::Any + Send + Sync>,
}

impl PowerSubject {
    /// How many acts of a kind the secondary's service accepted.
    fn taken(&self, act: PowerAct) -> usize {
        let entries = self.fleet.ledger().entries();
        let of = |it: &&crate::PowerRecord| it.took(Node::Secondary, act);
        entries.iter().filter_map(crate::Entry::power).filter(of).count()
    }

    async fn becomes(&self, switch: &Arc<dyn PowerSwitch>, wanted: PowerState) {
        for _ in 0..200 {
            if switch.state().await == Ok(wanted) {
                return;
            }
            self.clock.sleep(Duration::from_millis(20)).await;
        }
        panic!("the node did not become {wanted:?}");
    }
}

/// Sets up in-process pairs with the switches of this crate.
#[derive(Debug, Clone, Copy, Default)]
pub struct InProcessPower;

impl PowerStage for InProcessPower {
    fn subject(
        &self,
        spec: ApplianceSpec,
        plan: FaultPlan,
        wrong_password: bool,
    ) -> BoxFuture<'_, PowerSubject> {
        Box::pin(async move {
            let name = spec.name.clone();
            let plan = if wrong_password { plan.with(refused_login()) } else { plan };
            let fleet = SimFleet::builder()
                .clock(Arc::new(TokioClock::real()))
                .appliance(spec)
                .faults(plan)
                .build();
            let connector = fleet.power();
            let [primary, secondary, nobody] = targets(|node| sample::redfish(&name, node))
                .map(|it| connector.connect(&it, &name));
            PowerSubject {
                primary,
                secondary,
                nobody,
                sim: fleet.appliance(name.as_str()).expect("it is there"),
                clock: Arc::clone(fleet.clock()),
                fleet,
                keep: Box::new(()),
            }
        })
    }
}

/// In-process there is no password to be wrong: the service says so by a fault.
fn refused_login() -> FaultRule {
    let fault = Fault::Status {
        code: 401,
        r#type: Some("Base.1.8.NoValidSession".to_owned()),
        message: None,
        retry_after: None,
        acts: false,
    };
    FaultRule { forever: true, ..FaultRule::once("POWER *", fault) }
}

/// Both nodes' targets, and one of a system that there is not.
fn targets(of: impl Fn(Node) -> Redfish) -> [Redfish; 3] {
    let (primary, secondary) = (of(Node::Primary), of(Node::Secondary));
    let nobody = Redfish { system: "nobody-a".to_owned(), ..primary.clone() };
    [primary, secondary, nobody]
}

/// Sets up pairs with a Redfish service over HTTPS, and switches that somebody else makes.
pub struct RedfishOverHttps {
    dir: PathBuf,
    connector: Arc<dyn PowerConnector>,
}

impl RedfishOverHttps {
    /// Uses `dir` for the CA's file and the password's file (mode 600).
    #[must_use]
    pub fn new(dir: &Path, connector: Arc<dyn PowerConnector>) -> Self {
        Self { dir: dir.to_owned(), connector }
    }
}

impl PowerStage for RedfishOverHttps {
    fn subject(
        &self,
        spec: ApplianceSpec,
        plan: FaultPlan,
        wrong_password: bool,
    ) -> BoxFuture<'_, PowerSubject> {
        Box::pin(async move {
            let name = spec.name.clone();
            // A file of its own for each kind, so that nothing remembered of one meets the other.
            let word = if wrong_password { "wrong-power" } else { "right-power" };
            let secret = self.dir.join(word);
            write_secret(&secret, if wrong_password { WRONG } else { &spec.password });
            let builder = SimFleet::builder()
                .clock(Arc::new(TokioClock::real()))
                .appliance(spec)
                .faults(plan);
            let server = SimServer::start(builder).await.expect("a simulator");
            let port = server.redfish_url().rsplit(':').next().unwrap_or_default().to_owned();
            let ca = self.dir.join(format!("power-ca-{port}.pem"));
            server.write_ca(&ca).expect("the CA is written");
            let source = PasswordSource::File(secret.display().to_string());
            let target =
                |node| server.redfish(name.as_str(), node, &ca, source.clone()).expect("a target");
            let [primary, secondary, nobody] =
                targets(target).map(|it| self.connector.connect(&it, &name));
            let fleet = Arc::clone(server.fleet());
            PowerSubject {
                primary,
                secondary,
                nobody,
                sim: fleet.appliance(name.as_str()).expect("it is there"),
                clock: Arc::clone(fleet.clock()),
                fleet,
                keep: Box::new(server),
            }
        })
    }
}

/// A pair whose phases are short enough for real time.
fn quick() -> ApplianceSpec {
    let mut spec = super::quick();
    spec.ha = true;
    spec.pair.shutdown = Duration::from_millis(300);
    spec.pair.boot = Duration::from_millis(200);
    spec.pair.join = Duration::from_millis(100);
    spec
}

fn fault(on: &str, fault: Fault) -> FaultPlan {
    FaultPlan::default().with(FaultRule::once(on, fault))
}

#[track_caller]
fn class<T: std::fmt::Debug>(answer: Result<T, ApplianceError>) -> FailureClass {
    let error = answer.expect_err("it must not succeed");
    let text = error.to_string();
    assert!(!text.contains(&quick().password) && !text.contains(WRONG), "it shows the password");
    error.class
}

/// Examines an implementation.
///
/// # Panics
/// At the first thing that is not as the port's documentation says.
pub async fn power_switch(stage: &dyn PowerStage) {
    off_and_on(stage).await;
    other_acts(stage).await;
    lost_and_broken(stage).await;
    refusals(stage).await;
    ignored(stage).await;
}

async fn off_and_on(stage: &dyn PowerStage) {
    for code in [204, 200, 202] {
        let mut spec = quick();
        spec.quirks.power_accepted = code;
        let it = stage.subject(spec, FaultPlan::default(), false).await;
        assert_eq!(it.secondary.state().await, Ok(PowerState::On));
        it.secondary.off().await.expect("it is asked to shut down");
        assert_eq!(it.secondary.state().await, Ok(PowerState::On), "it takes its time");
        it.becomes(&it.secondary, PowerState::Off).await;
        assert_eq!(it.primary.state().await, Ok(PowerState::On), "the other node goes on");
        assert_eq!(it.sim.phase(), crate::Phase::Up);
        it.secondary.on().await.expect("it is switched on");
        it.becomes(&it.secondary, PowerState::On).await;
        assert_eq!((it.taken(PowerAct::Off), it.taken(PowerAct::On)), (1, 1), "each came once");
    }
}

async fn other_acts(stage: &dyn PowerStage) {
    let it = stage.subject(quick(), FaultPlan::default(), false).await;
    it.secondary.force_off().await.expect("it loses its power");
    assert_eq!(it.secondary.state().await, Ok(PowerState::Off), "at once");
    assert_eq!(it.taken(PowerAct::ForceOff), 1);
    it.primary.restart().await.expect("it is asked to restart");
    let restarts = |life: &Life| matches!(life, Life::Restarting { by: RestartBy::Switch });
    let life = it.fleet.ledger().life_of(it.sim.name().as_str());
    assert_eq!(life.iter().filter(|life| restarts(life)).count(), 1);
    assert_eq!(it.primary.state().await, Ok(PowerState::On), "a restart keeps the power");
}

async fn lost_and_broken(stage: &dyn PowerStage) {
    let it = stage.subject(quick(), fault("POWER /secondary/off", Fault::ReplyLost), false).await;
    assert_eq!(class(it.secondary.off().await), FailureClass::OutcomeUnknown);
    it.becomes(&it.secondary, PowerState::Off).await;
    assert_eq!(it.taken(PowerAct::Off), 1, "it is not repeated");

    let it = stage.subject(quick(), fault("POWER /secondary/off", Fault::Reset), false).await;
    assert_eq!(class(it.secondary.off().await), FailureClass::OutcomeUnknown);
    assert_eq!(it.taken(PowerAct::Off), 0);

    let it = stage.subject(quick(), fault("POWER /secondary/on", Fault::status(503)), false).await;
    assert_eq!(class(it.secondary.on().await), FailureClass::OutcomeUnknown);

    let plan = FaultPlan::default().with(FaultRule {
        forever: true,
        ..FaultRule::once("POWER /secondary/state", Fault::status(503))
    });
    let it = stage.subject(quick(), plan, false).await;
    assert_eq!(class(it.secondary.state().await), FailureClass::Transient);
}

async fn refusals(stage: &dyn PowerStage) {
    let refused = Fault::Status {
        code: 409,
        r#type: Some("Base.1.8.ResourceInUse".to_owned()),
        message: Some("Not now".to_owned()),
        retry_after: None,
        acts: false,
    };
    let it = stage.subject(quick(), fault("POWER /secondary/off", refused), false).await;
    let error = it.secondary.off().await.expect_err("it is refused");
    assert_eq!(error.class, FailureClass::Refused);
    assert!(error.to_string().contains("Not now"), "the service's own words: {error}");
    assert_eq!(it.taken(PowerAct::Off), 0);
    assert_eq!(class(it.nobody.state().await), FailureClass::Refused);
    assert_eq!(class(it.nobody.off().await), FailureClass::Refused);

    let it = stage.subject(quick(), FaultPlan::default(), true).await;
    assert_eq!(class(it.secondary.off().await), FailureClass::CredentialsRefused);
    assert_eq!(class(it.secondary.state().await), FailureClass::CredentialsRefused);
    assert_eq!(it.taken(PowerAct::Off), 0);
}

/// An accepted act says nothing of what follows.
async fn ignored(stage: &dyn PowerStage) {
    let does = Behaviour::PowerIgnored { act: Some(PowerAct::Off), times: 1 };
    let plan = FaultPlan::default().where_("*", does);
    let it = stage.subject(quick(), plan, false).await;
    it.secondary.off().await.expect("it is accepted");
    it.clock.sleep(Duration::from_millis(600)).await;
    assert_eq!(it.secondary.state().await, Ok(PowerState::On));
    it.secondary.force_off().await.expect("it is accepted");
    it.becomes(&it.secondary, PowerState::Off).await;
}
