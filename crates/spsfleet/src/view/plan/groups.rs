//! Central clusters and HA pairs of a plan: order, and what a person does.

use model::fleet::{Appliance, HaMode, Role, UpgradeCall};
use model::plan::{Plan, PlannedCluster};
use model::{ApplianceName, ClusterName};

use crate::printer::{Paint, Style};
use crate::view::explain::step;
use crate::view::procedure::{Line, procedure};
use crate::view::table::{Table, cell, indented, paragraph, styled};
use crate::view::words;

/// One block a cluster: its ranks in order. `notes` says more of each, such as its audit gap.
pub(super) fn clusters(
    plan: &Plan,
    notes: impl Fn(&ClusterName) -> Option<String>,
    paint: Paint,
    width: usize,
) -> String {
    let mut text = String::new();
    for (name, cluster) in &plan.clusters {
        text.push_str(&format!(
            "\n{} {} ({}, {} at once, without a pause)\n",
            paint.on(Style::Dim, "cluster"),
            paint.on(Style::Bold, name.as_str()),
            words::count(cluster.members().count(), "appliance"),
            cluster.parallel
        ));
        text.push_str(&ranks(plan, cluster, paint, width));
        if let Some(note) = notes(name) {
            text.push_str(&indented(5, "audit gap", &note, paint, Style::Plain, width));
        }
    }
    text
}

/// Of a larger rank only so many are shown.
const SHOWN: usize = 20;

fn ranks(plan: &Plan, cluster: &PlannedCluster, paint: Paint, width: usize) -> String {
    let mut table = Table::new(["", "NAME", "SITE", "ROLES"]);
    for (number, rank) in cluster.ranks.iter().enumerate() {
        let mut first = format!("{:>3}", number + 1);
        for name in rank.iter().take(SHOWN) {
            let Some(appliance) = plan.appliances.get(name) else { continue };
            table.row([
                styled(Style::Dim, first),
                cell(name.as_str()),
                cell(appliance.site.as_str()),
                cell(roles(appliance)),
            ]);
            first = String::new();
        }
        if let more @ 1.. = rank.len().saturating_sub(SHOWN) {
            table.row([cell(""), cell(format!("and {more} more")), cell(""), cell("")]);
        }
    }
    table.render(paint, width)
}

fn roles(appliance: &Appliance) -> String {
    let roles = appliance.cluster.iter().flat_map(|cluster| &cluster.roles);
    roles.map(|role| role_name(*role)).collect::<Vec<_>>().join(", ")
}

fn role_name(role: Role) -> &'static str {
    match role {
        Role::SearchMinion => "search-minion",
        Role::ManagedHost => "managed-host",
        Role::CentralManagement => "central-management",
        Role::SearchMaster => "search-master",
        Role::SearchLocal => "search-local",
    }
}

/// The steps of HA pairs from the upgrade call on, once for all pairs that have the same.
pub(super) fn pairs(plan: &Plan, paint: Paint, width: usize) -> String {
    let mut alike: Vec<(String, Vec<Line>, Vec<&ApplianceName>)> = Vec::new();
    for appliance in plan.appliances.values() {
        let Some(ha) = &appliance.ha else { continue };
        let call = match appliance.upgrade_call {
            UpgradeCall::Arms => "its upgrade call arms",
            UpgradeCall::Reboots => "its upgrade call reboots",
            UpgradeCall::Detect => "what its upgrade call does is found out",
        };
        let mode = match ha.mode {
            HaMode::Attended => "a person does the hardware steps",
            HaMode::Automatic => "the program does the hardware steps",
        };
        let lines = procedure(plan, appliance);
        let lines: Vec<Line> =
            lines.into_iter().skip_while(|line| line.step != "activate").collect();
        let head = format!("{mode}; {call}");
        match alike.iter_mut().find(|(known, steps, _)| (known, steps) == (&head, &lines)) {
            Some((.., names)) => names.push(&appliance.name),
            None => alike.push((head, lines, vec![&appliance.name])),
        }
    }
    let mut text = String::new();
    for (head, lines, names) in alike {
        let noun = if names.len() == 1 { "pair" } else { "pairs" };
        let names = words::names(names.iter().map(|name| name.as_str()), 5);
        let title = format!("{noun} {names}");
        text.push('\n');
        text.push_str(&paragraph(&title, &head, paint, Style::Bold, width));
        for (number, line) in lines.iter().enumerate() {
            text.push_str(&step(number + 1, line, paint, width));
        }
    }
    text
}
