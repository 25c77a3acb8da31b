//! Central clusters: in which order their members are upgraded.

use std::collections::BTreeMap;

use model::fleet::{ClusterMember, Role};
use model::plan::PlannedCluster;
use model::{ApplianceName, ClusterName};

use crate::resolve::{Entry, Fleet};

/// The place of a member in the vendor's order (sps-api.md, section 6): minions, other managed
/// hosts, central management, and the search-master after all.
pub(crate) fn rank(member: &ClusterMember) -> usize {
    let has = |role| member.roles.contains(&role);
    if has(Role::SearchMaster) {
        3
    } else if has(Role::CentralManagement) {
        2
    } else if has(Role::SearchMinion) {
        0
    } else {
        1
    }
}

/// The clusters of the selected appliances, with their members by rank and name.
pub(crate) fn plan(fleet: &Fleet, selected: &[&Entry]) -> BTreeMap<ClusterName, PlannedCluster> {
    let mut members: BTreeMap<&ClusterName, [Vec<&ApplianceName>; 4]> = BTreeMap::new();
    let mut managers: BTreeMap<&ClusterName, &ApplianceName> = BTreeMap::new();
    for entry in selected {
        let Some(member) = &entry.appliance.cluster else { continue };
        let name = &entry.appliance.name;
        if let Some(rank) = members.entry(&member.name).or_default().get_mut(rank(member)) {
            rank.push(name);
        }
        if member.roles.contains(&Role::CentralManagement) {
            managers.insert(&member.name, name);
        }
    }
    let planned = members.into_iter().filter_map(|(cluster, ranks)| {
        let ranks = ranks.into_iter().filter(|rank| !rank.is_empty());
        let parallel = fleet.clusters.get(cluster).and_then(|of| of.parallel.value().copied());
        let planned = PlannedCluster {
            ranks: ranks.map(|rank| rank.into_iter().cloned().collect()).collect(),
            parallel: parallel.unwrap_or(1),
            manager: (*managers.get(cluster)?).clone(),
        };
        Some((cluster.clone(), planned))
    });
    planned.collect()
}
