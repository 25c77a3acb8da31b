//! The two files of a command: read, looked into, planned.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context as _;
use model::fleet::Appliance;
use model::plan::{Plan, Warning};
use planner::{Facts, Fault, LARGEST_FILE, Source};

use crate::printer::{Paint, Printer, Style, width};
use crate::{coded, facts, faults};

/// Where the inventory is.
#[derive(Debug, clap::Args)]
pub(crate) struct Files {
    /// The inventory.
    #[arg(long, value_name = "FLEET")]
    fleet: PathBuf,
}

/// What came of the files: something usable, or faults.
pub(crate) type Looked<T> = Result<T, Box<Faulty>>;

/// Faults, with the text they are in.
#[derive(Debug)]
pub(crate) struct Faulty {
    /// Every one.
    pub(crate) faults: Vec<Fault>,
    fleet: Source,
    rollout: Option<Source>,
}

/// Files without a fault.
#[derive(Debug)]
pub(crate) struct Checked {
    /// How many appliances the inventory has.
    pub(crate) appliances: usize,
    /// How many of them the rollout selects, when there is one.
    pub(crate) selected: Option<usize>,
    /// What a person should know.
    pub(crate) warnings: Vec<Warning>,
}

/// An inventory alone.
#[derive(Debug)]
pub(crate) struct Inventory {
    /// Its appliances, by name.
    pub(crate) appliances: Vec<Arc<Appliance>>,
    /// Its text.
    pub(crate) text: String,
}

/// A plan, and what is not part of it.
#[derive(Debug)]
pub(crate) struct Planned {
    /// The plan.
    pub(crate) plan: Arc<Plan>,
    /// Passwords that cannot be read now. They are no part of the plan, which says only where
    /// passwords come from.
    pub(crate) remarks: Vec<String>,
}

impl Faulty {
    /// All of them, drawn, and their number.
    pub(crate) fn text(&self, paint: Paint) -> String {
        let sources = faults::Sources { fleet: &self.fleet, rollout: self.rollout.as_ref() };
        let drawn = faults::text(&self.faults, sources, paint, width());
        let count = crate::view::words::count(self.faults.len(), "fault");
        format!("{drawn}{}", paint.on(Style::Bad, &count))
    }

    /// Says them to a person who wanted something else.
    pub(crate) fn say(&self, printer: Printer) {
        printer.say(&self.text(printer.talk));
    }
}

impl Files {
    /// An inventory that did not come from the command line.
    pub(crate) fn at(fleet: PathBuf) -> Self {
        Self { fleet }
    }

    /// Checks the inventory, and a rollout over it.
    ///
    /// # Errors
    /// When a file cannot be read at all.
    pub(crate) async fn check(
        &self,
        rollout: Option<&Path>,
        look_at_files: bool,
    ) -> anyhow::Result<Looked<Checked>> {
        let (fleet, rollout) = self.sources(rollout)?;
        blocking(move || {
            let read = planner::read(fleet.clone(), rollout.clone());
            let checked = read.and_then(|inputs| {
                let facts = look(&inputs, look_at_files);
                let mut warnings = planner::check(&inputs, &facts)?;
                let selected = match &rollout {
                    Some(_) => Some(planner::plan(&inputs, &facts)?.appliances.len()),
                    None => None,
                };
                let all = inputs.appliances();
                if look_at_files {
                    warnings.extend(
                        remarks(all.map(AsRef::as_ref))
                            .into_iter()
                            .map(|text| Warning { code: "password".to_owned(), text }),
                    );
                }
                Ok(Checked { appliances: inputs.appliances().count(), selected, warnings })
            });
            checked.map_err(|faults| Box::new(Faulty { faults, fleet, rollout }))
        })
        .await
    }

    /// Reads the inventory alone, and looks at no other file.
    ///
    /// # Errors
    /// When it cannot be read at all.
    pub(crate) fn appliances(&self) -> anyhow::Result<Looked<Inventory>> {
        let (fleet, _) = self.sources(None)?;
        Ok(match planner::read(fleet.clone(), None) {
            Ok(inputs) => Ok(Inventory {
                appliances: inputs.appliances().cloned().collect(),
                text: fleet.text,
            }),
            Err(faults) => Err(Box::new(Faulty { faults, fleet, rollout: None })),
        })
    }

    /// Plans a rollout.
    ///
    /// # Errors
    /// When a file cannot be read at all, or the plan breaks a rule of ours.
    pub(crate) async fn plan(
        &self,
        rollout: &Path,
        look_at_files: bool,
    ) -> anyhow::Result<Looked<Planned>> {
        let (fleet, rollout) = self.sources(Some(rollout))?;
        let planned = blocking(move || {
            let read = planner::read(fleet.clone(), rollout.clone());
            let planned =
                read.and_then(|inputs| planner::plan(&inputs, &look(&inputs, look_at_files)));
            planned
                .map(|plan| {
                    let appliances = plan.appliances.values().map(AsRef::as_ref);
                    let remarks = if look_at_files { remarks(appliances) } else { Vec::new() };
                    Planned { plan: Arc::new(plan), remarks }
                })
                .map_err(|faults| Box::new(Faulty { faults, fleet, rollout }))
        })
        .await?;
        if let Ok(Planned { plan, .. }) = &planned {
            let findings: Vec<String> =
                planner::lint(plan).iter().map(ToString::to_string).collect();
            anyhow::ensure!(
                findings.is_empty(),
                "the plan breaks rules that always hold, which is a fault of this program: {}",
                findings.join("; ")
            );
        }
        Ok(planned)
    }

    fn sources(&self, rollout: Option<&Path>) -> anyhow::Result<(Source, Option<Source>)> {
        Ok((source(&self.fleet)?, rollout.map(source).transpose()?))
    }
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> anyhow::Result<T> {
    tokio::task::spawn_blocking(work).await.context("reading the files")
}

fn look(inputs: &planner::Inputs, look_at_files: bool) -> Facts {
    if look_at_files {
        facts::gather(&inputs.files(), credentials().as_deref())
    } else {
        Facts::not_looked_at()
    }
}

fn remarks<'a>(appliances: impl Iterator<Item = &'a Appliance>) -> Vec<String> {
    facts::missing_passwords(appliances, credentials().as_deref())
}

fn credentials() -> Option<PathBuf> {
    sps::Options::from_env().credentials_directory
}

/// Reads a file of ours.
fn source(path: &Path) -> anyhow::Result<Source> {
    let shown = path.display();
    let absolute = std::path::absolute(path).with_context(|| format!("{shown}"))?;
    let folder = absolute.parent().unwrap_or(Path::new("/"));
    let mut bytes = Vec::new();
    // One byte more than allowed, so that the planner sees that it is too long.
    let most = LARGEST_FILE as u64 + 1;
    File::open(path)
        .and_then(|file| file.take(most).read_to_end(&mut bytes))
        .map_err(|error| coded::usage(format!("{shown}: {}", facts::plainly(&error))))?;
    let text = String::from_utf8(bytes).map_err(|error| {
        let at = error.utf8_error().valid_up_to();
        coded::usage(format!("{shown}: not UTF-8 text (at byte {at}); save it as UTF-8"))
    })?;
    let folder = folder.to_str().with_context(|| format!("{shown}: its folder is not UTF-8"))?;
    Ok(Source { name: shown.to_string(), folder: folder.to_owned(), text })
}
