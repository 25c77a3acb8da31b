//! A person's decision on its way: to the process that runs the rollout, or into the journal for
//! the next one.

use std::path::{Path, PathBuf};
use std::time::Duration;

use control::ClientError;
use model::ApplianceName;
use model::decision::Decision;
use model::event::{Change, Draft, RolloutChange};
use model::exit::Exit;
use model::ports::{Clock, Journal};
use model::run::Run;
use state::{Holder, SqliteJournal};

use crate::context::Context;
use crate::printer::Printer;
use crate::{coded, database, system, wiring};

/// What every decision takes.
#[derive(Debug, clap::Args)]
pub(crate) struct Deciding {
    /// The rollout's name, or the start of its id.
    rollout: String,
    /// The database of `run`.
    #[arg(long, value_name = "DB")]
    state: PathBuf,
    /// Why; kept in the journal.
    #[arg(long, value_name = "TEXT", default_value = "", hide_default_value = true)]
    reason: String,
}

/// Takes the decision that `choose` makes of what is.
pub(crate) async fn decide(
    args: Deciding,
    context: &Context,
    choose: impl FnOnce(&Run) -> anyhow::Result<Decision>,
) -> anyhow::Result<Exit> {
    let reader = database::read(&args.state).await?;
    let head = database::find(&reader, &args.rollout).await?;
    let Some(run) = reader.snapshot(&head.id).await.map_err(database::explain)? else {
        anyhow::bail!("rollout {} is not there any more", head.name);
    };
    reader.close().await;
    let decision = choose(&run)?;
    hand_over(&args.state, &run, &args.reason, decision, context).await?;
    Ok(Exit::Done)
}

/// Hands a decision about a rollout to whoever holds the database, or writes it down.
pub(crate) async fn hand_over(
    database: &Path,
    run: &Run,
    reason: &str,
    decision: Decision,
    context: &Context,
) -> anyhow::Result<()> {
    let verb = decision.verb();
    let name = &run.plan.rollout;
    let key = system::rollout_id(context.now(), &system::random()?).to_string();
    let mut tries_left = TRIES;
    loop {
        tries_left -= 1;
        match database::write(database, verb, false, context.now()).await {
            Ok(journal) => {
                let done = write_down(&journal, run, reason, decision, context).await;
                journal.close().await;
                done?;
                context.printer.say(&format!(
                    "{verb}: written down for {name}; the next `spsfleet run` with this database carries it out"
                ));
                return Ok(());
            }
            Err(state::Error::InUse { path, holder }) => {
                let socket = database::socket_of(&path);
                match wiring::send(&socket, &run.id, reason, &decision, &key).await {
                    Ok(()) => {
                        context.printer.say(&format!(
                            "{verb}: taken by the process that runs this database, for {name}"
                        ));
                        return Ok(());
                    }
                    // It may just be beginning or ending.
                    Err(ClientError::NoDaemon { .. }) if tries_left > 0 => {
                        context.clock.sleep(BETWEEN_TRIES).await;
                    }
                    Err(error) => return Err(not_reached(error, &path, holder.as_ref())),
                }
            }
            Err(error) => return Err(database::explain(error)),
        }
    }
}

/// How often a process that holds the database but does not answer is asked.
const TRIES: u32 = 15;
const BETWEEN_TRIES: Duration = Duration::from_millis(200);

fn not_reached(error: ClientError, database: &Path, holder: Option<&Holder>) -> anyhow::Error {
    match &error {
        ClientError::NotPermitted { .. } => coded::with(Exit::NotPermitted, error),
        ClientError::NoDaemon { .. } => {
            let by = holder.map_or_else(|| "another process".to_owned(), ToString::to_string);
            anyhow::Error::from(error).context(format!("{} is in use by {by}", database.display()))
        }
        _ => error.into(),
    }
}

async fn write_down(
    journal: &SqliteJournal,
    seen: &Run,
    reason: &str,
    decision: Decision,
    context: &Context,
) -> anyhow::Result<()> {
    // Between the first look and the lock another process may have gone on.
    let run = journal.reader().snapshot(&seen.id).await.map_err(database::explain)?;
    let run = run.as_ref().unwrap_or(seen);
    run.may_decide(&decision).map_err(|why| anyhow::anyhow!(why))?;
    let change =
        RolloutChange::Decided { actor: system::actor(), reason: reason.to_owned(), decision };
    let draft =
        Draft { rollout: seen.id.clone(), at: context.now(), change: Change::Rollout(change) };
    journal.append(&[draft]).await?;
    Ok(())
}

/// Says what `--now` may do to clusters that are under way. `then` is what brings them to an end.
pub(crate) fn warn_of_half_clusters(run: &Run, then: &str, printer: Printer) {
    let begun: Vec<&str> = run
        .plan
        .clusters
        .keys()
        .filter(|cluster| run.cluster_has_begun(cluster))
        .map(|cluster| cluster.as_str())
        .collect();
    if !begun.is_empty() {
        printer.warn(&format!(
            "cluster {} has begun and is left half upgraded: its upgraded minions do not audit until it is finished {then}",
            begun.join(", ")
        ));
    } else if !run.plan.clusters.is_empty() {
        printer.warn(
            "a cluster that begins meanwhile is left half upgraded: its upgraded minions do not audit",
        );
    }
}

/// Names from the command line.
pub(crate) fn names(texts: &[String]) -> anyhow::Result<Vec<ApplianceName>> {
    let name =
        |text: &String| ApplianceName::new(text).map_err(|error| coded::usage(error.to_string()));
    texts.iter().map(name).collect()
}
