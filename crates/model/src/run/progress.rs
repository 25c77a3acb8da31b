//! What brings an appliance forward after its return: a pair's steps, the verdict, the next hop.

use jiff::{SignedDuration, Timestamp};

use super::{ApplianceRun, JobRecord, PairRecord, Phase, StageRecord};
use crate::decision::PersonStep;
use crate::event::{ActKind, Step};
use crate::version::FirmwareVersion;

impl ApplianceRun {
    /// A person's step of an HA pair is done, by a look or by a person's word.
    pub(super) fn pair_step_done(&mut self, step: PersonStep, at: Timestamp) {
        let since = self.pair.done.entry(step).or_insert(at);
        // A person who says it again rebooted it again.
        if step == PersonStep::Reboot {
            *since = at;
        }
        match step {
            PersonStep::SecondaryOff => self.close(ActKind::PowerOff),
            PersonStep::SecondaryOn => self.close(ActKind::PowerOn),
            PersonStep::PeerHasFirmware | PersonStep::Reboot | PersonStep::PairHealthy => {}
        }
        if self.phase == Phase::Attended {
            self.hold = None;
            let returned = self.upgrade.as_ref().is_some_and(|u| u.returned.is_some());
            self.enter(if returned { Phase::Verifying } else { Phase::Returning }, at);
        }
    }

    pub(super) fn verified(
        &mut self,
        version: &FirmwareVersion,
        sessions_cut: Option<u64>,
        at: Timestamp,
    ) -> Option<(Step, SignedDuration)> {
        self.version = Some(version.clone());
        // A pair is verified once, and is whole later.
        if let (Some(cut), false) = (sessions_cut, self.verified) {
            self.sessions_cut = Some(self.sessions_cut.unwrap_or_default() + cut);
        }
        self.end_step(Step::Verify, at)
    }

    /// Begins anew for the next version on the way; what is left on the appliance is remembered.
    pub(super) fn next_hop(&mut self) {
        self.hop += 1;
        self.baseline = None;
        self.tested = None;
        self.upgrade = None;
        self.calls = 0;
        self.permitted = false;
        self.drained = None;
        self.verified = false;
        self.pair = PairRecord::default();
        let left = self.stage.records_left().cloned().map(|job| JobRecord { failed: true, ..job });
        self.stage = StageRecord { jobs: left.collect(), ..StageRecord::default() };
    }
}
