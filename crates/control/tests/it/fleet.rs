//! A rollout of four appliances in two waves, and a service that answers for it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use control::wire::StatusView;
use control::{Decided, Refusal, Service};
use futures::future::BoxFuture;
use jiff::{SignedDuration, Timestamp};
use model::decision::{Actor, Decision};
use model::event::{ApplianceChange, Change, Event, RolloutChange};
use model::fleet::{Appliance, Endpoint, Login, PasswordSource, Reboot, Trust, UpgradeCall};
use model::plan::{PLAN_SCHEMA, Plan, PlannedWave};
use model::rollout::{
    Checks, FailureBudget, Firmware, MakeRoom, OnBreach, RolloutLimits, StageMode, Timeouts,
};
use model::run::Run;
use model::{
    ApplianceName, FirmwareVersion, RolloutId, RolloutName, Sha256Hex, SiteName, WaveName,
};

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

fn appliance(name: &ApplianceName) -> Appliance {
    Appliance {
        name: name.clone(),
        endpoint: Endpoint {
            address: format!("{name}.example.com"),
            port: 443,
            trust: Trust::System,
            login: Login {
                username: "rollout".to_owned(),
                method: None,
                password: PasswordSource::Credential("sps".to_owned()),
            },
        },
        hostname: None,
        site: SiteName::new("ams").expect("a name"),
        labels: BTreeMap::new(),
        group: None,
        cluster: None,
        ha: None,
        upgrade_call: UpgradeCall::Detect,
        reboot: Reboot::Operator,
    }
}

fn plan() -> Plan {
    let waves = [("canary", vec!["b"]), ("rest", vec!["d", "a", "c"])];
    let planned = |(text, members): &(&str, Vec<&str>)| PlannedWave {
        name: wave(text),
        appliances: members.iter().map(|member| name(member)).collect(),
        failure_budget: None,
    };
    let members = ["a", "b", "c", "d"].map(name);
    Plan {
        schema: PLAN_SCHEMA,
        rollout: RolloutName::new("sps-7.5.1").expect("a name"),
        digest: Sha256Hex::of(b"plan"),
        firmware: Firmware {
            version: version("7.5.1"),
            sha256: Sha256Hex::of(b"image"),
            fetch: Some("https://images.example.com/sps.iso".to_owned()),
            upload: None,
            adopt: true,
        },
        message: "Upgrade".to_owned(),
        waves: waves.iter().map(planned).collect(),
        appliances: members.iter().map(|n| (n.clone(), Arc::new(appliance(n)))).collect(),
        bystanders: BTreeMap::new(),
        limits: RolloutLimits { transfers: 10, unavailable: 1, requests_per_second: 50 },
        sites: BTreeMap::new(),
        groups: BTreeMap::new(),
        stage: StageMode::Ahead,
        failure_budget: FailureBudget { count: Some(1), percent: None, on_breach: OnBreach::Pause },
        checks: Checks { disk_used_max: 90, require_untainted: true, support_bundle: false },
        make_room: MakeRoom::Never,
        unreachable_wait: SignedDuration::from_hours(2),
        timeouts: Timeouts::default(),
        warnings: Vec::new(),
    }
}

/// A run into which changes are folded, ten seconds apart.
pub(crate) struct Folding {
    pub(crate) run: Run,
    seq: u64,
}

impl Folding {
    pub(crate) fn new() -> Self {
        let change = RolloutChange::PlanAccepted { plan: Arc::new(plan()), actor: actor() };
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
        Box::pin(async { Ok(StatusView::of(&Folding::new().run, false, &BTreeMap::new())) })
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
