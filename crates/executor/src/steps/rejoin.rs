//! Brings an HA pair together again, once its primary is verified: the second node is switched on,
//! and both form a pair (sps-api.md, section 6, "HA pair").

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use model::decision::PersonStep;
use model::event::{ActKind, ActOutcome, ApplianceChange, FailureCode, Step};
use model::fleet::{Ha, HaMode};
use model::hold::HoldReason;
use model::ports::{PowerState, PowerSwitch};

use super::ask::{Answering, is_silence};
use super::context::{Context, unsigned};
use super::pair::ask_on;
use super::power::{COMMAND_LIMIT, Tries, switch};
use super::reboot::attend;
use super::{Done, fail, refused};
use crate::pacing;

const STEP: Step = Step::Rejoin;

/// How old the look at the primary may be after which the secondary is switched on.
const FRESH: Duration = Duration::from_secs(5);

/// What the step remembers in this process.
#[derive(Default)]
struct Memory {
    answering: Answering,
    silent_since: Option<Duration>,
    tries: Tries,
    switch: Option<Arc<dyn PowerSwitch>>,
    /// Whether the power of the secondary was seen off.
    seen_off: bool,
}

pub(super) async fn rejoin(context: &mut Context) -> Done {
    let appliance = Arc::clone(&context.appliance);
    let Some(ha) = &appliance.ha else { return finish(context) };
    settle_leftover(context).await;
    let mut memory = Memory {
        switch: ha
            .secondary_power
            .as_ref()
            .map(|target| switch(context, target, PersonStep::SecondaryOn)),
        ..Memory::default()
    };
    let began = context.monotonic();
    loop {
        let up = look(context, &mut memory).await?;
        if context.run.pair.is_off() {
            secondary_on(context, &mut memory, ha, up).await;
        }
        if up.is_some() && !context.run.pair.is_off() {
            pair_healthy(context, &memory, ha).await?;
            if context.run.pair.is_done(PersonStep::PairHealthy) {
                return finish(context);
            }
        }
        let pause = pacing::by_elapsed(context.monotonic() - began).max(Duration::from_secs(1));
        // Two looks ten seconds apart say that it is down: those are not left to chance.
        let most = if up.is_some() { pacing::LONGEST } else { Duration::from_secs(5) };
        context.sleep(pause.min(most)).await;
    }
}

/// The pair is whole: this version is done.
fn finish(context: &mut Context) -> Done {
    let version = context.firmware().version.clone();
    // They were counted when the primary was verified.
    let sessions_cut = None;
    context.record(if context.run.hop < context.plan.via.len() {
        ApplianceChange::HopDone { version, sessions_cut }
    } else {
        ApplianceChange::Succeeded { version, sessions_cut }
    });
    Ok(())
}

/// A program of a dead process may still be at work; and whether the secondary was asked to go off
/// does not matter any more once the primary is verified.
async fn settle_leftover(context: &mut Context) {
    let Some(open) = context.run.open.clone() else { return };
    if let Some(process) = open.process {
        let runner = Arc::clone(&context.shared.commands);
        runner.await_leftover(process, COMMAND_LIMIT).await;
    }
    if open.act.kind() == ActKind::PowerOff {
        let done = ActOutcome::Done { job: None, slot: None };
        context.outcome(ActKind::PowerOff, done, "the primary was rebooted meanwhile");
    }
}

/// A look at the primary: when it was taken, if it is up on the version that it was verified on.
async fn look(context: &mut Context, memory: &mut Memory) -> Done<Option<Duration>> {
    let now = context.monotonic();
    let error = match context.port.info().await {
        Ok(info) if info.firmware_version == context.firmware().version => {
            memory.silent_since = None;
            memory.answering.answered(context);
            return Ok(Some(now));
        }
        Ok(info) => {
            let text = format!(
                "it was verified on {} and now runs {}",
                context.firmware().version,
                info.firmware_version
            );
            return Err(fail(STEP, FailureCode::WrongVersion, text));
        }
        Err(error) => error,
    };
    if !is_silence(&error) && !error.is_passing() {
        return Err(refused(STEP, FailureCode::VerifyFailed, &error));
    }
    if is_silence(&error) {
        memory.answering.silent(context);
    }
    let since = *memory.silent_since.get_or_insert(now);
    let limit = context.plan.timeouts.r#return;
    if now - since >= unsigned(limit) {
        let text = format!(
            "its primary was verified and has not answered for {limit:#}: {error}; look at both consoles (IPMI), then `retry`"
        );
        return Err(fail(STEP, FailureCode::NoReturn, text));
    }
    Ok(None)
}

/// The secondary is off: it is switched on once the primary is up on what the secondary holds.
async fn secondary_on(context: &mut Context, memory: &mut Memory, ha: &Ha, up: Option<Duration>) {
    let step = PersonStep::SecondaryOn;
    let state = power(memory).await;
    if state == Some(Ok(PowerState::Off)) {
        memory.seen_off = true;
    }
    if state == Some(Ok(PowerState::On)) {
        // What was never seen off may be another node than the one that is: a person may have
        // switched that one off by hand. Then only the pair itself is evidence.
        let asked = context.run.pair.on_asked.is_some();
        if asked || memory.seen_off || shows_other_node(context).await {
            let saw = "its power reads on".to_owned();
            context.record(ApplianceChange::PairStepDone { step, saw });
            return;
        }
    }
    let automatic = ha.mode == HaMode::Automatic && state != Some(Ok(PowerState::On));
    let (true, Some(state)) = (automatic, state) else {
        let since = context.now();
        attend(context, HoldReason::AttendedStep { step, since });
        return;
    };
    if let Some(asked) = context.run.pair.on_asked {
        let saw = state.err().unwrap_or_else(|| "its power reads off".to_owned());
        overdue(context, step, asked, &format!("it was asked to go on: {saw}"));
        return;
    }
    match (state, up, memory.switch.clone()) {
        (Err(why), ..) => {
            overdue(context, step, Timestamp::MIN, &format!("its power cannot be read: {why}"));
        }
        (Ok(_), Some(looked), Some(switch))
            if context.monotonic() - looked <= FRESH && memory.tries.may(context.monotonic()) =>
        {
            if let Err(why) = ask_on(context, &switch, &mut memory.tries).await
                && memory.tries.is_over()
            {
                power_failed(context, step, format!("it could not be asked to go on: {why}"));
            }
        }
        // The primary is not up, or it is not yet time for another try.
        (Ok(_), ..) => {}
    }
}

/// Whether the primary reports on the other node's files now.
async fn shows_other_node(context: &Context) -> bool {
    let health = context.port.health().await;
    health.is_ok_and(|health| health.tainted.contains_key(OTHER_NODE))
}

/// The power of the node behind the switch, where there is one.
async fn power(memory: &Memory) -> Option<Result<PowerState, String>> {
    let switch = memory.switch.clone()?;
    Some(switch.state().await.map_err(|error| error.to_string()))
}

/// Both nodes form a pair. Evidence by REST is only that the primary reports on the other node's
/// files (sps-api.md, section 5).
async fn pair_healthy(context: &mut Context, memory: &Memory, ha: &Ha) -> Done {
    let step = PersonStep::PairHealthy;
    if context.run.pair.is_done(step) {
        return Ok(());
    }
    if ha.mode == HaMode::Attended {
        let since = context.now();
        attend(context, HoldReason::AttendedStep { step, since });
        return Ok(());
    }
    let missing = match context.port.health().await {
        Ok(health) => {
            let baseline = context.run.baseline.as_ref();
            let reported = baseline.is_none_or(|b| b.health.tainted.contains_key(OTHER_NODE));
            let seen = health.tainted.contains_key(OTHER_NODE);
            (reported && !seen)
                .then(|| format!("its health does not show the other node ({OTHER_NODE})"))
        }
        Err(error) if error.is_passing() => Some(error.to_string()),
        Err(error) => return Err(refused(STEP, FailureCode::VerifyFailed, &error)),
    };
    let power = match power(memory).await {
        None | Some(Ok(PowerState::On)) => None,
        Some(Ok(PowerState::Off)) => Some("the power of its secondary reads off".to_owned()),
        Some(Err(why)) => Some(why),
    };
    let Some(why) = missing.or(power) else {
        let saw = "the other node has power and shows in its health".to_owned();
        context.record(ApplianceChange::PairStepDone { step, saw });
        return Ok(());
    };
    let on = context.run.pair.done.get(&PersonStep::SecondaryOn).copied();
    overdue(context, step, on.unwrap_or(Timestamp::MIN), &why);
    Ok(())
}

/// The part of `tainted_files` that the other node of a pair has.
const OTHER_NODE: &str = "ha_other";

/// Waits for a person when the time for a step is over, and goes on looking.
fn overdue(context: &mut Context, step: PersonStep, since: Timestamp, why: &str) {
    let limit = context.plan.timeouts.r#return;
    // A person who said `retry` gives it the whole time again: the step began anew.
    let since = context.run.step.map_or(since, |(_, began)| began.max(since));
    if context.left(context.deadline_since(since, limit)).is_zero() {
        power_failed(context, step, format!("{why}, for {limit:#}"));
    }
}

fn power_failed(context: &mut Context, step: PersonStep, detail: String) {
    attend(context, HoldReason::PowerFailed { step, detail });
}
