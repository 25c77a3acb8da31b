//! `retry`: takes appliances up again.

use model::ApplianceName;
use model::decision::Decision;
use model::exit::Exit;
use model::run::{Phase, Run};

use crate::context::Context;
use crate::deciding::{Deciding, decide, names};

/// Takes failed, held, skipped or set-aside appliances up again. A password that one of them
/// refused may be sent to it again.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  spsfleet retry sps-7.5.1 ams-1 ams-2 --state fleet.db\n  \
                        spsfleet retry sps-7.5.1 --failed --state fleet.db --reason \"disk replaced\"")]
pub(crate) struct Args {
    #[command(flatten)]
    deciding: Deciding,
    /// Which appliances.
    #[arg(required_unless_present = "failed", value_name = "APPLIANCE")]
    appliances: Vec<String>,
    /// All that have failed.
    #[arg(long, conflicts_with = "appliances")]
    failed: bool,
}

/// Runs the command.
pub(crate) async fn run(args: Args, context: &Context) -> anyhow::Result<Exit> {
    let named = names(&args.appliances)?;
    decide(args.deciding, context, |run| {
        let appliances = if args.failed { failed(run) } else { named };
        anyhow::ensure!(!appliances.is_empty(), "no appliance of {} has failed", run.plan.rollout);
        Ok(Decision::Retry { appliances })
    })
    .await
}

fn failed(run: &Run) -> Vec<ApplianceName> {
    let failed = run.appliances.iter().filter(|(_, member)| member.phase == Phase::Failed);
    failed.map(|(name, _)| name.clone()).collect()
}
