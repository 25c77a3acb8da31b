//! One suite for every implementation of [`model::ports::Appliance`]: the in-process port of this
//! crate and the real client over HTTPS must both pass it. It knows neither.
//!
//! ```no_run
//! # async fn example(connector: std::sync::Arc<dyn model::ports::Connector>) {
//! // In the real client's tests, in virtual or in real time:
//! let dir = std::path::Path::new("/tmp/conformance");
//! sim::conformance::appliance_port(&sim::conformance::OverHttps::new(dir, connector)).await;
//! # }
//! ```

mod bundles;
mod faults;
mod fetching;
pub mod power;
mod reads;
mod sessions;
mod stage;
mod upgrades;

use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use model::digest::Sha256Hex;
use model::failure::{ApplianceError, FailureClass};
use model::names::{FetchKey, SlotKey};
use model::observed::{FetchJob, Slot};
use model::ports::{Appliance, Clock, LoginGate, Throttle};
use model::rollout::Image;

use crate::faults::FaultPlan;
use crate::fleet::SimFleet;
use crate::spec::{ApplianceSpec, Timings};
use crate::{SimAppliance, SimImage};
pub use stage::{InProcessStage, OverHttps};

/// The firmware of the suite's image.
const VERSION: &str = "7.5.1";

/// Where the suite's subjects come from.
pub trait Stage: Sync {
    /// Sets one appliance up with these faults, and a client of it.
    fn subject(
        &self,
        spec: ApplianceSpec,
        plan: FaultPlan,
        surroundings: Surroundings,
    ) -> BoxFuture<'_, Subject>;
}

/// What the client is given besides the appliance.
#[derive(Clone)]
pub struct Surroundings {
    /// The limit on requests.
    pub throttle: Arc<dyn Throttle>,
    /// The gate of logins.
    pub logins: Arc<dyn LoginGate>,
    /// Whether the client holds a wrong password.
    pub wrong_password: bool,
}

impl Default for Surroundings {
    fn default() -> Self {
        Self {
            throttle: Arc::new(model::ports::NoThrottle),
            logins: Arc::new(model::ports::OpenGate),
            wrong_password: false,
        }
    }
}

/// One simulated appliance and the client that is examined.
pub struct Subject {
    /// The client.
    pub port: Arc<dyn Appliance>,
    /// The appliance.
    pub sim: Arc<SimAppliance>,
    /// Its fleet, for the ledger.
    pub fleet: Arc<SimFleet>,
    /// The clock of both.
    pub clock: Arc<dyn Clock>,
    /// Where the suite's image can be fetched.
    pub url: String,
    /// The same image as a local file.
    pub image: Image,
    /// Its sum.
    pub sha256: Sha256Hex,
    /// SHA-256 of the certificate that the client will see.
    pub leaf: Sha256Hex,
    /// A folder for files.
    pub dir: std::path::PathBuf,
    /// Whatever must live as long as the subject.
    pub keep: Box<dyn std::any::Any + Send + Sync>,
}

impl Subject {
    async fn sleep(&self, millis: u64) {
        self.clock.sleep(Duration::from_millis(millis)).await;
    }

    fn count(&self, request: &str) -> usize {
        self.fleet.ledger().count(self.sim.name().as_str(), request)
    }

    fn changes(&self, request: &str) -> usize {
        self.fleet.ledger().changes(self.sim.name().as_str(), request)
    }

    async fn job(&self, key: &FetchKey) -> FetchJob {
        self.port.fetch_job(key).await.expect("an answer").expect("a record")
    }

    /// Waits until a job is no longer live.
    async fn job_ended(&self, key: &FetchKey) -> FetchJob {
        for _ in 0..600 {
            let job = self.job(key).await;
            if !job.status.is_live() {
                return job;
            }
            self.sleep(50).await;
        }
        panic!("the fetch job did not end: {:?}", self.job(key).await);
    }

    /// Fetches the image and gives its slot.
    async fn staged(&self) -> SlotKey {
        let key = self.port.start_fetch(&self.url, &self.sha256).await.expect("a job");
        let job = self.job_ended(&key).await;
        self.port.delete_fetch(&key).await.expect("removed");
        job.slot.unwrap_or_else(|| panic!("it fills a slot: {:?}", job.error))
    }

    /// Waits until the appliance says that it is ready.
    async fn returned(&self) {
        for _ in 0..600 {
            if self.port.setup().await == Ok(model::observed::SetupStatus::Completed) {
                return;
            }
            self.sleep(50).await;
        }
        panic!("the appliance did not come back");
    }

    async fn version(&self) -> String {
        self.port.info().await.expect("an answer").firmware_version.to_string()
    }
}

/// How long tests and upgrades may take.
const LIMIT: Duration = Duration::from_secs(30);

/// An appliance whose phases are short enough for real time.
fn quick() -> ApplianceSpec {
    let name = model::names::ApplianceName::new("subject").expect("a name");
    let mut spec = ApplianceSpec::new(name, "7.5.0");
    spec.timings = Timings {
        test: Duration::from_millis(30),
        upgrade_test: Duration::from_millis(30),
        shutdown: Duration::from_millis(200),
        down: Duration::from_millis(400),
        boot: Duration::from_millis(400),
        fetch_bytes_per_second: 1_000_000,
        verify: Duration::from_millis(20),
        install: Duration::from_millis(20),
    };
    spec
}

/// The suite's image.
fn image_bytes() -> Vec<u8> {
    SimImage::bytes(VERSION, 100_000)
}

fn holding<'a>(slots: &'a [Slot], version: &str) -> Vec<&'a Slot> {
    let holds =
        |slot: &&Slot| slot.content.as_ref().is_some_and(|content| content.version == version);
    slots.iter().filter(holds).collect()
}

#[track_caller]
fn class<T: std::fmt::Debug>(answer: Result<T, ApplianceError>) -> FailureClass {
    let error = answer.expect_err("it must not succeed");
    let text = error.to_string();
    let secret =
        ApplianceSpec::new(model::names::ApplianceName::new("x").expect("a name"), "1.0.0");
    assert!(!text.contains(&secret.password), "an error shows the password: {text}");
    error.class
}

async fn ready(stage: &dyn Stage, spec: ApplianceSpec, plan: FaultPlan) -> Subject {
    stage.subject(spec, plan, Surroundings::default()).await
}

/// Examines an implementation.
///
/// # Panics
/// At the first thing that is not as the port's documentation says.
pub async fn appliance_port(stage: &dyn Stage) {
    reads::all(stage).await;
    sessions::all(stage).await;
    fetching::all(stage).await;
    upgrades::all(stage).await;
    bundles::all(stage).await;
    faults::all(stage).await;
}
