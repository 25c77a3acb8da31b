//! Nothing goes down when it may not; only a cluster that has begun goes on.

use std::time::Duration;

use jiff::Timestamp;
use model::names::ApplianceName;

use super::{Entry, Life, Limits, Story, UPGRADE, What, seconds};
use crate::ledger::{Node, PowerAct, RestartBy};

pub(super) fn check(stories: &[Story<'_>], limits: &Limits, found: &mut Vec<String>) {
    for story in stories {
        let Some(open) = limits.open.get(story.name) else { continue };
        for entry in &story.entries {
            let Some(what) = disruption(entry) else { continue };
            if may(open, entry.at) || cluster_began(stories, limits, story.name, entry.began) {
                continue;
            }
            found.push(format!(
                "{}: {what} came at {} ({}), when nothing may go down there",
                story.name,
                entry.at,
                seconds(entry.began)
            ));
        }
    }
}

fn may(open: &[(Timestamp, Timestamp)], at: Timestamp) -> bool {
    open.iter().any(|(from, until)| *from <= at && at < *until)
}

/// What in this entry takes an appliance, or a node of it, down.
fn disruption(entry: &Entry) -> Option<&'static str> {
    match &entry.what {
        What::Call(call) if call.changed && call.is(UPGRADE) => Some("an upgrade call"),
        What::Power(power) if power.acted => match (power.node, power.act) {
            (_, PowerAct::Restart) => Some("a restart"),
            (_, PowerAct::State | PowerAct::On) => None,
            (Node::Primary, _) => Some("the primary's shutdown"),
            (Node::Secondary, _) => Some("the secondary's shutdown"),
        },
        What::Life(Life::Restarting { by: RestartBy::Operator }) => Some("a reboot"),
        _ => None,
    }
}

/// Whether a member of the appliance's cluster had begun to go down before.
fn cluster_began(
    stories: &[Story<'_>],
    limits: &Limits,
    name: &ApplianceName,
    at: Duration,
) -> bool {
    let Some(cluster) = limits.clusters.values().find(|it| it.members().any(|m| m == name)) else {
        return false;
    };
    stories
        .iter()
        .filter(|story| cluster.members().any(|member| member == story.name))
        .flat_map(Story::upgrades)
        .any(|upgrade| upgrade.entry.began < at)
}
