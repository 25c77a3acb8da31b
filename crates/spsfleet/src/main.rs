//! spsfleet: rolls firmware across many SPS appliances.
//!
//! The program joins the crates ([`wiring`]), gives them the system's clock, processes and
//! terminal, and shows what they say. No rule of a rollout stands here.

mod advice;
mod cli;
mod coded;
mod commands;
mod confirm;
mod context;
mod database;
mod deciding;
mod facts;
mod faults;
mod folder;
mod inputs;
mod live;
mod mask;
mod observing;
mod printer;
mod rolling;
mod service;
mod signals;
mod simulation;
mod spawn;
mod system;
mod talk_log;
mod view;
mod wiring;

use std::process::ExitCode;
use std::sync::Arc;

use clap::Parser;
use model::exit::Exit;
use tracing_subscriber::EnvFilter;

use crate::cli::{Cli, Command};
use crate::context::Context;
use crate::printer::Printer;
use crate::system::SystemClock;
use crate::talk_log::AsTalk;

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return usage(&error),
    };
    let printer = Printer::new(cli.color);
    log(printer);
    system::raise_open_files();
    let context = Context { printer, clock: Arc::new(SystemClock::new()) };
    let exit = match act(cli.command, &context) {
        Ok(exit) => exit,
        Err(error) => {
            let (exit, worth_a_word) = coded::exit_of(&error);
            if worth_a_word {
                printer.error(&chain(&error));
            }
            exit
        }
    };
    ExitCode::from(exit.code())
}

/// Help and version are data; anything else that clap says is a wrong command line.
fn usage(error: &clap::Error) -> ExitCode {
    let printed = error.print();
    let exit = if error.use_stderr() { Exit::Usage } else { Exit::Done };
    drop(printed);
    ExitCode::from(exit.code())
}

/// `SPSFLEET_LOG` says what is logged, in the form of `tracing`'s filters. Who does not ask for logs
/// still sees what goes wrong, as talk.
fn log(printer: Printer) {
    let asked = EnvFilter::try_from_env("SPSFLEET_LOG");
    let logs = tracing_subscriber::fmt().with_writer(std::io::stderr);
    match asked {
        Ok(filter) => logs.with_env_filter(filter).with_ansi(printer.talk.0).init(),
        Err(_) => logs.with_env_filter(EnvFilter::new("warn")).event_format(AsTalk(printer)).init(),
    }
}

fn chain(error: &anyhow::Error) -> String {
    let texts: Vec<String> = error.chain().map(ToString::to_string).collect();
    texts.join(": ")
}

fn act(command: Command, context: &Context) -> anyhow::Result<Exit> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        match command {
            Command::Demo(args) => commands::demo::run(args, context).await,
            Command::Simulate(args) => commands::simulate::run(args, context).await,
            Command::Check(args) => commands::check::run(args, context).await,
            Command::Plan(args) => commands::plan::run(args, context).await,
            Command::Run(args) => commands::run::run(args, context).await,
            Command::Status(args) => commands::status::run(args, context).await,
            Command::Events(args) => commands::events::run(args, context).await,
            Command::Explain(args) => commands::explain::run(args, context).await,
            Command::Report(args) => commands::report::run(args, context).await,
            Command::Pause(args) => commands::pause::run(args, context).await,
            Command::Resume(args) => commands::resume::run(args, context).await,
            Command::Abort(args) => commands::abort::run(args, context).await,
            Command::Approve(args) => commands::approve::run(args, context).await,
            Command::Confirm(args) => commands::confirm::run(args, context).await,
            Command::Retry(args) => commands::retry::run(args, context).await,
            Command::Skip(args) => commands::skip::run(args, context).await,
            Command::Resolve(args) => commands::resolve::run(args, context).await,
            Command::Freeze(args) => commands::freeze::run(args, context).await,
            Command::Db(args) => commands::db::run(args, context).await,
        }
    })
}
