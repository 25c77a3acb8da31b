//! "May this appliance go down now?" One answer, from whole-fleet facts, used by the planner, by
//! the linter, and by the executor just before each disruptive call (design: invariant 2).

use std::collections::{BTreeMap, BTreeSet};

use crate::hold::HoldReason;
use crate::names::{ApplianceName, GroupName, RolloutId, SiteName};

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
}

#[derive(Debug, Clone, Default)]
struct Place {
    limit: Option<u32>,
    down: BTreeSet<ApplianceName>,
}

impl Place {
    fn full_for(&self, name: &ApplianceName) -> Option<(u32, Vec<ApplianceName>)> {
        let limit = self.limit?;
        let others = self.down.len() - usize::from(self.down.contains(name));
        if others < limit as usize {
            return None;
        }
        Some((limit, self.down.iter().filter(|other| *other != name).cloned().collect()))
    }
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
        if let Some(group) = &who.group
            && let Some((limit, down)) =
                self.groups.get(group).and_then(|place| place.full_for(&who.name))
        {
            return Err(HoldReason::GroupLimit { group: group.clone(), limit, down });
        }
        if let Some((limit, down)) =
            self.sites.get(&who.site).and_then(|place| place.full_for(&who.name))
        {
            return Err(HoldReason::SiteLimit { site: who.site.clone(), limit, down });
        }
        if let Some((limit, down)) = who
            .rollout
            .as_ref()
            .and_then(|rollout| self.rollouts.get(rollout))
            .and_then(|place| place.full_for(&who.name))
        {
            return Err(HoldReason::RolloutLimit { limit, down });
        }
        Ok(())
    }

    /// Whether the rollout as a whole has no place left.
    #[must_use]
    pub fn rollout_is_full(&self, rollout: &RolloutId) -> bool {
        self.rollouts.get(rollout).is_some_and(|place| {
            place.limit.is_some_and(|limit| place.down.len() >= limit as usize)
        })
    }

    /// Takes the appliance's places. Taking them twice is the same as once.
    pub fn take(&mut self, who: &Membership) {
        for down in self.places(who) {
            down.insert(who.name.clone());
        }
    }

    /// Frees the appliance's places.
    pub fn free(&mut self, who: &Membership) {
        for down in self.places(who) {
            down.remove(&who.name);
        }
    }

    fn places(&mut self, who: &Membership) -> Vec<&mut BTreeSet<ApplianceName>> {
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
}
