//! We push the image (sps-api.md, "Upload"). Nothing on this way checks its sum but we ourselves.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures::future::{Either, select};
use model::event::{Act, ActKind, ActOutcome, ApplianceChange, FailureCode, Step};
use model::failure::Became;
use model::names::SlotKey;
use model::observed::{Slot, describe_slots};
use model::rollout::Image;

use crate::pacing;
use crate::steps::context::{Context, Deadline, unsigned};
use crate::steps::{Done, fail, hold, questions, refused};

const STEP: Step = Step::Stage;

/// How long a slot may still appear after all bytes were sent and the reply was lost: the
/// appliance may be installing.
pub(super) const INSTALLING: Duration = Duration::from_mins(2);

/// How long it may still appear when the transfer was cut off before its end.
const CUT_OFF: Duration = Duration::from_secs(10);

/// Sends the image. Afterwards the slot is known, or it is known that nothing arrived.
pub(super) async fn send(context: &mut Context, image: &Image, deadline: Deadline) -> Done {
    let slots = context.ask(STEP, deadline, questions::slots()).await?;
    let full = slots.iter().filter(|slot| slot.content.is_some());
    let filled: Vec<SlotKey> = full.map(|slot| slot.key.clone()).collect();
    context.intend(Act::Upload { filled: filled.clone() }).await.map_err(hold)?;
    let sent = Arc::new(AtomicU64::new(0));
    match transfer(context, image, &sent).await {
        Ok(uploaded) => {
            let slot = uploaded.slot.key.clone();
            if uploaded.sha256 != context.firmware().sha256 {
                return Err(wrong_sum(context, slot, &uploaded.sha256));
            }
            let done = ActOutcome::Done { job: None, slot: Some(slot.clone()) };
            context.outcome(ActKind::Upload, done, "the appliance named the slot");
            check_content(context, &uploaded.slot, deadline).await
        }
        Err(error) => match error.class.became() {
            Became::NotSent => {
                context.outcome(ActKind::Upload, ActOutcome::NotDone, error.to_string());
                context.run.last_error = Some(error.to_string());
                Ok(())
            }
            Became::Unknown => {
                context.outcome(ActKind::Upload, ActOutcome::ReplyLost, error.to_string());
                context.run.last_error = Some(error.to_string());
                let whole = sent.load(Ordering::Relaxed) >= image.size;
                let patience = if whole { INSTALLING } else { CUT_OFF };
                observe(context, STEP, &filled, patience, deadline).await
            }
            Became::Refused => {
                context.outcome(ActKind::Upload, ActOutcome::NotDone, error.to_string());
                Err(refused(STEP, FailureCode::StageFailed, &error))
            }
        },
    }
}

/// The transfer itself, with progress into the journal now and then.
async fn transfer(
    context: &mut Context,
    image: &Image,
    sent: &Arc<AtomicU64>,
) -> Result<model::observed::Uploaded, model::failure::ApplianceError> {
    let counter = Arc::clone(sent);
    let count = Arc::new(move |bytes: u64| counter.store(bytes, Ordering::Relaxed));
    let stall = unsigned(context.plan.timeouts.stall);
    let port = Arc::clone(&context.port);
    let mut upload = port.upload(image, stall, count);
    let mut pause = Duration::from_secs(1);
    loop {
        let tick = context.shared.clock.sleep(pause);
        match select(upload, tick).await {
            Either::Left((result, _)) => return result,
            Either::Right(((), rest)) => {
                upload = rest;
                pause = pacing::LONGEST;
                let done = sent.load(Ordering::Relaxed);
                context.record(ApplianceChange::Progress { done, total: image.size });
            }
        }
    }
}

fn wrong_sum(
    context: &mut Context,
    slot: SlotKey,
    found: &model::Sha256Hex,
) -> Box<ApplianceChange> {
    let why = format!(
        "the image that was sent has the SHA-256 {found}, the rollout says {}; slot {slot} must not be used",
        context.firmware().sha256
    );
    context.record(ApplianceChange::SlotBad { slot: Some(slot.clone()), why: why.clone() });
    let done = ActOutcome::Done { job: None, slot: Some(slot) };
    context.outcome(ActKind::Upload, done, "the content is not the image");
    fail(STEP, FailureCode::WrongImage, why)
}

/// A slot with another version than the target is not the image that was meant.
async fn check_content(context: &mut Context, named: &Slot, deadline: Deadline) -> Done {
    let slot = context.ask(STEP, deadline, questions::slot(&named.key)).await?;
    if slot.holds(&context.firmware().version) {
        return Ok(());
    }
    let holds = describe_slots(std::slice::from_ref(&slot));
    let why = format!("the uploaded image is not {} ({holds})", context.firmware().version);
    context.record(ApplianceChange::SlotBad { slot: Some(slot.key), why: why.clone() });
    Err(fail(STEP, FailureCode::WrongImage, why))
}

/// After a lost reply: a slot that holds the target and held nothing at the intent is ours.
pub(super) async fn observe(
    context: &mut Context,
    step: Step,
    filled: &[SlotKey],
    patience: Duration,
    deadline: Deadline,
) -> Done {
    let began = context.monotonic();
    // Whoever allows a transfer less time to stand still allows an installation no more.
    let patience = patience.min(unsigned(context.plan.timeouts.stall));
    let until = Deadline((began + patience).min(deadline.0));
    loop {
        let slots = context.ask(step, deadline, questions::slots()).await?;
        let new = |slot: &&Slot| slot.content.is_some() && !filled.contains(&slot.key);
        let listed = describe_slots(&slots);
        let hit = slots.iter().find(|slot| new(slot) && slot.holds(&context.firmware().version));
        if let Some(slot) = hit {
            // What was sent whole is known even where its reply was lost.
            let sent = context.port.uploaded_sum();
            if let Some(sum) = sent.filter(|sum| *sum != context.firmware().sha256) {
                return Err(wrong_sum(context, slot.key.clone(), &sum));
            }
            let done = ActOutcome::Done { job: None, slot: Some(slot.key.clone()) };
            context.outcome(ActKind::Upload, done, format!("slot {} is new ({listed})", slot.key));
            return Ok(());
        }
        if context.left(until).is_zero() {
            let saw = format!("no new slot holds the target ({listed})");
            context.outcome(ActKind::Upload, ActOutcome::NotDone, saw);
            return Ok(());
        }
        let elapsed = context.monotonic() - began;
        context.sleep(pacing::by_elapsed(elapsed).min(context.left(until))).await;
    }
}
