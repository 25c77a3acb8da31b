//! What is remembered of an appliance: open acts, transfers, the upgrade call.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::decision::PersonStep;
use crate::event::{Act, StagedHow};
use crate::names::{FetchKey, SlotKey};
use crate::ports::ProcessId;
use crate::version::FirmwareVersion;

/// An act whose outcome is not known (yet).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct OpenAct {
    /// Which act.
    pub act: Act,
    /// When its intent was written.
    pub since: Timestamp,
    /// The process of its command.
    pub process: Option<ProcessId>,
    /// Whether the reply was lost while the program lived, not with the program.
    #[serde(default)]
    pub lost: bool,
}

/// A fetch job that we made or adopted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobRecord {
    /// Its key.
    pub key: FetchKey,
    /// Whether we made it: only then its record is ours to remove.
    pub ours: bool,
    /// Whether it has ended without a firmware.
    pub failed: bool,
    /// Whether its record is gone.
    pub removed: bool,
}

/// How far a transfer is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Transfer {
    /// Bytes so far.
    pub done: u64,
    /// Bytes in all; 0 when unknown.
    pub total: u64,
}

/// What is known of the image on its way into a slot.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct StageRecord {
    /// Fetch jobs, oldest first.
    pub jobs: Vec<JobRecord>,
    /// Transfers begun since the last `retry`; those that our own death cut off, or that were
    /// refused before they began, do not count.
    pub attempts: u32,
    /// The slot that a transfer of ours filled; not read again yet.
    pub filled: Option<SlotKey>,
    /// The slot that was read again and holds the target.
    pub slot: Option<SlotKey>,
    /// How it got there.
    pub how: Option<StagedHow>,
    /// Slots whose content is not the image.
    pub bad_slots: Vec<SlotKey>,
    /// How far the transfer is.
    pub transfer: Option<Transfer>,
}

impl StageRecord {
    /// The job that is waited for.
    #[must_use]
    pub fn live_job(&self) -> Option<&JobRecord> {
        self.jobs.iter().rev().find(|job| !job.failed && !job.removed)
    }

    /// Records of ours that are still on the appliance.
    pub fn records_left(&self) -> impl Iterator<Item = &JobRecord> {
        self.jobs.iter().filter(|job| job.ours && !job.removed)
    }
}

/// What is known of the upgrade call's reply.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CallState {
    /// The intent is written; no reply yet, or the program died.
    Open,
    /// The appliance accepted it (2xx), or a person resolved it as done.
    Accepted,
    /// The reply was lost.
    Lost,
}

/// An upgrade call from its intent on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct UpgradeRecord {
    /// The slot.
    pub slot: SlotKey,
    /// When the intent was written.
    pub intended_at: Timestamp,
    /// The reply.
    pub call: CallState,
    /// When it was accepted, or resolved as done.
    #[serde(default)]
    pub accepted_at: Option<Timestamp>,
    /// When a person last said `retry` while it was open: waiting begins anew.
    #[serde(default)]
    pub retried_at: Option<Timestamp>,
    /// The last look that is journalled.
    pub last_look: Timestamp,
    /// Whether watching had a gap longer than `timeouts.blind`.
    pub gap: bool,
    /// When the target was first seen selected for the next boot.
    pub armed_at: Option<Timestamp>,
    /// When the configured reboot was asked for.
    pub reboot_at: Option<Timestamp>,
    /// When a restart was seen.
    pub restart_at: Option<Timestamp>,
    /// The version after the return.
    pub returned: Option<FirmwareVersion>,
}

/// What is known of an HA pair's second node.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PairRecord {
    /// The steps that are done, and since when: seen, or confirmed by a person.
    pub done: BTreeMap<PersonStep, Timestamp>,
    /// When the secondary was asked to shut down.
    pub off_asked: Option<Timestamp>,
    /// When its power was taken away.
    pub forced: Option<Timestamp>,
    /// When it was switched on again.
    pub on_asked: Option<Timestamp>,
}

impl PairRecord {
    /// Whether a step is done.
    #[must_use]
    pub fn is_done(&self, step: PersonStep) -> bool {
        self.done.contains_key(&step)
    }

    /// Whether the secondary is off, or may be: from the moment it was asked to, until it is seen
    /// or confirmed on. While it is, the pair counts as down and there is a debt.
    #[must_use]
    pub fn is_off(&self) -> bool {
        (self.off_asked.is_some() || self.is_done(PersonStep::SecondaryOff))
            && !self.is_done(PersonStep::SecondaryOn)
    }

    /// Since when it is off.
    #[must_use]
    pub fn off_since(&self) -> Option<Timestamp> {
        let confirmed = self.done.get(&PersonStep::SecondaryOff).copied();
        self.off_asked.or(confirmed).filter(|_| self.is_off())
    }
}

/// The end of the wait for sessions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct DrainRecord {
    /// When.
    pub at: Timestamp,
    /// Sessions that were open still, where known.
    pub sessions: Option<u64>,
}
