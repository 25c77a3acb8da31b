//! The driver's part without I/O: what steps report is written first, then the core hears of it,
//! then what it commands is carried out. The journal is a list; a process that dies loses all else.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use executor::core::{Command, Core, Rest};
use executor::reasons;
use jiff::{SignedDuration, Timestamp};
use model::decision::{Actor, Decision};
use model::event::{Act, ActKind, ApplianceChange, Change, Event, RolloutChange, Step};
use model::hold::HoldReason;
use model::names::{ApplianceName, RolloutId};
use model::plan::Plan;
use model::run::{CallState, Run};

use super::steps::{Around, Move, Task};
use crate::reference::{Checked, Reference};

/// A rollout, the process that runs it, and what must hold.
pub(crate) struct Drive {
    pub(crate) plan: Arc<Plan>,
    /// The journal.
    pub(crate) log: Vec<Event>,
    pub(crate) core: Core,
    pub(crate) reference: Reference,
    pub(crate) now: Timestamp,
    pub(crate) tasks: BTreeMap<ApplianceName, Task>,
    unwritten: VecDeque<(Timestamp, Change)>,
    asked: Vec<(ApplianceName, Act)>,
    ended: Vec<ApplianceName>,
    /// The journal cannot be written.
    pub(crate) broken: bool,
    /// The process dies after so many more events.
    pub(crate) dies_after: Option<usize>,
    /// What the log does not show.
    pub(crate) met: BTreeSet<&'static str>,
}

/// What became of a write.
#[derive(PartialEq, Eq)]
enum Written {
    Yes,
    No,
    /// The process is gone, and another one has begun.
    Died,
}

fn actor() -> Actor {
    Actor { uid: 1000, name: "tester".to_owned(), pid: 1 }
}

impl Drive {
    pub(crate) fn new(plan: Plan) -> Checked<Self> {
        let plan = Arc::new(plan);
        let now: Timestamp = "2026-12-01T20:00:00Z".parse().expect("a time");
        let change = RolloutChange::PlanAccepted { plan: Arc::clone(&plan), actor: actor() };
        let first = event(1, now, Change::Rollout(change));
        let run = Run::begin(&first).map_err(|why| why.to_string())?;
        let mut drive = Self {
            reference: Reference::new(&plan),
            plan,
            core: Core::new(run, [], Default::default()),
            log: vec![first],
            now,
            tasks: BTreeMap::new(),
            unwritten: VecDeque::new(),
            asked: Vec::new(),
            ended: Vec::new(),
            broken: false,
            dies_after: None,
            met: BTreeSet::new(),
        };
        drive.restart()?;
        drive.write()?;
        Ok(drive)
    }

    /// The process dies: only the journal is left, and a new process takes it up.
    pub(crate) fn restart(&mut self) -> Checked {
        let folded = Run::fold(&self.log).map_err(|why| format!("the log is damaged: {why}"))?;
        let run = folded.ok_or("the log is empty")?;
        self.tasks.clear();
        self.unwritten.clear();
        self.asked.clear();
        self.ended.clear();
        (self.broken, self.dies_after) = (false, None);
        self.reference.restart();
        self.core = Core::new(run, [], Default::default());
        self.draft(Change::Rollout(RolloutChange::RunStarted { pid: 1 }));
        let commands = self.core.begin(self.now);
        self.obey(commands)
    }

    fn obey(&mut self, commands: Vec<Command>) -> Checked {
        for command in commands {
            self.reference.told(&command)?;
            match command {
                Command::Record(change) => self.unwritten.push_back((self.now, change)),
                Command::Cancel(name) => self.cancel(&name),
                Command::Hook { point, .. } => return Err(format!("{point} is not asked for")),
                // It watches and, here, never finds anything.
                Command::Start(_, Step::Soak) => {}
                Command::Start(name, step) => {
                    let view = self.core.run().appliances.get(&name).cloned();
                    if self.tasks.insert(name.clone(), Task::new(step, view)).is_some() {
                        return Err(format!("two steps of {name} are under way"));
                    }
                }
            }
        }
        Ok(())
    }

    fn cancel(&mut self, name: &ApplianceName) {
        self.tasks.remove(name);
        self.asked.retain(|(of, _)| of != name);
        self.ended.retain(|of| of != name);
    }

    /// Says something to the journal.
    pub(crate) fn draft(&mut self, change: Change) {
        self.unwritten.push_back((self.now, change));
    }

    /// One move of one step under way.
    pub(crate) fn go_on(
        &mut self,
        name: &ApplianceName,
        choose: impl Fn(usize) -> usize,
    ) -> Checked {
        let plan = Arc::clone(&self.plan);
        let around = around(&plan, self.now, name);
        let Some(task) = self.tasks.get_mut(name) else { return Ok(()) };
        if task.waits || self.ended.contains(name) {
            return Ok(());
        }
        match task.go_on(&around, choose)? {
            Some(Move::Fact(change)) => self.draft(Change::Appliance(name.clone(), change)),
            Some(Move::About(of, change)) => self.draft(Change::Appliance(of, change)),
            Some(Move::Ask(act)) => self.asked.push((name.clone(), act)),
            Some(Move::End) => self.end(name),
            None => {}
        }
        Ok(())
    }

    /// The step under way has ended.
    pub(crate) fn end(&mut self, name: &ApplianceName) {
        self.ended.push(name.clone());
    }

    /// A person decides, if that is allowed now. A command beside the running program is taken
    /// only while the journal can be written.
    pub(crate) fn decide(&mut self, decision: Decision) {
        if !self.broken && self.core.run().may_decide(&decision).is_ok() {
            let reason = "a test".to_owned();
            let change = RolloutChange::Decided { actor: actor(), reason, decision };
            self.draft(Change::Rollout(change));
        }
    }

    /// A person decides while no process runs; then one begins.
    pub(crate) fn decide_and_begin(&mut self, decision: Option<Decision>) -> Checked {
        self.restart()?;
        self.unwritten.clear();
        if let Some(decision) = decision {
            self.decide(decision);
        }
        for (at, change) in std::mem::take(&mut self.unwritten) {
            self.reference.saw(&change)?;
            self.log.push(event(self.log.len() as u64 + 1, at, change));
        }
        self.restart()
    }

    pub(crate) fn tick(&mut self) -> Checked {
        let commands = self.core.tick(self.now);
        self.obey(commands)
    }

    /// The program is told to stop: only acts whose reply is under way are waited for.
    pub(crate) fn stop(&mut self) {
        self.core.stop();
        self.reference.stopped = true;
        self.met.insert("told to stop");
        let run = self.core.run();
        let idle = self.tasks.keys().filter(|name| !awaits_reply(run, name)).cloned();
        idle.collect::<Vec<_>>().iter().for_each(|name| self.cancel(name));
    }

    /// Whether the program, told to stop, has nothing to wait for any more.
    pub(crate) fn has_stopped(&self) -> bool {
        let run = self.core.run();
        self.reference.stopped && !self.tasks.keys().any(|name| awaits_reply(run, name))
    }

    /// Writes what is to be written, tells the core, and goes on until nothing new follows.
    pub(crate) fn write(&mut self) -> Checked {
        loop {
            let batch: Vec<_> = self.unwritten.iter().cloned().collect();
            if !batch.is_empty() {
                if !self.broken {
                    self.writable(true)?;
                }
                match self.append(batch.clone())? {
                    Written::Yes => {
                        self.unwritten.drain(..batch.len());
                    }
                    Written::No => {
                        self.writable(false)?;
                        self.refuse();
                        return self.check_rest();
                    }
                    Written::Died => continue,
                }
            }
            // An intent comes after all that was reported before it, and so does a step's end.
            if !self.unwritten.is_empty() {
                continue;
            }
            self.admit()?;
            for name in std::mem::take(&mut self.ended) {
                if self.tasks.remove(&name).is_some() {
                    self.reference.ended(&name);
                    let commands = self.core.ended(&name, self.now);
                    self.obey(commands)?;
                }
            }
            if self.unwritten.is_empty() && self.asked.is_empty() {
                return self.check_rest();
            }
        }
    }

    fn append(&mut self, batch: Vec<(Timestamp, Change)>) -> Checked<Written> {
        if self.broken {
            return Ok(Written::No);
        }
        for (at, change) in batch {
            if self.dies_after == Some(0) {
                self.met.insert("died in the middle");
                self.restart()?;
                return Ok(Written::Died);
            }
            self.dies_after = self.dies_after.map(|left| left - 1);
            let event = event(self.log.len() as u64 + 1, at, change);
            self.log.push(event.clone());
            self.reference.saw(&event.change)?;
            let commands =
                self.core.handle(&event, self.now).map_err(|why| format!("illegal: {why}"))?;
            self.obey(commands)?;
        }
        Ok(Written::Yes)
    }

    fn writable(&mut self, writable: bool) -> Checked {
        if self.core.halted() != writable {
            return Ok(());
        }
        self.reference.halted = !writable;
        let commands = self.core.set_halted(!writable, self.now);
        self.obey(commands)
    }

    fn refuse(&mut self) {
        for (name, act) in std::mem::take(&mut self.asked) {
            if let Some(task) = self.tasks.get_mut(&name) {
                self.met.insert("an intent that could not be written");
                task.refused(&act, &HoldReason::JournalNotWritable);
            }
        }
    }

    /// Grants acts: admitted by the core, intent durable, then the step may go on.
    fn admit(&mut self) -> Checked {
        let mut granted = Vec::new();
        for (name, act) in std::mem::take(&mut self.asked) {
            let verdict = self.core.admit(&name, &act, self.now);
            match (verdict, self.tasks.get_mut(&name)) {
                (Ok(()), Some(_)) => granted.push((name, act)),
                (Err(reason), Some(task)) => task.refused(&act, &reason),
                (_, None) => {}
            }
        }
        let now = self.now;
        let intent = |(name, act): &(ApplianceName, Act)| {
            let change = ApplianceChange::Intended(act.clone());
            (now, Change::Appliance(name.clone(), change))
        };
        if !granted.is_empty() && !self.broken {
            self.writable(true)?;
        }
        let written = match granted.is_empty() {
            true => Written::Yes,
            false => self.append(granted.iter().map(intent).collect())?,
        };
        if written == Written::No {
            self.writable(false)?;
        }
        let plan = Arc::clone(&self.plan);
        for (name, act) in granted {
            let around = around(&plan, self.now, &name);
            match (self.tasks.get_mut(&name), &written) {
                (Some(task), Written::Yes) => task.granted(act, &around)?,
                (Some(task), Written::No) => {
                    self.met.insert("an intent that could not be written");
                    task.refused(&act, &HoldReason::JournalNotWritable);
                }
                (_, Written::Died) | (None, _) => {}
            }
        }
        Ok(())
    }

    /// When the core says that nothing goes on by itself, everybody must have a reason.
    fn check_rest(&mut self) -> Checked {
        let plan = Arc::clone(&self.plan);
        let mut names = plan.appliances.keys();
        if let Some(name) = names.nth(self.log.len() % names.len()) {
            let act = Act::Upgrade { slot: model::SlotKey::new("2") };
            let admitted = self.core.admit(name, &act, self.now).is_ok();
            self.reference.admission(name, admitted)?;
        }
        let idle = self.tasks.is_empty() && self.unwritten.is_empty() && !self.broken;
        let stopping = self.reference.stopped;
        let wrong = |(name, task): &(&ApplianceName, &Task)| {
            !stopping && self.core.active(name) != Some(task.step)
        };
        if let Some((name, task)) = self.tasks.iter().find(wrong) {
            return Err(format!("the core lost sight of {} of {name}", task.step.name()));
        }
        match self.at_rest() {
            Some(rest) => {
                let run = self.core.run();
                let why = reasons(run, self.core.history(), self.now);
                self.reference.rest(rest, run, &why, self.core.next_wakeup().is_some())
            }
            // Somebody who is watched after its upgrade is silent, and may answer again.
            None if idle && !stopping && !self.core.watches() => {
                Err("nothing is under way and nothing rests".to_owned())
            }
            None => Ok(()),
        }
    }

    pub(crate) fn at_rest(&self) -> Option<Rest> {
        if !self.unwritten.is_empty() {
            return None;
        }
        self.core.at_rest(self.now, false)
    }

    /// The last events, for a failing test.
    pub(crate) fn story(&self) -> String {
        let line = |event: &Event| match &event.change {
            Change::Appliance(name, ApplianceChange::Preflighted(_)) => format!("{name} preflight"),
            change => format!("{} {change:?}", event.seq).chars().take(200).collect(),
        };
        let from = self.log.len().saturating_sub(60).max(1);
        let lines: Vec<String> = self.log.iter().skip(from).map(line).collect();
        let tasks: Vec<String> =
            self.tasks.iter().map(|(name, task)| format!("{name} {}", task.step.name())).collect();
        format!("{}\nunder way: {tasks:?}", lines.join("\n"))
    }

    /// The time goes on, or jumps.
    pub(crate) fn pass(&mut self, seconds: i64) {
        self.now += SignedDuration::from_secs(seconds);
    }
}

fn event(seq: u64, at: Timestamp, change: Change) -> Event {
    Event { seq, rollout: RolloutId::new("r"), at, change }
}

fn around<'a>(plan: &'a Plan, now: Timestamp, name: &ApplianceName) -> Around<'a> {
    let known = |of| plan.appliances.get(of).or_else(|| plan.bystanders.get(of));
    let group = known(name).and_then(|it| it.group.clone());
    let all = plan.bystanders.values().chain(plan.appliances.values());
    let partner = all
        .filter(|other| group.is_some() && other.group == group && other.name != *name)
        .map(|other| other.name.clone())
        .next();
    Around { plan, now, partner }
}

/// Whether an act was sent and its reply is under way.
fn awaits_reply(run: &Run, name: &ApplianceName) -> bool {
    let Some(state) = run.appliances.get(name) else { return false };
    match state.open.as_ref().map(|open| open.act.kind()) {
        None | Some(ActKind::Upload) => false,
        Some(ActKind::Upgrade) => {
            state.upgrade.as_ref().is_some_and(|upgrade| upgrade.call == CallState::Open)
        }
        Some(_) => true,
    }
}
