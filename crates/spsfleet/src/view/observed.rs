//! What the appliances said before anything was begun.

use std::collections::BTreeMap;

use model::plan::Plan;

use super::table::{Table, cell, indented, styled};
use super::words;
use crate::observing::{ImageSeen, Observed, Seen};
use crate::printer::{Paint, Style};

/// Of many only those with something to say are shown.
const SHOWN: usize = 40;

/// The looks as text. `all`: every appliance, however many there are.
pub(crate) fn text(
    observed: &Observed,
    plan: &Plan,
    all: bool,
    paint: Paint,
    width: usize,
) -> String {
    let mut text = format!("\n{}\n", paint.on(Style::Bold, "as the appliances are now"));
    let mut versions: BTreeMap<String, usize> = BTreeMap::new();
    let (mut sessions, mut silent) = (None, 0);
    for seen in observed.appliances.values() {
        match &seen.version {
            Some(version) => *versions.entry(version.to_string()).or_default() += 1,
            None => silent += 1,
        }
        if let Some(count) = seen.health.as_ref().and_then(|health| health.sessions) {
            *sessions.get_or_insert(0) += count;
        }
    }
    let mut sum: Vec<String> =
        versions.iter().map(|(version, count)| format!("{count} on {version}")).collect();
    if silent > 0 {
        sum.push(format!("{silent} did not say what they run"));
    }
    sum.extend(sessions.map(|count: u64| format!("{} now", words::sessions(count))));
    let sum = sum.join(", ");
    text.push_str(&indented(2, "in all", &sum, paint, Style::Dim, width));
    for ImageSeen { url, size, fault } in &observed.images {
        let (told, style) = match (size, fault) {
            (Some(size), _) => (format!("{url}: {}", words::bytes(*size)), Style::Dim),
            (None, fault) => {
                let why = fault.as_deref().unwrap_or("it cannot be told");
                (format!("{url}: no size: {why}"), Style::Warn)
            }
        };
        text.push_str(&indented(2, "image", &told, paint, style, width));
    }
    let each = all || observed.appliances.len() <= SHOWN;
    let mut table = Table::new(["NAME", "VERSION", "SLOTS", "DISK", "SESSIONS", "REMARKS"]);
    let (mut rows, mut more) = (0, 0);
    for (name, seen) in &observed.appliances {
        let remarks = remarks(seen, plan);
        if !each && remarks.is_empty() {
            continue;
        }
        if !all && rows == SHOWN {
            more += 1;
            continue;
        }
        rows += 1;
        let known = |text: Option<String>| cell(text.unwrap_or_else(|| "-".to_owned()));
        let health = seen.health.as_ref();
        let free = seen.slots.iter().filter(|slot| slot.content.is_none()).count();
        let slots = format!("{free} of {} free", seen.slots.len());
        table.row([
            cell(name.as_str()),
            known(seen.version.as_ref().map(ToString::to_string)),
            known((!seen.slots.is_empty()).then_some(slots)),
            known(health.and_then(|h| h.disk_used).map(|used| format!("{used:.0} %"))),
            known(health.and_then(|h| h.sessions).map(|count| count.to_string())),
            styled(Style::Warn, remarks.join("; ")),
        ]);
    }
    if rows > 0 {
        text.push_str(&table.render(paint, width));
    }
    if more > 0 {
        text.push_str(&format!("  and {more} more; --all shows them\n"));
    }
    text
}

/// What speaks against an upgrade of it, or makes it needless.
fn remarks(seen: &Seen, plan: &Plan) -> Vec<String> {
    let mut remarks = seen.faults.clone();
    let target = &plan.firmware.version;
    match &seen.version {
        Some(version) if version == target => remarks.push("at the target already".to_owned()),
        Some(version) if version > target => remarks.push("newer than the target".to_owned()),
        _ => {}
    }
    if !seen.slots.is_empty() {
        let holds = seen.slots.iter().find(|slot| slot.holds(target));
        match holds {
            Some(slot) if seen.version.as_ref() != Some(target) => {
                remarks.push(format!("slot {} holds the target", slot.key));
            }
            None if seen.slots.iter().all(|slot| slot.content.is_some()) => {
                remarks.push("no slot is free".to_owned());
            }
            _ => {}
        }
        if let Some(slot) = seen.slots.iter().find(|slot| slot.is_armed()) {
            remarks.push(format!("slot {} is armed", slot.key));
        }
    }
    if let Some(health) = &seen.health {
        let limit = f64::from(plan.checks.disk_used_max);
        if health.disk_used.is_some_and(|used| used > limit) {
            remarks.push(format!("disk fuller than {} %", plan.checks.disk_used_max));
        }
        if plan.checks.require_untainted && health.tainted.values().any(|count| *count > 0) {
            remarks.push("manually modified files".to_owned());
        }
        if health.integrity.values().any(|word| !word.eq_ignore_ascii_case("ok")) {
            remarks.push("firmware integrity is not OK".to_owned());
        }
        if let Some(indexer) = &health.indexer {
            remarks.push(format!("indexer {indexer}"));
        }
        let waiting: u64 = health.queues.values().sum();
        if waiting > 0 {
            remarks.push(format!("{waiting} in its queues"));
        }
    }
    remarks
}
