//! `check`: every fault of the files at once.

use std::path::PathBuf;

use model::exit::Exit;
use serde_json::json;

use crate::cli::{Form, Output};
use crate::coded;
use crate::context::Context;
use crate::faults;
use crate::inputs::{Checked, Files};
use crate::view::words;

/// Reads an inventory and a rollout and shows every fault at once, each with its place.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  spsfleet check --fleet fleet.yaml rollout.yaml")]
pub(crate) struct Args {
    #[command(flatten)]
    files: Files,
    /// The rollout; absent, only the inventory is checked.
    #[arg(value_name = "ROLLOUT")]
    rollout: Option<PathBuf>,
    /// Looks at no other file: no image, CA or password.
    #[arg(long)]
    no_files: bool,
    #[command(flatten)]
    form: Form,
}

/// Runs the command.
pub(crate) async fn run(args: Args, context: &Context) -> anyhow::Result<Exit> {
    let printer = context.printer;
    let checked = match args.files.check(args.rollout.as_deref(), !args.no_files).await {
        Err(error) if args.form.output == Output::Json => {
            // A file that cannot be read at all is a fault like any other, without a place in it.
            let message = format!("{error:#}");
            let fault = json!({ "code": "unreadable", "message": message, "label": "", "help": null,
                "file": null, "line": null, "column": null, "related": [] });
            let document = json!({ "schema": 1, "ok": false, "faults": [fault], "warnings": [] });
            printer.print(&serde_json::to_string_pretty(&document)?)?;
            return Ok(coded::exit_of(&error).0);
        }
        checked => checked?,
    };
    match (&checked, args.form.output) {
        (Ok(checked), Output::Text) => {
            for warning in &checked.warnings {
                printer.warn(&warning.text);
            }
            printer.print(&verdict(checked))?;
        }
        (Ok(checked), Output::Json) => {
            let document = json!({
                "schema": 1,
                "ok": true,
                "appliances": checked.appliances,
                "selected": checked.selected,
                "faults": [],
                "warnings": checked.warnings,
            });
            printer.print(&serde_json::to_string_pretty(&document)?)?;
        }
        (Err(faulty), Output::Text) => printer.print(&faulty.text(printer.data))?,
        (Err(faulty), Output::Json) => {
            let faults = faults::values(&faulty.faults);
            let document = json!({ "schema": 1, "ok": false, "faults": faults, "warnings": [] });
            printer.print(&serde_json::to_string_pretty(&document)?)?;
        }
    }
    Ok(if checked.is_ok() { Exit::Done } else { Exit::Usage })
}

fn verdict(checked: &Checked) -> String {
    let all = words::count(checked.appliances, "appliance");
    match checked.selected {
        Some(selected) => format!("no fault: {selected} of {all} selected"),
        None => format!("no fault: {all}"),
    }
}
