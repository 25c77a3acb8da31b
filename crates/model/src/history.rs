//! How long steps took before, and from that how long something is expected to take.

use std::collections::{BTreeMap, VecDeque};

use jiff::SignedDuration;
use serde::{Deserialize, Serialize};

use crate::event::{Step, StepDuration};
use crate::names::{ApplianceName, SiteName};

/// How many durations are remembered of each kind: enough to know the usual, few enough to
/// follow a change.
const REMEMBERED: usize = 64;

/// How long steps took, by appliance, by site, and over all; the newest only.
#[derive(Debug, Clone, Default)]
pub struct History {
    of_appliance: BTreeMap<(Step, ApplianceName), VecDeque<SignedDuration>>,
    of_site: BTreeMap<(Step, SiteName), VecDeque<SignedDuration>>,
    of_all: BTreeMap<Step, VecDeque<SignedDuration>>,
}

/// From what an expectation follows, best first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Source {
    /// What this appliance took before.
    Appliance,
    /// What its site's appliances took.
    Site,
    /// What any appliance took.
    Fleet,
    /// The configured durations: nothing was seen yet.
    Configured,
}

impl Source {
    /// For people.
    #[must_use]
    pub fn describe(self) -> &'static str {
        match self {
            Self::Appliance => "from this appliance's history",
            Self::Site => "from its site's history",
            Self::Fleet => "from the fleet's history",
            Self::Configured => "from the configured durations",
        }
    }
}

/// How long something is expected to take, and why so.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Expected {
    /// How long.
    pub took: SignedDuration,
    /// From what it follows.
    pub source: Source,
}

impl History {
    /// What these steps took, oldest first.
    pub fn of<'a>(durations: impl IntoIterator<Item = &'a StepDuration>) -> Self {
        let mut history = Self::default();
        durations.into_iter().for_each(|took| history.learn(took));
        history
    }

    /// Remembers how long a step took.
    pub fn learn(&mut self, took: &StepDuration) {
        let StepDuration { appliance, site, step, took } = took;
        push(self.of_appliance.entry((*step, appliance.clone())).or_default(), *took);
        push(self.of_site.entry((*step, site.clone())).or_default(), *took);
        push(self.of_all.entry(*step).or_default(), *took);
    }

    /// The shortest such step of this site, else of the whole fleet.
    #[must_use]
    pub fn shortest(&self, step: Step, site: &SiteName) -> Option<SignedDuration> {
        let of_site = self.of_site.get(&(step, site.clone()));
        of_site.or_else(|| self.of_all.get(&step)).and_then(|took| took.iter().min()).copied()
    }

    /// How long these steps together are expected to take: for each the 95th percentile of what
    /// this appliance took, else its site, else the fleet; all from the same source. `None` when
    /// nothing was seen of one of them.
    #[must_use]
    pub fn expected(
        &self,
        steps: &[Step],
        appliance: &ApplianceName,
        site: &SiteName,
    ) -> Option<Expected> {
        let sum = |of: &dyn Fn(Step) -> Option<SignedDuration>| {
            steps.iter().try_fold(SignedDuration::ZERO, |sum, step| Some(sum + of(*step)?))
        };
        let of_appliance = |step| self.of_appliance.get(&(step, appliance.clone())).and_then(p95);
        let of_site = |step| self.of_site.get(&(step, site.clone())).and_then(p95);
        let of_all = |step| self.of_all.get(&step).and_then(p95);
        None.or_else(|| Some((sum(&of_appliance)?, Source::Appliance)))
            .or_else(|| Some((sum(&of_site)?, Source::Site)))
            .or_else(|| Some((sum(&of_all)?, Source::Fleet)))
            .map(|(took, source)| Expected { took, source })
    }
}

fn push(durations: &mut VecDeque<SignedDuration>, took: SignedDuration) {
    durations.push_back(took);
    if durations.len() > REMEMBERED {
        durations.pop_front();
    }
}

/// The 95th percentile: the smallest duration that at least 95 of 100 did not exceed.
fn p95(durations: &VecDeque<SignedDuration>) -> Option<SignedDuration> {
    let mut sorted: Vec<SignedDuration> = durations.iter().copied().collect();
    sorted.sort_unstable();
    let rank = (sorted.len() * 95).div_ceil(100);
    sorted.get(rank.checked_sub(1)?).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn took(appliance: &str, site: &str, step: Step, seconds: i64) -> StepDuration {
        StepDuration {
            appliance: ApplianceName::new(appliance).expect("a name"),
            site: SiteName::new(site).expect("a name"),
            step,
            took: SignedDuration::from_secs(seconds),
        }
    }

    #[test]
    fn the_nearest_history_counts() {
        let steps = [Step::Activate, Step::Return];
        let seen = [
            took("a", "ams", Step::Activate, 10),
            took("a", "ams", Step::Return, 100),
            took("b", "ams", Step::Activate, 20),
            took("b", "ams", Step::Return, 300),
            took("c", "nyc", Step::Activate, 90),
        ];
        let history = History::of(&seen);
        let expected = |appliance: &str, site: &str| {
            let name = ApplianceName::new(appliance).expect("a name");
            let site = SiteName::new(site).expect("a name");
            history.expected(&steps, &name, &site).map(|e| (e.took.as_secs(), e.source))
        };
        assert_eq!(expected("a", "ams"), Some((110, Source::Appliance)));
        assert_eq!(expected("x", "ams"), Some((320, Source::Site)));
        assert_eq!(expected("c", "nyc"), Some((390, Source::Fleet)), "c never returned");
        assert_eq!(History::default().expected(&steps, &seen[0].appliance, &seen[0].site), None);
    }

    #[test]
    fn the_percentile_leaves_out_the_rare_slow_one() {
        let seen: Vec<_> = (1..=40).map(|n| took("a", "ams", Step::Verify, n)).collect();
        let history = History::of(&seen);
        let expected =
            history.expected(&[Step::Verify], &seen[0].appliance, &seen[0].site).expect("seen");
        assert_eq!(expected.took.as_secs(), 38);
    }
}
