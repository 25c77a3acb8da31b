//! Power acts and reboots at most once for each upgrade.

use std::collections::BTreeMap;
use std::time::Duration;

use super::{Life, Limits, Story, UPGRADE, What, seconds};
use crate::ledger::{Node, PowerAct, RestartBy};

/// What may happen once.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum Once {
    Power(Node, PowerAct),
    Reboot,
}

impl Once {
    fn words(&self) -> String {
        match self {
            Self::Power(node, act) => format!("`{}` of the {}", act.word(), node.word()),
            Self::Reboot => "the reboot".to_owned(),
        }
    }
}

/// No power act is accepted twice, and no reboot pressed twice, for one upgrade call that acted.
pub(super) fn once(story: &Story<'_>, limits: &Limits, found: &mut Vec<String>) {
    if limits.power_again.contains(story.name) {
        return;
    }
    let mut done: BTreeMap<Once, Vec<Duration>> = BTreeMap::new();
    for entry in &story.entries {
        let what = match &entry.what {
            What::Call(call) if call.changed && call.is(UPGRADE) => {
                judge(story, &mut done, found);
                continue;
            }
            What::Power(power) if power.taken && power.act != PowerAct::State => {
                Once::Power(power.node, power.act)
            }
            What::Life(Life::Restarting { by: RestartBy::Operator }) => Once::Reboot,
            _ => continue,
        };
        done.entry(what).or_default().push(entry.began);
    }
    judge(story, &mut done, found);
}

fn judge(story: &Story<'_>, done: &mut BTreeMap<Once, Vec<Duration>>, found: &mut Vec<String>) {
    for (what, times) in std::mem::take(done).into_iter().filter(|(_, times)| times.len() > 1) {
        let when: Vec<String> = times.iter().map(|at| seconds(*at)).collect();
        found.push(format!(
            "{}: {} came {} times for one upgrade, at {}",
            story.name,
            what.words(),
            times.len(),
            when.join(", ")
        ));
    }
}
