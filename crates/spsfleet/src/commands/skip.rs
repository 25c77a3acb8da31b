//! `skip`: leaves appliances out.

use model::decision::Decision;
use model::exit::Exit;

use crate::context::Context;
use crate::deciding::{Deciding, decide, names};

/// Leaves appliances out of a rollout. One that is down goes on counting as down until it is seen
/// up.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Example:\n  spsfleet skip sps-7.5.1 ams-1 --state fleet.db --reason \"is replaced on Monday\""
)]
pub(crate) struct Args {
    #[command(flatten)]
    deciding: Deciding,
    /// Which appliances.
    #[arg(required = true, value_name = "APPLIANCE")]
    appliances: Vec<String>,
}

/// Runs the command.
pub(crate) async fn run(args: Args, context: &Context) -> anyhow::Result<Exit> {
    let appliances = names(&args.appliances)?;
    decide(args.deciding, context, |_| Ok(Decision::Skip { appliances })).await
}
