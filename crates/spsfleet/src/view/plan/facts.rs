//! What holds for a whole plan, one line each.

use model::plan::Plan;
use model::rollout::{
    DrainOtherwise, FailureBudget, Firmware, Hook, MakeRoom, OnBreach, StageMode,
};

use super::calendars;
use crate::view::words;

/// Name and value of each.
pub(super) fn facts(plan: &Plan) -> Vec<(&'static str, String)> {
    let mut facts = Vec::new();
    for hop in &plan.via {
        facts.push(("first", format!("{}, where it is not passed already", hop.version)));
        firmware(hop, &mut facts);
    }
    if !plan.via.is_empty() {
        facts.push(("then", plan.firmware.version.to_string()));
    }
    firmware(&plan.firmware, &mut facts);
    facts.push(("message", plan.message.clone()));
    let limits = &plan.limits;
    facts.push((
        "limits",
        format!(
            "{} down at once, {} transfers, {} requests per second",
            limits.unavailable, limits.transfers, limits.requests_per_second
        ),
    ));
    for (site, limits) in &plan.sites {
        let parts = [
            limits.unavailable.map(|limit| format!("{limit} down at once")),
            limits.transfers.map(|limit| format!("{limit} transfers")),
            limits.requests_per_second.map(|limit| format!("{limit} requests per second")),
        ];
        let parts: Vec<String> = parts.into_iter().flatten().collect();
        if !parts.is_empty() {
            facts.push(("site", format!("{site}: {}", parts.join(", "))));
        }
    }
    for (group, limit) in &plan.groups {
        facts.push(("group", format!("{group}: {limit} down at once")));
    }
    facts.extend(calendars::facts(plan));
    if plan.stage == StageMode::InWindow {
        facts.push(("stage", "each appliance inside its window".to_owned()));
    }
    if plan.make_room == MakeRoom::Oldest {
        facts.push(("slots", "the oldest that is not needed is emptied to make room".to_owned()));
    }
    if let Some(drain) = &plan.drain {
        let then = match drain.otherwise {
            DrainOtherwise::Hold => "then a person decides",
            DrainOtherwise::Proceed => "then they are cut",
        };
        let (most, wait) = (words::sessions(drain.sessions), words::duration(drain.wait));
        facts.push(("drain", format!("until at most {most}, for {wait} at most, {then}")));
    }
    for (kind, Hook { command, timeout }) in &plan.hooks {
        let limit = words::duration(*timeout);
        facts.push(("hook", format!("{}: {} ({limit} at most)", kind.name(), command.join(" "))));
    }
    if plan.checks.support_bundle {
        facts.push(("bundles", "of those that fail, beside the database".to_owned()));
    }
    let budget = budget(&plan.failure_budget, plan.appliances.len());
    facts.push(("budget", budget));
    facts.push(("digest", plan.digest.to_string()));
    facts
}

fn firmware(firmware: &Firmware, facts: &mut Vec<(&'static str, String)>) {
    if let Some(url) = &firmware.fetch {
        facts.push(("fetch", format!("{url} (each appliance pulls it)")));
    }
    if let Some(image) = &firmware.upload {
        let size =
            if image.size == 0 { String::new() } else { format!(", {}", words::bytes(image.size)) };
        let when =
            if firmware.fetch.is_some() { "where fetch is not offered" } else { "sent by us" };
        facts.push(("upload", format!("{}{size} ({when})", image.path)));
    }
    facts.push(("sha256", firmware.sha256.to_string()));
    if firmware.adopt {
        facts.push(("adopt", "a slot that already holds the version is used".to_owned()));
    }
}

/// When failures stop what.
pub(super) fn budget(budget: &FailureBudget, selected: usize) -> String {
    let then = match budget.on_breach {
        OnBreach::Pause => "pauses the rollout",
        OnBreach::Abort => "aborts the rollout",
    };
    match budget.breached_at(selected) {
        Some(1) => format!("the first failure {then}"),
        Some(limit) => format!("failure number {limit} {then}"),
        None => "failures do not stop the rollout".to_owned(),
    }
}
