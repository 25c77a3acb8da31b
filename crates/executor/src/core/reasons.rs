//! Why each appliance waits, from the fold alone: the same answer in a running process and from
//! the database beside it.

use std::collections::BTreeMap;

use jiff::Timestamp;
use model::expect;
use model::history::History;
use model::hold::HoldReason;
use model::names::ApplianceName;
use model::rollout::StageMode;
use model::run::{ApplianceRun, HookState, Phase, Run};
use model::safety::Occupancy;

use super::Core;
use super::account::{limits_of, membership, take_for_others};
use super::admit::closed;
use super::clusters;
use super::windows::Openings;

/// The reason of every appliance that waits now, were there no other rollout. `history` is how
/// long steps took so far.
#[must_use]
pub fn reasons(
    run: &Run,
    history: &History,
    now: Timestamp,
) -> BTreeMap<ApplianceName, HoldReason> {
    reasons_among(run, [], history, now)
}

/// As [`reasons`], beside the unfinished rollouts of the same journal: their appliances that are
/// down take places in sites and groups too.
#[must_use]
pub fn reasons_among<'a>(
    run: &Run,
    others: impl IntoIterator<Item = &'a Run>,
    history: &History,
    now: Timestamp,
) -> BTreeMap<ApplianceName, HoldReason> {
    let mut occupancy = taken(run);
    take_for_others(others, &mut occupancy);
    all(run, occupancy, history, now)
}

impl Core {
    /// The reason of every appliance that waits now, by all that the core knows.
    #[must_use]
    pub fn reasons(&self, now: Timestamp) -> BTreeMap<ApplianceName, HoldReason> {
        let mut reasons = all(&self.run, self.occupancy.clone(), &self.history, now);
        if self.halted {
            // Whatever else they wait for: nobody goes down before the journal can be written.
            let ready = self.run.appliances.iter().filter(|(_, run)| run.phase == Phase::Ready);
            reasons.extend(ready.map(|(name, _)| (name.clone(), HoldReason::JournalNotWritable)));
        }
        reasons
    }
}

fn all(
    run: &Run,
    occupancy: Occupancy,
    history: &History,
    now: Timestamp,
) -> BTreeMap<ApplianceName, HoldReason> {
    let mut why = Why { run, history, now, occupancy, openings: Openings::default() };
    let current = run.plan.waves.iter().position(|w| !run.waves_finished.contains(&w.name));
    let mut reasons = BTreeMap::new();
    for (at, wave) in run.plan.waves.iter().enumerate() {
        for name in &wave.appliances {
            let Some(state) = run.appliances.get(name) else { continue };
            let reason = match state.phase {
                Phase::Ready => why.ready(name, state, (at, current)),
                Phase::Failed => why.failed(name),
                Phase::Pending | Phase::Preflight | Phase::Staging | Phase::Testing => {
                    why.staging(name, state, (at, current))
                }
                _ => why.state(state),
            };
            if let Some(reason) = reason {
                reasons.insert(name.clone(), reason);
            }
        }
    }
    reasons
}

/// Who takes which places, from the fold.
fn taken(run: &Run) -> Occupancy {
    let mut occupancy = limits_of(run);
    let members = run.appliances.iter().filter(|(_, state)| state.takes_places());
    for name in members.map(|(name, _)| name).chain(&run.dark_bystanders) {
        if let Some(who) = membership(run, name) {
            occupancy.take(&who);
        }
    }
    occupancy
}

struct Why<'r> {
    run: &'r Run,
    history: &'r History,
    now: Timestamp,
    occupancy: Occupancy,
    openings: Openings,
}

impl Why<'_> {
    fn state(&self, state: &ApplianceRun) -> Option<HoldReason> {
        match state.phase {
            Phase::Held | Phase::Attended | Phase::Unknown => state.hold.clone(),
            Phase::SetAside => {
                let since = state.set_aside_at.unwrap_or(self.now);
                let until = since.checked_add(self.run.plan.unreachable_wait).unwrap_or(since);
                Some(HoldReason::Unreachable { since, until })
            }
            Phase::Draining => {
                let drain = self.run.plan.drain.as_ref()?;
                let began = state.step.map_or(state.since, |(_, began)| began);
                Some(HoldReason::Draining {
                    sessions: state.sessions,
                    allowed: drain.sessions,
                    until: began.checked_add(drain.wait).unwrap_or(began),
                })
            }
            _ => None,
        }
    }

    /// A failed member keeps its cluster half upgraded until a person decides.
    fn failed(&self, name: &ApplianceName) -> Option<HoldReason> {
        let (cluster, _) = self.run.plan.cluster_of(name)?;
        let failed = self.run.half_upgraded(cluster);
        let gap_since = self.run.clusters.get(cluster)?.gap_since;
        (!failed.is_empty()).then(|| HoldReason::ClusterHalfUpgraded {
            cluster: cluster.clone(),
            failed,
            gap_since,
        })
    }

    /// What keeps an appliance from being read, staged or tested. A step that is under way when
    /// that comes is finished; after a restart it waits with the others.
    fn staging(
        &mut self,
        name: &ApplianceName,
        state: &ApplianceRun,
        (wave, current): (usize, Option<usize>),
    ) -> Option<HoldReason> {
        if self.run.pause.is_some_and(|pause| pause.all) {
            return Some(HoldReason::Paused);
        }
        let member = self.run.plan.appliances.get(name)?;
        if self.run.plan.stage == StageMode::InWindow {
            let reason = self.earlier_wave(wave, current);
            let reason = reason.or_else(|| self.openings.closed(self.run, &member.site, self.now));
            if reason.is_some() {
                return reason;
            }
        }
        let waits = state.phase == Phase::Pending && state.baseline.is_some();
        (waits && state.stage.how.is_none()).then(|| HoldReason::TransferLimit {
            limit: self.run.plan.site_transfers(&member.site),
        })
    }

    /// What keeps a ready appliance from going down.
    fn ready(
        &mut self,
        name: &ApplianceName,
        state: &ApplianceRun,
        (wave, current): (usize, Option<usize>),
    ) -> Option<HoldReason> {
        let run = self.run;
        let cluster = run.plan.cluster_of(name);
        let begun = cluster.is_some_and(|(cluster, _)| run.cluster_has_begun(cluster));
        if let Some(reason) = closed(run).filter(|_| !begun || run.pause.is_some_and(|p| p.now)) {
            return Some(reason);
        }
        if let Some(reason) = self.hook(name) {
            return Some(reason);
        }
        if state.permitted {
            return None;
        }
        if !begun && let Some(reason) = self.earlier_wave(wave, current) {
            return Some(reason);
        }
        if cluster.is_some() {
            let (occupancy, openings) = (&self.occupancy, &mut self.openings);
            let reason = clusters::reason(run, name, occupancy, openings, self.history, self.now);
            if reason.is_some() {
                return reason;
            }
        } else if let Some(member) = run.plan.appliances.get(name) {
            let expected = || expect::appliance(&run.plan, name, self.history);
            if let Err(reason) = self.openings.fits(run, &member.site, self.now, expected) {
                return Some(reason);
            }
        }
        if state.is_down() {
            // It was staged and tested, and stopped answering since.
            let since = state.since;
            let until = since.checked_add(run.plan.unreachable_wait).unwrap_or(since);
            return Some(HoldReason::Unreachable { since, until });
        }
        self.occupancy.may_go_down(&membership(run, name)?).err()
    }

    /// The hook before it that runs or has failed.
    fn hook(&self, name: &ApplianceName) -> Option<HoldReason> {
        if self.run.hooks.is_empty() {
            return None;
        }
        self.run.hooks_before(name).find_map(|point| {
            let hook = point.to_string();
            match &self.run.hooks.get(&point)?.state {
                HookState::Open => Some(HoldReason::HookRunning { hook }),
                HookState::Done => None,
                HookState::Failed(detail) | HookState::Unknown(detail) => {
                    Some(HoldReason::HookFailed { hook, detail: detail.clone() })
                }
            }
        })
    }

    /// The wave whose turn it is, when that is an earlier one; or what keeps its own wave, when
    /// that comes next.
    fn earlier_wave(&self, wave: usize, current: Option<usize>) -> Option<HoldReason> {
        let current = current?;
        let of = self.run.plan.waves.get(current)?;
        if !self.run.waves_started.contains(&of.name)
            && let Some(gate) = self.run.wave_gate(current, self.now)
        {
            return Some(gate);
        }
        if wave <= current {
            return None;
        }
        let unfinished = |name: &&ApplianceName| {
            self.run.appliances.get(*name).is_some_and(|state| !state.phase.is_terminal())
        };
        let unfinished = of.appliances.iter().filter(unfinished).count();
        Some(HoldReason::EarlierWave { wave: of.name.clone(), unfinished })
    }
}
