//! Waves: who goes with whom, and in which order.

use std::collections::{BTreeMap, BTreeSet};

use model::ApplianceName;
use model::plan::{PlannedWave, Warning};

use crate::clusters;
use crate::fault::Faults;
use crate::resolve::{Entry, Fleet};
use crate::rollout_file::{Picks, RawWave};
use crate::select::{Matcher, Select, some, strange_labels};
use crate::source::Span;

/// What is never split over waves: one appliance, or the members of one cluster.
struct Unit<'f> {
    members: Vec<&'f Entry>,
}

impl<'f> Unit<'f> {
    fn first(&self) -> Option<&'f Entry> {
        self.members.first().copied()
    }

    /// Its members in the order in which they go down.
    fn in_order(&self) -> Vec<&'f Entry> {
        let mut members = self.members.clone();
        // Stable: within a rank by name.
        members.sort_by_key(|entry| entry.appliance.cluster.as_ref().map(clusters::rank));
        members
    }
}

/// Forms the waves. `selected` is sorted by name. A wave that adds nobody is left out with a
/// warning; who is in no wave is a fault.
pub(crate) fn form(
    fleet: &Fleet,
    waves: &[RawWave],
    selected: &[&Entry],
    select: Span,
    warnings: &mut Vec<Warning>,
    faults: &mut Faults,
) -> Vec<PlannedWave> {
    let mut left = spread(units(selected));
    let mut formed = Vec::new();
    let mut taken = 0;
    for wave in waves {
        let (picked, rest) = match &wave.picks {
            Picks::Rest => (left, Vec::new()),
            Picks::Percent(at) => {
                let wanted = (selected.len() * at.value as usize).div_ceil(100);
                up_to(left, wanted.saturating_sub(taken))
            }
            Picks::Select(select) => picked(fleet, (wave, select), selected, left, faults),
        };
        left = rest;
        let members: Vec<ApplianceName> = spread(picked)
            .iter()
            .flat_map(Unit::in_order)
            .map(|entry| entry.appliance.name.clone())
            .collect();
        taken += members.len();
        if members.is_empty() {
            let gates = wave.approval.value() == Some(&true)
                || wave.soak.value().is_some_and(|soak| !soak.is_zero());
            warnings.push(Warning {
                code: "empty-wave".to_owned(),
                text: format!(
                    "the wave `{}` adds nobody: earlier waves have taken all that it picks{}",
                    wave.name,
                    if gates { "; it has no soak and no approval either" } else { "" }
                ),
            });
            continue;
        }
        formed.push(PlannedWave {
            name: wave.name.clone(),
            appliances: members,
            failure_budget: wave.failure_budget.clone(),
            soak: wave.soak.value().copied().unwrap_or_default(),
            approval: wave.approval.value() == Some(&true),
        });
    }
    let mut nowhere: Vec<&ApplianceName> = left
        .iter()
        .flat_map(|unit| unit.members.iter().map(|entry| &entry.appliance.name))
        .collect();
    nowhere.sort_unstable();
    if !nowhere.is_empty() {
        let span = waves.last().map_or(select, |wave| wave.span);
        faults
            .add(
                "in-no-wave",
                span,
                format!("selected appliances are in no wave: {}", some(&nowhere)),
            )
            .label("nobody picks them up to here")
            .help("add a last wave with neither `select` nor `percent`: it takes the rest")
            .related(select, "selected here");
    }
    formed
}

/// The units of a selection, by the name of their first member.
fn units<'f>(selected: &[&'f Entry]) -> Vec<Unit<'f>> {
    let mut clusters = BTreeMap::new();
    let mut units: Vec<Unit<'f>> = Vec::new();
    for entry in selected {
        let at = match &entry.appliance.cluster {
            Some(member) => *clusters.entry(&member.name).or_insert(units.len()),
            None => units.len(),
        };
        match units.get_mut(at) {
            Some(unit) => unit.members.push(entry),
            None => units.push(Unit { members: vec![entry] }),
        }
    }
    units
}

/// One of each site in turn, sites and units by name: so no site bears a wave alone.
fn spread(units: Vec<Unit<'_>>) -> Vec<Unit<'_>> {
    let mut round_of: BTreeMap<&str, usize> = BTreeMap::new();
    let mut sorted = units;
    let name = |entry: &'_ Entry| entry.appliance.name.clone();
    sorted.sort_by_cached_key(|unit| unit.first().map(name));
    let mut keyed: Vec<(usize, &str, Unit<'_>)> = sorted
        .into_iter()
        .map(|unit| {
            let site = unit.first().map_or("", |entry| entry.appliance.site.as_str());
            let round = round_of.entry(site).or_default();
            *round += 1;
            (*round, site, unit)
        })
        .collect();
    // Stable: within a round every site has one unit.
    keyed.sort_by(|a, b| (a.0, a.1).cmp(&(b.0, b.1)));
    keyed.into_iter().map(|(_, _, unit)| unit).collect()
}

/// Takes whole units until there are at least so many members.
fn up_to(units: Vec<Unit<'_>>, wanted: usize) -> (Vec<Unit<'_>>, Vec<Unit<'_>>) {
    let mut count = 0;
    let (mut taken, mut left) = (Vec::new(), Vec::new());
    for unit in units {
        if count < wanted {
            count += unit.members.len();
            taken.push(unit);
        } else {
            left.push(unit);
        }
    }
    (taken, left)
}

/// What a wave's own `select` picks of what is left.
fn picked<'f>(
    fleet: &Fleet,
    (wave, select): (&RawWave, &Select),
    selected: &[&Entry],
    left: Vec<Unit<'f>>,
    faults: &mut Faults,
) -> (Vec<Unit<'f>>, Vec<Unit<'f>>) {
    let matcher = Matcher::new(select);
    if !selected.iter().any(|entry| matcher.matches(&entry.appliance)) {
        let draft = faults
            .add("nothing-selected", select.span, format!("the wave `{}` picks nobody", wave.name))
            .label("nothing that is selected matches")
            .help("a wave picks from what the rollout's own `select` has selected");
        if let Some(strange) = strange_labels(fleet, select).first() {
            draft.help(strange.clone());
        }
    }
    let mut split = BTreeSet::new();
    let (taken, left) = left.into_iter().partition(|unit: &Unit<'_>| {
        let matching = unit.members.iter().filter(|e| matcher.matches(&e.appliance)).count();
        if matching > 0 && matching < unit.members.len() {
            split.extend(unit.first().and_then(|e| e.appliance.cluster.clone()).map(|c| c.name));
        }
        matching > 0
    });
    for cluster in split {
        faults
            .add(
                "part-of-cluster",
                select.span,
                format!("the wave `{}` picks only a part of the cluster `{cluster}`", wave.name),
            )
            .label("picks a part of a cluster")
            .help("a cluster is upgraded as a whole and never split over waves");
    }
    (taken, left)
}
