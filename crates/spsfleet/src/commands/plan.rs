//! `plan`: what a rollout would do.

use std::path::PathBuf;
use std::sync::Arc;

use model::FirmwareVersion;
use model::event::StepDuration;
use model::exit::Exit;
use model::history::History;
use model::plan::Plan;
use serde_json::{Value, json};

use crate::cli::{Form, Output};
use crate::commands::simulate::faults;
use crate::context::Context;
use crate::inputs::Files;
use crate::observing::{self, Observed};
use crate::printer::width;
use crate::simulation::{Simulation, simulate};
use crate::view::plan::{Against, Foreseen, Shown};
use crate::view::simulation::Story;
use crate::{coded, database, view};

/// Shows what a rollout would do: waves, order, limits, when, and what should be known. Touches
/// nothing.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  spsfleet plan --fleet fleet.yaml rollout.yaml\n  \
                        spsfleet plan --fleet fleet.yaml --simulate --faults faults.yaml rollout.yaml\n  \
                        spsfleet plan --fleet fleet.yaml --state fleet.db --against sps-7.5.1 rollout.yaml\n\n\
                        --simulate carries the plan out on simulated appliances in virtual time and ends with \
                        the exit code that the rollout would have.")]
pub(crate) struct Args {
    #[command(flatten)]
    files: Files,
    /// The rollout.
    #[arg(value_name = "ROLLOUT")]
    rollout: PathBuf,
    /// Looks at no other file: no image, CA or password.
    #[arg(long)]
    no_files: bool,
    /// Reads the appliances (version, slots, disk, sessions), and asks the image URL for its size.
    #[arg(long)]
    observe: bool,
    /// The database of `run`: how long steps took tells how long they will take.
    #[arg(long, value_name = "DB")]
    state: Option<PathBuf>,
    /// What changed from the accepted plan of this rollout: its name, or the start of its id.
    #[arg(long, value_name = "ID", requires = "state")]
    against: Option<String>,
    /// Carries the plan out on simulated appliances.
    #[arg(long)]
    simulate: bool,
    /// What goes wrong in the simulation: YAML or JSON.
    #[arg(long, value_name = "FILE", requires = "simulate")]
    faults: Option<PathBuf>,
    /// All that is left to chance in the simulation.
    #[arg(long, value_name = "S", requires = "simulate", default_value_t = 1)]
    seed: u64,
    /// What the simulated appliances run that were not looked at.
    #[arg(long, value_name = "VERSION", requires = "simulate", default_value = "7.5.0",
          value_parser = FirmwareVersion::parse)]
    from: FirmwareVersion,
    /// Shows each appliance of large waves, too.
    #[arg(long)]
    all: bool,
    #[command(flatten)]
    form: Form,
}

/// An image of which nobody knows the size.
const USUAL_IMAGE: u64 = 1_500_000_000;

/// Runs the command.
pub(crate) async fn run(args: Args, context: &Context) -> anyhow::Result<Exit> {
    let printer = context.printer;
    let planned = match args.files.plan(&args.rollout, !args.no_files).await? {
        Ok(planned) => planned,
        Err(faulty) => {
            faulty.say(printer);
            return Ok(Exit::Usage);
        }
    };
    let plan = &planned.plan;
    let faults = args.faults.as_deref().map(faults).transpose()?.unwrap_or_default();
    let known = known(&args, plan).await?;
    let observed = match args.observe {
        true => Some(observing::observe(plan, &known.logins, context).await?),
        false => None,
    };
    let now = context.now();
    let forecast = planner::forecast(plan, &History::of(&known.durations), now);
    let mut simulated = None;
    if args.simulate {
        let simulation = Simulation {
            plan: Arc::clone(plan),
            versions: observed.as_ref().map(Observed::versions).unwrap_or_default(),
            from: args.from.clone(),
            size: observed.as_ref().and_then(|all| all.image_size()).unwrap_or(USUAL_IMAGE),
            faults,
            seed: args.seed,
            start: now,
            durations: known.durations,
        };
        let done = simulate(simulation).await?;
        let exit = view::simulation::exit(done.ending);
        simulated = Some((Story::of(&done, args.seed, exit.code()), exit));
    }
    let exit = simulated.as_ref().map_or(Exit::Done, |(_, exit)| *exit);
    let (paint, width) = (printer.data, width());
    let shown = match args.form.output {
        Output::Json => {
            let mut document = view::plan::document(plan, &forecast);
            add(&mut document, "against", known.against.as_ref())?;
            add(&mut document, "observed", observed.as_ref())?;
            add(&mut document, "simulation", simulated.as_ref().map(|(story, _)| story))?;
            serde_json::to_string_pretty(&document)?
        }
        Output::Text => {
            let foreseen = Foreseen { plan, forecast: &forecast };
            let shown = if args.all { Shown::All } else { Shown::Grouped };
            let mut text = view::plan::text(plan, Some(&foreseen), shown, paint, width);
            if let (Some(against), Some(name)) = (&known.against, &args.against) {
                text.push_str(&format!("\n{}", against.text(name, paint, width)));
            }
            if let Some(observed) = &observed {
                text.push_str(&view::observed::text(observed, plan, args.all, paint, width));
            }
            if let Some((story, _)) = &simulated {
                text.push_str(&view::simulation::text(story, args.all, paint, width));
            }
            text
        }
    };
    printer.print(&shown)?;
    for remark in &planned.remarks {
        printer.warn(remark);
    }
    Ok(exit)
}

fn add(
    document: &mut Value,
    key: &str,
    value: Option<impl serde::Serialize>,
) -> anyhow::Result<()> {
    if let (Some(fields), Some(value)) = (document.as_object_mut(), value) {
        fields.insert(key.to_owned(), json!(value));
    }
    Ok(())
}

/// What the database knows.
#[derive(Default)]
struct Known {
    durations: Vec<StepDuration>,
    logins: model::event::LoginMemory,
    against: Option<Against>,
}

async fn known(args: &Args, plan: &Plan) -> anyhow::Result<Known> {
    let Some(path) = &args.state else { return Ok(Known::default()) };
    let reader = database::read(path).await?;
    let mut against = None;
    if let Some(wanted) = &args.against {
        let head = database::find(&reader, wanted).await?;
        let run = reader.snapshot(&head.id).await.map_err(database::explain)?;
        let run = run.ok_or_else(|| coded::usage(format!("there is no rollout {wanted}")))?;
        against = Some(Against::of(&run.id, &run.plan, plan));
    }
    let known = Known {
        durations: reader.durations().await.map_err(database::explain)?,
        logins: reader.logins().await.map_err(database::explain)?,
        against,
    };
    reader.close().await;
    Ok(known)
}
