//! `plan`: what a rollout would do.

use std::path::PathBuf;

use model::exit::Exit;

use crate::cli::{Form, Output};
use crate::context::Context;
use crate::inputs::Files;
use crate::printer::width;
use crate::view;
use crate::view::plan::Shown;

/// Shows what a rollout would do: waves, order, limits, and what should be known. Touches nothing.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  spsfleet plan --fleet fleet.yaml rollout.yaml")]
pub(crate) struct Args {
    #[command(flatten)]
    files: Files,
    /// The rollout.
    #[arg(value_name = "ROLLOUT")]
    rollout: PathBuf,
    /// Looks at no other file: no image, CA or password.
    #[arg(long)]
    no_files: bool,
    #[command(flatten)]
    form: Form,
}

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
    let shown = match args.form.output {
        Output::Text => {
            view::plan::text(&planned.plan, None, Shown::Grouped, printer.data, width())
        }
        Output::Json => serde_json::to_string_pretty(&view::plan::document(&planned.plan))?,
    };
    printer.print(&shown)?;
    for remark in &planned.remarks {
        printer.warn(remark);
    }
    Ok(Exit::Done)
}
