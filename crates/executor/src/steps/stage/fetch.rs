//! The appliance pulls the image (sps-api.md, "Fetch").

use model::event::{Act, ActKind, ActOutcome, ApplianceChange, FailureCode, Step};
use model::failure::Became;
use model::names::{FetchKey, SlotKey};
use model::observed::{FetchJob, FetchStatus};
use model::run::JobRecord;

use crate::pacing;
use crate::steps::context::{Context, Deadline, unsigned};
use crate::steps::{Done, fail, hold, questions, refused};

const STEP: Step = Step::Stage;

/// How a fetch ended.
pub(super) enum FetchEnd {
    /// In this slot, by the job's word; the slot itself is read next.
    Finished(SlotKey),
    /// Without a firmware, for this reason.
    Failed(String),
}

/// Asks for a fetch; `jobs` were there before. `None` when it is known not to have begun and may be asked for again.
pub(super) async fn start(
    context: &mut Context,
    url: &str,
    jobs: &[FetchJob],
    deadline: Deadline,
) -> Done<Option<JobRecord>> {
    let known: Vec<FetchKey> = jobs.iter().map(|job| job.key.clone()).collect();
    context.intend(Act::StartFetch { known: known.clone() }).await.map_err(hold)?;
    let sha256 = context.firmware().sha256.clone();
    match context.port.start_fetch(url, &sha256).await {
        Ok(key) => {
            let done = ActOutcome::Done { job: Some(key.clone()), slot: None };
            context.outcome(ActKind::StartFetch, done, "the appliance accepted it");
            Ok(Some(JobRecord { key, ours: true, failed: false, removed: false }))
        }
        Err(error) => match error.class.became() {
            Became::NotSent => {
                context.outcome(ActKind::StartFetch, ActOutcome::NotDone, error.to_string());
                not_begun(context, error.to_string());
                Ok(None)
            }
            Became::Unknown => {
                let lost = error.to_string();
                context.outcome(ActKind::StartFetch, ActOutcome::ReplyLost, lost.clone());
                let found = observe(context, STEP, &known, deadline).await?;
                if found.is_none() {
                    not_begun(context, lost);
                }
                Ok(found)
            }
            Became::Refused => {
                context.outcome(ActKind::StartFetch, ActOutcome::NotDone, error.to_string());
                Err(refused(STEP, FailureCode::StageFailed, &error))
            }
        },
    }
}

fn not_begun(context: &mut Context, why: String) {
    // Kept for the message, should no later try work either.
    context.run.last_error = Some(why);
}

/// After a lost reply: a key that was not there at the intent, with our URL, is ours.
pub(super) async fn observe(
    context: &mut Context,
    step: Step,
    known: &[FetchKey],
    deadline: Deadline,
) -> Done<Option<JobRecord>> {
    let jobs = context.ask(step, deadline, questions::fetch_jobs()).await?;
    let url = context.firmware().fetch.clone().unwrap_or_default();
    let adopted = |key: &FetchKey| context.run.stage.jobs.iter().any(|job| job.key == *key);
    let new = |job: &&FetchJob| job.url == url && !known.contains(&job.key) && !adopted(&job.key);
    let Some(job) = jobs.iter().find(new) else {
        context.outcome(
            ActKind::StartFetch,
            ActOutcome::NotDone,
            "no new job with our URL is there",
        );
        return Ok(None);
    };
    let key = job.key.clone();
    let saw = format!("job {key} with our URL is new");
    let done = ActOutcome::Done { job: Some(key.clone()), slot: None };
    context.outcome(ActKind::StartFetch, done, saw);
    Ok(Some(JobRecord { key, ours: true, failed: false, removed: false }))
}

/// Waits for a job's end; one that does not move for `stall` counts as failed.
pub(super) async fn follow(
    context: &mut Context,
    job: &JobRecord,
    deadline: Deadline,
) -> Done<FetchEnd> {
    let began = context.monotonic();
    let stall = unsigned(context.plan.timeouts.stall);
    let mut seen: Option<FetchJob> = None;
    let mut moved = began;
    let mut told = None;
    loop {
        let now = context.ask(STEP, deadline, questions::fetch_job(&job.key)).await?;
        let Some(now) = now else {
            return Ok(FetchEnd::Failed("the record of the fetch is gone".to_owned()));
        };
        match (&now.status, &now.slot) {
            (FetchStatus::Finished, Some(slot)) => {
                tell(context, &now, &mut told, true);
                return Ok(FetchEnd::Finished(slot.clone()));
            }
            (FetchStatus::Finished, None) => {
                return Ok(FetchEnd::Failed("the fetch finished without naming a slot".to_owned()));
            }
            (FetchStatus::Failed, _) => {
                let words =
                    now.error.or(now.info).unwrap_or_else(|| "it gave no reason".to_owned());
                return Ok(FetchEnd::Failed(words));
            }
            (FetchStatus::Cancelled, _) => {
                return Ok(FetchEnd::Failed("the fetch was cancelled by another hand".to_owned()));
            }
            (FetchStatus::Queued | FetchStatus::InProgress | FetchStatus::Other(_), _) => {}
        }
        let at = context.monotonic();
        if seen.as_ref() != Some(&now) {
            moved = at;
        }
        if at - moved >= stall {
            let stalled = format!("the fetch has not moved for {:#}", context.plan.timeouts.stall);
            return Ok(FetchEnd::Failed(stalled));
        }
        if context.left(deadline).is_zero() {
            let limit = context.plan.timeouts.stage;
            let text = format!(
                "the fetch was not finished in {limit:#} ({} of {} bytes)",
                now.downloaded, now.total
            );
            return Err(fail(STEP, FailureCode::TimedOut, text));
        }
        tell(context, &now, &mut told, false);
        let pause = pause_before_next(context, &now, at - began);
        let until_stall = stall.saturating_sub(at - moved).max(pacing::SHORTEST);
        seen = Some(now);
        context.sleep(pause.min(until_stall).min(context.left(deadline))).await;
    }
}

fn pause_before_next(
    context: &Context,
    job: &FetchJob,
    elapsed: std::time::Duration,
) -> std::time::Duration {
    if let Some(pause) = pacing::by_rate(job.downloaded, job.total, elapsed) {
        return pause;
    }
    let all_there = job.total > 0 && job.downloaded >= job.total;
    let shortest = context.shared.history.shortest(Step::Stage, &context.appliance.site);
    match shortest.filter(|_| all_there) {
        Some(shortest) => pacing::by_history(elapsed, shortest),
        None => pacing::by_elapsed(elapsed),
    }
}

/// Progress goes into the journal now and then: at most every fifteen seconds.
fn tell(context: &mut Context, job: &FetchJob, told: &mut Option<std::time::Duration>, last: bool) {
    let at = context.monotonic();
    let due = told.is_none_or(|told| at.saturating_sub(told) >= pacing::LONGEST);
    if job.downloaded > 0 && (due || last) {
        *told = Some(at);
        context.record(ApplianceChange::Progress { done: job.downloaded, total: job.total });
    }
}

/// Whether fetching again cannot help: the content is not what it should be, or there is no slot.
/// The appliance gives free text only (sps-api.md, "Fetch": `error`).
pub(super) fn hopeless(error: &str, url: &str) -> Option<FailureCode> {
    let mut text = error.to_ascii_lowercase();
    // Network errors quote the URL, whose host and path may hold any word.
    let url = url.to_ascii_lowercase();
    let rest = url.split_once("://").map_or(url.as_str(), |(_, rest)| rest);
    let (host, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    for part in [url.as_str(), rest, path, host, host.split(':').next().unwrap_or_default()] {
        if part.len() > 1 {
            text = text.replace(part, "");
        }
    }
    let any = |words: &[&str]| words.iter().any(|word| text.contains(word));
    if any(&["checksum", "sha256", "sha-256", "digest"]) {
        return Some(FailureCode::WrongImage);
    }
    (text.contains("slot") && any(&["no ", "empty", "free", "full", "available"]))
        .then_some(FailureCode::NoEmptySlot)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_wrong_content_or_a_missing_slot_is_hopeless() {
        assert_eq!(hopeless("Checksum mismatch", ""), Some(FailureCode::WrongImage));
        assert_eq!(hopeless("SHA256 does not match", ""), Some(FailureCode::WrongImage));
        assert_eq!(hopeless("No empty firmware slot", ""), Some(FailureCode::NoEmptySlot));
        let unreachable = "<class 'requests.exceptions.ConnectionError'>: HTTPConnectionPool(host='unreachable.com', port=80): Max retries exceeded";
        assert_eq!(hopeless(unreachable, ""), None);
        let quoted = "Max retries exceeded with url: /sha256/slot.iso (no route to digest.example)";
        assert_eq!(hopeless(quoted, "https://digest.example:8443/sha256/slot.iso"), None);
    }
}
