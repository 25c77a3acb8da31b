//! What is upgraded was looked at and tested, and slots of others are left alone.

use std::collections::BTreeMap;
use std::time::Duration;

use model::names::SlotKey;

use super::{ChangedBy, Life, Limits, Story, UPGRADE, What, seconds};

const TEST: &str = "POST /api/firmware/test";

/// What is known of a slot's content since it last changed.
#[derive(Default, Clone, Copy)]
struct Known {
    changed: Duration,
    read: bool,
    tested: bool,
}

/// An upgrade call is only for a slot that was re-read and tested since its content last changed.
pub(super) fn checked(story: &Story<'_>, limits: &Limits, found: &mut Vec<String>) {
    let mut slots: BTreeMap<SlotKey, Known> = BTreeMap::new();
    for entry in &story.entries {
        match &entry.what {
            What::Life(Life::Slot { slot, .. }) => {
                let fresh = Known { changed: entry.began, ..Known::default() };
                slots.insert(slot.clone(), fresh);
            }
            What::Life(_) | What::Power(_) => {}
            What::Call(call) => {
                let heard = call.status == Some(200) && call.error_type.is_none();
                if heard && call.is("GET /api/firmware/slots") {
                    for known in slots.values_mut().filter(|it| it.changed <= entry.began) {
                        known.read = true;
                    }
                }
                let Some(slot) = &call.slot else { continue };
                let known = slots.entry(slot.clone()).or_default();
                let current = known.changed <= entry.began;
                known.read |= heard && current && call.is("GET /api/firmware/slots/{key}");
                known.tested |= heard && current && call.is(TEST);
                if !call.is(UPGRADE) {
                    continue;
                }
                // Content that was there from the start was read with the first listing.
                if !known.read && known.changed > Duration::ZERO {
                    found.push(format!(
                        "{}: slot {slot} was upgraded to at {} without being read since its \
                         content changed",
                        story.name,
                        seconds(entry.began)
                    ));
                }
                if !known.tested {
                    found.push(format!(
                        "{}: slot {slot} was upgraded to at {} without a good test of its content",
                        story.name,
                        seconds(entry.began)
                    ));
                }
                let version = call.version.as_deref();
                if let Some(target) = limits.target.as_deref()
                    && call.changed
                    && version != Some(target)
                    && !limits.via.iter().any(|hop| version == Some(hop))
                {
                    found.push(format!(
                        "{}: slot {slot} holds {} and was upgraded to at {}; the target is {target}",
                        story.name,
                        version.unwrap_or("nothing"),
                        seconds(entry.began)
                    ));
                }
            }
        }
    }
}

/// Slots that no call filled are not emptied by one.
pub(super) fn untouched(story: &Story<'_>, limits: &Limits, found: &mut Vec<String>) {
    if limits.may_make_room {
        return;
    }
    let mut ours: BTreeMap<&SlotKey, bool> = BTreeMap::new();
    for entry in &story.entries {
        let Some(Life::Slot { slot, version, by }) = entry.life() else { continue };
        let emptied_by_call = version.is_none() && *by == ChangedBy::Call;
        if emptied_by_call && !ours.get(slot).copied().unwrap_or(false) {
            found.push(format!(
                "{}: slot {slot}, which was not ours, was emptied at {}",
                story.name,
                seconds(entry.began)
            ));
        }
        ours.insert(slot, version.is_some() && *by == ChangedBy::Call);
    }
}
