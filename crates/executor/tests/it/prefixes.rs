//! Recovery, proven by cutting everywhere: for each scenario, and for every prefix of its event
//! log, the program dies right after that event, a fresh executor takes the journal up against the
//! appliances as they then are, and runs to the end. An observer who only sees what the appliances
//! saw checks the invariants, and the fleet must end as it does without a crash.

use std::fmt::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use executor::{Ending, Executor, Options, Ports};
use futures::future::BoxFuture;
use model::decision::Decision;
use model::event::{Draft, Event};
use model::memory::MemoryJournal;
use model::plan::Plan;
use model::ports::{Journal, JournalError};
use model::rollout::{Image, SiteLimits};
use model::run::Phase;
use sim::ledger::observer::violations;
use sim::{ApplianceSpec, Behaviour, Fault, FaultPlan, FaultRule, UpgradeMode};
use tokio::sync::Notify;

use crate::journals::read_from_inner;
use crate::world::{IMAGE, SIZE, World, change, reboot_by_command, spec};

/// A journal that takes so many events and then dies with the program: the rest of the batch is
/// lost, and nobody gets an answer any more.
struct Dying {
    inner: Arc<MemoryJournal>,
    left: AtomicUsize,
    dead: Notify,
}

impl Journal for Dying {
    fn append<'a>(&'a self, batch: &'a [Draft]) -> BoxFuture<'a, Result<Vec<Event>, JournalError>> {
        Box::pin(async move {
            let left = self.left.load(Ordering::Relaxed);
            if batch.len() < left {
                let events = self.inner.append(batch).await?;
                self.left.store(left - batch.len(), Ordering::Relaxed);
                return Ok(events);
            }
            // A refused batch is refused whole, whenever the end comes.
            let kept = batch.get(..left).unwrap_or(batch);
            self.inner.append(kept).await?;
            self.left.store(0, Ordering::Relaxed);
            self.dead.notify_one();
            std::future::pending().await
        })
    }

    read_from_inner!();
}

/// One story, told again for every instant at which the program may die.
struct Scenario {
    name: &'static str,
    specs: fn() -> Vec<ApplianceSpec>,
    faults: fn() -> FaultPlan,
    tune: fn(&mut Plan),
}

fn one() -> Vec<ApplianceSpec> {
    vec![spec("a")]
}

fn four() -> Vec<ApplianceSpec> {
    ["a", "b", "c", "d"].map(spec).to_vec()
}

fn arms() -> Vec<ApplianceSpec> {
    let mut arms = spec("a");
    arms.upgrade_call = UpgradeMode::Arms;
    vec![arms]
}

fn nothing() -> FaultPlan {
    FaultPlan::default()
}

fn lost(request: &str) -> FaultPlan {
    FaultPlan::default().with(FaultRule::once(request, Fault::ReplyLost))
}

fn by_upload(plan: &mut Plan) {
    plan.firmware.upload = Some(Image { path: IMAGE.to_owned(), size: SIZE });
}

fn two_sites(plan: &mut Plan) {
    let site = |text| model::SiteName::new(text).expect("a name");
    let limits = SiteLimits { unavailable: Some(1), ..SiteLimits::default() };
    plan.sites = [(site("ams"), limits.clone()), (site("nyc"), limits)].into();
    plan.limits.unavailable = 2;
    for (of, at) in [("a", "ams"), ("b", "nyc"), ("c", "ams"), ("d", "nyc")] {
        change(plan, of, |entry| entry.site = site(at));
    }
}

/// A minion, a host, and central management that is the search-master.
fn cluster() -> Vec<ApplianceSpec> {
    let mut members = crate::clusters::members();
    members.retain(|spec| ["us-m1", "us-host", "us-cm"].contains(&spec.name.as_str()));
    members
}

fn declared(plan: &mut Plan) {
    crate::clusters::declare_some(plan);
}

fn drained(plan: &mut Plan) {
    let wait = jiff::SignedDuration::from_mins(10);
    let otherwise = model::rollout::DrainOtherwise::Proceed;
    plan.drain = Some(model::rollout::Drain { sessions: 0, wait, otherwise });
}

fn scenarios() -> Vec<Scenario> {
    fn keep(_: &mut Plan) {}
    let story = |name, specs, faults, tune| Scenario { name, specs, faults, tune };
    vec![
        story("plain", one, nothing, keep),
        story("two sites", four, nothing, two_sites),
        story("a cluster", cluster, nothing, declared),
        story("a cluster whose sessions end", cluster, nothing, |plan| {
            declared(plan);
            drained(plan);
        }),
        story("two hops", one, nothing, crate::waits::via),
        story("upload", one, || nothing().where_("a", Behaviour::NoFetch {}), by_upload),
        story("armed, rebooted by command", arms, nothing, reboot_by_command),
        story("reverts", one, || nothing().where_("a", Behaviour::Revert { times: 1 }), keep),
        story(
            "test fails",
            one,
            || {
                let summary = "Disk check failed".to_owned();
                nothing().where_("a", Behaviour::TestFails { summary, times: None })
            },
            keep,
        ),
        story(
            "fetch fails once",
            one,
            || nothing().where_("a", Behaviour::FetchFails { times: 1, error: None }),
            keep,
        ),
        story("reply of the fetch lost", one, || lost("POST /api/firmware/fetch"), keep),
        story(
            "reply of the upload lost",
            one,
            || lost("POST /api/upload/firmware").where_("a", Behaviour::NoFetch {}),
            by_upload,
        ),
        story("reply of the upgrade lost", one, || lost("POST /api/firmware/upgrade"), keep),
        story(
            "upgrade refused, reply lost",
            one,
            || {
                let fault = Fault::status(503);
                nothing().with(FaultRule::once("POST /api/firmware/upgrade", fault))
            },
            keep,
        ),
        story(
            "reply of the arming call lost",
            arms,
            || lost("POST /api/firmware/upgrade"),
            reboot_by_command,
        ),
        story("reply of the delete lost", one, || lost("DELETE /api/firmware/fetch/{key}"), keep),
        story(
            "never returns",
            one,
            || nothing().where_("a", Behaviour::NeverReturns { page: false }),
            keep,
        ),
    ]
}

/// How a fleet ended: version and phase of each appliance.
fn fleet_of(world: &World) -> Vec<(String, String, &'static str)> {
    let run = world.folded();
    let one = |appliance: &Arc<sim::SimAppliance>| {
        let name = appliance.name();
        let phase = run.appliances.get(name).map_or("?", |run| run.phase.name());
        (name.to_string(), appliance.version(), phase)
    };
    world.fleet.appliances().map(one).collect()
}

fn broken_rules(world: &World, ended: bool) -> Vec<String> {
    let mut limits = crate::rules::limits(world, ended);
    // Whatever a person resolved: no call that acted is made again.
    limits.upgrade_again.clear();
    violations(world.ledger(), &limits)
}

/// Runs until the journal has taken `events` more events; then the program is gone.
pub(crate) async fn run_and_die(world: &World, events: usize) {
    let dying = Arc::new(Dying {
        inner: Arc::clone(&world.journal),
        left: AtomicUsize::new(events),
        dead: Notify::new(),
    });
    let ports = Ports { journal: Arc::clone(&dying) as Arc<dyn Journal>, ..world.ports.clone() };
    let executor = Executor::load(ports, &world.id, Options::default()).await.expect("loaded");
    tokio::select! {
        _ = executor.run() => {}
        () = dying.dead.notified() => {}
    }
}

/// Runs until the journal tells of this; then the program is gone.
pub(crate) async fn run_until(world: &World, told: impl Fn(&model::run::Run) -> bool) {
    let executor = world.load(Options::default()).await;
    let mut events = executor.handle().subscribe();
    let waited = async { while !told(&world.folded()) && events.recv().await.is_ok() {} };
    tokio::select! {
        biased;
        () = waited => {}
        _ = executor.run() => {}
    }
}

/// Goes on to the end. What cannot be told is resolved as a person would who looks at the console;
/// a reboot that may or may not have been asked for is done by hand, since it is asked for once.
async fn go_on(world: &World) -> Ending {
    let mut ending = world.run().await;
    for _ in 0..3 {
        let run = world.folded();
        let attended = run.appliances.iter().find(|(_, run)| run.phase == Phase::Attended);
        if let Some((name, _)) = attended {
            world.fleet.appliance(name.as_str()).expect("it is there").reboot();
            world.ports.clock.sleep(Duration::from_mins(1)).await;
            ending = world.run().await;
            continue;
        }
        let unknown = run.appliances.iter().find(|(_, run)| run.phase == Phase::Unknown);
        let Some((name, state)) = unknown else { break };
        // The appliance's own log says whether the call of this hop acted.
        let done = world.upgrades(name.as_str()) > state.hop;
        world.decide(Decision::Resolve { appliance: name.clone(), done }).await;
        ending = world.run().await;
    }
    ending
}

#[tokio::test(start_paused = true)]
async fn every_prefix_of_every_scenario_ends_alike_and_breaks_no_rule() {
    let mut table = String::new();
    let mut wrong = Vec::new();
    let mut runs = 0;
    // At once, within the watching gap that still rules a restart out, and long after.
    let absences = [Duration::ZERO, Duration::from_secs(12), Duration::from_mins(20)];
    for scenario in scenarios() {
        let fresh = || World::new((scenario.specs)(), (scenario.faults)(), scenario.tune);
        let whole = fresh().await;
        let ending = whole.run().await;
        let events = whole.journal.all().len();
        let fleet = fleet_of(&whole);
        wrong.extend(
            broken_rules(&whole, true).into_iter().map(|rule| format!("{}: {rule}", scenario.name)),
        );
        for prefix in 1..events {
            for absence in absences {
                let world = fresh().await;
                run_and_die(&world, prefix).await;
                world.ports.clock.sleep(absence).await;
                let told = format!("{}, event {prefix}, away {absence:?}", scenario.name);
                let after = go_on(&world).await;
                runs += 1;
                if fleet_of(&world) != fleet {
                    let (is, story) = (fleet_of(&world), world.story());
                    wrong.push(format!("{told}: {is:?} instead of {fleet:?}\n{story}"));
                }
                if std::mem::discriminant(&after) != std::mem::discriminant(&ending) {
                    wrong.push(format!("{told}: ends with {after:?} instead of {ending:?}"));
                }
                for rule in broken_rules(&world, true) {
                    wrong.push(format!("{told}: {rule}\n{}", world.story()));
                }
            }
        }
        writeln!(table, "{:32} {:3} prefixes", scenario.name, events - 1).expect("a string");
    }
    let shown = wrong.iter().take(3).cloned().collect::<Vec<_>>().join("\n\n");
    let absences = absences.len();
    let summary = format!("{table}x {absences} absences = {runs} runs, {} violations", wrong.len());
    assert!(wrong.is_empty(), "{summary}\n{shown}");
    assert!(runs > 1000, "{summary}");
    // Shown with `cargo test -p executor every_prefix -- --nocapture`.
    tell(&summary);
}

#[expect(clippy::print_stdout, reason = "the figures of the proof are for people")]
pub(crate) fn tell(summary: &str) {
    println!("{summary}");
}
