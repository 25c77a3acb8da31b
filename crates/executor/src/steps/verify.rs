//! After the return: the version, the firmware's integrity, and health against the baseline.

use std::time::Duration;

use model::event::{ApplianceChange, FailureCode, Step};

use super::checks::{compare, health_faults, worse_than};
use super::context::Context;
use super::{Done, fail, questions};
use crate::pacing;

const STEP: Step = Step::Verify;

pub(super) async fn verify(context: &mut Context) -> Done {
    let deadline = context.step_deadline(context.plan.timeouts.verify);
    let began = context.monotonic();
    check_returned(context)?;
    loop {
        let info = context.ask(STEP, deadline, questions::info()).await?;
        let version = info.firmware_version;
        if version != context.firmware().version {
            let target = &context.firmware().version;
            let text = format!("it ran {target} after the return and now runs {version}");
            return Err(fail(STEP, FailureCode::WrongVersion, text));
        }
        let health = context.ask(STEP, deadline, questions::health()).await?;
        let baseline = context.run.baseline.as_ref();
        let faults = match baseline {
            Some(baseline) => worse_than(&baseline.health, &health, &context.plan),
            None => health_faults(&health, &context.plan),
        };
        let drained = context.run.drained.and_then(|drained| drained.sessions);
        let before = baseline.map(|baseline| (&baseline.version, &baseline.health));
        let checks = compare(before, (&version, &health), &context.plan);
        if faults.is_empty() {
            let sessions_cut = drained.or_else(|| baseline.and_then(|b| b.health.sessions));
            context.record(ApplianceChange::Checked(checks));
            let last = context.run.hop >= context.plan.via.len();
            context.record(match (context.appliance.ha.is_some(), last) {
                (true, _) => ApplianceChange::Verified { version, sessions_cut },
                (false, true) => ApplianceChange::Succeeded { version, sessions_cut },
                (false, false) => ApplianceChange::HopDone { version, sessions_cut },
            });
            return Ok(());
        }
        let left = context.left(deadline);
        if left.is_zero() {
            context.record(ApplianceChange::Checked(checks));
            let text = format!("it runs {version}, but {}", faults.join("; "));
            return Err(fail(STEP, FailureCode::VerifyFailed, text));
        }
        let elapsed = context.monotonic() - began;
        context.sleep(pacing::by_elapsed(elapsed).min(left).max(Duration::from_millis(50))).await;
    }
}

/// A process may have died between the return and the verdict on it.
fn check_returned(context: &Context) -> Done {
    let returned = context.run.upgrade.as_ref().and_then(|upgrade| upgrade.returned.clone());
    match returned {
        Some(version) if version != context.firmware().version => {
            Err(super::returning::came_back_on(&version, context))
        }
        _ => Ok(()),
    }
}
