//! Runs a plan through the ports: scheduler core, steps, limits, recovery.
//!
//! - [`core`]: every scheduling decision, without I/O: an event and the time in, commands out.
//! - `driver`: the one loop. It journals what steps report, feeds the core, carries out what the
//!   core commands.
//! - `steps`: what is done to one appliance, as precheck, act, verify.
//! - [`limits`], [`logins`], [`pacing`]: requests per second, passwords, how often to look.
//!
//! The entry is [`Executor`].

pub mod core;
mod driver;
pub mod limits;
pub mod logins;
pub mod pacing;
mod steps;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use model::decision::{Actor, Decision};
use model::event::{ApplianceChange, Change, Draft, Event, RolloutChange};
use model::exit::Exit;
use model::history::History;
use model::hold::HoldReason;
use model::names::{ApplianceName, RolloutId};
use model::plan::{PLAN_SCHEMA, Plan};
use model::ports::{Clock, CommandRunner, Connector, Journal, JournalError, PowerConnector};
use model::random::Random;
use model::run::{IllegalEvent, Run};
use tokio::sync::{broadcast, mpsc, oneshot};

use crate::core::Core;
pub use crate::core::{reasons, reasons_among};
use crate::driver::Driver;
use crate::limits::RequestLimits;
use crate::logins::Logins;
use crate::steps::{Message, Shared};

/// The world as the executor knows it.
#[derive(Clone)]
pub struct Ports {
    /// Where everything is written first.
    pub journal: Arc<dyn Journal>,
    /// Makes the clients of appliances.
    pub connector: Arc<dyn Connector>,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Other programs.
    pub commands: Arc<dyn CommandRunner>,
    /// Power switches of HA pairs and reboots through Redfish.
    pub power: Arc<dyn PowerConnector>,
    /// The folder for support bundles; without one none are fetched.
    pub bundles: Option<PathBuf>,
    /// Jitter.
    pub random: Arc<Random>,
}

/// How a run behaves where the contract leaves a choice to the caller.
#[derive(Debug, Clone, Copy, Default)]
pub struct Options {
    /// End instead of waiting for what time cures.
    pub no_wait: bool,
    /// Stay when only a person can make it go on.
    pub stay_for_person: bool,
}

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// Nothing is left to do.
    Finished {
        /// Every selected appliance is at the target.
        upgraded_all: bool,
    },
    /// The rollout was given up.
    Aborted,
    /// Something waits for a person.
    Held,
    /// Only time is waited for, and the caller did not want to wait.
    Waits,
    /// The caller stopped it; it goes on next time.
    Interrupted,
}

impl Ending {
    /// The process's exit code.
    #[must_use]
    pub fn exit(self) -> Exit {
        match self {
            Self::Finished { upgraded_all: true } => Exit::Done,
            Self::Finished { upgraded_all: false } | Self::Waits => Exit::Partial,
            Self::Aborted => Exit::Stopped,
            Self::Held => Exit::Held,
            Self::Interrupted => Exit::Interrupted,
        }
    }

    /// For people.
    #[must_use]
    pub fn describe(self) -> &'static str {
        match self {
            Self::Finished { upgraded_all: true } => "finished, every appliance is at the target",
            Self::Finished { upgraded_all: false } => "finished, not every appliance was upgraded",
            Self::Aborted => "aborted",
            Self::Held => "waits for a person",
            Self::Waits => "waits for time to pass",
            Self::Interrupted => "interrupted",
        }
    }
}

/// A rollout could not be taken up.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The journal could not be read or written.
    #[error("the journal could not be used")]
    Journal(#[source] JournalError),
    /// The log does not make sense.
    #[error("the log of rollout {rollout} is damaged")]
    Log {
        /// Which rollout.
        rollout: RolloutId,
        /// What does not fit.
        #[source]
        source: IllegalEvent,
    },
    /// There is no such rollout.
    #[error("there is no rollout {0} in this journal")]
    NoSuchRollout(RolloutId),
    /// The plan was made by another version of the program.
    #[error(
        "the plan of rollout {rollout} has shape {found}; this program runs shape {PLAN_SCHEMA}"
    )]
    OtherSchema {
        /// Which rollout.
        rollout: RolloutId,
        /// The plan's shape.
        found: u32,
    },
}

/// A rollout at one moment.
pub(crate) struct Snapshot {
    pub(crate) run: Run,
    pub(crate) reasons: BTreeMap<ApplianceName, HoldReason>,
    pub(crate) halted: bool,
}

pub(crate) enum Question {
    Stop,
    Snapshot(oneshot::Sender<Snapshot>),
    Decide {
        actor: Actor,
        reason: String,
        decision: Decision,
        reply: oneshot::Sender<Result<(), String>>,
    },
}

/// The line to a running executor.
#[derive(Clone)]
pub struct Handle {
    questions: mpsc::UnboundedSender<Question>,
    events: broadcast::Sender<Event>,
}

/// What an ended executor answers.
const ENDED: &str = "the rollout is not running any more";

impl Handle {
    /// Takes a person's decision.
    ///
    /// # Errors
    /// Why it cannot be taken, in words for the person.
    pub async fn decide(
        &self,
        actor: Actor,
        reason: String,
        decision: Decision,
    ) -> Result<(), String> {
        let (reply, answer) = oneshot::channel();
        let question = Question::Decide { actor, reason, decision, reply };
        self.questions.send(question).map_err(|_| ENDED.to_owned())?;
        answer.await.unwrap_or_else(|_| Err(ENDED.to_owned()))
    }

    /// Once: no new step, state safe. Twice: at once.
    pub fn stop(&self) {
        // An executor that has ended needs no stop.
        drop(self.questions.send(Question::Stop));
    }

    /// Every event from now on, as it is written.
    #[must_use]
    pub fn subscribe(&self) -> broadcast::Receiver<Event> {
        self.events.subscribe()
    }

    /// The rollout now, why its appliances wait, and whether the journal cannot be written.
    /// `None` when the executor has ended.
    pub async fn snapshot(&self) -> Option<(Run, BTreeMap<ApplianceName, HoldReason>, bool)> {
        let (reply, answer) = oneshot::channel();
        self.questions.send(Question::Snapshot(reply)).ok()?;
        let Snapshot { run, reasons, halted } = answer.await.ok()?;
        Some((run, reasons, halted))
    }
}

/// One rollout, ready to go on.
pub struct Executor {
    driver: Driver,
    handle: Handle,
}

impl Executor {
    /// Writes down that a plan was accepted. From here on the rollout exists.
    ///
    /// # Errors
    /// When the journal cannot be written.
    pub async fn accept(
        ports: &Ports,
        id: RolloutId,
        plan: Arc<Plan>,
        actor: Actor,
    ) -> Result<(), JournalError> {
        let change = Change::Rollout(RolloutChange::PlanAccepted { plan, actor });
        let draft = Draft { rollout: id, at: ports.clock.now(), change };
        ports.journal.append(&[draft]).await.map(|_| ())
    }

    /// Folds a rollout from its journal.
    ///
    /// # Errors
    /// When the journal cannot be read, or the rollout is not there or not of this program.
    pub async fn load(ports: Ports, rollout: &RolloutId, options: Options) -> Result<Self, Error> {
        let run = fold(&*ports.journal, rollout).await?;
        if run.plan.schema != PLAN_SCHEMA {
            let (rollout, found) = (rollout.clone(), run.plan.schema);
            return Err(Error::OtherSchema { rollout, found });
        }
        let mut others = Vec::new();
        for head in ports.journal.rollouts().await.map_err(Error::Journal)? {
            if head.id != *rollout && !head.ended {
                others.push(fold(&*ports.journal, &head.id).await?);
            }
        }
        let memory = ports.journal.logins().await.map_err(Error::Journal)?;
        let history = History::of(&ports.journal.durations().await.map_err(Error::Journal)?);
        let hostnames = ports.journal.hostnames().await.map_err(Error::Journal)?;
        Ok(Self::assemble(ports, run, &others, &memory, history, hostnames, options))
    }

    fn assemble(
        ports: Ports,
        run: Run,
        others: &[Run],
        memory: &model::event::LoginMemory,
        history: History,
        hostnames: BTreeMap<ApplianceName, String>,
        options: Options,
    ) -> Self {
        let (messages, inbox) = mpsc::unbounded_channel();
        let (questions, asked) = mpsc::unbounded_channel();
        let (events, _) = broadcast::channel(EVENTS_KEPT);
        let told = messages.clone();
        let clock = Arc::clone(&ports.clock);
        let learnt = Arc::new(move |name: ApplianceName, change: ApplianceChange| {
            // Without a driver the process is ending; the next one learns it anew.
            drop(told.send(Message::Fact { task: 0, name, at: clock.now(), change }));
        });
        let handle = Handle { questions, events: events.clone() };
        let rollout = run.id.clone();
        let driver = Driver {
            limits: RequestLimits::of(&run.plan, &ports.clock),
            core: Core::new(run, others, history.clone()),
            journal: ports.journal,
            connector: ports.connector,
            logins: Arc::new(Logins::new(memory, learnt)),
            shared: Arc::new(Shared {
                clock: ports.clock,
                random: ports.random,
                commands: ports.commands,
                power: ports.power,
                bundles: ports.bundles,
                rollout,
                history: Arc::new(pacing::History::of(history)),
                hostnames,
                messages,
                suspects: std::sync::Mutex::default(),
            }),
            inbox,
            questions: asked,
            events,
            options,
            tasks: tokio::task::JoinSet::new(),
            begun: BTreeMap::new(),
            current: BTreeMap::new(),
            dying: BTreeMap::new(),
            ended: Vec::new(),
            contradicted: std::collections::BTreeSet::new(),
            held: Vec::new(),
            by_runtime_id: std::collections::HashMap::new(),
            ports: BTreeMap::new(),
            next_task: 0,
            unwritten: std::collections::VecDeque::new(),
            asked: Vec::new(),
            decided: Vec::new(),
            write_failures: 0,
            write_again_at: None,
            stops: 0,
            stop_by: None,
        };
        Self { driver, handle }
    }

    /// The line to it.
    #[must_use]
    pub fn handle(&self) -> Handle {
        self.handle.clone()
    }

    /// Runs until nothing goes on by itself any more.
    pub async fn run(self) -> Ending {
        drop(self.handle);
        self.driver.run().await
    }
}

/// Events that a slow listener may lag behind before it misses some.
const EVENTS_KEPT: usize = 16 * 1024;

/// Events read in one piece.
const PAGE: usize = 10_000;

async fn fold(journal: &dyn Journal, rollout: &RolloutId) -> Result<Run, Error> {
    let mut run: Option<Run> = None;
    loop {
        let after = run.as_ref().map_or(0, |run| run.seq);
        let page = journal.events(rollout, after, PAGE).await.map_err(Error::Journal)?;
        let last = page.len() < PAGE;
        let damaged = |source| Error::Log { rollout: rollout.clone(), source };
        for event in &page {
            match &mut run {
                None => run = Some(Run::begin(event).map_err(damaged)?),
                Some(run) => {
                    run.apply(event).map_err(damaged)?;
                }
            }
        }
        if last {
            return run.ok_or_else(|| Error::NoSuchRollout(rollout.clone()));
        }
    }
}
