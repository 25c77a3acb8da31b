//! What happened to a rollout as a whole, in words.

use model::decision::Decision;
use model::event::{HookChange, HookPoint, RolloutChange};

use super::{Told, fine, main};
use crate::printer::Style;
use crate::view::words;

/// Says what happened.
pub(super) fn tell(change: &RolloutChange) -> Told {
    match change {
        RolloutChange::PlanAccepted { plan, actor } => main(
            Style::Bold,
            format!(
                "plan accepted by {}: {} to {}, {}",
                actor.name,
                words::count(plan.appliances.len(), "appliance"),
                plan.firmware.version,
                words::count(plan.waves.len(), "wave")
            ),
        ),
        RolloutChange::Replanned { plan, actor } => main(
            Style::Bold,
            format!(
                "planned anew by {}: {}",
                actor.name,
                words::count(plan.appliances.len(), "appliance")
            ),
        ),
        RolloutChange::RunStarted { pid } => fine(format!("process {pid} took the rollout up")),
        RolloutChange::RunStopped { why } => fine(format!("laid down: {why}")),
        RolloutChange::Decided { actor, reason, decision } => {
            let about = about(decision);
            let reason = if reason.is_empty() { String::new() } else { format!(" ({reason})") };
            main(Style::Bold, format!("{} by {}{about}{reason}", decision.verb(), actor.name))
        }
        RolloutChange::BudgetReached { failures, limit, abort } => {
            let then = if *abort { "aborted" } else { "paused" };
            let limit = words::count(*limit, "failure");
            main(
                Style::Warn,
                format!("failure budget of {limit} reached ({failures} failed): {then}"),
            )
        }
        RolloutChange::WaveStarted { wave } => main(Style::Bold, format!("wave {wave} begins")),
        RolloutChange::WaveFinished { wave } => {
            main(Style::Bold, format!("wave {wave} is finished"))
        }
        RolloutChange::ClusterStarted { cluster } => main(
            Style::Bold,
            format!("cluster {cluster} takes its places: its members go down in order"),
        ),
        RolloutChange::ClusterWithdrawn { cluster, why } => {
            main(Style::Warn, format!("cluster {cluster} gives its places back: {why}"))
        }
        RolloutChange::ClusterFinished { cluster } => {
            main(Style::Bold, format!("cluster {cluster} is finished"))
        }
        RolloutChange::Hook { point, change } => tell_hook(point, change),
        RolloutChange::Finished => main(Style::Bold, "finished"),
    }
}

fn tell_hook(point: &HookPoint, change: &HookChange) -> Told {
    let (stops, then) = match point.kind.is_before() {
        true => (Style::Bad, "; it holds what stands behind it"),
        false => (Style::Warn, "; it stops nothing"),
    };
    match change {
        HookChange::Intended => fine(format!("{point} is run")),
        HookChange::Started(process) => fine(format!("{point} runs as process {}", process.pid)),
        HookChange::Done => fine(format!("{point} ended well")),
        HookChange::Failed(detail) => main(stops, format!("{point} failed: {detail}{then}")),
        HookChange::Unknown(detail) => {
            main(stops, format!("whether {point} did its work is not known: {detail}{then}"))
        }
    }
}

fn about(decision: &Decision) -> String {
    match decision {
        Decision::Pause { all, now } => {
            let also = [(*all, "staging too"), (*now, "inside clusters, too")];
            let also: Vec<&str> =
                also.iter().filter(|(on, _)| *on).map(|(_, text)| *text).collect();
            if also.is_empty() { String::new() } else { format!(" ({})", also.join(", ")) }
        }
        Decision::Resume | Decision::Abort => String::new(),
        Decision::AbortNow => " (inside clusters, too)".to_owned(),
        Decision::Retry { appliances } | Decision::Skip { appliances } => {
            format!(": {}", words::names(appliances.iter().map(|name| name.as_str()), 5))
        }
        Decision::Resolve { appliance, done } => {
            format!(": {appliance} {}", if *done { "done" } else { "not-done" })
        }
        Decision::Approve { wave } => format!(": wave {wave}"),
        Decision::Confirm { appliance, step } => format!(": {appliance} {}", step.name()),
        Decision::OverrideFreeze { site, until } => {
            format!(": site {site} until {}", words::moment(*until))
        }
    }
}
