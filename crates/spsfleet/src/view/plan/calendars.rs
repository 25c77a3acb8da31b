//! Windows and freezes of sites, as a person reads them.

use std::collections::BTreeMap;

use jiff::civil::{DateTime, Time};
use model::SiteName;
use model::calendar::{Calendar, Close, Freeze, Window};
use model::plan::Plan;

use crate::view::words;

/// One line for all sites with the same calendar.
pub(super) fn facts(plan: &Plan) -> Vec<(&'static str, String)> {
    let mut alike: Vec<(&Calendar, Vec<&SiteName>)> = Vec::new();
    for (site, calendar) in &plan.calendars {
        match alike.iter_mut().find(|(known, _)| *known == calendar) {
            Some((_, sites)) => sites.push(site),
            None => alike.push((calendar, vec![site])),
        }
    }
    let mut facts = Vec::new();
    for (calendar, sites) in alike {
        let sites = words::names(sites.iter().map(|site| site.as_str()), 5);
        facts.push(("windows", format!("{sites}: {} ({})", windows(calendar), calendar.time_zone)));
        for freeze in &calendar.freezes {
            facts.push(("freeze", format!("{sites}: {}", frozen(freeze))));
        }
    }
    let always: BTreeMap<&SiteName, ()> = plan
        .appliances
        .values()
        .filter(|appliance| !plan.calendars.contains_key(&appliance.site))
        .map(|appliance| (&appliance.site, ()))
        .collect();
    if !facts.is_empty() && !always.is_empty() {
        let sites = words::names(always.keys().map(|site| site.as_str()), 5);
        facts.push(("windows", format!("{sites}: any time")));
    }
    facts
}

/// Of every set one window must be open.
fn windows(calendar: &Calendar) -> String {
    if calendar.windows.is_empty() {
        return "any time".to_owned();
    }
    let sets: Vec<String> = calendar
        .windows
        .iter()
        .map(|set| set.iter().map(window).collect::<Vec<_>>().join(", "))
        .collect();
    sets.join("; and also inside ")
}

const DAYS: [&str; 7] = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"];

fn window(window: &Window) -> String {
    match window {
        Window::Once { from, to } => format!("{} to {}", minute(*from), minute(*to)),
        Window::Weekly { days, from, to } => {
            let to = match to {
                Close::At(time) => clock(*time),
                Close::Midnight => "24:00".to_owned(),
                Close::On(day, time) => {
                    let day = DAYS.get(usize::from(*day)).copied().unwrap_or("?");
                    format!("{day} {}", clock(*time))
                }
            };
            format!("{} {} - {to}", on(days), clock(*from))
        }
    }
}

/// `daily`, `Mon-Fri`, `Sat`, `Mon,Wed`.
fn on(days: &[bool; 7]) -> String {
    if days.iter().all(|day| *day) {
        return "daily".to_owned();
    }
    let mut runs: Vec<(usize, usize)> = Vec::new();
    for (day, _) in days.iter().enumerate().filter(|(_, open)| **open) {
        match runs.last_mut() {
            Some((_, end)) if *end + 1 == day => *end = day,
            _ => runs.push((day, day)),
        }
    }
    let name = |day: usize| DAYS.get(day).copied().unwrap_or("?");
    let run = |(from, to): &(usize, usize)| match to - from {
        0 => name(*from).to_owned(),
        _ => format!("{}-{}", name(*from), name(*to)),
    };
    runs.iter().map(run).collect::<Vec<_>>().join(",")
}

fn clock(time: Time) -> String {
    time.strftime("%H:%M").to_string()
}

fn minute(at: DateTime) -> String {
    at.strftime("%Y-%m-%d %H:%M").to_string()
}

/// Whole days show as days, both of them inside.
fn frozen(freeze: &Freeze) -> String {
    let midnight = |at: DateTime| at.time() == Time::midnight();
    let when = match freeze.to.date().yesterday() {
        Ok(last) if midnight(freeze.from) && midnight(freeze.to) => {
            format!("{} to {last}, both days whole", freeze.from.date())
        }
        _ => format!("{} to {}", minute(freeze.from), minute(freeze.to)),
    };
    match &freeze.reason {
        Some(reason) => format!("{when} ({reason})"),
        None => when,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_read_as_they_are_written() {
        let at = |hour, minute| Time::constant(hour, minute, 0, 0);
        let weekly = |days, from, to| window(&Window::Weekly { days, from, to });
        let (mon, fri) = ([true, true, true, true, false, false, false], [true; 7]);
        assert_eq!(weekly(mon, at(1, 0), Close::At(at(5, 0))), "Mon-Thu 01:00 - 05:00");
        assert_eq!(weekly(fri, at(22, 30), Close::Midnight), "daily 22:30 - 24:00");
        let some = [true, false, true, false, false, true, true];
        assert_eq!(
            weekly(some, at(22, 0), Close::On(6, at(4, 0))),
            "Mon,Wed,Sat-Sun 22:00 - Sun 04:00"
        );
        let day = |text: &str| text.parse::<DateTime>().expect("a time");
        let freeze = |from, to, reason: Option<&str>| {
            frozen(&Freeze { from: day(from), to: day(to), reason: reason.map(str::to_owned) })
        };
        assert_eq!(
            freeze("2026-12-18T00:00", "2027-01-05T00:00", Some("year-end")),
            "2026-12-18 to 2027-01-04, both days whole (year-end)"
        );
        assert_eq!(
            freeze("2026-12-18T06:00", "2026-12-18T09:30", None),
            "2026-12-18 06:00 to 2026-12-18 09:30"
        );
    }
}
