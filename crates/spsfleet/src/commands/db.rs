//! `db check`, `db backup`: proves the memory, and copies it.

use std::path::PathBuf;

use clap::Subcommand;
use model::exit::Exit;
use serde_json::json;
use state::{CheckReport, SqliteReader};

use crate::cli::{Form, Output};
use crate::context::Context;
use crate::view::words;
use crate::{coded, database};

/// Looks after the database: proves that it is whole, or copies it. Both work beside a running
/// `run`, and neither changes the database.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// What to do.
    #[command(subcommand)]
    task: Task,
}

/// What can be done with a database.
#[derive(Debug, Subcommand)]
enum Task {
    /// Reads all of it: is the file whole, and does what is shown follow from the logs?
    Check(Check),
    /// Writes a complete copy to a new file, also while a rollout runs.
    Backup(Backup),
}

/// Reads the whole database, folds every log from its first event, and compares what `status`
/// shows with what follows from them. Ends with 1 when something is wrong. It repairs nothing.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  spsfleet db check --state fleet.db\n\n\
                        When something is wrong, keep the file as it is and go on from a backup:\n  \
                        cp backup.db fleet.db")]
struct Check {
    /// The database of `run`.
    #[arg(long, value_name = "DB")]
    state: PathBuf,
    #[command(flatten)]
    form: Form,
}

/// Writes a complete copy to a new file (mode 0600), also while a rollout runs. The file appears
/// when the copy is whole; one that is there is never overwritten.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  spsfleet db backup fleet-backup.db --state fleet.db\n\n\
                        A copy knows only what had happened by then: continue a rollout from the newest one.")]
struct Backup {
    /// The new file.
    file: PathBuf,
    /// The database of `run`.
    #[arg(long, value_name = "DB")]
    state: PathBuf,
}

/// Runs the command.
pub(crate) async fn run(args: Args, context: &Context) -> anyhow::Result<Exit> {
    match args.task {
        Task::Check(args) => check(args, context).await,
        Task::Backup(args) => backup(args, context).await,
    }
}

async fn check(args: Check, context: &Context) -> anyhow::Result<Exit> {
    let reader = database::read(&args.state).await?;
    let report = reader.check().await.map_err(database::explain)?;
    let shown = match args.form.output {
        Output::Text => text(&reader, &report),
        Output::Json => serde_json::to_string_pretty(&json!({
            "schema": 1,
            "ok": report.is_sound(),
            "rollouts": report.rollouts,
            "events": report.events,
            "problems": report.problems,
        }))?,
    };
    reader.close().await;
    context.printer.print(&shown)?;
    Ok(if report.is_sound() { Exit::Done } else { Exit::Stopped })
}

fn text(reader: &SqliteReader, report: &CheckReport) -> String {
    let path = reader.path().display();
    let events = words::count(usize::try_from(report.events).unwrap_or(usize::MAX), "event");
    let read = format!("{}, {events}", words::count(report.rollouts, "rollout"));
    if report.is_sound() {
        return format!("{path}: nothing wrong ({read})");
    }
    let problems = words::count(report.problems.len(), "problem");
    let lines: Vec<String> = report.problems.iter().map(|problem| format!("  {problem}")).collect();
    format!(
        "{path}: {problems} ({read})\n{}\nkeep the file as it is, and go on from a backup",
        lines.join("\n")
    )
}

async fn backup(args: Backup, context: &Context) -> anyhow::Result<Exit> {
    let reader = database::read(&args.state).await?;
    let written = reader.backup(&args.file).await;
    reader.close().await;
    written.map_err(|error| match error {
        state::Error::Exists { .. } => coded::with(Exit::Usage, error),
        error => database::explain(error),
    })?;
    context.printer.say(&format!(
        "{}: a complete copy of {}",
        args.file.display(),
        args.state.display()
    ));
    Ok(Exit::Done)
}
