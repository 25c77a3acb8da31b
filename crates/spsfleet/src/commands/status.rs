//! `status`: what is.

use std::path::PathBuf;
use std::sync::Arc;

use control::wire::{RolloutView, StatusView};
use model::event::RolloutHead;
use model::exit::Exit;
use model::plan::Plan;
use model::run::RolloutState;
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
    let history = database::history(&reader).await?;
    let now = context.now();
    let mut shown: Vec<(RolloutView, Arc<Plan>)> = Vec::new();
    for head in heads {
        let Some(run) = reader.snapshot(&head.id).await.map_err(database::explain)? else {
            continue;
        };
        // Whether the journal can be written only the process at work knows.
        let working = if head.ended { None } else { database::at_work(&reader, &head.id).await };
        let at_work = working.as_ref().is_some_and(|view| view.at_work == Some(true));
        let halted = working.is_some_and(|view| view.state == RolloutState::Halted)
            && !run.any_half_upgraded();
        let reasons = database::reasons(&reader, &run, &history, now).await;
        let reasons = reasons.map_err(database::explain)?;
        let view = RolloutView::of(&run, halted, &reasons, now).expecting(&run, &history);
        let at_work = (!head.ended).then_some(at_work);
        shown.push((RolloutView { at_work, ..view }, run.plan));
    }
    let shown = match args.form.output {
        Output::Json => {
            let views = shown.into_iter().map(|(view, _)| view).collect();
            serde_json::to_string_pretty(&StatusView::with(views))?
        }
        Output::Text if shown.is_empty() => {
            context.printer.say("no rollout yet");
            return Ok(Exit::Done);
        }
        Output::Text => {
            let (paint, width) = (context.printer.data, printer::width());
            let text = |(view, plan): &(RolloutView, Arc<Plan>)| {
                text(view, &plan.warnings, now, paint, width)
            };
            shown.iter().map(text).collect::<Vec<_>>().join("\n")
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
