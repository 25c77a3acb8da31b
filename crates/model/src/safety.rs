//! "May this appliance go down now?" One answer, from whole-fleet facts, used by the planner, by
//! the linter, and by the executor just before each disruptive call (design: invariant 2).

use std::collections::BTreeMap;

use crate::hold::HoldReason;
use crate::names::{ApplianceName, ClusterName, GroupName, RolloutId, SiteName};
use crate::plan::{Plan, PlannedCluster};

/// Who counts where when it is down.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Membership {
    /// The appliance.
    pub name: ApplianceName,
    /// The rollout that changes it; `None` for a bystander.
    pub rollout: Option<RolloutId>,
    /// Its site.
    pub site: SiteName,
    /// Its redundancy group.
    pub group: Option<GroupName>,
    /// Its central cluster: where that has taken places, it goes down in them.
    pub cluster: Option<ClusterName>,
}

/// The places that a central cluster takes before it begins and keeps until it is through: as many
/// in each limit as members of it can be down together, but never more than the limit has.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Claim {
    rollout: Option<(RolloutId, u32)>,
    sites: BTreeMap<SiteName, u32>,
    groups: BTreeMap<GroupName, u32>,
}

impl Claim {
    /// The places of a cluster of a plan.
    #[must_use]
    pub fn of(plan: &Plan, rollout: Option<&RolloutId>, cluster: &PlannedCluster) -> Self {
        let mut claim = Self {
            rollout: rollout.map(|rollout| (rollout.clone(), cluster.width(|_| true))),
            ..Self::default()
        };
        let members = cluster.members().filter_map(|name| plan.appliances.get(name));
        for member in members {
            let of = |name: &ApplianceName| plan.appliances.get(name);
            claim.sites.entry(member.site.clone()).or_insert_with(|| {
                cluster.width(|name| of(name).is_some_and(|a| a.site == member.site))
            });
            if let Some(group) = &member.group {
                claim.groups.entry(group.clone()).or_insert_with(|| {
                    cluster.width(|name| of(name).is_some_and(|a| a.group == member.group))
                });
            }
        }
        claim
    }
}

#[derive(Debug, Clone, Default)]
struct Place {
    limit: Option<u32>,
    down: BTreeMap<ApplianceName, Option<ClusterName>>,
    claims: BTreeMap<ClusterName, u32>,
}

impl Place {
    /// How many places are taken when a member of `cluster` asks, itself left out. Where its
    /// cluster has places, only its own members stand in them.
    fn taken(&self, name: Option<&ApplianceName>, cluster: Option<&ClusterName>) -> u32 {
        if self.claims.is_empty() {
            let own = name.is_some_and(|name| self.down.contains_key(name));
            return count(self.down.keys()) - u32::from(own);
        }
        let claimed =
            |of: &Option<ClusterName>| of.as_ref().is_some_and(|of| self.claims.contains_key(of));
        let free = self.down.iter().filter(|(other, of)| Some(*other) != name && !claimed(of));
        let mut taken = count(free);
        for (of, width) in &self.claims {
            let down = self
                .down
                .iter()
                .filter(|(other, cluster)| Some(*other) != name && cluster.as_ref() == Some(of));
            let down = count(down);
            taken += if Some(of) == cluster { down } else { down.max(*width) };
        }
        taken
    }

    fn full_for(
        &self,
        name: &ApplianceName,
        cluster: Option<&ClusterName>,
    ) -> Option<(u32, Vec<ApplianceName>)> {
        let limit = self.limit?;
        if self.taken(Some(name), cluster) < limit {
            return None;
        }
        Some((limit, self.down.keys().filter(|other| *other != name).cloned().collect()))
    }

    fn full_for_claim(
        &self,
        width: u32,
        cluster: &ClusterName,
    ) -> Option<(u32, Vec<ApplianceName>)> {
        let limit = self.limit?;
        let others = self.down.iter().filter(|(_, of)| of.as_ref() == Some(cluster));
        let taken = self.taken(None, None).saturating_sub(count(others));
        (taken + width.min(limit) > limit).then(|| (limit, self.down.keys().cloned().collect()))
    }

    fn claim(&mut self, cluster: &ClusterName, width: u32) {
        let width = self.limit.map_or(width, |limit| width.min(limit));
        self.claims.insert(cluster.clone(), width);
    }
}

fn count<T>(of: impl Iterator<Item = T>) -> u32 {
    u32::try_from(of.count()).unwrap_or(u32::MAX)
}

/// All limits on being down, and who takes their places. An appliance that may go down takes its
/// places before it begins and keeps them until an observation shows it up.
#[derive(Debug, Clone, Default)]
pub struct Occupancy {
    rollouts: BTreeMap<RolloutId, Place>,
    sites: BTreeMap<SiteName, Place>,
    groups: BTreeMap<GroupName, Place>,
}

impl Occupancy {
    /// Sets how many of a rollout may be down.
    pub fn limit_rollout(&mut self, rollout: &RolloutId, limit: u32) {
        self.rollouts.entry(rollout.clone()).or_default().limit = Some(limit);
    }

    /// Sets how many of a site may be down, over all rollouts together. The smallest counts.
    pub fn limit_site(&mut self, site: &SiteName, limit: u32) {
        let place = self.sites.entry(site.clone()).or_default();
        place.limit = Some(place.limit.map_or(limit, |old| old.min(limit)));
    }

    /// Sets how many of a redundancy group may be down, over all rollouts together. The smallest
    /// counts.
    pub fn limit_group(&mut self, group: &GroupName, limit: u32) {
        let place = self.groups.entry(group.clone()).or_default();
        place.limit = Some(place.limit.map_or(limit, |old| old.min(limit)));
    }

    /// Whether the appliance may go down now.
    ///
    /// # Errors
    /// The limit that is reached, with who is down.
    pub fn may_go_down(&self, who: &Membership) -> Result<(), HoldReason> {
        let cluster = who.cluster.as_ref();
        if let Some(group) = &who.group
            && let Some((limit, down)) =
                self.groups.get(group).and_then(|place| place.full_for(&who.name, cluster))
        {
            return Err(HoldReason::GroupLimit { group: group.clone(), limit, down });
        }
        if let Some((limit, down)) =
            self.sites.get(&who.site).and_then(|place| place.full_for(&who.name, cluster))
        {
            return Err(HoldReason::SiteLimit { site: who.site.clone(), limit, down });
        }
        if let Some((limit, down)) = who
            .rollout
            .as_ref()
            .and_then(|rollout| self.rollouts.get(rollout))
            .and_then(|place| place.full_for(&who.name, cluster))
        {
            return Err(HoldReason::RolloutLimit { limit, down });
        }
        Ok(())
    }

    /// Whether a cluster may take its places now.
    ///
    /// # Errors
    /// The limit that is reached, with who is down.
    pub fn may_claim(&self, cluster: &ClusterName, claim: &Claim) -> Result<(), HoldReason> {
        for (group, width) in &claim.groups {
            let place = self.groups.get(group);
            if let Some((limit, down)) = place.and_then(|p| p.full_for_claim(*width, cluster)) {
                return Err(HoldReason::GroupLimit { group: group.clone(), limit, down });
            }
        }
        for (site, width) in &claim.sites {
            let place = self.sites.get(site);
            if let Some((limit, down)) = place.and_then(|p| p.full_for_claim(*width, cluster)) {
                return Err(HoldReason::SiteLimit { site: site.clone(), limit, down });
            }
        }
        if let Some((rollout, width)) = &claim.rollout {
            let place = self.rollouts.get(rollout);
            if let Some((limit, down)) = place.and_then(|p| p.full_for_claim(*width, cluster)) {
                return Err(HoldReason::RolloutLimit { limit, down });
            }
        }
        Ok(())
    }

    /// Takes a cluster's places.
    pub fn claim(&mut self, cluster: &ClusterName, claim: &Claim) {
        if let Some((rollout, width)) = &claim.rollout {
            self.rollouts.entry(rollout.clone()).or_default().claim(cluster, *width);
        }
        for (site, width) in &claim.sites {
            self.sites.entry(site.clone()).or_default().claim(cluster, *width);
        }
        for (group, width) in &claim.groups {
            self.groups.entry(group.clone()).or_default().claim(cluster, *width);
        }
    }

    /// Gives a cluster's places back; members that are down keep theirs.
    pub fn release(&mut self, cluster: &ClusterName) {
        let places = self.rollouts.values_mut().chain(self.sites.values_mut());
        for place in places.chain(self.groups.values_mut()) {
            place.claims.remove(cluster);
        }
    }

    /// Whether the rollout as a whole has no place left for an appliance of no cluster.
    #[must_use]
    pub fn rollout_is_full(&self, rollout: &RolloutId) -> bool {
        self.rollouts
            .get(rollout)
            .is_some_and(|place| place.limit.is_some_and(|limit| place.taken(None, None) >= limit))
    }

    /// Takes the appliance's places. Taking them twice is the same as once.
    pub fn take(&mut self, who: &Membership) {
        for down in self.places(who) {
            down.insert(who.name.clone(), who.cluster.clone());
        }
    }

    /// Frees the appliance's places.
    pub fn free(&mut self, who: &Membership) {
        for down in self.places(who) {
            down.remove(&who.name);
        }
    }

    fn places(
        &mut self,
        who: &Membership,
    ) -> Vec<&mut BTreeMap<ApplianceName, Option<ClusterName>>> {
        let mut places = vec![&mut self.sites.entry(who.site.clone()).or_default().down];
        if let Some(group) = &who.group {
            places.push(&mut self.groups.entry(group.clone()).or_default().down);
        }
        if let Some(rollout) = &who.rollout {
            places.push(&mut self.rollouts.entry(rollout.clone()).or_default().down);
        }
        places
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn who(name: &str, site: &str, group: Option<&str>) -> Membership {
        Membership {
            name: ApplianceName::new(name).expect("a name"),
            rollout: Some(RolloutId::new("r")),
            site: SiteName::new(site).expect("a name"),
            group: group.map(|group| GroupName::new(group).expect("a name")),
            cluster: None,
        }
    }

    #[test]
    fn each_limit_is_kept_and_named() {
        let mut places = Occupancy::default();
        places.limit_rollout(&RolloutId::new("r"), 3);
        places.limit_site(&SiteName::new("ams").expect("a name"), 2);
        places.limit_group(&GroupName::new("edge").expect("a name"), 1);
        let (a, b) = (who("a", "ams", Some("edge")), who("b", "ams", Some("edge")));
        let (c, d, e) = (who("c", "ams", None), who("d", "nyc", None), who("e", "nyc", None));

        assert_eq!(places.may_go_down(&a), Ok(()));
        places.take(&a);
        places.take(&a);
        assert_eq!(places.may_go_down(&a), Ok(()), "its own place does not stand in its way");
        assert_eq!(places.may_go_down(&b).expect_err("a is down").code(), "group-limit");
        assert_eq!(places.may_go_down(&c), Ok(()));
        places.take(&c);
        let f = who("f", "ams", None);
        assert_eq!(places.may_go_down(&f).expect_err("two are down").code(), "site-limit");
        places.take(&d);
        assert_eq!(places.may_go_down(&e).expect_err("three are down").code(), "rollout-limit");
        places.free(&a);
        assert_eq!(places.may_go_down(&e), Ok(()));
        assert_eq!(places.may_go_down(&b), Ok(()));
    }

    #[test]
    fn a_cluster_keeps_its_places_and_its_members_stand_in_them() {
        let us = ClusterName::new("us").expect("a name");
        let member = |name| Membership { cluster: Some(us.clone()), ..who(name, "nyc", None) };
        let claim = |width| Claim {
            rollout: Some((RolloutId::new("r"), width)),
            sites: BTreeMap::from([(SiteName::new("nyc").expect("a name"), width)]),
            groups: BTreeMap::new(),
        };
        let mut places = Occupancy::default();
        places.limit_rollout(&RolloutId::new("r"), 3);
        places.limit_site(&SiteName::new("nyc").expect("a name"), 1);
        places.take(&who("x", "nyc", None));
        assert_eq!(places.may_claim(&us, &claim(2)).expect_err("x is down").code(), "site-limit");
        places.free(&who("x", "nyc", None));
        assert_eq!(places.may_claim(&us, &claim(2)), Ok(()), "of a limit of 1 it takes 1");
        places.claim(&us, &claim(2));

        assert_eq!(
            places.may_go_down(&who("x", "nyc", None)).expect_err("kept").code(),
            "site-limit"
        );
        assert_eq!(places.may_go_down(&who("y", "ams", None)), Ok(()), "one of three is left");
        places.take(&who("y", "ams", None));
        assert_eq!(
            places.may_go_down(&who("z", "ams", None)).expect_err("kept").code(),
            "rollout-limit"
        );
        assert!(places.rollout_is_full(&RolloutId::new("r")));
        assert_eq!(places.may_go_down(&member("m1")), Ok(()));
        places.take(&member("m1"));
        assert_eq!(
            places.may_go_down(&member("m2")).expect_err("one of the site").code(),
            "site-limit"
        );
        places.free(&member("m1"));
        assert_eq!(places.may_go_down(&member("m2")), Ok(()));
        places.release(&us);
        assert_eq!(places.may_go_down(&who("x", "nyc", None)), Ok(()));
    }
}
