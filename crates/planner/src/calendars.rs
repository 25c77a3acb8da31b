//! When the sites of a rollout are open, and how long at the longest.

use std::collections::{BTreeMap, BTreeSet};

use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use model::SiteName;
use model::calendar::{Calendar, Opening, Window};
use model::plan::Warning;

use crate::resolve::{Entry, Fleet};
use crate::rollout_file::RolloutFile;
use crate::select::some;
use crate::warn::warning;

/// The calendars of the selected appliances' sites; a site that is always open has none.
pub(crate) fn plan(
    fleet: &Fleet,
    file: &RolloutFile,
    selected: &[&Entry],
) -> BTreeMap<SiteName, Calendar> {
    let sites: BTreeSet<&SiteName> = selected.iter().map(|entry| &entry.appliance.site).collect();
    let own_windows = file.windows.value();
    let own_freezes = file.freezes.value();
    let calendars = sites.into_iter().filter_map(|name| {
        let site = fleet.sites.get(name);
        let of_site = site.and_then(|site| site.windows.value());
        let windows: Vec<Vec<Window>> =
            of_site.into_iter().chain(own_windows).filter(|set| !set.is_empty()).cloned().collect();
        let of_site = site.and_then(|site| site.freezes.value());
        let freezes: Vec<_> = of_site.into_iter().chain(own_freezes).flatten().cloned().collect();
        if windows.is_empty() && freezes.is_empty() {
            return None;
        }
        let time_zone = site.and_then(|site| site.time_zone.value());
        let time_zone = time_zone.map_or("UTC", String::as_str).to_owned();
        Some((name.clone(), Calendar { time_zone, windows, freezes }))
    });
    calendars.collect()
}

/// Sites in whose own time the rollout's windows and freezes cannot be read.
pub(crate) fn without_zone(
    fleet: &Fleet,
    file: &RolloutFile,
    selected: &[&Entry],
) -> Option<Warning> {
    let given = file.windows.value().is_some_and(|all| !all.is_empty())
        || file.freezes.value().is_some_and(|all| !all.is_empty());
    let has_zone = |site: &SiteName| {
        fleet.sites.get(site).is_some_and(|site| site.time_zone.given().is_some())
    };
    let sites: BTreeSet<&SiteName> = selected
        .iter()
        .map(|entry| &entry.appliance.site)
        .filter(|site| given && !has_zone(site))
        .collect();
    let sites: Vec<&SiteName> = sites.into_iter().collect();
    let text = format!(
        "the windows and freezes of the rollout are read as UTC at sites without `time_zone`: {}",
        some(&sites)
    );
    (!sites.is_empty()).then(|| warning("no-time-zone", text))
}

/// The longest time for which a calendar is open in a row; `None` when it has no end. Days on
/// which clocks are changed are left out: what fits on one night of the year does not fit.
///
/// Told from the calendar alone, so that the same files give the same answer at any time: where
/// windows come every week, an ordinary fortnight after all that comes once; and the time around
/// each window that comes once.
pub(crate) fn longest(calendar: &Calendar) -> Option<SignedDuration> {
    if calendar.windows.is_empty() {
        return None;
    }
    let calendar = Calendar { time_zone: "UTC".to_owned(), ..calendar.clone() };
    let instant = |at: DateTime| TimeZone::UTC.to_timestamp(at).unwrap_or(Timestamp::UNIX_EPOCH);
    let week = SignedDuration::from_hours(8 * 24);
    let around = |from: Timestamp, to: Timestamp| {
        let begin = from.checked_sub(week).unwrap_or(from);
        (begin, to.checked_add(week).unwrap_or(to))
    };
    let freezes = calendar.freezes.iter().map(|freeze| instant(freeze.to));
    let mut last = freezes.max().unwrap_or(Timestamp::UNIX_EPOCH);
    let mut spans = Vec::new();
    for window in calendar.windows.iter().flatten() {
        if let Window::Once { from, to } = window {
            let (from, to) = (instant(*from), instant(*to));
            last = last.max(to);
            spans.push(around(from, to));
        }
    }
    let (_, ordinary) = around(last, last);
    spans.push((ordinary, around(ordinary, ordinary).1));
    spans.sort_unstable();
    let mut longest = SignedDuration::ZERO;
    for (from, to) in spans {
        let mut at = from;
        while at < to {
            at = match calendar.opening(at, None) {
                Opening::Open(None) => return None,
                Opening::Open(Some(until)) => {
                    longest = longest.max(until.duration_since(at));
                    until
                }
                Opening::Closed(Some(until)) | Opening::Frozen { until: Some(until), .. } => until,
                Opening::Closed(None) | Opening::Frozen { until: None, .. } => break,
            };
        }
    }
    Some(longest)
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::civil::Time;
    use model::calendar::{Close, Freeze};

    fn weekly(days: &[usize], from: i8, to: Close) -> Window {
        let mut open = [false; 7];
        days.iter().for_each(|day| open[*day] = true);
        Window::Weekly { days: open, from: Time::constant(from, 0, 0, 0), to }
    }

    fn until(hour: i8) -> Close {
        Close::At(Time::constant(hour, 0, 0, 0))
    }

    fn once(from: &str, to: &str) -> Window {
        Window::Once { from: from.parse().expect("a time"), to: to.parse().expect("a time") }
    }

    fn hours(windows: Vec<Vec<Window>>) -> Option<i64> {
        hours_with(windows, Vec::new())
    }

    fn hours_with(windows: Vec<Vec<Window>>, freezes: Vec<Freeze>) -> Option<i64> {
        let time_zone = "Europe/Amsterdam".to_owned();
        longest(&Calendar { time_zone, windows, freezes }).map(|longest| longest.as_hours())
    }

    #[test]
    fn the_longest_opening_is_told_from_the_shape() {
        let all = [0, 1, 2, 3, 4, 5, 6];
        let night = weekly(&all, 1, until(5));
        assert_eq!(hours(vec![vec![night.clone()]]), Some(4), "not 5, as on one night in autumn");
        let weekend = weekly(&[5], 22, Close::On(0, Time::constant(4, 0, 0, 0)));
        assert_eq!(hours(vec![vec![night.clone(), weekend.clone()]]), Some(31), "they touch");
        assert_eq!(hours(vec![vec![weekend], vec![night.clone()]]), Some(4), "both must be open");
        assert_eq!(hours(vec![vec![weekly(&all, 0, Close::Midnight)]]), None, "always");
        let day = weekly(&[2], 9, until(17));
        assert_eq!(hours(vec![vec![day], vec![night.clone()]]), Some(0), "never both");

        let move_day = once("2026-12-05T08:00", "2026-12-05T20:00");
        assert_eq!(hours(vec![vec![night.clone(), move_day.clone()]]), Some(12));
        assert_eq!(hours(vec![vec![move_day.clone()], vec![night.clone()]]), Some(0));
        let freeze = Freeze {
            from: "2026-12-05T00:00".parse().expect("a time"),
            to: "2026-12-05T15:00".parse().expect("a time"),
            reason: None,
        };
        assert_eq!(hours_with(vec![vec![night, move_day]], vec![freeze.clone()]), Some(5));
        assert_eq!(hours_with(Vec::new(), vec![freeze]), None, "no window: no end");
    }
}
