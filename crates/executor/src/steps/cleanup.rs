//! Removes the fetch records that we made: the appliance never does it by itself
//! (sps-api.md, "Fetch").

use std::time::Duration;

use model::event::{Act, ActKind, ActOutcome, ApplianceChange, Step};
use model::names::FetchKey;

use super::context::{Context, Deadline};
use super::stage::settle_open;
use super::{Done, questions};
use crate::pacing;

/// How long the removal of a record may hold up what comes next.
const SOON: Duration = Duration::from_secs(20);

/// How long the removal of what we left may take before it is given up and said.
const LIMIT: Duration = Duration::from_mins(2);

pub(super) async fn cleanup(context: &mut Context) -> Done {
    let deadline = Deadline(context.monotonic() + LIMIT);
    // A fetch whose start is not known to have worked may have left a job.
    if settle_open(context, Step::Cleanup, deadline).await.is_err() {
        give_up_open(context);
    }
    let left: Vec<FetchKey> = context.run.stage.records_left().map(|job| job.key.clone()).collect();
    for key in left {
        if let Err(why) = remove_record(context, &key, deadline).await {
            tracing::warn!(appliance = %context.name, %key, %why, "a fetch record is left behind");
            context.record(ApplianceChange::LeftBehind { key, why });
        }
    }
    Ok(())
}

/// Removes the records of fetches that are over, before anything else is done. What cannot be
/// removed now is tried again at the appliance's end.
pub(super) async fn remove_left(context: &mut Context) {
    let deadline = Deadline(context.monotonic() + SOON);
    let left: Vec<FetchKey> = context.run.stage.records_left().map(|job| job.key.clone()).collect();
    for key in left {
        if let Err(why) = remove_record(context, &key, deadline).await {
            tracing::info!(appliance = %context.name, %key, %why, "a fetch record stays for now");
        }
    }
}

/// The appliance does not answer any more: what it still holds is not known and stays unknown.
fn give_up_open(context: &mut Context) {
    let open = context.run.open.as_ref().map(|open| open.act.kind());
    if let Some(kind @ (ActKind::StartFetch | ActKind::DeleteFetch)) = open {
        context.outcome(kind, ActOutcome::NotDone, "it could not be asked any more");
    }
}

/// Cancels a job that is live and removes its record: two deletes, the second one only where the
/// record is still there. Deleting may be repeated, since each time it is looked at first.
///
/// # Errors
/// Why the record is still there.
pub(super) async fn remove_record(
    context: &mut Context,
    key: &FetchKey,
    deadline: Deadline,
) -> Result<(), String> {
    if let Err(reason) = context.intend(Act::DeleteFetch { key: key.clone() }).await {
        return Err(reason.to_string());
    }
    let result = delete_until_gone(context, key, deadline).await;
    match &result {
        Ok(saw) => {
            let done = ActOutcome::Done { job: None, slot: None };
            context.outcome(ActKind::DeleteFetch, done, *saw);
        }
        Err(why) => context.outcome(ActKind::DeleteFetch, ActOutcome::NotDone, why.clone()),
    }
    result.map(|_| ())
}

async fn delete_until_gone(
    context: &mut Context,
    key: &FetchKey,
    deadline: Deadline,
) -> Result<&'static str, String> {
    let mut tries = 0;
    loop {
        let job = context
            .try_ask(deadline, questions::fetch_job(key))
            .await
            .map_err(|error| error.to_string())?;
        let Some(job) = job else { return Ok("the record is gone") };
        let mut why = format!("the job is still there ({:?})", job.status);
        match context.port.delete_fetch(key).await {
            // An ended job's record goes with one delete; a live one is only cancelled by it.
            Ok(()) if !job.status.is_live() => return Ok("the record was removed"),
            Ok(()) => {}
            // A refusal in its own words does not change by asking again.
            Err(error) if !error.is_passing() => return Err(error.to_string()),
            Err(error) => why = error.to_string(),
        }
        let left = context.left(deadline);
        if left.is_zero() {
            return Err(why);
        }
        let pause = pacing::back_off(tries, &context.shared.random);
        tries += 1;
        context.sleep(pause.min(left)).await;
    }
}
