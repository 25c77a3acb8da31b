//! The two nodes of a pair are never set against each other.

use super::{Life, Story, seconds};
use crate::ledger::RestartBy;

/// No secondary is brought up beside other firmware, and no primary is restarted while the
/// secondary could take its place.
pub(super) fn whole(story: &Story<'_>, found: &mut Vec<String>) {
    for entry in &story.entries {
        let when = seconds(entry.began);
        match entry.life() {
            Some(Life::PairBroken { primary, secondary }) => found.push(format!(
                "{}: the secondary with {secondary} was brought up beside a primary with {primary} \
                 at {when}",
                story.name
            )),
            Some(Life::Takeover { by })
                if !matches!(by, RestartBy::Power | RestartBy::OtherAdmin) =>
            {
                found.push(format!(
                    "{}: the primary was down at {when} while the secondary had power",
                    story.name
                ));
            }
            _ => {}
        }
    }
}
