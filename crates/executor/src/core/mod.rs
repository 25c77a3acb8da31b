//! Every scheduling decision, without I/O and without a clock: an event and the time go in,
//! commands come out. What is true is folded from the journal's events; the core adds only which
//! steps are under way in this process.

mod reasons;
mod want;

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};
use model::event::{ApplianceChange, Change, Event, RolloutChange, SkipReason, Step, StepDuration};
use model::hold::HoldReason;
use model::names::{ApplianceName, SiteName};
use model::plan::Plan;
use model::rollout::{OnBreach, StageMode};
use model::run::{ApplianceRun, IllegalEvent, Phase, Run};
use model::safety::{Membership, Occupancy};

pub use reasons::reasons;
use want::{Want, want};

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
    /// Since when members and bystanders do not answer.
    dark_since: BTreeMap<ApplianceName, Timestamp>,
    /// Recorded, but not yet come back as events.
    announced: BTreeSet<&'static str>,
    /// Permits recorded, but not yet come back as events.
    permitting: BTreeSet<ApplianceName>,
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
                if matches!(change, ApplianceChange::Permitted) {
                    self.permitting.remove(name);
                }
                match change {
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
        self.wake(name);
        self.schedule(now)
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
    /// something goes on by itself.
    #[must_use]
    pub fn at_rest(&self, now: Timestamp) -> Option<Rest> {
        let going = self.active.iter().any(|(name, step)| self.goes_on(name, *step, now));
        if going || !self.announced.is_empty() || !self.permitting.is_empty() {
            return None;
        }
        if self.run.has_ended() {
            return Some(Rest::Ended);
        }
        if !self.timers.is_empty() && !self.run.aborted {
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
            Step::Watch => self.may_come_back(name, now),
            Step::Return => run.phase != Phase::Attended || !self.confirmed.contains(name),
            Step::Preflight
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
        if self.run.aborted {
            self.give_up(commands);
        }
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

    /// Aborted: whoever is not down is left out. Who is down is watched to its end.
    fn give_up(&mut self, commands: &mut Vec<Command>) {
        for name in self.order.clone() {
            let Some(run) = self.run.appliances.get(&name) else { continue };
            let begun = run.upgrade.as_ref().is_some_and(|upgrade| upgrade.returned.is_none());
            let settling = run.phase == Phase::Verifying;
            if run.phase.is_terminal() || run.down || begun || settling {
                continue;
            }
            if let Some(step) = self.active.remove(&name) {
                self.free_transfer(&name, step);
                commands.push(Command::Cancel(name.clone()));
            }
            let change = ApplianceChange::Skipped(SkipReason::Aborted);
            commands.push(Command::Record(Change::Appliance(name, change)));
        }
    }

    /// Brings counts and queues up to date with what the fold says of a member.
    fn account(&mut self, name: &ApplianceName, before: Option<Phase>) {
        let Some((index, wave)) = self.places.get(name).copied() else { return };
        let Some(run) = self.run.appliances.get(name) else { return };
        let (takes, phase, retry_at) = (run.takes_places(), run.phase, run.retry_at);
        if let Some(who) = membership(&self.run, name) {
            if takes { self.occupancy.take(&who) } else { self.occupancy.free(&who) }
        }
        if let Some(left) = self.unfinished.get_mut(wave) {
            match (before.is_some_and(Phase::is_terminal), phase.is_terminal()) {
                (false, true) => *left = left.saturating_sub(1),
                (true, false) => *left += 1,
                (true, true) | (false, false) => {}
            }
        }
        self.set_timer(index, retry_at.filter(|_| phase == Phase::SetAside));
        self.wake(name);
    }

    fn set_timer(&mut self, index: usize, at: Option<Timestamp>) {
        if let Some(old) = self.timer_of.remove(&index) {
            self.timers.remove(&(old, index));
        }
        if let Some(at) = at {
            self.timer_of.insert(index, at);
            self.timers.insert((at, index));
        }
    }

    fn recount(&mut self) {
        self.unfinished = vec![0; self.run.plan.waves.len()];
        for (name, run) in &self.run.appliances {
            if let Some((_, wave)) = self.places.get(name)
                && !run.phase.is_terminal()
                && let Some(left) = self.unfinished.get_mut(*wave)
            {
                *left += 1;
            }
        }
    }

    fn account_bystander(&mut self, name: &ApplianceName) {
        let dark = self.run.dark_bystanders.contains(name);
        if let Some(who) = membership(&self.run, name) {
            if dark { self.occupancy.take(&who) } else { self.occupancy.free(&who) }
        }
    }

    fn wake(&mut self, name: &ApplianceName) {
        if let Some((index, _)) = self.places.get(name) {
            self.eager.insert(*index);
        }
    }

    fn schedule(&mut self, now: Timestamp) -> Vec<Command> {
        let mut commands = Vec::new();
        self.follow_waves(&mut commands);
        self.watch_budget(&mut commands);
        self.sort_eager(now, &mut commands);
        if !self.stopping {
            self.start_transfers(now, &mut commands);
            self.give_permits(&mut commands);
            self.watch_bystanders(now, &mut commands);
        }
        commands
    }

    fn announce(&mut self, what: &'static str, change: RolloutChange, commands: &mut Vec<Command>) {
        if self.announced.insert(what) {
            commands.push(Command::Record(Change::Rollout(change)));
        }
    }

    fn current_wave(&self) -> Option<usize> {
        self.run.plan.waves.iter().position(|wave| !self.run.waves_finished.contains(&wave.name))
    }

    fn follow_waves(&mut self, commands: &mut Vec<Command>) {
        if self.run.finished {
            return;
        }
        match self.current_wave() {
            Some(wave) => {
                let name = self.run.plan.waves[wave].name.clone();
                if !self.run.waves_started.contains(&name) {
                    if !self.run.aborted && !self.stopping {
                        let change = RolloutChange::WaveStarted { wave: name };
                        self.announce("wave-started", change, commands);
                    }
                } else if self.unfinished.get(wave) == Some(&0) {
                    let change = RolloutChange::WaveFinished { wave: name };
                    self.announce("wave-finished", change, commands);
                }
            }
            // A reached budget waits for a person even when nobody is left to stop.
            None if breach_of(&self.run).is_some() => {}
            None => {
                let clean = |run: &ApplianceRun| run.stage.records_left().next().is_none();
                let quiet = self.active.values().all(|step| *step == Step::Watch);
                if quiet && self.run.appliances.values().all(clean) {
                    self.announce("finished", RolloutChange::Finished, commands);
                }
            }
        }
    }

    fn watch_budget(&mut self, commands: &mut Vec<Command>) {
        if self.run.breach.is_some() || self.run.aborted || self.run.finished {
            return;
        }
        if let Some((failures, limit, on_breach)) = breach_of(&self.run) {
            let abort = on_breach == OnBreach::Abort;
            let change = RolloutChange::BudgetReached { failures, limit, abort };
            self.announce("budget", change, commands);
        }
    }

    /// Begins what needs no place, and queues what does.
    fn sort_eager(&mut self, now: Timestamp, commands: &mut Vec<Command>) {
        for index in std::mem::take(&mut self.eager) {
            let Some(name) = self.order.get(index).cloned() else { continue };
            let Some(run) = self.run.appliances.get(&name) else { continue };
            let wave = self.places.get(&name).map_or(0, |(_, wave)| *wave);
            if let Some(ready) = self.ready.get_mut(wave) {
                ready.remove(&index);
            }
            self.to_stage.remove(&index);
            if self.active.contains_key(&name) {
                continue;
            }
            let again = self.look_again.contains(&name);
            match want(run, &self.run.plan, again, now) {
                Want::Nothing => {}
                Want::Later(at) => self.set_timer(index, Some(at)),
                Want::Permit => {
                    if let Some(ready) = self.ready.get_mut(wave) {
                        ready.insert(index);
                    }
                }
                Want::Transfer => {
                    self.to_stage.insert(index);
                }
                Want::Step(step) if self.may_begin(step, wave) => {
                    self.start(name, step, now, commands)
                }
                Want::Step(_) => {}
            }
        }
    }

    /// What is in flight goes on in every state; new work waits for a rollout that runs.
    fn may_begin(&self, step: Step, wave: usize) -> bool {
        if self.stopping {
            return false;
        }
        match step {
            Step::Preflight | Step::Stage | Step::Test => self.may_stage(wave),
            Step::Activate => !self.run.aborted,
            Step::Return | Step::Verify | Step::Cleanup | Step::Watch => true,
        }
    }

    fn may_stage(&self, wave: usize) -> bool {
        let turn = self.run.plan.stage == StageMode::Ahead
            || self.current_wave().is_some_and(|current| wave <= current);
        turn && !self.run.aborted && !self.run.pause.is_some_and(|pause| pause.all)
    }

    fn start(
        &mut self,
        name: ApplianceName,
        step: Step,
        now: Timestamp,
        commands: &mut Vec<Command>,
    ) {
        self.look_again.remove(&name);
        if step == Step::Watch {
            self.watched_since.entry(name.clone()).or_insert(now);
        }
        self.active.insert(name.clone(), step);
        commands.push(Command::Start(name, step));
    }

    fn start_transfers(&mut self, now: Timestamp, commands: &mut Vec<Command>) {
        let limit = self.run.plan.limits.transfers as usize;
        let mut full: BTreeSet<SiteName> = BTreeSet::new();
        let mut begun = Vec::new();
        for index in &self.to_stage {
            if self.transfers_in_all >= limit {
                break;
            }
            let Some(name) = self.order.get(*index) else { continue };
            let Some(appliance) = self.run.plan.appliances.get(name) else { continue };
            let wave = self.places.get(name).map_or(0, |(_, wave)| *wave);
            if full.contains(&appliance.site) || !self.may_stage(wave) {
                continue;
            }
            let of_site = self.transfers.entry(appliance.site.clone()).or_default();
            if of_site.len() >= self.run.plan.site_transfers(&appliance.site) as usize {
                full.insert(appliance.site.clone());
                continue;
            }
            of_site.insert(name.clone());
            self.transfers_in_all += 1;
            begun.push((*index, name.clone()));
        }
        for (index, name) in begun {
            self.to_stage.remove(&index);
            self.start(name, Step::Stage, now, commands);
        }
    }

    fn free_transfer(&mut self, name: &ApplianceName, step: Step) {
        if step == Step::Stage
            && let Some(appliance) = self.run.plan.appliances.get(name)
            && let Some(of_site) = self.transfers.get_mut(&appliance.site)
            && of_site.remove(name)
        {
            self.transfers_in_all -= 1;
        }
    }

    fn give_permits(&mut self, commands: &mut Vec<Command>) {
        if self.closed().is_some() || self.run.aborted {
            return;
        }
        let Some(wave) = self.current_wave() else { return };
        if !self.run.waves_started.contains(&self.run.plan.waves[wave].name) {
            return;
        }
        let mut permitted = Vec::new();
        for index in self.ready.get(wave).into_iter().flatten() {
            if self.occupancy.rollout_is_full(&self.run.id) {
                break;
            }
            let Some(name) = self.order.get(*index) else { continue };
            let Some(who) = membership(&self.run, name) else { continue };
            if self.permitting.contains(name) || self.occupancy.may_go_down(&who).is_err() {
                continue;
            }
            self.occupancy.take(&who);
            permitted.push((*index, name.clone()));
        }
        for (index, name) in permitted {
            if let Some(ready) = self.ready.get_mut(wave) {
                ready.remove(&index);
            }
            self.permitting.insert(name.clone());
            commands.push(Command::Record(Change::Appliance(name, ApplianceChange::Permitted)));
        }
    }

    fn watch_bystanders(&mut self, now: Timestamp, commands: &mut Vec<Command>) {
        let unwatched =
            self.run.dark_bystanders.iter().filter(|name| !self.active.contains_key(*name));
        for name in unwatched.cloned().collect::<Vec<_>>() {
            self.start(name, Step::Watch, now, commands);
        }
    }
}

/// The failures that count, the number that breaches, and what then happens; `None` while the
/// budget is kept.
fn breach_of(run: &Run) -> Option<(usize, usize, OnBreach)> {
    if run.counted.is_empty() {
        return None;
    }
    let budget = &run.plan.failure_budget;
    let failures = run.counted.len();
    let whole = budget.breached_at(run.plan.appliances.len());
    if let Some(limit) = whole.filter(|limit| failures >= *limit) {
        return Some((failures, limit, budget.on_breach));
    }
    run.plan.waves.iter().find_map(|wave| {
        let own = wave.failure_budget.as_ref()?;
        let failures = wave.appliances.iter().filter(|name| run.counted.contains(*name)).count();
        let limit = own.breached_at(wave.appliances.len())?;
        (failures >= limit).then_some((failures, limit, own.on_breach))
    })
}

/// Who counts where when it is down.
fn membership(run: &Run, name: &ApplianceName) -> Option<Membership> {
    let (appliance, rollout) = match run.plan.appliances.get(name) {
        Some(member) => (member, Some(run.id.clone())),
        None => (run.plan.bystanders.get(name)?, None),
    };
    let (site, group) = (appliance.site.clone(), appliance.group.clone());
    Some(Membership { name: name.clone(), rollout, site, group })
}

fn limits_of(run: &Run) -> Occupancy {
    let plan: &Plan = &run.plan;
    let mut occupancy = Occupancy::default();
    occupancy.limit_rollout(&run.id, plan.limits.unavailable);
    for (site, limits) in &plan.sites {
        if let Some(limit) = limits.unavailable {
            occupancy.limit_site(site, limit);
        }
    }
    for (group, limit) in &plan.groups {
        occupancy.limit_group(group, *limit);
    }
    occupancy
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
