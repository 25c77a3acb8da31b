//! Which appliances a rollout means: reading a selection, and asking it.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::fmt;

use model::fleet::Appliance;
use model::plan::Warning;
use model::{ApplianceName, ClusterName, SiteName};

use crate::fault::Faults;
use crate::fleet_file::labels;
use crate::near::nearest;
use crate::reader::{Map, Reader};
use crate::resolve::{Entry, Fleet};
use crate::source::{At, Span};
use crate::tree::Node;

/// Which appliances: of every key that is given, one entry must match; of `labels`, all.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Select {
    pub(crate) span: Span,
    pub(crate) names: Option<Vec<At<ApplianceName>>>,
    pub(crate) sites: Option<Vec<At<SiteName>>>,
    pub(crate) clusters: Option<Vec<At<ClusterName>>>,
    pub(crate) labels: Option<At<BTreeMap<String, String>>>,
    pub(crate) except: Option<Box<Select>>,
}

/// Reads a selection; `all: true` is the only way to say everything.
pub(crate) fn read(reader: &mut Reader<'_>, node: &Node<'_>, what: &'static str) -> Option<Select> {
    let map = reader.map(node, what, &["all", "names", "sites", "clusters", "labels", "except"])?;
    let all = map.get("all").map(|node| reader.flag(node, "`all`"));
    if let Some(Some(At { value: false, span })) = all {
        reader
            .fault("bad-select", span, "`all` can only be true")
            .help("leave it out, and say what is selected");
    }
    let names = entries(reader, &map, "names", ApplianceName::new);
    let sites = entries(reader, &map, "sites", SiteName::new);
    let clusters = entries(reader, &map, "clusters", ClusterName::new);
    let labels = map.get("labels").map(|node| labels(reader, node));
    if let Some(Some(At { value, span })) = &labels
        && value.is_empty()
    {
        reader
            .fault("empty-list", *span, "`labels` is empty, which would match everything")
            .help("`all: true` is the only way to say everything");
    }
    let except = map.get("except").map(|node| read(reader, node, "`except`"));
    let nothing = all.is_none()
        && names.is_none()
        && sites.is_none()
        && clusters.is_none()
        && labels.is_none();
    if nothing {
        reader
            .fault("bad-select", map.span(), format!("{what} says nothing to match"))
            .label("names, sites, clusters, labels or all belong here")
            .help("`all: true` is the only way to say everything");
        return None;
    }
    readable(all)?;
    Some(Select {
        span: map.span(),
        names: readable(names)?,
        sites: readable(sites)?,
        clusters: readable(clusters)?,
        labels: readable(labels)?,
        except: readable(except)?.map(Box::new),
    })
}

/// Nothing at all when a key is there but could not be read.
fn readable<T>(key: Option<Option<T>>) -> Option<Option<T>> {
    match key {
        None => Some(None),
        Some(read) => read.map(Some),
    }
}

/// A key of a selection: absent, faulty, or its entries.
fn entries<T, E: std::fmt::Display>(
    reader: &mut Reader<'_>,
    map: &Map<'_, '_>,
    key: &'static str,
    new: impl Fn(&str) -> Result<T, E>,
) -> Option<Option<Vec<At<T>>>> {
    let node = map.get(key)?;
    let span = reader.span(node);
    let what = format!("`{key}`");
    let mut whole = true;
    let entries = reader.each(node, &what, |reader, node| {
        let entry = reader.name(node, &what, &new);
        whole &= entry.is_some();
        entry
    });
    if whole && entries.as_ref().is_some_and(Vec::is_empty) {
        reader
            .fault("empty-list", span, format!("`{key}` is an empty list, which matches nothing"))
            .help("leave it out, or name some");
        return Some(None);
    }
    Some(entries.filter(|_| whole))
}

/// A selection that is quick to ask.
pub(crate) struct Matcher<'s> {
    names: Option<HashSet<&'s str>>,
    sites: Option<HashSet<&'s str>>,
    clusters: Option<HashSet<&'s str>>,
    labels: Option<&'s BTreeMap<String, String>>,
    except: Option<Box<Matcher<'s>>>,
}

impl<'s> Matcher<'s> {
    pub(crate) fn new(select: &'s Select) -> Self {
        Self {
            names: select
                .names
                .as_ref()
                .map(|all| all.iter().map(|at| at.value.as_str()).collect()),
            sites: select
                .sites
                .as_ref()
                .map(|all| all.iter().map(|at| at.value.as_str()).collect()),
            clusters: select
                .clusters
                .as_ref()
                .map(|all| all.iter().map(|at| at.value.as_str()).collect()),
            labels: select.labels.as_ref().map(|at| &at.value),
            except: select.except.as_ref().map(|except| Box::new(Self::new(except))),
        }
    }

    /// All keys must match: of a key's entries any, of labels all. `except` takes away.
    pub(crate) fn matches(&self, appliance: &Appliance) -> bool {
        let cluster = appliance.cluster.as_ref().map(|member| member.name.as_str());
        self.names.as_ref().is_none_or(|names| names.contains(appliance.name.as_str()))
            && self.sites.as_ref().is_none_or(|sites| sites.contains(appliance.site.as_str()))
            && self
                .clusters
                .as_ref()
                .is_none_or(|clusters| cluster.is_some_and(|cluster| clusters.contains(cluster)))
            && self.labels.is_none_or(|labels| {
                labels.iter().all(|(key, value)| appliance.labels.get(key) == Some(value))
            })
            && !self.except.as_ref().is_some_and(|except| except.matches(appliance))
    }
}

/// The selected entries, by name. Selecting nothing, or a part of a cluster, is a fault.
pub(crate) fn select<'f>(
    fleet: &'f Fleet,
    select: &Select,
    warnings: &mut Vec<Warning>,
    faults: &mut Faults,
) -> Vec<&'f Entry> {
    let matcher = Matcher::new(select);
    let selected: Vec<&Entry> =
        fleet.entries.iter().filter(|entry| matcher.matches(&entry.appliance)).collect();
    let strange = strange_labels(fleet, select);
    if selected.is_empty() {
        let draft = faults
            .add("nothing-selected", select.span, "this selects no appliance")
            .label("nothing matches")
            .help(format!("the fleet has {} appliances", fleet.entries.len()));
        if let Some(strange) = strange.first() {
            draft.help(strange.clone());
        }
        return selected;
    }
    warnings
        .extend(strange.into_iter().map(|text| Warning { code: "unknown-label".to_owned(), text }));
    whole_clusters(fleet, select.span, &selected, faults);
    selected
}

/// A part of a cluster cannot be upgraded alone: until all of it is, its minions do not audit.
fn whole_clusters(fleet: &Fleet, span: Span, selected: &[&Entry], faults: &mut Faults) {
    let cluster_of = |entry: &Entry| entry.appliance.cluster.as_ref().map(|c| c.name.clone());
    let touched: BTreeSet<ClusterName> =
        selected.iter().filter_map(|entry| cluster_of(entry)).collect();
    if touched.is_empty() {
        return;
    }
    let chosen: HashSet<&ApplianceName> =
        selected.iter().map(|entry| &entry.appliance.name).collect();
    let mut missing: BTreeMap<ClusterName, Vec<&ApplianceName>> = BTreeMap::new();
    for entry in &fleet.entries {
        if let Some(cluster) = cluster_of(entry)
            && touched.contains(&cluster)
            && !chosen.contains(&entry.appliance.name)
        {
            missing.entry(cluster).or_default().push(&entry.appliance.name);
        }
    }
    for (cluster, names) in missing {
        let message = format!(
            "only a part of the cluster `{cluster}` is selected; missing: {}",
            some(&names)
        );
        faults
            .add("part-of-cluster", span, message)
            .label("selects a part of a cluster")
            .help("a cluster is upgraded as a whole: until then its minions do not audit");
    }
}

/// Labels that no appliance of the fleet has: most likely a slip of the pen, but allowed.
pub(crate) fn strange_labels(fleet: &Fleet, select: &Select) -> Vec<String> {
    let mut strange = Vec::new();
    for (key, value) in select.labels.iter().flat_map(|at| &at.value) {
        let having = |entry: &&Entry| entry.appliance.labels.contains_key(key);
        let known: BTreeSet<&str> = fleet
            .entries
            .iter()
            .filter(having)
            .filter_map(|entry| entry.appliance.labels.get(key).map(String::as_str))
            .collect();
        if known.contains(value.as_str()) {
            continue;
        }
        let text = format!("no appliance has the label `{key}: {value}`");
        let keys = || fleet.entries.iter().flat_map(|entry| entry.appliance.labels.keys());
        let near = if known.is_empty() {
            nearest(key, keys().map(String::as_str)).map(|near| format!("{near}: {value}"))
        } else {
            nearest(value, known.iter().copied()).map(|near| format!("{key}: {near}"))
        };
        strange.push(match near {
            Some(near) => format!("{text}; did you mean `{near}`?"),
            None => text,
        });
    }
    if let Some(except) = &select.except {
        strange.extend(strange_labels(fleet, except));
    }
    strange
}

/// Some names of a list that may be long: `a, b, c and 7 more`.
pub(crate) fn some<N: fmt::Display>(names: &[N]) -> String {
    let shown: Vec<String> = names.iter().take(3).map(N::to_string).collect();
    match names.len() - shown.len() {
        0 => shown.join(", "),
        more => format!("{} and {more} more", shown.join(", ")),
    }
}
