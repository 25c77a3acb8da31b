//! Every scheduling decision, without I/O and without a clock: an event and the time go in,
//! commands come out. What is true is folded from the journal's events; the core adds only which
//! steps are under way in this process.

mod abort;
mod account;
mod admit;
mod clusters;
mod hooks;
mod identity;
mod permits;
mod reasons;
mod rest;
mod schedule;
mod transfers;
mod want;
mod windows;

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};
use model::event::{ApplianceChange, Change, Event, HookPoint, RolloutChange, Step, StepDuration};
use model::history::History;
use model::names::{ApplianceName, ClusterName, SiteName};
use model::run::{ApplianceRun, IllegalEvent, Phase, Run};
use model::safety::{Claim, Occupancy};

use account::{limits_of, take_for_others};
pub use reasons::{reasons, reasons_among};
pub use rest::Rest;
use windows::Openings;

/// What the driver is to do.
#[derive(Debug, Clone, PartialEq)]
pub enum Command {
    /// Append this to the journal, then hand the event back to the core.
    Record(Change),
    /// Begin a step. At most one step of an appliance is under way.
    Start(ApplianceName, Step),
    /// Break the step under way off; nothing it still reports counts.
    Cancel(ApplianceName),
    /// Run a hook whose intent is written.
    Hook {
        /// Which.
        point: HookPoint,
        /// A process of ours died over it: wait for its program, then say that its outcome is not
        /// known.
        leftover: bool,
    },
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
    ready: Vec<Ready>,
    /// Waiting for a place for their transfer: first those whose transfer lives on the appliance,
    /// then the others.
    to_stage: BTreeSet<(bool, usize)>,
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
    /// Left out by an abort, or held by the core; recorded, but not yet come back as events.
    leaving: BTreeSet<ApplianceName>,
    /// What is to be written of clusters; not yet come back as events.
    announced_clusters: BTreeSet<ClusterName>,
    /// Hooks that this process has begun, or is about to.
    hooking: BTreeSet<HookPoint>,
    /// Who was read as which appliance.
    identities: BTreeMap<String, ApplianceName>,
    openings: Openings,
    /// When a window, a soak or a freeze may let somebody go on, at the earliest.
    wake_at: Option<Timestamp>,
    /// Members that do not fit into their window: when it is worth asking again.
    too_late: BTreeMap<usize, Timestamp>,
    too_late_clusters: BTreeMap<ClusterName, Timestamp>,
    history: History,
    /// How long the step took that the last event ended.
    took: Option<StepDuration>,
    halted: bool,
    stopping: bool,
}

/// Members of a wave that wait for leave to go down.
#[derive(Debug, Clone, Default)]
struct Ready {
    /// By site, without the members of clusters: those go as a whole.
    sites: BTreeMap<SiteName, BTreeSet<usize>>,
    members: BTreeSet<usize>,
}

impl Ready {
    fn insert(&mut self, index: usize, site: Option<&SiteName>) {
        self.members.insert(index);
        if let Some(site) = site {
            self.sites.entry(site.clone()).or_default().insert(index);
        }
    }

    fn remove(&mut self, index: usize) {
        if self.members.remove(&index) {
            self.sites.retain(|_, members| {
                members.remove(&index);
                !members.is_empty()
            });
        }
    }

    fn contains(&self, index: usize) -> bool {
        self.members.contains(&index)
    }
}

impl Core {
    /// A scheduler for a folded rollout. `others` are the unfinished rollouts of the same journal:
    /// their appliances that are down take places in sites and groups too. `history` is how long
    /// steps took so far.
    #[must_use]
    pub fn new<'a>(run: Run, others: impl IntoIterator<Item = &'a Run>, history: History) -> Self {
        let mut occupancy = limits_of(&run);
        take_for_others(others, &mut occupancy);
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
            ready: vec![Ready::default(); waves],
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
            announced_clusters: BTreeSet::new(),
            hooking: BTreeSet::new(),
            identities: BTreeMap::new(),
            openings: Openings::default(),
            wake_at: None,
            too_late: BTreeMap::new(),
            too_late_clusters: BTreeMap::new(),
            history,
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
        core.remember_identities();
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

    /// How long steps took so far.
    #[must_use]
    pub fn history(&self) -> &History {
        &self.history
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
        // How long they were silent before is not known: they get their wait once more.
        for name in self.run.dark_bystanders.clone() {
            self.dark_since.entry(name).or_insert(now);
        }
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
        if let Some(took) = &self.took {
            self.history.learn(took);
            // Who did not fit into its window may do so by what was seen now. Verify is the last of
            // the steps from which it follows how long the whole takes.
            if took.step == Step::Verify {
                self.too_late.clear();
                self.too_late_clusters.clear();
            }
        }
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
                        self.leaving.remove(name);
                    }
                    ApplianceChange::Unreachable => {
                        self.dark_since.entry(name.clone()).or_insert(event.at);
                    }
                    ApplianceChange::Reachable | ApplianceChange::Up { .. } => {
                        self.dark_since.remove(name);
                    }
                    ApplianceChange::Preflighted(baseline) => {
                        self.hold_twins(name, baseline, &mut commands);
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
        self.begin_hook_after(name, &mut commands);
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
        let timer = self.timers.first().map(|(at, _)| *at);
        let gate = self.wake_at.filter(|at| *at < Timestamp::MAX);
        [timer, gate].into_iter().flatten().min()
    }

    /// Something may change by time alone at this moment.
    fn wake_at(&mut self, at: Timestamp) {
        self.wake_at = Some(self.wake_at.map_or(at, |before| before.min(at)));
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
            RolloutChange::ClusterStarted { cluster } => {
                self.announced_clusters.remove(cluster);
                if let Some(planned) = self.run.plan.clusters.get(cluster) {
                    let claim = Claim::of(&self.run.plan, Some(&self.run.id), planned);
                    self.occupancy.claim(cluster, &claim);
                }
            }
            RolloutChange::ClusterWithdrawn { cluster, .. }
            | RolloutChange::ClusterFinished { cluster } => {
                self.announced_clusters.remove(cluster);
                self.occupancy.release(cluster);
                self.account_cluster(cluster);
            }
            RolloutChange::Hook { point, change } => self.hook_changed(point, change, commands),
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
                    Decision::Confirm { appliance, .. } => {
                        self.confirmed.remove(appliance);
                        self.refold(appliance, commands);
                    }
                    Decision::OverrideFreeze { .. } => {
                        self.openings.forget();
                        self.too_late.clear();
                        self.too_late_clusters.clear();
                    }
                    Decision::Pause { .. }
                    | Decision::Resume
                    | Decision::Abort
                    | Decision::AbortNow
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
