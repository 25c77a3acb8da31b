//! A central cluster goes down in its order, and only when all of it is ready (sps-api.md,
//! section 6: CLUPG).

use std::collections::BTreeSet;
use std::time::Duration;

use model::names::{ApplianceName, ClusterName};
use model::version::FirmwareVersion;

use super::down::{Interval, ours};
use super::{ClusterLimits, Life, Limits, Story, What, seconds};

const TEST: &str = "POST /api/firmware/test";
const INFO: &str = "GET /api/info";

pub(super) fn check(stories: &[Story<'_>], limits: &Limits, found: &mut Vec<String>) {
    for (name, cluster) in &limits.clusters {
        let members: Vec<&Story<'_>> = stories
            .iter()
            .filter(|story| cluster.members().any(|member| member == story.name))
            .collect();
        let it = Cluster { name, cluster, limits, members };
        for version in it.versions() {
            it.all_ready(version, found);
            it.in_order(version, found);
        }
        it.parallel(found);
    }
}

struct Cluster<'a> {
    name: &'a ClusterName,
    cluster: &'a ClusterLimits,
    limits: &'a Limits,
    members: Vec<&'a Story<'a>>,
}

impl<'a> Cluster<'a> {
    /// The versions that members were upgraded to.
    fn versions(&self) -> BTreeSet<&'a str> {
        self.members.iter().flat_map(|it| it.upgrades()).map(|upgrade| upgrade.version).collect()
    }

    /// Who must be waited for.
    fn waited_for(&self) -> impl Iterator<Item = &&'a Story<'a>> {
        self.members.iter().filter(|story| !self.limits.given_up.contains(story.name))
    }

    /// Before the first member goes down, every other has passed the test of the same firmware or
    /// runs it.
    fn all_ready(&self, version: &str, found: &mut Vec<String>) {
        let all = self.members.iter().flat_map(|story| {
            let of = |upgrade: &super::Upgrade<'_>| upgrade.version == version;
            story.upgrades().filter(of).map(move |upgrade| (upgrade.entry.ended, story.name))
        });
        let Some((at, first)) = all.min() else { return };
        for story in self.waited_for() {
            if !passed_test(story, version, at) && !runs(story, version, at) {
                found.push(format!(
                    "{first} of cluster {} went down at {} when {} had not passed the test of \
                     {version}",
                    self.name,
                    seconds(at),
                    story.name
                ));
            }
        }
        let known = |name: &ApplianceName| self.members.iter().any(|story| story.name == name);
        for name in self.cluster.members().filter(|name| !known(name)) {
            if !self.limits.given_up.contains(name) {
                found.push(format!(
                    "{first} of cluster {} went down at {} when nobody had looked at {name}",
                    self.name,
                    seconds(at)
                ));
            }
        }
    }

    /// When a member goes down, all of earlier ranks run the firmware and are up.
    fn in_order(&self, version: &str, found: &mut Vec<String>) {
        for (rank, names) in self.cluster.ranks.iter().enumerate() {
            let earlier: BTreeSet<&ApplianceName> =
                self.cluster.ranks.iter().take(rank).flatten().collect();
            for story in self.members.iter().filter(|story| names.contains(story.name)) {
                for upgrade in story.upgrades().filter(|upgrade| upgrade.version == version) {
                    let at = upgrade.entry.ended;
                    for before in self.waited_for().filter(|it| earlier.contains(it.name)) {
                        let down = ours(before).iter().any(|interval| interval.covers(at));
                        if down || !runs(before, version, at) {
                            found.push(format!(
                                "{} of cluster {} went down at {} before {} was through with \
                                 {version}",
                                story.name,
                                self.name,
                                seconds(at),
                                before.name
                            ));
                        }
                    }
                }
            }
        }
    }

    /// Not more of one rank at once than the cluster says.
    fn parallel(&self, found: &mut Vec<String>) {
        let most = self.cluster.parallel.max(1);
        for names in &self.cluster.ranks {
            let intervals: Vec<Interval<'_>> = self
                .members
                .iter()
                .filter(|story| names.contains(story.name))
                .flat_map(|story| ours(story))
                .collect();
            for began in &intervals {
                let down: BTreeSet<&str> = intervals
                    .iter()
                    .filter(|other| other.covers(began.from))
                    .map(|other| other.name.as_str())
                    .collect();
                if down.len() > most {
                    found.push(format!(
                        "{} went down at {} when {} of one rank of cluster {} were down: {}",
                        began.name,
                        seconds(began.from),
                        down.len(),
                        self.name,
                        down.into_iter().collect::<Vec<_>>().join(", ")
                    ));
                }
            }
        }
    }
}

/// Whether the firmware test of this version was passed before a moment.
fn passed_test(story: &Story<'_>, version: &str, at: Duration) -> bool {
    story.calls().any(|(entry, call)| {
        entry.ended <= at
            && call.is(TEST)
            && call.status == Some(200)
            && call.error_type.is_none()
            && call.version.as_deref() == Some(version)
    })
}

/// Whether the firmware that ran at a moment, as far as it was seen, is this one or newer.
fn runs(story: &Story<'_>, version: &str, at: Duration) -> bool {
    let mut seen: Option<&str> = None;
    for entry in story.entries.iter().filter(|entry| entry.ended <= at) {
        match &entry.what {
            What::Life(Life::Up { version, .. }) => seen = Some(version),
            What::Call(call) if call.is(INFO) && call.version.is_some() => {
                seen = call.version.as_deref();
            }
            _ => {}
        }
    }
    let parsed = |text: &str| FirmwareVersion::observed(text).ok();
    match (seen.and_then(parsed), parsed(version)) {
        (Some(seen), Some(wanted)) => seen >= wanted,
        _ => false,
    }
}
