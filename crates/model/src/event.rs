//! The journal's facts. Status is folded from them and from nothing else (see [`crate::run`]).

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use crate::decision::{Actor, Decision};
use crate::hold::HoldReason;
use crate::names::{
    ApplianceName, CredentialId, FetchKey, RolloutId, RolloutName, SiteName, SlotKey, WaveName,
};
use crate::observed::Baseline;
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
    /// Nothing is left to do.
    Finished,
}

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

/// How the image came into the slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum StagedHow {
    /// It was there before we came.
    Adopted,
    /// The appliance pulled it for us.
    Fetched,
    /// The appliance pulled it for somebody else, and we waited.
    FetchAdopted,
    /// We sent it.
    Uploaded,
}

/// Why an appliance is left out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", rename_all_fields = "snake_case")]
pub enum SkipReason {
    /// It runs a newer version than the target.
    Newer {
        /// What it runs.
        version: FirmwareVersion,
    },
    /// A person left it out.
    ByPerson,
    /// The rollout was aborted before its turn.
    Aborted,
}

/// Why an appliance failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// In which step.
    pub step: Step,
    /// A stable word of the kind, such as `test-failed` or `reverted`.
    pub code: FailureCode,
    /// What, where, what to do; in the appliance's own words where it gave some.
    pub text: String,
}

/// The kind of a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FailureCode {
    /// It did not answer for `unreachable.wait`.
    Unreachable,
    /// Its health does not allow an upgrade.
    Unhealthy,
    /// No slot is empty.
    NoEmptySlot,
    /// It cannot fetch and there is nothing to upload.
    FetchNotOffered,
    /// The image did not get into a slot.
    StageFailed,
    /// What arrived is not the image that was asked for.
    WrongImage,
    /// The appliance's own test failed.
    TestFailed,
    /// A check before the disruptive call failed.
    NotReady,
    /// The appliance refused the upgrade call.
    UpgradeRefused,
    /// It came back on the old version.
    Reverted,
    /// It came back on a version that is neither the old nor the target.
    WrongVersion,
    /// It did not come back in time.
    NoReturn,
    /// It came back, but not in good health.
    VerifyFailed,
    /// A request was refused, in the appliance's own words.
    Refused,
    /// A step took too long.
    TimedOut,
}

impl FailureCode {
    /// A stable word.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Unreachable => "unreachable",
            Self::Unhealthy => "unhealthy",
            Self::NoEmptySlot => "no-empty-slot",
            Self::FetchNotOffered => "fetch-not-offered",
            Self::StageFailed => "stage-failed",
            Self::WrongImage => "wrong-image",
            Self::TestFailed => "test-failed",
            Self::NotReady => "not-ready",
            Self::UpgradeRefused => "upgrade-refused",
            Self::Reverted => "reverted",
            Self::WrongVersion => "wrong-version",
            Self::NoReturn => "no-return",
            Self::VerifyFailed => "verify-failed",
            Self::Refused => "refused",
            Self::TimedOut => "timed-out",
        }
    }
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
    /// The scheduler's leave to go down: a place is taken.
    Permitted,
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

/// One rollout of a journal, in brief.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RolloutHead {
    /// Its id.
    pub id: RolloutId,
    /// Its name.
    pub name: RolloutName,
    /// When its plan was accepted.
    pub accepted_at: Timestamp,
    /// Whether it has ended for good (finished or aborted, and nothing of it is open).
    pub ended: bool,
}

/// What the journal remembers of logins.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LoginMemory {
    /// Passwords that an appliance refused and nobody has said `retry` since.
    pub refused: BTreeMap<ApplianceName, Vec<(CredentialId, Fingerprint)>>,
    /// Login definitions that have worked somewhere.
    pub proven: Vec<CredentialId>,
}

impl LoginMemory {
    /// Folds one event in. Both journals use this, so that they remember alike.
    pub fn apply(&mut self, change: &Change) {
        match change {
            Change::Appliance(
                name,
                ApplianceChange::Login { credential, fingerprint, accepted },
            ) => {
                let refused = self.refused.entry(name.clone()).or_default();
                refused.retain(|(known, _)| known != credential);
                if *accepted {
                    if !self.proven.contains(credential) {
                        self.proven.push(credential.clone());
                    }
                } else {
                    refused.push((credential.clone(), *fingerprint));
                }
                if refused.is_empty() {
                    self.refused.remove(name);
                }
            }
            Change::Rollout(RolloutChange::Decided {
                decision: Decision::Retry { appliances },
                ..
            }) => {
                for name in appliances {
                    self.refused.remove(name);
                }
            }
            Change::Rollout(_) | Change::Appliance(..) => {}
        }
    }
}

/// How long a step of an appliance took, from its start to its end.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StepDuration {
    /// Which appliance.
    pub appliance: ApplianceName,
    /// Where it is.
    pub site: SiteName,
    /// Which step.
    pub step: Step,
    /// How long.
    pub took: SignedDuration,
}
