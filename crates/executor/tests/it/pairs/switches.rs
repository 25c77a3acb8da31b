//! Power switches that do not hear, that refuse, and that are made of programs.

use std::sync::Arc;
use std::sync::atomic::{AtomicI32, AtomicUsize, Ordering};
use std::time::Duration;

use executor::Ending;
use futures::future::BoxFuture;
use model::decision::{Decision, PersonStep};
use model::event::{ActOutcome, ApplianceChange, Change};
use model::failure::{ApplianceError, FailureClass};
use model::fleet::{HaMode, PowerTarget, Redfish, UpgradeCall};
use model::hold::HoldReason;
use model::names::ApplianceName;
use model::ports::{
    Answer, Command, CommandError, CommandOutput, CommandRunner, PowerConnector, PowerState,
    PowerSwitch, ProcessId,
};
use sim::{Fault, FaultPlan, FaultRule, Node, PowerAct, UpgradeMode};

use super::{ALL, automatic, check_whole, lost, taken, tuned, with_a_person};
use crate::world::{World, change, name};

/// Power switches that no connection reaches, so many times for each act.
struct Deaf {
    inner: Arc<dyn PowerConnector>,
    times: usize,
}

struct DeafSwitch {
    inner: Arc<dyn PowerSwitch>,
    left: [AtomicUsize; 3],
}

impl PowerConnector for Deaf {
    fn connect(&self, redfish: &Redfish, of: &ApplianceName) -> Arc<dyn PowerSwitch> {
        let left = [self.times; 3].map(AtomicUsize::new);
        Arc::new(DeafSwitch { inner: self.inner.connect(redfish, of), left })
    }
}

impl DeafSwitch {
    fn heard<'a>(&'a self, act: usize, answer: Answer<'a, ()>) -> Answer<'a, ()> {
        let left = &self.left[act];
        if left.load(Ordering::Relaxed) == 0 {
            return answer;
        }
        left.fetch_sub(1, Ordering::Relaxed);
        Box::pin(std::future::ready(Err(ApplianceError {
            class: FailureClass::Unreachable,
            request: "POST Reset".to_owned(),
            host: "bmc".to_owned(),
            detail: "connection refused".to_owned(),
            status: None,
            error_type: None,
            test_summary: None,
            retry_after: None,
        })))
    }
}

impl PowerSwitch for DeafSwitch {
    fn state(&self) -> Answer<'_, PowerState> {
        self.inner.state()
    }

    fn on(&self) -> Answer<'_, ()> {
        self.heard(0, self.inner.on())
    }

    fn off(&self) -> Answer<'_, ()> {
        self.heard(1, self.inner.off())
    }

    fn force_off(&self) -> Answer<'_, ()> {
        self.inner.force_off()
    }

    fn restart(&self) -> Answer<'_, ()> {
        self.heard(2, self.inner.restart())
    }
}

#[tokio::test(start_paused = true)]
async fn a_service_that_cannot_be_reached_is_asked_again() {
    let mut world = automatic(FaultPlan::default()).await;
    let inner = world.fleet.power();
    world.ports.power = Arc::new(Deaf { inner, times: 1 });
    // Restart is connected for anew each time it is asked for: it is never heard.
    let (ending, done) = with_a_person(&world).await;
    assert_eq!((ending, done), (ALL, vec![PersonStep::Reboot]), "{}", world.story());
    check_whole(&world);
    let not_done = |event: &&model::event::Event| {
        let Change::Appliance(_, ApplianceChange::Outcome { outcome, .. }) = &event.change else {
            return false;
        };
        *outcome == ActOutcome::NotDone
    };
    assert_eq!(world.journal.all().iter().filter(not_done).count(), 7, "{}", world.story());
}

#[tokio::test(start_paused = true)]
async fn a_refused_act_waits_for_a_person_who_says_retry() {
    let conflict = || Fault::Status {
        code: 409,
        r#type: Some("Base.1.8.ResourceInUse".to_owned()),
        message: Some("busy".to_owned()),
        retry_after: None,
        acts: false,
    };
    for request in ["POWER /secondary/off", "POWER /secondary/on"] {
        let rule = FaultRule::once(request, conflict());
        let world = automatic(FaultPlan::default().with(rule)).await;
        assert_eq!(world.run().await, Ending::Held, "{request}");
        assert!(matches!(world.hold("a"), HoldReason::PowerFailed { .. }), "{}", world.story());
        world.decide(Decision::Retry { appliances: vec![name("a")] }).await;
        assert_eq!(world.run().await, ALL, "{request}: {}", world.story());
        check_whole(&world);
    }
}

/// Programs that press the simulated nodes' buttons.
struct Programs {
    power: Arc<dyn PowerSwitch>,
    check: Arc<AtomicI32>,
}

impl CommandRunner for Programs {
    fn run<'a>(
        &'a self,
        command: &'a Command,
        started: Box<dyn FnOnce(ProcessId) + Send + 'a>,
    ) -> BoxFuture<'a, Result<CommandOutput, CommandError>> {
        started(ProcessId { pid: 7, started: 7 });
        Box::pin(async move {
            let output = |code, stdout: &str| CommandOutput {
                code: Some(code),
                stdout: stdout.to_owned(),
                stderr: String::new(),
            };
            let step = command.env.iter().find(|(key, _)| key == "SPSFLEET_STEP");
            let step = step.map(|(_, step)| step.as_str()).expect("the step is told");
            let done = match command.words[0].as_str() {
                "check" => {
                    assert_eq!(step, "secondary-off");
                    return Ok(output(self.check.load(Ordering::Relaxed), ""));
                }
                "state" => {
                    let state = self.power.state().await.expect("a state");
                    let word = if state == PowerState::On { "ON\n" } else { "off\n" };
                    return Ok(output(0, word));
                }
                "on" => {
                    assert_eq!(step, "secondary-on");
                    self.power.on().await
                }
                "off" => {
                    assert_eq!(step, "secondary-off");
                    self.power.off().await
                }
                other => panic!("{other} is not there"),
            };
            Ok(output(i32::from(done.is_err()), ""))
        })
    }

    fn await_leftover(&self, _: ProcessId, _: Duration) -> BoxFuture<'_, bool> {
        Box::pin(std::future::ready(false))
    }
}

async fn by_programs(faults: FaultPlan) -> (World, Arc<AtomicI32>) {
    let words = |word: &str| vec![word.to_owned()];
    let mut world = tuned(faults, |ha| {
        ha.secondary_check = Some(words("check"));
        let (on, off, state) = (words("on"), words("off"), words("state"));
        ha.secondary_power = Some(PowerTarget::Command { on, off, state });
    })
    .await;
    let redfish = sim::sample::redfish(&name("a"), Node::Secondary);
    let check = Arc::new(AtomicI32::new(0));
    let power = world.fleet.power().connect(&redfish, &name("a"));
    world.ports.commands = Arc::new(Programs { power, check: Arc::clone(&check) });
    (world, check)
}

#[tokio::test(start_paused = true)]
async fn programs_switch_as_a_service_does() {
    let (world, _) = by_programs(FaultPlan::default()).await;
    assert_eq!(world.run().await, ALL, "{}", world.story());
    check_whole(&world);
    let started = |event: &&model::event::Event| {
        matches!(event.change, Change::Appliance(_, ApplianceChange::CommandStarted(_)))
    };
    assert_eq!(world.journal.all().iter().filter(started).count(), 2, "of the two acts only");
    // A program that ended ill may have done its work: it is looked after.
    for request in ["POWER /secondary/off", "POWER /secondary/on"] {
        let (world, _) = by_programs(lost(request)).await;
        assert_eq!(world.run().await, ALL, "{request}: {}", world.story());
        check_whole(&world);
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_not_proven_to_be_the_secondary_is_not_switched_off() {
    let (world, check) = by_programs(FaultPlan::default()).await;
    check.store(1, Ordering::Relaxed);
    assert_eq!(world.run().await, Ending::Held);
    assert!(matches!(world.hold("a"), HoldReason::SecondaryNotProven { .. }), "{}", world.story());
    assert_eq!(taken(&world, Node::Secondary, PowerAct::Off), 0);
    check.store(0, Ordering::Relaxed);
    world.decide(Decision::Retry { appliances: vec![name("a")] }).await;
    assert_eq!(world.run().await, ALL, "{}", world.story());
    check_whole(&world);
}

#[tokio::test(start_paused = true)]
async fn what_a_service_ignores_waits_for_a_person_in_every_process() {
    let ignored = sim::Behaviour::PowerIgnored { act: None, times: 9 };
    let mut pair = super::pair_spec(UpgradeMode::Arms);
    pair.name = name("a");
    let world = World::new(
        vec![pair, crate::world::spec("b")],
        FaultPlan::default().where_("a", ignored),
        |plan| {
            change(plan, "a", |entry| {
                let sample = sim::sample::pair(&entry.name, HaMode::Automatic, UpgradeCall::Arms);
                (entry.ha, entry.reboot) = (sample.ha, sample.reboot);
                entry.upgrade_call = UpgradeCall::Arms;
            });
        },
    )
    .await;
    for process in 0..3 {
        // The first one stays for the person, until it is told to stop.
        if process == 0 {
            let stay = executor::Options { stay_for_person: true, ..Default::default() };
            let executor = world.load(stay).await;
            let handle = executor.handle();
            let stop = async {
                world.ports.clock.sleep(Duration::from_hours(7)).await;
                handle.stop();
            };
            let (ending, ()) = futures::join!(executor.run(), stop);
            assert_eq!(ending, Ending::Interrupted);
        }
        let ending = tokio::time::timeout(Duration::from_hours(9), world.run()).await;
        assert_eq!(ending, Ok(Ending::Held), "process {process}: {}", world.story());
        assert_eq!(world.hold("a").code(), "power-failed", "process {process}");
    }
}
