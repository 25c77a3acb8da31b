//! Status as it is shown to machines (contract: cli.md). Made from the fold and nothing else, so
//! that a command that reads the file and a program that answers say the same.

use std::collections::BTreeMap;

use jiff::Timestamp;
use model::event::SkipReason;
use model::hold::HoldReason;
use model::plan::PlannedWave;
use model::rollout::{FailureBudget, OnBreach};
use model::run::{ApplianceRun, Phase, RolloutState, Run, Transfer};
use model::{
    ApplianceName, ClusterName, FirmwareVersion, RolloutId, RolloutName, SiteName, SlotKey,
    WaveName,
};
use serde::{Deserialize, Serialize};

use super::SCHEMA;

/// Some rollouts and where they stand.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StatusView {
    /// [`SCHEMA`].
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
    pub state: String,
    /// For how long it has not audited.
    pub audit_gap_seconds: u64,
}

/// Something that was switched off for the rollout and is still to be undone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DebtView {
    /// Where.
    pub appliance: ApplianceName,
    /// What, and what it waits for.
    pub text: String,
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

impl StatusView {
    /// The view of one rollout: see [`RolloutView::of`].
    #[must_use]
    pub fn of(run: &Run, halted: bool, waiting: &BTreeMap<ApplianceName, HoldReason>) -> Self {
        Self::with(vec![RolloutView::of(run, halted, waiting)])
    }

    /// The view of some rollouts.
    #[must_use]
    pub fn with(rollouts: Vec<RolloutView>) -> Self {
        Self { schema: SCHEMA, rollouts }
    }
}

impl RolloutView {
    /// Makes the view. `halted`: the journal cannot be written. `waiting`: why the scheduler does
    /// not take an appliance up now; only a running program knows that.
    #[must_use]
    pub fn of(run: &Run, halted: bool, waiting: &BTreeMap<ApplianceName, HoldReason>) -> Self {
        let plan = &run.plan;
        let member = |(wave, appliance): (&PlannedWave, &std::sync::Arc<_>)| {
            let appliance: &model::fleet::Appliance = appliance;
            let state = run.appliances.get(&appliance.name)?;
            let reason = reason(run, state, halted, waiting.get(&appliance.name));
            Some(ApplianceView {
                name: appliance.name.clone(),
                site: appliance.site.clone(),
                wave: wave.name.clone(),
                state: state.phase,
                version: state.version.clone(),
                slot: slot(state),
                since: state.since,
                down: state.is_down(),
                transfer: state.stage.transfer,
                reason,
            })
        };
        Self {
            name: plan.rollout.clone(),
            id: run.id.clone(),
            target_version: plan.firmware.version.clone(),
            state: run.state(halted),
            accepted_at: run.accepted_at,
            waves: plan.waves.iter().map(|wave| wave_view(run, wave)).collect(),
            appliances: plan.in_order().filter_map(member).collect(),
            clusters: Vec::new(),
            debts: Vec::new(),
            failures: run.counted.len(),
            budget: BudgetView::of(&plan.failure_budget, plan.appliances.len()),
        }
    }
}

impl BudgetView {
    fn of(budget: &FailureBudget, selected: usize) -> Self {
        Self {
            count: budget.count,
            percent: budget.percent,
            breached_at: budget.breached_at(selected),
            on_breach: budget.on_breach,
        }
    }
}

impl ReasonView {
    /// A hold as a reason.
    #[must_use]
    pub fn of(hold: &HoldReason) -> Self {
        Self { code: hold.code().to_owned(), text: hold.to_string(), until: hold.until() }
    }

    fn new(code: &str, text: &str) -> Self {
        Self { code: code.to_owned(), text: text.to_owned(), until: None }
    }

    fn of_skip(skip: &SkipReason) -> Self {
        match skip {
            SkipReason::Newer { version } => {
                Self::new("newer", &format!("it runs {version}, which is newer than the target"))
            }
            SkipReason::ByPerson => Self::new("by-person", "a person left it out"),
            SkipReason::Aborted => Self::new("aborted", "the rollout was aborted before its turn"),
        }
    }
}

fn wave_view(run: &Run, wave: &PlannedWave) -> WaveView {
    let upgraded = |name| run.appliances.get(name).is_some_and(|state| state.phase.is_upgraded());
    let over = run.waves_finished.contains(&wave.name) || run.has_ended();
    let state = match () {
        () if over && wave.appliances.iter().all(upgraded) => WaveState::Succeeded,
        () if over => WaveState::Failed,
        () if run.waves_started.contains(&wave.name) => WaveState::Running,
        () => WaveState::Pending,
    };
    WaveView { name: wave.name.clone(), state, appliances: wave.appliances.clone() }
}

fn slot(state: &ApplianceRun) -> Option<SlotKey> {
    let used = state.upgrade.as_ref().map(|upgrade| &upgrade.slot);
    used.or(state.stage.slot.as_ref()).cloned()
}

/// What is folded says more than what the scheduler says; both say more than the rollout's state.
fn reason(
    run: &Run,
    state: &ApplianceRun,
    halted: bool,
    waiting: Option<&HoldReason>,
) -> Option<ReasonView> {
    match state.phase {
        Phase::Failed => {
            state.failure.as_ref().map(|why| ReasonView::new(why.code.name(), &why.text))
        }
        Phase::Skipped => state.skipped.as_ref().map(ReasonView::of_skip),
        Phase::Succeeded | Phase::UpToDate => None,
        Phase::Held | Phase::Unknown | Phase::Attended => {
            state.hold.as_ref().or(waiting).map(ReasonView::of)
        }
        Phase::SetAside => set_aside(run, state).as_ref().or(waiting).map(ReasonView::of),
        Phase::Pending
        | Phase::Preflight
        | Phase::Staging
        | Phase::Testing
        | Phase::Ready
        | Phase::Draining
        | Phase::Activating
        | Phase::Returning
        | Phase::Verifying => {
            waiting.cloned().or_else(|| stopped(run, state, halted)).as_ref().map(ReasonView::of)
        }
    }
}

fn set_aside(run: &Run, state: &ApplianceRun) -> Option<HoldReason> {
    let since = state.set_aside_at?;
    let until = since.checked_add(run.plan.unreachable_wait).ok()?;
    Some(HoldReason::Unreachable { since, until })
}

/// Why nothing new begins on an appliance that has nothing under way, as far as the rollout itself
/// says.
fn stopped(run: &Run, state: &ApplianceRun, halted: bool) -> Option<HoldReason> {
    let waits_to_go_down = state.phase == Phase::Ready;
    let waits_to_begin = state.phase == Phase::Pending;
    if !waits_to_go_down && !waits_to_begin {
        return None;
    }
    if halted {
        return Some(HoldReason::JournalNotWritable);
    }
    match (run.pause, run.breach) {
        // Staging goes on unless everything is paused.
        (Some(pause), _) if waits_to_go_down || pause.all => Some(HoldReason::Paused),
        (_, Some(breach)) if waits_to_go_down => {
            Some(HoldReason::BudgetReached { failures: breach.failures, limit: breach.limit })
        }
        _ => None,
    }
}
