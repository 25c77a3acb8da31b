//! A simulated fleet, a plan for it, a journal, and the executor between them.

use std::sync::Arc;
use std::time::Duration;

use executor::{Ending, Executor, Handle, Options, Ports};
use futures::future::BoxFuture;
use jiff::Timestamp;
use model::Sha256Hex;
use model::decision::{Actor, Decision};
use model::event::{ApplianceChange, Change, FailureCode};
use model::fleet::Reboot;
use model::hold::HoldReason;
use model::memory::MemoryJournal;
use model::names::{ApplianceName, RolloutId};
use model::plan::Plan;
use model::ports::{
    Clock, Command, CommandError, CommandOutput, CommandRunner, Connector, Journal, ProcessId,
};
use model::random::Random;
use model::run::{ApplianceRun, Phase, Run};
use sim::{ApplianceSpec, FaultPlan, Ledger, SimFleet, SimImage, TokioClock};

pub(crate) const URL: &str = "https://repo.example/sps-7.5.1.iso";
pub(crate) const ELSEWHERE: &str = "https://else.example/x.iso";
pub(crate) const NEXT_URL: &str = "https://repo.example/sps-7.6.0.iso";
pub(crate) const IMAGE: &str = "/srv/firmware/sps-7.5.1.iso";
pub(crate) const SIZE: u64 = 1_500_000_000;

pub(crate) fn name(text: &str) -> ApplianceName {
    ApplianceName::new(text).expect("a name")
}

pub(crate) fn spec(text: &str) -> ApplianceSpec {
    ApplianceSpec::new(name(text), "7.5.0")
}

pub(crate) fn specs(count: usize) -> Vec<ApplianceSpec> {
    (0..count).map(|n| spec(&format!("a{n:04}"))).collect()
}

pub(crate) fn actor() -> Actor {
    Actor { uid: 1000, name: "tester".to_owned(), pid: 1 }
}

/// Runs reboot commands by pressing the simulated appliance's button.
struct Buttons {
    fleet: Arc<SimFleet>,
    code: i32,
}

impl CommandRunner for Buttons {
    fn run<'a>(
        &'a self,
        command: &'a Command,
        started: Box<dyn FnOnce(ProcessId) + Send + 'a>,
    ) -> BoxFuture<'a, Result<CommandOutput, CommandError>> {
        started(ProcessId { pid: 7, started: 7 });
        let of = command.env.iter().find(|(key, _)| key == "SPSFLEET_APPLIANCE");
        if self.code == 0 {
            let (_, name) = of.expect("the appliance is named");
            self.fleet.appliance(name).expect("it is there").reboot();
        }
        let output = CommandOutput {
            code: Some(self.code),
            stdout: String::new(),
            stderr: "no such outlet".to_owned(),
        };
        Box::pin(std::future::ready(Ok(output)))
    }

    fn await_leftover(&self, _: ProcessId, _: Duration) -> BoxFuture<'_, bool> {
        Box::pin(std::future::ready(false))
    }
}

pub(crate) struct World {
    pub(crate) fleet: Arc<SimFleet>,
    pub(crate) journal: Arc<MemoryJournal>,
    pub(crate) ports: Ports,
    pub(crate) id: RolloutId,
}

impl World {
    /// One wave of all appliances; `tune` changes the plan.
    pub(crate) async fn new(
        specs: Vec<ApplianceSpec>,
        faults: FaultPlan,
        tune: impl FnOnce(&mut Plan),
    ) -> Self {
        Self::with_reboot_code(specs, faults, 0, tune).await
    }

    pub(crate) async fn with_reboot_code(
        specs: Vec<ApplianceSpec>,
        faults: FaultPlan,
        code: i32,
        tune: impl FnOnce(&mut Plan),
    ) -> Self {
        let start: Timestamp = "2026-12-01T20:00:00Z".parse().expect("a time");
        let clock: Arc<dyn Clock> = Arc::new(TokioClock::starting_at(start));
        let image = SimImage::described("7.5.1", SIZE);
        let names: Vec<ApplianceName> = specs.iter().map(|spec| spec.name.clone()).collect();
        let fleet = SimFleet::builder()
            .clock(Arc::clone(&clock))
            .appliances(specs)
            .image(URL, image.clone())
            .image(IMAGE, image.clone())
            .image(ELSEWHERE, image.clone())
            .image(crate::waits::HOP_URL, SimImage::described("7.5.0.9", SIZE))
            .image(NEXT_URL, SimImage::described("7.6.0", SIZE))
            .faults(faults)
            .build();
        let mut plan = plan_for(&fleet, &names, image.sha256.clone());
        tune(&mut plan);
        plan.digest = plan.content_digest();
        let plan = Arc::new(plan);
        let journal = Arc::new(MemoryJournal::default());
        let ports = Ports {
            journal: Arc::clone(&journal) as Arc<dyn Journal>,
            connector: fleet.connector() as Arc<dyn Connector>,
            clock,
            commands: Arc::new(Buttons { fleet: Arc::clone(&fleet), code }),
            power: fleet.power(),
            bundles: None,
            random: Arc::new(Random::seeded(1)),
        };
        let id = RolloutId::new("r1");
        Executor::accept(&ports, id.clone(), plan, actor()).await.expect("accepted");
        Self { fleet, journal, ports, id }
    }

    /// Another rollout of the same fleet and journal.
    pub(crate) async fn another(&self, id: &str, plan: Plan) -> Self {
        let id = RolloutId::new(id);
        Executor::accept(&self.ports, id.clone(), Arc::new(plan), actor()).await.expect("accepted");
        let (fleet, journal) = (Arc::clone(&self.fleet), Arc::clone(&self.journal));
        Self { fleet, journal, ports: self.ports.clone(), id }
    }

    pub(crate) async fn load(&self, options: Options) -> Executor {
        Executor::load(self.ports.clone(), &self.id, options).await.expect("loaded")
    }

    /// Runs to the end, with a bound on virtual time so that a hang is a failure.
    pub(crate) async fn run(&self) -> Ending {
        self.run_with(Options::default()).await
    }

    pub(crate) async fn run_with(&self, options: Options) -> Ending {
        let executor = self.load(options).await;
        let ending = self.bounded(executor.run()).await;
        self.check_no_contradiction();
        ending
    }

    /// Runs to the end while a script acts through the handle.
    pub(crate) async fn run_beside<F: Future<Output = ()>>(
        &self,
        script: impl FnOnce(Handle) -> F,
    ) -> Ending {
        let executor = self.load(Options::default()).await;
        let handle = executor.handle();
        let (ending, ()) =
            self.bounded(async { futures::join!(executor.run(), script(handle)) }).await;
        self.check_no_contradiction();
        ending
    }

    /// Runs to the end; a person decides as soon as somebody is seen to restart.
    pub(crate) async fn run_and_decide(&self, decision: Decision) -> Ending {
        self.run_beside(|handle| async move {
            let mut events = handle.subscribe();
            let restarts = |change: &Change| {
                matches!(change, Change::Appliance(_, ApplianceChange::RestartSeen { .. }))
            };
            while !restarts(&events.recv().await.expect("an event").change) {}
            handle.decide(actor(), "enough".to_owned(), decision).await.expect("taken");
        })
        .await
    }

    async fn bounded<T>(&self, work: impl Future<Output = T>) -> T {
        // Longer than any two zones need to agree on a window.
        let limit = Duration::from_hours(500 * 24);
        if let Ok(done) = tokio::time::timeout(limit, work).await {
            return done;
        }
        panic!("the run does not end; {}", self.story())
    }

    /// Appends a decision as a command without a running process does.
    pub(crate) async fn decide(&self, decision: Decision) {
        let run = self.folded();
        run.may_decide(&decision).expect("it may be decided");
        let reason = "a test".to_owned();
        let change = Change::Rollout(model::event::RolloutChange::Decided {
            actor: actor(),
            reason,
            decision,
        });
        let at = self.ports.clock.now();
        let draft = model::event::Draft { rollout: self.id.clone(), at, change };
        self.journal.append(&[draft]).await.expect("written");
    }

    pub(crate) fn folded(&self) -> Run {
        let events = self.journal.all();
        let own = events.iter().filter(|event| event.rollout == self.id);
        Run::fold(own).expect("a log that makes sense").expect("a rollout")
    }

    /// The last events, for a failing test.
    pub(crate) fn story(&self) -> String {
        let events = self.journal.all();
        let last = events.iter().skip(1).rev().take(40).rev();
        let line = |event: &model::event::Event| {
            let text = format!("{:?}", event.change);
            format!("{} {}", event.at, text.chars().take(300).collect::<String>())
        };
        last.map(line).collect::<Vec<_>>().join("\n")
    }

    pub(crate) fn state(&self, of: &str) -> ApplianceRun {
        self.folded().appliances.get(of).expect("a member").clone()
    }

    pub(crate) fn phase(&self, of: &str) -> Phase {
        self.state(of).phase
    }

    pub(crate) fn failure(&self, of: &str) -> (FailureCode, String) {
        let state = self.state(of);
        let failure = state.failure.unwrap_or_else(|| panic!("{of} is {}", state.phase.name()));
        (failure.code, failure.text)
    }

    pub(crate) fn hold(&self, of: &str) -> HoldReason {
        let state = self.state(of);
        state.hold.unwrap_or_else(|| panic!("{of} is {}", state.phase.name()))
    }

    pub(crate) fn version(&self, of: &str) -> String {
        self.fleet.appliance(of).expect("it is there").version()
    }

    pub(crate) fn ledger(&self) -> &Ledger {
        self.fleet.ledger()
    }

    pub(crate) fn upgrades(&self, of: &str) -> usize {
        self.ledger().changes(of, "POST /api/firmware/upgrade")
    }

    /// Every appliance is at the target, upgraded once, and nothing of ours is left.
    pub(crate) fn check_all_upgraded(&self) {
        for appliance in self.fleet.appliances() {
            let of = appliance.name().as_str();
            assert_eq!(appliance.version(), "7.5.1", "{of}");
            assert_eq!(self.upgrades(of), 1, "{of}");
            assert_eq!(self.phase(of), Phase::Succeeded, "{of}");
        }
        self.check_nothing_left();
    }

    pub(crate) fn check_nothing_left(&self) {
        for appliance in self.fleet.appliances() {
            let left = appliance.fetch_records();
            assert!(left.is_empty(), "{} keeps {left:?}", appliance.name());
        }
    }

    fn check_no_contradiction(&self) {
        for event in self.journal.all() {
            if let Change::Appliance(_, ApplianceChange::Held(reason)) = &event.change {
                let text = reason.to_string();
                assert!(!text.contains("please report this"), "{text}");
            }
        }
    }
}

fn plan_for(fleet: &SimFleet, names: &[ApplianceName], sha256: Sha256Hex) -> Plan {
    let entry = |name: &ApplianceName| fleet.inventory_entry(name.as_str()).expect("it is there");
    let mut plan = sim::sample::plan("sps-7.5.1", names.iter().map(entry));
    plan.firmware.sha256 = sha256;
    plan.firmware.fetch = Some(URL.to_owned());
    plan
}

pub(crate) use sim::sample::wave;

/// Changes one planned appliance.
pub(crate) fn change(plan: &mut Plan, of: &str, change: impl FnOnce(&mut model::fleet::Appliance)) {
    let entry = plan.appliances.get_mut(of).expect("a member");
    change(Arc::make_mut(entry));
}

pub(crate) fn reboot_by_command(plan: &mut Plan) {
    let names: Vec<ApplianceName> = plan.appliances.keys().cloned().collect();
    for name in names {
        change(plan, name.as_str(), |entry| {
            entry.reboot = Reboot::Command(vec!["reboot-it".to_owned()])
        });
    }
}
