//! Leave to go down: in plan order, inside windows, within the limits.

use std::collections::BTreeMap;

use jiff::Timestamp;
use model::expect;
use model::hold::HoldReason;
use model::names::{ApplianceName, SiteName};
use model::plan::Plan;
use model::rollout::HookKind;

use super::account::membership;
use super::{Command, Core};

impl Core {
    pub(super) fn give_permits(&mut self, now: Timestamp, commands: &mut Vec<Command>) {
        let started = |wave: &usize| {
            let planned = self.run.plan.waves.get(*wave);
            planned.is_some_and(|planned| self.run.waves_started.contains(&planned.name))
        };
        let current = self.current_wave().filter(started);
        let open = self.closed().is_none() && !self.run.aborted;
        let begun = current.filter(|wave| {
            let name = self.run.plan.waves.get(*wave).map(|wave| wave.name.clone());
            open && name.is_some_and(|name| {
                !self.hook_pending(HookKind::WaveBefore, name.as_str(), commands)
            })
        });
        self.tend_clusters(begun, now, commands);
        let Some(wave) = begun else { return };
        if self.occupancy.rollout_is_full(&self.run.id) {
            return;
        }
        let plan = std::sync::Arc::clone(&self.run.plan);
        let mut sites: BTreeMap<SiteName, usize> = BTreeMap::new();
        let waiting: Vec<SiteName> = self
            .ready
            .get(wave)
            .map(|ready| ready.sites.keys().cloned().collect())
            .unwrap_or_default();
        for site in waiting {
            if let Some(closed) = self.openings.closed(&self.run, &site, now) {
                self.wake_at(closed.until().unwrap_or(Timestamp::MAX));
            } else {
                sites.insert(site, 0);
            }
        }
        // The earliest of all sites that are open, one after the other.
        while !self.occupancy.rollout_is_full(&self.run.id) {
            let next = sites
                .iter()
                .filter_map(|(site, from)| {
                    let ready = self.ready.get(wave)?.sites.get(site)?;
                    ready.range(from..).next().map(|index| (*index, site.clone()))
                })
                .min();
            let Some((index, site)) = next else { break };
            sites.insert(site.clone(), index + 1);
            let Some(name) = self.order.get(index).cloned() else { continue };
            let Some(who) = membership(&self.run, &name) else { continue };
            if self.permitting.contains(&name) {
                continue;
            }
            match self.occupancy.may_go_down(&who) {
                Err(HoldReason::SiteLimit { .. }) => {
                    sites.remove(&site);
                    continue;
                }
                Err(_) => continue,
                Ok(()) => {}
            }
            if let Some(until) = self.member_waits_until(index, &plan, &name, &site, now) {
                self.wake_at(until);
                continue;
            }
            self.occupancy.take(&who);
            self.permit(index, wave, name, commands);
        }
    }

    /// Until when a member must wait for its window, if it must.
    fn member_waits_until(
        &mut self,
        index: usize,
        plan: &Plan,
        name: &ApplianceName,
        site: &SiteName,
        now: Timestamp,
    ) -> Option<Timestamp> {
        if !plan.calendars.contains_key(site) {
            return None;
        }
        if let Some(at) = self.too_late.get(&index).filter(|at| now < **at) {
            return Some(*at);
        }
        let history = &self.history;
        let expected = || expect::appliance(plan, name, history);
        let wait = self.openings.wait(&self.run, site, now, expected);
        match wait {
            Some(at) => self.too_late.insert(index, at),
            None => self.too_late.remove(&index),
        };
        wait
    }
}
