//! `resume`: lifts a pause.

use model::decision::Decision;
use model::exit::Exit;

use crate::context::Context;
use crate::deciding::{Deciding, decide};

/// Lifts a pause or a reached failure budget; failures count anew.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Example:\n  spsfleet resume sps-7.5.1 --state fleet.db --reason \"looked into it\""
)]
pub(crate) struct Args {
    #[command(flatten)]
    deciding: Deciding,
}

/// Runs the command.
pub(crate) async fn run(args: Args, context: &Context) -> anyhow::Result<Exit> {
    decide(args.deciding, context, |_| Ok(Decision::Resume)).await
}
