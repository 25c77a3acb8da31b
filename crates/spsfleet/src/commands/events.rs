//! `events`: what happened.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context as _;
use model::ApplianceName;
use model::exit::Exit;
use model::ports::Clock;
use state::{EventQuery, Order};

use crate::cli::{Form, Output};
use crate::context::Context;
use crate::view::events::{line, object};
use crate::{coded, database};

/// Shows what happened.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  spsfleet events sps-7.5.1 --state fleet.db --follow\n  \
                        spsfleet events --state fleet.db --appliance ams-1 --output json\n\n\
                        With --output json each line is one object.")]
pub(crate) struct Args {
    /// A rollout's name or the start of its id; absent, all.
    rollout: Option<String>,
    /// The database of `run`.
    #[arg(long, value_name = "DB")]
    state: PathBuf,
    /// Only of this appliance.
    #[arg(long, value_name = "NAME")]
    appliance: Option<String>,
    /// Goes on as more happens, until stopped.
    #[arg(long)]
    follow: bool,
    #[command(flatten)]
    form: Form,
}

/// How many events are read at a time.
const PAGE: usize = 1_000;
/// Between two looks for more.
const PAUSE: Duration = Duration::from_millis(500);

/// Runs the command.
pub(crate) async fn run(args: Args, context: &Context) -> anyhow::Result<Exit> {
    let appliance = args.appliance.as_deref().map(ApplianceName::new).transpose();
    let appliance = appliance.map_err(|error| coded::usage(error.to_string()))?;
    let reader = database::read(&args.state).await?;
    let rollout = match &args.rollout {
        Some(wanted) => Some(database::find(&reader, wanted).await?.id),
        None => None,
    };
    let mut query = EventQuery { rollout, appliance, after: 0, limit: PAGE, order: Order::Oldest };
    loop {
        let events = reader.events(&query).await.map_err(database::explain)?;
        for event in &events {
            query.after = event.seq;
            let shown = match args.form.output {
                Output::Text => line(event, context.printer.data),
                Output::Json => object(event).to_string(),
            };
            context.printer.print(&shown).context("writing to standard output")?;
        }
        if events.len() < PAGE {
            if !args.follow {
                return Ok(Exit::Done);
            }
            context.clock.sleep(PAUSE).await;
        }
    }
}
