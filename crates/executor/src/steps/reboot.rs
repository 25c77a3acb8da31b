//! An armed appliance: the target is selected for the next boot, the old version runs. Who reboots
//! it is configured; our reboot is an act like any other, asked for once.

use std::sync::Arc;
use std::time::Duration;

use model::decision::PersonStep;
use model::event::{Act, ActKind, ActOutcome, ApplianceChange, Step};
use model::failure::{ApplianceError, Became, FailureClass};
use model::fleet::UpgradeCall;
use model::hold::HoldReason;
use model::observed::Slot;
use model::ports::PowerSwitch;
use model::run::Phase;

use super::activate::look_at_partners;
use super::context::Context;
use super::pair::armed_now;
use super::power::{COMMAND_LIMIT, Tries, beside, restarter};
use super::sight::Watcher;

/// How long a closed window is waited for before it is asked again whether one is open.
pub(super) const WINDOW_AGAIN: Duration = Duration::from_mins(1);

/// So long the partners may be looked at without looking at the appliance itself again.
const QUICK: Duration = Duration::from_secs(1);

/// A program that a dead process of ours started for an act may still be at work: it is waited
/// for, and ended after its time, before anything is judged.
pub(super) async fn await_leftover(context: &mut Context, watcher: &mut Watcher) {
    let Some(process) = context.run.open.as_ref().and_then(|open| open.process) else { return };
    let runner = Arc::clone(&context.shared.commands);
    let gone = async move { runner.await_leftover(process, COMMAND_LIMIT).await };
    if beside(context, watcher, gone).await {
        tracing::info!(appliance = %context.name, pid = process.pid, "waited for a program of an earlier process");
    }
}

/// Goes on with an armed appliance. `fresh`: the slots were read just now.
pub(super) async fn reboot(
    context: &mut Context,
    watcher: &mut Watcher,
    tries: &mut Tries,
    fresh: bool,
    slots: &mut Option<(Duration, Vec<Slot>)>,
) {
    let Some(upgrade) = context.run.upgrade.clone() else { return };
    let Some(armed_at) = upgrade.armed_at else { return };
    let timeouts = &context.plan.timeouts;
    // A person's word that it was rebooted counts as our asking: it is seen, or it did not work.
    let confirmed = context.run.pair.done.get(&PersonStep::Reboot).copied();
    if let Some(asked) = upgrade.reboot_at.max(confirmed) {
        if context.left(context.deadline_since(asked, timeouts.upgrade)).is_zero() {
            let detail = format!("no restart was seen for {:#}", timeouts.upgrade);
            attend(context, HoldReason::RebootFailed { detail });
        }
        return;
    }
    if !context.left(context.deadline_since(armed_at, timeouts.armed_grace)).is_zero() {
        return;
    }
    if context.appliance.upgrade_call == UpgradeCall::Reboots {
        attend(context, HoldReason::ArmedButReboots);
        return;
    }
    match restarter(context) {
        // Whoever reboots it now boots the new firmware outside its window.
        None if context.outside_window() => {
            attend(context, HoldReason::ArmedOutsideWindow { since: armed_at });
        }
        None if context.appliance.ha.is_some() => {
            let since = context.now();
            attend(context, HoldReason::AttendedStep { step: PersonStep::Reboot, since });
        }
        None => attend(context, HoldReason::OperatorReboot { since: armed_at }),
        Some(_) if !tries.may(context.monotonic()) => {}
        // The look before the act must be whole and new: read everything again first.
        Some(_) if !fresh => *slots = None,
        Some(switch) => restart(context, watcher, tries, switch).await,
    }
}

/// Waits for a person, and goes on watching: what the person does is seen.
pub(super) fn attend(context: &mut Context, reason: HoldReason) {
    let waits_so = context.run.hold.as_ref().is_some_and(|held| held.code() == reason.code());
    if context.run.phase != Phase::Attended || !waits_so {
        context.record(ApplianceChange::Held(reason));
    }
}

/// What was waited for has come about by itself, such as a window.
pub(super) fn unattend(context: &mut Context, step: Step) {
    if context.run.phase == Phase::Attended {
        context.record(ApplianceChange::StepStarted(step));
    }
}

async fn restart(
    context: &mut Context,
    watcher: &mut Watcher,
    tries: &mut Tries,
    switch: Arc<dyn PowerSwitch>,
) {
    // Its partners may have gone down since it was armed.
    let began = context.monotonic();
    look_at_partners(context).await;
    // The second look at a silent partner takes longer than the look at itself lasts.
    if context.monotonic() - began > QUICK && armed_now(context, watcher).await.is_none() {
        return;
    }
    match context.intend(Act::Reboot).await {
        Ok(()) => unattend(context, Step::Return),
        Err(reason @ HoldReason::ArmedOutsideWindow { .. }) => {
            attend(context, reason);
            tries.not_before(context.monotonic() + WINDOW_AGAIN);
            return;
        }
        Err(_) => return,
    }
    let result = beside(context, watcher, async move { switch.restart().await }).await;
    settle(context, tries, result);
}

fn settle(context: &mut Context, tries: &mut Tries, result: Result<(), ApplianceError>) {
    let error = match result {
        Ok(()) => {
            let done = ActOutcome::Done { job: None, slot: None };
            context.outcome(ActKind::Reboot, done, "the reboot was taken");
            return;
        }
        Err(error) => error,
    };
    let detail = error.to_string();
    match error.class.became() {
        Became::Unknown => {
            context.outcome(ActKind::Reboot, ActOutcome::ReplyLost, detail.clone());
            // It has ended and said that it did not work; what it did is watched for.
            if error.class == FailureClass::Malformed {
                attend(context, HoldReason::RebootFailed { detail });
            }
        }
        Became::NotSent => {
            context.outcome(ActKind::Reboot, ActOutcome::NotDone, detail.clone());
            if tries.failed(context.monotonic()) {
                attend(context, HoldReason::RebootFailed { detail });
            }
        }
        // What could not be started, or was refused, is a person's to mend.
        Became::Refused => {
            context.outcome(ActKind::Reboot, ActOutcome::NotDone, detail.clone());
            tries.give_up();
            attend(context, HoldReason::RebootFailed { detail });
        }
    }
}
