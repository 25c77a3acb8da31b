//! What is allowed, but should be known before a plan is accepted.

use std::collections::{BTreeMap, BTreeSet};

use jiff::SignedDuration;
use model::fleet::{HaMode, Role as ClusterRole, Trust, UpgradeCall};
use model::plan::Warning;
use model::{ApplianceName, ClusterName, GroupName};

use crate::duration::show;
use crate::resolve::{Entry, Fleet};
use crate::rollout_file::RolloutFile;
use crate::select::some;

/// Makes a warning.
pub(crate) fn warning(code: &str, text: String) -> Warning {
    Warning { code: code.to_owned(), text }
}

/// About appliances: all of the fleet, or those that a rollout concerns.
pub(crate) fn appliances(entries: &[&Entry]) -> Vec<Warning> {
    let mut warnings = Vec::new();
    let named = |keep: &dyn Fn(&Entry) -> bool| -> Vec<&ApplianceName> {
        entries.iter().filter(|entry| keep(entry)).map(|entry| &entry.appliance.name).collect()
    };
    let insecure = named(&|entry| entry.appliance.endpoint.trust == Trust::Insecure);
    if !insecure.is_empty() {
        let text = format!(
            "`tls: {{insecure: true}}`: whoever answers at the address gets the password of {}",
            some(&insecure)
        );
        warnings.push(warning("insecure", text));
    }
    let unproven = named(&|entry| {
        entry.appliance.upgrade_call == UpgradeCall::Arms
            && entry
                .appliance
                .ha
                .as_ref()
                .is_some_and(|ha| ha.mode == HaMode::Automatic && ha.secondary_check.is_none())
    });
    if !unproven.is_empty() {
        let text = format!(
            "nothing proves which node is the secondary before its power goes off (`secondary_check`) on {}",
            some(&unproven)
        );
        warnings.push(warning("no-secondary-check", text));
    }
    warnings.extend(search_roles(entries));
    warnings
}

/// Every member of a cluster has one search role, and one member is the search-master
/// (sps-api.md, section 6).
fn search_roles(entries: &[&Entry]) -> Vec<Warning> {
    let mut clusters: BTreeMap<&ClusterName, (bool, Vec<&ApplianceName>)> = BTreeMap::new();
    for entry in entries {
        let Some(member) = &entry.appliance.cluster else { continue };
        let (master, lacking) = clusters.entry(&member.name).or_default();
        *master |= member.roles.contains(&ClusterRole::SearchMaster);
        let searches = member
            .roles
            .iter()
            .any(|role| !matches!(role, ClusterRole::ManagedHost | ClusterRole::CentralManagement));
        if !searches {
            lacking.push(&entry.appliance.name);
        }
    }
    let mut warnings = Vec::new();
    for (cluster, (master, lacking)) in clusters {
        if !lacking.is_empty() {
            let text = format!("no search role in the cluster `{cluster}` for {}", some(&lacking));
            warnings.push(warning("no-search-role", text));
        }
        if !master {
            let text = format!("no member of the cluster `{cluster}` is its search-master");
            warnings.push(warning("no-search-master", text));
        }
    }
    warnings
}

/// About redundancy groups that a rollout touches.
pub(crate) fn groups(fleet: &Fleet, selected: &[&Entry], bystanders: &[&Entry]) -> Vec<Warning> {
    let mut groups: BTreeMap<&GroupName, (usize, Vec<&ApplianceName>)> = BTreeMap::new();
    for entry in selected {
        if let Some(group) = &entry.appliance.group {
            groups.entry(group).or_default().0 += 1;
        }
    }
    for entry in bystanders {
        if let Some(group) = &entry.appliance.group {
            groups.entry(group).or_default().1.push(&entry.appliance.name);
        }
    }
    let mut warnings = Vec::new();
    for (name, (inside, outside)) in groups {
        if !outside.is_empty() {
            let text = format!(
                "only a part of the redundancy group `{name}` is selected; the others keep their version: {}",
                some(&outside)
            );
            warnings.push(warning("part-of-group", text));
        }
        let members = inside + outside.len();
        let unavailable = fleet.groups.get(name).map_or(1, |group| group.unavailable as usize);
        if members > 1 && unavailable >= members {
            let text = format!(
                "all {members} members of the redundancy group `{name}` may be down at once (`unavailable: {unavailable}`)"
            );
            warnings.push(warning("group-unguarded", text));
        }
    }
    warnings
}

/// Shorter than this is surprising.
const SHORT: [(&str, i64); 9] = [
    ("stage", 600),
    ("stall", 30),
    ("test", 60),
    ("upgrade", 60),
    ("armed_grace", 30),
    ("return", 1_800),
    ("verify", 60),
    ("blind", 10),
    ("unreachable.wait", 300),
];

/// About the rollout file itself.
pub(crate) fn rollout(file: &RolloutFile) -> Vec<Warning> {
    let mut warnings = Vec::new();
    for (key, given) in &file.durations {
        let least = SHORT.iter().find(|(short, _)| short == key).map_or(0, |(_, least)| *least);
        if *given >= SignedDuration::from_secs(least) {
            continue;
        }
        let why = match *key {
            "return" => "; the vendor says that a restart may take 30 minutes",
            _ => "",
        };
        let text = format!("`{key}: {}` is surprisingly short{why}", show(*given));
        warnings.push(warning("short-duration", text));
    }
    let timeouts = &file.timeouts;
    for (small, small_key, large, large_key) in [
        (timeouts.stall, "stall", timeouts.stage, "stage"),
        (timeouts.blind, "blind", timeouts.upgrade, "upgrade"),
        (timeouts.armed_grace, "armed_grace", timeouts.upgrade, "upgrade"),
    ] {
        if small >= large {
            let text = format!(
                "`{small_key}: {}` is not shorter than `{large_key}: {}`",
                show(small),
                show(large)
            );
            warnings.push(warning("odd-timeouts", text));
        }
    }
    if file.checks.disk_used_max > 90 {
        let text = format!(
            "`disk_used_max: {}`: an upgrade needs 10 percent of the disk to be free",
            file.checks.disk_used_max
        );
        warnings.push(warning("disk-limit", text));
    }
    warnings
}

/// In one order, each once: the same inputs give the same plan.
pub(crate) fn sorted(warnings: Vec<Warning>) -> Vec<Warning> {
    warnings.into_iter().collect::<BTreeSet<_>>().into_iter().collect()
}
