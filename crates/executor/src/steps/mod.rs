//! What is done to one appliance: precheck, act, verify.
//!
//! A step is an ordinary future that may be dropped at any await and begun again, in this process
//! or the next: it starts by looking at what is there. It reports facts through [`Context::record`]
//! and asks leave for each act that changes the appliance through [`Context::intend`].

mod activate;
mod ask;
mod bundle;
mod checks;
mod cleanup;
mod context;
mod drain;
mod pair;
mod power;
mod preflight;
mod questions;
mod reboot;
mod rejoin;
mod returning;
mod roster;
mod sight;
mod soak;
mod stage;
mod sync;
mod test;
mod verify;
mod watch;

use model::event::{ApplianceChange, Failure, FailureCode, Step};
use model::failure::{ApplianceError, FailureClass};
use model::hold::HoldReason;

pub(crate) use context::{Context, Message, Shared, TaskId};
pub(crate) use power::tame;

/// Why a step ends before its end: the change that says so, already classified.
pub(crate) type Stop = Box<ApplianceChange>;

/// The result of a step or of a part of one.
pub(crate) type Done<T = ()> = Result<T, Stop>;

/// Performs a step to its end; what ended it is recorded.
pub(crate) async fn perform(step: Step, mut context: Context) {
    if !step.is_beside() {
        context.record(ApplianceChange::StepStarted(step));
    }
    let done = match step {
        Step::Preflight => preflight::preflight(&mut context).await,
        Step::Stage => stage::stage(&mut context).await,
        Step::Test => test::test(&mut context).await,
        Step::Roster => roster::roster(&mut context).await,
        Step::Drain => drain::drain(&mut context).await,
        Step::Activate => activate::activate(&mut context).await,
        Step::Return => returning::await_return(&mut context).await,
        Step::Verify => verify::verify(&mut context).await,
        Step::Rejoin => rejoin::rejoin(&mut context).await,
        Step::Sync => sync::sync(&mut context).await,
        Step::Soak => soak::soak(&mut context).await,
        Step::Bundle => bundle::bundle(&mut context).await,
        Step::Cleanup => cleanup::cleanup(&mut context).await,
        Step::Watch => watch::watch(&mut context).await,
    };
    if let Err(stop) = done {
        context.record(*stop);
    }
}

fn fail(step: Step, code: FailureCode, text: impl Into<String>) -> Stop {
    Box::new(ApplianceChange::Failed(Failure { step, code, text: text.into() }))
}

fn hold(reason: HoldReason) -> Stop {
    Box::new(ApplianceChange::Held(reason))
}

/// What an error means that no repetition cures.
fn refused(step: Step, code: FailureCode, error: &ApplianceError) -> Stop {
    let detail = error.to_string();
    match error.class {
        FailureClass::CredentialsRefused
        | FailureClass::CredentialsWithheld
        | FailureClass::CredentialsUnavailable => hold(HoldReason::Credentials { detail }),
        FailureClass::IdentityNotProven => hold(HoldReason::IdentityNotProven { detail }),
        FailureClass::TestFailed => fail(step, FailureCode::TestFailed, detail),
        FailureClass::Unreachable
        | FailureClass::Transient
        | FailureClass::NotAnApi
        | FailureClass::LoggedOut
        | FailureClass::OutcomeUnknown => fail(step, FailureCode::TimedOut, detail),
        FailureClass::Refused | FailureClass::Local | FailureClass::Malformed => {
            fail(step, code, detail)
        }
    }
}
