//! Reasons in words: what is waited for, and what a person does about it.

use std::fmt;

use jiff::Timestamp;

use super::HoldReason;
use crate::names::ApplianceName;

fn opens(until: Option<Timestamp>) -> String {
    until.map_or_else(
        || "no window to come is long enough".to_owned(),
        |until| format!("it may go down from {until:.0} on"),
    )
}

fn list(names: &[ApplianceName]) -> String {
    const SHOWN: usize = 5;
    if names.is_empty() {
        return "none yet, the places are kept for a cluster".to_owned();
    }
    let shown: Vec<&str> = names.iter().take(SHOWN).map(ApplianceName::as_str).collect();
    let more = names.len().saturating_sub(SHOWN);
    if more == 0 { shown.join(", ") } else { format!("{} and {more} more", shown.join(", ")) }
}

impl fmt::Display for HoldReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::EarlierWave { wave, unfinished } => {
                write!(f, "wave {wave} is not finished ({unfinished} to go)")
            }
            Self::RolloutLimit { limit, down } => {
                write!(f, "the rollout allows {limit} down at once; down: {}", list(down))
            }
            Self::SiteLimit { site, limit, down } => {
                write!(f, "site {site} allows {limit} down at once; down: {}", list(down))
            }
            Self::GroupLimit { group, limit, down } => {
                write!(f, "redundancy group {group} allows {limit} down at once; down: {}", list(down))
            }
            Self::TransferLimit { limit } => write!(f, "all {limit} transfers are taken"),
            Self::OutsideWindow { site, until } => {
                write!(f, "no window of site {site} is open; {}", opens(*until))
            }
            Self::Frozen { site, freeze, until } => {
                let why = freeze.as_ref().map_or(String::new(), |why| format!(" ({why})"));
                write!(f, "site {site} is frozen{why}; {}", opens(*until))
            }
            Self::WindowTooShort { site, closes, expected, until } => write!(
                f,
                "the window of site {site} closes at {closes:.0} and it is expected to take {:#} ({}); {}",
                expected.took,
                expected.source.describe(),
                opens(*until)
            ),
            Self::Soaking { wave, until } => {
                write!(f, "wave {wave} is watched until {until:.0} before the next one starts")
            }
            Self::ApprovalRequired { wave } => {
                write!(f, "a person lets the next wave start; look at wave {wave}, then `approve` it")
            }
            Self::SoakFailed { appliance } => write!(
                f,
                "{appliance} fell ill after its upgrade while it was watched; look into it, then `resume`"
            ),
            Self::ClusterWaits { cluster, waiting_for } => write!(
                f,
                "cluster {cluster} begins when all members are staged and tested; waiting for {}",
                list(waiting_for)
            ),
            Self::ClusterIncomplete { cluster, members } => write!(
                f,
                "cluster {cluster} does not begin without {}; `retry` or settle that, or `skip` the whole cluster",
                list(members)
            ),
            Self::ClusterOrder { cluster, before } => {
                write!(f, "in cluster {cluster} these come first: {}", list(before))
            }
            Self::ClusterHalfUpgraded { cluster, failed, gap_since } => {
                write!(f, "CLUSTER {cluster} IS HALF UPGRADED: {} failed", list(failed))?;
                if let Some(since) = gap_since {
                    write!(f, "; upgraded minions do not audit since {since:.0}")?;
                }
                f.write_str("; `retry` the failed member, or `skip` it to go on without it")
            }
            Self::ClusterDiffers { cluster, detail } => write!(
                f,
                "cluster {cluster} is not as the inventory says: {detail}; correct it, then `retry`"
            ),
            Self::Draining { sessions, allowed, until } => write!(
                f,
                "waits for sessions to end ({} open, at most {allowed} may be) until {until:.0}",
                sessions.map_or_else(|| "an unknown number".to_owned(), |count| count.to_string())
            ),
            Self::SessionsOpen { sessions, allowed } => write!(
                f,
                "sessions did not end in time ({} open, at most {allowed} may be); end them, then `retry`",
                sessions.map_or_else(|| "an unknown number".to_owned(), |count| count.to_string())
            ),
            Self::AttendedStep { step, since } => write!(
                f,
                "a person's step since {since:.0}: {}; then `confirm` {}",
                step.instructions(),
                step.name()
            ),
            Self::SecondaryNotProven { detail } => write!(
                f,
                "the node behind the power switch is not proven to be the secondary: {detail}; settle that, then `retry`; or switch the secondary off by hand and `confirm` secondary-off"
            ),
            Self::PowerFailed { step, detail } => write!(
                f,
                "{} did not come about: {detail}; {}, then `confirm` {}",
                step.name(),
                step.instructions(),
                step.name()
            ),
            Self::HookRunning { hook } => write!(f, "{hook} runs"),
            Self::HookFailed { hook, detail } => {
                write!(f, "{hook}: {detail}; settle that, then `retry` it, or `resolve` one whose outcome is not known")
            }
            Self::SameAppliance { other, detail } => write!(
                f,
                "it and {other} are the same appliance ({detail}); remove one of the two entries"
            ),
            Self::HostnameChanged { before, found } => write!(
                f,
                "its host name was {before} in the last rollout and is {found} now; when that is right, `retry`"
            ),
            Self::ArmedOutsideWindow { since } => write!(
                f,
                "ARMED since {since:.0} and its window has ended: any reboot boots the new firmware; it is rebooted in its next window, or by hand"
            ),
            Self::Paused => f.write_str("the rollout is paused; `resume` lets it go on"),
            Self::BudgetReached { failures, limit } => write!(
                f,
                "failure budget reached ({failures} failed, {limit} stop the rollout); `resume` lets it go on"
            ),
            Self::JournalNotWritable => {
                f.write_str("the journal cannot be written; free the disk, then it goes on by itself")
            }
            Self::Unreachable { since, until } => {
                write!(f, "does not answer since {since:.0}; a failure from {until:.0} on")
            }
            Self::IdentityNotProven { detail } => write!(
                f,
                "its certificate does not prove its identity, no password was sent: {detail}; correct `tls`, then `retry`"
            ),
            Self::Credentials { detail } => {
                write!(f, "{detail}; correct the password, then `retry`")
            }
            Self::WrongHostname { expected, found } => write!(
                f,
                "the inventory expects host name {expected}, it says {found}; correct one of them, then `retry`"
            ),
            Self::ChangedByOthers { detail } => {
                write!(f, "another hand is at work: {detail}; when that is settled, `retry`")
            }
            Self::AlreadyArmed { slots } => write!(
                f,
                "the target was selected for the next boot before this rollout came ({slots}); reboot it or select another slot, then `retry`"
            ),
            Self::OtherFirmwareArmed { slots } => write!(
                f,
                "other firmware is selected for the next boot ({slots}); settle that, then `retry`"
            ),
            Self::ArmedButReboots => f.write_str(
                "the upgrade call only armed the appliance, though `upgrade_call: reboots` was said; reboot it by hand",
            ),
            Self::OperatorReboot { since } => write!(
                f,
                "armed since {since:.0}; reboot it (Basic Settings > System > System control), it goes on by itself"
            ),
            Self::OutcomeUnknown { act, saw } => write!(
                f,
                "whether {act} was done cannot be told ({saw}); look at the appliance, then `resolve` it as done or not-done"
            ),
            Self::RebootFailed { detail } => {
                write!(f, "the reboot did not come about: {detail}; reboot it by hand")
            }
            Self::Refused { detail } => write!(f, "{detail}; look into it, then `retry`"),
        }
    }
}
