//! What the ledger's observer holds a story to: read from its plans, and from what its people
//! decided.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use model::calendar::{Calendar, Opening};
use model::decision::Decision;
use model::event::{Act, ApplianceChange, Change, Event, FailureCode, RolloutChange};
use model::hold::HoldReason;
use model::names::{ApplianceName, RolloutId, SiteName};
use model::plan::Plan;
use model::run::{Phase, Run};
use sim::Ledger;
use sim::ledger::observer::{ClusterLimits, Limits, violations};

/// What a story broke; nothing when all rules held.
pub(super) fn broken(
    ledger: &Ledger,
    events: &[Event],
    from: Timestamp,
    to: Timestamp,
) -> Vec<String> {
    let mut runs: BTreeMap<RolloutId, Run> = BTreeMap::new();
    let mut allowed = Allowed::default();
    for event in events {
        match runs.get_mut(&event.rollout) {
            None => {
                runs.insert(event.rollout.clone(), Run::begin(event).expect("a first event"));
            }
            Some(run) => {
                allowed.learn(run, event);
                run.apply(event).expect("an event that can happen");
            }
        }
    }
    let mut found = BTreeSet::new();
    for run in runs.values() {
        let limits = limits(run, &runs, &allowed, (from, to));
        found.extend(violations(ledger, &limits));
    }
    found.into_iter().collect()
}

/// What people allowed beyond the rules, and who was given up.
#[derive(Default)]
struct Allowed {
    upgrade_again: BTreeSet<ApplianceName>,
    login_again: BTreeSet<ApplianceName>,
    power_again: BTreeSet<ApplianceName>,
    given_up: BTreeSet<ApplianceName>,
    /// From when on until when the freezes of a site do not count.
    lifted: Vec<(SiteName, Timestamp, Timestamp)>,
}

impl Allowed {
    /// Learns from an event, before it is folded in.
    fn learn(&mut self, run: &Run, event: &Event) {
        match &event.change {
            Change::Rollout(RolloutChange::Decided { decision, .. }) => match decision {
                Decision::Retry { appliances } => {
                    for name in appliances {
                        self.retried(run, name);
                    }
                }
                Decision::OverrideFreeze { site, until } => {
                    self.lifted.push((site.clone(), event.at, *until));
                }
                _ => {}
            },
            // Others go down after somebody who failed or was left out: nobody waits for those.
            Change::Appliance(_, ApplianceChange::Intended(Act::Upgrade { .. })) => {
                let over = |(name, state): (&ApplianceName, &model::run::ApplianceRun)| {
                    let over = matches!(state.phase, Phase::Failed | Phase::Skipped);
                    over.then(|| name.clone())
                };
                self.given_up.extend(run.appliances.iter().filter_map(over));
            }
            _ => {}
        }
    }

    fn retried(&mut self, run: &Run, name: &ApplianceName) {
        let Some(state) = run.appliances.get(name) else { return };
        let failed = state.failure.as_ref().filter(|_| state.phase == Phase::Failed);
        if failed.is_some_and(|failure| failure.code == FailureCode::Reverted) {
            self.upgrade_again.insert(name.clone());
        }
        match &state.hold {
            Some(HoldReason::Credentials { .. }) => {
                self.login_again.insert(name.clone());
            }
            Some(HoldReason::PowerFailed { .. } | HoldReason::SecondaryNotProven { .. }) => {
                self.power_again.insert(name.clone());
            }
            _ => {}
        }
    }
}

fn limits(
    run: &Run,
    runs: &BTreeMap<RolloutId, Run>,
    allowed: &Allowed,
    (from, to): (Timestamp, Timestamp),
) -> Limits {
    let plan = &run.plan;
    let count = |limit: u32| limit as usize;
    let all: Vec<&Plan> = runs.values().map(|run| &*run.plan).collect();
    let everybody = || {
        let plans = all.iter();
        plans.flat_map(|plan| plan.appliances.values().chain(plan.bystanders.values()))
    };
    let mut sites = BTreeMap::new();
    for site in plan.sites.keys() {
        if let Some(own) = plan.sites.get(site).and_then(|limits| limits.unavailable) {
            sites.insert(site.clone(), count(own));
        }
    }
    let mut open = BTreeMap::new();
    for entry in plan.appliances.values() {
        let Some(calendar) = plan.calendars.get(&entry.site) else { continue };
        let lifted = allowed.lifted.iter().filter(|(site, ..)| *site == entry.site);
        let lifted: Vec<_> = lifted.map(|(_, at, until)| (*at, *until)).collect();
        open.insert(entry.name.clone(), spans(calendar, &lifted, from, to));
    }
    let versions = all.iter().flat_map(|plan| plan.hops()).map(|hop| hop.version.to_string());
    let over = runs.values().flat_map(|run| &run.appliances);
    let over = over.filter(|(_, state)| matches!(state.phase, Phase::Failed | Phase::Skipped));
    Limits {
        // Over all rollouts at once the observer cannot tell whose an appliance is.
        unavailable: Some(all.iter().map(|plan| count(plan.limits.unavailable)).sum()),
        site_unavailable: sites,
        group_unavailable: plan
            .groups
            .iter()
            .map(|(of, most)| (of.clone(), count(*most)))
            .collect(),
        sites: everybody().map(|entry| (entry.name.clone(), entry.site.clone())).collect(),
        groups: everybody()
            .filter_map(|entry| Some((entry.name.clone(), entry.group.clone()?)))
            .collect(),
        transfers: Some(all.iter().map(|plan| count(plan.limits.transfers)).sum()),
        site_transfers: plan
            .sites
            .keys()
            .map(|site| {
                (site.clone(), all.iter().map(|plan| count(plan.site_transfers(site))).sum())
            })
            .collect(),
        requests_per_second: Some(all.iter().map(|plan| plan.limits.requests_per_second).sum()),
        site_requests_per_second: BTreeMap::new(),
        request_slack: 0.0,
        target: Some(plan.firmware.version.to_string()),
        upgrade_again: allowed.upgrade_again.clone(),
        login_again: allowed.login_again.clone(),
        via: versions.collect(),
        power_again: allowed.power_again.clone(),
        clusters: plan
            .clusters
            .iter()
            .map(|(name, cluster)| {
                let (ranks, parallel) = (cluster.ranks.clone(), count(cluster.parallel));
                (name.clone(), ClusterLimits { ranks, parallel })
            })
            .collect(),
        waves: plan.waves.iter().map(|wave| wave.appliances.clone()).collect(),
        given_up: over.map(|(name, _)| name.clone()).chain(allowed.given_up.clone()).collect(),
        open,
        may_make_room: plan.make_room != model::rollout::MakeRoom::Never,
        ended: runs.values().all(Run::has_ended),
    }
}

/// When a site is open. A freeze that a person lifts is lifted from then on.
fn spans(
    calendar: &Calendar,
    lifted: &[(Timestamp, Timestamp)],
    from: Timestamp,
    to: Timestamp,
) -> Vec<(Timestamp, Timestamp)> {
    let mut spans = Vec::new();
    let mut at = from;
    while at <= to {
        let now = lifted.iter().rev().find(|(since, _)| *since <= at).map(|(_, until)| *until);
        let (is_open, changes) = match calendar.opening(at, now) {
            Opening::Open(closes) => (true, closes),
            Opening::Closed(opens) | Opening::Frozen { until: opens, .. } => (false, opens),
        };
        let decided = lifted.iter().map(|(since, _)| *since).find(|since| *since > at);
        let end = [changes, decided].into_iter().flatten().min().unwrap_or(Timestamp::MAX);
        if is_open {
            spans.push((at, end));
        }
        if end == Timestamp::MAX {
            break;
        }
        at = end;
    }
    spans
}
