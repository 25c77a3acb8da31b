//! Hooks: programs around appliances, clusters and waves.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::ports::ProcessId;
use crate::rollout::HookKind;

/// One hook of a rollout: of its kind, and around whom.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct HookPoint {
    /// Which kind.
    pub kind: HookKind,
    /// The name of the appliance, cluster or wave.
    pub of: String,
}

impl HookPoint {
    /// A hook around something of this name.
    #[must_use]
    pub fn new(kind: HookKind, of: &str) -> Self {
        Self { kind, of: of.to_owned() }
    }
}

impl fmt::Display for HookPoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "hook `{}` of {}", self.kind.name(), self.of)
    }
}

/// What happened to a hook.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum HookChange {
    /// It is about to be run: an intent like any other.
    Intended,
    /// Its process was started.
    Started(ProcessId),
    /// It ended well.
    Done,
    /// It did not: in its own words.
    Failed(String),
    /// Our process died over it: whether it did its work is not known.
    Unknown(String),
}
