//! No member of a later wave goes down before the earlier waves are through.

use std::collections::BTreeMap;
use std::time::Duration;

use model::names::ApplianceName;

use super::down::{Interval, ours};
use super::{Limits, Story, seconds};

pub(super) fn check(stories: &[Story<'_>], limits: &Limits, found: &mut Vec<String>) {
    let intervals: BTreeMap<&ApplianceName, Vec<Interval<'_>>> =
        stories.iter().map(|story| (story.name, ours(story))).collect();
    for (index, wave) in limits.waves.iter().enumerate() {
        let first = wave
            .iter()
            .filter_map(|name| intervals.get(name))
            .flatten()
            .min_by_key(|down| (down.from, down.name));
        let Some(first) = first else { continue };
        let earlier = limits.waves.iter().take(index).flatten();
        for name in earlier.filter(|name| !limits.given_up.contains(*name)) {
            let its = intervals.get(name).map(Vec::as_slice).unwrap_or_default();
            if let Some(when) = still_at_it(its, first.from) {
                found.push(format!(
                    "{} of wave {} went down at {} when {name} of an earlier wave was not through \
                     (it was at {})",
                    first.name,
                    index + 1,
                    seconds(first.from),
                    seconds(when)
                ));
            }
        }
    }
}

/// When an appliance is back that went down before a moment and came back after it, or that went
/// down later.
fn still_at_it(intervals: &[Interval<'_>], at: Duration) -> Option<Duration> {
    intervals
        .iter()
        .filter(|down| down.from >= at || down.covers(at))
        .map(|down| down.until.unwrap_or(down.from))
        .max()
}
