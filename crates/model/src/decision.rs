//! What a person decides about a rollout.

use serde::{Deserialize, Serialize};

use crate::names::{ApplianceName, WaveName};

/// Who decided.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Actor {
    /// The user's id.
    pub uid: u32,
    /// The user's name, or the id as text when it has none.
    pub name: String,
    /// The process that asked.
    pub pid: u32,
}

/// A decision. Each goes into the journal with its actor and reason, and takes effect in the fold.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", rename_all_fields = "snake_case")]
pub enum Decision {
    /// No new disruptive step; staging goes on unless `all`.
    Pause {
        /// Staging stops too.
        all: bool,
    },
    /// Lifts a pause; failures are counted anew.
    Resume,
    /// Gives the rollout up, for good.
    Abort,
    /// Takes failed or held appliances up again.
    Retry {
        /// Which.
        appliances: Vec<ApplianceName>,
    },
    /// Leaves appliances out. Frees no place: only an observation does.
    Skip {
        /// Which.
        appliances: Vec<ApplianceName>,
    },
    /// Says what became of an act whose outcome is unknown.
    Resolve {
        /// Where.
        appliance: ApplianceName,
        /// Done, or not done.
        done: bool,
    },
    /// Lets the wave after this one start.
    Approve {
        /// The finished wave.
        wave: WaveName,
    },
}

impl Decision {
    /// The command's name.
    #[must_use]
    pub fn verb(&self) -> &'static str {
        match self {
            Self::Pause { .. } => "pause",
            Self::Resume => "resume",
            Self::Abort => "abort",
            Self::Retry { .. } => "retry",
            Self::Skip { .. } => "skip",
            Self::Resolve { .. } => "resolve",
            Self::Approve { .. } => "approve",
        }
    }
}
