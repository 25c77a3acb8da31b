//! `explain`: why one appliance is where it is, and what comes next.

use std::path::PathBuf;

use control::wire::RolloutView;
use model::ApplianceName;
use model::event::Event;
use model::exit::Exit;
use state::{EventQuery, Order};

use crate::advice::what_to_type;
use crate::cli::{Form, Output};
use crate::context::Context;
use crate::view::explain::{Explained, document, text};
use crate::{coded, database, printer};

/// Shows of one appliance what it is and since when, what it waits for, who holds it, when that
/// may change, what comes next, and what happened so far. Works beside a running `run`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  spsfleet explain sps-7.5.1 ams-1 --state fleet.db\n\n\
                        docs/safety.md says of each reason what it means.")]
pub(crate) struct Args {
    /// The rollout's name, or the start of its id.
    rollout: String,
    /// Which appliance.
    appliance: String,
    /// The database of `run`.
    #[arg(long, value_name = "DB")]
    state: PathBuf,
    #[command(flatten)]
    form: Form,
}

/// How many events of an appliance are looked back at.
const EVENTS: usize = 100;

/// Runs the command.
pub(crate) async fn run(args: Args, context: &Context) -> anyhow::Result<Exit> {
    let name = ApplianceName::new(&args.appliance);
    let name = name.map_err(|error| coded::usage(error.to_string()))?;
    let reader = database::read(&args.state).await?;
    let head = database::find(&reader, &args.rollout).await?;
    let Some(run) = reader.snapshot(&head.id).await.map_err(database::explain)? else {
        anyhow::bail!("rollout {} is not there any more", head.name);
    };
    let history = database::history(&reader).await?;
    let query = EventQuery {
        rollout: Some(head.id.clone()),
        appliance: Some(name.clone()),
        after: 0,
        limit: EVENTS,
        order: Order::Newest,
    };
    let mut events: Vec<Event> = reader.events(&query).await.map_err(database::explain)?;
    events.sort_by_key(|event| event.seq);
    let working = if head.ended { None } else { database::at_work(&reader, &head.id).await };
    let now = context.now();
    let reasons = database::reasons(&reader, &run, &history, now).await;
    let reasons = reasons.map_err(database::explain)?;
    let at_work = (!head.ended).then(|| working.is_some_and(|view| view.at_work == Some(true)));
    let view = RolloutView::of(&run, false, &reasons, now).expecting(&run, &history);
    let view = RolloutView { at_work, ..view };
    let explained = Explained {
        run: &run,
        view: &view,
        hold: reasons.get(&name),
        history: &history,
        events: &events,
        now,
    };
    let Some(document) = document(&explained, &name) else {
        return Err(coded::usage(format!("{name} is not in rollout {}", run.plan.rollout)));
    };
    let shown = match args.form.output {
        Output::Json => serde_json::to_string_pretty(&document)?,
        Output::Text => {
            let paint = context.printer.data;
            let commands = what_to_type(&run, Some(&name), &args.state, paint);
            text(&explained, &document, &commands, paint, printer::width())
        }
    };
    context.printer.print(&shown)?;
    Ok(Exit::Done)
}
