//! `resolve`: says what became of an act whose outcome is unknown.

use model::ApplianceName;
use model::decision::Decision;
use model::exit::Exit;

use crate::coded;
use crate::context::Context;
use crate::deciding::{Deciding, decide};

/// Says what became of an act whose outcome the program cannot tell. Look at the appliance first.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  spsfleet resolve sps-7.5.1 ams-1 not-done --state fleet.db \
                        --reason \"console shows no reboot\"")]
pub(crate) struct Args {
    #[command(flatten)]
    deciding: Deciding,
    /// Which appliance.
    appliance: String,
    /// What you found.
    #[arg(value_enum)]
    outcome: Found,
}

/// What became of the act.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Found {
    /// It was done.
    Done,
    /// It was not done; it may be asked for again.
    NotDone,
}

/// Runs the command.
pub(crate) async fn run(args: Args, context: &Context) -> anyhow::Result<Exit> {
    let appliance =
        ApplianceName::new(&args.appliance).map_err(|error| coded::usage(error.to_string()))?;
    let done = args.outcome == Found::Done;
    decide(args.deciding, context, |_| Ok(Decision::Resolve { appliance, done })).await
}
