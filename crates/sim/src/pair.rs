//! What the two nodes of a simulated HA pair are like.

use std::time::Duration;

use crate::spec::{Timings, shorter};

/// How the secondary of a pair is, and how long its things take. Nothing of it is documented but
/// the order of the steps (sps-api.md, section 6, "HA pair": HAUPG, CHECKLIST).
#[derive(Debug, Clone, PartialEq)]
pub struct PairSpec {
    /// How long the firmware that was selected on the primary takes to reach the secondary, while
    /// the pair is whole ("a few minutes"); it never gets there when `None`.
    pub peer_sync: Option<Duration>,
    /// From the request to shut down gracefully until the secondary is off.
    pub shutdown: Duration,
    /// From power on until the secondary runs.
    pub boot: Duration,
    /// From then, or from the primary's return, until the pair is whole.
    pub join: Duration,
    /// Whether the secondary is off at the start.
    pub starts_off: bool,
    /// Whether the node that is taken for the secondary is the primary today: switching it off
    /// takes the appliance down.
    pub switch_is_primary: bool,
}

impl Default for PairSpec {
    fn default() -> Self {
        Self {
            peer_sync: Some(Duration::from_secs(180)),
            shutdown: Duration::from_secs(40),
            boot: Duration::from_secs(240),
            join: Duration::from_secs(60),
            starts_off: false,
            switch_is_primary: false,
        }
    }
}

impl PairSpec {
    /// Everything `speed` times as fast; see [`Timings::scaled`].
    #[must_use]
    pub fn scaled(&self, speed: f64) -> Self {
        Self {
            peer_sync: self.peer_sync.map(|it| shorter(it, speed)),
            shutdown: shorter(self.shutdown, speed),
            boot: shorter(self.boot, speed),
            join: shorter(self.join, speed),
            ..self.clone()
        }
    }

    /// From power on of the secondary until the pair is whole.
    #[must_use]
    pub fn rejoin(&self) -> Duration {
        self.boot + self.join
    }

    /// A whole automatic upgrade of the pair after the call, when everything goes well.
    #[must_use]
    pub fn upgrade(&self, timings: &Timings) -> Duration {
        self.peer_sync.unwrap_or_default() + self.shutdown + timings.reboot() + self.rejoin()
    }
}
