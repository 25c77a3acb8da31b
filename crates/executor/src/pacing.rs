//! How often to look (contract: semantics.md, "Order of things").
//!
//! The next look follows from bytes and rate, or from what such steps took before, else it comes
//! after a fifth of the time elapsed.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use model::event::{Step, StepDuration};
use model::names::SiteName;
use model::random::Random;

/// The shortest pause between two looks.
pub const SHORTEST: Duration = Duration::from_millis(250);
/// The longest pause between two looks when nothing better than the time elapsed is known.
pub const LONGEST: Duration = Duration::from_secs(15);
/// The longest pause while bytes move at a known rate: a stall shows within two of them.
const LONGEST_WITH_RATE: Duration = Duration::from_secs(90);
/// Of the time that the rest of a transfer should take, the part to wait before the next look.
/// Less than one, since rates change.
const PART_OF_REST: f64 = 0.8;

/// Without better knowledge: a fifth of the time elapsed.
#[must_use]
pub fn by_elapsed(elapsed: Duration) -> Duration {
    (elapsed / 5).clamp(SHORTEST, LONGEST)
}

/// When bytes move: most of the time that the rest should take.
#[must_use]
pub fn by_rate(done: u64, total: u64, elapsed: Duration) -> Option<Duration> {
    if done == 0 || total <= done || elapsed.is_zero() {
        return None;
    }
    #[expect(clippy::cast_precision_loss, reason = "an estimate")]
    let rest = elapsed.as_secs_f64() * (total - done) as f64 / done as f64;
    let wait = Duration::try_from_secs_f64(rest * PART_OF_REST).unwrap_or(LONGEST_WITH_RATE);
    Some(wait.clamp(SHORTEST, LONGEST_WITH_RATE))
}

/// When such a step was seen before: just before the shortest one seen, then often.
#[must_use]
pub fn by_history(elapsed: Duration, shortest: Duration) -> Duration {
    let first = shortest.mul_f64(0.97);
    if elapsed < first {
        (first - elapsed).max(SHORTEST)
    } else {
        (elapsed / 20).clamp(SHORTEST, LONGEST)
    }
}

/// The pause before a failed read is repeated: doubling from a quarter of a second to fifteen, with
/// jitter so that a thousand appliances behind one broken switch do not come back in step.
#[must_use]
pub fn back_off(failures: u32, random: &Random) -> Duration {
    let doubled = SHORTEST.saturating_mul(1_u32 << failures.min(10)).min(LONGEST);
    doubled.mul_f64(0.75 + random.unit() / 4.0)
}

/// What steps took before, shared by all steps of a rollout.
#[derive(Debug, Default)]
pub struct History {
    taken: Mutex<model::history::History>,
}

impl History {
    /// Begins with what the journal remembers.
    #[must_use]
    pub fn of(taken: model::history::History) -> Self {
        Self { taken: Mutex::new(taken) }
    }

    /// Remembers how long a step took.
    pub fn learn(&self, took: &StepDuration) {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner).learn(took);
    }

    /// The shortest such step of this site, else of the whole fleet.
    #[must_use]
    pub fn shortest(&self, step: Step, site: &SiteName) -> Option<Duration> {
        let taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        taken.shortest(step, site).map(|took| Duration::try_from(took).unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn looks(mut next: impl FnMut(Duration) -> Duration, until: Duration) -> usize {
        let (mut at, mut looks) = (Duration::ZERO, 0);
        while at < until {
            at += next(at);
            looks += 1;
        }
        looks
    }

    #[test]
    fn ten_minutes_cost_few_looks() {
        let ten = Duration::from_mins(10);
        assert!(looks(by_elapsed, ten) <= 63, "{}", looks(by_elapsed, ten));
        let with_history = looks(|elapsed| by_history(elapsed, ten), ten);
        assert!(with_history <= 3, "{with_history}");
        let total = 1_500_000_000_u64;
        let fetched = |at: Duration| (total as f64 * at.as_secs_f64() / 600.0) as u64;
        let with_rate = looks(|at| by_rate(fetched(at), total, at).unwrap_or(SHORTEST), ten);
        assert!(with_rate <= 18, "{with_rate}");
    }

    #[test]
    fn back_off_doubles_and_is_capped() {
        let random = Random::seeded(1);
        let at = |failures| back_off(failures, &random);
        assert!(at(0) <= SHORTEST && at(0) >= SHORTEST.mul_f64(0.75));
        assert!(at(2) <= Duration::from_secs(1) && at(2) >= Duration::from_millis(750));
        assert!(at(40) <= LONGEST && at(40) >= LONGEST.mul_f64(0.75));
    }
}
