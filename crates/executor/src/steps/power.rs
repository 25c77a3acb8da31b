//! One way to switch power and to restart, whether programs or a Redfish service do it.
//!
//! A program is judged as a request is: not started is not sent, another exit code than 0 or a time
//! limit says nothing of what it did (contract: semantics.md, "Commands").

use std::future::ready;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use futures::future::{BoxFuture, Either, select};
use model::decision::PersonStep;
use model::event::ApplianceChange;
use model::failure::{ApplianceError, FailureClass};
use model::fleet::{PowerTarget, Reboot};
use model::ports::{
    Answer, Command, CommandError, CommandOutput, CommandRunner, PowerState, PowerSwitch, ProcessId,
};

use super::context::{Context, Message};
use super::sight::{Sight, Watcher};

/// How long a program may run (contract: semantics.md, "Commands").
pub(super) const COMMAND_LIMIT: Duration = Duration::from_mins(1);

/// How often an act is asked for that did not reach its service, in one process.
const TRIES: u32 = 5;

/// The pause after such a try; it doubles.
const BETWEEN_TRIES: Duration = Duration::from_secs(5);

/// When an act that was proven not to be done may be asked for again.
#[derive(Debug, Default)]
pub(super) struct Tries {
    failed: u32,
    not_before: Duration,
}

impl Tries {
    /// Whether it may be asked for now.
    pub(super) fn may(&self, now: Duration) -> bool {
        self.failed < TRIES && now >= self.not_before
    }

    /// It did not reach its service. True when it is not asked for any more.
    pub(super) fn failed(&mut self, now: Duration) -> bool {
        self.not_before = now + BETWEEN_TRIES.saturating_mul(1 << self.failed.min(TRIES));
        self.failed += 1;
        self.failed >= TRIES
    }

    /// Whether it is not asked for any more.
    pub(super) fn is_over(&self) -> bool {
        self.failed >= TRIES
    }

    /// It is not asked for before then.
    pub(super) fn not_before(&mut self, at: Duration) {
        self.not_before = at;
    }

    /// It is not asked for any more.
    pub(super) fn give_up(&mut self) {
        self.failed = TRIES;
    }
}

/// The switch of a power target; its programs are told that they run for this step.
pub(super) fn switch(
    context: &Context,
    target: &PowerTarget,
    step: PersonStep,
) -> Arc<dyn PowerSwitch> {
    match target {
        PowerTarget::Redfish(redfish) => context.shared.power.connect(redfish, &context.name),
        PowerTarget::Command { on, off, state } => {
            let mut programs = Programs::new(context, step);
            programs.on.clone_from(on);
            programs.off.clone_from(off);
            programs.state.clone_from(state);
            Arc::new(programs)
        }
    }
}

/// What restarts an armed appliance; `None`: a person.
pub(super) fn restarter(context: &Context) -> Option<Arc<dyn PowerSwitch>> {
    match &context.appliance.reboot {
        Reboot::Operator => None,
        Reboot::Redfish(redfish) => Some(context.shared.power.connect(redfish, &context.name)),
        Reboot::Command(words) => {
            let mut programs = Programs::new(context, PersonStep::Reboot);
            programs.restart.clone_from(words);
            Some(Arc::new(programs))
        }
    }
}

/// Whether the check program proves that the node behind the switch is the secondary now.
///
/// # Errors
/// What it said instead.
pub(super) async fn prove_secondary(
    context: &mut Context,
    watcher: &mut Watcher,
    words: &[String],
) -> Result<(), String> {
    let command = command(context, words, PersonStep::SecondaryOff);
    let runner = Arc::clone(&context.shared.commands);
    // It changes nothing: no intent, and nobody waits for one that a dead process left.
    let work = async move { runner.run(&command, Box::new(drop)).await };
    match beside(context, watcher, work).await {
        Ok(output) if output.code == Some(0) => Ok(()),
        Ok(output) => Err(format!("`{}` {}", words.first().map_or("", |w| w), ended(&output))),
        Err(error) => Err(error.to_string()),
    }
}

/// Does something that takes a while, and goes on watching the appliance: a gap in watching would
/// let a restart pass unseen.
pub(super) async fn beside<T>(
    context: &mut Context,
    watcher: &mut Watcher,
    work: impl Future<Output = T> + Send,
) -> T {
    let watch = Box::pin(keep_looking(context, watcher));
    match select(Box::pin(work), watch).await {
        Either::Left((done, _)) => done,
        Either::Right((never, _)) => match never {},
    }
}

async fn keep_looking(context: &mut Context, watcher: &mut Watcher) -> std::convert::Infallible {
    let began = context.monotonic();
    loop {
        let pause = watcher.pause(context, context.monotonic() - began);
        context.sleep(pause).await;
        let _: Sight = watcher.look(context).await;
    }
}

fn command(context: &Context, words: &[String], step: PersonStep) -> Command {
    let appliance = &context.appliance;
    Command {
        words: words.to_vec(),
        env: vec![
            ("SPSFLEET_ROLLOUT".to_owned(), context.plan.rollout.to_string()),
            ("SPSFLEET_APPLIANCE".to_owned(), context.name.to_string()),
            ("SPSFLEET_ADDRESS".to_owned(), appliance.endpoint.address.clone()),
            ("SPSFLEET_SITE".to_owned(), appliance.site.to_string()),
            ("SPSFLEET_STEP".to_owned(), step.name().to_owned()),
        ],
        limit: COMMAND_LIMIT,
    }
}

/// A power switch made of programs. An empty one is not there.
struct Programs {
    runner: Arc<dyn CommandRunner>,
    blank: Command,
    /// Journals the process of an act, so that the next process of ours waits for it.
    started: Arc<dyn Fn(ProcessId) + Send + Sync>,
    on: Vec<String>,
    off: Vec<String>,
    state: Vec<String>,
    restart: Vec<String>,
}

impl Programs {
    fn new(context: &Context, step: PersonStep) -> Self {
        let shared = Arc::clone(&context.shared);
        let (task, name) = (context.task, context.name.clone());
        let started = move |process| {
            let (name, at) = (name.clone(), shared.clock.now());
            let change = ApplianceChange::CommandStarted(process);
            // Without a driver the process is ending and the command is ended with it.
            drop(shared.messages.send(Message::Fact { task, name, at, change }));
        };
        Self {
            runner: Arc::clone(&context.shared.commands),
            blank: command(context, &[], step),
            started: Arc::new(started),
            on: Vec::new(),
            off: Vec::new(),
            state: Vec::new(),
            restart: Vec::new(),
        }
    }

    fn act(&self, words: &[String]) -> Answer<'_, ()> {
        let program = words.first().cloned().unwrap_or_default();
        let command = Command { words: words.to_vec(), ..self.blank.clone() };
        let tell = Arc::clone(&self.started);
        async move {
            match self.runner.run(&command, Box::new(move |process| tell(process))).await {
                Ok(output) if output.code == Some(0) => Ok(()),
                // It has ended and did not say yes: what it did before is not known.
                Ok(output) => Err(failed(&program, FailureClass::Malformed, ended(&output))),
                Err(error) => Err(not_run(&program, &error)),
            }
        }
        .boxed()
    }

    fn missing<T: Send + 'static>(what: &str) -> BoxFuture<'static, Result<T, ApplianceError>> {
        let detail = format!("no program is configured that could {what}");
        ready(Err(failed("the power switch", FailureClass::Refused, detail))).boxed()
    }
}

impl PowerSwitch for Programs {
    fn state(&self) -> Answer<'_, PowerState> {
        let program = self.state.first().cloned().unwrap_or_default();
        let command = Command { words: self.state.clone(), ..self.blank.clone() };
        async move {
            let output = match self.runner.run(&command, Box::new(drop)).await {
                Ok(output) if output.code == Some(0) => output,
                Ok(output) => {
                    return Err(failed(&program, FailureClass::Malformed, ended(&output)));
                }
                Err(error) => return Err(not_run(&program, &error)),
            };
            match output.stdout.trim().to_ascii_lowercase().as_str() {
                "on" => Ok(PowerState::On),
                "off" => Ok(PowerState::Off),
                other => {
                    let detail = format!("it printed `{}`, neither on nor off", tame(other));
                    Err(failed(&program, FailureClass::Malformed, detail))
                }
            }
        }
        .boxed()
    }

    fn on(&self) -> Answer<'_, ()> {
        self.act(&self.on)
    }

    fn off(&self) -> Answer<'_, ()> {
        self.act(&self.off)
    }

    fn force_off(&self) -> Answer<'_, ()> {
        Self::missing("take the power away")
    }

    fn restart(&self) -> Answer<'_, ()> {
        if self.restart.is_empty() { Self::missing("restart it") } else { self.act(&self.restart) }
    }
}

fn failed(program: &str, class: FailureClass, detail: String) -> ApplianceError {
    ApplianceError {
        class,
        request: format!("`{program}`"),
        host: "this machine".to_owned(),
        detail,
        status: None,
        error_type: None,
        test_summary: None,
        retry_after: None,
    }
}

fn not_run(program: &str, error: &CommandError) -> ApplianceError {
    let class = match error {
        // Nothing was done, and trying again in a loop does not mend it.
        CommandError::NotStarted { .. } => FailureClass::Local,
        CommandError::TimedOut { .. } => FailureClass::OutcomeUnknown,
    };
    failed(program, class, error.to_string())
}

/// How a program ended that did not end well.
fn ended(output: &CommandOutput) -> String {
    let code = output.code.map_or("a signal".to_owned(), |code| format!("exit code {code}"));
    format!("ended with {code}: {}", tame(&output.stderr))
}

/// What a program said, fit for a line of text.
pub(crate) fn tame(text: &str) -> String {
    const SHOWN: usize = 300;
    let plain = text.trim().chars().map(|c| if c.is_control() { ' ' } else { c });
    plain.take(SHOWN).collect()
}
