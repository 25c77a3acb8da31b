//! `confirm`: a person's step of an HA pair is done.

use clap::builder::{PossibleValuesParser, TypedValueParser as _};
use model::ApplianceName;
use model::decision::{Decision, PersonStep};
use model::exit::Exit;

use crate::coded;
use crate::context::Context;
use crate::deciding::{Deciding, decide};

/// Says that a person's step of an HA pair is done. `explain` and `status` say which step is
/// waited for and what is to be done.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Example:\n  spsfleet confirm sps-7.5.1 nyc-ha secondary-off --state fleet.db \
                        --reason \"console is dark\""
)]
pub(crate) struct Args {
    #[command(flatten)]
    deciding: Deciding,
    /// Which appliance.
    appliance: String,
    /// Which step.
    #[arg(value_name = "STEP", value_parser = steps())]
    step: PersonStep,
}

fn steps() -> impl clap::builder::TypedValueParser<Value = PersonStep> {
    PossibleValuesParser::new(PersonStep::ALL.map(PersonStep::name)).try_map(|text| {
        let named = PersonStep::ALL.into_iter().find(|step| step.name() == text);
        named.ok_or("there is no such step")
    })
}

/// Runs the command.
pub(crate) async fn run(args: Args, context: &Context) -> anyhow::Result<Exit> {
    let appliance =
        ApplianceName::new(&args.appliance).map_err(|error| coded::usage(error.to_string()))?;
    let step = args.step;
    decide(args.deciding, context, |_| Ok(Decision::Confirm { appliance, step })).await
}
