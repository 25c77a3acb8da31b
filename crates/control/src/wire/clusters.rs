//! The views of a rollout's central clusters, and the alarm of a half upgraded one.

use jiff::Timestamp;
use model::plan::PlannedCluster;
use model::run::{ClusterRun, Phase, Run};
use model::{ApplianceName, ClusterName};

use super::status::{ClusterState, ClusterView, NoticeView};

/// All clusters, by name.
pub(super) fn views(run: &Run, now: Timestamp) -> Vec<ClusterView> {
    let clusters = run.plan.clusters.iter();
    clusters.map(|(name, planned)| view(run, name, planned, now)).collect()
}

fn view(run: &Run, name: &ClusterName, planned: &PlannedCluster, now: Timestamp) -> ClusterView {
    let state = run.clusters.get(name);
    let mut half = run.half_upgraded(name);
    if half.is_empty() {
        half = left_behind(run, planned, state);
    }
    let gap = state.map_or(0, |state| state.audit_gap(now).as_secs());
    ClusterView {
        name: name.clone(),
        state: stands(run, planned, state, &half),
        audit_gap_seconds: u64::try_from(gap).unwrap_or_default(),
        audit_gap_since: state.and_then(|state| state.gap_since),
        audit_gap_expected_seconds: None,
        members: planned.members().cloned().collect(),
        half_upgraded: half,
    }
}

/// Who was left out of a cluster that was gone through while others are at the target.
fn left_behind(
    run: &Run,
    planned: &PlannedCluster,
    state: Option<&ClusterRun>,
) -> Vec<ApplianceName> {
    if !state.is_some_and(|state| state.finished && state.gap_since.is_some()) {
        return Vec::new();
    }
    let out = |name: &&ApplianceName| {
        run.appliances.get(*name).is_some_and(|member| member.phase == Phase::Skipped)
    };
    planned.members().filter(out).cloned().collect()
}

fn stands(
    run: &Run,
    planned: &PlannedCluster,
    state: Option<&ClusterRun>,
    half: &[ApplianceName],
) -> ClusterState {
    let upgraded = |name| run.appliances.get(name).is_some_and(|m| m.phase.is_upgraded());
    let all_upgraded = planned.members().all(upgraded);
    match state {
        _ if !half.is_empty() => ClusterState::HalfUpgraded,
        Some(state) if state.begun_at.is_some() => ClusterState::Upgrading,
        Some(state) if state.started_at.is_some() => ClusterState::Started,
        _ if all_upgraded => ClusterState::Succeeded,
        Some(state) if state.finished => ClusterState::Failed,
        _ if run.has_ended() => ClusterState::Failed,
        _ => ClusterState::Pending,
    }
}

/// One alarm for each half upgraded cluster.
pub(super) fn alarms(run: &Run, views: &[ClusterView]) -> Vec<NoticeView> {
    let half = views.iter().filter(|view| view.state == ClusterState::HalfUpgraded);
    let alarm = |view: &ClusterView| {
        let hold = model::hold::HoldReason::ClusterHalfUpgraded {
            cluster: view.name.clone(),
            failed: view.half_upgraded.clone(),
            gap_since: view.audit_gap_since,
        };
        let since = run.clusters.get(&view.name).and_then(|state| state.begun_at);
        NoticeView {
            code: hold.code().to_owned(),
            text: hold.to_string(),
            since: view.audit_gap_since.or(since),
        }
    };
    half.map(alarm).collect()
}
