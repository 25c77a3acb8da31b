//! `run`: plans, asks, rolls out and reports, in the foreground.

use std::path::PathBuf;
use std::sync::Arc;

use executor::{Executor, Options};
use model::exit::Exit;
use model::history::History;
use model::plan::Plan;
use model::run::Run;
use state::{SqliteJournal, SqliteReader};

use crate::context::Context;
use crate::inputs::{Files, Planned};
use crate::printer::width;
use crate::rolling::{Rolling, exit_of_ended, roll, tell};
use crate::view::plan::{Foreseen, Shown};
use crate::{coded, confirm, database, system, view, wiring};

/// Plans, asks, rolls out and reports, in the foreground. Run again with the same database it goes
/// on where it stopped.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Example:\n  spsfleet run --fleet fleet.yaml --state fleet.db rollout.yaml\n\n\
                        It ends when nothing can go on by itself. Decisions from another terminal reach it:\n  \
                        spsfleet pause sps-7.5.1 --state fleet.db"
)]
pub(crate) struct Args {
    #[command(flatten)]
    files: Files,
    /// The rollout.
    #[arg(value_name = "ROLLOUT")]
    rollout: PathBuf,
    /// The database, the memory of all rollouts of a fleet; made when it is not there.
    #[arg(long, value_name = "DB")]
    state: PathBuf,
    /// Accepts the plan without asking.
    #[arg(long)]
    yes: bool,
    /// Ends instead of waiting for what time would cure.
    #[arg(long)]
    no_wait: bool,
    /// Takes changed files over for what has not begun.
    #[arg(long)]
    replan: bool,
}

/// What the database says about a rollout of this name.
enum Standing {
    /// It is not there.
    New,
    /// It goes on as it is.
    Unfinished(Box<Run>),
    /// It has ended.
    Ended(Box<Run>),
    /// It goes on with another plan.
    Changed(Box<Run>),
}

/// Runs the command.
pub(crate) async fn run(args: Args, context: &Context) -> anyhow::Result<Exit> {
    let Planned { plan, remarks } = match args.files.plan(&args.rollout, true).await? {
        Ok(planned) => planned,
        Err(faulty) => {
            faulty.say(context.printer);
            return Ok(Exit::Usage);
        }
    };
    for remark in &remarks {
        context.printer.warn(remark);
    }
    let mut journal = if args.state.exists() { Some(open(&args, context).await?) } else { None };
    let mut standing = Standing::New;
    if let Some(journal) = &journal {
        standing = look(journal.reader(), &plan, args.replan).await?;
    }
    match &standing {
        Standing::Ended(run) => {
            let exit = exit_of_ended(run);
            if let Some(journal) = journal {
                context.printer.say(&format!("{} has ended:", run.plan.rollout));
                tell(journal.reader(), &run.id, &args.state, Some(exit), context).await?;
                journal.close().await;
            }
            return Ok(exit);
        }
        Standing::Unfinished(run) => {
            let since = view::words::moment(run.accepted_at);
            context.printer.say(&format!("{}: going on (begun {since})", run.plan.rollout));
        }
        Standing::New | Standing::Changed(_) => {
            let history = match &journal {
                Some(journal) => database::history(journal.reader()).await?,
                None => History::default(),
            };
            if !accepted(&plan, &history, &args, context).await? {
                context.printer.say("nothing was done");
                return Ok(Exit::Stopped);
            }
        }
    }
    if journal.is_none() {
        let opened = open(&args, context).await?;
        // Somebody else may have made it while the plan was read.
        let now = look(opened.reader(), &plan, false).await?;
        anyhow::ensure!(matches!(now, Standing::New), "another process has begun this rollout");
        journal = Some(opened);
    }
    let Some(journal) = journal else { anyhow::bail!("there is no journal") };
    let journal = Arc::new(journal);
    let id = match standing {
        Standing::Unfinished(run) | Standing::Ended(run) => run.id.clone(),
        Standing::New => {
            let id = system::rollout_id(context.now(), &system::random()?);
            let ports = wiring::ports(Arc::clone(&journal), &plan, context)?;
            Executor::accept(&ports, id.clone(), plan, system::actor()).await?;
            id
        }
        Standing::Changed(run) => {
            wiring::replan(&journal, &run.id, plan, context).await?;
            run.id.clone()
        }
    };
    let options =
        Options { no_wait: args.no_wait, stay_for_person: !args.yes && confirm::somebody_there() };
    roll(Rolling { journal, database: args.state, id, options, advise: true }, context).await
}

async fn open(args: &Args, context: &Context) -> anyhow::Result<SqliteJournal> {
    let opened = database::write(&args.state, "run", true, context.now()).await;
    opened.map_err(database::explain)
}

async fn look(reader: &SqliteReader, plan: &Plan, replan: bool) -> anyhow::Result<Standing> {
    let heads = reader.rollouts().await.map_err(database::explain)?;
    let mine = heads.iter().rev().find(|head| head.name == plan.rollout);
    for other in heads.iter().filter(|head| !head.ended && head.name != plan.rollout) {
        if let Some(run) = reader.snapshot(&other.id).await.map_err(database::explain)? {
            refuse_shared(&run, plan)?;
        }
    }
    let Some(mine) = mine else { return Ok(Standing::New) };
    let Some(run) = reader.snapshot(&mine.id).await.map_err(database::explain)? else {
        return Ok(Standing::New);
    };
    let run = Box::new(run);
    if run.plan.digest == plan.digest {
        let ended = run.has_ended();
        return Ok(if ended { Standing::Ended(run) } else { Standing::Unfinished(run) });
    }
    if replan && run.aborted {
        return Err(coded::usage(format!(
            "rollout {} was aborted, which is final; give the new one another name",
            plan.rollout
        )));
    }
    if replan {
        run.may_replan(plan).map_err(coded::usage)?;
        return Ok(Standing::Changed(run));
    }
    Err(coded::usage(changed(&run, plan)))
}

/// An appliance belongs to one unfinished rollout at a time.
fn refuse_shared(other: &Run, plan: &Plan) -> anyhow::Result<()> {
    let address = |appliance: &model::fleet::Appliance| appliance.endpoint.authority();
    let theirs: std::collections::BTreeMap<String, &str> =
        other.plan.appliances.values().map(|a| (address(a), a.name.as_str())).collect();
    let shared: Vec<&str> = plan
        .appliances
        .values()
        .filter(|mine| {
            other.plan.appliances.contains_key(&mine.name) || theirs.contains_key(&address(mine))
        })
        .map(|mine| mine.name.as_str())
        .collect();
    if shared.is_empty() {
        return Ok(());
    }
    Err(coded::usage(format!(
        "rollout {} is not finished and has {} too; let it finish or abort it first",
        other.plan.rollout,
        view::words::names(shared, 5)
    )))
}

fn changed(run: &Run, plan: &Plan) -> String {
    const SHOWN: usize = 20;
    let all = view::plan::Against::of(&run.id, &run.plan, plan).lines();
    let mut lines: Vec<String> = all.iter().take(SHOWN).map(|line| format!("  {line}")).collect();
    if let more @ 1.. = all.len().saturating_sub(SHOWN) {
        lines.push(format!("  and {more} more"));
    }
    let advice = if run.has_ended() {
        "that rollout has ended; restore the files, or give the new rollout another name"
    } else {
        "restore the files, or say --replan to take the change over for what has not begun"
    };
    format!(
        "the files have changed since the plan of {} was accepted:\n{}\n{advice}",
        run.plan.rollout,
        lines.join("\n")
    )
}

/// Of a larger wave only so many are shown before the question; `plan` shows all.
const MOST_SHOWN: usize = 30;

/// Shows the plan and asks.
async fn accepted(
    plan: &Plan,
    history: &History,
    args: &Args,
    context: &Context,
) -> anyhow::Result<bool> {
    let printer = context.printer;
    let forecast = planner::forecast(plan, history, context.now());
    let foreseen = Foreseen { plan, forecast: &forecast };
    printer.say(&view::plan::text(
        plan,
        Some(&foreseen),
        Shown::First(MOST_SHOWN),
        printer.talk,
        width(),
    ));
    if args.yes {
        return Ok(true);
    }
    if !confirm::somebody_there() {
        return Err(coded::usage(
            "there is no terminal to ask on; read the plan and say --yes to accept it",
        ));
    }
    let question = format!(
        "Roll {} out to {}?",
        plan.firmware.version,
        view::words::count(plan.appliances.len(), "appliance")
    );
    confirm::ask(printer, &question).await
}
