//! The two files, read and checked: everything that follows from their text alone.

use std::collections::{BTreeMap, HashSet};
use std::fmt;
use std::sync::Arc;

use model::fleet::{Appliance, PasswordSource, Trust};
use model::plan::{PlannedWave, Warning};
use model::{ApplianceName, GroupName};

use crate::facts::{FileKind, FileWanted};
use crate::fault::{Fault, Faults};
use crate::reader::Reader;
use crate::resolve::{self, Entry, Fleet};
use crate::rollout_file::{self, RawFirmware, RolloutFile};
use crate::source::{Lines, Role, Source, Span};
use crate::{calendars, check, fleet_file, select, tree, warn, waves};

/// A fleet, and a rollout over it when one was given; without a fault in either.
pub struct Inputs {
    pub(crate) fleet_source: Source,
    pub(crate) rollout_source: Option<Source>,
    pub(crate) fleet: Fleet,
    pub(crate) rollout: Option<Prepared>,
}

impl fmt::Debug for Inputs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Inputs")
            .field("fleet", &self.fleet_source.name)
            .field("appliances", &self.fleet.entries.len())
            .field("rollout", &self.rollout_source.as_ref().map(|source| &source.name))
            .finish_non_exhaustive()
    }
}

/// A rollout over a fleet. The numbers are positions in the fleet's entries, in their order.
#[derive(Debug)]
pub(crate) struct Prepared {
    pub(crate) file: RolloutFile,
    pub(crate) selected: Vec<usize>,
    pub(crate) bystanders: Vec<usize>,
    pub(crate) waves: Vec<PlannedWave>,
    pub(crate) warnings: Vec<Warning>,
}

/// Reads a fleet file and, when there is one, a rollout file over it.
///
/// # Errors
/// Every fault of both files, by file and place. Only a YAML syntax error hides what else is
/// wrong with its file.
pub fn read(fleet: Source, rollout: Option<Source>) -> Result<Inputs, Vec<Fault>> {
    let mut faults = Faults::default();
    let read_fleet = read_fleet(&fleet, &mut faults);
    let read_rollout = rollout.as_ref().and_then(|source| {
        let root = tree::parse(Role::Rollout, source, &mut faults)?;
        let mut reader = Reader { role: Role::Rollout, source, faults: &mut faults };
        rollout_file::read(&mut reader, &root)
    });
    if let Some(file) = &read_rollout {
        check::rollout(file, read_fleet.as_ref(), &mut faults);
    }
    let prepared = match (&read_fleet, read_rollout) {
        // What is selected would be guesswork while the files hold faults.
        (Some(fleet), Some(file)) if faults.is_empty() => {
            prepare(fleet, file, &mut faults).map(Some)
        }
        (_, None) if rollout.is_none() => Some(None),
        _ => None,
    };
    match (read_fleet, prepared) {
        (Some(read_fleet), Some(prepared)) if faults.is_empty() => Ok(Inputs {
            fleet_source: fleet,
            rollout_source: rollout,
            fleet: read_fleet,
            rollout: prepared,
        }),
        _ => Err(faults.finish(&fleet, rollout.as_ref())),
    }
}

fn read_fleet(source: &Source, faults: &mut Faults) -> Option<Fleet> {
    let root = tree::parse(Role::Fleet, source, faults)?;
    let mut reader = Reader { role: Role::Fleet, source, faults };
    let file = fleet_file::read(&mut reader, &root)?;
    drop(root);
    check::fleet(&file, faults);
    Some(resolve::resolve(file, faults))
}

fn prepare(fleet: &Fleet, file: RolloutFile, faults: &mut Faults) -> Option<Prepared> {
    let select = file.select.as_ref()?;
    let mut warnings = warn::rollout(&file);
    let selected = select::select(fleet, select, &mut warnings, faults);
    if selected.is_empty() {
        return None;
    }
    let waves = waves::form(fleet, &file.waves, &selected, select.span, &mut warnings, faults);
    let chosen: HashSet<&ApplianceName> =
        selected.iter().map(|entry| &entry.appliance.name).collect();
    let touched: HashSet<&GroupName> =
        selected.iter().filter_map(|entry| entry.appliance.group.as_ref()).collect();
    let is_bystander = |entry: &Entry| {
        entry.appliance.group.as_ref().is_some_and(|group| touched.contains(group))
            && !chosen.contains(&entry.appliance.name)
    };
    let bystanders: Vec<&Entry> =
        fleet.entries.iter().filter(|entry| is_bystander(entry)).collect();
    warnings.extend(warn::appliances(&selected));
    warnings.extend(warn::groups(fleet, &selected, &bystanders));
    warnings.extend(warn::parts(&file, &waves, &selected));
    warnings.extend(calendars::without_zone(fleet, &file, &selected));
    let positions = |keep: &dyn Fn(&Entry) -> bool| {
        fleet.entries.iter().enumerate().filter(|(_, e)| keep(e)).map(|(at, _)| at).collect()
    };
    let (selected, bystanders) =
        (positions(&|entry| chosen.contains(&entry.appliance.name)), positions(&is_bystander));
    Some(Prepared { selected, bystanders, waves, warnings, file })
}

impl Inputs {
    /// All appliances of the fleet, by name.
    pub fn appliances(&self) -> impl Iterator<Item = &Arc<Appliance>> {
        self.fleet.entries.iter().map(|entry| &entry.appliance)
    }

    /// The files to look at before planning, each once: those of the rollout's appliances, or of
    /// the whole fleet when there is no rollout.
    #[must_use]
    pub fn files(&self) -> Vec<FileWanted> {
        let fleet = Lines::new(Role::Fleet, &self.fleet_source);
        let rollout = self.rollout_source.as_ref().map(|source| Lines::new(Role::Rollout, source));
        let wanted = self.wanted().into_iter();
        wanted
            .map(|(kind, path, span)| {
                let lines = match (&rollout, span.role) {
                    (Some(lines), Role::Rollout) => lines,
                    _ => &fleet,
                };
                FileWanted { kind, path, place: lines.place(span) }
            })
            .collect()
    }

    /// The files to look at and where each is named first, by kind and path.
    pub(crate) fn wanted(&self) -> Vec<(FileKind, String, Span)> {
        let mut wanted: BTreeMap<(FileKind, &str), Span> = BTreeMap::new();
        let mut want = |kind, path, span: Span| {
            let first = wanted.entry((kind, path)).or_insert(span);
            *first = span.min(*first);
        };
        let (logged_in, looked_at) = match &self.rollout {
            Some(prepared) => (self.at(&prepared.selected), self.at(&prepared.bystanders)),
            None => (self.fleet.entries.iter().collect(), Vec::new()),
        };
        for entry in &logged_in {
            match &entry.appliance.endpoint.login.password {
                PasswordSource::Credential(name) => {
                    want(FileKind::Credential, name, entry.password);
                }
                PasswordSource::File(path) => want(FileKind::PasswordFile, path, entry.password),
                PasswordSource::Env(_) | PasswordSource::Command(_) => {}
            }
            for (kind, path, span) in &entry.hardware {
                want(*kind, path, *span);
            }
        }
        for entry in logged_in.into_iter().chain(looked_at) {
            if let (Trust::Ca(path), Some(span)) = (&entry.appliance.endpoint.trust, entry.trust) {
                want(FileKind::Ca, path, span);
            }
        }
        let firmware = self.rollout.as_ref().and_then(|prepared| prepared.file.firmware.as_ref());
        for hop in firmware.into_iter().flat_map(RawFirmware::hops) {
            if let Some(upload) = hop.upload.given() {
                want(FileKind::Image, &upload.value, upload.span);
            }
        }
        wanted.into_iter().map(|((kind, path), span)| (kind, path.to_owned(), span)).collect()
    }

    pub(crate) fn at(&self, positions: &[usize]) -> Vec<&Entry> {
        positions.iter().filter_map(|at| self.fleet.entries.get(*at)).collect()
    }
}
