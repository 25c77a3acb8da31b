//! Switches the power of one system of a Redfish service and prints what came of it: for trying a
//! real service by hand, and for `bench/redfish`.
//!
//!     redfish URL SYSTEM USER PASSWORD_VARIABLE ca:FILE|pin:SHA256|insecure STEP...
//!
//! Steps: `state`, `on`, `off`, `force_off`, `restart`, and `until_on` or `until_off`, which look
//! twice a second for at most a minute. One line is printed for each; a failure is a line too, and
//! the next step follows. The exit code is 0 when no step failed.

use std::io::Write as _;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use model::failure::ApplianceError;
use model::fleet::{Login, PasswordSource, Redfish, Trust};
use model::ports::{
    Clock, Command, CommandError, CommandOutput, CommandRunner, PowerConnector as _, PowerState,
    PowerSwitch, ProcessId,
};
use model::{ApplianceName, Sha256Hex};
use sps::Options;
use sps::redfish::RedfishConnector;

const USAGE: &str =
    "usage: redfish URL SYSTEM USER PASSWORD_VARIABLE ca:FILE|pin:SHA256|insecure STEP...";

/// How often a state is looked for, twice a second.
const LOOKS: usize = 120;

#[tokio::main]
async fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let [url, system, username, variable, trust, steps @ ..] = words.as_slice() else {
        return say(USAGE, 2);
    };
    let trust = match trust.split_once(':') {
        Some(("ca", file)) => Trust::Ca(file.to_owned()),
        Some(("pin", sum)) => match Sha256Hex::parse(sum) {
            Ok(sum) => Trust::Pin(sum),
            Err(error) => return say(&error.to_string(), 2),
        },
        None if trust == "insecure" => Trust::Insecure,
        _ => return say(USAGE, 2),
    };
    let target = Redfish {
        url: url.clone(),
        system: system.clone(),
        login: Login {
            username: username.clone(),
            method: None,
            password: PasswordSource::Env(variable.clone()),
        },
        trust,
    };
    let Ok(name) = ApplianceName::new("example") else { return say("no name", 2) };
    let clock = Arc::new(sim::TokioClock::real());
    let connector = RedfishConnector::new(clock.clone(), Arc::new(NoCommands), Options::default());
    let switch = connector.connect(&target, &name);
    let mut code = 0;
    for step in steps {
        match go(&*switch, &*clock, step).await {
            Ok(what) => drop(say(&format!("{step}: {what}"), 0)),
            Err(error) => {
                code = 1;
                say(&format!("{step}: FAILED {}: {error}", error.class.code()), 1);
            }
        }
    }
    ExitCode::from(code)
}

fn say(text: &str, code: u8) -> ExitCode {
    let written = writeln!(std::io::stdout(), "{text}");
    ExitCode::from(if written.is_ok() { code } else { 1 })
}

async fn go(
    switch: &dyn PowerSwitch,
    clock: &dyn Clock,
    step: &str,
) -> Result<&'static str, ApplianceError> {
    let asked = |()| "asked for";
    match step {
        "on" => switch.on().await.map(asked),
        "off" => switch.off().await.map(asked),
        "force_off" => switch.force_off().await.map(asked),
        "restart" => switch.restart().await.map(asked),
        "until_on" => until(switch, clock, PowerState::On).await,
        "until_off" => until(switch, clock, PowerState::Off).await,
        "state" => switch.state().await.map(shown),
        _ => Ok("no such step"),
    }
}

async fn until(
    switch: &dyn PowerSwitch,
    clock: &dyn Clock,
    wanted: PowerState,
) -> Result<&'static str, ApplianceError> {
    for _ in 0..LOOKS {
        if switch.state().await? == wanted {
            return Ok(shown(wanted));
        }
        clock.sleep(Duration::from_millis(500)).await;
    }
    Ok("not within a minute")
}

fn shown(state: PowerState) -> &'static str {
    match state {
        PowerState::On => "On",
        PowerState::Off => "Off",
    }
}

/// The password comes from a variable, so no program is run.
struct NoCommands;

impl CommandRunner for NoCommands {
    fn run<'a>(
        &'a self,
        command: &'a Command,
        _: Box<dyn FnOnce(ProcessId) + Send + 'a>,
    ) -> BoxFuture<'a, Result<CommandOutput, CommandError>> {
        let program = command.words.first().cloned().unwrap_or_default();
        let detail = "no program is run here".to_owned();
        Box::pin(std::future::ready(Err(CommandError::NotStarted { program, detail })))
    }

    fn await_leftover(&self, _: ProcessId, _: Duration) -> BoxFuture<'_, bool> {
        Box::pin(std::future::ready(false))
    }
}
