//! `report`: what a rollout came to, as a record to keep.

use std::path::PathBuf;

use anyhow::Context as _;
use model::exit::Exit;

use crate::context::Context;
use crate::database;
use crate::rolling;
use crate::view::report::{html, markdown, text};

/// Shows what a rollout came to, as a record to keep: verdict, waves, clusters, every appliance
/// with its versions, downtime and health, who decided what, what is not upgraded and why. Works
/// beside a running `run`; what is not over is then counted up to now.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  spsfleet report sps-7.5.1 --state fleet.db\n  \
                        spsfleet report sps-7.5.1 --state fleet.db --format html > report.html\n\n\
                        The HTML is one file without scripts: it can be mailed, printed, and read on a phone.")]
pub(crate) struct Args {
    /// The rollout's name, or the start of its id.
    rollout: String,
    /// The database of `run`.
    #[arg(long, value_name = "DB")]
    state: PathBuf,
    /// How it is written: text, md, html or json.
    #[arg(
        long,
        value_enum,
        default_value = "text",
        value_name = "FORM",
        hide_possible_values = true
    )]
    format: Format,
}

/// How a report is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    /// For a mail, 80 columns.
    Text,
    /// Markdown with tables.
    Md,
    /// One file with a timeline.
    Html,
    /// For programs; carries `"schema": 1`.
    Json,
}

/// Runs the command.
pub(crate) async fn run(args: Args, context: &Context) -> anyhow::Result<Exit> {
    let reader = database::read(&args.state).await?;
    let head = database::find(&reader, &args.rollout).await?;
    let facts = rolling::report(&reader, &head.id, context.now()).await?;
    reader.close().await;
    // A large report is written in one go; nothing else is asked of this thread meanwhile.
    let printer = context.printer;
    let shown = match args.format {
        Format::Text => text(&facts, printer.data),
        Format::Md => markdown(&facts),
        Format::Html => html(&facts),
        Format::Json => serde_json::to_string_pretty(&facts)?,
    };
    printer.print(&shown).context("writing to standard output")?;
    Ok(Exit::Done)
}
