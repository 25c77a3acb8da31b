//! When a plan is expected to be carried out: the start and end of each appliance, cluster and
//! wave, and who never fits into a window.
//!
//! It goes through the plan as the executor does, with nothing failing and nobody else at work:
//! whoever may go down goes down in the order of the wave, within the limits, inside the windows,
//! and for as long as is expected ([`model::expect`]). What nobody can foresee counts as nothing:
//! a person's approval and steps, hooks, preflight, other rollouts; versions that an appliance has
//! passed already are counted in.
//!
//! Staging begins at once (`ahead`) or with the wave and inside a window (`in_window`), as many at
//! once as the limits allow. How long it takes follows from history; where nothing was seen, a
//! sixth of `timeouts.stage` and a third of `timeouts.test` are taken: these are upper bounds, and
//! a guess at all of them would put everything off by hours.

mod course;
mod openings;
mod staging;
mod unit;
mod waves;

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use model::history::{Expected, History, Source};
use model::plan::Plan;
use model::{ApplianceName, ClusterName, WaveName};
use serde::Serialize;

/// When a plan is expected to be carried out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Forecast {
    /// When it begins.
    pub from: Timestamp,
    /// When the last wave is through and watched. Those that never fit are counted out.
    pub end: Timestamp,
    /// The waves, in their order.
    pub waves: Vec<WaveForecast>,
    /// Every appliance of the plan.
    pub appliances: BTreeMap<ApplianceName, ApplianceForecast>,
    /// Every cluster of the plan.
    pub clusters: BTreeMap<ClusterName, ClusterForecast>,
    /// Who finds no window that is long enough in the 400 days to come, or no place in the limits.
    pub never: Vec<NeverFits>,
}

/// When a wave is expected to be carried out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct WaveForecast {
    /// Its name.
    pub name: WaveName,
    /// When its first appliance goes down; `None` when none of them ever does.
    pub start: Option<Timestamp>,
    /// When its last appliance is through.
    pub end: Timestamp,
    /// When its soak is over: so early the next wave may start.
    pub soaked: Timestamp,
    /// Whether the next wave then waits for a person. The wait is counted as nothing.
    pub waits_for_person: bool,
}

/// When an appliance is expected to be upgraded.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ApplianceForecast {
    /// When its first image is staged and tested; `None` when its site never opens for that.
    pub staged: Option<Timestamp>,
    /// From what the duration of staging follows.
    pub staging: Source,
    /// When it goes down first; `None` when it never does.
    pub start: Option<Timestamp>,
    /// When it is through, at the target.
    pub end: Option<Timestamp>,
    /// How long it takes by itself, for each version to install; as a member of a cluster without
    /// the wait for sessions.
    pub expected: Expected,
    /// Whether a person's steps are waited for inside. The wait is counted as nothing.
    pub waits_for_person: bool,
}

/// When a cluster is expected to be upgraded.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ClusterForecast {
    /// When it begins; `None` when it never does.
    pub start: Option<Timestamp>,
    /// When its members agree after the last one.
    pub end: Option<Timestamp>,
    /// How long it takes, for each version to install.
    pub expected: Expected,
    /// How long its upgraded minions do not audit, for each version to install.
    pub audit_gap: Expected,
}

/// What never starts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct NeverFits {
    /// The cluster, when it is one.
    pub cluster: Option<ClusterName>,
    /// The appliance, or the members of the cluster.
    pub appliances: Vec<ApplianceName>,
    /// How long it needs in one go.
    pub need: Expected,
    /// The longest opening of its windows, when it has any.
    pub longest: Option<SignedDuration>,
}

/// Foresees how a plan is carried out that begins at `from`.
#[must_use]
pub fn forecast(plan: &Plan, history: &History, from: Timestamp) -> Forecast {
    waves::run(plan, history, from)
}
