//! What the random runs have found, told in the fewest events.

use executor::core::Command;
use executor::reasons;
use model::decision::{Actor, Decision};
use model::event::{
    Act, ActKind, ActOutcome, ApplianceChange as Is, Change, Event, RolloutChange, SkipReason,
    StagedHow, Step,
};
use model::hold::HoldReason;
use model::names::{ApplianceName, FetchKey, RolloutId, SlotKey};
use model::run::Phase;

use super::drive::Drive;
use super::plans::Parts;
use super::words::baseline;

fn name(text: &str) -> ApplianceName {
    ApplianceName::new(text).expect("a name")
}

fn slot() -> SlotKey {
    SlotKey::new("2")
}

impl Drive {
    /// The step of an appliance says this; it is written.
    fn says(&mut self, of: &str, change: Is) -> &mut Self {
        self.draft(Change::Appliance(name(of), change));
        self.write().expect("no rule is broken");
        self
    }

    /// The step under way begins, says this, and ends.
    fn step(&mut self, of: &str, step: Step, changes: impl IntoIterator<Item = Is>) -> &mut Self {
        assert_eq!(self.under_way(of), Some(step), "of {of}");
        self.says(of, Is::StepStarted(step));
        for change in changes {
            self.says(of, change);
        }
        self.end(&name(of));
        self.write().expect("no rule is broken");
        self
    }

    fn under_way(&self, of: &str) -> Option<Step> {
        self.tasks.get(of).map(|task| task.step)
    }

    fn phase(&self, of: &str) -> Phase {
        self.core.run().appliances.get(of).expect("a member").phase
    }

    fn says_person(&mut self, decision: Decision) -> &mut Self {
        self.decide(decision);
        self.write().expect("no rule is broken");
        self
    }

    /// Read, fetched and tested.
    fn made_ready(&mut self, of: &str) -> &mut Self {
        self.step(of, Step::Preflight, [read()])
            .step(of, Step::Stage, [Is::Staged { slot: slot(), how: StagedHow::Adopted }])
            .step(of, Step::Test, [tested()])
    }
}

fn read() -> Is {
    Is::Preflighted(Box::new(baseline(Vec::new())))
}

fn tested() -> Is {
    Is::Tested { slot: slot(), summary: String::new() }
}

fn outcome(act: ActKind, outcome: ActOutcome) -> Is {
    Is::Outcome { act, outcome, saw: String::new() }
}

/// As many appliances as waves are named, at one site; one may be down at once.
fn drive(waves: &[usize], ahead: bool) -> Drive {
    Drive::new(Parts::plain(waves, ahead).plan()).expect("a rollout")
}

#[test]
fn a_permit_keeps_its_place_whatever_is_heard_before_it_is_written() {
    let mut drive = drive(&[0, 0, 0], true);
    drive.made_ready("a00");
    let called = outcome(ActKind::Upgrade, ActOutcome::Done { job: None, slot: None });
    drive.step("a00", Step::Activate, [Is::Intended(Act::Upgrade { slot: slot() }), called]);
    drive.made_ready("a01").made_ready("a02");
    drive.says("a00", Is::StepStarted(Step::Return));
    let version = super::plans::target();
    drive.draft(Change::Appliance(name("a00"), Is::Returned { version }));
    drive.draft(Change::Appliance(name("a01"), Is::Reachable));
    drive.write().expect("one may be down");
    assert_eq!(drive.under_way("a01"), Some(Step::Activate));
    assert_eq!(drive.under_way("a02"), None);
}
