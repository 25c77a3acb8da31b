//! What an appliance's health must be, before and after.

use model::FirmwareVersion;
use model::event::FailureCode;
use model::observed::{Health, HealthCheck, Slot, describe_slots};
use model::plan::Plan;
use model::rollout::MakeRoom;

/// Everything that speaks against an upgrade, or nothing.
pub(crate) fn health_faults(health: &Health, plan: &Plan) -> Vec<String> {
    let mut faults = Vec::new();
    let limit = plan.checks.disk_used_max;
    if let Some(used) = health.disk_used.filter(|used| *used > f64::from(limit)) {
        faults.push(format!("the disk is {used:.0} % full, at most {limit} % are allowed"));
    }
    if plan.checks.require_untainted {
        let tainted = health.tainted.iter().filter(|(_, count)| **count > 0);
        let parts: Vec<String> = tainted.map(|(part, count)| format!("{part}: {count}")).collect();
        if !parts.is_empty() {
            faults.push(format!("it has manually modified files ({})", parts.join(", ")));
        }
    }
    faults.extend(integrity_faults(health));
    faults
}

/// Parts of the firmware whose integrity is not `OK`, and a RAID that is not whole.
pub(crate) fn integrity_faults(health: &Health) -> Vec<String> {
    let bad = health.integrity.iter().filter(|(_, word)| !word.eq_ignore_ascii_case("ok"));
    let mut faults: Vec<String> =
        bad.map(|(part, word)| format!("firmware integrity of {part} is {word}")).collect();
    if let Some(word) = raid_fault(health) {
        faults.push(format!("its RAID is {word}"));
    }
    faults
}

/// What got worse since before the upgrade.
pub(crate) fn worse_than(before: &Health, after: &Health, plan: &Plan) -> Vec<String> {
    let known = health_faults(before, plan);
    health_faults(after, plan).into_iter().filter(|fault| !known.contains(fault)).collect()
}

/// Each check of an upgraded appliance with both values: what was, and what is.
pub(crate) fn compare(
    before: Option<(&FirmwareVersion, &Health)>,
    (version, after): (&FirmwareVersion, &Health),
    plan: &Plan,
) -> Vec<HealthCheck> {
    let known = before.map(|(_, health)| health);
    let mut checks = vec![HealthCheck {
        name: "version".to_owned(),
        before: before.map(|(version, _)| version.to_string()),
        after: Some(version.to_string()),
        good: true,
    }];
    let mut add = |name: &str, of: &dyn Fn(&Health) -> Option<String>, good: bool| {
        let (before, after) = (known.and_then(of), of(after));
        if before.is_some() || after.is_some() {
            // What was no better before is not the upgrade's doing.
            let good = good || before == after;
            checks.push(HealthCheck { name: name.to_owned(), before, after, good });
        }
    };
    let limit = f64::from(plan.checks.disk_used_max);
    let disk = |health: &Health| health.disk_used.map(|used| format!("{used:.0} % used"));
    add("disk", &disk, after.disk_used.is_none_or(|used| used <= limit));
    let tainted = |health: &Health| {
        let parts = health.tainted.iter().filter(|(_, count)| **count > 0);
        let parts: Vec<String> = parts.map(|(part, count)| format!("{part}: {count}")).collect();
        (!health.tainted.is_empty()).then(|| match parts.len() {
            0 => "none".to_owned(),
            _ => parts.join(", "),
        })
    };
    let clean = after.tainted.values().all(|count| *count == 0);
    add("modified files", &tainted, clean || !plan.checks.require_untainted);
    let parts = known.into_iter().chain([after]).flat_map(|health| health.integrity.keys());
    let parts: std::collections::BTreeSet<&String> = parts.collect();
    for part in parts {
        let word = |health: &Health| health.integrity.get(part).cloned();
        let good = after.integrity.get(part).is_none_or(|word| word.eq_ignore_ascii_case("ok"));
        add(&format!("integrity of {part}"), &word, good);
    }
    let whole = raid_fault(after).is_none();
    add("raid", &|health: &Health| health.raid.clone(), whole);
    checks
}

/// What is wrong with the RAID, if anything.
fn raid_fault(health: &Health) -> Option<&String> {
    let broken = |word: &&String| {
        let word = word.to_ascii_lowercase();
        ["degraded", "failed", "broken", "rebuild"].iter().any(|bad| word.contains(bad))
    };
    health.raid.as_ref().filter(broken)
}

/// Which slot can be emptied to make room: the oldest that is neither current, nor booted next,
/// nor the version to fall back to (sps-api.md, open uncertainty 13).
///
/// # Errors
/// The kind of failure and its text.
pub(crate) fn room(
    slots: &[Slot],
    plan: &Plan,
    target: &model::FirmwareVersion,
) -> Result<Room, (FailureCode, String)> {
    if slots.iter().any(|slot| slot.content.is_none()) {
        return Ok(Room::Empty);
    }
    let listed = describe_slots(slots);
    if plan.make_room == MakeRoom::Never {
        let text = format!(
            "no slot is empty ({listed}); delete one on the appliance, or let `slots: {{ make_room: oldest }}` do it"
        );
        return Err((FailureCode::NoEmptySlot, text));
    }
    let version = |slot: &Slot| {
        let text = &slot.content.as_ref()?.version;
        model::FirmwareVersion::observed(text).ok()
    };
    let current = slots
        .iter()
        .find(|slot| slot.content.as_ref().is_some_and(|content| content.current))
        .and_then(version);
    // The newest that is older than what runs is what a person would fall back to.
    let fallback = slots.iter().filter_map(version).filter(|v| Some(v) < current.as_ref()).max();
    let spare = |slot: &&Slot| {
        let content = slot.content.as_ref();
        content.is_some_and(|content| !content.current && !content.after_reboot)
            && version(slot)
                .is_some_and(|version| Some(&version) != fallback.as_ref() && version != *target)
    };
    let oldest = slots.iter().filter(spare).min_by_key(|slot| version(slot));
    oldest.map(|slot| Room::Delete(Box::new(slot.clone()))).ok_or_else(|| {
        let text =
            format!("no slot is empty and none may be deleted ({listed}); make room by hand");
        (FailureCode::NoEmptySlot, text)
    })
}

/// Room for the image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Room {
    /// There is an empty slot.
    Empty,
    /// This one must be emptied first.
    Delete(Box<Slot>),
}
