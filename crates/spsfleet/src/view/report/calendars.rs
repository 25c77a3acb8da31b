//! The windows and freezes of the sites concerned, while the rollout went on.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use jiff::tz::TimeZone;
use model::SiteName;
use model::calendar::{Calendar, Freeze, Opening};
use model::decision::Decision;
use model::run::Run;

use super::facts::{FreezeFacts, SiteFacts, Span};
use super::log::Log;
use super::make::clean;

/// The windows and freezes of all sites concerned, from the beginning to the end.
pub(super) fn sites(
    run: &Run,
    log: &Log,
    began: Timestamp,
    end: Timestamp,
) -> BTreeMap<SiteName, SiteFacts> {
    let concerned: BTreeSet<_> = run.plan.appliances.values().map(|entry| &entry.site).collect();
    let calendars = run.plan.calendars.iter().filter(|(site, _)| concerned.contains(site));
    let of = |(name, calendar): (&SiteName, &Calendar)| {
        let mut site = openings(calendar, began, end);
        for decided in &log.decided {
            if let Decision::OverrideFreeze { site: of, until } = &decided.decision
                && of == name
            {
                site.lifted.push(Span { from: decided.at, to: Some(*until) });
            }
        }
        (name.clone(), site)
    };
    calendars.map(of).collect()
}

/// So many changes of a calendar are followed.
const CHANGES: usize = 1_000;

fn openings(calendar: &Calendar, began: Timestamp, end: Timestamp) -> SiteFacts {
    let mut open = Vec::new();
    let mut at = began;
    for _ in 0..CHANGES {
        let next = match calendar.opening(at, None) {
            Opening::Open(until) => {
                open.push(Span { from: at, to: until });
                until
            }
            Opening::Closed(until) | Opening::Frozen { until, .. } => until,
        };
        match next {
            Some(next) if next > at && next < end => at = next,
            _ => break,
        }
    }
    let zone = TimeZone::get(&calendar.time_zone).unwrap_or(TimeZone::UTC);
    let freeze = |freeze: &Freeze| {
        let from = zone.to_timestamp(freeze.from).ok()?;
        let to = zone.to_timestamp(freeze.to).ok()?;
        let reason = freeze.reason.as_deref().map(clean);
        (from < end && to > began)
            .then_some(FreezeFacts { reason, span: Span { from, to: Some(to) } })
    };
    SiteFacts {
        time_zone: clean(&calendar.time_zone),
        open,
        freezes: calendar.freezes.iter().filter_map(freeze).collect(),
        lifted: Vec::new(),
    }
}
