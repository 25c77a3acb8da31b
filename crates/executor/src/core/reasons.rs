//! Why each appliance waits, from the fold alone: the same answer in a running process and from
//! the database beside it.

use std::collections::BTreeMap;

use jiff::Timestamp;
use model::hold::HoldReason;
use model::names::ApplianceName;
use model::rollout::StageMode;
use model::run::{ApplianceRun, Phase, Run};

use super::account::{limits_of, membership};

/// The reason of every appliance that waits now.
#[must_use]
pub fn reasons(run: &Run, now: Timestamp) -> BTreeMap<ApplianceName, HoldReason> {
    let mut occupancy = limits_of(run);
    for (name, state) in &run.appliances {
        if state.takes_places()
            && let Some(who) = membership(run, name)
        {
            occupancy.take(&who);
        }
    }
    for name in &run.dark_bystanders {
        if let Some(who) = membership(run, name) {
            occupancy.take(&who);
        }
    }
    let mut reasons = BTreeMap::new();
    for wave in &run.plan.waves {
        for name in &wave.appliances {
            let Some(state) = run.appliances.get(name) else { continue };
            let reason = match state.phase {
                Phase::Ready if !state.permitted => ready_reason(run, name).or_else(|| {
                    let who = membership(run, name)?;
                    occupancy.may_go_down(&who).err()
                }),
                Phase::Pending | Phase::Preflight | Phase::Staging | Phase::Testing => {
                    staging_reason(run, name, state)
                }
                _ => state_reason(run, state, now),
            };
            if let Some(reason) = reason {
                reasons.insert(name.clone(), reason);
            }
        }
    }
    reasons
}

fn state_reason(run: &Run, state: &ApplianceRun, now: Timestamp) -> Option<HoldReason> {
    match state.phase {
        Phase::Held | Phase::Attended | Phase::Unknown => state.hold.clone(),
        Phase::SetAside => {
            let since = state.set_aside_at.unwrap_or(now);
            let until = since.checked_add(run.plan.unreachable_wait).unwrap_or(since);
            Some(HoldReason::Unreachable { since, until })
        }
        _ => None,
    }
}

/// What keeps an appliance from being read, staged or tested. A step that is under way when that
/// comes is finished; after a restart it waits with the others.
fn staging_reason(run: &Run, name: &ApplianceName, state: &ApplianceRun) -> Option<HoldReason> {
    if run.pause.is_some_and(|pause| pause.all) {
        return Some(HoldReason::Paused);
    }
    if run.plan.stage == StageMode::InWindow
        && let Some(reason) = earlier_wave(run, name)
    {
        return Some(reason);
    }
    let member = run.plan.appliances.get(name)?;
    let waits = state.phase == Phase::Pending && state.baseline.is_some();
    (waits && state.stage.how.is_none())
        .then(|| HoldReason::TransferLimit { limit: run.plan.site_transfers(&member.site) })
}

/// What keeps every ready appliance of the rollout or of its wave.
fn ready_reason(run: &Run, name: &ApplianceName) -> Option<HoldReason> {
    if run.pause.is_some() {
        return Some(HoldReason::Paused);
    }
    if let Some(breach) = run.breach {
        return Some(HoldReason::BudgetReached { failures: breach.failures, limit: breach.limit });
    }
    earlier_wave(run, name)
}

/// The wave whose turn it is, when that is an earlier one.
fn earlier_wave(run: &Run, name: &ApplianceName) -> Option<HoldReason> {
    let mut waves = run.plan.waves.iter();
    let current = waves.find(|wave| !run.waves_finished.contains(&wave.name))?;
    if !waves.any(|later| later.appliances.contains(name)) {
        return None;
    }
    let unfinished = |name: &&ApplianceName| {
        run.appliances.get(*name).is_some_and(|state| !state.phase.is_terminal())
    };
    let unfinished = current.appliances.iter().filter(unfinished).count();
    Some(HoldReason::EarlierWave { wave: current.name.clone(), unfinished })
}
