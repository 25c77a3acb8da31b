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
use super::moods::{Moods, Timed};
use crate::faults::{ActiveFaults, AdminAct, FaultPlan};
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
    BootPage,
    Up(UpAs),
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
    /// Grows whenever the appliance goes down: what began before does not end well.
    pub(super) epoch: u64,
    plan: VecDeque<(Duration, Step)>,
    pub(super) running: String,
    pub(super) armed: Option<usize>,
    last_filled: Option<usize>,
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
            running,
            phase: Phase::Up,
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
        loop {
            let step = self.plan.front().map(|(at, _)| *at);
            let timed = self.moods.timed.first().map(|(at, _)| *at);
            match (step, timed) {
                (Some(at), timed) if at <= now && timed.is_none_or(|timed| at <= timed) => {
                    self.advance_jobs(shared, at);
                    if let Some((_, step)) = self.plan.pop_front() {
                        self.take_step(shared, at, step);
                    }
                }
                (_, Some(at)) if at <= now => {
                    self.advance_jobs(shared, at);
                    let (_, what) = self.moods.timed.remove(0);
                    match what {
                        Timed::PowerOff => self.power_off(shared, at),
                        Timed::PowerOn => self.power_on(shared, at),
                        Timed::Admin(act) => self.admin(shared, at, &act),
                    }
                }
                _ => break,
            }
        }
        self.advance_jobs(shared, now);
    }

    /// When something next happens by the clock.
    pub(super) fn next_change(&self) -> Option<Duration> {
        let step = self.plan.front().map(|(at, _)| *at);
        let timed = self.moods.timed.first().map(|(at, _)| *at);
        [step, timed, self.next_job_change()].into_iter().flatten().min()
    }

    fn take_step(&mut self, shared: &Shared, at: Duration, step: Step) {
        let life = match step {
            Step::Down => {
                self.phase = Phase::Down;
                self.epoch += 1;
                self.jobs_over_reboot(shared, at);
                Life::Down
            }
            Step::BootPage => {
                self.phase = Phase::Booting;
                Life::BootPage
            }
            Step::Up(how) => {
                self.phase = Phase::Up;
                self.jobs_free_at = self.jobs_free_at.max(at);
                if !self.spec.quirks.sessions_survive_reboot {
                    self.sessions.end_all();
                }
                let reverted = self.boot_into(how);
                Life::Up { version: self.running.clone(), reverted }
            }
        };
        shared.ledger.life(&self.spec.name, at, life);
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

    pub(super) fn power_off(&mut self, shared: &Shared, now: Duration) {
        self.plan.clear();
        if self.phase != Phase::Down {
            let by = RestartBy::Power;
            shared.ledger.life(&self.spec.name, now, Life::Restarting { by });
            self.take_step(shared, now, Step::Down);
        }
    }

    pub(super) fn power_on(&mut self, shared: &Shared, now: Duration) {
        if self.phase == Phase::Down && self.plan.is_empty() {
            self.plan_boot(now);
            self.advance(shared, now);
        }
    }

    /// Selects a slot for the next boot.
    pub(super) fn arm(&mut self, shared: &Shared, now: Duration, index: usize) {
        self.armed = Some(index);
        if let Some(Some(version)) = self.spec.slots.get(index) {
            let armed = Life::Armed { slot: self.key(index), version: version.clone() };
            shared.ledger.life(&self.spec.name, now, armed);
        }
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

    pub(super) fn after_fetch(&mut self, shared: &Shared, at: Duration) {
        for act in std::mem::take(&mut self.moods.after_fetch) {
            self.admin(shared, at, &act);
        }
    }

    /// Another administrator does something.
    pub(super) fn admin(&mut self, shared: &Shared, now: Duration, act: &AdminAct) {
        let by = ChangedBy::OtherAdmin;
        let named = |slot: &Option<String>| match slot {
            Some(named) => self.find(named),
            None => self.last_filled,
        };
        match act {
            AdminAct::DeleteSlot { slot } => {
                if let Some(index) = named(slot) {
                    self.set_slot(shared, now, index, None, by);
                }
            }
            AdminAct::ReplaceSlot { slot, version } => {
                if let Some(index) = named(slot) {
                    self.set_slot(shared, now, index, Some(version), by);
                }
            }
            AdminAct::Arm { slot } => {
                if let Some(index) = named(slot) {
                    self.arm(shared, now, index);
                }
            }
            AdminAct::Disarm {} => self.armed = None,
            AdminAct::StartFetch { url, sha256 } => {
                let sum = model::Sha256Hex::parse(sha256)
                    .unwrap_or_else(|_| model::Sha256Hex::of(sha256.as_bytes()));
                self.queue_fetch(shared, now, url, sum, by);
            }
            AdminAct::RemoveRecords {} => self.forget_ended_jobs(shared, now),
            AdminAct::Reboot {} => self.restart(shared, now, RestartBy::Operator),
            AdminAct::EndSessions {} => self.sessions.end_all(),
        }
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
