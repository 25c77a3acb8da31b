//! Whether anything still goes on by itself, and what is waited for when not.

use jiff::{SignedDuration, Timestamp};
use model::event::Step;
use model::fleet::{HaMode, Reboot};
use model::hold::HoldReason;
use model::names::ApplianceName;
use model::run::Phase;

use super::Core;

/// How long an appliance that was given up and is down is still looked at before the rest of the
/// rollout stops counting on it.
const LAST_LOOKS: SignedDuration = SignedDuration::from_secs(30);

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

impl Core {
    /// What is waited for when no step that can change something is under way; `None` while
    /// something goes on by itself. With `no_wait`, what is only watched does not count as that.
    #[must_use]
    pub fn at_rest(&self, now: Timestamp, no_wait: bool) -> Option<Rest> {
        let only_time = |name: &ApplianceName, step: Step| {
            no_wait
                && (matches!(step, Step::Watch | Step::Drain | Step::Soak)
                    || self.waits_armed(name))
        };
        let mut going = self.active.iter().filter(|(name, step)| self.goes_on(name, **step, now));
        let watched = going.clone().any(|(name, step)| only_time(name, *step));
        if going.any(|(name, step)| !only_time(name, *step))
            || !self.announced.is_empty()
            || !self.announced_clusters.is_empty()
            || !self.permitting.is_empty()
            || !self.hooking.is_empty()
        {
            return None;
        }
        if self.run.has_ended() {
            return Some(Rest::Ended);
        }
        let comes = !self.timers.is_empty() || self.wake_at.is_some_and(|at| at < Timestamp::MAX);
        if (watched || comes) && !self.run.aborted {
            return Some(Rest::Time);
        }
        Some(Rest::Person)
    }

    /// Whether somebody is only looked at: how long that goes on depends on time alone.
    #[must_use]
    pub fn watches(&self) -> bool {
        let dark = |name| self.run.appliances.get(name).is_some_and(|run| run.dark);
        self.active
            .iter()
            .any(|(name, step)| *step == Step::Watch || *step == Step::Soak && dark(name))
    }

    /// Whether a step under way may still bring the rollout forward by itself.
    fn goes_on(&self, name: &ApplianceName, step: Step, now: Timestamp) -> bool {
        let Some(run) = self.run.appliances.get(name) else {
            return self.holds_somebody(name) && self.may_come_back(name, now);
        };
        match step {
            Step::Watch if run.phase.is_terminal() => {
                let since = self.watched_since.get(name).copied().unwrap_or(now);
                now.duration_since(since) < LAST_LOOKS
            }
            Step::Return | Step::Rejoin => {
                run.phase != Phase::Attended
                    || !self.confirmed.contains(name)
                    || self.waits_armed(name)
            }
            // It only finds out what else may go wrong; but who is silent takes a place, and may
            // come back.
            Step::Soak => run.dark && self.may_come_back(name, now),
            // A member that stopped answering comes back, or fails when its wait is over.
            Step::Watch
            | Step::Preflight
            | Step::Stage
            | Step::Test
            | Step::Roster
            | Step::Drain
            | Step::Activate
            | Step::Verify
            | Step::Sync
            | Step::Bundle
            | Step::Cleanup => true,
        }
    }

    /// Whether an appliance is armed and waits for its next window, which cures it.
    fn waits_armed(&self, name: &ApplianceName) -> bool {
        let hold = self.run.appliances.get(name).and_then(|run| run.hold.as_ref());
        let by_person = self.run.plan.appliances.get(name).is_none_or(|entry| {
            let attended = entry.ha.as_ref().is_some_and(|ha| ha.mode == HaMode::Attended);
            entry.reboot == Reboot::Operator || attended
        });
        !by_person && matches!(hold, Some(HoldReason::ArmedOutsideWindow { .. }))
    }

    /// Whether a silent bystander keeps a partner from going on by itself.
    fn holds_somebody(&self, name: &ApplianceName) -> bool {
        let group = self.run.plan.bystanders.get(name).and_then(|entry| entry.group.as_ref());
        self.run.appliances.iter().any(|(member, run)| {
            let of = self.run.plan.appliances.get(member).and_then(|entry| entry.group.as_ref());
            of == group && !run.phase.is_terminal() && !run.phase.needs_person()
        })
    }

    fn may_come_back(&self, name: &ApplianceName, now: Timestamp) -> bool {
        let since = self.dark_since.get(name).copied().unwrap_or(now);
        now.duration_since(since) < self.run.plan.unreachable_wait
    }
}
