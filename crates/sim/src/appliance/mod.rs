//! One simulated appliance: a state machine that moves on by the clock whenever it is looked at.

mod answers;
mod calls;
mod cluster;
mod exchange;
mod jobs;
mod logins;
mod moods;
mod pair;
mod power;
mod serve;
mod state;
mod timed;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use model::digest::Sha256Hex;
use model::names::{ApplianceName, FetchKey};
use model::observed::{FetchJob, Slot};
use model::random::Random;

pub(crate) use calls::{Call, Details, JobView, Message, Received, Refusal, Reply};
pub(crate) use exchange::{Heard, Pace, Visit};
pub(crate) use jobs::{Downloaded, Order};
pub use state::Phase;
pub(crate) use state::{Shared, State};

use crate::faults::{AdminAct, Behaviour, CertificateWhen, FaultPlan, FaultRule};
use crate::ledger::RestartBy;
use crate::spec::{ApplianceSpec, HealthSpec};

/// A simulated appliance. The HTTPS server and the in-process client both ask this; tests use it
/// to see what is so and to play the people around it.
#[derive(Debug)]
pub struct SimAppliance {
    name: ApplianceName,
    shared: Arc<Shared>,
    state: Mutex<State>,
    changed: tokio::sync::Notify,
}

/// How an HA pair is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PairView {
    /// Whether the secondary has power.
    pub secondary_has_power: bool,
    /// The firmware that the secondary boots.
    pub secondary_holds: String,
    /// Whether both nodes are together.
    pub whole: bool,
    /// Whether they will not come together any more.
    pub broken: bool,
}

impl SimAppliance {
    pub(crate) fn new(
        spec: ApplianceSpec,
        plan: &FaultPlan,
        shared: Arc<Shared>,
        seed: u64,
    ) -> Arc<Self> {
        let (name, cluster) = (spec.name.clone(), spec.cluster.clone());
        let state = Mutex::new(State::new(spec, plan, Random::seeded(seed)));
        let this = Arc::new(Self { name, shared, state, changed: tokio::sync::Notify::new() });
        if let Some(cluster) = cluster {
            let mut clusters = this.shared.clusters.lock().unwrap_or_else(PoisonError::into_inner);
            clusters.entry(cluster).or_default().push(Arc::downgrade(&this));
        }
        this
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The state as it is now, after everything that happened by the clock.
    fn now(&self) -> (Duration, MutexGuard<'_, State>) {
        let now = self.shared.clock.monotonic();
        let mut state = self.lock();
        state.advance(&self.shared, now);
        (now, state)
    }

    fn act<T>(&self, act: impl FnOnce(&mut State, &Shared, Duration) -> T) -> T {
        let (now, mut state) = self.now();
        let done = act(&mut state, &self.shared, now);
        drop(state);
        self.changed.notify_one();
        done
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &ApplianceName {
        &self.name
    }

    /// The firmware that runs, as it would say itself.
    #[must_use]
    pub fn version(&self) -> String {
        self.now().1.running.clone()
    }

    /// Whether it answers.
    #[must_use]
    pub fn phase(&self) -> Phase {
        self.now().1.phase
    }

    /// Its slots.
    #[must_use]
    pub fn slots(&self) -> Vec<Slot> {
        self.now().1.slot_views()
    }

    /// The records of its fetch jobs.
    #[must_use]
    pub fn fetch_records(&self) -> Vec<FetchJob> {
        self.now().1.job_views(&self.shared).into_iter().map(|view| view.job).collect()
    }

    /// Presses the operator's reboot button; one that goes down already is left alone.
    pub fn reboot(&self) {
        self.act(|state, shared, now| state.restart(shared, now, RestartBy::Operator));
    }

    /// Takes its power away at once (of a pair: the primary's).
    pub fn power_off(&self) {
        self.act(|state, shared, now| state.power_off(shared, now, RestartBy::Power));
    }

    /// Gives its power back; it boots.
    pub fn power_on(&self) {
        self.act(|state, shared, now| state.power_on(shared, now));
    }

    /// Shuts the secondary of a pair down, as a person does on its web page.
    pub fn secondary_off(&self) {
        self.act(|state, shared, now| state.secondary_off(shared, now, false));
    }

    /// Gives the secondary power, as a person does.
    pub fn secondary_on(&self) {
        self.act(|state, shared, now| state.secondary_on(shared, now));
    }

    /// How the pair is; `None` for a single appliance.
    #[must_use]
    pub fn pair(&self) -> Option<PairView> {
        let (_, state) = self.now();
        state.pair.as_ref().map(|pair| PairView {
            secondary_has_power: pair.has_power(),
            secondary_holds: pair.holds().to_owned(),
            whole: pair.is_whole(),
            broken: pair.is_broken(),
        })
    }

    /// Lets another administrator do something now.
    pub fn admin(&self, act: &AdminAct) {
        self.act(|state, shared, now| state.admin(shared, now, act));
    }

    /// Adds a fault to those that wait.
    pub fn add_fault(&self, rule: FaultRule) {
        self.act(|state, _, _| state.faults.add(rule));
    }

    /// Takes all faults of requests away.
    pub fn clear_faults(&self) {
        self.act(|state, _, _| state.faults.clear());
    }

    /// Lets it also behave like this from now on.
    pub fn behave(&self, behaviour: Behaviour) {
        self.act(|state, _, _| {
            let State { moods, spec, .. } = state;
            moods.add(behaviour, spec);
        });
    }

    /// Changes what it says of its health.
    pub fn set_health(&self, health: HealthSpec) {
        self.act(|state, _, _| state.spec.health = health);
    }

    /// Changes its password; sessions go on.
    pub fn set_password(&self, password: &str) {
        self.act(|state, _, _| {
            password.clone_into(&mut state.spec.password);
            state.moods.password_changed = false;
        });
    }

    /// Ends all sessions but the one that was opened last.
    pub fn keep_newest_session(&self) {
        self.act(|state, _, _| state.sessions.keep_newest());
    }

    /// Writes everything that happened by the clock until now into the ledger.
    pub fn settle(&self) {
        drop(self.now());
    }

    /// What it is like.
    #[must_use]
    pub fn spec(&self) -> ApplianceSpec {
        self.lock().spec.clone()
    }

    /// The password that the in-process client holds.
    pub(crate) fn client_password(&self) -> String {
        let state = self.lock();
        state.spec.client_password.clone().unwrap_or_else(|| state.spec.password.clone())
    }

    /// Whether the certificate it shows now is one that nobody vouches for.
    pub(crate) fn shows_wrong_certificate(&self) -> bool {
        let (_, state) = self.now();
        match state.moods.certificate {
            Some(CertificateWhen::Always) => true,
            Some(CertificateWhen::Booting) => state.phase == Phase::Booting,
            None => false,
        }
    }

    /// The sum of the certificate that it shows in-process: the same as long as it lives.
    #[must_use]
    pub fn leaf(&self) -> Sha256Hex {
        let state = self.lock();
        let made_of = state.spec.certificate.as_deref().unwrap_or(state.spec.name.as_str());
        Sha256Hex::of(format!("certificate of {made_of}").as_bytes())
    }

    /// Idle limit of its sessions, and how far its clock is ahead in seconds.
    pub(crate) fn cookie_times(&self) -> (Duration, i64) {
        let state = self.lock();
        (state.spec.quirks.session_idle, state.spec.quirks.clock_ahead)
    }

    pub(crate) fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    /// Waits until something was done to it that may change when it next changes by itself.
    pub(crate) async fn touched(&self) {
        self.changed.notified().await;
    }

    /// What there is to do for a server: its phase, when it next changes by itself, and the
    /// downloads that it wants done.
    pub(crate) fn duties(&self) -> (Phase, Option<Duration>, Vec<Order>) {
        let (_, mut state) = self.now();
        let orders = std::mem::take(&mut state.orders);
        (state.phase, state.next_change(), orders)
    }

    pub(crate) fn download_moved(&self, key: &FetchKey, bytes: u64, total: u64) -> bool {
        self.now().1.download_moved(key, bytes, total)
    }

    pub(crate) fn download_ended(&self, key: &FetchKey, result: Result<Downloaded, String>) {
        self.act(|state, shared, now| state.download_ended(shared, now, key, result));
    }
}
