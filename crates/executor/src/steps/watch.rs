//! Looks at an appliance that is down and has nothing else to do: only an observation frees its
//! place (contract: semantics.md, "Down").

use std::time::Duration;

use model::event::{ApplianceChange, Failure, FailureCode, Step};
use model::observed::SetupStatus;

use super::Done;
use super::context::{Context, unsigned};
use crate::pacing;

pub(super) async fn watch(context: &mut Context) -> Done {
    let began = context.monotonic();
    let limit = unsigned(context.plan.unreachable_wait);
    loop {
        if matches!(context.port.setup().await, Ok(SetupStatus::Completed)) {
            if !context.run.down {
                context.record(ApplianceChange::Reachable);
                return Ok(());
            }
            if let Some(change) = is_up(context).await {
                context.record(change);
                return Ok(());
            }
        }
        let elapsed = context.monotonic() - began;
        let member = context.plan.appliances.contains_key(&context.name);
        if member && !context.run.phase.is_terminal() && elapsed >= limit && context.run.dark {
            let text = format!("it stopped answering for {:#}", context.plan.unreachable_wait);
            let failure = Failure { step: Step::Watch, code: FailureCode::Unreachable, text };
            context.record(ApplianceChange::Failed(failure));
            return Ok(());
        }
        context.sleep(pacing::by_elapsed(elapsed).max(Duration::from_secs(1))).await;
    }
}

/// An appliance that went down by our call is up again when it shows a version after a restart
/// was seen, or when a restart can be ruled out.
async fn is_up(context: &mut Context) -> Option<ApplianceChange> {
    let info = context.port.info().await.ok()?;
    let version = info.firmware_version;
    let up = Some(ApplianceChange::Up { version: Some(version.clone()) });
    let Some(upgrade) = context.run.upgrade.clone() else { return up };
    if upgrade.restart_at.is_some() || version == context.firmware().version {
        return up;
    }
    let slots = context.port.slots().await.ok()?;
    let armed = slots.iter().any(model::observed::Slot::is_armed);
    let settled = context.now().duration_since(upgrade.intended_at) > context.plan.timeouts.upgrade;
    if armed || !settled { None } else { up }
}
