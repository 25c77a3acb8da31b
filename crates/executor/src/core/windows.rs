//! Windows and freezes: whether a site is open now, and whether something fits in.

use std::collections::BTreeMap;

use jiff::Timestamp;
use model::calendar::Opening;
use model::history::Expected;
use model::hold::HoldReason;
use model::names::SiteName;
use model::run::Run;

/// What the calendars of sites say, each looked up once until it changes.
#[derive(Debug, Clone, Default)]
pub(super) struct Openings {
    known: BTreeMap<SiteName, Known>,
}

#[derive(Debug, Clone)]
struct Known {
    from: Timestamp,
    /// `None`: it never changes.
    until: Option<Timestamp>,
    opening: Opening,
}

impl Openings {
    /// Forgets everything: a person lifted a freeze, or the plan changed.
    pub(super) fn forget(&mut self) {
        self.known.clear();
    }

    /// What a site's calendar says now.
    pub(super) fn of(&mut self, run: &Run, site: &SiteName, now: Timestamp) -> Opening {
        let Some(calendar) = run.plan.calendars.get(site) else { return Opening::Open(None) };
        if let Some(known) = self.known.get(site)
            && known.from <= now
            && known.until.is_none_or(|until| now < until)
        {
            return known.opening.clone();
        }
        let opening = calendar.opening(now, run.lifted.get(site).copied());
        let until = match &opening {
            Opening::Open(until) | Opening::Closed(until) | Opening::Frozen { until, .. } => *until,
        };
        self.known.insert(site.clone(), Known { from: now, until, opening: opening.clone() });
        opening
    }

    /// Why a site is closed now, if it is.
    pub(super) fn closed(
        &mut self,
        run: &Run,
        site: &SiteName,
        now: Timestamp,
    ) -> Option<HoldReason> {
        match self.of(run, site, now) {
            Opening::Open(_) => None,
            Opening::Closed(until) => Some(HoldReason::OutsideWindow { site: site.clone(), until }),
            Opening::Frozen { reason, until } => {
                Some(HoldReason::Frozen { site: site.clone(), freeze: reason, until })
            }
        }
    }

    /// Until when what takes so long must wait at a site, if it cannot begin now: until it is worth
    /// asking again, or for ever.
    pub(super) fn wait(
        &mut self,
        run: &Run,
        site: &SiteName,
        now: Timestamp,
        expected: impl FnOnce() -> Expected,
    ) -> Option<Timestamp> {
        match self.of(run, site, now) {
            Opening::Open(None) => None,
            Opening::Open(Some(closes)) => {
                let need = expected().took;
                if closes.duration_since(now) >= need {
                    return None;
                }
                let calendar = run.plan.calendars.get(site)?;
                let fit = calendar.next_fit(closes, need, run.lifted.get(site).copied());
                Some(fit.unwrap_or(Timestamp::MAX))
            }
            Opening::Closed(until) | Opening::Frozen { until, .. } => {
                Some(until.unwrap_or(Timestamp::MAX))
            }
        }
    }

    /// Whether what takes so long may begin at a site now.
    ///
    /// # Errors
    /// That it is closed, or closes too early.
    pub(super) fn fits(
        &mut self,
        run: &Run,
        site: &SiteName,
        now: Timestamp,
        expected: impl FnOnce() -> Expected,
    ) -> Result<(), HoldReason> {
        let Opening::Open(until) = self.of(run, site, now) else {
            let reason = self.closed(run, site, now);
            let Some(calendar) = run.plan.calendars.get(site) else { return Ok(()) };
            // The next window may be too short as well: what counts is when it may really go.
            let need = expected().took;
            let fit = calendar.next_fit(now, need, run.lifted.get(site).copied());
            return Err(match reason {
                Some(HoldReason::Frozen { site, freeze, .. }) => {
                    HoldReason::Frozen { site, freeze, until: fit }
                }
                _ => HoldReason::OutsideWindow { site: site.clone(), until: fit },
            });
        };
        let Some(closes) = until else { return Ok(()) };
        let expected = expected();
        if closes.duration_since(now) >= expected.took {
            return Ok(());
        }
        let lifted = run.lifted.get(site).copied();
        let until = run
            .plan
            .calendars
            .get(site)
            .and_then(|calendar| calendar.next_fit(now, expected.took, lifted));
        Err(HoldReason::WindowTooShort { site: site.clone(), closes, expected, until })
    }
}
