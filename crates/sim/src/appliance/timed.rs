//! What befalls an appliance because a plan or a test says so.

use std::time::Duration;

use super::moods::Timed;
use super::state::{Shared, State};
use crate::faults::{AdminAct, Illness};
use crate::ledger::{ChangedBy, RestartBy};

impl State {
    pub(super) fn by_the_clock(&mut self, shared: &Shared, at: Duration, what: Timed) {
        match what {
            Timed::PowerOff => self.power_off(shared, at, RestartBy::Power),
            Timed::PowerOn => {
                self.power_on(shared, at);
            }
            Timed::Admin(act) => self.admin(shared, at, &act),
            Timed::Sessions(open) => {
                self.spec.health.sessions =
                    if open == 0 { Vec::new() } else { vec![("ssh".to_owned(), open)] };
            }
            Timed::Ill(illness, lasts) => self.fall_ill(shared, at, illness, lasts),
            Timed::Well(before) => self.spec.health = *before,
        }
    }

    fn fall_ill(
        &mut self,
        shared: &Shared,
        at: Duration,
        illness: Illness,
        lasts: Option<Duration>,
    ) {
        let before = self.spec.health.clone();
        let health = &mut self.spec.health;
        let cure = match illness {
            Illness::Silent {} => {
                self.power_off(shared, at, RestartBy::Power);
                Timed::PowerOn
            }
            Illness::Corrupted {} => {
                "CORRUPTED".clone_into(&mut health.integrity_core);
                Timed::Well(Box::new(before))
            }
            Illness::Tainted { files } => {
                health.tainted_core = files;
                Timed::Well(Box::new(before))
            }
            Illness::Disk { percent } => {
                health.disk = percent;
                Timed::Well(Box::new(before))
            }
            Illness::Raid { status } => {
                health.raid = status;
                Timed::Well(Box::new(before))
            }
        };
        if let Some(lasts) = lasts {
            self.moods.at(at + lasts, cure);
        }
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
            AdminAct::Disarm {} => {
                self.armed = None;
                self.firmware_to_peer(now);
            }
            AdminAct::StartFetch { url, sha256 } => {
                let sum = model::Sha256Hex::parse(sha256)
                    .unwrap_or_else(|_| model::Sha256Hex::of(sha256.as_bytes()));
                self.queue_fetch(shared, now, url, sum, by);
            }
            AdminAct::RemoveRecords {} => self.forget_ended_jobs(shared, now),
            AdminAct::Reboot {} => self.restart(shared, now, RestartBy::OtherAdmin),
            AdminAct::Hostname { hostname } => hostname.clone_into(&mut self.spec.hostname),
            AdminAct::Roles { roles } => roles.clone_into(&mut self.spec.roles),
            AdminAct::EndSessions {} => self.sessions.end_all(),
        }
    }
}
