//! The faults that wait for one appliance, and how often each has struck.

use model::random::Random;

use super::{Fault, FaultPlan, FaultRule};

#[derive(Debug)]
struct Active {
    rule: FaultRule,
    seen: u32,
    hits: u32,
}

/// The part of a plan that is about one appliance.
#[derive(Debug, Default)]
pub(crate) struct ActiveFaults(Vec<Active>);

impl ActiveFaults {
    pub(crate) fn of(plan: &FaultPlan, appliance: &str) -> Self {
        let meant = |rule: &&FaultRule| rule.appliance == "*" || rule.appliance == appliance;
        let active = |rule: &FaultRule| Active { rule: rule.clone(), seen: 0, hits: 0 };
        Self(plan.faults.iter().filter(meant).map(active).collect())
    }

    pub(crate) fn add(&mut self, rule: FaultRule) {
        self.0.push(Active { rule, seen: 0, hits: 0 });
    }

    pub(crate) fn clear(&mut self) {
        self.0.clear();
    }

    /// The fault that a request meets: the first rule that strikes.
    pub(crate) fn strike(&mut self, method: &str, path: &str, random: &Random) -> Option<Fault> {
        let mut struck = None;
        for active in &mut self.0 {
            let rule = &active.rule;
            if !rule.on.fits(method, path) {
                continue;
            }
            active.seen += 1;
            let most = match (rule.forever, rule.times, rule.probability) {
                (true, _, _) | (false, None, Some(_)) => u32::MAX,
                (false, Some(times), _) => times,
                (false, None, None) => 1,
            };
            let due = active.seen >= rule.nth && active.hits < most && struck.is_none();
            if due && rule.probability.is_none_or(|probability| random.unit() < probability) {
                active.hits += 1;
                struck = Some(rule.fault.clone());
            }
        }
        struck
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn strikes(rule: FaultRule, calls: usize) -> Vec<bool> {
        let random = Random::seeded(1);
        let mut active = ActiveFaults::of(&FaultPlan::default().with(rule), "a");
        (0..calls).map(|_| active.strike("GET", "/api/info", &random).is_some()).collect()
    }

    #[test]
    fn nth_times_forever_and_probability_decide() {
        let rule = FaultRule::once("GET /api/info", Fault::Reset);
        assert_eq!(strikes(rule.clone(), 3), [true, false, false]);
        assert_eq!(strikes(rule.clone().from_nth(2).times(2), 4), [false, true, true, false]);
        assert_eq!(strikes(rule.clone().at("b"), 2), [false, false]);
        let ever = FaultRule { forever: true, ..rule.clone() };
        assert_eq!(strikes(ever, 3), [true, true, true]);
        let often = FaultRule { probability: Some(0.5), ..rule };
        let hit = strikes(often, 1000).into_iter().filter(|hit| *hit).count();
        assert!((400..600).contains(&hit), "{hit}");
    }
}
