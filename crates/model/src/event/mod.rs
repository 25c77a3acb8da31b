//! The journal's facts. Status is folded from them and from nothing else (see [`crate::run`]).

mod act;
mod hook;
mod memory;
mod step;
mod words;

use std::sync::Arc;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

pub use act::{Act, ActKind, ActOutcome};
pub use hook::{HookChange, HookPoint};
pub use memory::{LoginMemory, RolloutHead, StepDuration};
pub use step::Step;
pub use words::{Failure, FailureCode, SkipReason, StagedHow};

use crate::decision::{Actor, Decision, PersonStep};
use crate::hold::HoldReason;
use crate::names::{
    ApplianceName, ClusterName, CredentialId, FetchKey, RolloutId, SlotKey, WaveName,
};
use crate::observed::{Baseline, HealthCheck};
use crate::plan::Plan;
use crate::ports::{Fingerprint, ProcessId};
use crate::version::FirmwareVersion;

/// Position in the journal; grows by one per event over all rollouts, from 1.
pub type Seq = u64;

/// An event that is to be appended.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Draft {
    /// Which rollout.
    pub rollout: RolloutId,
    /// When it happened, by the wall clock.
    pub at: Timestamp,
    /// What happened.
    pub change: Change,
}

/// An event of the journal.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Event {
    /// Its position.
    pub seq: Seq,
    /// Which rollout.
    pub rollout: RolloutId,
    /// When it happened, by the wall clock.
    pub at: Timestamp,
    /// What happened.
    pub change: Change,
}

/// What happened, to the rollout or to one appliance.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Change {
    /// To the rollout as a whole.
    Rollout(RolloutChange),
    /// To one appliance (a member of the rollout or a bystander).
    Appliance(ApplianceName, ApplianceChange),
}

/// What happened to a rollout.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RolloutChange {
    /// The first event of every rollout.
    PlanAccepted {
        /// What will be done.
        plan: Arc<Plan>,
        /// Who accepted it.
        actor: Actor,
    },
    /// The not yet begun part was planned anew.
    Replanned {
        /// What will be done now.
        plan: Arc<Plan>,
        /// Who accepted it.
        actor: Actor,
    },
    /// A process took the rollout up.
    RunStarted {
        /// The process.
        pid: u32,
    },
    /// A process laid it down in good order.
    RunStopped {
        /// Why, for people.
        why: String,
    },
    /// A person decided.
    Decided {
        /// Who.
        actor: Actor,
        /// Why.
        reason: String,
        /// What.
        decision: Decision,
    },
    /// The failure budget was reached.
    BudgetReached {
        /// Failures that count.
        failures: usize,
        /// The number that breaches.
        limit: usize,
        /// Whether the rollout is given up.
        abort: bool,
    },
    /// A wave's turn came.
    WaveStarted {
        /// Which.
        wave: WaveName,
    },
    /// All members of a wave are finished.
    WaveFinished {
        /// Which.
        wave: WaveName,
    },
    /// A central cluster takes its places. From the first upgrade call of a member on, nothing
    /// but a failed member stops it.
    ClusterStarted {
        /// Which.
        cluster: ClusterName,
    },
    /// A cluster gives its places back: nobody of it has gone down yet.
    ClusterWithdrawn {
        /// Which.
        cluster: ClusterName,
        /// Why.
        why: String,
    },
    /// All members of a cluster are through, or a person has left out who is not.
    ClusterFinished {
        /// Which.
        cluster: ClusterName,
    },
    /// A hook is about to run, runs, or has ended.
    Hook {
        /// Which.
        point: HookPoint,
        /// What happened.
        change: HookChange,
    },
    /// Nothing is left to do.
    Finished,
}

/// What happened to an appliance.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ApplianceChange {
    /// A step began (again).
    StepStarted(Step),
    /// Preflight is done.
    Preflighted(Box<Baseline>),
    /// It does not answer and is asked again later.
    SetAside {
        /// The last error.
        error: String,
        /// When it is asked again.
        retry_at: Timestamp,
    },
    /// It runs the target already.
    UpToDate {
        /// What it runs.
        version: FirmwareVersion,
    },
    /// It is left out.
    Skipped(SkipReason),
    /// An act is about to be sent.
    Intended(Act),
    /// The process of a command was started.
    CommandStarted(ProcessId),
    /// What became of the open act of this kind.
    Outcome {
        /// Which act.
        act: ActKind,
        /// What became of it.
        outcome: ActOutcome,
        /// What the reply or the observation showed.
        saw: String,
    },
    /// Bytes of a transfer, now and then.
    Progress {
        /// So far.
        done: u64,
        /// In all; 0 when unknown.
        total: u64,
    },
    /// A fetch job of the same URL that somebody else started is waited for.
    JobAdopted {
        /// Its key.
        key: FetchKey,
    },
    /// A fetch job ended without a firmware; its record is still there.
    JobFailed {
        /// Its key.
        key: FetchKey,
        /// In the appliance's words, or ours for a stalled one.
        error: String,
    },
    /// A slot of ours must not be used: its content is not the image.
    SlotBad {
        /// Which; absent when the upload's answer did not name it.
        slot: Option<SlotKey>,
        /// Why.
        why: String,
    },
    /// The slot was read again and holds the target.
    Staged {
        /// Which slot.
        slot: SlotKey,
        /// How it got there.
        how: StagedHow,
    },
    /// The appliance's test passed.
    Tested {
        /// Which slot.
        slot: SlotKey,
        /// `test_summary`.
        summary: String,
    },
    /// Central management names the members that the plan names.
    ClusterAgrees {
        /// What it said.
        saw: String,
    },
    /// The scheduler's leave to go down: a place is taken.
    Permitted,
    /// How many sessions are still open, now and then while they are waited for.
    Sessions {
        /// How many.
        count: u64,
    },
    /// No more sessions are waited for.
    Drained {
        /// How many are open still, where known.
        sessions: Option<u64>,
    },
    /// The leave was given back unused.
    Withdrawn {
        /// Why.
        why: String,
    },
    /// A look at an appliance whose upgrade call is open (at most every ten seconds).
    Looked {
        /// What was seen.
        saw: String,
    },
    /// The target is selected for the next boot; the old version still runs.
    Armed,
    /// A restart was seen after the upgrade call.
    RestartSeen {
        /// By what.
        saw: String,
    },
    /// The API is back with this version; the appliance is up again.
    Returned {
        /// What it runs.
        version: FirmwareVersion,
    },
    /// A step of an HA pair was seen to be done.
    PairStepDone {
        /// Which.
        step: PersonStep,
        /// What was seen.
        saw: String,
    },
    /// Its health after the return, beside what it was before.
    Checked(Vec<HealthCheck>),
    /// A hop before the target is installed, in good health: the next one follows.
    HopDone {
        /// What it runs.
        version: FirmwareVersion,
        /// Sessions before it went down, where known.
        sessions_cut: Option<u64>,
    },
    /// The primary of an HA pair runs the firmware, in good health; the pair is not whole yet.
    Verified {
        /// What it runs.
        version: FirmwareVersion,
        /// Sessions before it went down, where known.
        sessions_cut: Option<u64>,
    },
    /// It runs the target, in good health.
    Succeeded {
        /// What it runs.
        version: FirmwareVersion,
        /// Sessions before it went down, where known.
        sessions_cut: Option<u64>,
    },
    /// It failed.
    Failed(Failure),
    /// It waits for a person.
    Held(HoldReason),
    /// Two looks, ten seconds apart, found no answer: it counts as down.
    Unreachable,
    /// It answers again.
    Reachable,
    /// An appliance that was given up answers again and no restart is under way: it is up.
    Up {
        /// What it runs, where it said so.
        version: Option<FirmwareVersion>,
    },
    /// Central management sees all members in agreement after the last one.
    ClusterSynced {
        /// What it said.
        saw: String,
    },
    /// A support bundle of a failed appliance is in the state folder, or is not.
    Bundled {
        /// The file.
        path: Option<String>,
        /// Its size, or why there is none.
        saw: String,
    },
    /// A fetch record that we made could not be removed; said once.
    LeftBehind {
        /// Its key.
        key: FetchKey,
        /// Why.
        why: String,
    },
    /// The appliance took or refused a password.
    Login {
        /// Which login definition.
        credential: CredentialId,
        /// Which password of it.
        fingerprint: Fingerprint,
        /// Taken, or refused.
        accepted: bool,
    },
}
