//! A fleet of simulated appliances with one ledger.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use model::fleet as inventory;
use model::names::ApplianceName;
use model::ports::{Clock, Connector, PowerConnector};
use model::random::Random;
use tokio_util::task::TaskTracker;

use crate::appliance::{Shared, SimAppliance};
use crate::clock::TokioClock;
use crate::faults::FaultPlan;
use crate::images::{Images, SimImage};
use crate::ledger::Ledger;
use crate::port::{ClientSettings, InProcess, SimPower};
use crate::sample;
use crate::spec::ApplianceSpec;

/// Simulated appliances by name, with the ledger of what they saw.
#[derive(Debug)]
pub struct SimFleet {
    appliances: BTreeMap<ApplianceName, Arc<SimAppliance>>,
    shared: Arc<Shared>,
}

/// Gathers what a fleet is made of.
#[derive(Debug)]
pub struct SimFleetBuilder {
    specs: Vec<ApplianceSpec>,
    plan: FaultPlan,
    images: Images,
    clock: Option<Arc<dyn Clock>>,
    seed: u64,
    real_transfers: bool,
}

impl SimFleet {
    /// Begins a fleet.
    #[must_use]
    pub fn builder() -> SimFleetBuilder {
        SimFleetBuilder {
            specs: Vec::new(),
            plan: FaultPlan::default(),
            images: Images::default(),
            clock: None,
            seed: 0,
            real_transfers: false,
        }
    }

    /// The appliance of this name.
    #[must_use]
    pub fn appliance(&self, name: &str) -> Option<Arc<SimAppliance>> {
        self.appliances.get(name).cloned()
    }

    /// All appliances, by name.
    pub fn appliances(&self) -> impl Iterator<Item = &Arc<SimAppliance>> {
        self.appliances.values()
    }

    /// What the appliances saw, complete until now.
    #[must_use]
    pub fn ledger(&self) -> &Ledger {
        for appliance in self.appliances.values() {
            appliance.settle();
        }
        &self.shared.ledger
    }

    /// What is known of firmware images.
    #[must_use]
    pub fn images(&self) -> &Images {
        &self.shared.images
    }

    /// The clock that the appliances live by.
    #[must_use]
    pub fn clock(&self) -> &Arc<dyn Clock> {
        &self.shared.clock
    }

    pub(crate) fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    /// In-process clients of the appliances, found by the inventory's names.
    #[must_use]
    pub fn connector(self: &Arc<Self>) -> Arc<dyn Connector> {
        self.connector_with(ClientSettings::default())
    }

    /// In-process clients with other settings.
    #[must_use]
    pub fn connector_with(self: &Arc<Self>, settings: ClientSettings) -> Arc<dyn Connector> {
        Arc::new(InProcess::new(Arc::clone(self), settings))
    }

    /// In-process power switches of the appliances' nodes; [`crate::sample::redfish`] says how they
    /// are named.
    #[must_use]
    pub fn power(self: &Arc<Self>) -> Arc<dyn PowerConnector> {
        Arc::new(SimPower::new(Arc::clone(self), ClientSettings::default()))
    }

    /// Inventory entries for all appliances, as a fleet file without surroundings would give
    /// them; `None` for a name that there is not.
    #[must_use]
    pub fn inventory_entry(&self, name: &str) -> Option<inventory::Appliance> {
        self.appliance(name).map(|appliance| entry(&appliance.spec()))
    }
}

fn entry(spec: &ApplianceSpec) -> inventory::Appliance {
    let mut entry = sample::appliance(&spec.name);
    if let Some(username) = &spec.username {
        entry.endpoint.login.username.clone_from(username);
    }
    if let Some(site) = &spec.site {
        entry.site.clone_from(site);
    }
    entry
}

impl SimFleetBuilder {
    /// Adds an appliance; a later one of the same name replaces it.
    #[must_use]
    pub fn appliance(mut self, spec: ApplianceSpec) -> Self {
        self.specs.push(spec);
        self
    }

    /// Adds appliances.
    #[must_use]
    pub fn appliances(mut self, specs: impl IntoIterator<Item = ApplianceSpec>) -> Self {
        self.specs.extend(specs);
        self
    }

    /// Says what goes wrong.
    #[must_use]
    pub fn faults(mut self, plan: FaultPlan) -> Self {
        self.plan = plan;
        self
    }

    /// Lets a URL (or an upload's path) be an image, for transfers in virtual time.
    #[must_use]
    pub fn image(self, place: &str, image: SimImage) -> Self {
        self.images.offer(place, image);
        self
    }

    /// The clock to live by; tokio's when none is given.
    #[must_use]
    pub fn clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = Some(clock);
        self
    }

    /// Seeds keys, sessions and `probability`.
    #[must_use]
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    pub(crate) fn real_transfers(mut self) -> Self {
        self.real_transfers = true;
        self
    }

    /// Starts the appliances.
    #[must_use]
    pub fn build(self) -> Arc<SimFleet> {
        let clock = self.clock.unwrap_or_else(|| Arc::new(TokioClock::real()));
        let shared = Arc::new(Shared {
            ledger: Ledger::new(Arc::clone(&clock)),
            clock,
            images: self.images,
            tasks: TaskTracker::new(),
            real_transfers: self.real_transfers,
            clusters: Mutex::default(),
        });
        let seeds = Random::seeded(self.seed ^ self.plan.seed.rotate_left(32));
        let appliances = self
            .specs
            .into_iter()
            .map(|spec| {
                let name = spec.name.clone();
                let shared = Arc::clone(&shared);
                (name, SimAppliance::new(spec, &self.plan, shared, seeds.next_u64()))
            })
            .collect();
        Arc::new(SimFleet { appliances, shared })
    }
}
