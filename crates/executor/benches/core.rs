//! How many events a second the scheduler core decides. `cargo bench -p executor`.
//!
//! A small world without clock and network ends every step at once: what is measured is the fold,
//! the queues and the limits.

use std::collections::VecDeque;
use std::sync::Arc;

use divan::Bencher;
use divan::counter::ItemsCount;
use executor::core::{Command, Core};
use jiff::{SignedDuration, Timestamp};
use model::FirmwareVersion;
use model::decision::Actor;
use model::event::{
    Act, ActKind, ActOutcome, ApplianceChange, Change, Event, RolloutChange, StagedHow, Step,
};
use model::fleet::Appliance;
use model::names::{ApplianceName, FetchKey, RolloutId, SiteName, SlotKey};
use model::observed::{Baseline, Health, Offered};
use model::plan::Plan;
use model::rollout::{RolloutLimits, SiteLimits};
use model::run::Run;

fn main() {
    divan::main();
}

#[divan::bench(args = [100, 1_000, 10_000], sample_count = 5)]
fn whole_rollout(bencher: Bencher, appliances: usize) {
    let events = World::new(appliances).play();
    bencher
        .counter(ItemsCount::new(events))
        .with_inputs(|| World::new(appliances))
        .bench_local_values(World::play);
}

struct World {
    core: Core,
    seq: u64,
    now: Timestamp,
    queue: VecDeque<Change>,
    ended: VecDeque<ApplianceName>,
}

impl World {
    fn new(appliances: usize) -> Self {
        let now: Timestamp = "2026-12-01T20:00:00Z".parse().expect("a time");
        let actor = Actor { uid: 0, name: "bench".to_owned(), pid: 1 };
        let accepted = Event {
            seq: 1,
            rollout: RolloutId::new("r"),
            at: now,
            change: Change::Rollout(RolloutChange::PlanAccepted { plan: plan(appliances), actor }),
        };
        let core = Core::new(Run::begin(&accepted).expect("a run"), [], Default::default());
        Self { core, seq: 1, now, queue: VecDeque::new(), ended: VecDeque::new() }
    }

    /// Plays the rollout to its end; returns the number of events that were decided.
    fn play(mut self) -> u64 {
        let first = self.core.begin(self.now);
        self.obey(first);
        loop {
            if let Some(change) = self.queue.pop_front() {
                self.seq += 1;
                self.now += SignedDuration::from_millis(1);
                let rollout = RolloutId::new("r");
                let event = Event { seq: self.seq, rollout, at: self.now, change };
                let commands = self.core.handle(&event, self.now).expect("a legal event");
                self.obey(commands);
            } else if let Some(name) = self.ended.pop_front() {
                let commands = self.core.ended(&name, self.now);
                self.obey(commands);
            } else {
                break;
            }
        }
        assert!(self.core.run().finished, "the rollout ends");
        self.seq
    }

    fn obey(&mut self, commands: Vec<Command>) {
        for command in commands {
            match command {
                Command::Record(change) => self.queue.push_back(change),
                Command::Cancel(_) | Command::Hook { .. } => {}
                Command::Start(name, step) => {
                    let happened = |change| Change::Appliance(name.clone(), change);
                    self.queue.extend(what_happens(step).into_iter().map(happened));
                    self.ended.push_back(name);
                }
            }
        }
    }
}

fn what_happens(step: Step) -> Vec<ApplianceChange> {
    let slot = SlotKey::new("2");
    let key = FetchKey::new("job");
    let done = |act, job, slot| ApplianceChange::Outcome {
        act,
        outcome: ActOutcome::Done { job, slot },
        saw: String::new(),
    };
    let version = FirmwareVersion::parse("7.5.1").expect("a version");
    let mut changes = match step {
        Step::Preflight => vec![ApplianceChange::Preflighted(Box::new(baseline()))],
        Step::Stage => vec![
            ApplianceChange::Intended(Act::StartFetch { known: Vec::new() }),
            done(ActKind::StartFetch, Some(key.clone()), None),
            ApplianceChange::Progress { done: 1, total: 2 },
            ApplianceChange::Staged { slot, how: StagedHow::Fetched },
            ApplianceChange::Intended(Act::DeleteFetch { key }),
            done(ActKind::DeleteFetch, None, None),
        ],
        Step::Test => vec![ApplianceChange::Tested { slot, summary: String::new() }],
        Step::Activate => vec![
            ApplianceChange::Intended(Act::Upgrade { slot }),
            done(ActKind::Upgrade, None, None),
        ],
        Step::Return => vec![
            ApplianceChange::RestartSeen { saw: String::new() },
            ApplianceChange::Returned { version },
        ],
        Step::Verify => vec![ApplianceChange::Succeeded { version, sessions_cut: None }],
        Step::Roster
        | Step::Drain
        | Step::Rejoin
        | Step::Sync
        | Step::Soak
        | Step::Bundle
        | Step::Cleanup
        | Step::Watch => Vec::new(),
    };
    if !changes.is_empty() {
        changes.insert(0, ApplianceChange::StepStarted(step));
    }
    changes
}

fn baseline() -> Baseline {
    Baseline {
        version: FirmwareVersion::parse("7.5.0").expect("a version"),
        hostname: None,
        offered: Offered { fetch: true },
        slots: Vec::new(),
        health: Health::default(),
        fetch_jobs: Vec::new(),
        leaf: None,
        node: None,
    }
}

fn plan(appliances: usize) -> Arc<Plan> {
    let site = |n: usize| SiteName::new(&format!("site-{}", n % 20)).expect("a name");
    let entry = |n: usize| {
        let name = ApplianceName::new(&format!("a{n:06}")).expect("a name");
        Appliance { site: site(n), ..sim::sample::appliance(&name) }
    };
    let mut plan = sim::sample::plan("bench", (0..appliances).map(entry));
    let names: Vec<ApplianceName> = plan.appliances.keys().cloned().collect();
    let (tenth, rest) = names.split_at(appliances.div_ceil(10));
    plan.waves = vec![sim::sample::wave("tenth", tenth), sim::sample::wave("rest", rest)];
    plan.limits = RolloutLimits { transfers: 200, unavailable: 100, requests_per_second: 2000 };
    let limits = SiteLimits { transfers: Some(20), unavailable: Some(8), ..SiteLimits::default() };
    plan.sites = (0..20).map(|n| (site(n), limits.clone())).collect();
    Arc::new(plan)
}
