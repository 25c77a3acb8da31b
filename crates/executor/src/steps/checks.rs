//! What an appliance's health must be, before and after.

use model::event::FailureCode;
use model::observed::{Health, Slot, describe_slots};
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
    let broken = |word: &&String| {
        let word = word.to_ascii_lowercase();
        ["degraded", "failed", "broken", "rebuild"].iter().any(|bad| word.contains(bad))
    };
    if let Some(word) = health.raid.as_ref().filter(broken) {
        faults.push(format!("its RAID is {word}"));
    }
    faults
}

/// What got worse since before the upgrade.
pub(crate) fn worse_than(before: &Health, after: &Health, plan: &Plan) -> Vec<String> {
    let known = health_faults(before, plan);
    health_faults(after, plan).into_iter().filter(|fault| !known.contains(fault)).collect()
}

/// Which slot can be emptied to make room: the oldest that is neither current, nor booted next,
/// nor the version to fall back to (sps-api.md, open uncertainty 13).
///
/// # Errors
/// The kind of failure and its text.
pub(crate) fn room(slots: &[Slot], plan: &Plan) -> Result<Room, (FailureCode, String)> {
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
            && version(slot).is_some_and(|version| {
                Some(&version) != fallback.as_ref() && version != plan.firmware.version
            })
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
