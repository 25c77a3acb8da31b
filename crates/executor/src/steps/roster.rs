//! Before a cluster begins: does central management see the members that the inventory names, all
//! of them up? (sps-api.md, section 6, "Central cluster").

use std::collections::BTreeSet;
use std::time::Duration;

use model::event::{ApplianceChange, Failure, FailureCode, Step};
use model::hold::HoldReason;
use model::names::ApplianceName;
use model::observed::ClusterNode;
use model::run::ApplianceRun;

use super::context::{Context, Deadline};
use super::{Done, hold, questions};

const STEP: Step = Step::Roster;

/// How long central management may be silent.
const PATIENCE: Duration = Duration::from_mins(2);

pub(super) async fn roster(context: &mut Context) -> Done {
    let deadline = Deadline(context.monotonic() + PATIENCE);
    let detail = match context.try_ask(deadline, questions::cluster_status()).await {
        Ok(nodes) => match differences(context, &nodes) {
            differences if differences.is_empty() => {
                let saw = describe(&nodes);
                context.record(ApplianceChange::ClusterAgrees { saw });
                return Ok(());
            }
            differences => differences.join("; "),
        },
        Err(error) => format!("central management cannot say: {error}"),
    };
    let Some(cluster) = context.appliance.cluster.as_ref().map(|member| member.name.clone()) else {
        return Ok(());
    };
    let reason = HoldReason::ClusterDiffers { cluster, detail };
    if context.run.phase.is_terminal() {
        // Central management is at the target already: there is nothing to hold but the cluster.
        let text = reason.to_string();
        let failure = Failure { step: STEP, code: FailureCode::NotReady, text };
        return Err(Box::new(ApplianceChange::Failed(failure)));
    }
    Err(hold(reason))
}

/// What central management sees, in one line.
pub(super) fn describe(nodes: &[ClusterNode]) -> String {
    let is_pending = |node: &&ClusterNode| {
        node.sync_status.as_deref().is_some_and(|word| word.eq_ignore_ascii_case("pending"))
    };
    let down = nodes.iter().filter(|node| !node.healthy).count();
    let pending = nodes.iter().filter(is_pending).count();
    let warned = nodes.iter().filter(|node| !node.warnings.is_empty()).count();
    let mut said = vec![format!("{} members", nodes.len())];
    for (count, what) in [(down, "down"), (pending, "pending"), (warned, "with warnings")] {
        if count > 0 {
            said.push(format!("{count} {what}"));
        }
    }
    if said.len() == 1 {
        said.push("all in agreement".to_owned());
    }
    said.join(", ")
}

/// What central management sees otherwise than the inventory.
fn differences(context: &Context, nodes: &[ClusterNode]) -> Vec<String> {
    let mut found = Vec::new();
    let fqdn = |node: &ClusterNode| node.fqdn.clone().unwrap_or_else(|| node.key.clone());
    for node in nodes.iter().filter(|node| !node.healthy) {
        found.push(format!("{} is down", fqdn(node)));
    }
    let mut left: BTreeSet<usize> = (0..nodes.len()).collect();
    let mut missing = Vec::new();
    for (name, run) in &context.members {
        let known = names_of(context, name, run);
        let hit = left.iter().copied().find(|at| nodes.get(*at).is_some_and(|n| is(n, &known)));
        match hit {
            Some(at) => {
                left.remove(&at);
            }
            None => missing.push(name.to_string()),
        }
    }
    // Where no name fits at all, names are written in another way here: then numbers must do.
    let comparable = missing.len() < context.members.len();
    if comparable || nodes.len() != context.members.len() {
        let extra: Vec<String> = left.iter().filter_map(|at| nodes.get(*at)).map(fqdn).collect();
        if !missing.is_empty() {
            found.push(format!("it does not know {}", missing.join(", ")));
        }
        if !extra.is_empty() {
            found.push(format!("it has members that are not declared: {}", extra.join(", ")));
        }
    }
    found
}

/// By what a member may be known to central management.
fn names_of(context: &Context, name: &ApplianceName, run: &ApplianceRun) -> Vec<String> {
    let entry = context.plan.appliances.get(name);
    let hostname = run.baseline.as_ref().and_then(|baseline| baseline.hostname.clone());
    let declared = entry.and_then(|entry| entry.hostname.clone());
    let address = entry.map(|entry| entry.endpoint.address.clone());
    [hostname, declared, address, Some(name.to_string())]
        .into_iter()
        .flatten()
        .map(|name| name.to_ascii_lowercase())
        .collect()
}

fn is(node: &ClusterNode, names: &[String]) -> bool {
    let Some(fqdn) = node.fqdn.as_ref().map(|fqdn| fqdn.to_ascii_lowercase()) else { return false };
    let short = |name: &str| name.split('.').next().unwrap_or_default().to_owned();
    names.iter().any(|name| {
        let address = name.parse::<std::net::IpAddr>().is_ok();
        *name == fqdn || !address && short(name) == short(&fqdn)
    })
}
