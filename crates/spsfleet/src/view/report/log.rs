//! A rollout's events, folded, with what the fold alone does not keep: when things began and ended.

use std::collections::BTreeMap;

use jiff::Timestamp;
use model::decision::{Actor, Decision, PersonStep};
use model::event::{ApplianceChange, Change, Event, HookChange, HookPoint, RolloutChange};
use model::hold::HoldReason;
use model::run::{ApplianceRun, IllegalEvent, Phase, Run};
use model::{ApplianceName, ClusterName, FetchKey, FirmwareVersion, Sha256Hex, WaveName};

use super::facts::{Doing, Span};
use crate::view::events::{Told, tell};

/// Events of one rollout, taken in one by one from the first on.
#[derive(Debug, Default)]
pub(crate) struct Log {
    run: Option<Run>,
    pub(super) members: BTreeMap<ApplianceName, Track>,
    pub(super) waves: BTreeMap<WaveName, Span>,
    pub(super) clusters: BTreeMap<ClusterName, ClusterTrack>,
    pub(super) decided: Vec<Decided>,
    /// The accepted plan, and those that replaced it.
    pub(super) plans: Vec<AcceptedPlan>,
    pub(super) hooks: BTreeMap<HookPoint, Timestamp>,
    pub(super) told: Vec<(Timestamp, Option<ApplianceName>, Told)>,
    pub(super) last: Option<Timestamp>,
}

/// Who accepted a plan.
#[derive(Debug)]
pub(super) struct AcceptedPlan {
    pub(super) at: Timestamp,
    pub(super) actor: Actor,
    pub(super) digest: Sha256Hex,
    pub(super) text: String,
}

/// What a person decided.
#[derive(Debug)]
pub(super) struct Decided {
    pub(super) at: Timestamp,
    pub(super) actor: Actor,
    pub(super) reason: String,
    pub(super) decision: Decision,
    pub(super) text: String,
}

/// When what happened to one appliance.
#[derive(Debug, Default)]
pub(super) struct Track {
    pub(super) began: Option<Timestamp>,
    pub(super) ended: Option<Timestamp>,
    pub(super) before: Option<FirmwareVersion>,
    pub(super) staged: Vec<(Timestamp, FirmwareVersion, ApplianceChange)>,
    pub(super) doing: Vec<(Doing, Span)>,
    pub(super) down: Vec<Span>,
    pub(super) secondary_off: Vec<Span>,
    pub(super) holds: Vec<(HoldReason, Span)>,
    pub(super) person: Vec<(Timestamp, PersonStep, Option<String>, String)>,
    pub(super) bundle: Option<(Option<String>, String)>,
    pub(super) left: Vec<(FetchKey, String)>,
}

/// When what happened to one cluster.
#[derive(Debug, Default)]
pub(super) struct ClusterTrack {
    pub(super) started: Option<Timestamp>,
    pub(super) finished: Option<Timestamp>,
    pub(super) gaps: Vec<Span>,
    verified: Option<Timestamp>,
}

impl Log {
    /// Takes one more event in.
    ///
    /// # Errors
    /// When it cannot follow those before it.
    pub(crate) fn add(&mut self, event: &Event) -> Result<(), IllegalEvent> {
        match &mut self.run {
            None => self.run = Some(Run::begin(event)?),
            Some(run) => drop(run.apply(event)?),
        }
        let Some(run) = self.run.take() else { return Ok(()) };
        self.last = self.last.max(Some(event.at));
        let told = tell(&event.change);
        match &event.change {
            Change::Rollout(change) => self.rollout(&run, change, &told, event.at),
            Change::Appliance(name, change) => self.appliance(&run, name, change, event.at),
        }
        if told.main {
            let name = match &event.change {
                Change::Appliance(name, _) => Some(name.clone()),
                Change::Rollout(_) => None,
            };
            self.told.push((event.at, name, told));
        }
        self.run = Some(run);
        Ok(())
    }

    /// The rollout as it stands; `None` before its first event.
    pub(crate) fn run(&self) -> Option<&Run> {
        self.run.as_ref()
    }

    fn rollout(&mut self, run: &Run, change: &RolloutChange, told: &Told, at: Timestamp) {
        match change {
            RolloutChange::PlanAccepted { plan, actor }
            | RolloutChange::Replanned { plan, actor } => {
                let (actor, digest) = (actor.clone(), plan.digest.clone());
                self.plans.push(AcceptedPlan { at, actor, digest, text: told.whole() });
                self.look_at_all(run, at);
            }
            RolloutChange::Decided { actor, reason, decision } => {
                if let Decision::Confirm { appliance, step } = decision {
                    let track = self.members.entry(appliance.clone()).or_default();
                    let by = Some(actor.name.clone());
                    track.person.push((at, *step, by, reason.clone()));
                }
                self.decided.push(Decided {
                    at,
                    actor: actor.clone(),
                    reason: reason.clone(),
                    decision: decision.clone(),
                    text: told.whole(),
                });
                self.look_at_all(run, at);
            }
            RolloutChange::WaveStarted { wave } => {
                self.waves.entry(wave.clone()).or_insert(Span { from: at, to: None });
            }
            RolloutChange::WaveFinished { wave } => {
                // One whose members were all done before has no beginning of its own.
                let span = Span { from: at, to: None };
                self.waves.entry(wave.clone()).or_insert(span).to = Some(at);
            }
            RolloutChange::ClusterStarted { cluster } => {
                self.clusters.entry(cluster.clone()).or_default().started.get_or_insert(at);
            }
            RolloutChange::ClusterFinished { cluster } => {
                let track = self.clusters.entry(cluster.clone()).or_default();
                track.finished = Some(at);
                track.look(run, cluster, at);
            }
            RolloutChange::ClusterWithdrawn { cluster, .. } => {
                self.clusters.entry(cluster.clone()).or_default().started = None;
            }
            RolloutChange::Hook { point, change } => match change {
                HookChange::Intended | HookChange::Started(_) => {}
                HookChange::Done | HookChange::Failed(_) | HookChange::Unknown(_) => {
                    self.hooks.insert(point.clone(), at);
                }
            },
            RolloutChange::RunStarted { .. }
            | RolloutChange::RunStopped { .. }
            | RolloutChange::BudgetReached { .. }
            | RolloutChange::Finished => {}
        }
    }

    /// A decision, or a new plan, changes many at once.
    fn look_at_all(&mut self, run: &Run, at: Timestamp) {
        for (name, track) in &mut self.members {
            if let Some(member) = run.appliances.get(name) {
                track.look(member, at);
            }
        }
    }

    fn appliance(
        &mut self,
        run: &Run,
        name: &ApplianceName,
        change: &ApplianceChange,
        at: Timestamp,
    ) {
        let Some(member) = run.appliances.get(name) else { return };
        let track = self.members.entry(name.clone()).or_default();
        track.began.get_or_insert(at);
        match change {
            ApplianceChange::Preflighted(baseline) => {
                track.before.get_or_insert_with(|| baseline.version.clone());
            }
            ApplianceChange::UpToDate { version } => {
                track.before.get_or_insert_with(|| version.clone());
            }
            ApplianceChange::Staged { .. } => {
                let version = run.plan.hop(member.hop).version.clone();
                track.staged.push((at, version, change.clone()));
            }
            ApplianceChange::PairStepDone { step, saw } => {
                track.person.push((at, *step, None, saw.clone()));
            }
            ApplianceChange::Bundled { path, saw } => {
                track.bundle = Some((path.clone(), saw.clone()));
            }
            ApplianceChange::LeftBehind { key, why } => {
                track.left.push((key.clone(), why.clone()));
            }
            _ => {}
        }
        track.look(member, at);
        if let Some((cluster, _)) = run.plan.cluster_of(name) {
            self.clusters.entry(cluster.clone()).or_default().look(run, cluster, at);
        }
    }
}

impl Track {
    /// Compares where the appliance stands now with where it stood before.
    fn look(&mut self, member: &ApplianceRun, at: Timestamp) {
        toggle(&mut self.down, member.down, at);
        toggle(&mut self.secondary_off, member.pair.is_off(), at);
        self.ended = member.phase.is_terminal().then_some(member.since);
        let doing = Doing::of(member);
        if self.doing.last().filter(|(_, span)| span.to.is_none()).map(|(of, _)| *of) != doing {
            if let Some((_, span)) = self.doing.last_mut() {
                span.to.get_or_insert(at);
            }
            self.doing.extend(doing.map(|doing| (doing, Span { from: at, to: None })));
        }
        let open = self.holds.last().filter(|(_, span)| span.to.is_none()).map(|(hold, _)| hold);
        if open != member.hold.as_ref() {
            if let Some((_, span)) = self.holds.last_mut() {
                span.to.get_or_insert(at);
            }
            self.holds.extend(member.hold.clone().map(|hold| (hold, Span { from: at, to: None })));
        }
    }
}

impl ClusterTrack {
    fn look(&mut self, run: &Run, cluster: &ClusterName, at: Timestamp) {
        let Some(state) = run.clusters.get(cluster) else { return };
        self.verified = state.verified_at.or(self.verified);
        let open = self.gaps.last_mut().filter(|span| span.to.is_none());
        match (open, state.gap_since) {
            (None, Some(since)) => self.gaps.push(Span { from: since, to: None }),
            // The fold counts it to the last member verified.
            (Some(span), None) => {
                span.to = Some(self.verified.unwrap_or(at).max(span.from));
            }
            _ => {}
        }
    }
}

/// Opens or closes a span.
fn toggle(spans: &mut Vec<Span>, on: bool, at: Timestamp) {
    let open = spans.last_mut().filter(|span| span.to.is_none());
    match (open, on) {
        (None, true) => spans.push(Span { from: at, to: None }),
        (Some(span), false) => span.to = Some(at),
        _ => {}
    }
}

impl Doing {
    /// What a timeline shows of where an appliance stands; nothing before its turn and after its
    /// end.
    fn of(member: &ApplianceRun) -> Option<Self> {
        if member.down {
            return Some(Self::Down);
        }
        if member.dark {
            return Some(Self::Silent);
        }
        match member.phase {
            Phase::Preflight | Phase::Staging => Some(Self::Staging),
            Phase::Testing => Some(Self::Testing),
            Phase::Pending
            | Phase::Ready
            | Phase::Draining
            | Phase::Activating
            | Phase::SetAside => Some(Self::Waiting),
            Phase::Returning => Some(Self::Down),
            Phase::Verifying => Some(Self::Verifying),
            Phase::Attended | Phase::Held | Phase::Unknown => Some(Self::Person),
            Phase::Failed => Some(Self::Failed),
            Phase::Succeeded | Phase::UpToDate | Phase::Skipped => None,
        }
    }
}
