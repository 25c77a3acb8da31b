//! The state of one appliance, and how it moves on by the clock.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, Weak};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use model::names::SlotKey;
use model::observed::{Slot, SlotContent};
use model::ports::Clock;
use model::random::Random;
use tokio_util::task::TaskTracker;

use super::SimAppliance;
use super::jobs::{Job, Order};
use super::logins::{Guard, Sessions};
use super::moods::Moods;
use super::pair::Pair;
use crate::faults::{ActiveFaults, FaultPlan};
use crate::images::Images;
use crate::ledger::{ChangedBy, Ledger, Life, RestartBy};
use crate::spec::{ApplianceSpec, UpgradeMode};

/// What all appliances of a fleet share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) ledger: Ledger,
    pub(crate) images: Images,
    /// Slow calls run here, so that they go on when their caller hangs up.
    pub(crate) tasks: TaskTracker,
    /// Whether downloads are really done.
    pub(crate) real_transfers: bool,
    /// The members of each central cluster.
    pub(crate) clusters: Mutex<BTreeMap<String, Vec<Weak<SimAppliance>>>>,
}

impl Shared {
    /// The wall clock at a moment of the monotonic one.
    pub(crate) fn wall(&self, at: Duration) -> Timestamp {
        let ago = self.clock.monotonic().saturating_sub(at);
        let now = self.clock.now();
        SignedDuration::try_from(ago).ok().and_then(|ago| now.checked_sub(ago).ok()).unwrap_or(now)
    }
}

/// What an appliance is doing as a whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// The API answers (also while a restart that was asked for has not begun).
    Up,
    /// Connections are refused.
    Down,
    /// The boot page is shown.
    Booting,
}

#[derive(Debug, Clone)]
enum Step {
    Down,
    /// Connections are refused, and there is no power any more.
    Off,
    BootPage,
    Up(UpAs),
}

/// Where the next change comes from; of several at one moment the first goes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Source {
    Life,
    Mood,
    Pair,
}

#[derive(Debug, Clone)]
enum UpAs {
    Normal,
    Version(String),
    Reverted,
}

/// The state behind one appliance's lock.
#[derive(Debug)]
pub(crate) struct State {
    pub(super) spec: ApplianceSpec,
    pub(super) phase: Phase,
    /// Somebody took its power and has not given it back.
    pub(super) unpowered: bool,
    /// Who asked for the restart that is under way, or was the last.
    pub(super) restart_by: RestartBy,
    /// Since when it is up, or was up last: from, and until when it went down.
    pub(super) up: (Option<Duration>, Option<Duration>),
    pub(super) pair: Option<Pair>,
    /// Grows whenever the appliance goes down: what began before does not end well.
    pub(super) epoch: u64,
    plan: VecDeque<(Duration, Step)>,
    pub(super) running: String,
    pub(super) armed: Option<usize>,
    pub(super) last_filled: Option<usize>,
    pub(super) jobs: Vec<Job>,
    pub(super) jobs_free_at: Duration,
    pub(super) orders: Vec<Order>,
    pub(super) sessions: Sessions,
    pub(super) guard: Guard,
    pub(super) faults: ActiveFaults,
    pub(super) moods: Moods,
    pub(super) bundles: BTreeMap<String, Duration>,
    pub(super) random: Random,
}

impl State {
    pub(super) fn new(mut spec: ApplianceSpec, plan: &FaultPlan, random: Random) -> Self {
        let moods = Moods::of(plan, &mut spec);
        let running = spec.slots.get(spec.current).cloned().flatten().unwrap_or_default();
        Self {
            faults: ActiveFaults::of(plan, spec.name.as_str()),
            moods,
            pair: Pair::of(&spec, &running),
            running,
            phase: Phase::Up,
            unpowered: false,
            restart_by: RestartBy::Power,
            up: (None, None),
            epoch: 0,
            plan: VecDeque::new(),
            armed: None,
            last_filled: None,
            jobs: Vec::new(),
            jobs_free_at: Duration::ZERO,
            orders: Vec::new(),
            sessions: Sessions::default(),
            guard: Guard::default(),
            bundles: BTreeMap::new(),
            random,
            spec,
        }
    }

    pub(super) fn is_up(&self) -> bool {
        self.phase == Phase::Up
    }

    /// Lets everything happen that happens by the clock until `now`.
    pub(super) fn advance(&mut self, shared: &Shared, now: Duration) {
        while let Some((at, source)) = self.next_source().filter(|(at, _)| *at <= now) {
            self.advance_jobs(shared, at);
            match source {
                Source::Life => {
                    if let Some((_, step)) = self.plan.pop_front() {
                        self.take_step(shared, at, step);
                    }
                }
                Source::Mood => {
                    let (_, what) = self.moods.timed.remove(0);
                    self.by_the_clock(shared, at, what);
                }
                Source::Pair => self.pair_step(shared, at),
            }
        }
        self.advance_jobs(shared, now);
    }

    /// When something next happens by the clock.
    pub(super) fn next_change(&self) -> Option<Duration> {
        let next = self.next_source().map(|(at, _)| at);
        [next, self.next_job_change()].into_iter().flatten().min()
    }

    /// What happens first by the clock, besides fetch jobs.
    fn next_source(&self) -> Option<(Duration, Source)> {
        let life = self.plan.front().map(|(at, _)| (*at, Source::Life));
        let mood = self.moods.timed.first().map(|(at, _)| (*at, Source::Mood));
        let pair = self.pair.as_ref().and_then(Pair::next).map(|at| (at, Source::Pair));
        [life, mood, pair].into_iter().flatten().min()
    }

    /// Whether a restart was asked for that has not begun, or is under way.
    pub(super) fn is_going_down(&self) -> bool {
        !self.plan.is_empty()
    }

    fn take_step(&mut self, shared: &Shared, at: Duration, step: Step) {
        let before = self.phase;
        let life = match step {
            Step::Down | Step::Off => {
                self.phase = Phase::Down;
                self.epoch += 1;
                self.unpowered |= matches!(step, Step::Off);
                if before == Phase::Up {
                    self.up.1 = Some(at);
                }
                self.jobs_over_reboot(shared, at);
                // Nothing passes a gateway that is down (inferred: sps-api.md, section 6).
                self.spec.health.sessions.clear();
                self.pair_at_down(shared, at, before == Phase::Up);
                Life::Down
            }
            Step::BootPage => {
                self.phase = Phase::Booting;
                Life::BootPage
            }
            Step::Up(how) => {
                self.phase = Phase::Up;
                self.up = (Some(at), None);
                self.jobs_free_at = self.jobs_free_at.max(at);
                if !self.spec.quirks.sessions_survive_reboot {
                    self.sessions.end_all();
                }
                let selected = self.armed.is_some();
                let reverted = self.boot_into(how);
                if selected && !reverted {
                    self.moods.fall_ill(at);
                }
                Life::Up { version: self.running.clone(), reverted }
            }
        };
        shared.ledger.life(&self.spec.name, at, life);
        if self.phase == Phase::Up {
            self.pair_at_up(shared, at);
        }
    }

    /// Which firmware runs now; whether it is the old one against the selection.
    fn boot_into(&mut self, how: UpAs) -> bool {
        let Some(armed) = self.armed.take() else { return false };
        let Some(Some(held)) = self.spec.slots.get(armed) else { return true };
        match how {
            UpAs::Reverted => return true,
            UpAs::Normal => self.running.clone_from(held),
            UpAs::Version(version) => self.running = version,
        }
        self.spec.current = armed;
        if self.moods.corrupted_after_reboot {
            "CORRUPTED".clone_into(&mut self.spec.health.integrity_core);
        }
        false
    }

    /// Asks for a restart. One that is already under way is not asked for again.
    pub(super) fn restart(&mut self, shared: &Shared, now: Duration, by: RestartBy) {
        if !self.is_up() || !self.plan.is_empty() {
            return;
        }
        self.restart_by = by;
        shared.ledger.life(&self.spec.name, now, Life::Restarting { by });
        let down = now + self.spec.timings.shutdown;
        self.plan.push_back((down, Step::Down));
        self.plan_boot(down + self.spec.timings.down);
    }

    fn plan_boot(&mut self, from: Duration) {
        let timings = self.spec.timings.clone();
        let boot = timings.boot + self.moods.slower_boot;
        let selected = self.armed.is_some();
        if selected && let Some(page) = self.moods.never_returns {
            if page {
                self.plan.push_back((from, Step::BootPage));
            }
            return;
        }
        self.plan.push_back((from, Step::BootPage));
        if selected && self.moods.take_revert() {
            let again = from + boot + timings.down;
            self.plan.push_back((from + boot, Step::Down));
            self.plan.push_back((again, Step::BootPage));
            self.plan.push_back((again + boot, Step::Up(UpAs::Reverted)));
            return;
        }
        let how = match (&self.moods.wrong_version, selected) {
            (Some(version), true) => UpAs::Version(version.clone()),
            _ => UpAs::Normal,
        };
        self.plan.push_back((from + boot, Step::Up(how)));
    }

    /// Asks for a shutdown without a return; whether there will be one.
    pub(super) fn shut_down(&mut self, shared: &Shared, now: Duration) -> bool {
        if !self.is_up() || !self.plan.is_empty() {
            return false;
        }
        self.restart_by = RestartBy::Switch;
        shared.ledger.life(&self.spec.name, now, Life::Restarting { by: self.restart_by });
        self.plan.push_back((now + self.spec.timings.shutdown, Step::Off));
        true
    }

    pub(super) fn power_off(&mut self, shared: &Shared, now: Duration, by: RestartBy) {
        self.plan.clear();
        self.unpowered = true;
        if self.phase != Phase::Down {
            self.restart_by = by;
            shared.ledger.life(&self.spec.name, now, Life::Restarting { by });
            self.take_step(shared, now, Step::Down);
        }
    }

    /// Gives power back; whether it was missing.
    pub(super) fn power_on(&mut self, shared: &Shared, now: Duration) -> bool {
        let missing = self.phase == Phase::Down && self.plan.is_empty();
        if missing {
            self.unpowered = false;
            self.plan_boot(now);
            self.advance(shared, now);
        }
        missing
    }

    /// Selects a slot for the next boot.
    pub(super) fn arm(&mut self, shared: &Shared, now: Duration, index: usize) {
        self.armed = Some(index);
        if let Some(Some(version)) = self.spec.slots.get(index) {
            let armed = Life::Armed { slot: self.key(index), version: version.clone() };
            shared.ledger.life(&self.spec.name, now, armed);
        }
        self.firmware_to_peer(now);
    }

    /// Whether the upgrade call reboots.
    pub(super) fn reboots(&self) -> bool {
        self.spec.upgrade_call == UpgradeMode::Reboots
    }

    pub(super) fn set_slot(
        &mut self,
        shared: &Shared,
        now: Duration,
        index: usize,
        version: Option<&str>,
        by: ChangedBy,
    ) {
        let Some(slot) = self.spec.slots.get_mut(index) else { return };
        *slot = version.map(str::to_owned);
        let version = slot.clone();
        let changed = Life::Slot { slot: self.key(index), version, by };
        shared.ledger.life(&self.spec.name, now, changed);
    }

    /// Puts firmware into the first empty slot.
    pub(super) fn fill_empty_slot(
        &mut self,
        shared: &Shared,
        now: Duration,
        version: &str,
    ) -> Option<SlotKey> {
        let index = self.spec.slots.iter().position(Option::is_none)?;
        self.set_slot(shared, now, index, Some(version), ChangedBy::Call);
        self.last_filled = Some(index);
        Some(self.key(index))
    }

    /// The key of the slot at an index: "1", "2", … (sps-api.md, "Slots").
    pub(super) fn key(&self, index: usize) -> SlotKey {
        SlotKey::new(&(index + self.spec.quirks.first_slot_key).to_string())
    }

    /// The index of the slot with this key.
    pub(super) fn find(&self, wanted: &str) -> Option<usize> {
        (0..self.spec.slots.len()).find(|index| self.key(*index).as_str() == wanted)
    }

    pub(super) fn slot_view(&self, index: usize) -> Option<Slot> {
        let held = self.spec.slots.get(index)?;
        let current = index == self.spec.current;
        let resting = self.armed.is_none() && self.spec.quirks.running_slot_after_reboot;
        Some(Slot {
            key: self.key(index),
            content: held.as_ref().map(|version| SlotContent {
                version: version.clone(),
                current,
                after_reboot: self.armed == Some(index) || (current && resting),
            }),
        })
    }

    pub(super) fn slot_views(&self) -> Vec<Slot> {
        (0..self.spec.slots.len()).filter_map(|index| self.slot_view(index)).collect()
    }

    /// How far the boot page is: whether the second half of booting has begun.
    pub(super) fn boots_late(&self, now: Duration) -> bool {
        match self.plan.front() {
            Some((until, Step::Up(_))) => {
                until.saturating_sub(now) <= self.spec.timings.boot.mul_f64(0.5)
            }
            _ => false,
        }
    }
}
