//! When images are staged and tested.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};

use jiff::{SignedDuration, Timestamp};
use model::SiteName;
use model::event::Step;
use model::fleet::Appliance;
use model::history::{Expected, History, Source};
use model::plan::Plan;
use model::rollout::StageMode;

use super::openings::Openings;

/// How long staging and testing one image is expected to take.
pub(super) fn expected(plan: &Plan, appliance: &Appliance, history: &History) -> Expected {
    let Appliance { name, site, .. } = appliance;
    history.expected(&[Step::Stage, Step::Test], name, site).unwrap_or(Expected {
        took: (plan.timeouts.stage / 6).saturating_add(plan.timeouts.test / 3),
        source: Source::Configured,
    })
}

/// The transfers under way: when each place is free again.
pub(super) struct Transfers<'p> {
    plan: &'p Plan,
    rollout: Places,
    sites: BTreeMap<&'p SiteName, Places>,
}

struct Places(BinaryHeap<Reverse<Timestamp>>);

impl Places {
    fn new(limit: u32, members: usize, from: Timestamp) -> Self {
        let places = usize::try_from(limit).unwrap_or(usize::MAX).min(members).max(1);
        Self(std::iter::repeat_n(Reverse(from), places).collect())
    }

    fn take(&mut self) -> Timestamp {
        self.0.pop().map_or(Timestamp::MAX, |Reverse(free)| free)
    }

    fn until(&mut self, end: Timestamp) {
        self.0.push(Reverse(end));
    }
}

impl<'p> Transfers<'p> {
    /// Nobody is staging at `from`.
    pub(super) fn new(plan: &'p Plan, from: Timestamp) -> Self {
        let members = plan.appliances.len();
        let place = |limit| Places::new(limit, members, from);
        let sites = plan.sites.keys().map(|site| (site, place(plan.site_transfers(site))));
        Self { plan, rollout: place(plan.limits.transfers), sites: sites.collect() }
    }

    /// Stages on one appliance, after all that were asked for before. `None`: its site never
    /// opens.
    pub(super) fn stage(
        &mut self,
        appliance: &'p Appliance,
        took: SignedDuration,
        openings: &mut Openings<'p>,
    ) -> Option<Timestamp> {
        let site = self.sites.get_mut(&appliance.site)?;
        let (of_rollout, of_site) = (self.rollout.take(), site.take());
        let end = |start: Timestamp| start.saturating_add(took).unwrap_or(Timestamp::MAX);
        if self.plan.stage == StageMode::Ahead {
            // A site that has no place does not keep the rollout's places from other sites, so
            // both are counted for themselves.
            self.rollout.until(end(of_rollout));
            site.until(end(of_site));
            return Some(end(of_rollout.max(of_site)));
        }
        let calendar: Vec<usize> = openings.of(&appliance.site).into_iter().collect();
        let start = openings.fit(&calendar, of_rollout.max(of_site), SignedDuration::ZERO);
        let Some(start) = start else {
            self.rollout.until(of_rollout);
            site.until(of_site);
            return None;
        };
        self.rollout.until(end(of_rollout.max(start)));
        site.until(end(start));
        Some(end(start))
    }
}
