//! What goes down as one: an appliance, or a whole cluster.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use model::expect;
use model::fleet::Appliance;
use model::history::{Expected, History};
use model::plan::{Plan, PlannedCluster, PlannedWave};
use model::{ClusterName, GroupName, SiteName};

use super::openings::Openings;

/// Sites and groups by number, with their places.
pub(super) struct Limits<'p> {
    sites: BTreeMap<&'p SiteName, usize>,
    groups: BTreeMap<&'p GroupName, usize>,
    pub(super) of_sites: Vec<u32>,
    pub(super) of_groups: Vec<u32>,
}

impl<'p> Limits<'p> {
    pub(super) fn new(plan: &'p Plan) -> Self {
        let of = |limit: Option<u32>| limit.unwrap_or(u32::MAX);
        Self {
            sites: plan.sites.keys().enumerate().map(|(at, site)| (site, at)).collect(),
            groups: plan.groups.keys().enumerate().map(|(at, group)| (group, at)).collect(),
            of_sites: plan.sites.values().map(|limits| of(limits.unavailable)).collect(),
            of_groups: plan.groups.values().copied().collect(),
        }
    }
}

/// What goes down as one, and the places that it takes meanwhile.
pub(super) struct Unit<'p> {
    pub(super) cluster: Option<(&'p ClusterName, &'p PlannedCluster)>,
    pub(super) members: Vec<&'p Appliance>,
    pub(super) need: Expected,
    /// Of the rollout.
    pub(super) width: u32,
    /// Of each site; the first is where it queues.
    pub(super) sites: Vec<(usize, u32)>,
    pub(super) groups: Vec<(usize, u32)>,
    pub(super) calendars: Vec<usize>,
    /// When the image of its next hop is staged; `None` when it never is.
    pub(super) ready: Option<Timestamp>,
    /// How long staging the image of a further hop takes.
    pub(super) staging: SignedDuration,
    pub(super) hops: usize,
    pub(super) start: Option<Timestamp>,
    pub(super) end: Option<Timestamp>,
}

/// The units of a wave, in its order.
pub(super) fn of_wave<'p>(
    plan: &'p Plan,
    wave: &'p PlannedWave,
    history: &History,
    limits: &Limits<'p>,
    openings: &Openings<'p>,
) -> Vec<Unit<'p>> {
    let mut units = Vec::with_capacity(wave.appliances.len());
    let mut last: Option<&ClusterName> = None;
    for appliance in wave.appliances.iter().filter_map(|name| plan.appliances.get(name)) {
        let cluster = plan.cluster_of(&appliance.name);
        let name = cluster.map(|(name, _)| name);
        if name.is_some() && name == last {
            continue; // Members of a cluster stand together.
        }
        last = name;
        let members: Vec<&Appliance> = match cluster {
            Some((_, cluster)) => {
                let members = cluster.members().filter_map(|name| plan.appliances.get(name));
                members.map(|member| &**member).collect()
            }
            None => vec![appliance],
        };
        let need = match cluster {
            Some((_, cluster)) => expect::cluster(plan, cluster, history),
            None => expect::appliance(plan, &appliance.name, history),
        };
        units.push(unit(plan, cluster, members, need, limits, openings));
    }
    units
}

fn unit<'p>(
    plan: &'p Plan,
    cluster: Option<(&'p ClusterName, &'p PlannedCluster)>,
    members: Vec<&'p Appliance>,
    need: Expected,
    limits: &Limits<'p>,
    openings: &Openings<'p>,
) -> Unit<'p> {
    // A cluster takes as many places as members can be down together, but never more than there
    // are.
    let width = |of: &dyn Fn(&Appliance) -> bool, limit: u32| {
        let width = cluster.map_or(1, |(_, cluster)| {
            cluster.width(|name| plan.appliances.get(name).is_some_and(|member| of(member)))
        });
        width.min(limit)
    };
    let mut sites: Vec<(usize, u32)> = Vec::with_capacity(1);
    let mut groups: Vec<(usize, u32)> = Vec::new();
    let mut calendars: Vec<usize> = Vec::new();
    for member in &members {
        if let Some(at) = limits.sites.get(&member.site)
            && !sites.iter().any(|(other, _)| other == at)
        {
            let limit = limits.of_sites.get(*at).copied().unwrap_or(u32::MAX);
            sites.push((*at, width(&|other| other.site == member.site, limit)));
            calendars.extend(openings.of(&member.site));
        }
        if let Some(group) = &member.group
            && let Some(at) = limits.groups.get(group)
            && !groups.iter().any(|(other, _)| other == at)
        {
            let limit = limits.of_groups.get(*at).copied().unwrap_or(u32::MAX);
            groups.push((*at, width(&|other| other.group == member.group, limit)));
        }
    }
    calendars.sort_unstable();
    calendars.dedup();
    Unit {
        cluster,
        members,
        need,
        width: width(&|_| true, plan.limits.unavailable),
        sites,
        groups,
        calendars,
        ready: None,
        staging: SignedDuration::ZERO,
        hops: plan.via.len() + 1,
        start: None,
        end: None,
    }
}
