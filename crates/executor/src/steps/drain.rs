//! Waits for sessions to end before an appliance goes down (contract: semantics.md, `drain`).

use std::time::Duration;

use model::event::{ApplianceChange, Step};
use model::hold::HoldReason;
use model::rollout::DrainOtherwise;

use super::activate::before_call;
use super::context::{Context, Deadline};
use super::{Done, hold, questions};
use crate::pacing;

const STEP: Step = Step::Drain;

/// How long one count of sessions may find silence; after that the permit is given back.
const COUNT: Duration = Duration::from_secs(30);

pub(super) async fn drain(context: &mut Context) -> Done {
    let Some(drain) = context.plan.drain.clone() else {
        context.record(ApplianceChange::Drained { sessions: None });
        return Ok(());
    };
    let deadline = context.step_deadline(drain.wait);
    let began = context.monotonic();
    loop {
        let patience = Deadline(context.monotonic() + COUNT);
        let health = before_call(context, STEP, patience, questions::health()).await?;
        let sessions = health.sessions;
        if sessions.is_some_and(|open| open <= drain.sessions) {
            context.record(ApplianceChange::Drained { sessions });
            return Ok(());
        }
        if let Some(count) = sessions.filter(|_| sessions != context.run.sessions) {
            context.record(ApplianceChange::Sessions { count });
        }
        let left = context.left(deadline);
        if left.is_zero() {
            return match drain.otherwise {
                DrainOtherwise::Proceed => {
                    context.record(ApplianceChange::Drained { sessions });
                    Ok(())
                }
                DrainOtherwise::Hold => {
                    Err(hold(HoldReason::SessionsOpen { sessions, allowed: drain.sessions }))
                }
            };
        }
        let elapsed = context.monotonic() - began;
        context.sleep(pacing::by_elapsed(elapsed).min(left).max(Duration::from_millis(250))).await;
    }
}
