//! Watches after the upgrade call until its outcome is known and the appliance is back
//! (contract: semantics.md, "What an upgrade's outcome is").

use std::time::Duration;

use model::FirmwareVersion;
use model::decision::PersonStep;
use model::event::{ActKind, ActOutcome, ApplianceChange, FailureCode, Step};
use model::observed::{Slot, describe_slots};
use model::run::{CallState, UpgradeRecord};

use super::context::Context;
use super::pair::{self, PairMemory};
use super::power::Tries;
use super::reboot::{await_leftover, reboot};
use super::sight::{Sight, Watcher};
use super::{Done, Stop, fail, refused};
use crate::pacing;

const STEP: Step = Step::Return;

/// The old version after a restart must be seen twice, so far apart, before it is a verdict.
const TWO_LOOKS: Duration = Duration::from_secs(10);

/// How old a look may be that a reboot follows (contract: "not older than 5 s").
const FRESH: Duration = Duration::from_secs(5);

/// What the watch remembers in this process beyond the fold.
#[derive(Default)]
struct Memory {
    watcher: Watcher,
    /// An HA pair before its reboot.
    pair: PairMemory,
    /// When its reboot may be asked for.
    reboot: Tries,
    /// Since when the picture says that the upgrade did not come about.
    old_since: Option<Duration>,
    /// The slots, and when they were read.
    slots: Option<(Duration, Vec<Slot>)>,
    /// The last sight that was no good answer.
    silence: String,
}

pub(super) async fn await_return(context: &mut Context) -> Done {
    let mut memory = Memory::default();
    await_leftover(context, &mut memory.watcher).await;
    loop {
        let Some(upgrade) = context.run.upgrade.clone() else { return Ok(()) };
        let sight = memory.watcher.look(context).await;
        if pair::is_wrong_node(context) {
            return Err(pair::restore(context).await);
        }
        match sight {
            Sight::Up(version) if version == context.firmware().version => {
                context.record(ApplianceChange::Returned { version });
                return Ok(());
            }
            Sight::Up(version)
                if context.run.version.as_ref().is_some_and(|old| *old != version) =>
            {
                return came_back(context, version);
            }
            Sight::Up(version) => {
                if old_version(context, &mut memory, &upgrade, version).await? {
                    return Ok(());
                }
            }
            Sight::Down(saw) | Sight::Odd(saw) => {
                memory.old_since = None;
                memory.silence = saw;
                still_away(context, &memory)?;
            }
            Sight::Blocked(error) => {
                return Err(refused(STEP, FailureCode::VerifyFailed, &error));
            }
        }
        let pause = pause(context, &memory);
        context.sleep(pause).await;
    }
}

fn pause(context: &Context, memory: &Memory) -> Duration {
    let since = |at| super::context::unsigned(context.now().duration_since(at));
    let Some(upgrade) = &context.run.upgrade else { return pacing::SHORTEST };
    let pause = match upgrade.restart_at {
        None => {
            let confirmed = context.run.pair.done.get(&PersonStep::Reboot).copied();
            let began = upgrade.reboot_at.max(confirmed).unwrap_or(upgrade.intended_at);
            let pause = memory.watcher.pause(context, since(began));
            pair::pause(context).map_or(pause, |most| pause.min(most))
        }
        Some(restart) => {
            let elapsed = since(restart);
            let known = context.shared.history.shortest(Step::Return, &context.appliance.site);
            known.map_or_else(
                || pacing::by_elapsed(since(upgrade.intended_at)),
                |shortest| pacing::by_history(elapsed, shortest),
            )
        }
    };
    // A verdict that waits for its second look does not wait longer than it must.
    match memory.old_since {
        Some(old) => {
            let confirmed = (old + TWO_LOOKS).saturating_sub(context.monotonic());
            pause.min(confirmed.max(pacing::SHORTEST))
        }
        None => pause,
    }
}

/// The deadline of an appliance that does not answer well.
fn still_away(context: &Context, memory: &Memory) -> Done {
    let Some(upgrade) = &context.run.upgrade else { return Ok(()) };
    let Some(restart) = upgrade.restart_at else { return Ok(()) };
    // A person who said `retry` gives it the whole time again.
    let restart = upgrade.retried_at.map_or(restart, |retried| retried.max(restart));
    let limit = context.plan.timeouts.r#return;
    if !context.left(context.deadline_since(restart, limit)).is_zero() {
        return Ok(());
    }
    let text = format!(
        "it did not come back in {limit:#}: {}; look at its console (IPMI), then `retry`",
        memory.silence
    );
    Err(fail(STEP, FailureCode::NoReturn, text))
}

/// The API is back with another version than the target: up again, and a failure.
fn came_back(context: &mut Context, version: FirmwareVersion) -> Done {
    let stop = came_back_on(&version, context);
    context.record(ApplianceChange::Returned { version });
    Err(stop)
}

/// The verdict on an appliance that is back on another version than the target.
pub(super) fn came_back_on(version: &FirmwareVersion, context: &Context) -> Stop {
    let target = &context.firmware().version;
    let before = context.run.baseline.as_ref().map(|baseline| &baseline.version);
    let upgrade = context.run.upgrade.as_ref();
    let nothing_seen = upgrade.is_some_and(|u| u.restart_at.is_none() && u.armed_at.is_none());
    if nothing_seen && before == Some(version) {
        let text = format!(
            "it took the upgrade call, but neither restarted nor selected the slot in {:#}; it is still on {version}",
            context.plan.timeouts.upgrade
        );
        return fail(STEP, FailureCode::Reverted, text);
    }
    if before.is_none_or(|before| before == version) {
        let text = format!(
            "it is on {version} again instead of {target}: the appliance reverted the upgrade by itself; its console and support bundle say why"
        );
        fail(STEP, FailureCode::Reverted, text)
    } else {
        let text =
            format!("it came back on {version}, which is neither {target} nor what it ran before");
        fail(STEP, FailureCode::WrongVersion, text)
    }
}

/// It answers and runs the old version. True when the step has ended.
async fn old_version(
    context: &mut Context,
    memory: &mut Memory,
    upgrade: &UpgradeRecord,
    version: FirmwareVersion,
) -> Done<bool> {
    let Some(slots) = read_slots(context, memory).await else { return Ok(false) };
    let armed = slots.iter().any(|slot| slot.key == upgrade.slot && slot.is_armed());
    // The look above may have seen a restart.
    let restarted = context.run.upgrade.as_ref().is_some_and(|u| u.restart_at.is_some());
    let now = context.monotonic();
    let old_for = now - *memory.old_since.get_or_insert(now);
    let timeouts = &context.plan.timeouts;
    if restarted {
        // Still selected for the next boot: perhaps no restart at all; it gets some more time.
        let patience =
            if armed { super::context::unsigned(timeouts.armed_grace) } else { TWO_LOOKS };
        return if old_for >= patience {
            came_back(context, version).map(|()| true)
        } else {
            Ok(false)
        };
    }
    if armed {
        memory.old_since = None;
        if pair::advance(context, &mut memory.watcher, &mut memory.pair).await {
            let now = context.monotonic();
            let fresh = memory.slots.as_ref().is_some_and(|(read, _)| now - *read <= FRESH);
            let Memory { watcher, reboot: tries, slots, .. } = memory;
            reboot(context, watcher, tries, fresh, slots).await;
        }
        return Ok(false);
    }
    if upgrade.armed_at.is_some() {
        // It was selected for the next boot and is not any more.
        return if old_for >= TWO_LOOKS {
            came_back(context, version).map(|()| true)
        } else {
            Ok(false)
        };
    }
    // The call may take long until it is accepted; what follows has its whole time from there.
    let from = upgrade.accepted_at.map_or(upgrade.intended_at, |at| at.max(upgrade.intended_at));
    let whole = context.deadline_since(from, timeouts.upgrade);
    if !context.left(whole).is_zero() || old_for < TWO_LOOKS {
        return Ok(false);
    }
    let saw = format!("it runs {version}, {}", describe_slots(&slots));
    let gap = context.run.upgrade.as_ref().is_none_or(|u| u.gap);
    match (upgrade.call, gap) {
        (CallState::Accepted, _) => came_back(context, version).map(|()| true),
        (CallState::Open | CallState::Lost, true) => {
            let saw = format!("{saw}; nobody watched for a while, it may have reverted unseen");
            context.outcome(ActKind::Upgrade, ActOutcome::CannotTell, saw);
            Ok(true)
        }
        (CallState::Open | CallState::Lost, false) => {
            let saw = format!("{saw}; watched for {:#}, no restart was seen", timeouts.upgrade);
            context.outcome(ActKind::Upgrade, ActOutcome::NotDone, saw);
            Ok(true)
        }
    }
}

/// The slots, read again when the last reading is old for the time that has passed.
async fn read_slots(context: &mut Context, memory: &mut Memory) -> Option<Vec<Slot>> {
    let now = context.monotonic();
    let intended = context.run.upgrade.as_ref()?.intended_at;
    let elapsed = super::context::unsigned(context.now().duration_since(intended));
    let restarted = context.run.upgrade.as_ref().is_some_and(|u| u.restart_at.is_some());
    let lasts = if restarted { Duration::ZERO } else { (elapsed / 5).min(pacing::LONGEST) };
    if let Some((read, slots)) = &memory.slots
        && now - *read < lasts
    {
        return Some(slots.clone());
    }
    let slots = context.port.slots().await.ok()?;
    memory.slots = Some((now, slots.clone()));
    let armed = slots.iter().any(|slot| {
        Some(&slot.key) == context.run.upgrade.as_ref().map(|u| &u.slot) && slot.is_armed()
    });
    if armed && context.run.upgrade.as_ref().is_some_and(|u| u.armed_at.is_none()) {
        context.record(ApplianceChange::Armed);
    }
    Some(slots)
}
