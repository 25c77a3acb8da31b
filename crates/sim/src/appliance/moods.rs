//! The behaviours of a fault plan as one appliance shows them, with what is left of each.

use std::time::Duration;

use jiff::SignedDuration;

use super::jobs::BROKEN;
use crate::faults::{AdminAct, Behaviour, CertificateWhen, FaultPlan, Pattern, When};
use crate::spec::{ApplianceSpec, UpgradeMode};

/// What is left of an appliance's behaviours.
#[derive(Debug, Default)]
pub(super) struct Moods {
    reverts: u32,
    pub(super) wrong_version: Option<String>,
    pub(super) never_returns: Option<bool>,
    ignored: u32,
    stuck: u32,
    fetch_failures: (u32, Option<String>),
    corrupt: u32,
    test_fails: Option<(String, Option<u32>)>,
    upgrade_test_fails: Option<(String, Option<u32>)>,
    pub(super) password_changed: bool,
    pub(super) certificate: Option<CertificateWhen>,
    pub(super) corrupted_after_reboot: bool,
    pub(super) slower_boot: Duration,
    pub(super) after_call: Vec<(Pattern, AdminAct)>,
    pub(super) after_fetch: Vec<AdminAct>,
    pub(super) timed: Vec<(Duration, Timed)>,
}

/// What happens at a fixed time.
#[derive(Debug, Clone)]
pub(super) enum Timed {
    PowerOff,
    PowerOn,
    Admin(AdminAct),
}

/// Counts down; whether there was one left.
fn take(left: &mut u32) -> bool {
    let some = *left > 0;
    *left = left.saturating_sub(1);
    some
}

fn take_failure(fails: &mut Option<(String, Option<u32>)>) -> Option<String> {
    let (summary, left) = fails.as_mut()?;
    match left {
        None => Some(summary.clone()),
        Some(left) => take(left).then(|| summary.clone()),
    }
}

fn unsigned(duration: SignedDuration) -> Duration {
    Duration::try_from(duration).unwrap_or_default()
}

impl Moods {
    /// The behaviours of the appliance in this plan; those about its state change the spec.
    pub(super) fn of(plan: &FaultPlan, spec: &mut ApplianceSpec) -> Self {
        let mut moods = Self::default();
        for rule in &plan.behaviours {
            if rule.appliance == "*" || rule.appliance == spec.name.as_str() {
                moods.add(rule.does.clone(), spec);
            }
        }
        moods
    }

    pub(super) fn add(&mut self, behaviour: Behaviour, spec: &mut ApplianceSpec) {
        match behaviour {
            Behaviour::Revert { times } => self.reverts += times,
            Behaviour::WrongVersionAfterReboot { version } => self.wrong_version = Some(version),
            Behaviour::NeverReturns { page } => self.never_returns = Some(page),
            Behaviour::UpgradeIgnored { times } => self.ignored += times,
            Behaviour::UpgradeArms {} => spec.upgrade_call = UpgradeMode::Arms,
            Behaviour::FetchStuck { times } => self.stuck += times,
            Behaviour::FetchFails { times, error } => {
                self.fetch_failures = (self.fetch_failures.0 + times, error);
            }
            Behaviour::FetchCorrupts { times } => self.corrupt += times,
            Behaviour::NoFetch {} => spec.quirks.fetch_offered = false,
            Behaviour::TestFails { summary, times } => self.test_fails = Some((summary, times)),
            Behaviour::UpgradeTestFails { summary, times } => {
                self.upgrade_test_fails = Some((summary, times));
            }
            Behaviour::OtherAdmin { when, act } => match when {
                When::At(at) => self.at(unsigned(at), Timed::Admin(act)),
                When::After(pattern) => self.after_call.push((pattern, act)),
                When::Fetched {} => self.after_fetch.push(act),
            },
            Behaviour::Outage { at, r#for } => {
                self.at(unsigned(at), Timed::PowerOff);
                self.at(unsigned(at) + unsigned(r#for), Timed::PowerOn);
            }
            Behaviour::PasswordChanged {} => self.password_changed = true,
            Behaviour::WrongCertificate { when } => self.certificate = Some(when),
            Behaviour::SlotsFull { version } => {
                for slot in &mut spec.slots {
                    slot.get_or_insert_with(|| version.clone());
                }
            }
            Behaviour::Tainted { files } => spec.health.tainted_core = files,
            Behaviour::DiskUsed { percent } => spec.health.disk = percent,
            Behaviour::CorruptedAfterReboot {} => self.corrupted_after_reboot = true,
            Behaviour::SlowBoot { by } => self.slower_boot += unsigned(by),
        }
    }

    fn at(&mut self, at: Duration, what: Timed) {
        self.timed.push((at, what));
        self.timed.sort_by_key(|(at, _)| *at);
    }

    pub(super) fn take_revert(&mut self) -> bool {
        take(&mut self.reverts)
    }

    pub(super) fn take_ignored(&mut self) -> bool {
        take(&mut self.ignored)
    }

    pub(super) fn take_stuck(&mut self) -> bool {
        take(&mut self.stuck)
    }

    pub(super) fn take_corrupt(&mut self) -> bool {
        take(&mut self.corrupt)
    }

    pub(super) fn take_fetch_failure(&mut self) -> Option<String> {
        let error = self.fetch_failures.1.clone().unwrap_or_else(|| BROKEN.to_owned());
        take(&mut self.fetch_failures.0).then_some(error)
    }

    pub(super) fn take_test_failure(&mut self, in_upgrade: bool) -> Option<String> {
        if in_upgrade && let Some(summary) = take_failure(&mut self.upgrade_test_fails) {
            return Some(summary);
        }
        take_failure(&mut self.test_fails)
    }

    pub(super) fn take_after_call(&mut self, method: &str, path: &str) -> Vec<AdminAct> {
        let mut due = Vec::new();
        self.after_call.retain(|(pattern, act)| {
            let now = pattern.fits(method, path);
            if now {
                due.push(act.clone());
            }
            !now
        });
        due
    }
}
