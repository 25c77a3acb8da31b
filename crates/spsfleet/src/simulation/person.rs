//! A person who is always there: lets waves start, does an HA pair's steps and reboots what is
//! armed, at once. What went wrong is left alone: that is what a simulation is for.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use executor::Handle;
use model::decision::{Actor, Decision, PersonStep};
use model::event::{ApplianceChange, Change, Draft, Event, RolloutChange};
use model::hold::HoldReason;
use model::memory::MemoryJournal;
use model::plan::Plan;
use model::ports::{Clock, Journal};
use model::run::Run;
use model::{ApplianceName, FirmwareVersion, RolloutId};
use sim::SimFleet;
use tokio::task::JoinSet;

/// What the simulated person is called in the log.
pub(crate) const NAME: &str = "simulated person";

/// Between two looks at what comes about by itself.
const LOOK: Duration = Duration::from_secs(10);
/// After so many looks the person gives up.
const LOOKS: u32 = 720;

/// The person, with what is being done.
pub(super) struct Person {
    pub(super) fleet: Arc<SimFleet>,
    pub(super) plan: Arc<Plan>,
    pub(super) journal: Arc<MemoryJournal>,
    pub(super) id: RolloutId,
    pub(super) tasks: JoinSet<()>,
    pub(super) answered: BTreeSet<(ApplianceName, PersonStep, jiff::Timestamp)>,
}

/// Writes decisions: through the executor that runs, else into the journal for the next one.
#[derive(Clone)]
struct Desk {
    handle: Handle,
    journal: Arc<MemoryJournal>,
    id: RolloutId,
    clock: Arc<dyn Clock>,
}

impl Desk {
    async fn decide(&self, decision: Decision) {
        let reason = "simulated".to_owned();
        let taken = self.handle.decide(actor(), reason.clone(), decision.clone()).await;
        if taken.is_err() {
            let change = RolloutChange::Decided { actor: actor(), reason, decision };
            let (rollout, at) = (self.id.clone(), self.clock.now());
            let draft = Draft { rollout, at, change: Change::Rollout(change) };
            // What cannot be decided any more has come about by itself.
            drop(self.journal.append(&[draft]).await);
        }
    }
}

pub(super) fn actor() -> Actor {
    Actor { uid: 0, name: NAME.to_owned(), pid: std::process::id() }
}

impl Person {
    fn desk(&self, handle: &Handle) -> Desk {
        Desk {
            handle: handle.clone(),
            journal: Arc::clone(&self.journal),
            id: self.id.clone(),
            clock: Arc::clone(self.fleet.clock()),
        }
    }

    /// Begins what a fold asks for; true when there is anything.
    pub(super) fn look(&mut self, run: &Run, handle: &Handle) -> bool {
        let before = self.tasks.len();
        for (at, wave) in run.plan.waves.iter().enumerate() {
            let follows = at + 1 < run.plan.waves.len();
            let open =
                run.waves_finished.contains(&wave.name) && !run.approvals.contains_key(&wave.name);
            if wave.approval && follows && open && !run.has_ended() {
                self.approve(wave.name.clone(), handle);
            }
        }
        for (name, state) in &run.appliances {
            if let Some(hold) = &state.hold {
                self.held(name, hold, state.since, handle);
            }
        }
        self.tasks.len() > before
    }

    /// Begins what an event asks for.
    pub(super) fn take(&mut self, event: &Event, handle: &Handle) {
        match &event.change {
            Change::Rollout(RolloutChange::WaveFinished { wave }) => {
                let mut waves = self.plan.waves.iter();
                let asked = waves.any(|planned| planned.name == *wave && planned.approval);
                if asked && waves.next().is_some() {
                    self.approve(wave.clone(), handle);
                }
            }
            Change::Appliance(name, ApplianceChange::Held(hold)) => {
                self.held(name, hold, event.at, handle);
            }
            _ => {}
        }
    }

    fn approve(&mut self, wave: model::WaveName, handle: &Handle) {
        let desk = self.desk(handle);
        self.tasks.spawn(async move { desk.decide(Decision::Approve { wave }).await });
    }

    fn held(
        &mut self,
        name: &ApplianceName,
        hold: &HoldReason,
        at: jiff::Timestamp,
        handle: &Handle,
    ) {
        let step = match hold {
            HoldReason::AttendedStep { step, .. } => *step,
            HoldReason::OperatorReboot { .. } => PersonStep::Reboot,
            _ => return,
        };
        if !self.answered.insert((name.clone(), step, at)) {
            return;
        }
        let Some(appliance) = self.fleet.appliance(name.as_str()) else { return };
        let (desk, name) = (self.desk(handle), name.clone());
        // What the primary is armed with is what the secondary must hold.
        let runs = FirmwareVersion::observed(&appliance.version()).ok();
        let hop = runs.map(|runs| self.plan.hop(self.plan.next_hop(&runs)).version.to_string());
        self.tasks.spawn(async move {
            match step {
                PersonStep::SecondaryOff => appliance.secondary_off(),
                PersonStep::SecondaryOn => appliance.secondary_on(),
                PersonStep::Reboot => appliance.reboot(),
                PersonStep::PeerHasFirmware | PersonStep::PairHealthy => {}
            }
            let done = || match (step, appliance.pair()) {
                (PersonStep::Reboot, _) | (_, None) => true,
                (PersonStep::PeerHasFirmware, Some(pair)) => {
                    hop.as_ref().is_none_or(|hop| *hop == pair.secondary_holds)
                }
                (PersonStep::SecondaryOff, Some(pair)) => !pair.secondary_has_power,
                (PersonStep::SecondaryOn, Some(pair)) => pair.secondary_has_power,
                (PersonStep::PairHealthy, Some(pair)) => pair.whole,
            };
            for _ in 0..LOOKS {
                if done() {
                    desk.decide(Decision::Confirm { appliance: name, step }).await;
                    return;
                }
                desk.clock.sleep(LOOK).await;
            }
        });
    }
}
