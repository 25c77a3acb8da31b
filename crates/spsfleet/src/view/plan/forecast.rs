//! What is expected of a plan, in words.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use model::history::{Expected, Source};
use model::plan::Plan;
use model::{ApplianceName, ClusterName, WaveName};
use planner::forecast::Forecast;

use super::waves::Forecasts;
use crate::view::words;

/// A plan and what is foreseen of it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Foreseen<'a> {
    /// The plan.
    pub(crate) plan: &'a Plan,
    /// When it is carried out.
    pub(crate) forecast: &'a Forecast,
}

fn utc(at: Timestamp) -> String {
    words::short_local(at, "UTC")
}

fn about(expected: Expected) -> String {
    format!("{} ({})", words::duration(expected.took), expected.source.describe())
}

impl Foreseen<'_> {
    /// How many durations follow from what.
    fn sources(&self) -> String {
        let mut sources: BTreeMap<Source, usize> = BTreeMap::new();
        for appliance in self.forecast.appliances.values() {
            *sources.entry(appliance.expected.source).or_default() += 1;
        }
        let one = |(source, count): (&Source, &usize)| match sources.len() {
            1 => source.describe().to_owned(),
            _ => format!("{count} {}", source.describe()),
        };
        sources.iter().map(one).collect::<Vec<_>>().join(", ")
    }
}

impl Forecasts for Foreseen<'_> {
    fn whole(&self) -> String {
        let Forecast { from, end, .. } = self.forecast;
        let takes = end.duration_since(*from).max(SignedDuration::ZERO);
        let persons = self.forecast.waves.iter().any(|wave| wave.waits_for_person)
            || self.forecast.appliances.values().any(|of| of.waits_for_person);
        let persons = if persons { "; what a person does is counted as nothing" } else { "" };
        format!(
            "begun now, over {} UTC ({}); {}{persons}",
            utc(*end),
            words::duration(takes),
            self.sources()
        )
    }

    fn wave(&self, wave: &WaveName) -> Option<String> {
        let wave = self.forecast.waves.iter().find(|forecast| forecast.name == *wave)?;
        let Some(start) = wave.start else { return Some("never goes down".to_owned()) };
        let mut text = format!("{} to {} UTC", utc(start), utc(wave.end));
        if wave.soaked > wave.end {
            text.push_str(&format!(", watched until {}", utc(wave.soaked)));
        }
        Some(text)
    }

    fn appliance(&self, name: &ApplianceName) -> Option<(Timestamp, SignedDuration)> {
        let forecast = self.forecast.appliances.get(name)?;
        Some((forecast.start?, forecast.expected.took))
    }

    fn cluster(&self, cluster: &ClusterName) -> Option<String> {
        let forecast = self.forecast.clusters.get(cluster)?;
        let gap = if forecast.audit_gap.took.is_zero() {
            "none: it has no search-minion".to_owned()
        } else {
            about(forecast.audit_gap)
        };
        let when = match (forecast.start, forecast.end) {
            (Some(start), Some(end)) => format!("; from {} to {} UTC", utc(start), utc(end)),
            _ => "; it never begins".to_owned(),
        };
        let each = if self.plan.via.is_empty() { "" } else { " for each version" };
        Some(format!("{gap}{each}{when}"))
    }

    fn warnings(&self) -> Vec<String> {
        let told = |name: &str| {
            let mut warnings = self.plan.warnings.iter();
            warnings.any(|known| known.code.starts_with("window") && known.text.contains(name))
        };
        let mut warnings = Vec::new();
        for never in &self.forecast.never {
            let names = words::names(never.appliances.iter().map(|name| name.as_str()), 5);
            let who = match &never.cluster {
                Some(cluster) => format!("cluster {cluster} ({names})"),
                None => names,
            };
            let first = never.appliances.first().map_or("", |name| name.as_str());
            if told(never.cluster.as_ref().map_or(first, |cluster| cluster.as_str())) {
                continue;
            }
            let longest = never.longest.map_or_else(
                || "no window of the 400 days to come is long enough".to_owned(),
                |longest| format!("its windows are open for {} at most", words::duration(longest)),
            );
            warnings
                .push(format!("{who} never goes down: it needs {}; {longest}", about(never.need)));
        }
        warnings
    }
}
