//! How long the disruptive part of an appliance or of a cluster is expected to take. One answer
//! for the forecast, for the scheduler (nothing starts that would not end inside its window) and
//! for what people are shown.

use std::collections::BTreeMap;

use jiff::SignedDuration;

use crate::event::Step;
use crate::fleet::{Appliance, Role, UpgradeCall};
use crate::history::{Expected, History, Source};
use crate::names::{ApplianceName, SiteName};
use crate::plan::{Plan, PlannedCluster};

/// What is disruptive of every appliance.
const DISRUPTIVE: [Step; 3] = [Step::Activate, Step::Return, Step::Verify];

/// From the permit of an appliance until it is through, for one hop: the wait for sessions, the
/// upgrade call, the return and the checks after it; of an HA pair that arms also the wait for the
/// peer and for the pair to come together. A person's own time is not counted.
///
/// What waits for something else than the appliance (`drain.wait`, `peer_sync`) is counted in
/// full, whatever was seen before: it must fit too.
#[must_use]
pub fn appliance(plan: &Plan, name: &ApplianceName, history: &History) -> Expected {
    let Expected { took, source } = member(plan, name, history);
    Expected { took: took.saturating_add(drain(plan)), source }
}

/// From the start of a cluster until central management says that all members agree, for one hop:
/// one wait for the sessions of all members, the members rank by rank, and the sync after the last.
/// From the source of the member of which the least is known.
#[must_use]
pub fn cluster(plan: &Plan, cluster: &PlannedCluster, history: &History) -> Expected {
    let mut source = Source::Appliance;
    let mut total = drain(plan).saturating_add(plan.timeouts.verify);
    for rank in &cluster.ranks {
        let mut longest = SignedDuration::ZERO;
        for name in rank {
            let own = member(plan, name, history);
            longest = longest.max(own.took);
            source = source.max(own.source);
        }
        total = total.saturating_add(times(longest, rounds(plan, cluster.parallel, rank)));
    }
    Expected { took: total, source }
}

/// From the first minion of a cluster down until the last member is verified, for one hop: as long
/// as this its upgraded minions do not audit (sps-api.md, section 6). Nothing without minions.
#[must_use]
pub fn audit_gap(plan: &Plan, of: &PlannedCluster, history: &History) -> Expected {
    let Expected { took, source } = cluster(plan, of, history);
    let is_minion = |name: &ApplianceName| {
        let member = plan.appliances.get(name).and_then(|of| of.cluster.as_ref());
        member.is_some_and(|member| member.roles.contains(&Role::SearchMinion))
    };
    if !of.members().any(is_minion) {
        return Expected { took: SignedDuration::ZERO, source };
    }
    let around = drain(plan).saturating_add(plan.timeouts.verify);
    Expected { took: took.saturating_sub(around).max(SignedDuration::ZERO), source }
}

/// How often in a row members of a rank go down: fewer at once than the cluster allows where a
/// limit of rollout, site or group is smaller.
#[must_use]
pub fn rounds(plan: &Plan, parallel: u32, rank: &[ApplianceName]) -> u32 {
    let mut sites: BTreeMap<&SiteName, u32> = BTreeMap::new();
    let mut groups = BTreeMap::new();
    for member in rank.iter().filter_map(|name| plan.appliances.get(name)) {
        *sites.entry(&member.site).or_default() += 1;
        if let Some(group) = &member.group {
            *groups.entry(group).or_insert(0_u32) += 1;
        }
    }
    let members = u32::try_from(rank.len()).unwrap_or(u32::MAX);
    let at_once = parallel.min(plan.limits.unavailable).max(1);
    let of_sites = sites.into_iter().filter_map(|(site, members)| {
        let limit = plan.sites.get(site)?.unavailable?;
        Some(members.div_ceil(limit.max(1)))
    });
    let of_groups = groups.into_iter().filter_map(|(group, members)| {
        let limit = plan.groups.get(group)?;
        Some(members.div_ceil((*limit).max(1)))
    });
    of_sites.chain(of_groups).fold(members.div_ceil(at_once), u32::max)
}

/// What an appliance takes by itself once sessions are no longer waited for, for one hop; so long
/// too as a member of a cluster.
#[must_use]
pub fn member(plan: &Plan, name: &ApplianceName, history: &History) -> Expected {
    let appliance = plan.appliances.get(name);
    let seen = appliance.and_then(|of| history.expected(&DISRUPTIVE, &of.name, &of.site));
    let main = seen.unwrap_or_else(|| configured(plan, appliance));
    let Some(pair) = appliance.filter(|of| of.upgrade_call != UpgradeCall::Reboots) else {
        return main;
    };
    let Some(ha) = &pair.ha else { return main };
    // Nothing that others took tells of a pair that comes together, unless such a step was seen.
    let rejoin = history
        .expected(&[Step::Rejoin], &pair.name, &pair.site)
        .unwrap_or(Expected { took: plan.timeouts.r#return, source: Source::Configured });
    let peer_sync = ha.peer_sync.unwrap_or_default();
    Expected {
        took: main.took.saturating_add(rejoin.took).saturating_add(peer_sync),
        source: main.source.max(rejoin.source),
    }
}

fn configured(plan: &Plan, appliance: Option<&std::sync::Arc<Appliance>>) -> Expected {
    let timeouts = &plan.timeouts;
    let reboots = appliance.is_some_and(|of| of.upgrade_call == UpgradeCall::Reboots);
    let grace = if reboots { SignedDuration::ZERO } else { timeouts.armed_grace };
    let took = [timeouts.upgrade, grace, timeouts.r#return, timeouts.verify]
        .into_iter()
        .fold(SignedDuration::ZERO, SignedDuration::saturating_add);
    Expected { took, source: Source::Configured }
}

fn drain(plan: &Plan) -> SignedDuration {
    plan.drain.as_ref().map_or(SignedDuration::ZERO, |drain| drain.wait)
}

fn times(one: SignedDuration, times: u32) -> SignedDuration {
    i32::try_from(times)
        .ok()
        .and_then(|times| one.checked_mul(times))
        .unwrap_or(SignedDuration::MAX)
}
