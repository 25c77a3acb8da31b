//! Two entries of the inventory that are the same appliance: it would be upgraded twice.

use model::event::{ApplianceChange, Change};
use model::hold::HoldReason;
use model::names::ApplianceName;
use model::observed::Baseline;
use model::run::Phase;

use super::{Command, Core};

impl Core {
    /// Whoever was read before this process began is known.
    pub(super) fn remember_identities(&mut self) {
        for (name, run) in &self.run.appliances {
            let Some(baseline) = run.baseline.as_ref().filter(|_| run.phase != Phase::Skipped)
            else {
                continue;
            };
            for (key, _) in identities(baseline) {
                self.identities.entry(key).or_insert_with(|| name.clone());
            }
        }
    }

    /// Holds a member that was just read, and the one that it is the same as (contract:
    /// semantics.md, `hostname`).
    pub(super) fn hold_twins(
        &mut self,
        name: &ApplianceName,
        baseline: &Baseline,
        commands: &mut Vec<Command>,
    ) {
        for (key, detail) in identities(baseline) {
            let known = self.identities.entry(key).or_insert_with(|| name.clone());
            if known == name {
                continue;
            }
            let other = known.clone();
            let left_out = |name: &ApplianceName| {
                self.run.appliances.get(name).is_none_or(|run| run.phase == Phase::Skipped)
            };
            if left_out(&other) {
                name.clone_into(known);
                continue;
            }
            for (one, twin) in [(name, &other), (&other, name)] {
                // Whoever is down already is watched to its end.
                let holds = self.run.appliances.get(one).is_some_and(|run| {
                    !run.phase.is_terminal() && run.upgrade.is_none() && run.phase != Phase::Held
                });
                if !holds {
                    continue;
                }
                if let Some(step) = self.active.remove(one) {
                    self.free_transfer(one, step);
                    commands.push(Command::Cancel(one.clone()));
                }
                // Nothing is begun for it until the hold is written.
                self.leaving.insert(one.clone());
                let reason =
                    HoldReason::SameAppliance { other: twin.clone(), detail: detail.clone() };
                let change = ApplianceChange::Held(reason);
                commands.push(Command::Record(Change::Appliance(one.clone(), change)));
            }
            return;
        }
    }
}

/// What an appliance is known by, and how that is said.
fn identities(baseline: &Baseline) -> impl Iterator<Item = (String, String)> {
    let certificate = baseline.hostname.as_ref().zip(baseline.leaf.as_ref()).map(|(host, leaf)| {
        let host = host.to_ascii_lowercase();
        let detail = format!("host name {host} behind one certificate");
        (format!("{host} {leaf}"), detail)
    });
    let node = baseline
        .node
        .as_ref()
        .map(|node| (format!("node {node}"), format!("node {node} of one cluster")));
    certificate.into_iter().chain(node)
}
