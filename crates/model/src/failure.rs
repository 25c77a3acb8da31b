//! What it means when an appliance did not do as asked.

use std::fmt;
use std::time::Duration;

/// A request to an appliance that did not end well.
///
/// `Display` gives request, host and the appliance's own words; it holds no secret and no URL
/// with user information.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApplianceError {
    /// What it means for the caller.
    pub class: FailureClass,
    /// The request, such as `POST /api/firmware/test`.
    pub request: String,
    /// The appliance's address and port.
    pub host: String,
    /// What went wrong, in a person's words; the appliance's own message where it gave one.
    pub detail: String,
    /// The HTTP status, when there was an answer.
    pub status: Option<u16>,
    /// `error.type` of the answer.
    pub error_type: Option<String>,
    /// `error.details.test_summary` of the answer.
    pub test_summary: Option<String>,
    /// `Retry-After` of the answer, clamped to 1 s to 60 s.
    pub retry_after: Option<Duration>,
}

/// The class of a failure: what the caller may do next.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum FailureClass {
    /// No connection came about (refused, timed out, no route, no such name): the request did
    /// not reach the appliance. Any request may be repeated.
    Unreachable,
    /// The connection broke, the answer was cut off, or the server said "later" (5xx, 429). Only
    /// a request that changes nothing may be repeated.
    Transient,
    /// An answer that is not of the API, such as the page shown while booting.
    NotAnApi,
    /// The session is over (401 on anything but the login). The client logs in anew by itself and
    /// repeats reads; the caller sees this only for requests that change something, which were
    /// refused before they acted.
    LoggedOut,
    /// The appliance refused the password (401 on the login). Not sent there again.
    CredentialsRefused,
    /// The password was not sent: it was refused before, or refused elsewhere too often.
    CredentialsWithheld,
    /// The password could not be read here (file, credential, command).
    CredentialsUnavailable,
    /// The certificate does not prove the appliance's identity. No credential was sent.
    IdentityNotProven,
    /// The appliance understood and refused, in its own words; it did not act.
    Refused,
    /// The firmware test failed, alone or as part of the upgrade call; the appliance did not act.
    TestFailed,
    /// Something local to us failed, such as reading the image.
    Local,
    /// An API answer that lacks what it must have.
    Malformed,
    /// A request that changes something was sent and no usable answer came: it may or may not
    /// have been done. Observe before anything else.
    OutcomeUnknown,
}

/// What a failure says of a request that changes the appliance.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Became {
    /// It did not reach the appliance, or was refused for want of a session: it may be sent again.
    NotSent,
    /// It may or may not have been done: observe first.
    Unknown,
    /// It was not done, and asking again does not help.
    Refused,
}

impl FailureClass {
    /// What became of a request that changes the appliance and failed so.
    #[must_use]
    pub fn became(self) -> Became {
        match self {
            Self::Unreachable | Self::LoggedOut => Became::NotSent,
            Self::Transient | Self::NotAnApi | Self::Malformed | Self::OutcomeUnknown => {
                Became::Unknown
            }
            Self::CredentialsRefused
            | Self::CredentialsWithheld
            | Self::CredentialsUnavailable
            | Self::IdentityNotProven
            | Self::Refused
            | Self::TestFailed
            | Self::Local => Became::Refused,
        }
    }

    /// A stable word for events and metrics.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            Self::Unreachable => "unreachable",
            Self::Transient => "transient",
            Self::NotAnApi => "not-an-api",
            Self::LoggedOut => "logged-out",
            Self::CredentialsRefused => "credentials-refused",
            Self::CredentialsWithheld => "credentials-withheld",
            Self::CredentialsUnavailable => "credentials-unavailable",
            Self::IdentityNotProven => "identity-not-proven",
            Self::Refused => "refused",
            Self::TestFailed => "test-failed",
            Self::Local => "local",
            Self::Malformed => "malformed",
            Self::OutcomeUnknown => "outcome-unknown",
        }
    }
}

impl ApplianceError {
    /// Whether a read may simply be asked again.
    #[must_use]
    pub fn is_passing(&self) -> bool {
        match self.class {
            FailureClass::Unreachable
            | FailureClass::Transient
            | FailureClass::NotAnApi
            | FailureClass::LoggedOut
            | FailureClass::OutcomeUnknown => true,
            FailureClass::CredentialsRefused
            | FailureClass::CredentialsWithheld
            | FailureClass::CredentialsUnavailable
            | FailureClass::IdentityNotProven
            | FailureClass::Refused
            | FailureClass::TestFailed
            | FailureClass::Local
            | FailureClass::Malformed => false,
        }
    }
}

impl fmt::Display for ApplianceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at {}: {}", self.request, self.host, self.detail)?;
        if let Some(summary) = &self.test_summary {
            write!(f, " ({})", summary.trim().replace('\n', "; "))?;
        }
        Ok(())
    }
}

impl std::error::Error for ApplianceError {}
