//! A small plan and the events of one appliance's way through it.

use std::path::Path;
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use model::decision::{Actor, Decision};
use model::event::{Act, ActKind, ActOutcome, ApplianceChange, Change, Draft, RolloutChange, Step};
use model::event::{Failure, FailureCode, StagedHow};
use model::fleet::Appliance;
use model::observed::{Baseline, Health, Offered};
use model::plan::Plan;
use model::ports::Fingerprint;
use model::{ApplianceName, CredentialId, FirmwareVersion, RolloutId, SlotKey};
use state::{Holder, OpenOptions, SqliteJournal};

/// When everything in these tests begins.
pub(crate) fn start() -> Timestamp {
    "2026-11-24T08:00:00Z".parse().expect("a time")
}

/// So many seconds later, with a fraction that microseconds hold.
pub(crate) fn at(seconds: i64) -> Timestamp {
    start() + SignedDuration::from_secs(seconds) + SignedDuration::from_micros(250)
}

pub(crate) fn name(text: &str) -> ApplianceName {
    ApplianceName::new(text).expect("a name")
}

pub(crate) fn version(text: &str) -> FirmwareVersion {
    FirmwareVersion::parse(text).expect("a version")
}

pub(crate) fn actor() -> Actor {
    Actor { uid: 1000, name: "ops".to_owned(), pid: 17 }
}

pub(crate) fn holder() -> Holder {
    Holder { pid: 4711, host: "ops-1".to_owned(), command: "run".to_owned(), since: start() }
}

/// A new or existing journal.
pub(crate) async fn open(path: &Path) -> SqliteJournal {
    SqliteJournal::open(path, OpenOptions::or_create(holder())).await.expect("opens")
}

/// A plan of these members in one wave, with one bystander `by-1`.
pub(crate) fn plan(rollout: &str, members: &[&str]) -> Arc<Plan> {
    let ams = || model::SiteName::new("ams").expect("a name");
    let entry = |text: &&str| Appliance { site: ams(), ..sim::sample::appliance(&name(text)) };
    let mut plan = sim::sample::plan(rollout, members.iter().map(entry));
    plan.bystanders = [(name("by-1"), Arc::new(entry(&"by-1")))].into();
    plan.digest = plan.content_digest();
    Arc::new(plan)
}

pub(crate) fn accepted(id: &RolloutId, plan: &Arc<Plan>, at: Timestamp) -> Draft {
    let change = RolloutChange::PlanAccepted { plan: Arc::clone(plan), actor: actor() };
    rollout(id, at, change)
}

pub(crate) fn rollout(id: &RolloutId, at: Timestamp, change: RolloutChange) -> Draft {
    Draft { rollout: id.clone(), at, change: Change::Rollout(change) }
}

pub(crate) fn decided(id: &RolloutId, at: Timestamp, decision: Decision) -> Draft {
    let change = RolloutChange::Decided { actor: actor(), reason: "because".to_owned(), decision };
    rollout(id, at, change)
}

pub(crate) fn member(id: &RolloutId, at: Timestamp, who: &str, change: ApplianceChange) -> Draft {
    Draft { rollout: id.clone(), at, change: Change::Appliance(name(who), change) }
}

pub(crate) fn progress(id: &RolloutId, second: i64, who: &str, done: u64) -> Draft {
    member(id, at(second), who, ApplianceChange::Progress { done, total: 1_500_000_000 })
}

pub(crate) fn login(credential: &str, fingerprint: u16, accepted: bool) -> ApplianceChange {
    ApplianceChange::Login {
        credential: CredentialId::new(credential),
        fingerprint: Fingerprint(fingerprint),
        accepted,
    }
}

pub(crate) fn failed(step: Step) -> ApplianceChange {
    ApplianceChange::Failed(Failure {
        step,
        code: FailureCode::TestFailed,
        text: "no space left on /boot".to_owned(),
    })
}

/// The whole way of one appliance, a step every ten seconds from `from` on.
pub(crate) fn journey(id: &RolloutId, who: &str, from: i64) -> Vec<Draft> {
    let slot = SlotKey::new("2");
    let baseline = Baseline {
        version: version("7.5.0"),
        hostname: Some(who.to_owned()),
        offered: Offered { fetch: true },
        slots: Vec::new(),
        health: Health { disk_used: Some(41.5), ..Health::default() },
        fetch_jobs: Vec::new(),
        leaf: None,
        node: None,
    };
    let upgrade = ActOutcome::Done { job: None, slot: None };
    let changes = vec![
        ApplianceChange::StepStarted(Step::Preflight),
        login("rollout with credential sps", 7, true),
        ApplianceChange::Preflighted(Box::new(baseline)),
        ApplianceChange::StepStarted(Step::Stage),
        ApplianceChange::Staged { slot: slot.clone(), how: StagedHow::Adopted },
        ApplianceChange::StepStarted(Step::Test),
        ApplianceChange::Tested { slot: slot.clone(), summary: "passed".to_owned() },
        ApplianceChange::Permitted,
        ApplianceChange::StepStarted(Step::Activate),
        ApplianceChange::Intended(Act::Upgrade { slot }),
        ApplianceChange::Outcome { act: ActKind::Upgrade, outcome: upgrade, saw: "200".to_owned() },
        ApplianceChange::RestartSeen { saw: "connection refused".to_owned() },
        ApplianceChange::Returned { version: version("7.5.1") },
        ApplianceChange::StepStarted(Step::Verify),
        ApplianceChange::Succeeded { version: version("7.5.1"), sessions_cut: None },
    ];
    let times = (0_i64..).map(|step| at(from + 10 * step));
    times.zip(changes).map(|(at, change)| member(id, at, who, change)).collect()
}
