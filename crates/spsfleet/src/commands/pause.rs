//! `pause`: no further appliance goes down.

use model::decision::Decision;
use model::exit::Exit;

use crate::context::Context;
use crate::deciding::{Deciding, decide, warn_of_half_clusters};

/// Lets no further appliance go down; what is in flight finishes, and so does a cluster that has
/// begun, unless `--now` is said.
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
    /// Inside a cluster that has begun, too: it may be left half upgraded, which does not audit.
    #[arg(long)]
    now: bool,
}

/// Runs the command.
pub(crate) async fn run(args: Args, context: &Context) -> anyhow::Result<Exit> {
    let Args { deciding, all, now } = args;
    decide(deciding, context, |run| {
        if now {
            warn_of_half_clusters(run, "after `resume`", context.printer);
        }
        Ok(Decision::Pause { all, now })
    })
    .await
}
