//! Clusters of a plan: whole, in the vendor's order, and asked at the right member.

use std::collections::{BTreeMap, BTreeSet};

use model::fleet::{Appliance, Role};
use model::plan::{Plan, PlannedCluster, PlannedWave};
use model::{ApplianceName, ClusterName};

use super::Findings;

/// Whether a member is of a kind.
type Kind<'a> = &'a dyn Fn(&ApplianceName) -> bool;

pub(super) fn check(plan: &Plan, findings: &mut Findings) {
    let mut declared: BTreeMap<&ClusterName, BTreeSet<&ApplianceName>> = BTreeMap::new();
    for (name, appliance) in &plan.appliances {
        if let Some(member) = &appliance.cluster {
            declared.entry(&member.name).or_default().insert(name);
        }
    }
    for cluster in declared.keys() {
        findings.unless(plan.clusters.contains_key(*cluster), "no-cluster", || {
            format!("members of the cluster `{cluster}` are planned, but not the cluster")
        });
    }
    let mut places = BTreeMap::new();
    for wave in plan.waves.iter().filter(|_| !plan.clusters.is_empty()) {
        places.extend(wave.appliances.iter().enumerate().map(|(at, name)| (name, (wave, at))));
    }
    let nobody = BTreeSet::new();
    for (name, cluster) in &plan.clusters {
        members(name, cluster, declared.get(name).unwrap_or(&nobody), findings);
        order(plan, name, cluster, findings);
        manager(plan, name, cluster, findings);
        findings.unless(cluster.parallel > 0, "zero-limit", || {
            format!("`parallel` of the cluster `{name}` is 0: nothing can go on there")
        });
        one_run(&places, name, cluster, findings);
    }
}

/// Every member stands in exactly one rank, and nobody else does.
fn members(
    name: &ClusterName,
    cluster: &PlannedCluster,
    declared: &BTreeSet<&ApplianceName>,
    findings: &mut Findings,
) {
    let mut ranked = BTreeSet::new();
    for member in cluster.members() {
        findings.unless(ranked.insert(member), "in-two-ranks", || {
            format!("`{member}` stands in more than one rank of the cluster `{name}`")
        });
    }
    for missing in declared.difference(&ranked) {
        findings.unless(false, "in-no-rank", || {
            format!("`{missing}` of the cluster `{name}` stands in no rank")
        });
    }
    for stranger in ranked.difference(declared) {
        findings.unless(false, "unknown-member", || {
            format!("`{stranger}` is no planned member of the cluster `{name}`")
        });
    }
    findings.unless(cluster.ranks.iter().all(|rank| !rank.is_empty()), "empty-rank", || {
        format!("the cluster `{name}` has an empty rank")
    });
}

/// The vendor's order, from the rules as they are written (sps-api.md, section 6): what comes later
/// must wait for all that comes before, so it shares no rank with it and never precedes it.
fn order(plan: &Plan, name: &ClusterName, cluster: &PlannedCluster, findings: &mut Findings) {
    let is = |member: &ApplianceName, role: Role| {
        let own = plan.appliances.get(member).and_then(|appliance| appliance.cluster.as_ref());
        own.is_some_and(|own| own.roles.contains(&role))
    };
    let master = |member: &ApplianceName| is(member, Role::SearchMaster);
    let central = |m: &ApplianceName| is(m, Role::CentralManagement) && !master(m);
    let minion = |m: &ApplianceName| {
        is(m, Role::SearchMinion) && !is(m, Role::CentralManagement) && !master(m)
    };
    let host = |m: &ApplianceName| !master(m) && !central(m) && !minion(m);
    let ranks = || cluster.ranks.iter().enumerate();
    let last_of =
        |of: Kind<'_>| ranks().filter(|(_, rank)| rank.iter().any(of)).map(|(at, _)| at).max();
    let first_of = |of: Kind<'_>| ranks().find(|(_, rank)| rank.iter().any(of)).map(|(at, _)| at);
    let steps: [(&str, Kind<'_>); 4] = [
        ("a search-minion", &minion),
        ("a managed host", &host),
        ("central management", &central),
        ("the search-master", &master),
    ];
    for (at, (what, earlier)) in steps.iter().enumerate() {
        for (other, later) in steps.iter().skip(at + 1) {
            let (Some(last), Some(first)) = (last_of(earlier), first_of(later)) else { continue };
            findings.unless(last < first, "cluster-order", || {
                format!("in the cluster `{name}` {other} does not wait for {what}")
            });
        }
    }
    // One kind never waits for its own: that would be a longer audit gap for nothing.
    for (what, kind) in steps {
        findings.unless(first_of(kind) == last_of(kind), "cluster-order", || {
            format!("in the cluster `{name}` {what} stands in more than one rank")
        });
    }
}

/// The member that is asked how the cluster is has central management, and no other has.
fn manager(plan: &Plan, name: &ClusterName, cluster: &PlannedCluster, findings: &mut Findings) {
    let manages = |appliance: &Appliance| {
        let own = appliance.cluster.as_ref().filter(|own| own.name == *name);
        own.is_some_and(|own| own.roles.contains(&Role::CentralManagement))
    };
    let mut managers = cluster
        .members()
        .filter(|member| plan.appliances.get(*member).is_some_and(|appliance| manages(appliance)));
    let good = managers.next() == Some(&cluster.manager) && managers.next().is_none();
    findings.unless(good, "bad-manager", || {
        format!("`{}` is not the one central management of the cluster `{name}`", cluster.manager)
    });
}

/// In its wave a cluster is one run of members, in the order of its ranks.
fn one_run(
    places: &BTreeMap<&ApplianceName, (&PlannedWave, usize)>,
    name: &ClusterName,
    cluster: &PlannedCluster,
    findings: &mut Findings,
) {
    let first = cluster.members().next().and_then(|first| places.get(first));
    let Some((wave, at)) = first else { return };
    let run = wave.appliances.iter().skip(*at).take(cluster.members().count());
    findings.unless(run.eq(cluster.members()), "scattered-cluster", || {
        format!(
            "the members of the cluster `{name}` do not follow one another in the wave `{}` in the order of their ranks",
            wave.name
        )
    });
}
