//! Plays a story: plans it, runs the executor against simulated appliances, lets people and
//! accidents act, and tells what happened.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use executor::{Ending, Executor, Handle, Options, Ports};
use jiff::{SignedDuration, Timestamp};
use model::Sha256Hex;
use model::decision::{Actor, Decision};
use model::event::{Change, Draft, Event, RolloutChange};
use model::history::History;
use model::hold::HoldReason;
use model::memory::MemoryJournal;
use model::names::RolloutId;
use model::plan::Plan;
use model::ports::{Clock, Connector, Journal};
use model::random::Random;
use model::run::Run;
use planner::{Facts, Source};
use sim::{AdminAct, Behaviour, SimFleet, SimImage, TokioClock};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::language::{Act, Differs, Hand, Moment, SIZE, Statement, Story, image, url};
use super::limits::broken;
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

fn planned(story: &Story, rollout: &str) -> Result<Plan, String> {
    let source = |name: &str, text: &str| Source {
        name: name.to_owned(),
        folder: "/etc/spsfleet".to_owned(),
        text: text.to_owned(),
    };
    let inputs =
        planner::read(source("fleet.yaml", &story.fleet), Some(source("rollout.yaml", rollout)));
    let plan = inputs.and_then(|inputs| {
        let plan = planner::plan(&inputs, &Facts::not_looked_at())?;
        let again = planner::plan(&inputs, &Facts::not_looked_at())?;
        let bytes = |plan: &Plan| serde_json::to_vec(plan).expect("JSON");
        assert_eq!(bytes(&plan), bytes(&again), "{}: same inputs, same plan", story.name);
        Ok(plan)
    });
    let plan = plan.map_err(|faults| {
        let line = |fault: &planner::Fault| format!("  {fault}\n");
        faults.iter().map(line).collect::<String>()
    })?;
    assert_eq!(planner::lint(&plan), [], "{}: the linter and the planner differ", story.name);
    Ok(plan)
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
                    drop(self.act(act, None).await);
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
                drop(self.act(&act, None).await);
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
                        drop(self.act(&act, None).await);
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

    async fn act(&mut self, act: &Act, handle: Option<&Handle>) -> Then {
        let now = self.clock.now();
        let mut say = |line: &str| self.tale.at(now, line);
        match act {
            Act::Person(decision) => self.decide(decision, handle).await,
            Act::Hands(name, hand) => {
                let appliance = self.fleet.appliance(name.as_str()).expect("it is there");
                let did = match hand {
                    Hand::Reboot => {
                        appliance.reboot();
                        "reboots"
                    }
                    Hand::SecondaryOff => {
                        appliance.secondary_off();
                        "shuts down the secondary of"
                    }
                    Hand::SecondaryOn => {
                        appliance.secondary_on();
                        "switches on the secondary of"
                    }
                    Hand::PowerOff => {
                        appliance.power_off();
                        "unplugs"
                    }
                    Hand::PowerOn => {
                        appliance.power_on();
                        "plugs in"
                    }
                };
                say(&format!("somebody {did} {name}"));
            }
            Act::Admin(name, act) => {
                self.fleet.appliance(name.as_str()).expect("it is there").admin(act);
                let act = serde_json::to_string(act).expect("JSON");
                say(&format!("another administrator at {name}: {act}"));
            }
            Act::Kill(lasts) => return Then::IsKilled(*lasts),
            Act::Die => return Then::Dies,
            Act::Journal { works } => {
                self.journal.break_with((!works).then_some("disk full"));
                say(if *works { "the journal works again" } else { "THE JOURNAL BREAKS" });
            }
            Act::Program { name, fails, of } => {
                let mut failing = self.programs.failing.lock().expect("no panic");
                if *fails {
                    failing.insert(name.clone(), of.clone());
                } else {
                    failing.remove(name);
                }
            }
            Act::Clock(by) => {
                self.clock.ahead.fetch_add(by.as_secs(), Ordering::Relaxed);
                let forth = if by.is_negative() { "back" } else { "on" };
                say(&format!("the clock jumps {forth} by {:#}", by.abs()));
            }
            Act::Look => match handle {
                Some(handle) => {
                    let snapshot = handle.snapshot().await.expect("it runs");
                    self.listen();
                    let (run, why, halted) = snapshot;
                    let state = run.state(halted).name();
                    self.tale.at(self.clock.now(), &format!("a look: {state}"));
                    self.reasons(&run, &why);
                }
                None => {
                    self.tale.at(now, "a look");
                    self.why();
                }
            },
        }
        Then::GoesOn
    }

    /// Through the program that runs, else into the journal for the next one.
    async fn decide(&mut self, decision: &Decision, handle: Option<&Handle>) {
        let (actor, reason) = (actor(), "a story".to_owned());
        let taken = match handle {
            Some(handle) => handle.decide(actor, reason, decision.clone()).await,
            None => match self.runs[&self.current].may_decide(decision) {
                Ok(()) => {
                    let decision = decision.clone();
                    let change = RolloutChange::Decided { actor, reason, decision };
                    let (rollout, at) = (self.current.clone(), self.clock.now());
                    let draft = Draft { rollout, at, change: Change::Rollout(change) };
                    let written = self.ports.journal.append(&[draft]).await;
                    written.map(drop).map_err(|error| error.to_string())
                }
                Err(why) => Err(why),
            },
        };
        self.listen();
        if let Err(why) = taken {
            let said = self.tale.decided(decision);
            self.tale.at(self.clock.now(), &format!("PERSON {said} is REFUSED: {why}"));
        }
    }

    /// Why appliances of the current rollout wait, from the journal.
    fn why(&mut self) {
        let Some(run) = self.runs.get(&self.current).cloned() else { return };
        let why = self.reasons_of(&run);
        self.reasons(&run, &why);
    }

    fn reasons_of(&self, run: &Run) -> BTreeMap<model::ApplianceName, HoldReason> {
        let durations = futures::FutureExt::now_or_never(self.journal.durations());
        let durations = durations.expect("at once").expect("readable");
        let others = self.runs.values().filter(|other| other.id != run.id && !other.has_ended());
        executor::reasons_among(run, others, &History::of(&durations), self.clock.now())
    }

    fn reasons(&mut self, run: &Run, why: &BTreeMap<model::ApplianceName, HoldReason>) {
        // Who waits for the same thing is told of together.
        let mut said: Vec<(String, Vec<&str>)> = Vec::new();
        for (name, reason) in why {
            let phase = run.appliances.get(name).map_or("gone", |run| run.phase.name());
            let reason = format!("is {phase}, {}", self.tale.hold(reason));
            match said.iter_mut().find(|(known, _)| *known == reason) {
                Some((_, names)) => names.push(name.as_str()),
                None => said.push((reason, vec![name.as_str()])),
            }
        }
        for (reason, names) in said {
            self.tale.say(&format!("  {} {reason}", names.join(", ")));
        }
    }

    /// How everything stands in the end.
    fn end(mut self) -> Played {
        self.listen();
        let never = |text: &str| format!("{}: this never happened: {text}", self.name);
        if let Some(one) = self.waiting.first() {
            panic!("{}\n{}", never(&one.text), self.tale.text());
        }
        if let Some(one) = self.dues.first() {
            panic!("{}\n{}", never(&one.at.to_string()), self.tale.text());
        }
        self.tale.say("--- the end");
        for run in self.runs.values() {
            if self.plans.len() > 1 {
                self.tale.say(&format!("{} is {}", run.id, run.state(false).name()));
            } else {
                self.tale.say(&format!("the rollout is {}", run.state(false).name()));
            }
            for (name, state) in &run.appliances {
                let appliance = self.fleet.appliance(name.as_str()).expect("it is there");
                let (version, phase) = (appliance.version(), state.phase.name());
                let mut line = format!("  {name} runs {version}, {phase}");
                if let Some(pair) = appliance.pair() {
                    let power = if pair.secondary_has_power { "on" } else { "off" };
                    let whole = match (pair.broken, pair.whole) {
                        (true, _) => "BROKEN",
                        (false, true) => "whole",
                        (false, false) => "apart",
                    };
                    let holds = &pair.secondary_holds;
                    line += &format!("; secondary {power} with {holds}, pair {whole}");
                }
                self.tale.say(&line);
            }
            for debt in run.debts() {
                let stuck = debt.stuck.unwrap_or_else(|| format!("when {}", debt.condition));
                self.tale.say(&format!("  debt of {}: {}; {stuck}", debt.appliance, debt.undo));
            }
        }
        let events = self.journal.all();
        let broken = broken(self.fleet.ledger(), &events, self.start, self.clock.now());
        // Where the inventory names the wrong node, nothing else tells before it is tried.
        let (expected, broken): (Vec<_>, Vec<_>) = broken.into_iter().partition(|one| {
            self.lied_of.iter().any(|of| one.starts_with(&format!("{of}: the primary was down")))
        });
        for one in expected {
            self.tale.say(&format!("observer: since the inventory names the wrong node: {one}"));
        }
        match &broken[..] {
            [] => self.tale.say("observer: nothing broken"),
            all => {
                for one in all {
                    self.tale.say(&format!("observer: BROKEN: {one}"));
                }
            }
        }
        Played { text: self.tale.text().to_owned(), broken }
    }
}

fn actor() -> Actor {
    Actor { uid: 1000, name: "ann".to_owned(), pid: 1 }
}
