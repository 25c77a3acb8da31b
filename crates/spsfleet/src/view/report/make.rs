//! Makes the facts of a report from a rollout's folded log.

use std::collections::BTreeMap;

use control::wire::{ApplianceView, ClusterView, ReasonView, RolloutView, WaveView};
use jiff::{SignedDuration, Timestamp};
use model::ApplianceName;
use model::event::ApplianceChange;
use model::fleet::Appliance;
use model::hold::HoldReason;
use model::observed::HealthCheck;
use model::run::{ApplianceRun, HookState, Phase, Run};

use super::calendars::sites;
use super::facts::{
    Accepted, ApplianceFacts, ApprovalFacts, BundleFacts, ClusterFacts, Counts, DebtFacts,
    DecisionFacts, EventFacts, FirmwareFacts, HoldFacts, HookFacts, Notice, PersonStepFacts,
    PhaseFacts, ReasonFacts, ReportFacts, Span, StagedFacts, WaveFacts,
};
use super::log::{Log, Track};
use super::verdict::verdict;
use crate::printer::Style;

impl ReportFacts {
    /// Makes the facts; `None` of a log without events. `reasons`: why appliances wait now. What
    /// is not over is measured up to `now`; of a rollout in which everything is over, the facts
    /// are the same whenever they are made.
    pub(crate) fn of(
        log: &Log,
        reasons: &BTreeMap<ApplianceName, HoldReason>,
        now: Timestamp,
    ) -> Option<Self> {
        let run = log.run()?;
        let last = log.last.unwrap_or(run.accepted_at);
        let as_of = if is_open(run) { now.max(last) } else { last };
        let view = RolloutView::of(run, false, reasons, as_of);
        let appliances: Vec<ApplianceFacts> = view
            .appliances
            .iter()
            .filter_map(|shown| {
                let entry = run.plan.appliances.get(&shown.name)?;
                let state = run.appliances.get(&shown.name)?;
                let empty = Track::default();
                let track = log.members.get(&shown.name).unwrap_or(&empty);
                Some(appliance(shown, entry, state, track, as_of))
            })
            .collect();
        let began = run.accepted_at;
        let counts = counts(run, &view, &appliances, last.duration_since(began));
        let not_upgraded = appliances.iter().filter(|member| !member.state.is_upgraded());
        let end = if run.has_ended() { last } else { as_of };
        let notice = |code: &str, text: &str| Notice { code: code.to_owned(), text: clean(text) };
        Some(Self {
            schema: 1,
            verdict: verdict(run, &counts),
            rollout: run.plan.rollout.clone(),
            id: run.id.clone(),
            state: view.state,
            plan_digest: run.plan.digest.clone(),
            accepted: log
                .plans
                .iter()
                .map(|plan| Accepted {
                    by: clean(&plan.actor.name),
                    uid: plan.actor.uid,
                    at: plan.at,
                    plan_digest: plan.digest.clone(),
                    text: clean(&plan.text),
                })
                .collect(),
            firmware: run
                .plan
                .hops()
                .map(|hop| FirmwareFacts {
                    version: hop.version.clone(),
                    sha256: hop.sha256.clone(),
                    fetch: hop.fetch.as_deref().map(clean),
                    upload: hop.upload.as_ref().map(|image| clean(&image.path)),
                })
                .collect(),
            message: clean(&run.plan.message),
            began,
            last,
            as_of,
            waves: view.waves.iter().map(|shown| wave(run, log, shown)).collect(),
            clusters: view.clusters.iter().map(|shown| cluster(run, log, shown, as_of)).collect(),
            not_upgraded: not_upgraded.map(|member| member.name.clone()).collect(),
            alarms: view.alarms.iter().map(|alarm| notice(&alarm.code, &alarm.text)).collect(),
            holds: holds(log),
            decisions: decisions(log),
            debts: debts(&view),
            hooks: hooks(run, log),
            warnings: run.plan.warnings.iter().map(|w| notice(&w.code, &w.text)).collect(),
            sites: sites(run, log, began, end),
            events: events(log),
            counts,
            appliances,
        })
    }
}

/// Whether anything may still change, or is measured up to now.
fn is_open(run: &Run) -> bool {
    !run.has_ended()
        || run.appliances.values().any(ApplianceRun::is_down)
        || run.clusters.values().any(|cluster| cluster.gap_since.is_some())
}

/// Text of somebody else: without what moves a cursor or turns the direction of reading.
pub(super) fn clean(text: &str) -> String {
    let letter = |letter: char| match letter {
        letter if letter.is_control() || letter == '\u{2028}' || letter == '\u{2029}' => ' ',
        '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => '\u{fffd}',
        letter => letter,
    };
    let text: String = text.chars().map(letter).collect();
    text.trim().to_owned()
}

fn appliance(
    shown: &ApplianceView,
    entry: &Appliance,
    state: &ApplianceRun,
    track: &Track,
    now: Timestamp,
) -> ApplianceFacts {
    let downtime = track.down.iter().fold(SignedDuration::ZERO, |sum, s| sum + s.length(now));
    let until = |began: Timestamp| track.ended.unwrap_or(now).duration_since(began);
    ApplianceFacts {
        name: shown.name.clone(),
        site: shown.site.clone(),
        wave: shown.wave.clone(),
        cluster: entry.cluster.as_ref().map(|member| member.name.clone()),
        pair: entry.ha.is_some(),
        state: shown.state,
        version_before: track.before.clone(),
        version_after: shown.version.clone().filter(|_| !state.down),
        staged: track.staged.iter().filter_map(staged).collect(),
        down: track.down.clone(),
        downtime,
        still_down: state.down,
        secondary_off: track.secondary_off.clone(),
        began: track.began,
        ended: track.ended,
        took: track.began.map(until),
        sessions_cut: shown.sessions_cut,
        reason: shown.reason.as_ref().map(|why| reason(why, state)),
        checks: state.checks.iter().map(check).collect(),
        person_steps: track
            .person
            .iter()
            .map(|(at, step, by, text)| PersonStepFacts {
                step: step.name(),
                at: *at,
                by: by.as_deref().map(clean),
                text: clean(text),
            })
            .collect(),
        bundle: track
            .bundle
            .as_ref()
            .map(|(path, saw)| BundleFacts { path: path.as_deref().map(clean), text: clean(saw) }),
        left_behind: track
            .left
            .iter()
            .map(|(key, why)| format!("fetch record {}: {}", clean(key.as_str()), clean(why)))
            .collect(),
        retries: state.retries,
        skipped: state.skipped.clone(),
        phases: track
            .doing
            .iter()
            .filter(|(_, span)| span.to != Some(span.from))
            .map(|(doing, span)| PhaseFacts { doing: *doing, span: *span })
            .collect(),
    }
}

fn staged(
    (at, version, change): &(Timestamp, model::FirmwareVersion, ApplianceChange),
) -> Option<StagedFacts> {
    let ApplianceChange::Staged { slot, how } = change else { return None };
    Some(StagedFacts { version: version.clone(), slot: slot.clone(), how: *how, at: *at })
}

fn reason(why: &ReasonView, state: &ApplianceRun) -> ReasonFacts {
    let step = state.failure.as_ref().filter(|_| state.phase == Phase::Failed);
    ReasonFacts {
        step: step.map(|failure| failure.step.name()),
        code: why.code.clone(),
        text: clean(&why.text),
        until: why.until,
    }
}

fn check(check: &HealthCheck) -> HealthCheck {
    HealthCheck {
        name: clean(&check.name),
        before: check.before.as_deref().map(clean),
        after: check.after.as_deref().map(clean),
        good: check.good,
    }
}

fn counts(
    run: &Run,
    view: &RolloutView,
    appliances: &[ApplianceFacts],
    took: SignedDuration,
) -> Counts {
    let count = |wanted: &dyn Fn(&ApplianceFacts) -> bool| {
        appliances.iter().filter(|member| wanted(member)).count()
    };
    let mut by_state = BTreeMap::new();
    for member in appliances {
        *by_state.entry(member.state.name()).or_default() += 1;
    }
    let went_down = count(&|member| !member.down.is_empty());
    let all = appliances.iter().fold(SignedDuration::ZERO, |sum, member| sum + member.downtime);
    let longest = appliances.iter().map(|member| member.downtime).max();
    Counts {
        appliances: appliances.len(),
        upgraded: count(&|member| member.state.is_upgraded()),
        failed: count(&|member| member.state == Phase::Failed),
        waiting_for_person: count(&|member| member.state.needs_person()),
        skipped: count(&|member| member.state == Phase::Skipped),
        down_now: count(&|member| member.still_down),
        by_state,
        sessions_cut: appliances.iter().filter_map(|member| member.sessions_cut).sum(),
        went_down,
        longest_down: longest.unwrap_or_default(),
        mean_down: all / i32::try_from(went_down.max(1)).unwrap_or(i32::MAX),
        budget_used: run.counted.len(),
        budget: view.budget.breached_at,
        took,
    }
}

fn wave(run: &Run, log: &Log, shown: &WaveView) -> WaveFacts {
    let planned = run.plan.waves.iter().find(|planned| planned.name == shown.name);
    let soak = planned.map(|planned| planned.soak).unwrap_or_default();
    let span = log.waves.get(&shown.name);
    let ended = shown.ended_at.or(span.and_then(|span| span.to));
    let phases = || shown.appliances.iter().filter_map(|name| run.appliances.get(name));
    let last = run.plan.waves.last().is_some_and(|wave| wave.name == shown.name);
    WaveFacts {
        name: shown.name.clone(),
        state: shown.state.name(),
        appliances: shown.appliances.len(),
        upgraded: phases().filter(|member| member.phase.is_upgraded()).count(),
        failed: phases().filter(|member| member.phase == Phase::Failed).count(),
        started: span.map(|span| span.from),
        ended,
        soak,
        soak_until: ended.filter(|_| !soak.is_zero()).and_then(|at| at.checked_add(soak).ok()),
        needs_approval: planned.is_some_and(|planned| planned.approval) && !last,
        approval: run.approvals.get(&shown.name).map(|approval| ApprovalFacts {
            by: clean(&approval.by.name),
            uid: approval.by.uid,
            reason: clean(&approval.reason),
            at: approval.at,
        }),
    }
}

fn cluster(run: &Run, log: &Log, shown: &ClusterView, now: Timestamp) -> ClusterFacts {
    let track = log.clusters.get(&shown.name);
    let state = run.clusters.get(&shown.name);
    let wave =
        run.plan.waves.iter().find(|wave| {
            shown.members.first().is_some_and(|member| wave.appliances.contains(member))
        });
    ClusterFacts {
        name: shown.name.clone(),
        state: shown.state.name(),
        wave: wave.map(|wave| wave.name.clone()),
        members: shown.members.clone(),
        started: track.and_then(|track| track.started),
        finished: track.and_then(|track| track.finished),
        audit_gap: state.map(|state| state.audit_gap(now)).unwrap_or_default(),
        gap_open: shown.audit_gap_since.is_some(),
        gaps: track.map(|track| track.gaps.clone()).unwrap_or_default(),
        half_upgraded: shown.half_upgraded.clone(),
    }
}

fn holds(log: &Log) -> Vec<HoldFacts> {
    let of = |(name, track): (&ApplianceName, &Track)| {
        let one = |(hold, span): &(HoldReason, Span)| HoldFacts {
            appliance: name.clone(),
            code: hold.code(),
            text: clean(&hold.to_string()),
            span: *span,
        };
        track.holds.iter().map(one).collect::<Vec<_>>()
    };
    let mut holds: Vec<HoldFacts> = log.members.iter().flat_map(of).collect();
    holds.sort_by_key(|hold| hold.span.from);
    holds
}

fn decisions(log: &Log) -> Vec<DecisionFacts> {
    let one = |decided: &super::log::Decided| DecisionFacts {
        at: decided.at,
        by: clean(&decided.actor.name),
        uid: decided.actor.uid,
        verb: decided.decision.verb(),
        text: clean(&decided.text),
        reason: clean(&decided.reason),
    };
    log.decided.iter().map(one).collect()
}

fn debts(view: &RolloutView) -> Vec<DebtFacts> {
    let one = |debt: &control::wire::DebtView| DebtFacts {
        appliance: debt.appliance.clone(),
        text: clean(&debt.text),
        since: debt.since,
        stuck: debt.stuck.is_some(),
    };
    view.debts.iter().map(one).collect()
}

fn hooks(run: &Run, log: &Log) -> Vec<HookFacts> {
    let hooks = run.hooks.iter().map(|(point, record)| {
        let (state, detail) = match &record.state {
            HookState::Open => ("did not end", ""),
            HookState::Done => ("done", ""),
            HookState::Failed(detail) => ("failed", detail.as_str()),
            HookState::Unknown(detail) => ("not known", detail.as_str()),
        };
        let span = Span { from: record.since, to: log.hooks.get(point).copied() };
        HookFacts { hook: point.to_string(), state, detail: clean(detail), span }
    });
    hooks.collect()
}

fn events(log: &Log) -> Vec<EventFacts> {
    let events = log.told.iter().map(|(at, appliance, told)| EventFacts {
        at: *at,
        appliance: appliance.clone(),
        text: clean(&told.whole()),
        level: match told.style {
            Style::Good => "good",
            Style::Warn => "warn",
            Style::Bad => "bad",
            Style::Plain | Style::Bold | Style::Dim | Style::Busy => "",
        },
    });
    events.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_moves_the_cursor_or_turns_the_text_is_taken_out() {
        assert_eq!(clean("\u{1b}[2Jgone\r\nnext"), "[2Jgone  next");
        assert_eq!(clean("gpj.\u{202e}exe"), "gpj.\u{fffd}exe");
        assert_eq!(clean(" Müller & <Söhne> "), "Müller & <Söhne>");
    }
}
