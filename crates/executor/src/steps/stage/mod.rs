//! Puts the image into a slot: one that holds it already, one that a running fetch fills, or one
//! that we fill. Ends with the slot read again and its version equal to the target.

mod fetch;
mod upload;

use std::time::Duration;

use model::event::{Act, ActKind, ActOutcome, ApplianceChange, FailureCode, StagedHow, Step};
use model::failure::ApplianceError;
use model::hold::HoldReason;
use model::names::SlotKey;
use model::observed::{FetchJob, Slot, describe_slots};
use model::rollout::Image;
use model::run::JobRecord;

use super::checks::{Room, room};
use super::cleanup::{remove_left, remove_record};
use super::context::{Context, Deadline};
use super::preflight::check_jobs;
use super::{Done, fail, hold, questions};
use crate::pacing;
use fetch::FetchEnd;

const STEP: Step = Step::Stage;

/// An adopted slot must read the same twice, so far apart (contract: `firmware.adopt`).
const TWO_READS: Duration = Duration::from_secs(10);

/// Transfers in all before staging is a failure (contract: "three jobs at most").
const TRANSFERS: u32 = 3;

/// How often a slot that is to make room is asked to be deleted, when replies are lost.
const DELETES: u32 = 3;

/// The pause before the second and the third transfer.
const BETWEEN_TRANSFERS: [Duration; 2] = [Duration::from_secs(5), Duration::from_secs(20)];

pub(super) async fn stage(context: &mut Context) -> Done {
    let deadline = context.step_deadline(context.plan.timeouts.stage);
    settle_open(context, STEP, deadline).await?;
    let mut asked = 0;
    loop {
        if context.run.stage.filled.is_none() {
            pause_after(context, asked, deadline).await;
        }
        let slots = context.ask(STEP, deadline, questions::slots()).await?;
        if let Some((slot, how)) = ours(context, &slots) {
            return finish(context, slot, how, deadline).await;
        }
        let fetches = context.run.baseline.as_ref().is_some_and(|b| b.offered.fetch);
        let jobs = if fetches {
            context.ask(STEP, deadline, questions::fetch_jobs()).await?
        } else {
            Vec::new()
        };
        check_jobs(context, &jobs)?;
        let job = match job_to_follow(context, &jobs) {
            Some(job) => job,
            None => {
                if let Some(slot) = adoptable(context, &slots, &jobs, deadline).await? {
                    return finish(context, slot, StagedHow::Adopted, deadline).await;
                }
                may_transfer(context, deadline)?;
                asked += 1;
                make_room(context, &slots, deadline).await?;
                match source(context, fetches)? {
                    Source::Upload(image) => {
                        upload::send(context, &image, deadline).await?;
                        continue;
                    }
                    Source::Fetch(url) => match fetch::start(context, &url, &jobs, deadline).await?
                    {
                        Some(job) => job,
                        None => continue,
                    },
                }
            }
        };
        match fetch::follow(context, &job, deadline).await? {
            FetchEnd::Finished(slot) => {
                let how = if job.ours { StagedHow::Fetched } else { StagedHow::FetchAdopted };
                return finish(context, slot, how, deadline).await;
            }
            FetchEnd::Failed(error) => job_failed(context, &job, error, deadline).await?,
        }
    }
}

enum Source {
    Fetch(String),
    Upload(Image),
}

/// Fetch where it is offered; upload never stands in for a fetch that failed.
fn source(context: &Context, fetches: bool) -> Done<Source> {
    let firmware = context.firmware();
    match (&firmware.fetch, &firmware.upload) {
        (Some(url), _) if fetches => Ok(Source::Fetch(url.clone())),
        (_, Some(image)) => Ok(Source::Upload(image.clone())),
        (_, None) => Err(fail(
            STEP,
            FailureCode::FetchNotOffered,
            "it cannot fetch firmware by URL, and there is no image to upload",
        )),
    }
}

/// A slot that we filled before, in this process or an earlier one.
fn ours(context: &Context, slots: &[Slot]) -> Option<(SlotKey, StagedHow)> {
    let stage = &context.run.stage;
    let holds = |key: &SlotKey| {
        let slot = slots.iter().find(|slot| slot.key == *key);
        slot.is_some_and(|slot| slot.holds(&context.firmware().version))
            && !stage.bad_slots.contains(key)
    };
    let uploaded = stage.filled.clone().map(|slot| (slot, StagedHow::Uploaded));
    let staged = stage.slot.clone().zip(stage.how);
    uploaded.into_iter().chain(staged).find(|(slot, _)| holds(slot))
}

/// The job to wait for: ours that is not over, else a live one of the same URL.
fn job_to_follow(context: &mut Context, jobs: &[FetchJob]) -> Option<JobRecord> {
    if let Some(mine) = context.run.stage.live_job().cloned() {
        if jobs.iter().any(|job| job.key == mine.key) {
            return Some(mine);
        }
        // Its record is gone, with the appliance's restart or by another hand.
        let error = "the record of the fetch is gone".to_owned();
        context.record(ApplianceChange::JobFailed { key: mine.key.clone(), error });
        let gone = ApplianceChange::LeftBehind { key: mine.key, why: "gone already".to_owned() };
        context.record(gone);
    }
    let url = context.firmware().fetch.as_ref()?;
    let live = jobs.iter().find(|job| job.status.is_live() && job.url == *url)?;
    let key = live.key.clone();
    let known = context.run.stage.jobs.iter().find(|job| job.key == key).cloned();
    if let Some(known) = known {
        return (!known.failed).then_some(known);
    }
    context.record(ApplianceChange::JobAdopted { key: key.clone() });
    Some(JobRecord { key, ours: false, failed: false, removed: false })
}

/// A slot that held the target before we came, if it is left alone and reads the same twice.
async fn adoptable(
    context: &mut Context,
    slots: &[Slot],
    jobs: &[FetchJob],
    deadline: Deadline,
) -> Done<Option<SlotKey>> {
    if !context.firmware().adopt || jobs.iter().any(|job| job.status.is_live()) {
        return Ok(None);
    }
    let bad = &context.run.stage.bad_slots;
    let good = |slot: &&Slot| slot.holds(&context.firmware().version) && !bad.contains(&slot.key);
    let Some(first) = slots.iter().find(good).cloned() else { return Ok(None) };
    context.sleep(TWO_READS.min(context.left(deadline))).await;
    let second = context.ask(STEP, deadline, questions::slot(&first.key)).await?;
    if second == first {
        return Ok(Some(first.key));
    }
    let detail = format!("slot {} changed while it was read", first.key);
    Err(hold(HoldReason::ChangedByOthers { detail }))
}

/// Reads the slot again and takes it, then removes the record of the fetch.
async fn finish(context: &mut Context, slot: SlotKey, how: StagedHow, deadline: Deadline) -> Done {
    let found = context.ask(STEP, deadline, questions::slot(&slot)).await?;
    if !found.holds(&context.firmware().version) {
        let holds = describe_slots(std::slice::from_ref(&found));
        let target = &context.firmware().version;
        let why =
            format!("the image should be {target}, but the slot holds another version ({holds})");
        context.record(ApplianceChange::SlotBad { slot: Some(slot), why: why.clone() });
        return Err(fail(STEP, FailureCode::WrongImage, why));
    }
    context.record(ApplianceChange::Staged { slot, how });
    remove_left(context).await;
    Ok(())
}

/// A fetch ended without a firmware: tell a cause that repeating does not cure from one that it may.
async fn job_failed(
    context: &mut Context,
    job: &JobRecord,
    error: String,
    deadline: Deadline,
) -> Done {
    context.record(ApplianceChange::JobFailed { key: job.key.clone(), error: error.clone() });
    let soon = Deadline((context.monotonic() + TWO_READS).min(deadline.0));
    if job.ours
        && let Err(why) = remove_record(context, &job.key, soon).await
    {
        tracing::info!(appliance = %context.name, key = %job.key, %why, "a fetch record stays for now");
    }
    let url = context.firmware().fetch.as_deref().unwrap_or_default();
    match fetch::hopeless(&error, url) {
        None => Ok(()),
        Some(FailureCode::NoEmptySlot) => {
            let slots = context.ask(STEP, deadline, questions::slots()).await?;
            let text = format!(
                "the appliance had no slot for the firmware: {error} ({})",
                describe_slots(&slots)
            );
            Err(fail(STEP, FailureCode::NoEmptySlot, text))
        }
        Some(code) => Err(fail(STEP, code, format!("the fetch failed: {error}"))),
    }
}

/// Whether another transfer is allowed.
fn may_transfer(context: &Context, deadline: Deadline) -> Done {
    let begun = context.run.stage.attempts;
    let over = context.left(deadline).is_zero();
    if begun < TRANSFERS && !over {
        return Ok(());
    }
    let tries = if begun == 1 { "1 try".to_owned() } else { format!("{begun} tries") };
    let limit = context.plan.timeouts.stage;
    let time =
        if over { format!(", and the {limit:#} for staging are over") } else { String::new() };
    let last = context.run.last_error.as_ref().map(|why| format!("; the last one: {why}"));
    let text = format!("after {tries} the image is in no slot{time}{}", last.unwrap_or_default());
    Err(fail(STEP, FailureCode::StageFailed, text))
}

/// The pause before the next transfer, growing with those that this step has `asked` for. What
/// is decided then is read after it.
async fn pause_after(context: &Context, asked: usize, deadline: Deadline) {
    let before = asked.min(BETWEEN_TRANSFERS.len());
    if let Some(pause) = before.checked_sub(1).and_then(|n| BETWEEN_TRANSFERS.get(n)) {
        let jitter = 0.75 + context.shared.random.unit() / 2.0;
        context.sleep(pause.mul_f64(jitter).min(context.left(deadline))).await;
    }
}

async fn make_room(context: &mut Context, slots: &[Slot], deadline: Deadline) -> Done {
    let delete = match room(slots, &context.plan, &context.firmware().version) {
        Ok(Room::Empty) => return Ok(()),
        Ok(Room::Delete(slot)) => slot,
        Err((code, text)) => return Err(fail(STEP, code, text)),
    };
    let version =
        delete.content.as_ref().map(|content| content.version.clone()).unwrap_or_default();
    let key = delete.key.clone();
    let mut tries = 0;
    loop {
        let act = Act::DeleteSlot { key: key.clone(), version: version.clone() };
        context.intend(act).await.map_err(hold)?;
        let reply = context.port.delete_slot(&key).await;
        let found = context.ask(STEP, deadline, questions::slot(&key)).await?;
        let Some(content) = found.content else {
            let done = ActOutcome::Done { job: None, slot: None };
            context.outcome(ActKind::DeleteSlot, done, "the slot is empty");
            return Ok(());
        };
        let again = reply.as_ref().is_err_and(ApplianceError::is_passing);
        let saw = match reply {
            Ok(()) => "the slot still holds a firmware".to_owned(),
            Err(error) => error.to_string(),
        };
        context.outcome(ActKind::DeleteSlot, ActOutcome::NotDone, saw.clone());
        tries += 1;
        // Only the very firmware that was to go may be deleted, however often it is asked for.
        if !again || content.version != version || tries == DELETES {
            let text = format!("slot {key} could not be emptied: {saw}");
            return Err(fail(STEP, FailureCode::NoEmptySlot, text));
        }
        context.sleep(pacing::back_off(tries, &context.shared.random)).await;
    }
}

/// Looks what became of an act whose outcome an earlier process or a lost reply left open.
pub(super) async fn settle_open(context: &mut Context, step: Step, deadline: Deadline) -> Done {
    let Some(open) = context.run.open.clone() else { return Ok(()) };
    match open.act {
        Act::StartFetch { known } => {
            fetch::observe(context, step, &known, deadline).await.map(|_| ())
        }
        Act::Upload { filled } => {
            upload::observe(context, step, &filled, upload::INSTALLING, deadline).await
        }
        Act::DeleteFetch { key } => {
            let job = context.ask(step, deadline, questions::fetch_job(&key)).await?;
            let (outcome, saw) = match job {
                None => (ActOutcome::Done { job: None, slot: None }, "the record is gone"),
                Some(_) => (ActOutcome::NotDone, "the record is still there"),
            };
            context.outcome(ActKind::DeleteFetch, outcome, saw);
            Ok(())
        }
        Act::DeleteSlot { key, .. } => {
            let slot = context.ask(step, deadline, questions::slot(&key)).await?;
            let (outcome, saw) = match slot.content {
                None => (ActOutcome::Done { job: None, slot: None }, "the slot is empty"),
                Some(_) => (ActOutcome::NotDone, "the slot still holds a firmware"),
            };
            context.outcome(ActKind::DeleteSlot, outcome, saw);
            Ok(())
        }
        Act::Upgrade { .. } | Act::Reboot | Act::PowerOff { .. } | Act::PowerOn => Ok(()),
    }
}
