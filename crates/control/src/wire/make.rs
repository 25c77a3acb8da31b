//! Makes the status view of a fold.

use std::collections::BTreeMap;

use jiff::Timestamp;
use model::ApplianceName;
use model::event::SkipReason;
use model::fleet::Appliance;
use model::history::History;
use model::hold::HoldReason;
use model::plan::PlannedWave;
use model::rollout::FailureBudget;
use model::run::{ApplianceRun, Debt, HookState, Phase, Run};

use super::status::{
    ApplianceView, ApprovalView, BudgetView, DebtView, FreezeOverrideView, HopView, NoticeView,
    PairStepView, PairView, ReasonView, RolloutView, StatusView, WaveState, WaveView,
};
use super::{SCHEMA, clusters};

impl StatusView {
    /// The view of one rollout: see [`RolloutView::of`].
    #[must_use]
    pub fn of(
        run: &Run,
        halted: bool,
        waiting: &BTreeMap<ApplianceName, HoldReason>,
        now: Timestamp,
    ) -> Self {
        Self::with(vec![RolloutView::of(run, halted, waiting, now)])
    }

    /// The view of some rollouts.
    #[must_use]
    pub fn with(rollouts: Vec<RolloutView>) -> Self {
        Self { schema: SCHEMA, rollouts }
    }
}

impl RolloutView {
    /// Makes the view. `halted`: the journal cannot be written. `waiting`: why the scheduler does
    /// not take an appliance up now. `now`: soaks and audit gaps are measured up to then.
    #[must_use]
    pub fn of(
        run: &Run,
        halted: bool,
        waiting: &BTreeMap<ApplianceName, HoldReason>,
        now: Timestamp,
    ) -> Self {
        let plan = &run.plan;
        let member = |(wave, appliance): (&PlannedWave, &std::sync::Arc<Appliance>)| {
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
                sessions: state.sessions,
                sessions_cut: state.sessions_cut,
                hop: hop(run, state),
                pair: appliance.ha.as_ref().map(|_| pair(state)),
            })
        };
        let waves = plan.waves.iter().enumerate();
        let mut view = Self {
            name: plan.rollout.clone(),
            id: run.id.clone(),
            target_version: plan.firmware.version.clone(),
            state: run.state(halted),
            accepted_at: run.accepted_at,
            waves: waves.map(|(at, wave)| wave_view(run, at, wave, now)).collect(),
            appliances: plan.in_order().filter_map(member).collect(),
            clusters: clusters::views(run, now),
            debts: run.debts().into_iter().map(debt).collect(),
            failures: run.counted.len(),
            budget: BudgetView::of(&plan.failure_budget, plan.appliances.len()),
            at_work: None,
            paused: run.pause,
            soak_failed: run.soak_failed.clone(),
            approvals: approvals(run),
            freeze_overrides: overrides(run, now),
            alarms: Vec::new(),
            warnings: hook_warnings(run),
        };
        view.alarms = alarms(run, &view);
        view
    }
}

impl RolloutView {
    /// The same view, which also says how long clusters are expected not to audit.
    #[must_use]
    pub fn expecting(mut self, run: &Run, history: &History) -> Self {
        for view in &mut self.clusters {
            let Some(planned) = run.plan.clusters.get(&view.name) else { continue };
            let gap = model::expect::audit_gap(&run.plan, planned, history).took;
            view.audit_gap_expected_seconds = u64::try_from(gap.as_secs()).ok();
        }
        self
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

fn wave_view(run: &Run, place: usize, wave: &PlannedWave, now: Timestamp) -> WaveView {
    let upgraded = |name| run.appliances.get(name).is_some_and(|state| state.phase.is_upgraded());
    let ended = run.has_ended() || run.aborted;
    let finished = run.waves_finished.contains(&wave.name);
    // What follows a wave that began its successor is no gate any more.
    let followed =
        run.plan.waves.get(place + 1).is_some_and(|next| run.waves_started.contains(&next.name));
    let gate = if finished && !ended && !followed { run.wave_gate(place + 1, now) } else { None };
    let state = match &gate {
        Some(HoldReason::Soaking { .. }) => WaveState::Soaking,
        Some(_) => WaveState::AwaitingApproval,
        None if (finished || ended) && wave.appliances.iter().all(upgraded) => WaveState::Succeeded,
        None if finished || ended => WaveState::Failed,
        None if run.waves_started.contains(&wave.name) => WaveState::Running,
        None => WaveState::Pending,
    };
    WaveView {
        name: wave.name.clone(),
        state,
        appliances: wave.appliances.clone(),
        ended_at: run.waves_ended.get(&wave.name).copied(),
        reason: gate.as_ref().map(ReasonView::of),
    }
}

fn slot(state: &ApplianceRun) -> Option<model::SlotKey> {
    let used = state.upgrade.as_ref().map(|upgrade| &upgrade.slot);
    used.or(state.stage.slot.as_ref()).cloned()
}

fn hop(run: &Run, state: &ApplianceRun) -> Option<HopView> {
    let via = run.plan.via.len();
    (via > 0).then(|| HopView {
        number: state.hop.min(via) + 1,
        of: via + 1,
        version: run.plan.hop(state.hop).version.clone(),
    })
}

fn pair(state: &ApplianceRun) -> PairView {
    let done = state.pair.done.iter().map(|(step, at)| PairStepView { step: *step, at: *at });
    PairView { done: done.collect(), secondary_off_since: state.pair.off_since() }
}

fn debt(debt: Debt) -> DebtView {
    let Debt { appliance, undo, condition, since, stuck } = debt;
    let text = match &stuck {
        Some(why) => why.clone(),
        None => format!("{undo} when {condition}"),
    };
    DebtView { appliance, text, undo, condition, since: Some(since), stuck }
}

fn approvals(run: &Run) -> Vec<ApprovalView> {
    let in_order = run.plan.waves.iter().filter_map(|wave| {
        let approval = run.approvals.get(&wave.name)?;
        Some(ApprovalView {
            wave: wave.name.clone(),
            by: approval.by.name.clone(),
            uid: approval.by.uid,
            reason: approval.reason.clone(),
            at: approval.at,
        })
    });
    in_order.collect()
}

fn overrides(run: &Run, now: Timestamp) -> Vec<FreezeOverrideView> {
    let lifted = run.lifted.iter().filter(|(_, until)| **until > now);
    lifted.map(|(site, until)| FreezeOverrideView { site: site.clone(), until: *until }).collect()
}

/// A hook before something that failed is a hold and stands there; one behind it stops nothing.
fn hook_warnings(run: &Run) -> Vec<NoticeView> {
    let warning = |(point, record): (&model::event::HookPoint, &model::run::HookRecord)| {
        let detail = match &record.state {
            HookState::Failed(detail) => format!("failed: {detail}"),
            HookState::Unknown(detail) => format!("may not have done its work: {detail}"),
            HookState::Open | HookState::Done => return None,
        };
        let text = format!("{point} {detail}");
        let told = NoticeView { code: "hook-failed".to_owned(), text, since: Some(record.since) };
        (!point.kind.is_before()).then_some(told)
    };
    run.hooks.iter().filter_map(warning).collect()
}

fn alarms(run: &Run, view: &RolloutView) -> Vec<NoticeView> {
    let mut alarms: Vec<NoticeView> = clusters::alarms(run, &view.clusters);
    for (name, state) in &run.appliances {
        if let Some(hold @ HoldReason::ArmedOutsideWindow { since }) = &state.hold {
            let (code, text) = (hold.code().to_owned(), format!("{name}: {hold}"));
            alarms.push(NoticeView { code, text, since: Some(*since) });
        }
    }
    for debt in view.debts.iter().filter(|debt| debt.stuck.is_some()) {
        let text = format!("{}: {}", debt.appliance, debt.text);
        alarms.push(NoticeView { code: "debt-stuck".to_owned(), text, since: debt.since });
    }
    alarms
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
    match (run.pause, run.breach, &run.soak_failed) {
        // Staging goes on unless everything is paused.
        (Some(pause), ..) if waits_to_go_down || pause.all => Some(HoldReason::Paused),
        (_, Some(breach), _) if waits_to_go_down => {
            Some(HoldReason::BudgetReached { failures: breach.failures, limit: breach.limit })
        }
        (.., Some(appliance)) if waits_to_go_down => {
            Some(HoldReason::SoakFailed { appliance: appliance.clone() })
        }
        _ => None,
    }
}
