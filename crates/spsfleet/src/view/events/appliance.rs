//! What happened to an appliance, in words.

use model::event::{Act, ActKind, ActOutcome, ApplianceChange, SkipReason, StagedHow, Step};
use model::observed::HealthCheck;

use super::{Told, fine, main};
use crate::printer::Style;
use crate::view::words;

/// Says what happened.
pub(super) fn tell(change: &ApplianceChange) -> Told {
    match change {
        ApplianceChange::StepStarted(step) => started(*step),
        ApplianceChange::Preflighted(baseline) => {
            let health = &baseline.health;
            let mut told = vec![format!("runs {}", baseline.version)];
            told.extend(health.sessions.map(words::sessions));
            // Both tell whether recordings still wait to be processed.
            let waiting: u64 = health.queues.values().sum();
            if waiting > 0 {
                told.push(format!("{waiting} recordings in its queues"));
            }
            told.extend(health.indexer.as_ref().map(|state| format!("indexer {state}")));
            fine(told.join(", "))
        }
        ApplianceChange::SetAside { error, retry_at } => main(
            Style::Warn,
            format!("set aside, asked again {}: {error}", words::moment(*retry_at)),
        ),
        ApplianceChange::UpToDate { version } => {
            main(Style::Good, format!("up-to-date: runs {version} already"))
        }
        ApplianceChange::Skipped(reason) => {
            main(Style::Warn, format!("skipped: {}", skipped(reason)))
        }
        ApplianceChange::Intended(act) => intended(act),
        ApplianceChange::CommandStarted(process) => {
            fine(format!("the command runs as process {}", process.pid))
        }
        ApplianceChange::Outcome { act, outcome, saw } => outcome_of(*act, outcome, saw),
        ApplianceChange::Progress { done, total } => match total {
            0 => fine(format!("transferred {}", words::bytes(*done))),
            total => fine(format!(
                "transferred {} of {} ({} %)",
                words::bytes(*done),
                words::bytes(*total),
                done.saturating_mul(100) / total
            )),
        },
        ApplianceChange::JobAdopted { key } => main(
            Style::Plain,
            format!("waits for fetch {key} of the same image, which somebody else started"),
        ),
        ApplianceChange::JobFailed { key, error } => {
            main(Style::Warn, format!("fetch {key} failed: {error}"))
        }
        ApplianceChange::SlotBad { slot, why } => match slot {
            Some(slot) => main(Style::Warn, format!("slot {slot} is not used: {why}")),
            None => main(Style::Warn, format!("the uploaded slot is not used: {why}")),
        },
        ApplianceChange::Staged { slot, how } => {
            let how = match how {
                StagedHow::Adopted => "was there before",
                StagedHow::Fetched => "fetched",
                StagedHow::FetchAdopted => "fetched by somebody else",
                StagedHow::Uploaded => "uploaded",
            };
            main(Style::Plain, format!("staged in slot {slot} ({how})"))
        }
        ApplianceChange::Tested { slot, .. } => {
            main(Style::Plain, format!("slot {slot} passed the firmware test"))
        }
        ApplianceChange::ClusterAgrees { saw } => {
            fine("central management names the members that the plan names").seen_by(saw)
        }
        ApplianceChange::Permitted => fine("may go down"),
        ApplianceChange::Sessions { count } => fine(words::sessions(*count)),
        ApplianceChange::Drained { sessions: open } => match open {
            Some(0) => fine("no session is open any more"),
            Some(open) => main(
                Style::Plain,
                format!("no longer waits for sessions: {}", words::sessions(*open)),
            ),
            None => main(Style::Plain, "no longer waits for sessions; their number is not known"),
        },
        ApplianceChange::Withdrawn { why } => {
            main(Style::Warn, format!("goes back to waiting: {why}"))
        }
        ApplianceChange::Looked { saw } => fine(format!("looked: {saw}")),
        ApplianceChange::Armed => {
            main(Style::Plain, "armed: boots the new firmware at its next restart")
        }
        ApplianceChange::RestartSeen { saw } => main(Style::Plain, "restarts").seen_by(saw),
        ApplianceChange::Returned { version } => {
            main(Style::Plain, format!("is back on {version}"))
        }
        ApplianceChange::PairStepDone { step, saw } => {
            main(Style::Plain, format!("{} is done", step.name())).seen_by(saw)
        }
        ApplianceChange::Checked(checks) => checked(checks),
        ApplianceChange::HopDone { version, sessions_cut } => {
            main(Style::Good, format!("runs {version}, goes on from there{}", cut(*sessions_cut)))
        }
        ApplianceChange::Verified { version, sessions_cut } => main(
            Style::Good,
            format!("the primary runs {version}, the pair is not whole yet{}", cut(*sessions_cut)),
        ),
        ApplianceChange::Succeeded { version, sessions_cut } => {
            main(Style::Good, format!("succeeded: runs {version}{}", cut(*sessions_cut)))
        }
        ApplianceChange::Failed(failure) => main(
            Style::Bad,
            format!(
                "failed in {} ({}): {}",
                failure.step.name(),
                failure.code.name(),
                failure.text
            ),
        ),
        ApplianceChange::Held(reason) => {
            main(Style::Warn, format!("held ({}): {reason}", reason.code()))
        }
        ApplianceChange::Unreachable => main(Style::Warn, "does not answer and counts as down"),
        ApplianceChange::Reachable => main(Style::Plain, "answers again"),
        ApplianceChange::Up { version } => match version {
            Some(version) => main(Style::Plain, format!("is up, on {version}")),
            None => main(Style::Plain, "is up"),
        },
        ApplianceChange::ClusterSynced { saw } => {
            main(Style::Good, "central management sees all members in agreement").seen_by(saw)
        }
        ApplianceChange::Bundled { path, saw } => match path {
            Some(path) => main(Style::Plain, format!("support bundle saved: {path} ({saw})")),
            None => main(Style::Warn, format!("there is no support bundle: {saw}")),
        },
        ApplianceChange::LeftBehind { key, why } => {
            main(Style::Warn, format!("the record of fetch {key} stays there: {why}"))
        }
        ApplianceChange::Login { accepted, .. } => match accepted {
            true => fine("took the password"),
            false => main(Style::Warn, "refused the password; it is not sent there again"),
        },
    }
}

fn sessions(count: u64) -> String {
    words::count(usize::try_from(count).unwrap_or(usize::MAX), "session")
}

fn cut(sessions_cut: Option<u64>) -> String {
    match sessions_cut {
        Some(count @ 1..) => format!(" ({} cut)", sessions(count)),
        _ => String::new(),
    }
}

/// Only what got worse is worth a line; the rest is for looking back.
fn checked(checks: &[HealthCheck]) -> Told {
    let (good, bad): (Vec<_>, Vec<_>) = checks.iter().partition(|check| check.good);
    let list = |checks: &[&HealthCheck]| {
        checks.iter().map(|check| words::check(check)).collect::<Vec<_>>().join(", ")
    };
    if bad.is_empty() {
        return fine("its health is as good as before").seen_by(&list(&good));
    }
    main(Style::Warn, format!("its health is not as good as before: {}", list(&bad)))
}

fn started(step: Step) -> Told {
    match step {
        Step::Preflight => fine("is looked at"),
        Step::Stage => fine("is staged"),
        Step::Test => fine("tests the firmware"),
        Step::Roster => fine("is asked for the members of its cluster"),
        Step::Drain => fine("waits for its sessions to end"),
        Step::Activate => fine("goes down next"),
        Step::Return => fine("is watched for its return"),
        Step::Verify => fine("is verified"),
        Step::Rejoin => fine("is brought together as a pair"),
        Step::Sync => fine("is asked whether all members of its cluster agree"),
        Step::Soak => fine("is watched after its upgrade"),
        Step::Bundle => fine("is asked for a support bundle"),
        Step::Cleanup => fine("is cleaned up"),
        Step::Watch => fine("is watched until it is up"),
    }
}

fn intended(act: &Act) -> Told {
    match act {
        Act::StartFetch { .. } => main(Style::Plain, "fetches the image"),
        Act::Upload { .. } => main(Style::Plain, "is sent the image"),
        Act::DeleteFetch { key } => fine(format!("the record of fetch {key} is removed")),
        Act::DeleteSlot { key, version } => {
            main(Style::Warn, format!("slot {key} ({version}) is emptied to make room"))
        }
        Act::Upgrade { slot } => main(Style::Busy, format!("goes down: upgrade to slot {slot}")),
        Act::Reboot => main(Style::Busy, "the configured reboot is run"),
        Act::PowerOff { force: false } => main(Style::Busy, "the secondary is asked to shut down"),
        Act::PowerOff { force: true } => {
            main(Style::Warn, "the secondary's power is taken away, since it did not shut down")
        }
        Act::PowerOn => main(Style::Busy, "the secondary is switched on"),
    }
}

fn outcome_of(act: ActKind, outcome: &ActOutcome, saw: &str) -> Told {
    let name = act.name();
    let told = match outcome {
        ActOutcome::Done { .. } => fine(format!("{name} was done")),
        ActOutcome::NotDone => main(Style::Warn, format!("{name} was not done")),
        ActOutcome::ReplyLost => {
            main(Style::Warn, format!("the answer to {name} was lost; it is watched"))
        }
        ActOutcome::CannotTell => {
            main(Style::Warn, format!("whether {name} was done cannot be told"))
        }
    };
    told.seen_by(saw)
}

/// Why an appliance is left out.
fn skipped(reason: &SkipReason) -> String {
    match reason {
        SkipReason::Newer { version } => format!("runs {version}, which is newer"),
        SkipReason::ByPerson => "a person left it out".to_owned(),
        SkipReason::Aborted => "the rollout was aborted before its turn".to_owned(),
    }
}
