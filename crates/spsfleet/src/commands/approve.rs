//! `approve`: lets the next wave start.

use model::WaveName;
use model::decision::Decision;
use model::exit::Exit;

use crate::coded;
use crate::context::Context;
use crate::deciding::{Deciding, decide};

/// Lets the wave after a finished one start, where the rollout asks for a person's approval. It
/// can be given while the wave is still watched; the next one starts when that is over.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  spsfleet approve sps-7.5.1 canary --state fleet.db \
                        --reason \"no complaints\"")]
pub(crate) struct Args {
    #[command(flatten)]
    deciding: Deciding,
    /// The finished wave.
    #[arg(value_name = "WAVE")]
    wave: String,
}

/// Runs the command.
pub(crate) async fn run(args: Args, context: &Context) -> anyhow::Result<Exit> {
    let wave = WaveName::new(&args.wave).map_err(|error| coded::usage(error.to_string()))?;
    decide(args.deciding, context, |_| Ok(Decision::Approve { wave })).await
}
