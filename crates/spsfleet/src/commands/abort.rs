//! `abort`: gives a rollout up.

use model::decision::Decision;
use model::exit::Exit;

use crate::context::Context;
use crate::deciding::{Deciding, decide};

/// Gives a rollout up, for good: what has not gone down does not, what is in flight finishes, and
/// fetch jobs of ours are removed.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Example:\n  spsfleet abort sps-7.5.1 --state fleet.db --reason \"wrong image\""
)]
pub(crate) struct Args {
    #[command(flatten)]
    deciding: Deciding,
}

/// Runs the command.
pub(crate) async fn run(args: Args, context: &Context) -> anyhow::Result<Exit> {
    decide(args.deciding, context, |_| Ok(Decision::Abort)).await
}
