//! What an appliance needs next, from its fold alone: the same answer before and after a restart.

use jiff::Timestamp;
use model::event::{ActKind, Failure, FailureCode, HookPoint, Step};
use model::names::ApplianceName;
use model::plan::Plan;
use model::run::{ApplianceRun, HookState, Phase, Run};

/// What an appliance needs next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Want {
    /// Nothing; it is finished or waits for a person.
    Nothing,
    /// To be asked again then.
    Later(Timestamp),
    /// This step, at once.
    Step(Step),
    /// A place for its transfer.
    Transfer,
    /// Leave to go down.
    Permit,
    /// This hook, before it goes on.
    Hook(HookPoint),
}

/// `wave`: the place of its wave. `again`: it was held when this process began, and is looked at
/// once more.
pub(super) fn want(
    run: &Run,
    (name, wave): (&ApplianceName, usize),
    again: bool,
    now: Timestamp,
) -> Want {
    let Some(state) = run.appliances.get(name) else { return Want::Nothing };
    match state.phase {
        Phase::Succeeded | Phase::UpToDate | Phase::Failed | Phase::Skipped => {
            ended(run, wave, state)
        }
        Phase::Held if !again && state.dark => Want::Step(Step::Watch),
        Phase::Held if !again => Want::Nothing,
        Phase::Unknown => Want::Nothing,
        Phase::SetAside => match state.retry_at {
            Some(at) if at > now => Want::Later(at),
            _ => Want::Step(Step::Preflight),
        },
        Phase::Ready => next_step(run, name, state),
        Phase::Held
        | Phase::Attended
        | Phase::Pending
        | Phase::Preflight
        | Phase::Staging
        | Phase::Testing
        | Phase::Draining
        | Phase::Activating
        | Phase::Returning
        | Phase::Verifying => match next_step(run, name, state) {
            // A permit is for a ready appliance. What held it may have changed since its test, and
            // a process may have died over a new test.
            Want::Permit => Want::Step(Step::Test),
            other => other,
        },
    }
}

/// Whether something of ours is still on a finished appliance and can be removed. While the
/// outcome of an upgrade call or a reboot is open nothing else is done there.
pub(super) fn leaves_work(run: &ApplianceRun) -> bool {
    let open = run.open.as_ref().map(|open| open.act.kind());
    match open {
        Some(ActKind::Upgrade | ActKind::Reboot | ActKind::PowerOff | ActKind::PowerOn) => false,
        Some(ActKind::StartFetch | ActKind::DeleteFetch) => true,
        Some(ActKind::Upload | ActKind::DeleteSlot) | None => {
            run.stage.records_left().next().is_some()
        }
    }
}

/// A finished appliance may have left something behind, be down still, owe a look at its
/// secondary, or be watched while its wave soaks and later waves go.
fn ended(run: &Run, wave: usize, state: &ApplianceRun) -> Want {
    if leaves_work(state) {
        Want::Step(Step::Cleanup)
    } else if bundle_is_due(run, state) {
        Want::Step(Step::Bundle)
    } else if state.down || state.dark {
        Want::Step(Step::Watch)
    } else if state.phase == Phase::Succeeded && soaks(run, wave) {
        Want::Step(Step::Soak)
    } else {
        Want::Nothing
    }
}

/// A support bundle says why an appliance failed; one that does not answer has none to give, and
/// one that was never reached has nothing to tell.
pub(super) fn bundle_is_due(run: &Run, state: &ApplianceRun) -> bool {
    let tells = |failure: &Failure| {
        failure.code != FailureCode::Unreachable && failure.step != Step::Preflight
    };
    run.plan.checks.support_bundle
        && !state.bundled
        && !state.dark
        && !state.down
        && state.failure.as_ref().is_some_and(tells)
        && state.phase == Phase::Failed
}

/// Whether the wave of an upgraded appliance is finished and the rollout goes on after it.
fn soaks(run: &Run, at: usize) -> bool {
    if run.aborted || run.finished {
        return false;
    }
    let Some(wave) = run.plan.waves.get(at) else { return false };
    let later = run.plan.waves.iter().skip(at + 1).any(|w| !run.waves_finished.contains(&w.name));
    run.waves_finished.contains(&wave.name) && (later || !wave.soak.is_zero())
}

fn next_step(run: &Run, name: &ApplianceName, state: &ApplianceRun) -> Want {
    if let Some(upgrade) = &state.upgrade {
        let step = match () {
            () if upgrade.returned.is_none() => Step::Return,
            () if state.verified => Step::Rejoin,
            () => Step::Verify,
        };
        return Want::Step(step);
    }
    if state.baseline.is_none() {
        return Want::Step(Step::Preflight);
    }
    if state.stage.how.is_none() || state.stage.slot.is_none() {
        return if adopts(state, &run.plan) { Want::Step(Step::Stage) } else { Want::Transfer };
    }
    if state.tested.is_none() {
        return Want::Step(Step::Test);
    }
    // It stopped answering while it waited: it is down, and comes first to be seen up again.
    if state.is_down() && !state.permitted {
        return Want::Step(Step::Watch);
    }
    // Members of a cluster wait for sessions together, before the first goes down.
    let together = run.plan.cluster_of(name).is_some_and(|(cluster, _)| {
        run.cluster_has_started(cluster) && !run.cluster_has_begun(cluster)
    });
    if !state.permitted && !together {
        // It asks for a place again when a person has settled the hook that failed.
        let stopped = run.failed_hook_of(name).is_some();
        return if stopped { Want::Nothing } else { Want::Permit };
    }
    if !run.plan.hooks.is_empty()
        && let Some(point) =
            run.hooks_before(name).find(|point| run.hook_is_due(point.kind, &point.of))
    {
        return hook(run, point);
    }
    let drains = run.plan.drain.is_some() && !run.is_in_begun_cluster(name);
    if drains && state.drained.is_none() {
        return Want::Step(Step::Drain);
    }
    if state.permitted { Want::Step(Step::Activate) } else { Want::Permit }
}

/// A hook that failed waits for a person.
fn hook(run: &Run, point: HookPoint) -> Want {
    match run.hooks.get(&point).map(|record| &record.state) {
        None | Some(HookState::Open) => Want::Hook(point),
        Some(HookState::Done | HookState::Failed(_) | HookState::Unknown(_)) => Want::Nothing,
    }
}

/// Whether a slot held the target before we came: no bytes are moved, no place is needed.
fn adopts(run: &ApplianceRun, plan: &Plan) -> bool {
    let firmware = plan.hop(run.hop);
    let slots = run.baseline.as_ref().map_or(&[][..], |baseline| &baseline.slots);
    let good = |slot: &&model::observed::Slot| {
        slot.holds(&firmware.version) && !run.stage.bad_slots.contains(&slot.key)
    };
    let live = run.stage.jobs.iter().any(|job| !job.failed);
    firmware.adopt && !live && slots.iter().find(good).is_some()
}
