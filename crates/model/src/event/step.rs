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
    /// The upgrade call. Disruptive from here on.
    Activate,
    /// Watches until the call's outcome is known and the appliance is back.
    Return,
    /// Version, integrity and health after the return.
    Verify,
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
            Self::Activate => "activate",
            Self::Return => "return",
            Self::Verify => "verify",
            Self::Cleanup => "cleanup",
            Self::Watch => "watch",
        }
    }
}
