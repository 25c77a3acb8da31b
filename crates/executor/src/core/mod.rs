//! Every scheduling decision, without I/O and without a clock: an event and the time go in,
//! commands come out. What is true is folded from the journal's events; the core adds only which
//! steps are under way in this process.

mod abort;
mod account;
mod reasons;
mod schedule;
mod want;

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};
use model::event::{ApplianceChange, Change, Event, RolloutChange, Step, StepDuration};
use model::hold::HoldReason;
use model::names::{ApplianceName, SiteName};
use model::run::{ApplianceRun, IllegalEvent, Phase, Run};
use model::safety::Occupancy;

use account::{limits_of, membership};
pub use reasons::reasons;
use schedule::breach_of;

/// How long an appliance that was given up and is down is still looked at before the rest of the
/// rollout stops counting on it.
const LAST_LOOKS: SignedDuration = SignedDuration::from_secs(30);

/// What the driver is to do.
#[derive(Debug, Clone, PartialEq)]
pub enum Command {
    /// Append this to the journal, then hand the event back to the core.
    Record(Change),
    /// Begin a step. At most one step of an appliance is under way.
    Start(ApplianceName, Step),
    /// Break the step under way off; nothing it still reports counts.
    Cancel(ApplianceName),
}

/// Why nothing goes on by itself any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rest {
    /// The rollout has ended.
    Ended,
    /// A person is waited for.
    Person,
    /// Only time or other appliances can cure what is waited for.
    Time,
}

/// The scheduler of one rollout.
#[derive(Debug)]
pub struct Core {
    run: Run,
    occupancy: Occupancy,
    /// Position in wave order, and the wave, of every member.
    places: BTreeMap<ApplianceName, (usize, usize)>,
    order: Vec<ApplianceName>,
    active: BTreeMap<ApplianceName, Step>,
    /// Members that may have something to begin; looked at in order.
    eager: BTreeSet<usize>,
    /// Staged and tested, waiting for leave to go down, by wave.
    ready: Vec<BTreeSet<usize>>,
    /// Waiting for a place for their transfer.
    to_stage: BTreeSet<usize>,
    transfers: BTreeMap<SiteName, BTreeSet<ApplianceName>>,
    transfers_in_all: usize,
    /// Set-aside members by the time when they are asked again.
    timers: BTreeSet<(Timestamp, usize)>,
    timer_of: BTreeMap<usize, Timestamp>,
    /// Members not finished, by wave.
    unfinished: Vec<usize>,
    /// Held when this process began: looked at once more.
    look_again: BTreeSet<ApplianceName>,
    /// Found to wait for a person by a look of this process.
    confirmed: BTreeSet<ApplianceName>,
    /// Since when an appliance is only watched.
    watched_since: BTreeMap<ApplianceName, Timestamp>,
    /// Since when bystanders do not answer.
    dark_since: BTreeMap<ApplianceName, Timestamp>,
    /// Recorded, but not yet come back as events.
    announced: BTreeSet<&'static str>,
    /// Permits recorded, but not yet come back as events.
    permitting: BTreeSet<ApplianceName>,
    /// Left out by an abort; recorded, but not yet come back as events.
    leaving: BTreeSet<ApplianceName>,
    /// How long the step took that the last event ended.
    took: Option<StepDuration>,
    halted: bool,
    stopping: bool,
}

impl Core {
    /// A scheduler for a folded rollout. `others` are the unfinished rollouts of the same journal:
    /// their appliances that are down take places in sites and groups too.
    #[must_use]
    pub fn new<'a>(run: Run, others: impl IntoIterator<Item = &'a Run>) -> Self {
        let mut occupancy = limits_of(&run);
        for other in others {
            for (name, state) in &other.appliances {
                if state.is_down()
                    && let Some(mut who) = membership(other, name)
                {
                    who.rollout = None;
                    occupancy.take(&who);
                }
            }
        }
        let order: Vec<ApplianceName> =
            run.plan.in_order().map(|(_, appliance)| appliance.name.clone()).collect();
        let wave_of = run.plan.waves.iter().enumerate().flat_map(|(wave, planned)| {
            planned.appliances.iter().map(move |name| (name.clone(), wave))
        });
        let wave_of: BTreeMap<ApplianceName, usize> = wave_of.collect();
        let place = |(index, name): (usize, &ApplianceName)| {
            (name.clone(), (index, wave_of.get(name).copied().unwrap_or_default()))
        };
        let places = order.iter().enumerate().map(place).collect();
        let held = |(name, state): (&ApplianceName, &ApplianceRun)| {
            (state.phase == Phase::Held).then(|| name.clone())
        };
        let look_again = run.appliances.iter().filter_map(held).collect();
        let waves = run.plan.waves.len();
        let mut core = Self {
            occupancy,
            places,
            active: BTreeMap::new(),
            eager: (0..order.len()).collect(),
            ready: vec![BTreeSet::new(); waves],
            to_stage: BTreeSet::new(),
            transfers: BTreeMap::new(),
            transfers_in_all: 0,
            timers: BTreeSet::new(),
            timer_of: BTreeMap::new(),
            unfinished: vec![0; waves],
            look_again,
            confirmed: BTreeSet::new(),
            watched_since: BTreeMap::new(),
            dark_since: BTreeMap::new(),
            announced: BTreeSet::new(),
            permitting: BTreeSet::new(),
            leaving: BTreeSet::new(),
            took: None,
            halted: false,
            stopping: false,
            order,
            run,
        };
        core.recount();
        for name in core.order.clone() {
            let phase = core.run.appliances.get(&name).map(|run| run.phase);
            core.account(&name, phase);
        }
        for name in core.run.dark_bystanders.clone() {
            core.account_bystander(&name);
        }
        core
    }

    /// How long the step took that the last event ended, once.
    pub fn take_duration(&mut self) -> Option<StepDuration> {
        self.took.take()
    }

    /// What the core knows.
    #[must_use]
    pub fn run(&self) -> &Run {
        &self.run
    }

    /// Whether the journal cannot be written.
    #[must_use]
    pub fn halted(&self) -> bool {
        self.halted
    }

    /// The step of an appliance that is under way.
    #[must_use]
    pub fn active(&self, name: &ApplianceName) -> Option<Step> {
        self.active.get(name).copied()
    }

    /// Begins, or goes on after a restart.
    pub fn begin(&mut self, now: Timestamp) -> Vec<Command> {
        self.schedule(now)
    }

    /// Folds an event in and decides what follows.
    ///
    /// # Errors
    /// When the event cannot happen; the core is then unchanged.
    pub fn handle(&mut self, event: &Event, now: Timestamp) -> Result<Vec<Command>, IllegalEvent> {
        let before = match &event.change {
            Change::Appliance(name, _) => self.run.appliances.get(name).map(|run| run.phase),
            Change::Rollout(_) => None,
        };
        self.took = self.run.apply(event)?;
        let mut commands = Vec::new();
        match &event.change {
            Change::Appliance(name, change) => {
                match change {
                    ApplianceChange::Permitted => {
                        self.permitting.remove(name);
                    }
                    ApplianceChange::Skipped(_) => {
                        self.leaving.remove(name);
                    }
                    ApplianceChange::Held(_) => {
                        self.confirmed.insert(name.clone());
                    }
                    ApplianceChange::Unreachable => {
                        self.dark_since.entry(name.clone()).or_insert(event.at);
                    }
                    ApplianceChange::Reachable | ApplianceChange::Up { .. } => {
                        self.dark_since.remove(name);
                    }
                    _ => {}
                }
                if self.run.appliances.contains_key(name) {
                    self.account(name, before);
                } else {
                    self.account_bystander(name);
                }
            }
            Change::Rollout(change) => self.rollout_changed(change, &mut commands),
        }
        commands.extend(self.schedule(now));
        Ok(commands)
    }

    /// A step has ended (its last report was handled before).
    pub fn ended(&mut self, name: &ApplianceName, now: Timestamp) -> Vec<Command> {
        if let Some(step) = self.active.remove(name) {
            self.free_transfer(name, step);
        }
        let mut commands = Vec::new();
        // It may have been down when the rollout was aborted, and is not any more. What its step
        // had to say of it is said.
        self.give_up(name, &mut commands);
        self.wake(name);
        commands.extend(self.schedule(now));
        commands
    }

    /// Time has passed.
    pub fn tick(&mut self, now: Timestamp) -> Vec<Command> {
        while let Some((at, index)) = self.timers.first().copied() {
            if at > now {
                break;
            }
            self.set_timer(index, None);
            self.eager.insert(index);
        }
        self.schedule(now)
    }

    /// When [`Core::tick`] has something to do.
    #[must_use]
    pub fn next_wakeup(&self) -> Option<Timestamp> {
        self.timers.first().map(|(at, _)| *at)
    }

    /// The journal cannot be written, or can again.
    pub fn set_halted(&mut self, halted: bool, now: Timestamp) -> Vec<Command> {
        self.halted = halted;
        self.schedule(now)
    }

    /// No new step begins any more.
    pub fn stop(&mut self) {
        self.stopping = true;
    }

    /// Whether the disruptive call may be made right now: the last question before its intent.
    ///
    /// # Errors
    /// Why not.
    pub fn admit_disruption(&self, name: &ApplianceName) -> Result<(), HoldReason> {
        if let Some(reason) = self.closed() {
            return Err(reason);
        }
        if self.stopping || self.run.aborted {
            return Err(HoldReason::Paused);
        }
        let who = membership(&self.run, name);
        who.map_or(Err(HoldReason::Paused), |who| self.occupancy.may_go_down(&who))
    }

    /// Whether an appliance that is down by our call may be rebooted right now: it has its places,
    /// but a partner may have gone down since.
    ///
    /// # Errors
    /// Why not.
    pub fn admit_reboot(&self, name: &ApplianceName) -> Result<(), HoldReason> {
        if self.halted {
            return Err(HoldReason::JournalNotWritable);
        }
        membership(&self.run, name).map_or(Ok(()), |who| self.occupancy.may_go_down(&who))
    }

    /// Why nobody may go down, whoever it is.
    fn closed(&self) -> Option<HoldReason> {
        if self.halted {
            return Some(HoldReason::JournalNotWritable);
        }
        if self.run.pause.is_some() {
            return Some(HoldReason::Paused);
        }
        let breach = self.run.breach.map(|breach| (breach.failures, breach.limit));
        breach
            .or_else(|| breach_of(&self.run).map(|(failures, limit, _)| (failures, limit)))
            .map(|(failures, limit)| HoldReason::BudgetReached { failures, limit })
    }

    /// What is waited for when no step that can change something is under way; `None` while
    /// something goes on by itself. With `no_wait`, what is only watched does not count as that.
    #[must_use]
    pub fn at_rest(&self, now: Timestamp, no_wait: bool) -> Option<Rest> {
        let only_time = |step: Step| no_wait && step == Step::Watch;
        let mut going = self.active.iter().filter(|(name, step)| self.goes_on(name, **step, now));
        let watched = going.clone().any(|(_, step)| only_time(*step));
        if going.any(|(_, step)| !only_time(*step))
            || !self.announced.is_empty()
            || !self.permitting.is_empty()
        {
            return None;
        }
        if self.run.has_ended() {
            return Some(Rest::Ended);
        }
        if (watched || !self.timers.is_empty()) && !self.run.aborted {
            return Some(Rest::Time);
        }
        Some(Rest::Person)
    }

    /// Whether a step under way may still bring the rollout forward by itself.
    fn goes_on(&self, name: &ApplianceName, step: Step, now: Timestamp) -> bool {
        let Some(run) = self.run.appliances.get(name) else {
            return self.may_come_back(name, now);
        };
        match step {
            Step::Watch if run.phase.is_terminal() => {
                let since = self.watched_since.get(name).copied().unwrap_or(now);
                now.duration_since(since) < LAST_LOOKS
            }
            Step::Return => run.phase != Phase::Attended || !self.confirmed.contains(name),
            // A member that stopped answering comes back, or fails when its wait is over.
            Step::Watch
            | Step::Preflight
            | Step::Stage
            | Step::Test
            | Step::Activate
            | Step::Verify
            | Step::Cleanup => true,
        }
    }

    fn may_come_back(&self, name: &ApplianceName, now: Timestamp) -> bool {
        let since = self.dark_since.get(name).copied().unwrap_or(now);
        now.duration_since(since) < self.run.plan.unreachable_wait
    }

    fn rollout_changed(&mut self, change: &RolloutChange, commands: &mut Vec<Command>) {
        match change {
            RolloutChange::WaveStarted { .. } => {
                self.announced.remove("wave-started");
                self.eager.extend(0..self.order.len());
            }
            RolloutChange::WaveFinished { .. } => {
                self.announced.remove("wave-finished");
            }
            RolloutChange::BudgetReached { .. } => {
                self.announced.remove("budget");
            }
            RolloutChange::Finished => {
                self.announced.remove("finished");
            }
            RolloutChange::Decided { decision, .. } => {
                use model::decision::Decision;
                match decision {
                    Decision::Retry { appliances } | Decision::Skip { appliances } => {
                        for name in appliances {
                            self.look_again.remove(name);
                            self.refold(name, commands);
                        }
                    }
                    Decision::Resolve { appliance, .. } => self.refold(appliance, commands),
                    Decision::Pause { .. }
                    | Decision::Resume
                    | Decision::Abort
                    | Decision::Approve { .. } => {}
                }
            }
            RolloutChange::PlanAccepted { .. }
            | RolloutChange::Replanned { .. }
            | RolloutChange::RunStarted { .. }
            | RolloutChange::RunStopped { .. } => {}
        }
        self.give_up_all(commands);
        self.eager.extend(0..self.order.len());
    }

    /// A decision changed this appliance behind the back of the step under way.
    fn refold(&mut self, name: &ApplianceName, commands: &mut Vec<Command>) {
        if let Some(step) = self.active.remove(name) {
            self.free_transfer(name, step);
            commands.push(Command::Cancel(name.clone()));
        }
        self.recount();
        let phase = self.run.appliances.get(name).map(|run| run.phase);
        self.account(name, phase);
    }
}

/// How long a set-aside appliance waits before it is asked again: doubling from a quarter of a
/// minute to five minutes, but never beyond the end of its wait.
#[must_use]
pub fn ask_again_after(set_aside_for: SignedDuration, wait: SignedDuration) -> SignedDuration {
    const FIRST: SignedDuration = SignedDuration::from_secs(15);
    const LAST: SignedDuration = SignedDuration::from_mins(5);
    let left = wait.saturating_sub(set_aside_for).max(SignedDuration::ZERO);
    set_aside_for.clamp(FIRST, LAST).min(left).max(SignedDuration::from_millis(250))
}
