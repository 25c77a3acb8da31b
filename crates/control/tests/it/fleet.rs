//! A rollout of four appliances in two waves, and a service that answers for it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use control::wire::StatusView;
use control::{Decided, Refusal, Service};
use futures::future::BoxFuture;
use jiff::{SignedDuration, Timestamp};
use model::decision::{Actor, Decision};
use model::event::{ApplianceChange, Change, Event, RolloutChange};
use model::fleet::Appliance;
use model::plan::Plan;
use model::run::Run;
use model::{ApplianceName, FirmwareVersion, RolloutId, WaveName};

pub(crate) fn at(seconds: i64) -> Timestamp {
    let start: Timestamp = "2026-11-24T08:00:00Z".parse().expect("a time");
    start + SignedDuration::from_secs(seconds)
}

pub(crate) fn name(text: &str) -> ApplianceName {
    ApplianceName::new(text).expect("a name")
}

pub(crate) fn version(text: &str) -> FirmwareVersion {
    FirmwareVersion::parse(text).expect("a version")
}

pub(crate) fn wave(text: &str) -> WaveName {
    WaveName::new(text).expect("a name")
}

pub(crate) fn actor() -> Actor {
    Actor { uid: 1000, name: "ops".to_owned(), pid: 17 }
}

/// The plan of [`Folding::new`].
pub(crate) fn plan() -> Plan {
    let members = ["a", "b", "c", "d"].map(name);
    let ams = || model::SiteName::new("ams").expect("a name");
    let entry = |name| Appliance { site: ams(), ..sim::sample::appliance(name) };
    let mut plan = sim::sample::plan("sps-7.5.1", members.iter().map(entry));
    plan.waves = vec![
        sim::sample::wave("canary", &[name("b")]),
        sim::sample::wave("rest", &["d", "a", "c"].map(name)),
    ];
    plan.digest = plan.content_digest();
    plan
}

/// Changes one planned appliance.
pub(crate) fn change(plan: &mut Plan, who: &str, change: impl FnOnce(&mut Appliance)) {
    change(Arc::make_mut(plan.appliances.get_mut(who).expect("a member")));
}

/// A run into which changes are folded, ten seconds apart.
pub(crate) struct Folding {
    pub(crate) run: Run,
    seq: u64,
}

impl Folding {
    pub(crate) fn new() -> Self {
        Self::of(plan())
    }

    /// A rollout of another plan.
    pub(crate) fn of(plan: Plan) -> Self {
        let change = RolloutChange::PlanAccepted { plan: Arc::new(plan), actor: actor() };
        let event = Event {
            seq: 1,
            rollout: RolloutId::new("5d0c1f6e"),
            at: at(0),
            change: Change::Rollout(change),
        };
        Self { run: Run::begin(&event).expect("begins"), seq: 1 }
    }

    fn fold(&mut self, change: Change) {
        self.seq += 1;
        let at = at(10 * i64::try_from(self.seq).expect("small"));
        let event = Event { seq: self.seq, rollout: self.run.id.clone(), at, change };
        self.run.apply(&event).expect("legal");
    }

    pub(crate) fn rollout(&mut self, change: RolloutChange) {
        self.fold(Change::Rollout(change));
    }

    pub(crate) fn decide(&mut self, decision: Decision) {
        let reason = "because".to_owned();
        self.rollout(RolloutChange::Decided { actor: actor(), reason, decision });
    }

    pub(crate) fn member(&mut self, who: &str, change: ApplianceChange) {
        self.fold(Change::Appliance(name(who), change));
    }
}

/// Answers for one rollout and keeps what was decided.
#[derive(Default)]
pub(crate) struct Answering {
    pub(crate) decided: Mutex<Vec<(String, Decision, String, Actor)>>,
}

impl Service for Answering {
    fn status(&self) -> BoxFuture<'_, Result<StatusView, Refusal>> {
        Box::pin(async { Ok(StatusView::of(&Folding::new().run, false, &BTreeMap::new(), at(60))) })
    }

    fn rollout<'a>(&'a self, wanted: &'a str) -> BoxFuture<'a, Result<StatusView, Refusal>> {
        Box::pin(async move {
            match wanted {
                "sps-7.5.1" => self.status().await,
                "busy" => Err(Refusal::Unavailable("the disk is full".to_owned())),
                other => Err(Refusal::NotFound(format!("there is no rollout `{other}`"))),
            }
        })
    }

    fn decide<'a>(
        &'a self,
        wanted: &'a str,
        decision: Decision,
        reason: String,
        actor: Actor,
    ) -> BoxFuture<'a, Result<Decided, Refusal>> {
        Box::pin(async move {
            if decision == Decision::Resume {
                return Err(Refusal::Refused("rollout sps-7.5.1 is not paused".to_owned()));
            }
            let mut decided = self.decided.lock().expect("no panic");
            decided.push((wanted.to_owned(), decision, reason, actor));
            Ok(Decided { rollout: RolloutId::new("5d0c1f6e"), seq: 7 + decided.len() as u64 })
        })
    }
}
