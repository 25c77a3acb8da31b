//! Rules that look at a whole file, or from one file into the other.

use std::collections::{BTreeMap, HashMap};
use std::fmt;

use model::fleet::{HaMode, Role as ClusterRole};
use model::{ClusterName, FirmwareVersion};

use crate::fault::Faults;
use crate::fleet_file::FleetFile;
use crate::near::nearest;
use crate::resolve::Fleet;
use crate::rollout_file::{Picks, RolloutFile};
use crate::select::Select;
use crate::source::{At, Field, Span};

/// The rules of the fleet file.
pub(crate) fn fleet(file: &FleetFile, faults: &mut Faults) {
    endpoints(file, faults);
    references(file, faults);
    cluster_roles(file, faults);
    attended_members(file, faults);
}

/// Two entries that answer at the same address and port are one appliance, upgraded twice.
fn endpoints(file: &FleetFile, faults: &mut Faults) {
    let mut seen: HashMap<(&str, u16), Span> = HashMap::with_capacity(file.appliances.len());
    for raw in &file.appliances {
        let port = raw.access.port.or(&file.defaults.port);
        let Some(address) = raw.address.given().filter(|_| !port.is_faulty()) else { continue };
        let port = port.value().copied().unwrap_or(443);
        if let Some(first) = seen.get(&(address.value.as_str(), port)) {
            let message = format!("{} port {port} is there twice", address.value);
            faults
                .add("duplicate-address", address.span, message)
                .label("given again here")
                .help("one management address is one appliance")
                .related(*first, "first given here");
        } else {
            seen.insert((&address.value, port), address.span);
        }
    }
}

/// Sites, groups and clusters that appliances name must be declared; the site `default` is.
fn references(file: &FleetFile, faults: &mut Faults) {
    if !file.whole {
        return;
    }
    let mut sites = Unknown::default();
    let mut groups = Unknown::default();
    let mut clusters = Unknown::default();
    let named = std::iter::once(&file.defaults.site)
        .chain(file.appliances.iter().map(|raw| &raw.access.site));
    for at in named.filter_map(Field::given) {
        if at.value.as_str() != "default" && !file.sites.contains_key(&at.value) {
            sites.add(at.value.as_str(), at.span);
        }
    }
    for raw in &file.appliances {
        if let Some(at) = raw.group.given()
            && !file.groups.contains_key(&at.value)
        {
            groups.add(at.value.as_str(), at.span);
        }
        if let Some(at) = raw.cluster.given()
            && !file.clusters.contains_key(&at.value.name)
        {
            clusters.add(at.value.name.as_str(), at.span);
        }
    }
    sites.report(faults, "unknown-site", "site", "sites", file.sites.keys());
    groups.report(
        faults,
        "unknown-group",
        "redundancy group",
        "redundancy_groups",
        file.groups.keys(),
    );
    clusters.report(faults, "unknown-cluster", "cluster", "clusters", file.clusters.keys());
}

/// Undeclared names and where they are used: one fault a name.
#[derive(Default)]
struct Unknown<'f>(BTreeMap<&'f str, Vec<Span>>);

impl<'f> Unknown<'f> {
    fn add(&mut self, name: &'f str, span: Span) {
        self.0.entry(name).or_default().push(span);
    }

    fn report<N: fmt::Display>(
        self,
        faults: &mut Faults,
        code: &'static str,
        what: &str,
        key: &str,
        declared: impl Iterator<Item = N>,
    ) {
        let declared: Vec<String> = declared.map(|name| name.to_string()).collect();
        for (name, spans) in self.0 {
            let Some((first, others)) = spans.split_first() else { continue };
            let near = nearest(name, declared.iter().map(String::as_str));
            let draft = faults
                .add(code, *first, format!("there is no {what} `{name}`"))
                .label("not declared")
                .help(format!("declare it under `{key}`, such as `{name}: {{}}`"))
                .did_you_mean(near);
            for span in others.iter().take(3) {
                draft.related(*span, "used here too");
            }
        }
    }
}

/// One search-master and one central-management a cluster; they may be the same appliance.
fn cluster_roles(file: &FleetFile, faults: &mut Faults) {
    let mut members: BTreeMap<&ClusterName, Vec<(&[ClusterRole], Span)>> = BTreeMap::new();
    for raw in &file.appliances {
        if let Some(At { value, span }) = raw.cluster.given() {
            members.entry(&value.name).or_default().push((&value.roles, *span));
        }
    }
    let readable = !file.appliances.iter().any(|raw| raw.cluster.is_faulty());
    for (cluster, members) in members {
        for (role, name) in [
            (ClusterRole::SearchMaster, "search-master"),
            (ClusterRole::CentralManagement, "central-management"),
        ] {
            let mut holders = members.iter().filter(|(roles, _)| roles.contains(&role));
            let first = holders.next();
            if let (Some((_, first)), Some((_, second))) = (first, holders.next()) {
                let message = format!("the cluster `{cluster}` has two members with {name}");
                faults
                    .add("duplicate-role", *second, message)
                    .label("the second")
                    .help("a cluster has one; the others are upgraded before it")
                    .related(*first, "the first");
            }
        }
        let managed =
            members.iter().any(|(roles, _)| roles.contains(&ClusterRole::CentralManagement));
        if let (false, true, Some((_, span))) = (managed, readable, members.first()) {
            let message = format!("no member of the cluster `{cluster}` has central-management");
            faults
                .add("no-central-management", *span, message)
                .label("a member of it")
                .help("list all members of the cluster with all their roles");
        }
    }
}

/// Inside a cluster nothing waits for a person, unless the cluster allows it.
fn attended_members(file: &FleetFile, faults: &mut Faults) {
    for raw in &file.appliances {
        let (Some(member), Some(ha)) = (raw.cluster.given(), raw.ha.given()) else { continue };
        let attended = ha.value.mode.value() == Some(&HaMode::Attended);
        let Some(cluster) = file.clusters.get(&member.value.name).filter(|_| attended) else {
            continue;
        };
        if !cluster.allow_attended.is_faulty() && cluster.allow_attended.value() != Some(&true) {
            let message =
                format!("an attended HA pair is a member of the cluster `{}`", member.value.name);
            faults
                .add("attended-in-cluster", ha.span, message)
                .label("waits for a person")
                .help("while it waits, minions do not audit; `allow_attended: true` on the cluster allows it")
                .related(member.span, "member of the cluster");
        }
    }
}

/// The rules of the rollout file, and its names that must be in the fleet.
pub(crate) fn rollout(file: &RolloutFile, fleet: Option<&Fleet>, faults: &mut Faults) {
    if let (Some(fleet), Some(select)) = (fleet.filter(|fleet| fleet.whole), &file.select) {
        names(select, fleet, faults);
        for wave in &file.waves {
            if let Picks::Select(select) = &wave.picks {
                names(select, fleet, faults);
            }
        }
    }
    waves(file, faults);
    hops(file, faults);
}

/// Versions to go through rise up to the target. A hop that is not below what comes after it would
/// be a step back, or nothing.
fn hops(file: &RolloutFile, faults: &mut Faults) {
    let Some(firmware) = &file.firmware else { return };
    let mut before: Option<&At<FirmwareVersion>> = None;
    for version in firmware.hops().filter_map(|hop| hop.version.as_ref()) {
        if let Some(before) = before.filter(|before| before.value >= version.value) {
            faults
                .add(
                    "bad-order",
                    before.span,
                    format!("the hop {} is not older than {}", before.value, version.value),
                )
                .label("this comes first")
                .help(
                    "`via` lists versions from the oldest to the newest, all older than the target",
                )
                .related(version.span, "and this after it");
        }
        before = Some(version);
    }
}

fn names(select: &Select, fleet: &Fleet, faults: &mut Faults) {
    for at in select.names.iter().flatten().filter(|at| !fleet.names.contains_key(&at.value)) {
        faults
            .add("unknown-name", at.span, format!("there is no appliance `{}`", at.value))
            .label("not in the fleet")
            .did_you_mean(nearest(at.value.as_str(), fleet.names.keys().map(|name| name.as_str())));
    }
    let sites = || fleet.sites.keys().map(|name| name.as_str()).chain(["default"]);
    for at in select.sites.iter().flatten() {
        if !sites().any(|site| site == at.value.as_str()) {
            faults
                .add("unknown-site", at.span, format!("there is no site `{}`", at.value))
                .label("not in the fleet")
                .did_you_mean(nearest(at.value.as_str(), sites()));
        }
    }
    for at in select.clusters.iter().flatten() {
        if !fleet.clusters.contains_key(&at.value) {
            let known = fleet.clusters.keys().map(|name| name.as_str());
            faults
                .add("unknown-cluster", at.span, format!("there is no cluster `{}`", at.value))
                .label("not in the fleet")
                .did_you_mean(nearest(at.value.as_str(), known));
        }
    }
    if let Some(except) = &select.except {
        names(except, fleet, faults);
    }
}

/// Names once, percentages that grow, and the rest last.
fn waves(file: &RolloutFile, faults: &mut Faults) {
    let mut seen = BTreeMap::new();
    let mut percent: Option<At<u32>> = None;
    let mut rest = None;
    for wave in &file.waves {
        if let Some(first) = seen.insert(&wave.name, wave.span) {
            faults
                .add(
                    "duplicate-name",
                    wave.span,
                    format!("the wave `{}` is there twice", wave.name),
                )
                .label("given again here")
                .related(first, "first given here");
        }
        if let Some((name, span)) = rest {
            let message = format!("the wave `{}` comes after `{name}`", wave.name);
            faults
                .add("rest-not-last", wave.span, message)
                .label("nothing is left for it")
                .help("a wave with neither `select` nor `percent` takes the rest, and is the last")
                .related(span, "takes all that is left");
            break;
        }
        match &wave.picks {
            Picks::Percent(at) => {
                if let Some(before) = percent.as_ref().filter(|before| before.value > at.value) {
                    let message = format!("{} percent come after {}", at.value, before.value);
                    faults
                        .add("falling-percent", at.span, message)
                        .label("less than before")
                        .help("percentages count earlier waves in: 5, 25, 100")
                        .related(before.span, "more already");
                }
                percent = Some(at.clone());
            }
            Picks::Rest => rest = Some((&wave.name, wave.span)),
            Picks::Select(_) => {}
        }
    }
}
