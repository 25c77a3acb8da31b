//! The openings of calendars, found once and remembered.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};
use model::SiteName;
use model::calendar::{Calendar, Opening};
use model::plan::Plan;

use crate::calendars;

/// How far ahead openings are looked for.
const AHEAD: SignedDuration = SignedDuration::from_hours(400 * 24);

/// More changes than this on one night, and clocks are changed twice: an hour is what they shift.
const CLOCKS: SignedDuration = SignedDuration::from_hours(1);

/// The calendars of a plan; sites with equal ones share what was found.
pub(super) struct Openings<'p> {
    of: Vec<OfCalendar<'p>>,
    by_site: BTreeMap<&'p SiteName, usize>,
    /// Calendars that are never open together for so long: what never fits later neither.
    never: BTreeSet<(Vec<usize>, SignedDuration)>,
}

struct OfCalendar<'p> {
    calendar: &'p Calendar,
    /// Told from its shape; `None` when there is no end.
    longest: Option<SignedDuration>,
    /// Beginning and end of each, in order; the last may have no end.
    spans: Vec<(Timestamp, Timestamp)>,
    /// Up to here openings are found.
    seen: Timestamp,
    until: Timestamp,
}

impl<'p> Openings<'p> {
    pub(super) fn new(plan: &'p Plan, from: Timestamp) -> Self {
        let mut openings =
            Self { of: Vec::new(), by_site: BTreeMap::new(), never: BTreeSet::new() };
        for (site, calendar) in &plan.calendars {
            let known = openings.of.iter().position(|of| of.calendar == calendar);
            let at = known.unwrap_or(openings.of.len());
            if known.is_none() {
                openings.of.push(OfCalendar {
                    calendar,
                    longest: calendars::longest(calendar),
                    spans: Vec::new(),
                    seen: from,
                    until: from.saturating_add(AHEAD).unwrap_or(Timestamp::MAX),
                });
            }
            openings.by_site.insert(site, at);
        }
        openings
    }

    /// Which calendar a site has; none when it is always open.
    pub(super) fn of(&self, site: &SiteName) -> Option<usize> {
        self.by_site.get(site).copied()
    }

    /// The longest of a calendar; `None` when it has no end.
    pub(super) fn longest(&self, calendar: usize) -> Option<SignedDuration> {
        self.of.get(calendar)?.longest
    }

    /// The first moment from `at` on from which all of these calendars are open for `need`.
    pub(super) fn fit(
        &mut self,
        calendars: &[usize],
        at: Timestamp,
        need: SignedDuration,
    ) -> Option<Timestamp> {
        if let [calendar] = calendars {
            return self.of.get_mut(*calendar)?.fit(at, need);
        }
        if !self.never.is_empty() && self.never.contains(&(calendars.to_vec(), need)) {
            return None;
        }
        let mut moment = at;
        loop {
            let mut found = Some(moment);
            for calendar in calendars {
                found = self.of.get_mut(*calendar).zip(found).and_then(|(of, at)| of.fit(at, need));
            }
            match found {
                Some(found) if found == moment => return Some(found),
                Some(found) => moment = found,
                None => {
                    self.never.insert((calendars.to_vec(), need));
                    return None;
                }
            }
        }
    }
}

impl OfCalendar<'_> {
    fn fit(&mut self, at: Timestamp, need: SignedDuration) -> Option<Timestamp> {
        if self.longest.is_some_and(|longest| need > longest.saturating_add(CLOCKS)) {
            return None;
        }
        let mut index = self.spans.partition_point(|(_, to)| *to <= at);
        loop {
            while index >= self.spans.len() {
                self.look_on()?;
            }
            let (from, to) = self.spans.get(index).copied()?;
            let start = from.max(at);
            if to == Timestamp::MAX || start < to && to.duration_since(start) >= need {
                return Some(start);
            }
            index += 1;
        }
    }

    /// Finds what comes next; `None` when there is nothing more to find.
    fn look_on(&mut self) -> Option<()> {
        if self.seen >= self.until {
            return None;
        }
        let next = match self.calendar.opening(self.seen, None) {
            Opening::Open(until) => {
                let until = until.unwrap_or(Timestamp::MAX);
                self.spans.push((self.seen, until));
                Some(until)
            }
            Opening::Closed(until) | Opening::Frozen { until, .. } => until,
        };
        self.seen = next.unwrap_or(Timestamp::MAX);
        Some(())
    }
}
