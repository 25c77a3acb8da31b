//! What was asked of the hardware behind the appliances.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

/// A node of an appliance.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Node {
    /// The node that answers; the only one of a single appliance.
    Primary,
    /// The other node of an HA pair.
    Secondary,
}

impl Node {
    /// A word for paths and messages.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Primary => "primary",
            Self::Secondary => "secondary",
        }
    }
}

/// What can be asked of a node's power.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PowerAct {
    /// Whether it has power: a look, no act.
    State,
    /// Give it power.
    On,
    /// Shut it down gracefully.
    Off,
    /// Take its power away.
    ForceOff,
    /// Restart it gracefully.
    Restart,
}

impl PowerAct {
    /// A word for paths and messages.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::State => "state",
            Self::On => "on",
            Self::Off => "off",
            Self::ForceOff => "force_off",
            Self::Restart => "restart",
        }
    }
}

/// A request that reached the power service of a node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PowerRecord {
    /// For which node the caller takes it.
    pub node: Node,
    /// What was asked.
    pub act: PowerAct,
    /// Whether it was accepted, whatever was answered.
    pub taken: bool,
    /// Whether the node does it; an accepted act may be ignored or have nothing to do.
    pub acted: bool,
    /// The fault that was played.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fault: Option<Cow<'static, str>>,
}

impl PowerRecord {
    /// Whether this is an act on this node that was accepted.
    #[must_use]
    pub fn took(&self, node: Node, act: PowerAct) -> bool {
        self.taken && self.node == node && self.act == act
    }
}
