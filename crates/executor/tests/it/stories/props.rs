//! The things around the executor of a story: its clock, its journal, programs and power switches.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures::future::BoxFuture;
use jiff::{SignedDuration, Timestamp};
use model::event::{Draft, Event};
use model::fleet::{Appliance, PowerTarget, Reboot, Redfish, UpgradeCall};
use model::memory::MemoryJournal;
use model::names::ApplianceName;
use model::plan::Plan;
use model::ports::{
    Clock, Command, CommandError, CommandOutput, CommandRunner, Journal, JournalError,
    PowerConnector, PowerSwitch, ProcessId,
};
use sim::{ApplianceSpec, Node, SimFleet, TokioClock, UpgradeMode};
use tokio::sync::mpsc;

use super::language::Differs;
use crate::journals::read_from_inner;

/// A wall clock that can jump over a monotonic one that cannot.
#[derive(Debug)]
pub(super) struct Jumping {
    pub(super) inner: TokioClock,
    pub(super) ahead: AtomicI64,
}

impl Clock for Jumping {
    fn now(&self) -> Timestamp {
        let ahead = SignedDuration::from_secs(self.ahead.load(Ordering::Relaxed));
        self.inner.now().saturating_add(ahead).expect("a time")
    }

    fn monotonic(&self) -> Duration {
        self.inner.monotonic()
    }

    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()> {
        self.inner.sleep(duration)
    }
}

/// A journal that passes on everything that is written.
pub(super) struct Telling {
    pub(super) inner: Arc<MemoryJournal>,
    pub(super) events: mpsc::UnboundedSender<Event>,
}

impl Journal for Telling {
    fn append<'a>(&'a self, batch: &'a [Draft]) -> BoxFuture<'a, Result<Vec<Event>, JournalError>> {
        Box::pin(async move {
            let events = self.inner.append(batch).await?;
            for event in &events {
                self.events.send(event.clone()).expect("somebody listens");
            }
            Ok(events)
        })
    }

    read_from_inner!();
}

/// Programs: reboots, power switches, checks and hooks. Each takes five seconds; some fail.
pub(super) struct Programs {
    pub(super) fleet: Arc<SimFleet>,
    pub(super) entries: BTreeMap<ApplianceName, Arc<Appliance>>,
    /// Which fail, and for whom only.
    pub(super) failing: Mutex<BTreeMap<String, Option<String>>>,
}

impl Programs {
    fn fails(&self, command: &Command) -> bool {
        let program = command.words.first().map_or("", String::as_str);
        let program = program.rsplit('/').next().unwrap_or(program);
        match self.failing.lock().expect("no panic").get(program) {
            None => false,
            Some(None) => true,
            Some(Some(of)) => command.env.iter().any(|(_, value)| value == of),
        }
    }

    fn output(&self, command: &Command) -> String {
        let of = command.env.iter().find(|(key, _)| key == "SPSFLEET_APPLIANCE");
        let Some((_, name)) = of else { return String::new() };
        let (Some(entry), Some(simulated)) =
            (self.entries.get(name.as_str()), self.fleet.appliance(name))
        else {
            return String::new();
        };
        if matches!(&entry.reboot, Reboot::Command(words) if *words == command.words) {
            simulated.reboot();
        }
        let power = entry.ha.as_ref().and_then(|ha| ha.secondary_power.as_ref());
        let Some(PowerTarget::Command { on, off, state }) = power else { return String::new() };
        if *state == command.words {
            let on = simulated.pair().is_some_and(|pair| pair.secondary_has_power);
            return if on { "on\n" } else { "off\n" }.to_owned();
        }
        if *on == command.words {
            simulated.secondary_on();
        } else if *off == command.words {
            simulated.secondary_off();
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
            started(ProcessId { pid: 7, started: 7 });
            self.fleet.clock().sleep(Duration::from_secs(5)).await;
            let fails = self.fails(command);
            let stdout = if fails { String::new() } else { self.output(command) };
            let stderr = if fails { "it says no" } else { "" }.to_owned();
            Ok(CommandOutput { code: Some(i32::from(fails)), stdout, stderr })
        })
    }

    fn await_leftover(&self, _: ProcessId, _: Duration) -> BoxFuture<'_, bool> {
        Box::pin(std::future::ready(false))
    }
}

/// Redfish services: what the inventory names leads to the simulated node behind it.
pub(super) struct Power {
    pub(super) fleet: Arc<SimFleet>,
    pub(super) entries: BTreeMap<ApplianceName, Arc<Appliance>>,
}

impl PowerConnector for Power {
    fn connect(&self, redfish: &Redfish, appliance: &ApplianceName) -> Arc<dyn PowerSwitch> {
        let entry = self.entries.get(appliance);
        let power = entry.and_then(|entry| entry.ha.as_ref()?.secondary_power.as_ref());
        let node = match power {
            Some(PowerTarget::Redfish(of)) if of == redfish => Node::Secondary,
            _ => Node::Primary,
        };
        self.fleet.power().connect(&sim::sample::redfish(appliance, node), appliance)
    }
}

/// An appliance as its inventory entry says, but for what the story says.
pub(super) fn spec<'a>(
    entry: &Appliance,
    differs: impl Iterator<Item = &'a Differs>,
) -> ApplianceSpec {
    let roles = entry.cluster.iter().flat_map(|cluster| &cluster.roles);
    let mut spec = ApplianceSpec {
        hostname: entry.hostname.clone().unwrap_or_else(|| format!("sps-{}", entry.name)),
        site: Some(entry.site.clone()),
        upgrade_call: match entry.upgrade_call {
            UpgradeCall::Arms => UpgradeMode::Arms,
            UpgradeCall::Detect | UpgradeCall::Reboots => UpgradeMode::Reboots,
        },
        ha: entry.ha.is_some(),
        roles: roles.map(|role| role.name().to_owned()).collect(),
        cluster: entry.cluster.as_ref().map(|cluster| cluster.name.to_string()),
        ..ApplianceSpec::new(entry.name.clone(), "7.5.0")
    };
    for one in differs {
        match one {
            Differs::Version(version) => spec.slots[0] = Some(version.clone()),
            Differs::Arms => spec.upgrade_call = UpgradeMode::Arms,
            Differs::Reboots => spec.upgrade_call = UpgradeMode::Reboots,
            Differs::Sessions(count) => {
                spec.health.sessions = vec![("rdp".to_owned(), *count)];
            }
            Differs::Slot(key, version) => spec.slots[key - 1] = Some(version.clone()),
            Differs::Hostname(hostname) => spec.hostname.clone_from(hostname),
            Differs::Certificate(made_of) => spec.certificate = Some(made_of.clone()),
            Differs::Syncs(after) => {
                spec.cluster_sync = Some(after.unsigned_abs());
            }
            // Once it is there.
            Differs::Armed(_) => {}
        }
    }
    spec
}

/// All entries of some plans.
pub(super) fn entries<'a>(
    plans: impl Iterator<Item = &'a Plan>,
) -> BTreeMap<ApplianceName, Arc<Appliance>> {
    plans
        .flat_map(|plan| plan.appliances.iter().chain(&plan.bystanders))
        .map(|(name, entry)| (name.clone(), Arc::clone(entry)))
        .collect()
}
