//! What is allowed, but should be known before a plan is accepted.

use std::collections::{BTreeMap, BTreeSet};

use jiff::SignedDuration;
use model::fleet::{
    Appliance, HaMode, PowerTarget, Reboot, Redfish, Role as ClusterRole, Trust, UpgradeCall,
};
use model::plan::{PlannedWave, Warning};
use model::rollout::HookKind;
use model::{ApplianceName, ClusterName, GroupName};

use crate::duration::show;
use crate::resolve::{Entry, Fleet, uses_power, uses_reboot};
use crate::rollout_file::{RawFirmware, RolloutFile};
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
    warnings.extend(hardware(entries));
    warnings.extend(search_roles(entries));
    warnings.extend(waiting_members(entries));
    warnings
}

/// Of the services and programs that act on hardware.
fn hardware(entries: &[&Entry]) -> Vec<Warning> {
    let mut insecure = Vec::new();
    let mut clear = Vec::new();
    let mut by_hand = Vec::new();
    let mut short = Vec::new();
    for entry in entries {
        let Appliance { name, ha, upgrade_call, reboot, .. } = &*entry.appliance;
        let switch = ha.as_ref().and_then(|ha| ha.secondary_power.as_ref());
        let power = switch.filter(|_| uses_power(*upgrade_call, ha.as_ref()));
        let services = [
            match reboot {
                Reboot::Redfish(redfish) if uses_reboot(*upgrade_call, ha.as_ref()) => {
                    Some(redfish)
                }
                _ => None,
            },
            match power {
                Some(PowerTarget::Redfish(redfish)) => Some(redfish),
                _ => None,
            },
        ];
        let has = |bad: &dyn Fn(&Redfish) -> bool| services.into_iter().flatten().any(bad);
        if has(&|redfish| redfish.trust == Trust::Insecure) {
            insecure.push(name);
        }
        if has(&|redfish| redfish.url.get(..5).is_some_and(|s| s.eq_ignore_ascii_case("http:"))) {
            clear.push(name);
        }
        let automatic = uses_power(*upgrade_call, ha.as_ref());
        if automatic && *reboot == Reboot::Operator {
            by_hand.push(name);
        }
        let least = SignedDuration::from_mins(2);
        let peer_sync = ha.as_ref().and_then(|ha| ha.peer_sync);
        if automatic && peer_sync.is_some_and(|wait| wait < least) {
            short.push(name);
        }
    }
    let mut warnings = Vec::new();
    let mut warn = |names: Vec<&ApplianceName>, code: &str, text: &str| {
        if !names.is_empty() {
            warnings.push(warning(code, format!("{text} {}", some(&names))));
        }
    };
    warn(
        insecure,
        "insecure",
        "`tls: {insecure: true}`: whoever answers for the Redfish service gets its password, and may say that power is off, of",
    );
    warn(
        clear,
        "redfish-in-clear",
        "the password of the Redfish service crosses the network in clear (http), of",
    );
    warn(
        by_hand,
        "reboot-by-hand",
        "a person must reboot (`reboot: operator`) while the secondary is switched off, though the pair is automatic:",
    );
    warn(
        short,
        "short-duration",
        "`peer_sync` is surprisingly short (the vendor speaks of a few minutes) on",
    );
    warnings
}

/// Members of clusters at which a person's act is waited for: until it is done, minions that are
/// upgraded do not audit.
fn waiting_members(entries: &[&Entry]) -> Option<Warning> {
    let waits = |entry: &&&Entry| {
        let Appliance { ha, upgrade_call, reboot, .. } = &*entry.appliance;
        let attended = ha.as_ref().is_some_and(|ha| ha.mode == HaMode::Attended);
        let by_hand = *upgrade_call == UpgradeCall::Arms && *reboot == Reboot::Operator;
        entry.appliance.cluster.is_some() && (attended || by_hand)
    };
    let names: Vec<&ApplianceName> =
        entries.iter().filter(waits).map(|entry| &entry.appliance.name).collect();
    let text = format!(
        "inside a cluster a person's steps are waited for, and its upgraded minions do not audit meanwhile: {}",
        some(&names)
    );
    (!names.is_empty()).then(|| warning("person-in-cluster", text))
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

/// The members of a redundancy group.
#[derive(Default)]
struct Members<'f> {
    inside: usize,
    outside: Vec<&'f ApplianceName>,
    clusters: BTreeSet<Option<&'f ClusterName>>,
}

/// About redundancy groups that a rollout touches.
pub(crate) fn groups(fleet: &Fleet, selected: &[&Entry], bystanders: &[&Entry]) -> Vec<Warning> {
    let mut groups: BTreeMap<&GroupName, Members<'_>> = BTreeMap::new();
    for entry in selected {
        if let Some(group) = &entry.appliance.group {
            let members = groups.entry(group).or_default();
            members.inside += 1;
            members.clusters.insert(entry.appliance.cluster.as_ref().map(|member| &member.name));
        }
    }
    for entry in bystanders {
        if let Some(group) = &entry.appliance.group {
            groups.entry(group).or_default().outside.push(&entry.appliance.name);
        }
    }
    let mut warnings = Vec::new();
    for (name, Members { inside, outside, clusters }) in groups {
        if !outside.is_empty() {
            let text = format!(
                "only a part of the redundancy group `{name}` is selected; the others keep their version: {}",
                some(&outside)
            );
            warnings.push(warning("part-of-group", text));
        } else if inside > 1
            && clusters.len() == 1
            && let Some(Some(cluster)) = clusters.first()
        {
            let text = format!(
                "all members of the redundancy group `{name}` are in the cluster `{cluster}`: until that is through, none of them stands in for another"
            );
            warnings.push(warning("group-in-cluster", text));
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
const SHORT: [(&str, i64); 10] = [
    ("drain.wait", 60),
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

/// Parts of a rollout that have no effect here, or another than it seems.
pub(crate) fn parts(
    file: &RolloutFile,
    waves: &[PlannedWave],
    selected: &[&Entry],
) -> Vec<Warning> {
    let mut warnings = Vec::new();
    if let Some(last) = waves.last().filter(|wave| wave.approval) {
        let text = format!(
            "`approval: required` of the wave `{}` has no effect: no wave comes after it",
            last.name
        );
        warnings.push(warning("approval-without-effect", text));
    }
    let clusters = selected.iter().any(|entry| entry.appliance.cluster.is_some());
    for kind in [HookKind::ClusterBefore, HookKind::ClusterAfter] {
        if !clusters && file.hooks.contains_key(&kind) {
            let text = format!("the hook `{}` never runs: no cluster is selected", kind.name());
            warnings.push(warning("hook-without-effect", text));
        }
    }
    let mut sums = BTreeMap::new();
    for hop in file.firmware.iter().flat_map(RawFirmware::hops) {
        let (Some(version), Some(sum)) = (&hop.version, &hop.sha256) else { continue };
        if let Some(first) = sums.insert(&sum.value, &version.value) {
            let text = format!(
                "{first} and {} have the same SHA-256 sum, but one image is one version",
                version.value
            );
            warnings.push(warning("same-image", text));
        }
    }
    warnings
}

/// In one order, each once: the same inputs give the same plan.
pub(crate) fn sorted(warnings: Vec<Warning>) -> Vec<Warning> {
    warnings.into_iter().collect::<BTreeSet<_>>().into_iter().collect()
}
