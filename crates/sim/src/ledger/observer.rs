//! Checks the invariants of a rollout from what the appliances saw, and from nothing else: it
//! knows neither the plan nor the journal.

mod acts;
mod clusters;
mod down;
mod pairs;
mod rates;
mod slots;
mod waves;
mod windows;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use jiff::Timestamp;
use model::names::{ApplianceName, ClusterName, FetchKey, GroupName, SiteName};

use super::{CallRecord, ChangedBy, Entry, Ledger, Life, What};

/// What must hold, and where each appliance belongs.
#[derive(Debug, Clone, Default)]
pub struct Limits {
    /// How many appliances may be down at once, over all.
    pub unavailable: Option<usize>,
    /// The same for a site.
    pub site_unavailable: BTreeMap<SiteName, usize>,
    /// The same for a redundancy group.
    pub group_unavailable: BTreeMap<GroupName, usize>,
    /// The site of each appliance.
    pub sites: BTreeMap<ApplianceName, SiteName>,
    /// The redundancy group of each appliance.
    pub groups: BTreeMap<ApplianceName, GroupName>,
    /// How many transfers may run at once, over all.
    pub transfers: Option<usize>,
    /// The same for a site.
    pub site_transfers: BTreeMap<SiteName, usize>,
    /// Requests in any second, over all.
    pub requests_per_second: Option<u32>,
    /// The same for a site.
    pub site_requests_per_second: BTreeMap<SiteName, u32>,
    /// What a second may hold above the limit: requests are counted when they arrive, and those
    /// sent in time may arrive together.
    pub request_slack: f64,
    /// The version that is rolled out: an upgrade call must be for a slot that holds it.
    pub target: Option<String>,
    /// Appliances for which a person decided to try an upgrade again.
    pub upgrade_again: BTreeSet<ApplianceName>,
    /// Appliances for which a person decided to try a refused password again.
    pub login_again: BTreeSet<ApplianceName>,
    /// Versions that may be installed on the way to the target.
    pub via: Vec<String>,
    /// Appliances for which a person decided that a power act or reboot may be tried again.
    pub power_again: BTreeSet<ApplianceName>,
    /// The central clusters that are rolled out to.
    pub clusters: BTreeMap<ClusterName, ClusterLimits>,
    /// The waves in their order.
    pub waves: Vec<Vec<ApplianceName>>,
    /// Appliances that nobody waits for any more: failed, left out by a person, or so late that
    /// others were begun before them.
    pub given_up: BTreeSet<ApplianceName>,
    /// When an appliance may go down, from and until (excluded); any time when it is not here.
    pub open: BTreeMap<ApplianceName, Vec<(Timestamp, Timestamp)>>,
    /// Slots that may be deleted to make room.
    pub may_make_room: bool,
    /// Whether all fetch records of ours must be gone: true once the rollout has ended.
    pub ended: bool,
}

/// In what order the members of a cluster go down.
#[derive(Debug, Clone, Default)]
pub struct ClusterLimits {
    /// The ranks in their order.
    pub ranks: Vec<Vec<ApplianceName>>,
    /// How many members of one rank may be down at once; 0 is 1.
    pub parallel: usize,
}

impl ClusterLimits {
    fn members(&self) -> impl Iterator<Item = &ApplianceName> {
        self.ranks.iter().flatten()
    }
}

/// All that the ledger knows of one appliance, in order.
struct Story<'a> {
    name: &'a ApplianceName,
    entries: Vec<&'a Entry>,
}

impl Story<'_> {
    fn calls(&self) -> impl Iterator<Item = (&Entry, &CallRecord)> {
        self.entries.iter().filter_map(|entry| Some((*entry, entry.call()?)))
    }
}

/// What broke an invariant, each as a sentence; empty when all held.
#[must_use]
pub fn violations(ledger: &Ledger, limits: &Limits) -> Vec<String> {
    let mut entries = ledger.entries();
    // What an act caused is written at the moment of the act, before its call ends.
    entries.sort_by_key(|entry| match &entry.what {
        What::Call(_) | What::Power(_) => entry.ended,
        What::Life(_) => entry.began,
    });
    let mut stories: BTreeMap<&ApplianceName, Story<'_>> = BTreeMap::new();
    for entry in &entries {
        let story = stories
            .entry(&entry.appliance)
            .or_insert_with(|| Story { name: &entry.appliance, entries: Vec::new() });
        story.entries.push(entry);
    }
    let stories: Vec<Story<'_>> = stories.into_values().collect();
    let mut found = Vec::new();
    for story in &stories {
        upgraded_once(story, limits, &mut found);
        slots::checked(story, limits, &mut found);
        slots::untouched(story, limits, &mut found);
        logins(story, limits, &mut found);
        pairs::whole(story, &mut found);
        acts::once(story, limits, &mut found);
        if limits.ended {
            records(story, &mut found);
        }
    }
    down::check(&stories, limits, &mut found);
    clusters::check(&stories, limits, &mut found);
    waves::check(&stories, limits, &mut found);
    windows::check(&stories, limits, &mut found);
    rates::transfers(&stories, limits, &mut found);
    rates::requests(&entries, limits, &mut found);
    found
}

const UPGRADE: &str = "POST /api/firmware/upgrade";

/// A moment at which an appliance began to go down by an upgrade call, and for which firmware.
struct Upgrade<'a> {
    entry: &'a Entry,
    version: &'a str,
}

impl<'a> Story<'a> {
    /// The upgrade calls that acted.
    fn upgrades(&self) -> impl Iterator<Item = Upgrade<'a>> {
        self.entries.iter().filter_map(|entry| {
            let call = entry.call().filter(|call| call.changed && call.is(UPGRADE))?;
            Some(Upgrade { entry, version: call.version.as_deref()? })
        })
    }
}

fn seconds(at: Duration) -> String {
    format!("{:.3} s", at.as_secs_f64())
}

/// No second upgrade call that acted, for one version.
fn upgraded_once(story: &Story<'_>, limits: &Limits, found: &mut Vec<String>) {
    let mut acted: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (entry, call) in story.calls().filter(|(_, call)| call.changed && call.is(UPGRADE)) {
        let version = call.version.as_deref().unwrap_or("?").to_owned();
        acted.entry(version).or_default().push(seconds(entry.ended));
    }
    if limits.upgrade_again.contains(story.name) {
        return;
    }
    for (version, times) in acted.iter().filter(|(_, times)| times.len() > 1) {
        found.push(format!(
            "{}: the upgrade to {version} was begun {} times, at {}",
            story.name,
            times.len(),
            times.join(", ")
        ));
    }
}

/// No password is sent again to an appliance that refused it.
fn logins(story: &Story<'_>, limits: &Limits, found: &mut Vec<String>) {
    if limits.login_again.contains(story.name) {
        return;
    }
    let mut refused: BTreeSet<u32> = BTreeSet::new();
    for (entry, call) in story.calls() {
        let Some(login) = &call.login else { continue };
        if refused.contains(&login.secret) {
            found.push(format!(
                "{}: a password that was refused before was sent again at {}",
                story.name,
                seconds(entry.began)
            ));
        }
        // Only a refusal that the caller heard counts.
        if !login.accepted && call.status == Some(401) {
            refused.insert(login.secret);
        }
    }
}

/// Fetch records that calls made are gone.
fn records(story: &Story<'_>, found: &mut Vec<String>) {
    let mut ours: BTreeSet<&FetchKey> = BTreeSet::new();
    for life in story.entries.iter().filter_map(|entry| entry.life()) {
        match life {
            Life::FetchQueued { job, by: ChangedBy::Call } => {
                ours.insert(job);
            }
            Life::FetchForgotten { job } => {
                ours.remove(job);
            }
            _ => {}
        }
    }
    for job in ours {
        found.push(format!("{}: the record of fetch job {job} was left behind", story.name));
    }
}
