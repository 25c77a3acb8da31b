//! When appliances of a site may go down: windows and freezes in the site's own local time.
//!
//! A moment is inside a window when the clock on the site's wall shows a time inside it. So a
//! window in the hour that is left out in spring does not open that day, and one in the hour that
//! comes twice in autumn opens twice: nothing ever starts while the wall clock says that it may
//! not.

use jiff::civil::{Date, DateTime, Time};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Span, Timestamp};
use serde::{Deserialize, Serialize};

/// The windows and freezes of one site, the rollout's own included.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Calendar {
    /// The IANA name of the zone in which they are meant.
    pub time_zone: String,
    /// Sets of windows (the site's, the rollout's): one window of every set must be open. A set
    /// is never empty.
    pub windows: Vec<Vec<Window>>,
    /// Freezes win over windows.
    pub freezes: Vec<Freeze>,
}

/// A time in which appliances may go down.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Window {
    /// Every week.
    Weekly {
        /// The days on which it opens, from Monday.
        days: [bool; 7],
        /// When it opens.
        from: Time,
        /// When it closes, excluded.
        to: Close,
    },
    /// Once.
    Once {
        /// When it opens.
        from: DateTime,
        /// When it closes, excluded.
        to: DateTime,
    },
}

/// When a weekly window closes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Close {
    /// At this time on the day it opened, or on the next when the time is not later.
    At(Time),
    /// At midnight after the day it opened.
    Midnight,
    /// At this time on the next such day; the day counts from Monday, which is 0.
    On(u8, Time),
}

/// A time in which no appliance may go down.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Freeze {
    /// Its beginning.
    pub from: DateTime,
    /// Its end, excluded: the day after for a whole day.
    pub to: DateTime,
    /// Why.
    pub reason: Option<String>,
}

/// The first moment from `at` on at which all these calendars are open and stay open for `need`;
/// each with the end of its freezes' override. `None` when that never happens in the year to come.
#[must_use]
pub fn next_fit_of_all(
    calendars: &[(&Calendar, Option<Timestamp>)],
    at: Timestamp,
    need: SignedDuration,
) -> Option<Timestamp> {
    let mut at = at;
    let last = at.saturating_add(SignedDuration::from_hours(24 * i64::from(AHEAD_DAYS))).ok()?;
    while at <= last {
        let mut latest = at;
        for (calendar, lifted) in calendars {
            latest = latest.max(calendar.next_fit(at, need, *lifted)?);
        }
        if latest == at {
            return Some(at);
        }
        at = latest;
    }
    None
}

/// What a calendar says of a moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Opening {
    /// Appliances may go down until then; without an end when it is `None`.
    Open(Option<Timestamp>),
    /// No window is open; the next opens then, or never.
    Closed(Option<Timestamp>),
    /// A freeze is in force.
    Frozen {
        /// Why.
        reason: Option<String>,
        /// When appliances may go down again: freeze over and a window open; `None`: never.
        until: Option<Timestamp>,
    },
}

/// How far ahead an opening is searched for: a year and some weeks.
const AHEAD_DAYS: i32 = 400;

/// Days whose boundaries are looked at together.
const CHUNK_DAYS: i32 = 16;

impl Calendar {
    /// What holds at a moment. Freezes do not count before `lifted`: a person's override.
    #[must_use]
    pub fn opening(&self, at: Timestamp, lifted: Option<Timestamp>) -> Opening {
        let zone = self.zone();
        match self.says(&zone, at, lifted) {
            Says::Open => Opening::Open(self.next(&zone, at, lifted, |says| says != Says::Open)),
            Says::Closed => {
                Opening::Closed(self.next(&zone, at, lifted, |says| says == Says::Open))
            }
            Says::Frozen(freeze) => Opening::Frozen {
                reason: self.freezes.get(freeze).and_then(|freeze| freeze.reason.clone()),
                until: self.next(&zone, at, lifted, |says| says == Says::Open),
            },
        }
    }

    /// The first moment from `at` on at which it is open and stays open for `need`; `None` when
    /// that never happens in the year to come.
    #[must_use]
    pub fn next_fit(
        &self,
        at: Timestamp,
        need: SignedDuration,
        lifted: Option<Timestamp>,
    ) -> Option<Timestamp> {
        let mut at = at;
        // A year of windows that open every hour: more is not looked at.
        for _ in 0..10_000 {
            match self.opening(at, lifted) {
                Opening::Open(None) => return Some(at),
                Opening::Open(Some(until)) if until.duration_since(at) >= need => return Some(at),
                Opening::Open(Some(until)) => at = until,
                Opening::Closed(until) | Opening::Frozen { until, .. } => at = until?,
            }
        }
        None
    }

    /// The zone; UTC when the name is unknown, which the planner refuses.
    fn zone(&self) -> TimeZone {
        TimeZone::get(&self.time_zone).unwrap_or(TimeZone::UTC)
    }

    fn says(&self, zone: &TimeZone, at: Timestamp, lifted: Option<Timestamp>) -> Says {
        let local = zone.to_datetime(at);
        if lifted.is_none_or(|lifted| at >= lifted) {
            let frozen = |freeze: &Freeze| freeze.from <= local && local < freeze.to;
            if let Some(freeze) = self.freezes.iter().position(frozen) {
                return Says::Frozen(freeze);
            }
        }
        let open = |windows: &Vec<Window>| windows.iter().any(|window| window.contains(local));
        if self.windows.iter().all(open) { Says::Open } else { Says::Closed }
    }

    /// The first moment after `at` of which `wanted` is true.
    fn next(
        &self,
        zone: &TimeZone,
        at: Timestamp,
        lifted: Option<Timestamp>,
        wanted: impl Fn(Says) -> bool,
    ) -> Option<Timestamp> {
        let today = zone.to_datetime(at).date();
        let weekly = self.windows.iter().flatten().any(|w| matches!(w, Window::Weekly { .. }));
        let mut day = 0;
        while day < AHEAD_DAYS {
            // Only weekly windows have boundaries without end.
            let days = if weekly { CHUNK_DAYS } else { AHEAD_DAYS };
            let from = today.saturating_add(Span::new().days(day));
            let to = today.saturating_add(Span::new().days(day + days));
            let found = self
                .boundaries(zone, from, to, lifted)
                .into_iter()
                .find(|moment| *moment > at && wanted(self.says(zone, *moment, lifted)));
            if found.is_some() {
                return found;
            }
            day += days;
        }
        None
    }

    /// Every moment at which something may change between two days, in order.
    fn boundaries(
        &self,
        zone: &TimeZone,
        from: Date,
        to: Date,
        lifted: Option<Timestamp>,
    ) -> Vec<Timestamp> {
        let mut local: Vec<DateTime> = Vec::new();
        for window in self.windows.iter().flatten() {
            window.boundaries(from, to, &mut local);
        }
        local.extend(self.freezes.iter().flat_map(|freeze| [freeze.from, freeze.to]));
        let mut moments: Vec<Timestamp> =
            local.into_iter().flat_map(|local| instants(zone, local)).collect();
        let begin = from.saturating_sub(Span::new().days(1)).to_datetime(Time::midnight());
        let end = to.saturating_add(Span::new().days(1)).to_datetime(Time::midnight());
        if let (Some(begin), Some(end)) = (instants(zone, begin).next(), instants(zone, end).next())
        {
            let changes = zone.following(begin).map(|change| change.timestamp());
            moments.extend(changes.take_while(|change| *change <= end));
        }
        moments.extend(lifted);
        moments.sort_unstable();
        moments.dedup();
        moments
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Says {
    Open,
    Closed,
    /// By the freeze at this place of the list.
    Frozen(usize),
}

/// The moments at which a wall clock shows this time: one, or two in an hour that comes twice; of
/// an hour that is left out, what either side of it would be.
fn instants(zone: &TimeZone, local: DateTime) -> impl Iterator<Item = Timestamp> {
    let ambiguous = zone.to_ambiguous_timestamp(local);
    [ambiguous.earlier().ok(), ambiguous.later().ok()].into_iter().flatten()
}

impl Window {
    fn contains(&self, local: DateTime) -> bool {
        match self {
            Self::Once { from, to } => *from <= local && local < *to,
            Self::Weekly { .. } => (0..=7).any(|back| {
                let day = local.date().saturating_sub(Span::new().days(back));
                self.on(day).is_some_and(|(from, to)| from <= local && local < to)
            }),
        }
    }

    fn boundaries(&self, from: Date, to: Date, local: &mut Vec<DateTime>) {
        if let Self::Once { from, to } = self {
            local.extend([*from, *to]);
            return;
        }
        let mut day = from.saturating_sub(Span::new().days(8));
        while day <= to {
            if let Some((from, to)) = self.on(day) {
                local.extend([from, to]);
            }
            match day.tomorrow() {
                Ok(next) => day = next,
                Err(_) => return,
            }
        }
    }

    /// The weekly window that opens on this day.
    fn on(&self, day: Date) -> Option<(DateTime, DateTime)> {
        let Self::Weekly { days, from, to } = self else { return None };
        let weekday = usize::try_from(day.weekday().to_monday_zero_offset()).ok()?;
        if !days.get(weekday).copied().unwrap_or(false) {
            return None;
        }
        let after = |days: usize| {
            day.saturating_add(Span::new().days(i64::try_from(days).unwrap_or_default()))
        };
        let close = match to {
            Close::At(time) if time > from => day.to_datetime(*time),
            Close::At(time) => after(1).to_datetime(*time),
            Close::Midnight => after(1).to_datetime(Time::midnight()),
            Close::On(on, time) => match (usize::from(*on) + 7 - weekday) % 7 {
                0 if time <= from => after(7).to_datetime(*time),
                days => after(days).to_datetime(*time),
            },
        };
        Some((day.to_datetime(*from), close))
    }
}

#[cfg(test)]
mod tests;
