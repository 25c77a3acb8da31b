//! The command line.

use clap::{Parser, Subcommand};

use crate::commands;
use crate::printer::ColorWhen;

/// Rolls firmware across many SPS appliances: a plan you can read, a hand that never does a thing
/// twice, a memory that survives.
#[derive(Debug, Parser)]
#[command(
    name = "spsfleet",
    version,
    after_help = "Start here:\n  spsfleet demo\n\nExit codes: 0 done, 1 could not go on or aborted, 2 usage or invalid file, 3 held, \
                  4 finished but not all upgraded, 5 no daemon, 6 not permitted, 130 interrupted\n\n\
                  SPSFLEET_LOG sets what is logged to standard error, such as `debug`"
)]
pub(crate) struct Cli {
    /// When output is coloured: auto (on a terminal, unless `NO_COLOR` is set), always, never.
    #[arg(
        long,
        global = true,
        value_enum,
        default_value = "auto",
        value_name = "WHEN",
        hide_possible_values = true
    )]
    pub(crate) color: ColorWhen,
    /// What to do.
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// How data is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Output {
    /// For people.
    Text,
    /// For programs; carries `"schema": 1`.
    Json,
}

/// The option of every command that reads.
#[derive(Debug, Clone, Copy, clap::Args)]
pub(crate) struct Form {
    /// How it is printed: text or json.
    #[arg(
        long,
        value_enum,
        default_value = "text",
        value_name = "FORM",
        hide_possible_values = true
    )]
    pub(crate) output: Output,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Rolls firmware across a simulated fleet on this machine, live.
    Demo(commands::demo::Args),
    /// Serves the appliances of an inventory as simulated ones until stopped.
    Simulate(commands::simulate::Args),
    /// Reads an inventory and a rollout and shows every fault at once.
    Check(commands::check::Args),
    /// Shows what a rollout would do; touches nothing.
    Plan(commands::plan::Args),
    /// Plans, asks, rolls out and reports, in the foreground.
    Run(commands::run::Args),
    /// Shows what is.
    Status(commands::status::Args),
    /// Shows what happened.
    Events(commands::events::Args),
    /// Shows why one appliance is where it is, and what comes next.
    Explain(commands::explain::Args),
    /// Shows what a rollout came to, as a record to keep: text, Markdown, HTML or JSON.
    Report(commands::report::Args),
    /// Lets no further appliance go down; what is in flight finishes.
    Pause(commands::pause::Args),
    /// Lifts a pause or a reached failure budget.
    Resume(commands::resume::Args),
    /// Gives a rollout up, for good; what is in flight finishes.
    Abort(commands::abort::Args),
    /// Lets the wave after a finished one start.
    Approve(commands::approve::Args),
    /// Says that a person's step of an HA pair is done.
    Confirm(commands::confirm::Args),
    /// Takes failed or held appliances up again.
    Retry(commands::retry::Args),
    /// Leaves appliances out.
    Skip(commands::skip::Args),
    /// Says what became of an act whose outcome is unknown.
    Resolve(commands::resolve::Args),
    /// Lifts the freezes of a site until a given time.
    Freeze(commands::freeze::Args),
    /// Looks after the database: proves that it is whole, or copies it.
    Db(commands::db::Args),
}
