//! Whether what is planned fits into the windows at all.

use std::collections::{BTreeMap, BTreeSet};

use jiff::SignedDuration;
use model::calendar::Calendar;
use model::expect;
use model::history::History;
use model::plan::{Plan, Warning};
use model::{ApplianceName, SiteName};

use crate::calendars;
use crate::duration::show;
use crate::select::some;
use crate::warn::warning;

/// The longest opening of each site that is not always open. Sites with equal windows share the
/// work.
pub(crate) fn longest(plan: &Plan) -> BTreeMap<&SiteName, SignedDuration> {
    let mut known: Vec<(&Calendar, Option<SignedDuration>)> = Vec::new();
    let mut longest = BTreeMap::new();
    for (site, calendar) in &plan.calendars {
        // The zone makes no difference here.
        let same = known.iter().find(|(other, _)| {
            other.windows == calendar.windows && other.freezes == calendar.freezes
        });
        let found = match same {
            Some((_, found)) => *found,
            None => {
                let found = calendars::longest(calendar);
                known.push((calendar, found));
                found
            }
        };
        if let Some(found) = found {
            longest.insert(site, found);
        }
    }
    longest
}

/// Appliances and clusters that need longer than their windows are, by the configured durations:
/// they never start until the history of this fleet shows that they are faster.
pub(crate) fn warnings(plan: &Plan) -> Vec<Warning> {
    let longest = longest(plan);
    if longest.is_empty() {
        return Vec::new();
    }
    let nothing = History::default();
    let mut late: BTreeMap<&SiteName, (SignedDuration, Vec<&ApplianceName>)> = BTreeMap::new();
    for (name, appliance) in &plan.appliances {
        let Some(open) = longest.get(&appliance.site).filter(|_| appliance.cluster.is_none())
        else {
            continue;
        };
        let need = expect::appliance(plan, name, &nothing).took;
        if need > *open {
            let (most, names) = late.entry(&appliance.site).or_default();
            *most = need.max(*most);
            names.push(name);
        }
    }
    let mut warnings = Vec::new();
    let parts = parts(plan);
    for (site, (need, names)) in late {
        let open = longest.get(site).copied().unwrap_or_default();
        let text = format!(
            "no window of the site `{site}` is long enough for {}: the longest is {}, needed are {} ({parts}); they start only once history shows that they are faster",
            some(&names),
            show(open),
            show(need),
        );
        warnings.push(warning("window-too-short", text));
    }
    for (name, cluster) in &plan.clusters {
        let sites: BTreeSet<&SiteName> = cluster
            .members()
            .filter_map(|member| plan.appliances.get(member).map(|member| &member.site))
            .collect();
        let open = sites.iter().filter_map(|site| longest.get(site).map(|open| (*open, *site)));
        let Some((open, site)) = open.min() else { continue };
        let need = expect::cluster(plan, cluster, &nothing).took;
        if need > open {
            let text = format!(
                "no window of the site `{site}` is long enough for the cluster `{name}`: the longest is {}, needed are {} for {} members in {} ranks, {} at once ({parts} each); it starts only once history shows that it is faster",
                show(open),
                show(need),
                cluster.members().count(),
                cluster.ranks.len(),
                cluster.parallel,
            );
            warnings.push(warning("window-too-short", text));
        }
    }
    warnings
}

/// The configured durations that make up an expectation.
fn parts(plan: &Plan) -> String {
    let timeouts = &plan.timeouts;
    let mut parts = vec![
        ("upgrade", timeouts.upgrade),
        ("armed_grace", timeouts.armed_grace),
        ("return", timeouts.r#return),
        ("verify", timeouts.verify),
    ];
    parts.extend(plan.drain.as_ref().map(|drain| ("drain.wait", drain.wait)));
    let shown: Vec<String> =
        parts.into_iter().map(|(name, took)| format!("{name} {}", show(took))).collect();
    shown.join(", ")
}
