//! The node behind the switch was not the secondary: it is switched on again. And how power is asked
//! for, here and when a pair rejoins.

use std::sync::Arc;

use model::decision::PersonStep;
use model::event::{Act, ActKind, ActOutcome, ApplianceChange, FailureCode};
use model::failure::Became;
use model::ports::{PowerState, PowerSwitch};

use super::{CLOSELY, LEAVE_AGAIN, STEP};
use crate::steps::context::{Context, Deadline, unsigned};
use crate::steps::power::{Tries, switch};
use crate::steps::{Stop, fail};

/// Whether the appliance stopped answering while its secondary was to go off: the wrong node was
/// switched off, or both are down.
pub(in crate::steps) fn is_wrong_node(context: &Context) -> bool {
    let pair = &context.run.pair;
    let Some(upgrade) = &context.run.upgrade else { return false };
    let Some(asked) = pair.off_asked else { return false };
    if pair.is_done(PersonStep::SecondaryOff) || upgrade.reboot_at.is_some() {
        return false;
    }
    let Some(restart) = upgrade.restart_at.filter(|restart| *restart >= asked) else {
        return false;
    };
    // Made good, said, and taken up again by a person.
    let over = pair.is_done(PersonStep::SecondaryOn);
    !(over && upgrade.retried_at.is_some_and(|retried| retried > restart))
}

/// Switches the node on again that was switched off by mistake, and gives the pair up. It is the
/// one undo before the primary is verified: nothing was rebooted, so that both nodes hold what they
/// held (contract: semantics.md, "Debts").
pub(in crate::steps) async fn restore(context: &mut Context) -> Stop {
    tracing::error!(appliance = %context.name, "the appliance stopped answering while its secondary was to go off: the node is switched on again");
    let what = match switch_on_again(context).await {
        Ok(()) => "it was switched on again".to_owned(),
        Err(why) => format!("it may still be off ({why}): see to it that it is on"),
    };
    let text = format!(
        "the appliance stopped answering while its secondary was to go off, so that the node behind the power switch is not the secondary: {what}; look at the pair, and correct secondary_power or secondary_check"
    );
    fail(STEP, FailureCode::NotReady, text)
}

async fn switch_on_again(context: &mut Context) -> Result<(), String> {
    let target = context.appliance.ha.as_ref().and_then(|ha| ha.secondary_power.clone());
    let Some(target) = target else { return Err("there is no power switch".to_owned()) };
    let switch = switch(context, &target, PersonStep::SecondaryOn);
    if context.run.open.as_ref().is_some_and(|open| open.act.kind() == ActKind::PowerOff) {
        let done = ActOutcome::Done { job: None, slot: None };
        context.outcome(ActKind::PowerOff, done, "the appliance stopped answering after it");
    }
    let mut tries = Tries::default();
    let mut trouble = "it was asked to go off and its power still reads on".to_owned();
    let limit = unsigned(context.plan.timeouts.r#return);
    let deadline = Deadline(context.monotonic() + limit);
    while !context.run.pair.is_done(PersonStep::SecondaryOn) {
        let asked = context.run.pair.on_asked.is_some();
        match switch.state().await {
            Ok(PowerState::On) if asked => {
                let saw = "its power reads on again".to_owned();
                let step = PersonStep::SecondaryOn;
                context.record(ApplianceChange::PairStepDone { step, saw });
                continue;
            }
            // It still shuts down: to ask now would do nothing.
            Ok(PowerState::On) => {}
            Ok(PowerState::Off) if !asked && tries.may(context.monotonic()) => {
                let asked = ask_on(context, &switch, &mut tries).await;
                trouble = asked.err().unwrap_or_else(|| "its power still reads off".to_owned());
            }
            Ok(PowerState::Off) => {}
            Err(error) => trouble = error.to_string(),
        }
        if context.left(deadline).is_zero() {
            return Err(trouble);
        }
        context.sleep(CLOSELY).await;
    }
    Ok(())
}

/// Asks for power, once. The outcome is journalled.
///
/// # Errors
/// What went wrong, for a person; whether the node is on shows in its power state.
pub(in crate::steps) async fn ask_on(
    context: &mut Context,
    switch: &Arc<dyn PowerSwitch>,
    tries: &mut Tries,
) -> Result<(), String> {
    if let Err(reason) = context.intend(Act::PowerOn).await {
        tries.not_before(context.monotonic() + LEAVE_AGAIN);
        return Err(reason.to_string());
    }
    let error = match switch.on().await {
        Ok(()) => {
            let done = ActOutcome::Done { job: None, slot: None };
            context.outcome(ActKind::PowerOn, done, "it was taken; whether it goes on is seen");
            return Ok(());
        }
        Err(error) => error,
    };
    let saw = error.to_string();
    let outcome = match error.class.became() {
        Became::Unknown => ActOutcome::ReplyLost,
        Became::NotSent => {
            tries.failed(context.monotonic());
            ActOutcome::NotDone
        }
        Became::Refused => {
            tries.give_up();
            ActOutcome::NotDone
        }
    };
    context.outcome(ActKind::PowerOn, outcome, saw.clone());
    Err(saw)
}
