//! Acts that change an appliance, and what became of them.

use serde::{Deserialize, Serialize};

use crate::names::{FetchKey, SlotKey};

/// An act that changes an appliance: its intent is durable before the call.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Act {
    /// Ask the appliance to pull the image.
    StartFetch {
        /// Jobs that were there before: after a lost reply a new key with our URL is ours.
        known: Vec<FetchKey>,
    },
    /// Send the image.
    Upload {
        /// Slots that held something before: after a lost reply a new one is ours.
        filled: Vec<SlotKey>,
    },
    /// Cancel a fetch job or remove its record.
    DeleteFetch {
        /// Which.
        key: FetchKey,
    },
    /// Empty a slot to make room.
    DeleteSlot {
        /// Which.
        key: SlotKey,
        /// What it held.
        version: String,
    },
    /// The upgrade call. The appliance counts as down from here on.
    Upgrade {
        /// The slot, read again and tested before.
        slot: SlotKey,
    },
    /// Run the configured reboot of an armed appliance.
    Reboot,
    /// Switch the secondary of an HA pair off.
    PowerOff {
        /// By force, since it did not shut down by itself.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        force: bool,
    },
    /// Switch the secondary of an HA pair on.
    PowerOn,
}

impl Act {
    /// Which kind of act, without its particulars.
    #[must_use]
    pub fn kind(&self) -> ActKind {
        match self {
            Self::StartFetch { .. } => ActKind::StartFetch,
            Self::Upload { .. } => ActKind::Upload,
            Self::DeleteFetch { .. } => ActKind::DeleteFetch,
            Self::DeleteSlot { .. } => ActKind::DeleteSlot,
            Self::Upgrade { .. } => ActKind::Upgrade,
            Self::Reboot => ActKind::Reboot,
            Self::PowerOff { .. } => ActKind::PowerOff,
            Self::PowerOn => ActKind::PowerOn,
        }
    }
}

/// The kind of an act. At most one act of an appliance is open at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ActKind {
    /// [`Act::StartFetch`].
    StartFetch,
    /// [`Act::Upload`].
    Upload,
    /// [`Act::DeleteFetch`].
    DeleteFetch,
    /// [`Act::DeleteSlot`].
    DeleteSlot,
    /// [`Act::Upgrade`].
    Upgrade,
    /// [`Act::Reboot`].
    Reboot,
    /// [`Act::PowerOff`].
    PowerOff,
    /// [`Act::PowerOn`].
    PowerOn,
}

impl ActKind {
    /// What it is called in messages.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::StartFetch => "the start of the fetch",
            Self::Upload => "the upload",
            Self::DeleteFetch => "the removal of a fetch record",
            Self::DeleteSlot => "the deletion of a slot",
            Self::Upgrade => "the upgrade call",
            Self::Reboot => "the reboot",
            Self::PowerOff => "switching the secondary off",
            Self::PowerOn => "switching the secondary on",
        }
    }
}

/// What became of an act: from its own reply, or from an observation after the reply was lost.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ActOutcome {
    /// It was done.
    Done {
        /// The fetch job it made.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        job: Option<FetchKey>,
        /// The slot it filled.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        slot: Option<SlotKey>,
    },
    /// It was not done and may be asked for again.
    NotDone,
    /// The reply was lost: what became of it is not known yet. The act stays open.
    ReplyLost,
    /// It cannot be told. A person resolves it. The act stays open.
    CannotTell,
}
