//! Reads fleet.yaml as it stands, field by field; defaults are applied in `resolve`.

use std::collections::BTreeMap;

use jiff::SignedDuration;
use model::calendar::{Freeze, Window};
use model::fleet::{
    ClusterMember, HaMode, PowerTarget, Reboot, Role as ClusterRole, Trust, UpgradeCall,
};
use model::rollout::SiteLimits;
use model::{ApplianceName, ClusterName, GroupName, SiteName};

use crate::access::{self, RawLogin, Switch};
use crate::duration;
use crate::reader::{Map, Reader};
use crate::source::{At, Field, Span};
use crate::tree::Node;
use crate::values;
use crate::window;

/// The file as it stands.
#[derive(Debug)]
pub(crate) struct FleetFile {
    pub(crate) defaults: Access,
    pub(crate) sites: BTreeMap<SiteName, Site>,
    pub(crate) clusters: BTreeMap<ClusterName, Cluster>,
    pub(crate) groups: BTreeMap<GroupName, Group>,
    pub(crate) appliances: Vec<RawAppliance>,
    /// Whether all four lists could be read, so that what is not in them is not there.
    pub(crate) whole: bool,
}

/// What may stand in `defaults` and on each appliance.
#[derive(Debug, Default)]
pub(crate) struct Access {
    pub(crate) port: Field<u16>,
    pub(crate) login: Field<RawLogin>,
    pub(crate) tls: Field<Trust>,
    pub(crate) upgrade_call: Field<UpgradeCall>,
    pub(crate) reboot: Field<Box<Switch<Reboot>>>,
    pub(crate) site: Field<SiteName>,
    pub(crate) labels: Field<BTreeMap<String, String>>,
}

/// One entry of `appliances`.
#[derive(Debug)]
pub(crate) struct RawAppliance {
    pub(crate) span: Span,
    pub(crate) name: Field<ApplianceName>,
    pub(crate) address: Field<String>,
    pub(crate) hostname: Field<String>,
    pub(crate) access: Access,
    pub(crate) group: Field<GroupName>,
    pub(crate) cluster: Field<ClusterMember>,
    /// Boxed, since most have none.
    pub(crate) ha: Field<Box<RawHa>>,
}

/// An appliance's `ha`.
#[derive(Debug)]
pub(crate) struct RawHa {
    pub(crate) mode: Field<HaMode>,
    pub(crate) peer_sync: Field<SignedDuration>,
    pub(crate) secondary_check: Field<Vec<String>>,
    pub(crate) secondary_power: Field<Switch<PowerTarget>>,
    pub(crate) force_off_after: Field<SignedDuration>,
    pub(crate) reboots_both: Field<bool>,
}

/// An entry of `sites`.
#[derive(Debug)]
pub(crate) struct Site {
    pub(crate) time_zone: Field<String>,
    pub(crate) windows: Field<Vec<Window>>,
    pub(crate) freezes: Field<Vec<Freeze>>,
    pub(crate) limits: SiteLimits,
}

/// An entry of `clusters`.
#[derive(Debug)]
pub(crate) struct Cluster {
    pub(crate) parallel: Field<u32>,
    pub(crate) allow_attended: Field<bool>,
}

/// An entry of `redundancy_groups`.
#[derive(Debug)]
pub(crate) struct Group {
    pub(crate) unavailable: u32,
}

const ACCESS: &[&str] = &["port", "login", "tls", "upgrade_call", "reboot", "site", "labels"];
const APPLIANCE: &[&str] = &[
    "name",
    "address",
    "hostname",
    "port",
    "login",
    "tls",
    "upgrade_call",
    "reboot",
    "site",
    "labels",
    "redundancy_group",
    "cluster",
    "ha",
];

/// Reads the file; faults are collected, and what could be read is returned.
pub(crate) fn read(reader: &mut Reader<'_>, root: &Node<'_>) -> Option<FleetFile> {
    let keys = &["version", "defaults", "sites", "clusters", "redundancy_groups", "appliances"];
    let map = reader.map(root, "a fleet file", keys)?;
    version(reader, &map);
    let defaults = map.get("defaults").and_then(|node| {
        let map = reader.map(node, "`defaults`", ACCESS)?;
        Some(access(reader, &map))
    });
    let mut whole = true;
    let sites = named(reader, &map, "sites", &mut whole, SiteName::new, site);
    let clusters = named(reader, &map, "clusters", &mut whole, ClusterName::new, cluster);
    let groups = named(reader, &map, "redundancy_groups", &mut whole, GroupName::new, group);
    let appliances = map
        .require(reader, "appliances")
        .and_then(|node| reader.each(node, "`appliances`", appliance));
    whole &= appliances.is_some();
    Some(FleetFile {
        defaults: defaults.unwrap_or_default(),
        sites,
        clusters,
        groups,
        appliances: appliances.unwrap_or_default(),
        whole,
    })
}

/// Both files say which version of the format they are written in.
pub(crate) fn version(reader: &mut Reader<'_>, map: &Map<'_, '_>) {
    let Some(node) = map.require(reader, "version") else { return };
    reader.parse(node, "`version`", |text| {
        if text == "1" {
            Ok(())
        } else {
            Err(crate::reader::Bad::new("bad-format-version", format!("`{text}` is not known"))
                .help("this program reads version 1"))
        }
    });
}

/// Reads a map of names.
fn named<N: Ord, T, E: std::fmt::Display>(
    reader: &mut Reader<'_>,
    map: &Map<'_, '_>,
    key: &'static str,
    whole: &mut bool,
    new: impl Fn(&str) -> Result<N, E>,
    read: impl Fn(&mut Reader<'_>, Span, &Node<'_>) -> Option<T>,
) -> BTreeMap<N, T> {
    let Some(node) = map.get(key) else { return BTreeMap::new() };
    let Some(entries) = reader.entries(node, key) else {
        *whole = false;
        return BTreeMap::new();
    };
    let mut read_entries = BTreeMap::new();
    for entry in entries {
        let span = entry.extent(&reader.source.text).of(reader.role);
        match new(&entry.key) {
            Ok(name) => {
                if let Some(value) = read(reader, span, &entry.node) {
                    read_entries.insert(name, value);
                } else {
                    *whole = false;
                }
            }
            Err(error) => {
                *whole = false;
                reader.fault("bad-name", span, error.to_string());
            }
        }
    }
    read_entries
}

fn site(reader: &mut Reader<'_>, span: Span, node: &Node<'_>) -> Option<Site> {
    let absent = Site {
        time_zone: Field::Absent,
        windows: Field::Absent,
        freezes: Field::Absent,
        limits: SiteLimits::default(),
    };
    if node.is_null() {
        return Some(absent);
    }
    let map = reader.map(node, "a site", &["time_zone", "windows", "freezes", "limits"])?;
    let time_zone = map.field(reader, "time_zone", |r, n| r.parse(n, "`time_zone`", values::zone));
    let windows = map.field(reader, "windows", window::windows);
    let freezes = map.field(reader, "freezes", window::freezes);
    let limits = map.get("limits").and_then(|node| {
        let keys = &["transfers", "unavailable", "requests_per_second"];
        let map = reader.map(node, "`limits` of a site", keys)?;
        let mut limit = |key| count(reader, &map, key).value().copied();
        Some(SiteLimits {
            transfers: limit("transfers"),
            unavailable: limit("unavailable"),
            requests_per_second: limit("requests_per_second"),
        })
    });
    let needs_zone = window::given(&windows).or(window::given(&freezes));
    if let (true, Some(place)) = (time_zone.is_absent(), needs_zone) {
        reader
            .fault("missing-zone", span, "a site with windows or freezes needs `time_zone`")
            .label("this site has none")
            .help("such as `time_zone: Europe/Amsterdam`")
            .related(place, "these are in the site's own time");
    }
    Some(Site { time_zone, windows, freezes, limits: limits.unwrap_or_default() })
}

fn cluster(reader: &mut Reader<'_>, _: Span, node: &Node<'_>) -> Option<Cluster> {
    if node.is_null() {
        return Some(Cluster { parallel: Field::Absent, allow_attended: Field::Absent });
    }
    let map = reader.map(node, "a cluster", &["parallel", "allow_attended"])?;
    let parallel = count(reader, &map, "parallel");
    let allow_attended = map.field(reader, "allow_attended", |r, n| r.flag(n, "`allow_attended`"));
    Some(Cluster { parallel, allow_attended })
}

fn group(reader: &mut Reader<'_>, _: Span, node: &Node<'_>) -> Option<Group> {
    if node.is_null() {
        return Some(Group { unavailable: 1 });
    }
    let map = reader.map(node, "a redundancy group", &["unavailable"])?;
    let unavailable = count(reader, &map, "unavailable").value().copied();
    Some(Group { unavailable: unavailable.unwrap_or(1) })
}

/// A number of at least one.
pub(crate) fn count(reader: &mut Reader<'_>, map: &Map<'_, '_>, key: &'static str) -> Field<u32> {
    map.field(reader, key, |r, n| r.number(n, &format!("`{key}`"), 1, u32::MAX))
}

/// A duration of more than nothing.
pub(crate) fn lasting(
    reader: &mut Reader<'_>,
    map: &Map<'_, '_>,
    key: &'static str,
) -> Field<SignedDuration> {
    map.field(reader, key, |r, n| r.parse(n, &format!("`{key}`"), duration::parse))
}

fn access(reader: &mut Reader<'_>, map: &Map<'_, '_>) -> Access {
    Access {
        port: map.field(reader, "port", |r, n| r.parse(n, "`port`", values::port)),
        login: map.field(reader, "login", access::login),
        tls: map.field(reader, "tls", access::tls),
        upgrade_call: map.field(reader, "upgrade_call", |reader, node| {
            let words = [
                ("detect", UpgradeCall::Detect),
                ("reboots", UpgradeCall::Reboots),
                ("arms", UpgradeCall::Arms),
            ];
            reader.choice(node, "`upgrade_call`", &words)
        }),
        reboot: map.field(reader, "reboot", |r, n| access::reboot(r, n).map(|at| at.map(Box::new))),
        site: map.field(reader, "site", |r, n| r.name(n, "`site`", SiteName::new)),
        labels: map.field(reader, "labels", labels),
    }
}

/// Reads `labels`: free keys with single values, which are text.
pub(crate) fn labels(
    reader: &mut Reader<'_>,
    node: &Node<'_>,
) -> Option<At<BTreeMap<String, String>>> {
    let span = reader.span(node);
    let entries = reader.entries(node, "`labels`")?;
    let mut labels = BTreeMap::new();
    for entry in entries {
        let value = reader.parse(&entry.node, "a label", |text| Ok(text.to_owned()))?;
        labels.insert(entry.key.clone().into_owned(), value.value);
    }
    Some(At { value: labels, span })
}

fn appliance(reader: &mut Reader<'_>, node: &Node<'_>) -> Option<RawAppliance> {
    let map = reader.map(node, "an appliance", APPLIANCE)?;
    let name = match map.require(reader, "name") {
        Some(node) => Field::read(reader.name(node, "`name`", ApplianceName::new)),
        None => Field::Faulty,
    };
    let address = match map.require(reader, "address") {
        Some(node) => Field::read(reader.parse(node, "`address`", values::address)),
        None => Field::Faulty,
    };
    Some(RawAppliance {
        span: name.span().unwrap_or(map.span()),
        name,
        address,
        hostname: map.field(reader, "hostname", |r, n| r.text(n, "`hostname`")),
        access: access(reader, &map),
        group: map.field(reader, "redundancy_group", |r, n| {
            r.name(n, "`redundancy_group`", GroupName::new)
        }),
        cluster: map.field(reader, "cluster", member),
        ha: map.field(reader, "ha", ha),
    })
}

fn member(reader: &mut Reader<'_>, node: &Node<'_>) -> Option<At<ClusterMember>> {
    let map = reader.map(node, "`cluster` of an appliance", &["name", "roles"])?;
    let name = map
        .require(reader, "name")
        .and_then(|node| reader.name(node, "`name` of the cluster", ClusterName::new));
    let roles = map.require(reader, "roles").and_then(|node| roles(reader, node));
    let name = name?;
    Some(At { value: ClusterMember { name: name.value, roles: roles? }, span: name.span })
}

/// Reads `roles`: at least one, at most one of the search roles (sps-api.md, section 6).
fn roles(reader: &mut Reader<'_>, node: &Node<'_>) -> Option<Vec<ClusterRole>> {
    let words = [
        ("search-minion", ClusterRole::SearchMinion),
        ("managed-host", ClusterRole::ManagedHost),
        ("central-management", ClusterRole::CentralManagement),
        ("search-master", ClusterRole::SearchMaster),
        ("search-local", ClusterRole::SearchLocal),
    ];
    let nodes = reader.list(node, "`roles`")?;
    if nodes.is_empty() {
        let span = reader.span(node);
        reader.fault("empty-list", span, "`roles` is an empty list");
        return None;
    }
    let mut roles: Vec<At<ClusterRole>> = Vec::new();
    for node in nodes {
        let role = reader.choice(node, "a role", &words)?;
        let searches = |role: ClusterRole| {
            !matches!(role, ClusterRole::ManagedHost | ClusterRole::CentralManagement)
        };
        if let Some(first) = roles.iter().find(|first| first.value == role.value) {
            reader
                .fault("duplicate-role", role.span, "this role is given twice")
                .related(first.span, "first given here");
        } else if searches(role.value)
            && let Some(first) = roles.iter().find(|first| searches(first.value))
        {
            reader
                .fault("two-search-roles", role.span, "an appliance has only one search role")
                .related(first.span, "this is one already");
        }
        roles.push(role);
    }
    Some(roles.into_iter().map(|role| role.value).collect())
}

fn ha(reader: &mut Reader<'_>, node: &Node<'_>) -> Option<At<Box<RawHa>>> {
    let keys = &[
        "mode",
        "peer_sync",
        "secondary_check",
        "secondary_power",
        "force_off_after",
        "reboots_both",
    ];
    let map = reader.map(node, "`ha`", keys)?;
    let words = [("attended", HaMode::Attended), ("automatic", HaMode::Automatic)];
    let mode = match map.require(reader, "mode") {
        Some(node) => Field::read(reader.choice(node, "`mode`", &words)),
        None => Field::Faulty,
    };
    let ha = RawHa {
        mode,
        peer_sync: lasting(reader, &map, "peer_sync"),
        secondary_check: map
            .field(reader, "secondary_check", |r, n| access::command(r, n, "`secondary_check`")),
        secondary_power: map.field(reader, "secondary_power", access::power),
        force_off_after: lasting(reader, &map, "force_off_after"),
        reboots_both: map.field(reader, "reboots_both", |r, n| r.flag(n, "`reboots_both`")),
    };
    Some(At { value: Box::new(ha), span: map.span() })
}
