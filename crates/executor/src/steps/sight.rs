//! One look at an appliance whose upgrade call is open, and what it says about a restart.

use std::time::Duration;

use model::FirmwareVersion;
use model::event::ApplianceChange;
use model::failure::{ApplianceError, FailureClass};
use model::observed::SetupStatus;

use super::ask::not_ready;
use super::context::{Context, unsigned};
use crate::pacing;

/// No good answer for so long is a restart (contract: semantics.md, "What an upgrade's outcome is").
const SILENCE: Duration = Duration::from_secs(5);

/// A look may be journalled less often than it is taken; a dead process's gap is then measured from
/// the last one that was.
const JOURNALLED_EVERY: Duration = Duration::from_secs(10);

/// So long a version that was read while it was up is not read again: the first looks follow one
/// another quickly, and only a restart changes it.
const VERSION_LASTS: Duration = Duration::from_secs(1);

/// What one look saw.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Sight {
    /// No connection, or the appliance says that it is starting: a restart.
    Down(String),
    /// No good answer of another kind: a restart only when it lasts.
    Odd(String),
    /// Ready and logged in, with this version.
    Up(FirmwareVersion),
    /// It answers, but we cannot log in.
    Blocked(ApplianceError),
}

/// Takes looks and remembers what one look alone cannot tell.
#[derive(Debug, Default)]
pub(crate) struct Watcher {
    odd_since: Option<Duration>,
    journalled: Option<Duration>,
    /// The version that was read last, and when.
    version: Option<(Duration, FirmwareVersion)>,
}

impl Watcher {
    /// Looks once. Records a restart when one shows, and now and then that somebody was watching.
    pub(crate) async fn look(&mut self, context: &mut Context) -> Sight {
        let sight = self.see(context).await;
        self.journal(context, &sight);
        let now = context.monotonic();
        let restart = match &sight {
            Sight::Down(saw) => Some(saw.clone()),
            Sight::Odd(saw) => {
                let since = *self.odd_since.get_or_insert(now);
                (now - since >= SILENCE).then(|| format!("no good answer for five seconds: {saw}"))
            }
            Sight::Up(_) | Sight::Blocked(_) => {
                self.odd_since = None;
                None
            }
        };
        if !matches!(sight, Sight::Up(_)) {
            self.version = None;
        }
        let unseen = context.run.upgrade.as_ref().is_some_and(|u| u.restart_at.is_none());
        if let Some(saw) = restart.filter(|_| unseen) {
            context.record(ApplianceChange::RestartSeen { saw });
        }
        sight
    }

    async fn see(&mut self, context: &Context) -> Sight {
        match context.port.setup().await {
            Ok(SetupStatus::Completed) => {}
            Ok(status @ SetupStatus::Booting) => return Sight::Down(not_ready(&status)),
            Ok(other) => return Sight::Odd(not_ready(&other)),
            Err(error) => return silent(error),
        }
        let now = context.monotonic();
        if let Some((read, version)) = &self.version
            && now - *read < VERSION_LASTS
        {
            return Sight::Up(version.clone());
        }
        match context.port.info().await {
            Ok(info) => {
                self.version = Some((now, info.firmware_version.clone()));
                Sight::Up(info.firmware_version)
            }
            Err(error) => match error.class {
                FailureClass::CredentialsRefused
                | FailureClass::CredentialsWithheld
                | FailureClass::CredentialsUnavailable
                | FailureClass::Refused => Sight::Blocked(error),
                FailureClass::Unreachable
                | FailureClass::Transient
                | FailureClass::NotAnApi
                | FailureClass::LoggedOut
                | FailureClass::IdentityNotProven
                | FailureClass::TestFailed
                | FailureClass::Local
                | FailureClass::Malformed
                | FailureClass::OutcomeUnknown => silent(error),
            },
        }
    }

    fn journal(&mut self, context: &mut Context, sight: &Sight) {
        let Some(upgrade) = &context.run.upgrade else { return };
        if upgrade.restart_at.is_some() {
            return;
        }
        let every = JOURNALLED_EVERY.min(unsigned(context.plan.timeouts.blind) / 3);
        let now = context.monotonic();
        if self.journalled.is_none_or(|last| now - last >= every) {
            self.journalled = Some(now);
            let saw = match sight {
                Sight::Down(saw) | Sight::Odd(saw) => saw.clone(),
                Sight::Up(version) => format!("it answers, last read as running {version}"),
                Sight::Blocked(error) => error.to_string(),
            };
            context.record(ApplianceChange::Looked { saw });
        }
    }

    /// The version is known and cannot change before the restart that is watched for.
    pub(crate) fn knows(&mut self, context: &Context) {
        let known = context.run.version.clone();
        self.version = known.map(|version| (context.monotonic(), version));
    }

    /// The pause before the next look while no restart was seen: never so long that a restart
    /// could pass unseen.
    pub(crate) fn pause(&self, context: &Context, elapsed: Duration) -> Duration {
        let longest = pacing::LONGEST.min(unsigned(context.plan.timeouts.blind) / 2);
        let step = model::event::Step::Activate;
        let known = context.shared.history.shortest(step, &context.appliance.site);
        let pause = match known {
            Some(shortest) if elapsed < shortest.saturating_mul(2) => {
                pacing::by_history(elapsed, shortest)
            }
            _ => pacing::by_elapsed(elapsed),
        };
        let pause = if self.odd_since.is_some() { pause.min(SILENCE / 2) } else { pause };
        pause.min(longest).max(Duration::from_millis(50))
    }
}

/// A certificate that proves nothing is no good answer either: nothing is sent to it, and it is
/// looked at again (sps-api.md, open uncertainty 9).
fn silent(error: ApplianceError) -> Sight {
    if error.class == FailureClass::Unreachable {
        Sight::Down(error.to_string())
    } else {
        Sight::Odd(error.to_string())
    }
}
