//! What an appliance needs next, from its fold alone: the same answer before and after a restart.

use jiff::Timestamp;
use model::event::{ActKind, Step};
use model::plan::Plan;
use model::run::{ApplianceRun, Phase};

/// What an appliance needs next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
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
}

/// `again`: it was held when this process began, and is looked at once more.
pub(super) fn want(run: &ApplianceRun, plan: &Plan, again: bool, now: Timestamp) -> Want {
    match run.phase {
        Phase::Succeeded | Phase::UpToDate | Phase::Failed | Phase::Skipped => ended(run),
        Phase::Held if !again && run.dark => Want::Step(Step::Watch),
        Phase::Held if !again => Want::Nothing,
        Phase::Unknown => Want::Nothing,
        Phase::SetAside => match run.retry_at {
            Some(at) if at > now => Want::Later(at),
            _ => Want::Step(Step::Preflight),
        },
        Phase::Ready => next_step(run, plan),
        Phase::Held
        | Phase::Attended
        | Phase::Pending
        | Phase::Preflight
        | Phase::Staging
        | Phase::Testing
        | Phase::Draining
        | Phase::Activating
        | Phase::Returning
        | Phase::Verifying => match next_step(run, plan) {
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
        Some(ActKind::Upgrade | ActKind::Reboot) => false,
        Some(ActKind::StartFetch | ActKind::DeleteFetch) => true,
        Some(ActKind::Upload | ActKind::DeleteSlot) | None => {
            run.stage.records_left().next().is_some()
        }
    }
}

/// A finished appliance may have left something behind, or be down still.
fn ended(run: &ApplianceRun) -> Want {
    if leaves_work(run) {
        Want::Step(Step::Cleanup)
    } else if run.is_down() {
        Want::Step(Step::Watch)
    } else {
        Want::Nothing
    }
}

fn next_step(run: &ApplianceRun, plan: &Plan) -> Want {
    if let Some(upgrade) = &run.upgrade {
        let step = if upgrade.returned.is_some() { Step::Verify } else { Step::Return };
        return Want::Step(step);
    }
    if run.baseline.is_none() {
        return Want::Step(Step::Preflight);
    }
    if run.stage.how.is_none() || run.stage.slot.is_none() {
        return if adopts(run, plan) { Want::Step(Step::Stage) } else { Want::Transfer };
    }
    if run.tested.is_none() {
        return Want::Step(Step::Test);
    }
    match (run.permitted, run.is_down()) {
        (true, _) => Want::Step(Step::Activate),
        // It stopped answering while it waited: it is down, and comes first to be seen up again.
        (false, true) => Want::Step(Step::Watch),
        (false, false) => Want::Permit,
    }
}

/// Whether a slot held the target before we came: no bytes are moved, no place is needed.
fn adopts(run: &ApplianceRun, plan: &Plan) -> bool {
    let slots = run.baseline.as_ref().map_or(&[][..], |baseline| &baseline.slots);
    let good = |slot: &&model::observed::Slot| {
        slot.holds(&plan.firmware.version) && !run.stage.bad_slots.contains(&slot.key)
    };
    plan.firmware.adopt && run.stage.jobs.is_empty() && slots.iter().find(good).is_some()
}
