//! Places for transfers: whose lives on its appliance first, then the others in plan order.

use std::collections::BTreeSet;

use jiff::Timestamp;
use model::event::{ActKind, Step};
use model::names::{ApplianceName, SiteName};
use model::run::ApplianceRun;

use super::{Command, Core};

impl Core {
    pub(super) fn start_transfers(&mut self, now: Timestamp, commands: &mut Vec<Command>) {
        let limit = self.run.plan.limits.transfers as usize;
        let mut full: BTreeSet<SiteName> = BTreeSet::new();
        let plan = std::sync::Arc::clone(&self.run.plan);
        let mut from = (false, 0);
        while self.transfers_in_all < limit
            && let Some((new, index)) = self.to_stage.range(from..).next().copied()
        {
            from = (new, index + 1);
            let Some(name) = self.order.get(index).cloned() else { continue };
            let Some(appliance) = plan.appliances.get(&name) else { continue };
            if full.contains(&appliance.site) || !self.may_stage(&name, now) {
                continue;
            }
            let of_site = self.transfers.get(&appliance.site).map_or(0, BTreeSet::len);
            if of_site >= plan.site_transfers(&appliance.site) as usize {
                full.insert(appliance.site.clone());
                continue;
            }
            self.to_stage.remove(&(new, index));
            self.take_transfer(&name);
            self.start(name, Step::Stage, now, commands);
        }
    }

    fn take_transfer(&mut self, name: &ApplianceName) {
        let Some(appliance) = self.run.plan.appliances.get(name) else { return };
        let of_site = self.transfers.entry(appliance.site.clone()).or_default();
        if of_site.insert(name.clone()) {
            self.transfers_in_all += 1;
        }
    }

    pub(super) fn free_transfer(&mut self, name: &ApplianceName, step: Step) {
        if step == Step::Stage
            && let Some(appliance) = self.run.plan.appliances.get(name)
            && let Some(of_site) = self.transfers.get_mut(&appliance.site)
            && of_site.remove(name)
        {
            self.transfers_in_all -= 1;
        }
    }
}

/// Whether a transfer of ours may be under way on the appliance.
pub(super) fn transfer_lives(run: &ApplianceRun) -> bool {
    let open = run.open.as_ref().map(|open| open.act.kind());
    matches!(open, Some(ActKind::StartFetch | ActKind::Upload)) || run.stage.live_job().is_some()
}
