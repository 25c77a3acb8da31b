//! The appliances of a plan, simulated: what they run, how their hardware is switched, and what
//! programs do.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use model::fleet::{Appliance, PowerTarget, Reboot, Redfish, UpgradeCall};
use model::plan::Plan;
use model::ports::{
    Command, CommandError, CommandOutput, CommandRunner, PowerConnector, PowerSwitch, ProcessId,
};
use model::{ApplianceName, FirmwareVersion};
use sim::{ApplianceSpec, Node, SimFleet, SimFleetBuilder, SimImage, Timings, UpgradeMode};

/// An appliance as the simulator makes it: what the inventory says, and a first version.
pub(crate) fn spec(
    appliance: &Appliance,
    from: &FirmwareVersion,
    timings: &Timings,
) -> ApplianceSpec {
    let address = appliance.endpoint.address.parse().ok();
    let kept = address.filter(std::net::IpAddr::is_loopback);
    let roles = appliance.cluster.iter().flat_map(|cluster| &cluster.roles);
    let word = |role| serde_json::to_value(role).ok()?.as_str().map(str::to_owned);
    ApplianceSpec {
        hostname: appliance.hostname.clone().unwrap_or_else(|| format!("sps-{}", appliance.name)),
        site: Some(appliance.site.clone()),
        address: kept,
        port: kept.map(|_| appliance.endpoint.port),
        upgrade_call: match appliance.upgrade_call {
            UpgradeCall::Arms => UpgradeMode::Arms,
            UpgradeCall::Detect | UpgradeCall::Reboots => UpgradeMode::Reboots,
        },
        ha: appliance.ha.is_some(),
        roles: roles.filter_map(word).collect(),
        cluster: appliance.cluster.as_ref().map(|cluster| cluster.name.to_string()),
        timings: timings.clone(),
        ..ApplianceSpec::new(appliance.name.clone(), &from.to_string())
    }
}

/// The appliances of a plan, its bystanders, and its images.
pub(super) fn fleet(
    plan: &Plan,
    versions: &BTreeMap<ApplianceName, FirmwareVersion>,
    from: &FirmwareVersion,
    size: u64,
) -> SimFleetBuilder {
    let timings = Timings::default();
    let all = plan.appliances.values().chain(plan.bystanders.values());
    let specs = all
        .map(|appliance| spec(appliance, versions.get(&appliance.name).unwrap_or(from), &timings));
    let mut builder = SimFleet::builder().appliances(specs);
    for hop in plan.hops() {
        let known = hop.upload.as_ref().map(|image| image.size).filter(|size| *size > 0);
        let size = known.unwrap_or(size);
        let (version, sha256) = (hop.version.to_string(), hop.sha256.clone());
        let image = SimImage { version, size, sha256 };
        let places = hop.fetch.iter().chain(hop.upload.as_ref().map(|image| &image.path));
        for place in places {
            builder = builder.image(place, image.clone());
        }
    }
    builder
}

/// Programs that do at once what they are for, and end well: reboots, power switches, hooks.
pub(super) struct Programs {
    pub(super) fleet: Arc<SimFleet>,
    pub(super) plan: Arc<Plan>,
}

impl Programs {
    fn output(&self, command: &Command) -> String {
        let of = command.env.iter().find(|(key, _)| key == "SPSFLEET_APPLIANCE");
        let Some((_, name)) = of else { return String::new() };
        let entry = self.plan.appliances.get(name.as_str());
        let (Some(entry), Some(simulated)) = (entry, self.fleet.appliance(name)) else {
            return String::new();
        };
        if let Reboot::Command(words) = &entry.reboot
            && *words == command.words
        {
            simulated.reboot();
        }
        let power = entry.ha.as_ref().and_then(|ha| ha.secondary_power.as_ref());
        let Some(PowerTarget::Command { on, off, state }) = power else { return String::new() };
        match () {
            () if *state == command.words => {
                let on = simulated.pair().is_some_and(|pair| pair.secondary_has_power);
                return if on { "on\n" } else { "off\n" }.to_owned();
            }
            () if *on == command.words => simulated.secondary_on(),
            () if *off == command.words => simulated.secondary_off(),
            () => {}
        }
        String::new()
    }
}

impl CommandRunner for Programs {
    fn run<'a>(
        &'a self,
        command: &'a Command,
        started: Box<dyn FnOnce(ProcessId) + Send + 'a>,
    ) -> BoxFuture<'a, Result<CommandOutput, CommandError>> {
        Box::pin(async move {
            started(ProcessId { pid: std::process::id(), started: 0 });
            let stdout = self.output(command);
            Ok(CommandOutput { code: Some(0), stdout, stderr: String::new() })
        })
    }

    fn await_leftover(&self, _: ProcessId, _: Duration) -> BoxFuture<'_, bool> {
        Box::pin(std::future::ready(false))
    }
}

/// Redfish services: what the inventory names leads to the simulated node behind it.
pub(super) struct Power {
    pub(super) fleet: Arc<SimFleet>,
    pub(super) plan: Arc<Plan>,
}

impl PowerConnector for Power {
    fn connect(&self, redfish: &Redfish, appliance: &ApplianceName) -> Arc<dyn PowerSwitch> {
        let entry = self.plan.appliances.get(appliance);
        let power = entry.and_then(|entry| entry.ha.as_ref()?.secondary_power.as_ref());
        let node = match power {
            Some(PowerTarget::Redfish(of)) if of == redfish => Node::Secondary,
            _ => Node::Primary,
        };
        self.fleet.power().connect(&sim::sample::redfish(appliance, node), appliance)
    }
}
