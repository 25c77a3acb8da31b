//! The steps of an appliance in words: all of them for a plan, what is left for `explain`.

use model::decision::PersonStep;
use model::fleet::{Appliance, Ha, HaMode, Reboot, UpgradeCall};
use model::plan::Plan;
use model::rollout::{DrainOtherwise, HookKind};
use model::run::{ApplianceRun, Run};
use serde::Serialize;

use super::words;

/// One step.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Line {
    /// A stable word.
    pub(crate) step: &'static str,
    /// What is done.
    pub(crate) text: String,
    /// Whether a person does it.
    pub(crate) by_person: bool,
    #[serde(skip)]
    place: Place,
}

/// Where in a procedure a step stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Place {
    Preflight,
    Stage,
    Test,
    Leave,
    Drain,
    Activate,
    Pair(PersonStep),
    Return,
    Verify,
    Rejoin(PersonStep),
    After,
}

fn line(step: &'static str, text: impl Into<String>, place: Place) -> Line {
    Line { step, text: text.into(), by_person: false, place }
}

fn by_person(step: PersonStep, place: fn(PersonStep) -> Place) -> Line {
    let text = format!("a person: {}; then `confirm` it", step.instructions());
    Line { step: step.name(), text, by_person: true, place: place(step) }
}

/// All steps of an appliance for one hop, in order.
pub(crate) fn procedure(plan: &Plan, appliance: &Appliance) -> Vec<Line> {
    let mut lines = vec![
        line("preflight", "look: identity, version, slots, health", Place::Preflight),
        line("stage", "put the image into a slot, and read it again", Place::Stage),
        line("test", "let the appliance test the firmware", Place::Test),
        line("leave", leave(plan, appliance), Place::Leave),
    ];
    if let Some(drain) = &plan.drain {
        let then = match drain.otherwise {
            DrainOtherwise::Hold => "wait for a person",
            DrainOtherwise::Proceed => "cut them",
        };
        let text = format!(
            "wait until at most {} (for {} at most, then {then})",
            words::sessions(drain.sessions),
            words::duration(drain.wait)
        );
        lines.push(line("drain", text, Place::Drain));
    }
    match appliance.upgrade_call {
        UpgradeCall::Arms => {
            lines.push(line("activate", "upgrade call: selects the slot", Place::Activate));
        }
        UpgradeCall::Reboots => {
            lines.push(line("activate", "upgrade call: reboots into the slot", Place::Activate));
        }
        UpgradeCall::Detect => {
            lines.push(line(
                "activate",
                "upgrade call: reboots, or selects the slot",
                Place::Activate,
            ));
        }
    }
    match (&appliance.ha, appliance.upgrade_call) {
        (Some(ha), UpgradeCall::Arms) => lines.extend(pair(appliance, ha)),
        (_, UpgradeCall::Reboots) => {}
        _ => lines.extend(reboot(appliance).map(|line| when_armed(line, appliance))),
    }
    lines.push(line("return", "wait until it is back, with a version", Place::Return));
    lines.push(line("verify", "compare version, integrity and health", Place::Verify));
    if let Some(ha) = &appliance.ha {
        lines.extend(rejoin(appliance, ha));
    }
    if let Some((cluster, planned)) = plan.cluster_of(&appliance.name)
        && planned.manager == appliance.name
    {
        let text = format!("ask whether all members of {cluster} agree, after the last one");
        lines.push(line("sync", text, Place::After));
    }
    if plan.hooks.contains_key(&HookKind::After) {
        lines.push(line("after", "run the hook `after`", Place::After));
    }
    lines
}

/// What is waited for before an appliance may go down.
fn leave(plan: &Plan, appliance: &Appliance) -> String {
    let mut waits = vec!["its wave's turn".to_owned()];
    if plan.calendars.contains_key(&appliance.site) {
        waits.push("its window".to_owned());
    }
    waits.push("a free place".to_owned());
    if let Some((cluster, _)) = plan.cluster_of(&appliance.name) {
        waits.push(format!("its turn in cluster {cluster}"));
    }
    if plan.hooks.contains_key(&HookKind::Before) {
        waits.push("the hook `before`".to_owned());
    }
    format!("wait for {}", waits.join(", "))
}

/// The second half of a pair that arms, before the primary restarts.
fn pair(appliance: &Appliance, ha: &Ha) -> Vec<Line> {
    if ha.mode == HaMode::Attended {
        let mut steps = vec![
            by_person(PersonStep::PeerHasFirmware, Place::Pair),
            by_person(PersonStep::SecondaryOff, Place::Pair),
        ];
        steps.extend(reboot(appliance));
        return steps;
    }
    let sync =
        ha.peer_sync.map_or_else(String::new, |wait| format!(" ({})", words::duration(wait)));
    let check = if ha.secondary_check.is_some() { ", after `secondary_check`" } else { "" };
    let mut steps = vec![
        line(
            PersonStep::PeerHasFirmware.name(),
            format!("give the firmware time to reach the other node{sync}"),
            Place::Pair(PersonStep::PeerHasFirmware),
        ),
        line(
            PersonStep::SecondaryOff.name(),
            format!("switch the secondary off{check}"),
            Place::Pair(PersonStep::SecondaryOff),
        ),
    ];
    steps.extend(reboot(appliance));
    steps
}

fn reboot(appliance: &Appliance) -> Option<Line> {
    let place = Place::Pair(PersonStep::Reboot);
    let name = PersonStep::Reboot.name();
    Some(match &appliance.reboot {
        Reboot::Operator => by_person(PersonStep::Reboot, Place::Pair),
        Reboot::Command(words) => {
            let program = words.first().map_or("", String::as_str);
            line(name, format!("reboot it by {program}"), place)
        }
        Reboot::Redfish(redfish) => {
            line(name, format!("reboot it by Redfish {}", redfish.url), place)
        }
    })
}

/// Whether the call reboots is found out by watching.
fn when_armed(line: Line, appliance: &Appliance) -> Line {
    match appliance.upgrade_call {
        UpgradeCall::Detect => {
            Line { text: format!("if it did not reboot: {}", line.text), ..line }
        }
        UpgradeCall::Arms | UpgradeCall::Reboots => line,
    }
}

fn rejoin(appliance: &Appliance, ha: &Ha) -> Vec<Line> {
    let on = PersonStep::SecondaryOn;
    let healthy = PersonStep::PairHealthy;
    let arms = appliance.upgrade_call == UpgradeCall::Arms;
    match ha.mode {
        HaMode::Attended => {
            let on = arms.then(|| by_person(on, Place::Rejoin));
            on.into_iter().chain([by_person(healthy, Place::Rejoin)]).collect()
        }
        HaMode::Automatic => {
            let text = "switch the secondary on, when the primary is verified";
            let on = arms.then(|| line(on.name(), text, Place::Rejoin(on)));
            let seen = line(
                healthy.name(),
                "look until both nodes form a healthy pair",
                Place::Rejoin(healthy),
            );
            on.into_iter().chain([seen]).collect()
        }
    }
}

/// The steps that an appliance of a rollout has before it, those of later hops left out. The first
/// one is the one under way.
pub(crate) fn remaining(run: &Run, appliance: &Appliance, state: &ApplianceRun) -> Vec<Line> {
    if state.phase.is_terminal() {
        return Vec::new();
    }
    let from = reached(state);
    let done = |line: &Line| match line.place {
        Place::Pair(step) | Place::Rejoin(step) => state.pair.is_done(step),
        Place::Drain => state.drained.is_some(),
        _ => false,
    };
    let all = procedure(&run.plan, appliance);
    all.into_iter().filter(|line| line.place >= from && !done(line)).collect()
}

fn reached(state: &ApplianceRun) -> Place {
    if let Some(upgrade) = &state.upgrade {
        return match () {
            () if state.verified => Place::Rejoin(PersonStep::PeerHasFirmware),
            () if upgrade.returned.is_some() => Place::Verify,
            () if upgrade.restart_at.is_some() => Place::Return,
            () if upgrade.armed_at.is_some() => Place::Pair(PersonStep::PeerHasFirmware),
            () => Place::Activate,
        };
    }
    match () {
        () if state.permitted => Place::Drain,
        () if state.tested.is_some() => Place::Leave,
        () if state.stage.slot.is_some() => Place::Test,
        () if state.baseline.is_some() => Place::Stage,
        () => Place::Preflight,
    }
}
