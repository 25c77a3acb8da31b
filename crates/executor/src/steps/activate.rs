//! The upgrade call: looked at before, written down before, sent once, watched from its intent on.

use std::sync::Arc;
use std::time::Duration;

use futures::future::{Either, join_all, select};
use model::event::{Act, ActKind, ActOutcome, ApplianceChange, FailureCode, Step};
use model::failure::{ApplianceError, Became, FailureClass};
use model::hold::HoldReason;
use model::names::{ApplianceName, SlotKey};
use model::observed::{TestReport, describe_slots};

use super::ask::{TWO_LOOKS, is_silence, set_aside};
use super::context::{Context, Deadline, unsigned};
use super::sight::Watcher;
use super::stage::settle_open;
use super::{Done, Stop, fail, hold, questions, refused};

const STEP: Step = Step::Activate;

/// How long the looks before the call may take; after that the permit is given back.
const LOOKS: Duration = Duration::from_secs(30);

/// Calls that are known to have done nothing, before that is a failure.
const CALLS: u32 = 3;

pub(super) async fn activate(context: &mut Context) -> Done {
    let Some(slot) = context.run.tested.clone() else {
        return Err(fail(STEP, FailureCode::NotReady, "no slot was tested"));
    };
    if context.run.calls >= CALLS {
        let text = format!(
            "the upgrade call had no effect, {CALLS} times; look at the appliance, then `retry`"
        );
        return Err(fail(STEP, FailureCode::UpgradeRefused, text));
    }
    let deadline = Deadline(context.monotonic() + LOOKS);
    settle_open(context, STEP, deadline).await?;
    look_at_itself(context, &slot).await?;
    look_at_partners(context).await;
    if let Err(reason) = context.intend(Act::Upgrade { slot: slot.clone() }).await {
        return Err(withdrawn(reason.to_string()));
    }
    let port = Arc::clone(&context.port);
    let message = context.plan.message.clone();
    let limit = unsigned(context.plan.timeouts.upgrade);
    let call = Box::pin(async move { port.upgrade(&slot, &message, limit).await });
    let watch = Box::pin(until_restart(context));
    let reply = match select(call, watch).await {
        Either::Left((reply, _)) => Some(reply),
        Either::Right(((), _)) => None,
    };
    match reply {
        Some(reply) => replied(context, reply),
        None => {
            context.outcome(
                ActKind::Upgrade,
                ActOutcome::ReplyLost,
                "it restarted before it replied",
            );
            Ok(())
        }
    }
}

fn withdrawn(why: String) -> Stop {
    Box::new(ApplianceChange::Withdrawn { why })
}

/// Watches beside the call: it runs the whole firmware test before it answers.
async fn until_restart(context: &mut Context) {
    let mut watcher = Watcher::default();
    let began = context.monotonic();
    loop {
        let pause = watcher.pause(context, context.monotonic() - began);
        context.sleep(pause).await;
        watcher.knows(context);
        watcher.look(context).await;
        if context.run.upgrade.as_ref().is_some_and(|upgrade| upgrade.restart_at.is_some()) {
            return;
        }
    }
}

fn replied(context: &mut Context, reply: Result<TestReport, ApplianceError>) -> Done {
    let error = match reply {
        Ok(report) => {
            let saw = format!("accepted: {}", report.summary.trim().replace('\n', "; "));
            context.outcome(ActKind::Upgrade, ActOutcome::Done { job: None, slot: None }, saw);
            return Ok(());
        }
        Err(error) => error,
    };
    let saw = error.to_string();
    match error.class.became() {
        Became::NotSent => {
            context.outcome(ActKind::Upgrade, ActOutcome::NotDone, saw);
            Ok(())
        }
        Became::Unknown => {
            context.outcome(ActKind::Upgrade, ActOutcome::ReplyLost, saw);
            Ok(())
        }
        // Another administrator's lock, say: nothing is known of such answers, so look first.
        Became::Refused if !proves_refusal(&error) => {
            context.outcome(ActKind::Upgrade, ActOutcome::ReplyLost, saw);
            Ok(())
        }
        Became::Refused => {
            context.outcome(ActKind::Upgrade, ActOutcome::NotDone, saw);
            if error.error_type.as_deref() == Some("ResourceNotFound") {
                let detail = format!("the tested slot is empty now: {error}");
                return Err(hold(HoldReason::ChangedByOthers { detail }));
            }
            Err(refused(STEP, FailureCode::UpgradeRefused, &error))
        }
    }
}

/// Whether the answer is one that is known to be given before anything is done (contract:
/// semantics.md, "Not done"; types: sps-api.md, section 2).
fn proves_refusal(error: &ApplianceError) -> bool {
    const TYPES: [&str; 6] = [
        "FirmwareTestFailed",
        "IncompleteRequestBodyError",
        "ResourceNotFound",
        "Unauthenticated",
        "Unauthorized",
        "UpgradeMessageMissing",
    ];
    match error.class {
        FailureClass::Refused => {}
        FailureClass::Local => return false,
        // The class says it: the test failed, or nothing was sent without proof or password.
        _ => return true,
    }
    let named = error.error_type.as_deref();
    match error.status {
        Some(401 | 403 | 411) => true,
        Some(400) => named.is_some(),
        _ => named.is_some_and(|named| TYPES.contains(&named)),
    }
}

/// The slot still holds what was tested, nobody selected another one, and the old version runs.
async fn look_at_itself(context: &mut Context, slot: &SlotKey) -> Done {
    let deadline = Deadline(context.monotonic() + LOOKS);
    let info = before_call(context, STEP, deadline, questions::info()).await?;
    let slots = before_call(context, STEP, deadline, questions::slots()).await?;
    let listed = describe_slots(&slots);
    let known = context.run.version.as_ref();
    if known.is_some_and(|known| *known != info.firmware_version) {
        let detail =
            format!("it runs {} now, which this rollout did not do", info.firmware_version);
        return Err(hold(HoldReason::ChangedByOthers { detail }));
    }
    if let Some(armed) = slots.iter().find(|slot| slot.is_armed()) {
        return Err(hold(if armed.holds(&context.firmware().version) {
            HoldReason::AlreadyArmed { slots: listed }
        } else {
            HoldReason::OtherFirmwareArmed { slots: listed }
        }));
    }
    let staged = slots.iter().find(|found| found.key == *slot);
    if staged.is_some_and(|found| found.holds(&context.firmware().version)) {
        return Ok(());
    }
    let detail = format!("slot {slot} was tested and no longer holds the target ({listed})");
    Err(hold(HoldReason::ChangedByOthers { detail }))
}

/// A read just before the call: silence gives the permit back, the appliance is seen up first.
pub(super) async fn before_call<T>(
    context: &mut Context,
    step: Step,
    deadline: Deadline,
    question: questions::Question<T>,
) -> Done<T> {
    match context.try_ask(deadline, question).await {
        Ok(answer) => Ok(answer),
        // Silent for two looks it is down, and is not asked for leave again until it answers.
        Err(error) if is_silence(&error) && context.run.dark => {
            Err(set_aside(context, step, error.to_string()))
        }
        Err(error) if is_silence(&error) => Err(withdrawn(error.to_string())),
        Err(error) => Err(refused(step, FailureCode::NotReady, &error)),
    }
}

/// All other members of its redundancy group are looked at anew, in the rollout or not
/// (contract: semantics.md, "Down"). What was seen is written before the act's leave is judged.
pub(super) async fn look_at_partners(context: &mut Context) {
    let partners: Vec<_> =
        context.partners.iter().map(|(name, port)| (name.clone(), Arc::clone(port))).collect();
    let look = |port: Arc<dyn model::ports::Appliance>| async move {
        Context::ready_now(port.as_ref()).await
    };
    let looks = partners.iter().map(|(name, port)| async {
        let seen = match look(Arc::clone(port)).await {
            Ok(()) => Ok(()),
            // Two looks, ten seconds apart, before it counts as down.
            Err(_) => {
                context.sleep(TWO_LOOKS).await;
                look(Arc::clone(port)).await
            }
        };
        (name.clone(), seen)
    });
    let seen: Vec<(ApplianceName, Result<(), String>)> = join_all(looks).await;
    for (name, seen) in seen {
        if seen.is_err() {
            context.suspect(&name);
        }
    }
}
