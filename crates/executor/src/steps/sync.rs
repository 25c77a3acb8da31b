//! After the last member of a cluster: does central management see all of them in agreement?
//! (sps-api.md, section 6: `sync_status`, `health_status`, `issues`).

use model::event::{ApplianceChange, FailureCode, Step};
use model::observed::{ClusterNode, HealthCheck};

use super::context::Context;
use super::roster::describe;
use super::{Done, fail, questions};
use crate::pacing;

const STEP: Step = Step::Sync;

/// The name of the check.
const CHECK: &str = "cluster sync";

pub(super) async fn sync(context: &mut Context) -> Done {
    // The time counts from the last member, over restarts too.
    let last = context.members.values().map(|run| run.since).max().unwrap_or_else(|| context.now());
    let deadline = context.deadline_since(last, context.plan.timeouts.verify);
    let began = context.monotonic();
    loop {
        let nodes = context.ask(STEP, deadline, questions::cluster_status()).await?;
        let bad: Vec<String> = nodes.iter().filter_map(disagrees).collect();
        if bad.is_empty() {
            let saw = describe(&nodes);
            check(context, &saw, true);
            context.record(ApplianceChange::ClusterSynced { saw });
            return Ok(());
        }
        let left = context.left(deadline);
        if left.is_zero() {
            check(context, &describe(&nodes), false);
            let text = format!(
                "all members are upgraded, but central management sees {}; settle that, then `retry`",
                bad.join("; ")
            );
            return Err(fail(STEP, FailureCode::VerifyFailed, text));
        }
        let elapsed = context.monotonic() - began;
        context.sleep(pacing::by_elapsed(elapsed).min(left)).await;
    }
}

/// The check of the cluster as a whole, beside those of central management's own health.
fn check(context: &mut Context, saw: &str, good: bool) {
    let mut checks = context.run.checks.clone();
    checks.retain(|check| check.name != CHECK);
    checks.push(HealthCheck {
        name: CHECK.to_owned(),
        before: context.run.roster.clone(),
        after: Some(saw.to_owned()),
        good,
    });
    context.record(ApplianceChange::Checked(checks));
}

/// What is bad about a member; any other word than `pending` is good.
fn disagrees(node: &ClusterNode) -> Option<String> {
    let name = node.fqdn.as_ref().unwrap_or(&node.key);
    let seen = node.last_seen.as_ref().map_or(String::new(), |at| format!(", last seen {at}"));
    if !node.healthy {
        return Some(format!("{name} down{seen}"));
    }
    if node.sync_status.as_deref().is_some_and(|word| word.eq_ignore_ascii_case("pending")) {
        return Some(format!("the configuration of {name} pending{seen}"));
    }
    (!node.warnings.is_empty()).then(|| format!("warnings of {name}: {}", node.warnings.join(", ")))
}
