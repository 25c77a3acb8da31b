//! A central cluster goes down in its order, and only when all of it is ready (sps-api.md,
//! section 6: CLUPG).

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use model::names::{ApplianceName, ClusterName};
use model::version::FirmwareVersion;

use super::down::{Interval, ours};
use super::{ClusterLimits, Life, Limits, Story, What, seconds};

const TEST: &str = "POST /api/firmware/test";
const INFO: &str = "GET /api/info";

pub(super) fn check(stories: &[Story<'_>], limits: &Limits, found: &mut Vec<String>) {
    let stories: BTreeMap<&ApplianceName, &Story<'_>> =
        stories.iter().map(|story| (story.name, story)).collect();
    for (name, cluster) in &limits.clusters {
        let members = cluster.members().filter_map(|name| stories.get(name));
        let members = members.map(|story| Member::of(story)).collect();
        let it = Cluster { name, cluster, limits, members };
        for version in it.versions() {
            it.all_ready(version, found);
            it.in_order(version, found);
        }
        it.parallel(found);
    }
}

/// A member, and what its story says.
struct Member<'a> {
    story: &'a Story<'a>,
    name: &'a ApplianceName,
    down: Vec<Interval<'a>>,
    /// The firmware that was seen to run, from when on.
    ran: Vec<(Duration, FirmwareVersion)>,
}

struct Cluster<'a> {
    name: &'a ClusterName,
    cluster: &'a ClusterLimits,
    limits: &'a Limits,
    members: Vec<Member<'a>>,
}

impl<'a> Cluster<'a> {
    /// The versions that members were upgraded to.
    fn versions(&self) -> BTreeSet<&'a str> {
        self.members
            .iter()
            .flat_map(|it| it.story.upgrades())
            .map(|upgrade| upgrade.version)
            .collect()
    }

    /// Who must be waited for.
    fn waited_for(&self) -> impl Iterator<Item = &Member<'a>> {
        self.members.iter().filter(|it| !self.limits.given_up.contains(it.name))
    }

    /// Before the first member goes down, every other has passed the test of the same firmware or
    /// runs it.
    fn all_ready(&self, version: &str, found: &mut Vec<String>) {
        let all = self.members.iter().flat_map(|it| {
            let of = |upgrade: &super::Upgrade<'_>| upgrade.version == version;
            it.story.upgrades().filter(of).map(move |upgrade| (upgrade.entry.ended, it.name))
        });
        let Some((at, first)) = all.min() else { return };
        for member in self.waited_for() {
            if !member.passed_test(version, at) && !member.runs(version, at) {
                found.push(format!(
                    "{first} of cluster {} went down at {} when {} had not passed the test of \
                     {version}",
                    self.name,
                    seconds(at),
                    member.name
                ));
            }
        }
        let known = |name: &ApplianceName| self.members.iter().any(|it| it.name == name);
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
            for member in self.members.iter().filter(|it| names.contains(it.name)) {
                for upgrade in member.story.upgrades().filter(|upgrade| upgrade.version == version)
                {
                    let at = upgrade.entry.ended;
                    for before in self.waited_for().filter(|it| earlier.contains(it.name)) {
                        let down = before.down.iter().any(|interval| interval.covers(at));
                        if down || !before.runs(version, at) {
                            found.push(format!(
                                "{} of cluster {} went down at {} before {} was through with \
                                 {version}",
                                member.name,
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
            let intervals: Vec<&Interval<'_>> = self
                .members
                .iter()
                .filter(|it| names.contains(it.name))
                .flat_map(|it| &it.down)
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

impl<'a> Member<'a> {
    fn of(story: &'a Story<'a>) -> Self {
        let seen = |entry: &super::Entry| {
            let version = match &entry.what {
                What::Life(Life::Up { version, .. }) => version.as_str(),
                What::Call(call) if call.is(INFO) => call.version.as_deref()?,
                _ => return None,
            };
            Some((entry.ended, FirmwareVersion::observed(version).ok()?))
        };
        let mut ran: Vec<(Duration, FirmwareVersion)> = Vec::new();
        for (at, version) in story.entries.iter().filter_map(|entry| seen(entry)) {
            if ran.last().is_none_or(|(_, last)| *last != version) {
                ran.push((at, version));
            }
        }
        Self { story, name: story.name, down: ours(story), ran }
    }

    /// Whether the firmware test of this version was passed before a moment.
    fn passed_test(&self, version: &str, at: Duration) -> bool {
        self.story.calls().any(|(entry, call)| {
            entry.ended <= at
                && call.is(TEST)
                && call.status == Some(200)
                && call.error_type.is_none()
                && call.version.as_deref() == Some(version)
        })
    }

    /// Whether the firmware that ran at a moment, as far as it was seen, is this one or newer.
    fn runs(&self, version: &str, at: Duration) -> bool {
        let seen = self.ran.iter().rev().find(|(from, _)| *from <= at);
        match (seen, FirmwareVersion::observed(version)) {
            (Some((_, seen)), Ok(wanted)) => *seen >= wanted,
            _ => false,
        }
    }
}
