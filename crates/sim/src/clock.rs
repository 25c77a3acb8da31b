//! The door to tokio's time: a [`Clock`] that also works while tokio's clock is paused.

use std::time::Duration;

use futures::future::BoxFuture;
use jiff::{SignedDuration, Timestamp};
use model::ports::Clock;
use tokio::time::Instant;

/// tokio's clock with a wall clock laid over it. Under `start_paused` both stand still until all
/// tasks wait, and then jump; so a rollout of days takes moments.
#[derive(Debug, Clone)]
pub struct TokioClock {
    base: Timestamp,
    origin: Instant,
}

impl TokioClock {
    /// A clock whose wall time is `base` now. Must be made inside a tokio runtime when the
    /// runtime's clock is paused.
    #[must_use]
    #[expect(clippy::disallowed_methods, reason = "this is the crate's door to tokio's time")]
    pub fn starting_at(base: Timestamp) -> Self {
        Self { base, origin: Instant::now() }
    }

    /// A clock whose wall time is the operating system's.
    #[must_use]
    #[expect(clippy::disallowed_methods, reason = "this is the crate's door to the wall clock")]
    pub fn real() -> Self {
        Self::starting_at(Timestamp::now())
    }
}

impl Clock for TokioClock {
    fn now(&self) -> Timestamp {
        let passed = SignedDuration::try_from(self.monotonic()).unwrap_or(SignedDuration::MAX);
        self.base.saturating_add(passed).unwrap_or(self.base)
    }

    fn monotonic(&self) -> Duration {
        self.origin.elapsed()
    }

    #[expect(clippy::disallowed_methods, reason = "this is the crate's door to tokio's time")]
    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()> {
        Box::pin(tokio::time::sleep(duration))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn wall_and_monotonic_time_follow_the_paused_clock() {
        let base: Timestamp = "2026-03-01T00:00:00Z".parse().expect("a time");
        let clock = TokioClock::starting_at(base);
        assert_eq!(clock.now(), base);
        clock.sleep(Duration::from_secs(86_400)).await;
        assert!(clock.monotonic() >= Duration::from_secs(86_400));
        assert!(clock.monotonic() < Duration::from_secs(86_401));
        assert_eq!(clock.now().to_string().get(..19), Some("2026-03-02T00:00:00"));
    }
}
