//! Hooks in the fold: which have run, and what became of them.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::Run;
use crate::event::{HookChange, HookPoint};
use crate::names::ApplianceName;
use crate::ports::ProcessId;
use crate::rollout::HookKind;

/// One hook that has begun.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HookRecord {
    /// When its intent was written.
    pub since: Timestamp,
    /// Its process, as far as one was started.
    pub process: Option<ProcessId>,
    /// What became of it.
    pub state: HookState,
}

/// What became of a hook.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum HookState {
    /// It runs, or our process died over it.
    Open,
    /// It ended well, or a person said so.
    Done,
    /// It failed.
    Failed(String),
    /// Whether it did its work is not known.
    Unknown(String),
}

impl HookState {
    /// Whether a person says what became of it.
    #[must_use]
    pub fn is_unknown(&self) -> bool {
        matches!(self, Self::Unknown(_))
    }

    /// Whether what it stands before may go on, or what it stands after is over.
    #[must_use]
    pub fn is_over(&self, kind: HookKind) -> bool {
        match self {
            Self::Done => true,
            Self::Open => false,
            // After: a warning, no more.
            Self::Failed(_) | Self::Unknown(_) => !kind.is_before(),
        }
    }
}

impl Run {
    /// Whether a hook is asked for and is not over.
    #[must_use]
    pub fn hook_is_due(&self, kind: HookKind, of: &str) -> bool {
        self.plan.hooks.contains_key(&kind)
            && self
                .hooks
                .get(&HookPoint::new(kind, of))
                .is_none_or(|record| !record.state.is_over(kind))
    }

    /// The hooks that stand before an appliance's disruptive part: its wave's, its cluster's, its
    /// own; those that are asked for.
    pub fn hooks_before(&self, name: &ApplianceName) -> impl Iterator<Item = HookPoint> {
        let wave = self.plan.waves.iter().find(|wave| wave.appliances.contains(name));
        let wave = wave.map(|wave| HookPoint::new(HookKind::WaveBefore, wave.name.as_str()));
        let cluster = self.plan.cluster_of(name);
        let cluster =
            cluster.map(|(cluster, _)| HookPoint::new(HookKind::ClusterBefore, cluster.as_str()));
        let own = Some(HookPoint::new(HookKind::Before, name.as_str()));
        let asked = |point: &HookPoint| self.plan.hooks.contains_key(&point.kind);
        [wave, cluster, own].into_iter().flatten().filter(asked).collect::<Vec<_>>().into_iter()
    }

    /// The hook before this appliance that failed, or whose outcome is not known.
    #[must_use]
    pub fn failed_hook_of(&self, name: &ApplianceName) -> Option<&HookPoint> {
        if self.hooks.is_empty() {
            return None;
        }
        let bad = |state: &HookState| matches!(state, HookState::Failed(_) | HookState::Unknown(_));
        let found = self
            .hooks_before(name)
            .find(|point| self.hooks.get(point).is_some_and(|record| bad(&record.state)))?;
        self.hooks.get_key_value(&found).map(|(point, _)| point)
    }

    pub(super) fn hook_changed(
        &mut self,
        point: &HookPoint,
        change: &HookChange,
        at: Timestamp,
    ) -> Result<(), String> {
        if *change == HookChange::Intended {
            if self.hooks.contains_key(point) {
                return Err(format!("{point} has begun before"));
            }
            let record = HookRecord { since: at, process: None, state: HookState::Open };
            self.hooks.insert(point.clone(), record);
            return Ok(());
        }
        let record = self.hooks.get_mut(point).filter(|record| record.state == HookState::Open);
        let Some(record) = record else { return Err(format!("{point} does not run")) };
        match change {
            HookChange::Intended => {}
            HookChange::Started(process) => record.process = Some(*process),
            HookChange::Done => record.state = HookState::Done,
            HookChange::Failed(detail) => record.state = HookState::Failed(detail.clone()),
            HookChange::Unknown(detail) => record.state = HookState::Unknown(detail.clone()),
        }
        Ok(())
    }
}
