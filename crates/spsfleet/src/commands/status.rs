//! `status`: what is.

use std::path::PathBuf;

use control::wire::{RolloutView, StatusView};
use model::event::RolloutHead;
use model::exit::Exit;
use model::run::Run;
use state::SqliteReader;

use crate::cli::{Form, Output};
use crate::context::Context;
use crate::view::status::text;
use crate::{database, printer};

/// Shows what is.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  spsfleet status --state fleet.db\n  \
                        spsfleet status sps-7.5.1 --state fleet.db --output json")]
pub(crate) struct Args {
    /// A rollout's name or the start of its id; absent, those that have not ended, else the last.
    rollout: Option<String>,
    /// The database of `run`.
    #[arg(long, value_name = "DB")]
    state: PathBuf,
    /// All rollouts, also those that have ended.
    #[arg(long, conflicts_with = "rollout")]
    all: bool,
    #[command(flatten)]
    form: Form,
}

/// Runs the command.
pub(crate) async fn run(args: Args, context: &Context) -> anyhow::Result<Exit> {
    let reader = database::read(&args.state).await?;
    let heads = match &args.rollout {
        Some(wanted) => vec![database::find(&reader, wanted).await?],
        None => wanted(&reader, args.all).await?,
    };
    let now = context.now();
    let mut runs = Vec::new();
    for head in heads {
        runs.extend(reader.snapshot(&head.id).await.map_err(database::explain)?);
    }
    let view = |run: &Run| RolloutView::of(run, false, &executor::reasons(run, now));
    let shown = match args.form.output {
        Output::Json => {
            serde_json::to_string_pretty(&StatusView::with(runs.iter().map(view).collect()))?
        }
        Output::Text if runs.is_empty() => {
            context.printer.say("no rollout yet");
            return Ok(Exit::Done);
        }
        Output::Text => {
            let (paint, width) = (context.printer.data, printer::width());
            let text = |run: &Run| text(&view(run), &run.plan.warnings, now, paint, width);
            runs.iter().map(text).collect::<Vec<_>>().join("\n")
        }
    };
    context.printer.print(&shown)?;
    Ok(Exit::Done)
}

async fn wanted(reader: &SqliteReader, all: bool) -> anyhow::Result<Vec<RolloutHead>> {
    let mut heads = reader.rollouts().await.map_err(database::explain)?;
    if !all {
        let last = heads.last().map(|head| head.id.clone());
        let any_open = heads.iter().any(|head| !head.ended);
        heads.retain(|head| if any_open { !head.ended } else { Some(&head.id) == last.as_ref() });
    }
    Ok(heads)
}
