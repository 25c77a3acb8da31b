//! The appliance's own firmware test of exactly the slot that will be booted. It changes nothing
//! and may be repeated (sps-api.md, "Test").

use std::time::Duration;

use model::event::{ApplianceChange, FailureCode, Step};
use model::failure::FailureClass;
use model::hold::HoldReason;

use super::ask::{is_silence, set_aside};
use super::cleanup::remove_left;
use super::context::{Context, unsigned};
use super::stage::settle_open;
use super::{Done, fail, hold, questions, refused};

const STEP: Step = Step::Test;

/// How often a test that is refused for a reason we do not know is asked for again: another
/// administrator may hold the configuration lock (sps-api.md, open uncertainty 17).
const BLOCKED_TRIES: u32 = 6;
const BLOCKED_PAUSE: Duration = Duration::from_secs(20);

pub(super) async fn test(context: &mut Context) -> Done {
    let limit = context.plan.timeouts.test;
    let deadline = context.step_deadline(limit);
    let Some(slot) = context.run.stage.slot.clone() else {
        return Err(fail(STEP, FailureCode::NotReady, "no slot was staged"));
    };
    settle_open(context, STEP, deadline).await?;
    // An earlier process may have died between the staging and this.
    remove_left(context).await;
    let mut blocked = 0;
    loop {
        let found = context.ask(STEP, deadline, questions::slot(&slot)).await?;
        if !found.holds(&context.firmware().version) {
            let holds = found.content.map_or("nothing".to_owned(), |content| content.version);
            let detail = format!("slot {slot} held the target and now holds {holds}");
            return Err(hold(HoldReason::ChangedByOthers { detail }));
        }
        let question = questions::test(&slot, &unsigned(limit));
        let error = match context.try_ask(deadline, question).await {
            // Half a pair must not be upgraded, whatever the answer's code (sps-api.md, open
            // uncertainty 11).
            Ok(report) if ha_check_failed(&report.summary) => {
                return Err(fail(STEP, FailureCode::TestFailed, one_line(&report.summary)));
            }
            Ok(report) => {
                context.record(ApplianceChange::Tested { slot, summary: report.summary });
                return Ok(());
            }
            Err(error) if is_silence(&error) && context.run.dark => {
                return Err(set_aside(context, STEP, error.to_string()));
            }
            Err(error) => error,
        };
        let unknown_refusal = error.class == FailureClass::Refused;
        if !unknown_refusal || blocked == BLOCKED_TRIES || context.left(deadline).is_zero() {
            return Err(refused(STEP, FailureCode::TestFailed, &error));
        }
        blocked += 1;
        context.sleep(BLOCKED_PAUSE.min(context.left(deadline))).await;
    }
}

/// Whether a test summary says that the pair is not whole.
pub(super) fn ha_check_failed(summary: &str) -> bool {
    summary.to_ascii_lowercase().contains("ha check failed")
}

fn one_line(summary: &str) -> String {
    summary.trim().replace('\n', "; ")
}
