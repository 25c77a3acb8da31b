//! The waves of a plan: who, in which order, under which gates, and when.

use jiff::{SignedDuration, Timestamp};
use model::fleet::{Appliance, Reboot};
use model::plan::{Plan, PlannedWave};
use model::{ApplianceName, ClusterName, WaveName};

use super::{Shown, facts};
use crate::printer::{Paint, Style};
use crate::view::table::{Table, cell, indented, styled};
use crate::view::words;

/// What is expected of a plan, in words.
pub(crate) trait Forecasts {
    /// When all of it begins and ends.
    fn whole(&self) -> String;
    /// When a wave begins and ends.
    fn wave(&self, wave: &WaveName) -> Option<String>;
    /// When an appliance goes down, and how long it is expected to take.
    fn appliance(&self, name: &ApplianceName) -> Option<(Timestamp, SignedDuration)>;
    /// For how long a cluster is expected not to audit.
    fn cluster(&self, cluster: &ClusterName) -> Option<String>;
    /// What does not fit.
    fn warnings(&self) -> Vec<String>;
}

/// Of a wave with more appliances those that are alike are shown together.
const EACH: usize = 40;

/// A wave with its head and its appliances.
pub(super) fn one(
    plan: &Plan,
    wave: &PlannedWave,
    forecasts: Option<&dyn Forecasts>,
    shown: Shown,
    paint: Paint,
    width: usize,
) -> String {
    let mut text = format!(
        "\n{} {} ({})\n",
        paint.on(Style::Dim, "wave"),
        paint.on(Style::Bold, wave.name.as_str()),
        words::count(wave.appliances.len(), "appliance")
    );
    if let Some(gates) = gates(plan, wave) {
        text.push_str(&indented(2, "then", &gates, paint, Style::Dim, width));
    }
    if let Some(expected) = forecasts.and_then(|all| all.wave(&wave.name)) {
        text.push_str(&indented(2, "expected", &expected, paint, Style::Dim, width));
    }
    let most = match shown {
        Shown::Grouped if wave.appliances.len() > EACH => {
            text.push_str(&grouped(plan, wave, forecasts, paint, width));
            return text;
        }
        Shown::First(most) => most,
        Shown::All | Shown::Grouped => usize::MAX,
    };
    text.push_str(&each(plan, wave, forecasts, most, paint, width));
    if let more @ 1.. = wave.appliances.len().saturating_sub(most) {
        text.push_str(&format!("     and {more} more; `spsfleet plan` shows all\n"));
    }
    text
}

/// What stands between a wave and the next.
fn gates(plan: &Plan, wave: &PlannedWave) -> Option<String> {
    let mut gates = Vec::new();
    if !wave.soak.is_zero() {
        gates.push(format!("it is watched for {}", words::duration(wave.soak)));
    }
    if wave.approval && plan.waves.last().is_some_and(|last| last.name != wave.name) {
        gates.push(format!("a person lets the next wave start: `approve` {}", wave.name));
    }
    if let Some(budget) = &wave.failure_budget {
        gates.push(format!("in it, {}", facts::budget(budget, wave.appliances.len())));
    }
    (!gates.is_empty()).then(|| gates.join("; "))
}

fn each(
    plan: &Plan,
    wave: &PlannedWave,
    forecasts: Option<&dyn Forecasts>,
    most: usize,
    paint: Paint,
    width: usize,
) -> String {
    let head = match forecasts {
        Some(_) => vec!["", "NAME", "SITE", "GOES DOWN (UTC)", "TAKES", "REMARKS"],
        None => vec!["", "NAME", "ADDRESS", "SITE", "REMARKS"],
    };
    let mut table = Table::new(head);
    for (number, name) in wave.appliances.iter().take(most).enumerate() {
        let Some(appliance) = plan.appliances.get(name) else { continue };
        let mut row = vec![styled(Style::Dim, format!("{:>3}", number + 1)), cell(name.as_str())];
        match forecasts {
            Some(forecasts) => {
                row.push(cell(appliance.site.as_str()));
                row.extend(match forecasts.appliance(name) {
                    Some((at, took)) => [cell(utc(at)), cell(words::duration(took))],
                    None => [styled(Style::Warn, "never"), cell("-")],
                });
            }
            None => {
                row.push(cell(appliance.endpoint.authority()));
                row.push(cell(appliance.site.as_str()));
            }
        }
        row.push(cell(remarks(appliance)));
        table.row(row);
    }
    table.render(paint, width)
}

/// Sites have their own clocks; one for all can be compared.
fn utc(at: Timestamp) -> String {
    words::short_local(at, "UTC")
}

/// Appliances of one site with the same remarks.
struct Alike<'a> {
    site: &'a str,
    remarks: String,
    names: Vec<&'a ApplianceName>,
    first: Option<Timestamp>,
}

fn grouped(
    plan: &Plan,
    wave: &PlannedWave,
    forecasts: Option<&dyn Forecasts>,
    paint: Paint,
    width: usize,
) -> String {
    let mut groups: Vec<Alike<'_>> = Vec::new();
    let mut at = std::collections::HashMap::new();
    for name in &wave.appliances {
        let Some(appliance) = plan.appliances.get(name) else { continue };
        let (site, remarks) = (appliance.site.as_str(), remarks(appliance));
        let place = *at.entry((site, remarks.clone())).or_insert_with(|| {
            groups.push(Alike { site, remarks, names: Vec::new(), first: None });
            groups.len() - 1
        });
        let Some(group) = groups.get_mut(place) else { continue };
        group.names.push(name);
        let begins = forecasts.and_then(|all| all.appliance(name)).map(|(at, _)| at);
        group.first = [group.first, begins].into_iter().flatten().min();
    }
    let head = match forecasts {
        Some(_) => vec!["", "SITE", "FIRST DOWN (UTC)", "REMARKS", "NAMES"],
        None => vec!["", "SITE", "REMARKS", "NAMES"],
    };
    let mut table = Table::new(head);
    for group in groups {
        let count = styled(Style::Bold, format!("{:>5}", group.names.len()));
        let mut row = vec![count, cell(group.site)];
        if forecasts.is_some() {
            row.push(cell(group.first.map_or_else(|| "never".to_owned(), utc)));
        }
        row.push(cell(group.remarks));
        row.push(cell(words::names(group.names.iter().map(|name| name.as_str()), 3)));
        table.row(row);
    }
    format!("{}     --all shows each of them\n", table.render(paint, width))
}

/// What is special about an appliance.
fn remarks(appliance: &Appliance) -> String {
    let mut remarks = Vec::new();
    if let Some(group) = &appliance.group {
        remarks.push(format!("group {group}"));
    }
    if let Some(cluster) = &appliance.cluster {
        remarks.push(format!("cluster {}", cluster.name));
    }
    if appliance.ha.is_some() {
        remarks.push("HA pair".to_owned());
    }
    match &appliance.reboot {
        Reboot::Operator => {}
        Reboot::Command(words) => {
            let program = words.first().map_or("", String::as_str);
            remarks.push(format!("rebooted by {program}"));
        }
        Reboot::Redfish(redfish) => remarks.push(format!("rebooted by Redfish {}", redfish.url)),
    }
    remarks.join(", ")
}
