//! `pause`: no further appliance goes down.

use model::decision::Decision;
use model::exit::Exit;

use crate::context::Context;
use crate::deciding::{Deciding, decide};

/// Lets no further appliance go down; what is in flight finishes.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Example:\n  spsfleet pause sps-7.5.1 --state fleet.db --reason \"incident 4711\""
)]
pub(crate) struct Args {
    #[command(flatten)]
    deciding: Deciding,
    /// Staging stops too.
    #[arg(long)]
    all: bool,
}

/// Runs the command.
pub(crate) async fn run(args: Args, context: &Context) -> anyhow::Result<Exit> {
    decide(args.deciding, context, |_| Ok(Decision::Pause { all: args.all })).await
}
