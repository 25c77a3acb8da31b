//! Never more down than the limits say.

use std::time::Duration;

use model::names::ApplianceName;

use super::{Life, Limits, Story, UPGRADE, What, seconds};

/// A member of a redundancy group that has been silent for so long counts as seen to be down.
const NOTICED: Duration = Duration::from_secs(40);

/// A time in which an appliance is down.
pub(super) struct Interval<'a> {
    pub(super) name: &'a ApplianceName,
    pub(super) from: Duration,
    /// `None`: it never came back.
    pub(super) until: Option<Duration>,
}

impl Interval<'_> {
    pub(super) fn covers(&self, at: Duration) -> bool {
        self.from <= at && self.until.is_none_or(|until| at < until)
    }
}

pub(super) fn check(stories: &[Story<'_>], limits: &Limits, found: &mut Vec<String>) {
    let ours: Vec<Interval<'_>> = stories.iter().flat_map(ours).collect();
    let silent: Vec<Interval<'_>> = stories.iter().flat_map(outages).collect();
    for began in &ours {
        let down = |member: &dyn Fn(&ApplianceName) -> bool| -> Vec<&str> {
            let mut names: Vec<&str> = ours
                .iter()
                .filter(|other| other.covers(began.from) && member(other.name))
                .map(|other| other.name.as_str())
                .collect();
            names.sort_unstable();
            names.dedup();
            names
        };
        let mut judge = |limit: Option<usize>, what: String, mut names: Vec<&str>| {
            names.sort_unstable();
            names.dedup();
            if limit.is_some_and(|limit| names.len() > limit) {
                found.push(format!(
                    "{} went down at {} when {} of {what} were down: {}",
                    began.name,
                    seconds(began.from),
                    names.len(),
                    names.join(", ")
                ));
            }
        };
        judge(limits.unavailable, "the rollout".to_owned(), down(&|_| true));
        if let Some(site) = limits.sites.get(began.name) {
            let here = |name: &ApplianceName| limits.sites.get(name) == Some(site);
            judge(limits.site_unavailable.get(site).copied(), format!("site {site}"), down(&here));
        }
        if let Some(group) = limits.groups.get(began.name) {
            let here = |name: &ApplianceName| limits.groups.get(name) == Some(group);
            let mut names = down(&here);
            let looked = began.from.saturating_sub(NOTICED);
            names.extend(
                silent
                    .iter()
                    .filter(|other| {
                        other.covers(looked) && other.covers(began.from) && here(other.name)
                    })
                    .map(|other| other.name.as_str()),
            );
            let limit = limits.group_unavailable.get(group).copied();
            judge(limit, format!("group {group}"), names);
        }
    }
}

/// The times in which an appliance is down by what was done to it.
pub(super) fn ours<'a>(story: &'a Story<'a>) -> Vec<Interval<'a>> {
    let mut all = disruptions(story);
    all.extend(without_secondary(story));
    all
}

/// From the request to shut the secondary down until it has power again.
fn without_secondary<'a>(story: &'a Story<'a>) -> Vec<Interval<'a>> {
    let mut intervals: Vec<Interval<'a>> = Vec::new();
    for entry in &story.entries {
        let open = intervals.last_mut().filter(|last| last.until.is_none());
        match (entry.life(), open) {
            (Some(Life::SecondaryShuttingDown | Life::SecondaryOff), None) => {
                intervals.push(Interval { name: story.name, from: entry.began, until: None });
            }
            (Some(Life::SecondaryBooting), Some(last)) => last.until = Some(entry.began),
            _ => {}
        }
    }
    intervals
}

/// From each upgrade call that acted until the appliance says `completed` after it came back.
fn disruptions<'a>(story: &'a Story<'a>) -> Vec<Interval<'a>> {
    let mut intervals: Vec<Interval<'a>> = Vec::new();
    let mut back = true;
    for entry in &story.entries {
        let open = intervals.last_mut().filter(|last| last.until.is_none());
        match (&entry.what, open) {
            (What::Call(call), None) if call.changed && call.is(UPGRADE) => {
                intervals.push(Interval { name: story.name, from: entry.ended, until: None });
                back = false;
            }
            (What::Life(Life::Up { .. }), _) => back = true,
            (What::Life(Life::Down), _) => back = false,
            (What::Call(call), Some(last))
                if back
                    && call.status == Some(200)
                    && call.fault.as_deref().is_none_or(|fault| fault == "delay")
                    && call.is("GET /api/setup") =>
            {
                last.until = Some(entry.ended);
            }
            _ => {}
        }
    }
    intervals
}

/// The times in which connections were refused or the boot page was shown.
fn outages<'a>(story: &'a Story<'a>) -> Vec<Interval<'a>> {
    let mut intervals: Vec<Interval<'a>> = Vec::new();
    for entry in &story.entries {
        let open = intervals.last_mut().filter(|last| last.until.is_none());
        match (entry.life(), open) {
            (Some(Life::Down), None) => {
                intervals.push(Interval { name: story.name, from: entry.began, until: None });
            }
            (Some(Life::Up { .. }), Some(last)) => last.until = Some(entry.began),
            _ => {}
        }
    }
    intervals
}
