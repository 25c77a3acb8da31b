//! Plays a story: plans it, runs the executor against simulated appliances, lets people and
//! accidents act, and tells what happened.

mod acts;
mod ending;
mod planning;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::AtomicI64;
use std::time::Duration;

use executor::{Ending, Executor, Handle, Options, Ports};
use jiff::{SignedDuration, Timestamp};
use model::Sha256Hex;
use model::decision::Actor;
use model::event::Event;
use model::memory::MemoryJournal;
use model::names::RolloutId;
use model::plan::Plan;
use model::ports::{Clock, Connector};
use model::random::Random;
use model::run::Run;
use sim::{AdminAct, Behaviour, SimFleet, SimImage, TokioClock};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use planning::planned;

use super::language::{Act, Differs, Moment, SIZE, Statement, Story, image, url};
use super::props::{Jumping, Power, Programs, Telling, entries, spec};
use super::tale::Tale;

/// No story is longer.
const LONGEST: Duration = Duration::from_hours(100 * 24);

/// What a story tells, and what it broke.
pub(super) struct Played {
    pub(super) text: String,
    pub(super) broken: Vec<String>,
}

/// Plays a story from its first word to its last.
pub(super) async fn play(story: &Story) -> Played {
    let mut plans: Vec<(RolloutId, Arc<Plan>)> = Vec::new();
    for (name, text) in &story.rollouts {
        match planned(story, text) {
            Ok(plan) => plans.push((RolloutId::new(name), Arc::new(plan))),
            Err(faults) => {
                let nothing = story.statements.is_empty();
                assert!(nothing, "{}: nothing happens without a plan:\n{faults}", story.name);
                let text = format!("the planner refuses:\n{faults}");
                return Played { text, broken: Vec::new() };
            }
        }
    }
    let played = tokio::time::timeout(LONGEST, Stage::set(story, plans).play(story)).await;
    played.unwrap_or_else(|_| panic!("{} does not end", story.name))
}

/// Something that is to happen when its time has come.
struct Due {
    at: Timestamp,
    act: Act,
}

/// Something that is to happen after a line of the tale.
struct Waiting {
    text: String,
    after: SignedDuration,
    act: Act,
}

/// What an act means for the program that runs.
enum Then {
    GoesOn,
    IsKilled(SignedDuration),
    Dies,
}

struct Stage {
    name: String,
    clock: Arc<Jumping>,
    fleet: Arc<SimFleet>,
    journal: Arc<MemoryJournal>,
    programs: Arc<Programs>,
    ports: Ports,
    events: mpsc::UnboundedReceiver<Event>,
    plans: Vec<(RolloutId, Arc<Plan>)>,
    accepted: BTreeSet<RolloutId>,
    current: RolloutId,
    runs: BTreeMap<RolloutId, Run>,
    tale: Tale,
    start: Timestamp,
    dues: Vec<Due>,
    waiting: Vec<Waiting>,
    /// Appliances whose inventory entry takes the primary for the secondary.
    lied_of: Vec<String>,
}

impl Stage {
    fn set(story: &Story, plans: Vec<(RolloutId, Arc<Plan>)>) -> Self {
        let inner = TokioClock::starting_at(story.start);
        let clock = Arc::new(Jumping { inner, ahead: AtomicI64::new(0) });
        let entries = entries(plans.iter().map(|(_, plan)| &**plan));
        let mut builder = SimFleet::builder().seed(1).faults(story.faults.clone());
        builder = builder.clock(Arc::clone(&clock) as Arc<dyn Clock>);
        for entry in entries.values() {
            let differs = story.appliances.iter().filter(|(name, _)| *name == entry.name);
            builder = builder.appliance(spec(entry, differs.map(|(_, differs)| differs)));
        }
        for hop in plans.iter().flat_map(|(_, plan)| plan.hops()) {
            let version = hop.version.to_string();
            builder = builder.image(&url(&version), image(&version));
        }
        let acts = story.statements.iter().filter_map(|statement| match statement {
            Statement::Do(act) | Statement::At(_, act) | Statement::When { act, .. } => Some(act),
            _ => None,
        });
        for act in acts {
            if let Act::Admin(_, AdminAct::StartFetch { url, sha256 }) = act {
                let sha256 = Sha256Hex::parse(sha256).expect("a sum");
                let other = SimImage { version: "7.4.0".to_owned(), size: SIZE, sha256 };
                builder = builder
                    .image(url, if *url == self::url("7.5.1") { image("7.5.1") } else { other });
            }
        }
        let fleet = builder.build();
        for (name, differs) in &story.appliances {
            let appliance = fleet.appliance(name.as_str());
            let appliance =
                appliance.unwrap_or_else(|| panic!("{}: there is no {name}", story.name));
            if let Differs::Armed(slot) = differs {
                appliance.admin(&AdminAct::Arm { slot: Some(slot.clone()) });
            }
        }
        let journal = Arc::new(MemoryJournal::default());
        let (sender, events) = mpsc::unbounded_channel();
        let programs = Arc::new(Programs {
            fleet: Arc::clone(&fleet),
            entries: entries.clone(),
            failing: Mutex::default(),
        });
        let ports = Ports {
            journal: Arc::new(Telling { inner: Arc::clone(&journal), events: sender }),
            connector: fleet.connector() as Arc<dyn Connector>,
            clock: Arc::clone(&clock) as Arc<dyn Clock>,
            commands: Arc::clone(&programs) as Arc<_>,
            power: Arc::new(Power { fleet: Arc::clone(&fleet), entries }),
            bundles: None,
            random: Arc::new(Random::seeded(1)),
        };
        let zones: BTreeSet<&str> = plans
            .iter()
            .flat_map(|(_, plan)| plan.calendars.values())
            .map(|calendar| calendar.time_zone.as_str())
            .collect();
        let zone = if zones.len() == 1 { zones.first().copied() } else { None };
        let mut tale = Tale::new(zone.filter(|zone| *zone != "UTC"));
        for (place, (id, plan)) in plans.iter().enumerate() {
            tale.plan(id, plan, place == 0);
        }
        Self {
            name: story.name.clone(),
            clock,
            fleet,
            journal,
            programs,
            ports,
            events,
            accepted: BTreeSet::new(),
            current: plans.first().map(|(id, _)| id.clone()).expect("a plan"),
            plans,
            runs: BTreeMap::new(),
            tale,
            start: story.start,
            dues: Vec::new(),
            waiting: Vec::new(),
            lied_of: story
                .faults
                .behaviours
                .iter()
                .filter(|rule| rule.does == Behaviour::SwitchIsPrimary {})
                .map(|rule| rule.appliance.clone())
                .collect(),
        }
    }

    async fn play(mut self, story: &Story) -> Played {
        for statement in &story.statements {
            match statement {
                Statement::At(at, act) => {
                    let at = match at {
                        Moment::At(at) => *at,
                        Moment::After(after) => self.start.checked_add(*after).expect("a time"),
                    };
                    self.dues.push(Due { at, act: act.clone() });
                }
                Statement::When { text, after, act } => {
                    let (text, after, act) = (text.clone(), *after, act.clone());
                    self.waiting.push(Waiting { text, after, act });
                }
                Statement::Do(act) => {
                    self.accept().await;
                    let _ = self.act(act, None).await;
                    self.listen();
                }
                Statement::Run { rollout, no_wait } => {
                    self.take_up(rollout.as_deref()).await;
                    let options = Options { no_wait: *no_wait, stay_for_person: false };
                    self.run(options, None).await;
                }
                Statement::Serve { rollout, lasts } => {
                    self.take_up(rollout.as_deref()).await;
                    let options = Options { no_wait: false, stay_for_person: true };
                    self.run(options, Some(*lasts)).await;
                }
                Statement::Wait(lasts) => {
                    self.pass(*lasts).await;
                    self.tale.at(self.clock.now(), &format!("{lasts:#} have passed"));
                }
            }
        }
        self.end()
    }

    /// Lets time pass while no program runs.
    async fn pass(&mut self, lasts: SignedDuration) {
        let until = self.clock.monotonic() + lasts.unsigned_abs();
        loop {
            while let Some(act) = self.due() {
                let _ = self.act(&act, None).await;
            }
            let left = until.saturating_sub(self.clock.monotonic());
            if left.is_zero() {
                return;
            }
            self.clock.sleep(left.min(self.next_due().unwrap_or(left))).await;
        }
    }

    async fn take_up(&mut self, rollout: Option<&str>) {
        if let Some(name) = rollout {
            let id = RolloutId::new(name);
            assert!(self.plans.iter().any(|(known, _)| *known == id), "there is no rollout {name}");
            self.current = id;
        }
        self.accept().await;
    }

    async fn accept(&mut self) {
        let id = self.current.clone();
        if self.accepted.insert(id.clone()) {
            let plan = self.plans.iter().find(|(known, _)| *known == id);
            let plan = plan.map(|(_, plan)| Arc::clone(plan)).expect("a plan");
            Executor::accept(&self.ports, id, plan, actor()).await.expect("accepted");
            self.listen();
        }
    }

    /// Runs the current rollout until it ends, or dies, or is stopped.
    async fn run(&mut self, options: Options, lasts: Option<SignedDuration>) {
        let stops = lasts.map(|lasts| self.clock.monotonic() + lasts.unsigned_abs());
        let which = if self.plans.len() > 1 { format!(" {}", self.current) } else { String::new() };
        let how = if options.stay_for_person { "the service runs" } else { "run" };
        self.tale.say(&format!("--- {how}{which}"));
        loop {
            let executor = Executor::load(self.ports.clone(), &self.current, options).await;
            let executor = executor.expect("loaded");
            let handle = executor.handle();
            let mut running = JoinSet::new();
            running.spawn(executor.run());
            match self.beside(&mut running, &handle, stops).await {
                Ok(ending) => {
                    self.listen();
                    while let Some(act) = self.due() {
                        let _ = self.act(&act, None).await;
                        self.listen();
                    }
                    let code = ending.exit() as u8;
                    let ends = format!("--- {}{which} (exit {code})", ending.describe());
                    self.tale.at(self.clock.now(), &ends);
                    self.why();
                    return;
                }
                Err(then) => {
                    running.shutdown().await;
                    self.listen();
                    match then {
                        Then::IsKilled(lasts) => {
                            self.tale.at(self.clock.now(), "THE PROGRAM IS KILLED");
                            self.pass(lasts).await;
                            self.tale.at(self.clock.now(), "the program is started again");
                        }
                        Then::Dies | Then::GoesOn => {
                            self.tale.at(self.clock.now(), "--- THE PROGRAM DIES");
                            return;
                        }
                    }
                }
            }
        }
    }

    async fn beside(
        &mut self,
        running: &mut JoinSet<Ending>,
        handle: &Handle,
        stops: Option<Duration>,
    ) -> Result<Ending, Then> {
        let mut stopped = false;
        loop {
            while let Some(act) = self.due() {
                match self.act(&act, Some(handle)).await {
                    Then::GoesOn => {}
                    then => return Err(then),
                }
            }
            let now = self.clock.monotonic();
            if !stopped && stops.is_some_and(|stops| stops <= now) {
                handle.stop();
                stopped = true;
            }
            let left = stops.filter(|_| !stopped).map(|stops| stops.saturating_sub(now));
            let next = [left, self.next_due()].into_iter().flatten().min();
            let sleep = self.clock.sleep(next.unwrap_or(LONGEST));
            tokio::select! {
                biased;
                event = self.events.recv() => self.tell(&event.expect("a journal")),
                Some(ended) = running.join_next() => {
                    return Ok(ended.expect("the executor does not panic"));
                }
                () = sleep => {}
            }
        }
    }

    /// Takes what was written and is not told yet.
    fn listen(&mut self) {
        while let Ok(event) = self.events.try_recv() {
            self.tell(&event);
        }
    }

    fn tell(&mut self, event: &Event) {
        let run = match self.runs.remove(&event.rollout) {
            None => Run::begin(event).expect("a first event"),
            Some(mut run) => {
                run.apply(event).expect("an event that can happen");
                run
            }
        };
        let line = self.tale.tell(event, &run);
        self.runs.insert(event.rollout.clone(), run);
        if let Some(line) = line {
            assert!(!line.contains("please report this"), "{}: {line}", self.name);
            self.heard(event.at, &line);
        }
    }

    /// Lets those happen who waited for this line.
    fn heard(&mut self, at: Timestamp, line: &str) {
        let waiting = std::mem::take(&mut self.waiting);
        for one in waiting {
            if line.starts_with(&one.text) {
                let at = at.checked_add(one.after).expect("a time");
                self.dues.push(Due { at, act: one.act });
            } else {
                self.waiting.push(one);
            }
        }
    }

    fn due(&mut self) -> Option<Act> {
        let now = self.clock.now();
        let due = (0..self.dues.len()).filter(|at| self.dues[*at].at <= now);
        let first = due.min_by_key(|at| self.dues[*at].at)?;
        Some(self.dues.remove(first).act)
    }

    fn next_due(&self) -> Option<Duration> {
        let now = self.clock.now();
        let next = self.dues.iter().map(|due| due.at).min()?;
        Some(next.duration_since(now).max(SignedDuration::ZERO).unsigned_abs())
    }
}

fn actor() -> Actor {
    Actor { uid: 1000, name: "ann".to_owned(), pid: 1 }
}
