//! What happened, one line or one JSON object each.

use model::event::{
    Act, ActKind, ActOutcome, ApplianceChange, Change, Event, RolloutChange, SkipReason, StagedHow,
    Step,
};
use serde_json::{Value, json};

use super::words;
use crate::printer::{Paint, Style};

/// A change in words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Told {
    /// What happened.
    pub(crate) text: String,
    /// By what it was seen: for looking back.
    pub(crate) detail: String,
    /// How it looks.
    pub(crate) style: Style,
    /// Whether a person who watches wants to see it; the rest is for looking back.
    pub(crate) main: bool,
}

impl Told {
    /// Text and detail.
    pub(crate) fn whole(&self) -> String {
        if self.detail.is_empty() {
            self.text.clone()
        } else {
            format!("{} ({})", self.text, self.detail)
        }
    }

    fn seen_by(self, detail: &str) -> Self {
        Self { detail: detail.to_owned(), ..self }
    }
}

fn main(style: Style, text: impl Into<String>) -> Told {
    Told { text: text.into(), detail: String::new(), style, main: true }
}

fn fine(text: impl Into<String>) -> Told {
    Told { text: text.into(), detail: String::new(), style: Style::Dim, main: false }
}

/// One line of text for `events`.
pub(crate) fn line(event: &Event, paint: Paint) -> String {
    let told = tell(&event.change);
    let who = match &event.change {
        Change::Appliance(name, _) => name.as_str(),
        Change::Rollout(_) => "-",
    };
    format!(
        "{}  {}  {who:<16}  {}",
        paint.on(Style::Dim, &format!("{:>5}", event.seq)),
        words::moment(event.at),
        paint.on(told.style, &told.whole())
    )
}

/// One JSON object for `events --output json`. A plan shows as its digest; `plan` shows it whole.
pub(crate) fn object(event: &Event) -> Value {
    let (appliance, change) = match &event.change {
        Change::Appliance(name, change) => (Some(name.as_str()), value(change)),
        Change::Rollout(change) => (None, rollout_value(change)),
    };
    json!({
        "schema": 1,
        "seq": event.seq,
        "at": event.at,
        "rollout": event.rollout,
        "appliance": appliance,
        "text": tell(&event.change).whole(),
        "change": change,
    })
}

fn value(change: &impl serde::Serialize) -> Value {
    serde_json::to_value(change).unwrap_or(Value::Null)
}

fn rollout_value(change: &RolloutChange) -> Value {
    match change {
        RolloutChange::PlanAccepted { plan, actor } => {
            json!({ "plan_accepted": { "plan": plan.digest, "actor": actor } })
        }
        RolloutChange::Replanned { plan, actor } => {
            json!({ "replanned": { "plan": plan.digest, "actor": actor } })
        }
        _ => value(change),
    }
}

/// Says what happened.
pub(crate) fn tell(change: &Change) -> Told {
    match change {
        Change::Rollout(change) => tell_rollout(change),
        Change::Appliance(_, change) => tell_appliance(change),
    }
}

fn tell_rollout(change: &RolloutChange) -> Told {
    match change {
        RolloutChange::PlanAccepted { plan, actor } => main(
            Style::Bold,
            format!(
                "plan accepted by {}: {} to {}, {}",
                actor.name,
                words::count(plan.appliances.len(), "appliance"),
                plan.firmware.version,
                words::count(plan.waves.len(), "wave")
            ),
        ),
        RolloutChange::Replanned { plan, actor } => main(
            Style::Bold,
            format!(
                "planned anew by {}: {}",
                actor.name,
                words::count(plan.appliances.len(), "appliance")
            ),
        ),
        RolloutChange::RunStarted { pid } => fine(format!("process {pid} took the rollout up")),
        RolloutChange::RunStopped { why } => fine(format!("laid down: {why}")),
        RolloutChange::Decided { actor, reason, decision } => {
            let about = about(decision);
            let reason = if reason.is_empty() { String::new() } else { format!(" ({reason})") };
            main(Style::Bold, format!("{} by {}{about}{reason}", decision.verb(), actor.name))
        }
        RolloutChange::BudgetReached { failures, limit, abort } => {
            let then = if *abort { "aborted" } else { "paused" };
            let limit = words::count(*limit, "failure");
            main(
                Style::Warn,
                format!("failure budget of {limit} reached ({failures} failed): {then}"),
            )
        }
        RolloutChange::WaveStarted { wave } => main(Style::Bold, format!("wave {wave} begins")),
        RolloutChange::WaveFinished { wave } => {
            main(Style::Bold, format!("wave {wave} is finished"))
        }
        RolloutChange::Finished => main(Style::Bold, "finished"),
    }
}

fn about(decision: &model::decision::Decision) -> String {
    use model::decision::Decision;
    match decision {
        Decision::Pause { all: true } => " (staging too)".to_owned(),
        Decision::Pause { all: false } | Decision::Resume | Decision::Abort => String::new(),
        Decision::Retry { appliances } | Decision::Skip { appliances } => {
            format!(": {}", words::names(appliances.iter().map(|name| name.as_str()), 5))
        }
        Decision::Resolve { appliance, done } => {
            format!(": {appliance} {}", if *done { "done" } else { "not-done" })
        }
        Decision::Approve { wave } => format!(": wave {wave}"),
    }
}

fn tell_appliance(change: &ApplianceChange) -> Told {
    match change {
        ApplianceChange::StepStarted(step) => started(*step),
        ApplianceChange::Preflighted(baseline) => {
            let sessions = match baseline.health.sessions {
                Some(sessions) => {
                    let sessions = usize::try_from(sessions).unwrap_or(usize::MAX);
                    format!(", {}", words::count(sessions, "session"))
                }
                None => String::new(),
            };
            fine(format!("runs {}{sessions}", baseline.version))
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
        ApplianceChange::Permitted => fine("may go down"),
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
        ApplianceChange::Succeeded { version, sessions_cut } => {
            let cut = match sessions_cut {
                Some(sessions @ 1..) => format!(" ({sessions} sessions before)"),
                _ => String::new(),
            };
            main(Style::Good, format!("succeeded: runs {version}{cut}"))
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
        ApplianceChange::LeftBehind { key, why } => {
            main(Style::Warn, format!("the record of fetch {key} stays there: {why}"))
        }
        ApplianceChange::Login { accepted, .. } => match accepted {
            true => fine("took the password"),
            false => main(Style::Warn, "refused the password; it is not sent there again"),
        },
    }
}

fn started(step: Step) -> Told {
    match step {
        Step::Preflight => fine("is looked at"),
        Step::Stage => fine("is staged"),
        Step::Test => fine("tests the firmware"),
        Step::Activate => fine("goes down next"),
        Step::Return => fine("is watched for its return"),
        Step::Verify => fine("is verified"),
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

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::Timestamp;
    use model::{ApplianceName, RolloutId, SlotKey};

    fn event(change: ApplianceChange) -> Event {
        Event {
            seq: 12,
            rollout: RolloutId::new("r"),
            at: Timestamp::from_millisecond(1_800_000_000_123).expect("a time"),
            change: Change::Appliance(ApplianceName::new("ams-1").expect("a name"), change),
        }
    }

    #[test]
    fn a_line_names_number_time_and_appliance() {
        let staged =
            event(ApplianceChange::Staged { slot: SlotKey::new("2"), how: StagedHow::Fetched });
        assert_eq!(
            line(&staged, Paint(false)),
            "   12  2027-01-15T08:00:00Z  ams-1             staged in slot 2 (fetched)"
        );
    }

    #[test]
    fn an_object_has_the_change_and_its_words() {
        let object = object(&event(ApplianceChange::Armed));
        assert_eq!(object["schema"], 1);
        assert_eq!(object["appliance"], "ams-1");
        assert_eq!(object["change"], "armed");
        assert_eq!(object["text"], "armed: boots the new firmware at its next restart");
    }
}
