//! A plan carried out by the same executor on simulated appliances, in virtual time.

mod person;
mod remembering;
mod world;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use executor::{Ending, Executor, Options, Ports};
use jiff::Timestamp;
use model::event::Event;
use model::event::{ApplianceChange, Change};
use model::history::History;
use model::hold::HoldReason;
use model::memory::MemoryJournal;
use model::plan::Plan;
use model::ports::{Clock, Connector};
use model::random::Random;
use model::run::Run;
use model::{ApplianceName, FirmwareVersion, RolloutId};
use sim::{FaultPlan, TokioClock};
use tokio::sync::broadcast::error::RecvError;
use tokio::task::JoinSet;

pub(crate) use person::NAME as PERSON;
use person::{Person, actor};
use remembering::Remembering;
pub(crate) use world::spec;
use world::{Power, Programs};

/// What is simulated.
#[derive(Debug, Clone)]
pub(crate) struct Simulation {
    /// The plan.
    pub(crate) plan: Arc<Plan>,
    /// What appliances run that were looked at.
    pub(crate) versions: BTreeMap<ApplianceName, FirmwareVersion>,
    /// What the others run.
    pub(crate) from: FirmwareVersion,
    /// The size of an image that nobody knows, in bytes.
    pub(crate) size: u64,
    /// What goes wrong.
    pub(crate) faults: FaultPlan,
    /// All that is left to chance.
    pub(crate) seed: u64,
    /// When the rollout begins.
    pub(crate) start: Timestamp,
    /// What is known of how long steps take.
    pub(crate) durations: Vec<model::event::StepDuration>,
}

/// What came of it.
#[derive(Debug)]
pub(crate) struct Simulated {
    /// How it ended; `None` when it did not within [`LONGEST`].
    pub(crate) ending: Option<Ending>,
    /// The rollout at its end.
    pub(crate) run: Run,
    /// Everything that happened.
    pub(crate) events: Vec<Event>,
    /// When it was over.
    pub(crate) end: Timestamp,
    /// Why appliances waited then.
    pub(crate) reasons: BTreeMap<ApplianceName, HoldReason>,
}

/// A rollout that takes longer is given up: a year and some weeks, as far as windows are looked
/// for.
pub(crate) const LONGEST: Duration = Duration::from_secs(400 * 24 * 3_600);

/// Without an event for so long nothing is under way that a person could be waited for.
const QUIET: Duration = Duration::from_secs(3_600);

/// So many times the executor is taken up again after a person's step.
const ROUNDS: u32 = 10_000;

/// Carries the plan out. Blocks for as long as it takes, so it has a thread of its own.
pub(crate) async fn simulate(simulation: Simulation) -> anyhow::Result<Simulated> {
    let work = move || {
        let mut runtime = tokio::runtime::Builder::new_current_thread();
        let runtime = runtime.enable_time().start_paused(true).build()?;
        runtime.block_on(carry_out(simulation))
    };
    tokio::task::spawn_blocking(work).await.context("simulating")?
}

async fn carry_out(simulation: Simulation) -> anyhow::Result<Simulated> {
    let Simulation { plan, versions, from, size, faults, seed, start, durations } = simulation;
    let clock: Arc<dyn Clock> = Arc::new(TokioClock::starting_at(start));
    let builder = world::fleet(&plan, &versions, &from, size);
    let fleet = builder.clock(Arc::clone(&clock)).faults(faults).seed(seed).build();
    let journal = Arc::new(MemoryJournal::default());
    let ports = Ports {
        journal: Arc::new(Remembering { inner: Arc::clone(&journal), durations }),
        connector: fleet.connector() as Arc<dyn Connector>,
        clock: Arc::clone(&clock),
        commands: Arc::new(Programs { fleet: Arc::clone(&fleet), plan: Arc::clone(&plan) }),
        power: Arc::new(Power { fleet: Arc::clone(&fleet), plan: Arc::clone(&plan) }),
        bundles: None,
        random: Arc::new(Random::seeded(seed)),
    };
    let id = RolloutId::new("simulated");
    Executor::accept(&ports, id.clone(), Arc::clone(&plan), actor()).await?;
    let mut person = Person {
        fleet,
        plan,
        journal: Arc::clone(&journal),
        id: id.clone(),
        tasks: JoinSet::new(),
        answered: BTreeSet::new(),
    };
    let rounds = async {
        let mut stays = true;
        for _ in 0..ROUNDS {
            let ending = one_round(&ports, &id, &mut person, stays).await?;
            tracing::debug!(?ending, stays, at = %clock.now(), "a round of the simulation");
            let open = !person.tasks.is_empty();
            // What the person does is waited for, also where the executor did not.
            while person.tasks.join_next().await.is_some() {}
            match ending {
                // It was quiet: does it end by itself?
                Ending::Interrupted => stays = false,
                Ending::Held if open => stays = true,
                ending => return anyhow::Ok(ending),
            }
        }
        anyhow::bail!("the rollout goes on and on")
    };
    let ending = match tokio::time::timeout(LONGEST, rounds).await {
        Ok(ending) => Some(ending?),
        Err(_) => None,
    };
    let events = journal.all();
    let run = Run::fold(&events)?.context("the simulated rollout is not there")?;
    let (end, seen) = (clock.now(), ports.journal.durations().await?);
    let reasons = executor::reasons(&run, &History::of(&seen), end);
    Ok(Simulated { ending, run, events, end, reasons })
}

/// Runs the executor once, with the person beside it. `stays`: it waits for the person; then it is
/// stopped when nothing happens any more.
async fn one_round(
    ports: &Ports,
    id: &RolloutId,
    person: &mut Person,
    stays: bool,
) -> anyhow::Result<Ending> {
    let options = Options { no_wait: false, stay_for_person: stays };
    let executor = Executor::load(ports.clone(), id, options).await?;
    let handle = executor.handle();
    let mut events = handle.subscribe();
    if let Some(run) = Run::fold(&person.journal.all())? {
        person.look(&run, &handle);
    }
    let mut running = JoinSet::new();
    running.spawn(executor.run());
    let mut news = ports.clock.monotonic();
    loop {
        let quiet = ports.clock.sleep((news + QUIET).saturating_sub(ports.clock.monotonic()));
        tokio::select! {
            biased;
            event = events.recv() => match event {
                Ok(event) => {
                    if is_news(&event.change) {
                        news = ports.clock.monotonic();
                    }
                    person.take(&event, &handle);
                }
                Err(RecvError::Lagged(_)) => {
                    if let Some(run) = Run::fold(&person.journal.all())? {
                        person.look(&run, &handle);
                    }
                }
                Err(RecvError::Closed) => {}
            },
            Some(ended) = running.join_next() => return ended.context("the executor broke off"),
            Some(_) = person.tasks.join_next() => {}
            () = quiet, if stays => {
                news = ports.clock.monotonic();
                handle.stop();
            }
        }
    }
}

/// Whether an event brings the rollout forward: that somebody still looks does not.
fn is_news(change: &Change) -> bool {
    !matches!(change, Change::Appliance(_, ApplianceChange::Looked { .. }))
}
