//! Status, folded from events. Nothing keeps a second bookkeeping.
//!
//! [`Run`] is one rollout, [`ApplianceRun`] one appliance in it. [`Run::apply`] is the only way
//! in which either changes; an event that cannot happen is an [`IllegalEvent`].

mod acts;
mod appliance;
mod clusters;
mod debts;
mod decide;
mod hooks;
mod phase;
mod progress;
mod record;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

pub use appliance::ApplianceRun;
pub use clusters::ClusterRun;
pub use debts::Debt;
pub use hooks::{HookRecord, HookState};
pub use phase::Phase;
pub use record::{
    CallState, DrainRecord, JobRecord, OpenAct, PairRecord, StageRecord, Transfer, UpgradeRecord,
};

use crate::decision::Actor;
use crate::event::{
    ApplianceChange, Change, Event, HookPoint, RolloutChange, Seq, Step, StepDuration,
};
use crate::hold::HoldReason;
use crate::names::{ApplianceName, ClusterName, RolloutId, SiteName, WaveName};
use crate::plan::Plan;

/// An event that cannot follow what is there: the journal is of another program or damaged.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("event {seq} cannot happen here: {why}")]
pub struct IllegalEvent {
    /// Which event.
    pub seq: Seq,
    /// Why not.
    pub why: String,
}

/// One rollout, folded.
#[derive(Debug, Clone, PartialEq)]
pub struct Run {
    /// Its id.
    pub id: RolloutId,
    /// What is done.
    pub plan: Arc<Plan>,
    /// When the plan was accepted.
    pub accepted_at: Timestamp,
    /// Who accepted it.
    pub accepted_by: Actor,
    /// The last event folded in.
    pub seq: Seq,
    /// Every member.
    pub appliances: BTreeMap<ApplianceName, ApplianceRun>,
    /// Bystanders that do not answer.
    pub dark_bystanders: BTreeSet<ApplianceName>,
    /// Waves that have begun.
    pub waves_started: BTreeSet<WaveName>,
    /// Waves whose members are all finished.
    pub waves_finished: BTreeSet<WaveName>,
    /// A person's pause.
    pub pause: Option<Pause>,
    /// The failure budget was reached and nobody has resumed since.
    pub breach: Option<Breach>,
    /// Failures since the last `resume`; a success after `retry` takes one off.
    pub counted: BTreeSet<ApplianceName>,
    /// When waves were finished: their soak counts from there.
    pub waves_ended: BTreeMap<WaveName, Timestamp>,
    /// Who let the wave after these start.
    pub approvals: BTreeMap<WaveName, Approval>,
    /// The clusters that have begun, and what became of them.
    pub clusters: BTreeMap<ClusterName, ClusterRun>,
    /// Hooks that have begun.
    pub hooks: BTreeMap<HookPoint, HookRecord>,
    /// Until when a person has lifted the freezes of sites.
    pub lifted: BTreeMap<SiteName, Timestamp>,
    /// Who fell ill in a soak; nobody has resumed since.
    pub soak_failed: Option<ApplianceName>,
    /// The rollout was given up.
    pub aborted: bool,
    /// It was given up inside clusters that have begun, too.
    pub aborted_now: bool,
    /// Nothing is left to do.
    pub finished: bool,
}

/// A person's pause.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pause {
    /// Staging stops too.
    pub all: bool,
    /// It takes hold inside clusters that have begun, too.
    #[serde(default)]
    pub now: bool,
}

/// A person let the wave after this one start.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Approval {
    /// Who.
    pub by: Actor,
    /// Why.
    pub reason: String,
    /// When.
    pub at: Timestamp,
}

/// A reached failure budget.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Breach {
    /// Failures that counted.
    pub failures: usize,
    /// The number that breaches.
    pub limit: usize,
}

/// The state of a rollout in one word (contract: cli.md).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RolloutState {
    /// It goes on, or could.
    Running,
    /// By a person or by the failure budget.
    Paused,
    /// By the program, for safety.
    Halted,
    /// Given up.
    Aborted,
    /// Every appliance is at the target.
    Succeeded,
    /// Finished, but not every appliance was upgraded.
    Failed,
}

impl RolloutState {
    /// The word.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Paused => "paused",
            Self::Halted => "halted",
            Self::Aborted => "aborted",
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
        }
    }
}

impl Run {
    /// Starts a fold with the first event of a rollout.
    ///
    /// # Errors
    /// When the event is not `PlanAccepted`.
    pub fn begin(event: &Event) -> Result<Self, IllegalEvent> {
        let Change::Rollout(RolloutChange::PlanAccepted { plan, actor }) = &event.change else {
            let why = "a rollout begins with the acceptance of its plan".to_owned();
            return Err(IllegalEvent { seq: event.seq, why });
        };
        let new = |name: &ApplianceName| (name.clone(), ApplianceRun::new(event.at));
        Ok(Self {
            id: event.rollout.clone(),
            appliances: plan.appliances.keys().map(new).collect(),
            plan: Arc::clone(plan),
            accepted_at: event.at,
            accepted_by: actor.clone(),
            seq: event.seq,
            dark_bystanders: BTreeSet::new(),
            waves_started: BTreeSet::new(),
            waves_finished: BTreeSet::new(),
            pause: None,
            breach: None,
            counted: BTreeSet::new(),
            waves_ended: BTreeMap::new(),
            approvals: BTreeMap::new(),
            clusters: BTreeMap::new(),
            hooks: BTreeMap::new(),
            lifted: BTreeMap::new(),
            soak_failed: None,
            aborted: false,
            aborted_now: false,
            finished: false,
        })
    }

    /// Folds a whole log.
    ///
    /// # Errors
    /// The first event that cannot happen.
    pub fn fold<'a>(
        events: impl IntoIterator<Item = &'a Event>,
    ) -> Result<Option<Self>, IllegalEvent> {
        let mut events = events.into_iter();
        let Some(first) = events.next() else { return Ok(None) };
        let mut run = Self::begin(first)?;
        for event in events {
            run.apply(event)?;
        }
        Ok(Some(run))
    }

    /// Folds one event in. Returns how long a step took when the event ends one.
    ///
    /// # Errors
    /// When the event cannot happen here; the run is then unchanged.
    pub fn apply(&mut self, event: &Event) -> Result<Option<StepDuration>, IllegalEvent> {
        let illegal = |why: String| IllegalEvent { seq: event.seq, why };
        if event.seq <= self.seq {
            return Err(illegal(format!("it comes after event {}", self.seq)));
        }
        let took = match &event.change {
            Change::Rollout(change) => {
                self.apply_rollout(event, change).map_err(illegal)?;
                None
            }
            Change::Appliance(name, change) => {
                self.apply_appliance(event, name, change).map_err(illegal)?
            }
        };
        self.seq = event.seq;
        Ok(took)
    }

    fn apply_rollout(&mut self, event: &Event, change: &RolloutChange) -> Result<(), String> {
        match change {
            RolloutChange::PlanAccepted { .. } => {
                return Err("the plan was accepted before".to_owned());
            }
            RolloutChange::Replanned { plan, .. } => self.replan(plan, event.at)?,
            RolloutChange::RunStarted { .. } | RolloutChange::RunStopped { .. } => {}
            RolloutChange::Decided { decision, actor, reason } => {
                self.decide(decision, actor, reason, event.at)?;
            }
            RolloutChange::BudgetReached { failures, limit, abort } => {
                self.breach = Some(Breach { failures: *failures, limit: *limit });
                self.aborted |= abort;
            }
            RolloutChange::WaveStarted { wave } => {
                self.waves_started.insert(wave.clone());
            }
            RolloutChange::WaveFinished { wave } => {
                self.waves_finished.insert(wave.clone());
                self.waves_ended.insert(wave.clone(), event.at);
            }
            RolloutChange::ClusterStarted { cluster } => self.cluster_started(cluster, event.at)?,
            RolloutChange::ClusterWithdrawn { cluster, .. } => self.cluster_withdrawn(cluster)?,
            RolloutChange::ClusterFinished { cluster } => self.cluster_finished(cluster)?,
            RolloutChange::Hook { point, change } => self.hook_changed(point, change, event.at)?,
            RolloutChange::Finished => self.finished = true,
        }
        Ok(())
    }

    fn apply_appliance(
        &mut self,
        event: &Event,
        name: &ApplianceName,
        change: &ApplianceChange,
    ) -> Result<Option<StepDuration>, String> {
        if self.plan.bystanders.contains_key(name) {
            match change {
                ApplianceChange::Unreachable => self.dark_bystanders.insert(name.clone()),
                ApplianceChange::Reachable => self.dark_bystanders.remove(name),
                _ => return Err(format!("{name} is not a member, only a bystander")),
            };
            return Ok(None);
        }
        let Some(run) = self.appliances.get_mut(name) else {
            return Err(format!("{name} is not in the plan"));
        };
        let took =
            run.apply(change, event.at, &self.plan).map_err(|why| format!("{name}: {why}"))?;
        match change {
            ApplianceChange::Failed(failure) => {
                self.counted.insert(name.clone());
                if failure.step == Step::Soak {
                    self.soak_failed.get_or_insert_with(|| name.clone());
                }
            }
            ApplianceChange::Succeeded { .. } | ApplianceChange::UpToDate { .. } => {
                self.counted.remove(name);
            }
            _ => {}
        }
        self.cluster_member_changed(name, change, event.at);
        let site = |name: &ApplianceName| self.plan.appliances.get(name).map(|a| a.site.clone());
        Ok(took.and_then(|(step, took)| {
            site(name).map(|site| StepDuration { appliance: name.clone(), site, step, took })
        }))
    }

    /// Whether what has not begun may go on with another plan.
    ///
    /// # Errors
    /// What has begun and would be lost, in words for the person.
    pub fn may_replan(&self, plan: &Plan) -> Result<(), String> {
        let begun = || self.appliances.iter().filter(|(_, run)| run.has_begun());
        if plan.firmware.version != self.plan.firmware.version
            && let Some((name, _)) = begun().next()
        {
            return Err(format!(
                "{name} has begun its way to {}; another version needs another rollout",
                self.plan.firmware.version
            ));
        }
        if let Some((name, _)) = begun().find(|(name, _)| !plan.appliances.contains_key(*name)) {
            return Err(format!(
                "{name} has begun and is missing from the new plan; keep it selected, or abort the rollout and begin another"
            ));
        }
        Ok(())
    }

    /// Takes over a new plan: members that have not begun may come, go and move.
    fn replan(&mut self, plan: &Arc<Plan>, at: Timestamp) -> Result<(), String> {
        self.may_replan(plan)?;
        self.appliances.retain(|name, _| plan.appliances.contains_key(name));
        for name in plan.appliances.keys() {
            self.appliances.entry(name.clone()).or_insert_with(|| ApplianceRun::new(at));
        }
        self.plan = Arc::clone(plan);
        self.finished = false;
        let over = |name: &WaveName| {
            let wave = plan.waves.iter().find(|wave| wave.name == *name);
            wave.is_some_and(|wave| wave.appliances.iter().all(|of| self.is_over(of)))
        };
        let finished = self.waves_finished.iter().filter(|name| over(name)).cloned().collect();
        self.waves_finished = finished;
        let still = &self.waves_finished;
        self.waves_ended.retain(|name, _| still.contains(name));
        self.approvals.retain(|name, _| still.contains(name));
        self.clusters.retain(|name, _| plan.clusters.contains_key(name));
        self.waves_started.retain(|name| plan.waves.iter().any(|wave| wave.name == *name));
        self.counted.retain(|name| plan.appliances.contains_key(name));
        Ok(())
    }

    fn is_over(&self, name: &ApplianceName) -> bool {
        self.appliances.get(name).is_some_and(|run| run.phase.is_terminal())
    }

    /// The state in one word. `halted` says that the journal cannot be written.
    #[must_use]
    pub fn state(&self, halted: bool) -> RolloutState {
        let all_done = || self.appliances.values().all(|run| run.phase.is_upgraded());
        match () {
            () if self.aborted => RolloutState::Aborted,
            () if self.finished && all_done() => RolloutState::Succeeded,
            () if self.finished => RolloutState::Failed,
            () if halted || self.any_half_upgraded() => RolloutState::Halted,
            () if self.pause.is_some() || self.breach.is_some() => RolloutState::Paused,
            () if self.soak_failed.is_some() => RolloutState::Paused,
            () => RolloutState::Running,
        }
    }

    /// Whether the rollout has ended for good and no appliance of it is down or open.
    #[must_use]
    pub fn has_ended(&self) -> bool {
        self.finished
            || (self.aborted && self.appliances.values().all(|run| run.phase.is_terminal()))
    }

    /// The first wave that is not finished.
    #[must_use]
    pub fn current_wave(&self) -> Option<&WaveName> {
        self.plan
            .waves
            .iter()
            .map(|wave| &wave.name)
            .find(|wave| !self.waves_finished.contains(*wave))
    }

    /// Why the wave at this place may not start though the one before it is finished: it is
    /// watched, or a person has not let it. The place after the last wave asks whether the rollout
    /// may end.
    #[must_use]
    pub fn wave_gate(&self, wave: usize, now: Timestamp) -> Option<HoldReason> {
        let before = self.plan.waves.get(wave.checked_sub(1)?)?;
        let ended = self.waves_ended.get(&before.name)?;
        let until = ended.checked_add(before.soak).unwrap_or(Timestamp::MAX);
        // A clock that was put back makes no soak where none was asked for.
        if now < until && !before.soak.is_zero() {
            return Some(HoldReason::Soaking { wave: before.name.clone(), until });
        }
        let asked = before.approval && wave < self.plan.waves.len();
        (asked && !self.approvals.contains_key(&before.name))
            .then(|| HoldReason::ApprovalRequired { wave: before.name.clone() })
    }
}
