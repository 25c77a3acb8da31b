//! What a run met, read from its log: a property that never meets a situation proves nothing of it.

use std::collections::{BTreeMap, BTreeSet};

use model::decision::Decision;
use model::event::{Act, ActKind, ActOutcome, ApplianceChange as Is, Change, RolloutChange};
use model::names::ApplianceName;
use model::run::Run;

use super::drive::Drive;
use super::plans::old;

/// What the random runs must meet.
pub(crate) const ALL: [&str; 24] = [
    "a bystander dark",
    "a call not done, made again",
    "a clock set back",
    "a second call after a revert and a retry",
    "aborted by a person",
    "aborted by the budget",
    "an intent that could not be written",
    "armed",
    "died in the middle",
    "given back unused",
    "left out by an abort",
    "paused",
    "paused by the budget",
    "paused with staging",
    "rebooted by us",
    "resolved as done",
    "resolved as not done",
    "resumed",
    "reverted",
    "set aside",
    "several waves",
    "skipped while down",
    "told to stop",
    "unknown",
];

pub(crate) fn met(drive: &Drive) -> BTreeSet<&'static str> {
    let mut met = drive.met.clone();
    let mut run = Run::begin(&drive.log[0]).expect("a run");
    // What came before the next upgrade call of an appliance.
    let mut before: BTreeMap<ApplianceName, &'static str> = BTreeMap::new();
    for (earlier, event) in drive.log.iter().zip(drive.log.iter().skip(1)) {
        met.extend((event.at < earlier.at).then_some("a clock set back"));
        met.extend(match &event.change {
            Change::Rollout(change) => of_rollout(change, &run),
            Change::Appliance(name, Is::Intended(Act::Upgrade { .. })) => before.remove(name),
            Change::Appliance(name, change) => {
                match change {
                    Is::Returned { version } if *version == old() => {
                        before.insert(name.clone(), "a second call after a revert and a retry");
                    }
                    Is::Outcome { act: ActKind::Upgrade, outcome: ActOutcome::NotDone, .. } => {
                        before.insert(name.clone(), "a call not done, made again");
                    }
                    _ => {}
                }
                of_appliance(change, run.appliances.contains_key(name))
            }
        });
        run.apply(event).expect("a log that makes sense");
    }
    met
}

fn of_rollout(change: &RolloutChange, run: &Run) -> Option<&'static str> {
    let down = |name: &ApplianceName| run.appliances.get(name).is_some_and(|state| state.down);
    match change {
        RolloutChange::BudgetReached { abort: true, .. } => Some("aborted by the budget"),
        RolloutChange::BudgetReached { .. } => Some("paused by the budget"),
        RolloutChange::WaveStarted { .. } if !run.waves_finished.is_empty() => {
            Some("several waves")
        }
        RolloutChange::Decided { decision, .. } => match decision {
            Decision::Abort | Decision::AbortNow => Some("aborted by a person"),
            Decision::Pause { all: true, .. } => Some("paused with staging"),
            Decision::Pause { .. } => Some("paused"),
            Decision::Resume => Some("resumed"),
            Decision::Resolve { done: true, .. } => Some("resolved as done"),
            Decision::Resolve { .. } => Some("resolved as not done"),
            Decision::Skip { appliances } => {
                appliances.iter().any(down).then_some("skipped while down")
            }
            Decision::Retry { .. }
            | Decision::Approve { .. }
            | Decision::Confirm { .. }
            | Decision::OverrideFreeze { .. } => None,
        },
        _ => None,
    }
}

fn of_appliance(change: &Is, member: bool) -> Option<&'static str> {
    match change {
        Is::Unreachable if !member => Some("a bystander dark"),
        Is::SetAside { .. } => Some("set aside"),
        Is::Armed => Some("armed"),
        Is::Withdrawn { .. } => Some("given back unused"),
        Is::Returned { version } if *version == old() => Some("reverted"),
        Is::Intended(Act::Reboot) => Some("rebooted by us"),
        Is::Skipped(model::event::SkipReason::Aborted) => Some("left out by an abort"),
        Is::Outcome { outcome: ActOutcome::CannotTell, .. } => Some("unknown"),
        _ => None,
    }
}
