//! Requests per second, of the rollout and of each site.

use std::collections::BTreeMap;
use std::fmt;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use governor::clock::Clock as GovernorClock;
use governor::middleware::NoOpMiddleware;
use governor::nanos::Nanos;
use governor::state::{InMemoryState, NotKeyed};
use governor::{Quota, RateLimiter};
use model::names::SiteName;
use model::plan::Plan;
use model::ports::{Clock, Throttle};

/// Governor's view of our clock: its own waits ignore the runtime's clock, so that only its
/// arithmetic is used.
#[derive(Clone)]
struct PortClock(Arc<dyn Clock>);

impl fmt::Debug for PortClock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PortClock")
    }
}

impl GovernorClock for PortClock {
    type Instant = Nanos;
    fn now(&self) -> Nanos {
        Nanos::from(self.0.monotonic())
    }
}

/// One limit. Callers wait in the order in which they came.
pub struct RequestLimit {
    limiter: RateLimiter<NotKeyed, InMemoryState, PortClock, NoOpMiddleware<Nanos>>,
    clock: Arc<dyn Clock>,
    /// Only the first in line looks at the limiter: a thousand sleepers that all wake for one
    /// free place would cost more than the requests themselves.
    line: tokio::sync::Mutex<()>,
}

impl RequestLimit {
    /// At most `per_second` requests in any second.
    #[must_use]
    pub fn new(per_second: u32, clock: &Arc<dyn Clock>) -> Self {
        let per_second = per_second.clamp(1, 1_000_000);
        // The bucket and its refill together must not exceed the limit in any one second, and
        // requests that were sent in time may arrive together: a fifth is left for that. The
        // bucket lets a timer that only knows milliseconds still reach high rates.
        let burst = (per_second / 20).max(1);
        let refill = (per_second * 3 / 4).clamp(1, (per_second - burst).max(1));
        let period = Duration::from_secs(1) / refill;
        let quota = Quota::with_period(period)
            .unwrap_or_else(|| Quota::per_second(NonZeroU32::MIN))
            .allow_burst(NonZeroU32::new(burst).unwrap_or(NonZeroU32::MIN));
        Self {
            limiter: RateLimiter::direct_with_clock(quota, PortClock(Arc::clone(clock))),
            clock: Arc::clone(clock),
            line: tokio::sync::Mutex::new(()),
        }
    }

    async fn pass(&self) {
        let _first = self.line.lock().await;
        while let Err(not_yet) = self.limiter.check() {
            let now = Nanos::from(self.clock.monotonic());
            let wait = not_yet.wait_time_from(now).max(Duration::from_micros(100));
            self.clock.sleep(wait).await;
        }
    }
}

/// The limits that one appliance's requests pass: its site's, then the rollout's.
pub struct ChainedThrottle(Vec<Arc<RequestLimit>>);

impl Throttle for ChainedThrottle {
    fn pass(&self) -> BoxFuture<'_, ()> {
        Box::pin(async {
            for limit in &self.0 {
                limit.pass().await;
            }
        })
    }
}

/// All limits on requests of a rollout.
pub struct RequestLimits {
    rollout: Arc<RequestLimit>,
    sites: BTreeMap<SiteName, Arc<RequestLimit>>,
}

impl RequestLimits {
    /// The limits of a plan.
    #[must_use]
    pub fn of(plan: &Plan, clock: &Arc<dyn Clock>) -> Self {
        let site = |(name, limits): (&SiteName, &model::rollout::SiteLimits)| {
            let per_second = limits.requests_per_second?;
            Some((name.clone(), Arc::new(RequestLimit::new(per_second, clock))))
        };
        Self {
            rollout: Arc::new(RequestLimit::new(plan.limits.requests_per_second, clock)),
            sites: plan.sites.iter().filter_map(site).collect(),
        }
    }

    /// What the requests to an appliance of this site pass.
    #[must_use]
    pub fn throttle(&self, site: &SiteName) -> Arc<dyn Throttle> {
        let mut chain: Vec<Arc<RequestLimit>> = self.sites.get(site).cloned().into_iter().collect();
        chain.push(Arc::clone(&self.rollout));
        Arc::new(ChainedThrottle(chain))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::future::join_all;
    use sim::TokioClock;

    #[tokio::test(start_paused = true)]
    async fn no_second_holds_more_than_the_limit_and_the_rate_is_used() {
        for per_second in [1_u32, 3, 20, 500] {
            let clock: Arc<dyn Clock> = Arc::new(TokioClock::real());
            let limit = RequestLimit::new(per_second, &clock);
            let total = per_second as usize * 4 + 1;
            let passed = join_all((0..total).map(|_| async {
                limit.pass().await;
                clock.monotonic()
            }))
            .await;
            let mut times = passed.clone();
            times.sort();
            for (index, start) in times.iter().enumerate() {
                let in_second =
                    times[index..].iter().filter(|t| **t - *start < Duration::from_secs(1)).count();
                assert!(in_second <= per_second as usize, "{in_second} at {per_second}/s");
            }
            let took = times[total - 1] - times[0];
            assert!(took < Duration::from_secs(7), "{took:?} at {per_second}/s is too slow");
        }
    }
}
