//! An armed appliance: the target is selected for the next boot, the old version runs. Who reboots
//! it is configured; our reboot is an act like any other, asked for once.

use std::sync::Arc;
use std::time::Duration;

use futures::future::{Either, select};
use model::event::{Act, ActKind, ActOutcome, ApplianceChange};
use model::fleet::{Reboot, UpgradeCall};
use model::hold::HoldReason;
use model::observed::Slot;
use model::ports::{Command, CommandError, CommandOutput, ProcessId};
use model::run::Phase;

use super::activate::look_at_partners;
use super::context::{Context, Message};
use super::sight::{Sight, Watcher};

/// How long a reboot command may run (contract: semantics.md, "Commands").
const COMMAND_LIMIT: Duration = Duration::from_mins(1);

/// A reboot command that a dead process of ours started may still be at work: it is waited for,
/// and ended after its time, before anything is judged.
pub(super) async fn await_leftover(context: &mut Context, watcher: &mut Watcher) {
    let Some(process) = context.run.open.as_ref().and_then(|open| open.process) else { return };
    let runner = Arc::clone(&context.shared.commands);
    let gone = Box::pin(async move { runner.await_leftover(process, COMMAND_LIMIT).await });
    let watch = Box::pin(keep_looking(context, watcher));
    let lived = match select(gone, watch).await {
        Either::Left((lived, _)) => lived,
        Either::Right((never, _)) => match never {},
    };
    if lived {
        tracing::info!(appliance = %context.name, pid = process.pid, "waited for a reboot command of an earlier process");
    }
}

/// Goes on with an armed appliance. `fresh`: the slots were read just now.
pub(super) async fn reboot(
    context: &mut Context,
    watcher: &mut Watcher,
    fresh: bool,
    slots: &mut Option<(Duration, Vec<Slot>)>,
) {
    let Some(upgrade) = context.run.upgrade.clone() else { return };
    let Some(armed_at) = upgrade.armed_at else { return };
    let timeouts = &context.plan.timeouts;
    if let Some(asked) = upgrade.reboot_at {
        if context.left(context.deadline_since(asked, timeouts.upgrade)).is_zero() {
            let detail = format!("no restart was seen for {:#}", timeouts.upgrade);
            attend(context, HoldReason::RebootFailed { detail });
        }
        return;
    }
    if !context.left(context.deadline_since(armed_at, timeouts.armed_grace)).is_zero() {
        return;
    }
    if context.appliance.upgrade_call == UpgradeCall::Reboots {
        attend(context, HoldReason::ArmedButReboots);
        return;
    }
    match context.appliance.reboot.clone() {
        Reboot::Operator => attend(context, HoldReason::OperatorReboot { since: armed_at }),
        Reboot::Redfish(_) => {
            let detail = "this version cannot reboot through Redfish".to_owned();
            attend(context, HoldReason::RebootFailed { detail });
        }
        // The look before the act must be whole and new: read everything again first.
        Reboot::Command(_) if !fresh => *slots = None,
        Reboot::Command(words) => run_command(context, watcher, words).await,
    }
}

/// Waits for a person, and goes on watching: what the person does is seen.
fn attend(context: &mut Context, reason: HoldReason) {
    if context.run.phase != Phase::Attended {
        context.record(ApplianceChange::Held(reason));
    }
}

async fn run_command(context: &mut Context, watcher: &mut Watcher, words: Vec<String>) {
    // Its partners may have gone down since it was armed.
    look_at_partners(context).await;
    if context.intend(Act::Reboot).await.is_err() {
        return;
    }
    let command = Command {
        words,
        env: vec![
            ("SPSFLEET_ROLLOUT".to_owned(), context.plan.rollout.to_string()),
            ("SPSFLEET_APPLIANCE".to_owned(), context.name.to_string()),
            ("SPSFLEET_ADDRESS".to_owned(), context.appliance.endpoint.address.clone()),
            ("SPSFLEET_SITE".to_owned(), context.appliance.site.to_string()),
            ("SPSFLEET_STEP".to_owned(), "reboot".to_owned()),
        ],
        limit: COMMAND_LIMIT,
    };
    let runner = Arc::clone(&context.shared.commands);
    let started = tell_started(context);
    let run = Box::pin(async move { runner.run(&command, started).await });
    let watch = Box::pin(keep_looking(context, watcher));
    let result = match select(run, watch).await {
        Either::Left((result, _)) => result,
        Either::Right((never, _)) => match never {},
    };
    settle(context, result);
}

fn tell_started(context: &Context) -> Box<dyn FnOnce(ProcessId) + Send> {
    let shared = Arc::clone(&context.shared);
    let (task, name) = (context.task, context.name.clone());
    Box::new(move |process| {
        let change = ApplianceChange::CommandStarted(process);
        let at = shared.clock.now();
        // Without a driver the process is ending and the command is ended with it.
        drop(shared.messages.send(Message::Fact { task, name, at, change }));
    })
}

/// A command may take a minute, which is a gap in watching unless somebody looks meanwhile.
async fn keep_looking(context: &mut Context, watcher: &mut Watcher) -> std::convert::Infallible {
    let began = context.monotonic();
    loop {
        let pause = watcher.pause(context, context.monotonic() - began);
        context.sleep(pause).await;
        let _: Sight = watcher.look(context).await;
    }
}

/// What a program said, fit for a line of text.
fn tame(text: &str) -> String {
    const SHOWN: usize = 300;
    let plain = text.trim().chars().map(|c| if c.is_control() { ' ' } else { c });
    plain.take(SHOWN).collect()
}

fn settle(context: &mut Context, result: Result<CommandOutput, CommandError>) {
    match result {
        Ok(output) if output.code == Some(0) => {
            let done = ActOutcome::Done { job: None, slot: None };
            context.outcome(ActKind::Reboot, done, "the command ended with exit code 0");
        }
        Ok(output) => {
            let code =
                output.code.map_or("a signal".to_owned(), |code| format!("exit code {code}"));
            let words = tame(&output.stderr);
            let saw = format!("the command ended with {code}: {words}");
            context.outcome(ActKind::Reboot, ActOutcome::ReplyLost, saw.clone());
            attend(context, HoldReason::RebootFailed { detail: saw });
        }
        Err(error @ CommandError::TimedOut { .. }) => {
            context.outcome(ActKind::Reboot, ActOutcome::ReplyLost, error.to_string());
        }
        // Once is once: a command that could not be started is a person's to mend, not ours to
        // try in a loop.
        Err(error @ CommandError::NotStarted { .. }) => {
            context.outcome(ActKind::Reboot, ActOutcome::ReplyLost, error.to_string());
            attend(context, HoldReason::RebootFailed { detail: error.to_string() });
        }
    }
}
