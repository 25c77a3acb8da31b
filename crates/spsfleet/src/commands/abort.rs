//! `abort`: gives a rollout up.

use model::decision::Decision;
use model::exit::Exit;

use crate::context::Context;
use crate::deciding::{Deciding, decide, warn_of_half_clusters};

/// Gives a rollout up, for good: what has not gone down does not, what is in flight finishes (a
/// cluster that has begun, too, unless `--now` is said), and fetch jobs of ours are removed.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Example:\n  spsfleet abort sps-7.5.1 --state fleet.db --reason \"wrong image\""
)]
pub(crate) struct Args {
    #[command(flatten)]
    deciding: Deciding,
    /// Inside a cluster that has begun, too: it may be left half upgraded, which does not audit.
    #[arg(long)]
    now: bool,
}

/// Runs the command.
pub(crate) async fn run(args: Args, context: &Context) -> anyhow::Result<Exit> {
    let now = args.now;
    decide(args.deciding, context, |run| {
        if now {
            warn_of_half_clusters(run, "by another rollout", context.printer);
        }
        Ok(if now { Decision::AbortNow } else { Decision::Abort })
    })
    .await
}
