//! Transfers at once, and requests in a second.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use model::names::{FetchKey, SiteName};

use super::{Entry, Life, Limits, Story, What, seconds};

/// A transfer's begin or end.
struct Edge<'a> {
    at: Duration,
    begins: bool,
    site: Option<&'a SiteName>,
}

/// Not more fetch jobs and uploads at once than the limits say.
pub(super) fn transfers(stories: &[Story<'_>], limits: &Limits, found: &mut Vec<String>) {
    let mut edges: Vec<Edge<'_>> = Vec::new();
    for story in stories {
        let site = limits.sites.get(story.name);
        let mut edge = |at, begins| edges.push(Edge { at, begins, site });
        let mut live: BTreeSet<&FetchKey> = BTreeSet::new();
        for entry in &story.entries {
            match &entry.what {
                What::Life(Life::FetchQueued { job, .. }) => {
                    // Several jobs on one appliance are one transfer: one downloads at a time.
                    if live.is_empty() {
                        edge(entry.began, true);
                    }
                    live.insert(job);
                }
                What::Life(Life::FetchEnded { job, .. }) if live.remove(job) && live.is_empty() => {
                    edge(entry.began, false);
                }
                What::Call(call) if call.is("POST /api/upload/firmware") => {
                    edge(entry.began, true);
                    edge(entry.ended, false);
                }
                _ => {}
            }
        }
    }
    // An end makes room at the same moment.
    edges.sort_by_key(|edge| (edge.at, edge.begins));
    let mut all = Peak::default();
    let mut sites: BTreeMap<&SiteName, Peak> = BTreeMap::new();
    for edge in &edges {
        all.step(edge);
        if let Some(site) = edge.site {
            sites.entry(site).or_default().step(edge);
        }
    }
    all.judge(limits.transfers, "the rollout", found);
    for (site, peak) in sites {
        let limit = limits.site_transfers.get(site).copied();
        peak.judge(limit, &format!("site {site}"), found);
    }
}

#[derive(Default)]
struct Peak {
    now: usize,
    most: usize,
    at: Duration,
}

impl Peak {
    fn step(&mut self, edge: &Edge<'_>) {
        if edge.begins {
            self.now += 1;
            if self.now > self.most {
                (self.most, self.at) = (self.now, edge.at);
            }
        } else {
            self.now = self.now.saturating_sub(1);
        }
    }

    fn judge(&self, limit: Option<usize>, what: &str, found: &mut Vec<String>) {
        if let Some(limit) = limit.filter(|limit| self.most > *limit) {
            let (most, at) = (self.most, seconds(self.at));
            found.push(format!("{most} transfers at once in {what} at {at}; the limit is {limit}"));
        }
    }
}

/// Not more requests in any second than the limits say.
pub(super) fn requests(entries: &[Entry], limits: &Limits, found: &mut Vec<String>) {
    let mut calls: Vec<&Entry> = entries.iter().filter(|entry| entry.call().is_some()).collect();
    calls.sort_by_key(|entry| entry.began);
    busiest(
        calls.iter().map(|entry| entry.began),
        limits.requests_per_second,
        limits,
        "all",
        found,
    );
    for (site, limit) in &limits.site_requests_per_second {
        let here = calls.iter().filter(|entry| limits.sites.get(&entry.appliance) == Some(site));
        let what = format!("site {site}");
        busiest(here.map(|entry| entry.began), Some(*limit), limits, &what, found);
    }
}

fn busiest(
    times: impl Iterator<Item = Duration>,
    limit: Option<u32>,
    limits: &Limits,
    what: &str,
    found: &mut Vec<String>,
) {
    let Some(limit) = limit else { return };
    let allowed = (f64::from(limit) * (1.0 + limits.request_slack)).ceil();
    let mut window: VecDeque<Duration> = VecDeque::new();
    let (mut most, mut when) = (0, Duration::ZERO);
    for at in times {
        window.push_back(at);
        while window.front().is_some_and(|first| *first + Duration::from_secs(1) <= at) {
            window.pop_front();
        }
        if window.len() > most {
            (most, when) = (window.len(), at);
        }
    }
    #[expect(clippy::cast_precision_loss, reason = "a count of requests in a second")]
    let exceeded = most as f64 > allowed;
    if exceeded {
        let when = seconds(when);
        found.push(format!(
            "{most} requests to {what} in the second before {when}; the limit is {limit}"
        ));
    }
}
