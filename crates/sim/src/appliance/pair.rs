//! The secondary of an HA pair (sps-api.md, section 6, "HA pair"). The primary is the appliance
//! itself; of the secondary only its power, the firmware it would boot, and whether the two are
//! together is simulated.

use std::time::Duration;

use super::state::{Phase, Shared, State};
use crate::ledger::{Life, RestartBy};
use crate::spec::ApplianceSpec;

/// What a secondary is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Power {
    Off,
    ShuttingDown { on_again: bool },
    Booting,
    On,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum PairStep {
    Off,
    Up,
    Whole,
    Synced(String),
}

/// A secondary.
#[derive(Debug)]
pub(super) struct Pair {
    power: Power,
    /// The firmware that it boots.
    holds: String,
    whole: bool,
    broken: bool,
    plan: Vec<(Duration, PairStep)>,
}

impl Pair {
    pub(super) fn of(spec: &ApplianceSpec, running: &str) -> Option<Self> {
        let off = spec.pair.starts_off;
        spec.ha.then(|| Self {
            power: if off { Power::Off } else { Power::On },
            holds: running.to_owned(),
            whole: !off,
            broken: false,
            plan: Vec::new(),
        })
    }

    pub(super) fn next(&self) -> Option<Duration> {
        self.plan.iter().map(|(at, _)| *at).min()
    }

    pub(super) fn has_power(&self) -> bool {
        self.power != Power::Off
    }

    pub(super) fn is_whole(&self) -> bool {
        self.whole
    }

    pub(super) fn is_broken(&self) -> bool {
        self.broken
    }

    pub(super) fn holds(&self) -> &str {
        &self.holds
    }

    fn plan(&mut self, at: Duration, step: PairStep) {
        self.plan.push((at, step));
    }

    fn forget(&mut self, what: impl Fn(&PairStep) -> bool) {
        self.plan.retain(|(_, step)| !what(step));
    }

    fn take_next(&mut self) -> Option<PairStep> {
        let next = self.plan.iter().enumerate().min_by_key(|(_, (at, _))| *at)?.0;
        Some(self.plan.remove(next).1)
    }
}

impl State {
    /// Whether the two nodes are together and the primary answers; true for a single appliance.
    pub(super) fn is_whole(&self) -> bool {
        self.pair.as_ref().is_none_or(|pair| pair.whole)
    }

    /// Does what is due first of the secondary's plan.
    pub(super) fn pair_step(&mut self, shared: &Shared, at: Duration) {
        let Some(pair) = &mut self.pair else { return };
        let Some(step) = pair.take_next() else { return };
        match step {
            PairStep::Off => {
                let again = pair.power == Power::ShuttingDown { on_again: true };
                self.secondary_is_off(shared, at);
                if again {
                    self.secondary_on(shared, at);
                }
            }
            PairStep::Up => {
                pair.power = Power::On;
                let version = pair.holds.clone();
                shared.ledger.life(&self.spec.name, at, Life::SecondaryUp { version });
                if self.phase == Phase::Up {
                    self.meet(shared, at);
                } else {
                    // Nobody answers: it takes the other's place.
                    let takeover = Life::Takeover { by: RestartBy::Switch };
                    shared.ledger.life(&self.spec.name, at, takeover);
                }
            }
            PairStep::Whole => {
                pair.whole = true;
                shared.ledger.life(&self.spec.name, at, Life::PairWhole);
                self.firmware_to_peer(at);
            }
            PairStep::Synced(version) => {
                pair.holds.clone_from(&version);
                shared.ledger.life(&self.spec.name, at, Life::PeerHasFirmware { version });
            }
        }
    }

    /// The nodes see each other: they join, or fall out over their firmware.
    fn meet(&mut self, shared: &Shared, at: Duration) {
        let join = self.spec.pair.join;
        let Some(pair) = &mut self.pair else { return };
        if pair.power != Power::On || pair.broken {
            return;
        }
        if pair.holds == self.running {
            pair.forget(|step| *step == PairStep::Whole);
            pair.plan(at + join, PairStep::Whole);
        } else {
            self.break_pair(shared, at);
        }
    }

    fn break_pair(&mut self, shared: &Shared, at: Duration) {
        let Some(pair) = &mut self.pair else { return };
        pair.broken = true;
        pair.whole = false;
        let broken =
            Life::PairBroken { primary: self.running.clone(), secondary: pair.holds.clone() };
        shared.ledger.life(&self.spec.name, at, broken);
    }

    /// What is selected on the primary begins its way to the secondary.
    pub(super) fn firmware_to_peer(&mut self, now: Duration) {
        let selected = self.armed.and_then(|index| self.spec.slots.get(index)?.clone());
        let sync = self.spec.pair.peer_sync;
        let Some(pair) = &mut self.pair else { return };
        pair.forget(|step| matches!(step, PairStep::Synced(_)));
        let version = selected.unwrap_or_else(|| self.running.clone());
        if let (true, Some(sync)) = (pair.whole && version != pair.holds, sync) {
            pair.plan(now + sync, PairStep::Synced(version));
        }
    }

    /// The primary goes down. `up_before`: it answered until now.
    pub(super) fn pair_at_down(&mut self, shared: &Shared, at: Duration, up_before: bool) {
        let by = self.restart_by;
        let both = self.reboots() && by == RestartBy::Upgrade;
        let Some(pair) = &mut self.pair else { return };
        pair.whole = false;
        pair.forget(|step| matches!(step, PairStep::Whole | PairStep::Synced(_)));
        // A call that reboots handles both nodes (inferred: sps-api.md, section 6, is silent).
        if pair.has_power() && !both && up_before {
            shared.ledger.life(&self.spec.name, at, Life::Takeover { by });
        }
    }

    /// The primary is back.
    pub(super) fn pair_at_up(&mut self, shared: &Shared, at: Duration) {
        let both = self.reboots() && self.restart_by == RestartBy::Upgrade;
        let Some(pair) = &mut self.pair else { return };
        if both && pair.power == Power::On {
            pair.holds.clone_from(&self.running);
        }
        self.meet(shared, at);
    }

    /// Gives the secondary power; whether that did anything.
    pub(super) fn secondary_on(&mut self, shared: &Shared, now: Duration) -> bool {
        let boot = self.spec.pair.boot;
        let Some(pair) = &mut self.pair else { return false };
        if pair.power != Power::Off {
            return false;
        }
        pair.power = Power::Booting;
        pair.plan(now + boot, PairStep::Up);
        let other = pair.holds != self.running;
        shared.ledger.life(&self.spec.name, now, Life::SecondaryBooting);
        if other && self.phase == Phase::Up {
            self.break_pair(shared, now);
        }
        true
    }

    /// Asks the secondary to shut down; whether it will.
    pub(super) fn secondary_off(&mut self, shared: &Shared, now: Duration, on_again: bool) -> bool {
        let shutdown = self.spec.pair.shutdown + self.moods.slower_shutdown;
        let Some(pair) = &mut self.pair else { return false };
        if !matches!(pair.power, Power::On | Power::Booting) {
            return false;
        }
        pair.power = Power::ShuttingDown { on_again };
        pair.plan.clear();
        pair.plan(now + shutdown, PairStep::Off);
        shared.ledger.life(&self.spec.name, now, Life::SecondaryShuttingDown);
        true
    }

    /// Takes the secondary's power away; whether it had any.
    pub(super) fn secondary_force_off(&mut self, shared: &Shared, now: Duration) -> bool {
        let had = self.pair.as_ref().is_some_and(Pair::has_power);
        if had {
            self.secondary_is_off(shared, now);
        }
        had
    }

    fn secondary_is_off(&mut self, shared: &Shared, at: Duration) {
        let Some(pair) = &mut self.pair else { return };
        pair.power = Power::Off;
        pair.whole = false;
        pair.plan.clear();
        shared.ledger.life(&self.spec.name, at, Life::SecondaryOff);
    }
}
