//! Reads that are repeated until their deadline, and what their failing says of the appliance.

use std::sync::Arc;
use std::time::Duration;

use model::event::{ApplianceChange, FailureCode, Step};
use model::failure::{ApplianceError, FailureClass};
use model::observed::SetupStatus;
use model::ports::Appliance;

use super::context::{Context, Deadline};
use super::questions::Question;
use super::{Done, Stop, fail, refused};
use crate::core::ask_again_after;
use crate::pacing;

/// Two looks so far apart that found no answer make an appliance count as down
/// (contract: semantics.md, "Down").
pub(crate) const TWO_LOOKS: Duration = Duration::from_secs(10);

/// How long one read of an appliance that is being staged or tested may find silence before the
/// appliance is set aside.
const SILENCE: Duration = Duration::from_mins(2);

/// Sets an appliance aside that does not answer; after `unreachable.wait` that is a failure.
pub(crate) fn set_aside(context: &Context, step: Step, error: String) -> Stop {
    let now = context.now();
    let wait = context.plan.unreachable_wait;
    let since = context.run.set_aside_at.unwrap_or(now);
    let silent_for = now.duration_since(since);
    if silent_for >= wait {
        let text = format!("it did not answer for {wait:#}: {error}");
        return fail(step, FailureCode::Unreachable, text);
    }
    let retry_at = now.checked_add(ask_again_after(silent_for, wait)).unwrap_or(now);
    Box::new(ApplianceChange::SetAside { error, retry_at })
}

/// Follows whether an appliance answers, from one look to the next.
#[derive(Debug, Default)]
pub(crate) struct Answering {
    silent_since: Option<Duration>,
}

impl Answering {
    /// It answered. True when it counted as down before.
    pub(crate) fn answered(&mut self, context: &mut Context) -> bool {
        self.silent_since = None;
        let was_dark = context.was_suspected() || context.run.dark;
        if was_dark {
            context.record(ApplianceChange::Reachable);
        }
        was_dark
    }

    /// It did not. True when it counts as down from now on.
    pub(crate) fn silent(&mut self, context: &mut Context) -> bool {
        let now = context.monotonic();
        let since = *self.silent_since.get_or_insert(now);
        if now - since >= TWO_LOOKS && !context.run.dark {
            context.record(ApplianceChange::Unreachable);
        }
        context.run.dark
    }
}

/// Whether an error says that the appliance did not answer.
pub(crate) fn is_silence(error: &ApplianceError) -> bool {
    matches!(
        error.class,
        FailureClass::Unreachable
            | FailureClass::Transient
            | FailureClass::NotAnApi
            | FailureClass::OutcomeUnknown
    )
}

impl Context {
    /// Asks until there is an answer, the deadline is over, or an error comes that no repetition
    /// cures.
    pub(crate) async fn ask<T>(
        &mut self,
        step: Step,
        deadline: Deadline,
        question: Question<T>,
    ) -> Done<T> {
        let aside = matches!(step, Step::Stage | Step::Test);
        let patience = Deadline(self.monotonic() + SILENCE);
        let until = if aside && patience.0 < deadline.0 { patience } else { deadline };
        match self.try_ask(until, question).await {
            Ok(answer) => Ok(answer),
            // Nothing is decided yet for an appliance that is still up: it comes back or fails by
            // the rule for all that do not answer, and gives its place back meanwhile.
            Err(error) if aside && is_silence(&error) => {
                Err(set_aside(self, step, error.to_string()))
            }
            Err(error) if error.is_passing() => {
                let text = format!("{error}; asked again until the time for this step was over");
                Err(fail(step, FailureCode::TimedOut, text))
            }
            Err(error) => Err(refused(step, FailureCode::Refused, &error)),
        }
    }

    /// As [`Context::ask`], with the last error as it was.
    pub(crate) async fn try_ask<T>(
        &mut self,
        deadline: Deadline,
        question: Question<T>,
    ) -> Result<T, ApplianceError> {
        let mut answering = Answering::default();
        let mut failures = 0;
        loop {
            let error = match question(Arc::clone(&self.port)).await {
                Ok(answer) => {
                    answering.answered(self);
                    return Ok(answer);
                }
                Err(error) => error,
            };
            if is_silence(&error) {
                answering.silent(self);
            }
            let left = self.left(deadline);
            if !error.is_passing() || left.is_zero() {
                return Err(error);
            }
            let pause = pacing::back_off(failures, &self.shared.random);
            failures += 1;
            self.sleep(pause.max(error.retry_after.unwrap_or_default()).min(left)).await;
        }
    }

    /// One look without login: does it answer as an appliance that is ready?
    pub(crate) async fn ready_now(port: &dyn Appliance) -> Result<(), String> {
        match port.setup().await {
            Ok(SetupStatus::Completed) => Ok(()),
            Ok(other) => Err(not_ready(&other)),
            Err(error) => Err(error.to_string()),
        }
    }
}

/// What a setup status other than `completed` says.
pub(crate) fn not_ready(status: &SetupStatus) -> String {
    match status {
        SetupStatus::Completed => "it is ready".to_owned(),
        SetupStatus::Booting => "it is starting (/api/setup says booting)".to_owned(),
        SetupStatus::Uninitialized => {
            "it was never set up (/api/setup says uninitialized)".to_owned()
        }
        SetupStatus::Other(word) => format!("/api/setup says {word}"),
    }
}
