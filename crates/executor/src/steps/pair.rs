//! An armed HA pair before its reboot: the firmware reaches the second node, the second node is
//! switched off, and the appliance goes on answering meanwhile (sps-api.md, section 6, "HA pair").
//!
//! The watch for the return calls this between two looks, so that nothing here waits for long.

mod restore;

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use model::decision::PersonStep;
use model::event::{Act, ActKind, ActOutcome, ApplianceChange, Step};
use model::failure::{ApplianceError, Became};
use model::fleet::{Ha, HaMode, UpgradeCall};
use model::hold::HoldReason;
use model::observed::Slot;
use model::ports::{PowerState, PowerSwitch};
use model::run::Phase;

use super::activate::look_at_partners;
use super::context::Context;
use super::power::{Tries, beside, prove_secondary, switch};
use super::reboot::{WINDOW_AGAIN, attend, unattend};
use super::sight::{Sight, Watcher};
pub(super) use restore::{ask_on, is_wrong_node, restore};

const STEP: Step = Step::Return;

/// How old the look may be that a power act follows (contract: "not older than 5 s").
const FRESH: Duration = Duration::from_secs(5);

/// So long the appliance must have gone on answering after the power reads off, before that is
/// believed to be the secondary's: a takeover by the other node takes longer.
const ANSWERS_ON: Duration = Duration::from_secs(5);

/// The pause between two looks while a node shuts down.
const CLOSELY: Duration = Duration::from_secs(2);

/// So long the power may be unreadable before a person hears of it.
const UNREAD: Duration = Duration::from_mins(2);

/// The pause after leave for an act was not given.
const LEAVE_AGAIN: Duration = Duration::from_secs(15);

/// What this process remembers between two looks.
#[derive(Default)]
pub(super) struct PairMemory {
    tries: Tries,
    switch: Option<Arc<dyn PowerSwitch>>,
    /// Since when the power reads off.
    off_since: Option<Duration>,
    /// Since when the power cannot be read.
    unread_since: Option<Duration>,
    /// The check did not prove the secondary; it is not asked again by itself.
    not_proven: bool,
    /// What the power switch said last, when that was no good answer.
    trouble: Option<String>,
}

/// What is to be done before an armed pair is rebooted.
fn next(context: &Context) -> Option<PersonStep> {
    context.appliance.ha.as_ref()?;
    if context.appliance.upgrade_call == UpgradeCall::Reboots {
        return None;
    }
    let steps = [PersonStep::PeerHasFirmware, PersonStep::SecondaryOff];
    steps.into_iter().find(|step| !context.run.pair.is_done(*step))
}

/// Goes on with an armed pair that answers with the old version. True when it may be rebooted.
pub(super) async fn advance(
    context: &mut Context,
    watcher: &mut Watcher,
    memory: &mut PairMemory,
) -> bool {
    let appliance = Arc::clone(&context.appliance);
    let Some(ha) = &appliance.ha else { return true };
    if next(context) == Some(PersonStep::PeerHasFirmware) {
        match ha.mode {
            HaMode::Automatic => peer_sync(context, ha),
            HaMode::Attended => wait_for_person(context, PersonStep::PeerHasFirmware),
        }
    }
    if next(context) == Some(PersonStep::SecondaryOff) {
        match ha.mode {
            HaMode::Automatic => secondary_off(context, watcher, memory, ha).await,
            HaMode::Attended => person_off(context, watcher, memory, ha).await,
        }
    }
    next(context).is_none()
}

/// How often to look at most while something of a pair is under way; `None`: as for every
/// appliance.
pub(super) fn pause(context: &Context) -> Option<Duration> {
    let ha = context.appliance.ha.as_ref()?;
    let step = next(context)?;
    if ha.mode != HaMode::Automatic || context.run.phase == Phase::Attended {
        return None;
    }
    match step {
        PersonStep::SecondaryOff => context.run.pair.off_asked.map(|_| CLOSELY),
        // What is due is not waited for longer than it must.
        _ => {
            let armed_at = context.run.upgrade.as_ref()?.armed_at?;
            let left = context.left(context.deadline_since(armed_at, ha.peer_sync?));
            Some(left.max(crate::pacing::SHORTEST))
        }
    }
}

/// A person switches it off, and says so; where it can be seen, it is.
async fn person_off(
    context: &mut Context,
    watcher: &mut Watcher,
    memory: &mut PairMemory,
    ha: &Ha,
) {
    if power_of(context, watcher, memory, ha).await == Some(PowerState::Off) {
        off_is_seen(context, watcher, memory).await;
    } else {
        memory.off_since = None;
        wait_for_person(context, PersonStep::SecondaryOff);
    }
}

fn wait_for_person(context: &mut Context, step: PersonStep) {
    let since = context.now();
    attend(context, HoldReason::AttendedStep { step, since });
}

fn peer_sync(context: &mut Context, ha: &Ha) {
    let step = PersonStep::PeerHasFirmware;
    let armed_at = context.run.upgrade.as_ref().and_then(|upgrade| upgrade.armed_at);
    let (Some(wait), Some(armed_at)) = (ha.peer_sync, armed_at) else {
        wait_for_person(context, step);
        return;
    };
    if context.left(context.deadline_since(armed_at, wait)).is_zero() {
        let saw = format!("it had {wait:#} to reach the secondary (peer_sync)");
        context.record(ApplianceChange::PairStepDone { step, saw });
    }
}

/// The power of the node behind the switch; `None` when there is no switch or no good answer.
async fn power_of(
    context: &mut Context,
    watcher: &mut Watcher,
    memory: &mut PairMemory,
    ha: &Ha,
) -> Option<PowerState> {
    let switch = switch_of(context, memory, ha)?;
    match beside(context, watcher, async move { switch.state().await }).await {
        Ok(state) => {
            memory.trouble = None;
            memory.unread_since = None;
            Some(state)
        }
        Err(error) => {
            memory.trouble = Some(error.to_string());
            memory.unread_since.get_or_insert(context.monotonic());
            None
        }
    }
}

fn switch_of(context: &Context, memory: &mut PairMemory, ha: &Ha) -> Option<Arc<dyn PowerSwitch>> {
    if memory.switch.is_none() {
        let target = ha.secondary_power.as_ref()?;
        memory.switch = Some(switch(context, target, PersonStep::SecondaryOff));
    }
    memory.switch.clone()
}

/// The power reads off: done, if the appliance goes on answering.
async fn off_is_seen(context: &mut Context, watcher: &mut Watcher, memory: &mut PairMemory) {
    let now = context.monotonic();
    let since = *memory.off_since.get_or_insert(now);
    if !matches!(watcher.look(context).await, Sight::Up(_)) || now - since < ANSWERS_ON {
        return;
    }
    // A restart of the appliance itself is judged by the return.
    if context.run.upgrade.as_ref().is_some_and(|upgrade| upgrade.restart_at.is_none()) {
        let saw = "its power reads off, and the appliance goes on answering".to_owned();
        let step = PersonStep::SecondaryOff;
        context.record(ApplianceChange::PairStepDone { step, saw });
    }
}

async fn secondary_off(
    context: &mut Context,
    watcher: &mut Watcher,
    memory: &mut PairMemory,
    ha: &Ha,
) {
    if ha.secondary_power.is_none() {
        wait_for_person(context, PersonStep::SecondaryOff);
        return;
    }
    let asked = context.run.pair.off_asked;
    let may = memory.tries.may(context.monotonic());
    // Between two tries nothing is to be seen; while a person is waited for it is.
    if asked.is_none() && !may && context.run.phase != Phase::Attended {
        return;
    }
    let state = power_of(context, watcher, memory, ha).await;
    if state != Some(PowerState::Off) {
        memory.off_since = None;
    }
    match (state, asked) {
        (Some(PowerState::Off), None) if memory.off_since.is_none() => {
            off_before_us(context, memory);
        }
        (Some(PowerState::Off), _) => off_is_seen(context, watcher, memory).await,
        (state, Some(asked)) => goes_off(context, watcher, memory, ha, state, asked).await,
        (Some(PowerState::On), None) if may => {
            ask_off(context, watcher, memory, ha, Act::PowerOff { force: false }).await;
        }
        (Some(PowerState::On), None) => {}
        (None, None) => {
            let now = context.monotonic();
            if memory.unread_since.is_some_and(|since| now - since >= UNREAD) {
                power_failed(context, memory, "its power state could not be read");
            }
        }
    }
}

/// Off, and not by us. While a person was waited for it was the person; before, the secondary may
/// never have got the firmware.
fn off_before_us(context: &mut Context, memory: &mut PairMemory) {
    if context.run.phase == Phase::Attended && !memory.not_proven {
        memory.off_since = Some(context.monotonic());
        return;
    }
    if context.run.phase != Phase::Attended {
        let why = "its power was off before it was switched off: it may not hold the firmware";
        power_failed(context, memory, why);
        // What the person says of it is waited for: that it is off is no news.
        memory.not_proven = true;
    }
}

fn power_failed(context: &mut Context, memory: &PairMemory, why: &str) {
    let detail = match &memory.trouble {
        Some(trouble) => format!("{why} ({trouble})"),
        None => why.to_owned(),
    };
    attend(context, HoldReason::PowerFailed { step: PersonStep::SecondaryOff, detail });
}

/// It was asked to shut down and is not off yet.
async fn goes_off(
    context: &mut Context,
    watcher: &mut Watcher,
    memory: &mut PairMemory,
    ha: &Ha,
    state: Option<PowerState>,
    asked: Timestamp,
) {
    let forced = context.run.pair.forced;
    let open = context.run.open.as_ref().is_some_and(|o| o.act.kind() == ActKind::PowerOff);
    // Whether it was asked at all must be known: a node that does not shut down loses more.
    if let (Some(after), None, Some(PowerState::On), false) =
        (ha.force_off_after, forced, state, open)
        && context.left(context.deadline_since(asked, after)).is_zero()
        && memory.tries.may(context.monotonic())
    {
        ask_off(context, watcher, memory, ha, Act::PowerOff { force: true }).await;
        return;
    }
    let upgrade = context.run.upgrade.as_ref();
    let retried = upgrade.and_then(|upgrade| upgrade.retried_at);
    let armed = upgrade.and_then(|upgrade| upgrade.armed_at);
    let from = [forced, retried, armed].into_iter().flatten().fold(asked, Timestamp::max);
    let limit = context.plan.timeouts.r#return;
    if context.left(context.deadline_since(from, limit)).is_zero() {
        let how = match (forced, open) {
            (Some(_), _) => "its power was taken away",
            (None, true) => "it was asked to shut down, without a reply,",
            (None, false) => "it was asked to shut down",
        };
        power_failed(context, memory, &format!("{how} and it is not off after {limit:#}"));
    }
}

/// Proves, looks, writes the intent, and switches off, once.
async fn ask_off(
    context: &mut Context,
    watcher: &mut Watcher,
    memory: &mut PairMemory,
    ha: &Ha,
    act: Act,
) {
    let force = matches!(act, Act::PowerOff { force: true });
    if memory.not_proven {
        return;
    }
    if let Some(words) = &ha.secondary_check
        && let Err(detail) = prove_secondary(context, watcher, words).await
    {
        memory.not_proven = true;
        attend(context, HoldReason::SecondaryNotProven { detail });
        return;
    }
    let Some(switch) = switch_of(context, memory, ha) else { return };
    look_at_partners(context).await;
    let Some(looked) = armed_now(context, watcher).await else { return };
    if let Err(reason) = context.intend(act).await {
        let again = if matches!(reason, HoldReason::ArmedOutsideWindow { .. }) {
            attend(context, reason);
            WINDOW_AGAIN
        } else {
            LEAVE_AGAIN
        };
        memory.tries.not_before(context.monotonic() + again);
        return;
    }
    unattend(context, STEP);
    if context.monotonic() - looked > FRESH {
        let saw = "nothing was sent: the look before it was too old when its intent was written";
        context.outcome(ActKind::PowerOff, ActOutcome::NotDone, saw);
        return;
    }
    let call = async move { if force { switch.force_off().await } else { switch.off().await } };
    let result = beside(context, watcher, call).await;
    settle_off(context, memory, result);
}

/// A look at everything: logged in, the old version, the target selected for the next boot. When
/// it was taken.
pub(super) async fn armed_now(context: &mut Context, watcher: &mut Watcher) -> Option<Duration> {
    let looked = context.monotonic();
    let Sight::Up(version) = watcher.look(context).await else { return None };
    let upgrade = context.run.upgrade.clone()?;
    if upgrade.restart_at.is_some() || version == context.firmware().version {
        return None;
    }
    let armed = |slot: &Slot| slot.key == upgrade.slot && slot.is_armed();
    context.port.slots().await.ok()?.iter().any(armed).then_some(looked)
}

fn settle_off(context: &mut Context, memory: &mut PairMemory, result: Result<(), ApplianceError>) {
    let error = match result {
        Ok(()) => {
            let done = ActOutcome::Done { job: None, slot: None };
            context.outcome(ActKind::PowerOff, done, "it was taken; whether it goes off is seen");
            return;
        }
        Err(error) => error,
    };
    let saw = error.to_string();
    memory.trouble = Some(saw.clone());
    match error.class.became() {
        Became::Unknown => context.outcome(ActKind::PowerOff, ActOutcome::ReplyLost, saw),
        Became::NotSent => {
            context.outcome(ActKind::PowerOff, ActOutcome::NotDone, saw);
            if memory.tries.failed(context.monotonic()) {
                power_failed(context, memory, "it could not be asked to go off");
            }
        }
        Became::Refused => {
            context.outcome(ActKind::PowerOff, ActOutcome::NotDone, saw);
            memory.tries.give_up();
            power_failed(context, memory, "it could not be asked to go off");
        }
    }
}
