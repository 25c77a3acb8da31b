//! Whether what is planned fits into the windows at all.

use std::collections::{BTreeMap, BTreeSet};

use jiff::SignedDuration;
use model::calendar::Calendar;
use model::expect;
use model::fleet::{Appliance, UpgradeCall};
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
    let mut late: BTreeMap<&SiteName, Late<'_>> = BTreeMap::new();
    for (name, appliance) in &plan.appliances {
        let Some(open) = longest.get(&appliance.site).filter(|_| appliance.cluster.is_none())
        else {
            continue;
        };
        let need = expect::appliance(plan, name, &nothing).took;
        if need > *open {
            let late = late.entry(&appliance.site).or_insert(Late {
                open: *open,
                need,
                longest: appliance,
                names: Vec::new(),
            });
            if need > late.need {
                (late.need, late.longest) = (need, appliance);
            }
            late.names.push(name);
        }
    }
    let mut warnings: Vec<Warning> =
        late.into_iter().map(|(site, late)| late.warning(plan, site)).collect();
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
                "no window of the site `{site}` is long enough for the cluster `{name}`: the longest is {}, needed are {} for {} members in {} ranks, {} at once ({}{}verify {} after the last); it starts only once history shows that it is faster",
                show(open),
                show(need),
                cluster.members().count(),
                cluster.ranks.len(),
                cluster.parallel,
                cluster
                    .members()
                    .filter_map(|member| plan.appliances.get(member))
                    .max_by_key(|member| expect::member(plan, &member.name, &nothing).took)
                    .map_or_else(String::new, |member| {
                        format!("each at most {}; ", parts(plan, member).join(", "))
                    }),
                plan.drain
                    .as_ref()
                    .map_or_else(String::new, |drain| format!("drain.wait {}, ", show(drain.wait))),
                show(plan.timeouts.verify),
            );
            warnings.push(warning("window-too-short", text));
        }
    }
    warnings
}

/// Appliances of a site that no window of it holds.
struct Late<'p> {
    open: SignedDuration,
    need: SignedDuration,
    longest: &'p Appliance,
    names: Vec<&'p ApplianceName>,
}

impl Late<'_> {
    fn warning(&self, plan: &Plan, site: &SiteName) -> Warning {
        let mut parts = parts(plan, self.longest);
        parts.extend(plan.drain.as_ref().map(|drain| format!("drain.wait {}", show(drain.wait))));
        let text = format!(
            "no window of the site `{site}` is long enough for {}: the longest is {}, needed are {} ({}); they start only once history shows that they are faster",
            some(&self.names),
            show(self.open),
            show(self.need),
            parts.join(", "),
        );
        warning("window-too-short", text)
    }
}

/// The configured durations that make up what an appliance is expected to take.
fn parts(plan: &Plan, appliance: &Appliance) -> Vec<String> {
    let timeouts = &plan.timeouts;
    let mut parts = vec![("upgrade", timeouts.upgrade)];
    if appliance.upgrade_call != UpgradeCall::Reboots {
        parts.push(("armed_grace", timeouts.armed_grace));
    }
    parts.push(("return", timeouts.r#return));
    parts.push(("verify", timeouts.verify));
    if appliance.upgrade_call != UpgradeCall::Reboots
        && let Some(ha) = &appliance.ha
    {
        parts.extend(ha.peer_sync.map(|wait| ("peer_sync", wait)));
        parts.push(("return of the pair", timeouts.r#return));
    }
    parts.into_iter().map(|(name, took)| format!("{name} {}", show(took))).collect()
}
