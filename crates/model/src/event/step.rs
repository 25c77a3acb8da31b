//! The steps of a procedure.

use serde::{Deserialize, Serialize};

/// A step of a procedure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Step {
    /// Reads only: identity, version, slots, health.
    Preflight,
    /// Puts the image into a slot.
    Stage,
    /// The appliance's own firmware test.
    Test,
    /// Asks central management whether the cluster is as declared, before it begins.
    Roster,
    /// Waits for sessions to end.
    Drain,
    /// The upgrade call. Disruptive from here on.
    Activate,
    /// Watches until the call's outcome is known and the appliance is back.
    Return,
    /// Version, integrity and health after the return.
    Verify,
    /// Brings an HA pair together again.
    Rejoin,
    /// Asks central management whether all members agree, after the last one.
    Sync,
    /// Watches the health of an upgraded appliance while its wave soaks and later waves go.
    Soak,
    /// Fetches a support bundle of a failed appliance.
    Bundle,
    /// Removes what we left on the appliance.
    Cleanup,
    /// Looks at an appliance that is given up but down, since only an observation frees its place.
    Watch,
}

impl Step {
    /// A stable word.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Preflight => "preflight",
            Self::Stage => "stage",
            Self::Test => "test",
            Self::Roster => "roster",
            Self::Drain => "drain",
            Self::Activate => "activate",
            Self::Return => "return",
            Self::Verify => "verify",
            Self::Rejoin => "rejoin",
            Self::Sync => "sync",
            Self::Soak => "soak",
            Self::Bundle => "bundle",
            Self::Cleanup => "cleanup",
            Self::Watch => "watch",
        }
    }

    /// Whether it only looks, beside where the appliance stands: it is no phase of its own.
    #[must_use]
    pub fn is_beside(self) -> bool {
        matches!(
            self,
            Self::Roster | Self::Sync | Self::Soak | Self::Bundle | Self::Cleanup | Self::Watch
        )
    }
}
