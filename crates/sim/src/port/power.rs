//! Power switches in-process: a Redfish target leads to a node of a simulated appliance.

use std::sync::Arc;
use std::time::Duration;

use model::failure::ApplianceError;
use model::fleet::Redfish;
use model::names::ApplianceName;
use model::ports::{Answer, Clock, PowerConnector, PowerState, PowerSwitch};

use super::ClientSettings;
use super::classify::Failed;
use crate::appliance::{Heard, Reply, SimAppliance};
use crate::fleet::SimFleet;
use crate::ledger::{Node, PowerAct};
use crate::power::node;

/// Makes in-process power switches. The target's `system` says which node it is (see
/// [`crate::sample::redfish`]); of its URL only the host is shown, in errors.
#[derive(Debug, Clone)]
pub struct SimPower {
    fleet: Arc<SimFleet>,
    settings: ClientSettings,
}

impl SimPower {
    pub(crate) fn new(fleet: Arc<SimFleet>, settings: ClientSettings) -> Self {
        Self { fleet, settings }
    }
}

impl PowerConnector for SimPower {
    fn connect(&self, redfish: &Redfish, _: &ApplianceName) -> Arc<dyn PowerSwitch> {
        let target = node(&redfish.system).and_then(|(name, node)| {
            let appliance = self.fleet.appliance(name)?;
            appliance.has_node(node).then_some((appliance, node))
        });
        let host = redfish.url.split("://").last().unwrap_or_default().trim_end_matches('/');
        Arc::new(Switch {
            target,
            clock: Arc::clone(self.fleet.clock()),
            host: host.to_owned(),
            system: redfish.system.clone(),
            settings: self.settings.clone(),
        })
    }
}

/// The power of one node.
struct Switch {
    target: Option<(Arc<SimAppliance>, Node)>,
    clock: Arc<dyn Clock>,
    host: String,
    system: String,
    settings: ClientSettings,
}

impl Switch {
    async fn ask(&self, act: PowerAct) -> Result<Reply, ApplianceError> {
        let failed = Failed::power(act, &self.system, &self.host);
        self.clock.sleep(self.settings.latency / 2).await;
        let Some((appliance, node)) = &self.target else {
            return Err(failed.no_system());
        };
        let limit: Duration = self.settings.timeout;
        let heard: Heard = tokio::select! {
            heard = appliance.power(*node, act) => heard,
            () = self.clock.sleep(limit) => return Err(failed.timed_out(limit)),
        };
        self.clock.sleep(self.settings.latency / 2).await;
        failed.read(heard)
    }

    fn act(&self, act: PowerAct) -> Answer<'_, ()> {
        Box::pin(async move { self.ask(act).await.map(drop) })
    }
}

impl PowerSwitch for Switch {
    fn state(&self) -> Answer<'_, PowerState> {
        Box::pin(async {
            match self.ask(PowerAct::State).await? {
                Reply::Power(state) => Ok(state),
                _ => Err(Failed::power(PowerAct::State, &self.system, &self.host)
                    .malformed("it carries no `PowerState`")),
            }
        })
    }

    fn on(&self) -> Answer<'_, ()> {
        self.act(PowerAct::On)
    }

    fn off(&self) -> Answer<'_, ()> {
        self.act(PowerAct::Off)
    }

    fn force_off(&self) -> Answer<'_, ()> {
        self.act(PowerAct::ForceOff)
    }

    fn restart(&self) -> Answer<'_, ()> {
        self.act(PowerAct::Restart)
    }
}
