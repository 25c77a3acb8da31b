//! What must hold in a world, for the observer: read from the plan and from what people decided.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use model::calendar::{Calendar, Opening};
use model::decision::Decision;
use model::event::{ApplianceChange, Change, RolloutChange};
use model::names::ApplianceName;
use model::plan::Plan;
use model::run::{Phase, Run};
use sim::ledger::observer::{ClusterLimits, Limits};

use crate::world::World;

/// What must hold. `ended`: nothing of ours may be left on the appliances.
pub(crate) fn limits(world: &World, ended: bool) -> Limits {
    let run = world.folded();
    let plan = &run.plan;
    let count = |limit: u32| limit as usize;
    let sites = plan.appliances.iter().map(|(name, entry)| (name.clone(), entry.site.clone()));
    let groups = plan.appliances.iter();
    let groups = groups.filter_map(|(name, entry)| Some((name.clone(), entry.group.clone()?)));
    let of_sites = plan.sites.iter();
    let cluster = |cluster: &model::plan::PlannedCluster| ClusterLimits {
        ranks: cluster.ranks.clone(),
        parallel: count(cluster.parallel),
    };
    let (again, power_again) = taken_up_again(world);
    Limits {
        unavailable: Some(count(plan.limits.unavailable)),
        site_unavailable: of_sites
            .filter_map(|(site, limits)| Some((site.clone(), count(limits.unavailable?))))
            .collect(),
        group_unavailable: plan
            .groups
            .iter()
            .map(|(g, limit)| (g.clone(), count(*limit)))
            .collect(),
        sites: sites.collect(),
        groups: groups.collect(),
        transfers: Some(count(plan.limits.transfers)),
        target: Some(plan.firmware.version.to_string()),
        via: plan.via.iter().map(|hop| hop.version.to_string()).collect(),
        clusters: plan.clusters.iter().map(|(name, c)| (name.clone(), cluster(c))).collect(),
        waves: plan.waves.iter().map(|wave| wave.appliances.clone()).collect(),
        given_up: given_up(&run, &again),
        open: open(plan, world),
        upgrade_again: again.clone(),
        login_again: again,
        power_again,
        ended,
        ..Limits::default()
    }
}

/// Who was taken up again by a person.
fn taken_up_again(world: &World) -> (BTreeSet<ApplianceName>, BTreeSet<ApplianceName>) {
    let mut again = BTreeSet::new();
    let mut power = BTreeSet::new();
    for event in world.journal.all() {
        let Change::Rollout(RolloutChange::Decided { decision, .. }) = event.change else {
            continue;
        };
        match decision {
            Decision::Retry { appliances } => again.extend(appliances),
            Decision::Resolve { appliance, done: false } => {
                power.insert(appliance.clone());
                again.insert(appliance);
            }
            Decision::Confirm { appliance, .. } => {
                power.insert(appliance);
            }
            _ => {}
        }
    }
    power.extend(again.iter().cloned());
    (again, power)
}

/// Who no later wave waits for: failed or left out at some time, or taken up again.
fn given_up(run: &Run, again: &BTreeSet<ApplianceName>) -> BTreeSet<ApplianceName> {
    let over = |(name, state): (&ApplianceName, &model::run::ApplianceRun)| {
        matches!(state.phase, Phase::Failed | Phase::Skipped).then(|| name.clone())
    };
    run.appliances.iter().filter_map(over).chain(again.iter().cloned()).collect()
}

/// When members may go down, as their calendars say.
fn open(plan: &Plan, world: &World) -> BTreeMap<ApplianceName, Vec<(Timestamp, Timestamp)>> {
    let first = world.journal.all().first().map_or(Timestamp::MIN, |event| event.at);
    let now = world.ports.clock.now();
    let mut by_site = BTreeMap::new();
    for (site, calendar) in &plan.calendars {
        by_site.insert(site.clone(), spans(calendar, first, now));
    }
    let of = |(name, entry): (&ApplianceName, &std::sync::Arc<model::fleet::Appliance>)| {
        Some((name.clone(), by_site.get(&entry.site)?.clone()))
    };
    plan.appliances.iter().filter_map(of).collect()
}

fn spans(calendar: &Calendar, from: Timestamp, until: Timestamp) -> Vec<(Timestamp, Timestamp)> {
    let (mut at, mut spans) = (from, Vec::new());
    while at <= until {
        match calendar.opening(at, None) {
            Opening::Open(closes) => {
                let closes = closes.unwrap_or(Timestamp::MAX);
                spans.push((at, closes));
                at = closes;
            }
            Opening::Closed(opens) | Opening::Frozen { until: opens, .. } => {
                at = opens.unwrap_or(Timestamp::MAX);
            }
        }
        if at == Timestamp::MAX {
            break;
        }
    }
    spans
}

/// Whether an appliance was ever set aside, and so may have come late.
pub(crate) fn came_late(world: &World) -> BTreeSet<ApplianceName> {
    let late = |event: model::event::Event| match event.change {
        Change::Appliance(name, ApplianceChange::SetAside { .. }) => Some(name),
        _ => None,
    };
    world.journal.all().into_iter().filter_map(late).collect()
}
