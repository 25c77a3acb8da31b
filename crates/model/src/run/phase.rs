//! Where an appliance of a rollout stands.

use serde::{Deserialize, Serialize};

/// Where an appliance stands (contract: cli.md, "Appliance states").
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Phase {
    /// Nothing is being done just now.
    Pending,
    /// It is read.
    Preflight,
    /// The image is on its way into a slot.
    Staging,
    /// The appliance tests the firmware.
    Testing,
    /// Staged and tested; waits for leave to go down.
    Ready,
    /// Waits for sessions to end.
    Draining,
    /// The upgrade call is being made.
    Activating,
    /// The upgrade call was made; its outcome and the return are awaited.
    Returning,
    /// It is back; its health is compared.
    Verifying,
    /// Waits for a person's step.
    Attended,
    /// Waits for a person.
    Held,
    /// The outcome of an act is unknown; waits for a person.
    Unknown,
    /// Does not answer; asked again later.
    SetAside,
    /// At the target, by us.
    Succeeded,
    /// At the target before we came.
    UpToDate,
    /// Failed.
    Failed,
    /// Left out.
    Skipped,
}

impl Phase {
    /// The word (contract: cli.md).
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Preflight => "preflight",
            Self::Staging => "staging",
            Self::Testing => "testing",
            Self::Ready => "ready",
            Self::Draining => "draining",
            Self::Activating => "activating",
            Self::Returning => "returning",
            Self::Verifying => "verifying",
            Self::Attended => "attended",
            Self::Held => "held",
            Self::Unknown => "unknown",
            Self::SetAside => "set-aside",
            Self::Succeeded => "succeeded",
            Self::UpToDate => "up-to-date",
            Self::Failed => "failed",
            Self::Skipped => "skipped",
        }
    }

    /// Whether nothing more happens to it without a person.
    #[must_use]
    pub fn is_terminal(self) -> bool {
        matches!(self, Self::Succeeded | Self::UpToDate | Self::Failed | Self::Skipped)
    }

    /// Whether it is at the target.
    #[must_use]
    pub fn is_upgraded(self) -> bool {
        matches!(self, Self::Succeeded | Self::UpToDate)
    }

    /// Whether it waits for a person.
    #[must_use]
    pub fn needs_person(self) -> bool {
        matches!(self, Self::Attended | Self::Held | Self::Unknown)
    }
}
