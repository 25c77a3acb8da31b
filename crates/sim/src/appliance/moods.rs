//! The behaviours of a fault plan as one appliance shows them, with what is left of each.

use std::time::Duration;

use jiff::SignedDuration;

use super::jobs::BROKEN;
use crate::faults::{AdminAct, Behaviour, CertificateWhen, FaultPlan, Illness, Pattern, When};
use crate::ledger::PowerAct;
use crate::spec::{ApplianceSpec, HealthSpec, UpgradeMode};

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
    pub(super) slower_shutdown: Duration,
    /// Power acts that are accepted and not done: which (`None` is any), and how many.
    power_ignored: Vec<(Option<PowerAct>, u32)>,
    /// What befalls it so long after an upgrade, and for how long.
    illnesses: Vec<(Duration, Option<Duration>, Illness)>,
    pub(super) cluster: ClusterMood,
    pub(super) after_call: Vec<(Pattern, AdminAct)>,
    pub(super) after_fetch: Vec<AdminAct>,
    pub(super) timed: Vec<(Duration, Timed)>,
}

/// How central management sees it.
#[derive(Debug, Default)]
pub(super) struct ClusterMood {
    pub(super) missing: bool,
    /// Not seen at all; `Some(true)`: only once it has restarted.
    pub(super) unseen: Option<bool>,
    /// Warnings; those with `true` only once it has restarted.
    pub(super) warnings: Vec<(String, bool)>,
    /// Nodes of the cluster that nobody knows of, by their fully qualified names.
    pub(super) strangers: Vec<String>,
}

/// What happens at a fixed time.
#[derive(Debug, Clone)]
pub(super) enum Timed {
    PowerOff,
    PowerOn,
    Admin(AdminAct),
    Sessions(u64),
    Ill(Illness, Option<Duration>),
    Well(Box<HealthSpec>),
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
            Behaviour::Sessions { open, from, until } => {
                self.at(unsigned(from), Timed::Sessions(open));
                if let Some(until) = until {
                    self.at(unsigned(until), Timed::Sessions(0));
                }
            }
            Behaviour::FallsIll { after, r#for, with } => {
                self.illnesses.push((unsigned(after), r#for.map(unsigned), with));
            }
            other => self.add_plural(other, spec),
        }
    }

    /// Those of pairs and clusters.
    fn add_plural(&mut self, behaviour: Behaviour, spec: &mut ApplianceSpec) {
        match behaviour {
            Behaviour::SlowShutdown { by } => self.slower_shutdown += unsigned(by),
            Behaviour::PowerIgnored { act, times } => self.power_ignored.push((act, times)),
            Behaviour::SecondaryOff {} => spec.pair.starts_off = true,
            Behaviour::SwitchIsPrimary {} => spec.pair.switch_is_primary = true,
            Behaviour::PeerSyncStuck {} => spec.pair.peer_sync = None,
            Behaviour::ClusterPending {} => spec.cluster_sync = None,
            Behaviour::ClusterUnseen { after_restart } => self.cluster.unseen = Some(after_restart),
            Behaviour::ClusterMissing {} => self.cluster.missing = true,
            Behaviour::ClusterStranger { fqdn } => self.cluster.strangers.push(fqdn),
            Behaviour::ClusterWarning { message, after_restart } => {
                self.cluster.warnings.push((message, after_restart));
            }
            Behaviour::Roles { roles } => spec.roles = roles,
            _ => {}
        }
    }

    pub(super) fn take_power_ignored(&mut self, act: PowerAct) -> bool {
        self.power_ignored
            .iter_mut()
            .any(|(wanted, left)| wanted.is_none_or(|wanted| wanted == act) && take(left))
    }

    /// An upgrade is through: what was to befall it afterwards takes its time.
    pub(super) fn fall_ill(&mut self, now: Duration) {
        for (after, lasts, illness) in std::mem::take(&mut self.illnesses) {
            self.at(now + after, Timed::Ill(illness, lasts));
        }
    }

    pub(super) fn at(&mut self, at: Duration, what: Timed) {
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
