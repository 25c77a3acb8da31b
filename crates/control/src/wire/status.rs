//! Status as it is shown to machines (contract: cli.md). Made from the fold and nothing else, so
//! that a command that reads the file and a program that answers say the same.

use jiff::Timestamp;
use model::decision::PersonStep;
use model::rollout::OnBreach;
use model::run::{Pause, Phase, RolloutState, Transfer};
use model::{
    ApplianceName, ClusterName, FirmwareVersion, RolloutId, RolloutName, SiteName, SlotKey,
    WaveName,
};
use serde::{Deserialize, Serialize};

/// Some rollouts and where they stand.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StatusView {
    /// [`super::SCHEMA`].
    pub schema: u32,
    /// The rollouts.
    pub rollouts: Vec<RolloutView>,
}

/// One rollout.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RolloutView {
    /// Its name.
    pub name: RolloutName,
    /// Its id.
    pub id: RolloutId,
    /// What is installed.
    pub target_version: FirmwareVersion,
    /// Where it stands.
    pub state: RolloutState,
    /// When its plan was accepted.
    pub accepted_at: Timestamp,
    /// Its waves, in order.
    pub waves: Vec<WaveView>,
    /// Its members, in wave order.
    pub appliances: Vec<ApplianceView>,
    /// Its central clusters.
    pub clusters: Vec<ClusterView>,
    /// What was switched off and is still to be undone.
    pub debts: Vec<DebtView>,
    /// Failures that count towards the budget.
    pub failures: usize,
    /// How many it takes.
    pub budget: BudgetView,
    /// Whether a process is at work on it; `None` when that was not asked.
    #[serde(default)]
    pub at_work: Option<bool>,
    /// A person's pause.
    #[serde(default)]
    pub paused: Option<Pause>,
    /// Who fell ill while it was watched after its upgrade; a person says `resume`.
    #[serde(default)]
    pub soak_failed: Option<ApplianceName>,
    /// Who let which wave's successor start.
    #[serde(default)]
    pub approvals: Vec<ApprovalView>,
    /// Freezes that a person has lifted.
    #[serde(default)]
    pub freeze_overrides: Vec<FreezeOverrideView>,
    /// What a person should look at now, whatever else goes on.
    #[serde(default)]
    pub alarms: Vec<NoticeView>,
    /// What did not work and stops nothing.
    #[serde(default)]
    pub warnings: Vec<NoticeView>,
}

/// A person let the wave after this one start.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ApprovalView {
    /// The finished wave.
    pub wave: WaveName,
    /// Who.
    pub by: String,
    /// Their user id.
    pub uid: u32,
    /// Why.
    pub reason: String,
    /// When.
    pub at: Timestamp,
}

/// The freezes of a site do not count for a while.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FreezeOverrideView {
    /// Where.
    pub site: SiteName,
    /// Until then.
    pub until: Timestamp,
}

/// An alarm or a warning.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NoticeView {
    /// A stable word, such as `cluster-half-upgraded`.
    pub code: String,
    /// For people.
    pub text: String,
    /// Since when.
    pub since: Option<Timestamp>,
}

/// One wave.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WaveView {
    /// Its name.
    pub name: WaveName,
    /// Where it stands.
    pub state: WaveState,
    /// Its members, in the order in which they are taken.
    pub appliances: Vec<ApplianceName>,
    /// When its last member was finished: its soak counts from there.
    #[serde(default)]
    pub ended_at: Option<Timestamp>,
    /// Why the next wave does not start.
    #[serde(default)]
    pub reason: Option<ReasonView>,
}

/// Where a wave stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum WaveState {
    /// Its turn has not come.
    Pending,
    /// Its members go down one after the other.
    Running,
    /// All members are done; it is watched for a while.
    Soaking,
    /// A person must let the next wave start.
    AwaitingApproval,
    /// Every member is at the target.
    Succeeded,
    /// It ended, but not every member was upgraded.
    Failed,
}

impl WaveState {
    /// The word (contract: cli.md).
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Running => "running",
            Self::Soaking => "soaking",
            Self::AwaitingApproval => "awaiting-approval",
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
        }
    }
}

/// One appliance.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ApplianceView {
    /// Its name.
    pub name: ApplianceName,
    /// Where it is.
    pub site: SiteName,
    /// Its wave.
    pub wave: WaveName,
    /// Where it stands.
    pub state: Phase,
    /// The version last seen.
    pub version: Option<FirmwareVersion>,
    /// The slot that holds the target.
    pub slot: Option<SlotKey>,
    /// In this state since.
    pub since: Timestamp,
    /// Whether it is down, by our act or because it does not answer.
    pub down: bool,
    /// How far the image is on its way into a slot.
    pub transfer: Option<Transfer>,
    /// Why it waits, failed or was left out.
    pub reason: Option<ReasonView>,
    /// Sessions that were open when last counted.
    #[serde(default)]
    pub sessions: Option<u64>,
    /// Sessions that its upgrades cut, where known.
    #[serde(default)]
    pub sessions_cut: Option<u64>,
    /// Its way over several versions; absent when there is only the target.
    #[serde(default)]
    pub hop: Option<HopView>,
    /// Its second node; absent when there is none.
    #[serde(default)]
    pub pair: Option<PairView>,
}

/// Where an appliance is on its way over several versions.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HopView {
    /// Which one is under way; the first is 1.
    pub number: usize,
    /// How many there are, the target's included.
    pub of: usize,
    /// The version that is installed by it.
    pub version: FirmwareVersion,
}

/// The second node of an HA pair.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PairView {
    /// Steps that were seen done or confirmed, in order.
    pub done: Vec<PairStepView>,
    /// Since when the secondary is off; the pair counts as down meanwhile.
    pub secondary_off_since: Option<Timestamp>,
}

/// A step of an HA pair that is done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PairStepView {
    /// Which.
    pub step: PersonStep,
    /// Since when.
    pub at: Timestamp,
}

/// Why something waits, failed or was left out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReasonView {
    /// A stable word.
    pub code: String,
    /// For people.
    pub text: String,
    /// When it may change by itself, where that is known.
    pub until: Option<Timestamp>,
}

/// One central cluster.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClusterView {
    /// Its name.
    pub name: ClusterName,
    /// Where it stands.
    pub state: ClusterState,
    /// For how long it has not audited, until now.
    pub audit_gap_seconds: u64,
    /// Since when it does not audit; `None` while it does.
    #[serde(default)]
    pub audit_gap_since: Option<Timestamp>,
    /// For how long it is expected not to audit in all.
    #[serde(default)]
    pub audit_gap_expected_seconds: Option<u64>,
    /// Its members in the order in which they are taken.
    #[serde(default)]
    pub members: Vec<ApplianceName>,
    /// The members that keep it from going on half way.
    #[serde(default)]
    pub half_upgraded: Vec<ApplianceName>,
}

/// Where a central cluster stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ClusterState {
    /// It has no places yet.
    Pending,
    /// It has its places; nobody has gone down yet.
    Started,
    /// Its members go down in order.
    Upgrading,
    /// A member keeps it from going on, or was left out: it does not audit as it should.
    HalfUpgraded,
    /// Every member is at the target.
    Succeeded,
    /// It ended, but not every member was upgraded.
    Failed,
}

impl ClusterState {
    /// The word.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Started => "started",
            Self::Upgrading => "upgrading",
            Self::HalfUpgraded => "half-upgraded",
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
        }
    }
}

/// Something that was switched off for the rollout and is still to be undone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DebtView {
    /// Where.
    pub appliance: ApplianceName,
    /// What, and what it waits for.
    pub text: String,
    /// What undoes it.
    #[serde(default)]
    pub undo: String,
    /// When it may be undone: before, undoing it does harm.
    #[serde(default)]
    pub condition: String,
    /// Since when.
    #[serde(default)]
    pub since: Option<Timestamp>,
    /// Why it cannot be undone by itself any more: a person decides.
    #[serde(default)]
    pub stuck: Option<String>,
}

/// How many failures a rollout takes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BudgetView {
    /// As a number of appliances.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub count: Option<u32>,
    /// As a percentage of all selected.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub percent: Option<u32>,
    /// The number that breaches.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub breached_at: Option<usize>,
    /// What happens then.
    pub on_breach: OnBreach,
}
