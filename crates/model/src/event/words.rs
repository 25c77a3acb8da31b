//! How an image was staged, and why an appliance failed or was left out.

use serde::{Deserialize, Serialize};

use super::Step;
use crate::version::FirmwareVersion;

/// How the image came into the slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum StagedHow {
    /// It was there before we came.
    Adopted,
    /// The appliance pulled it for us.
    Fetched,
    /// The appliance pulled it for somebody else, and we waited.
    FetchAdopted,
    /// We sent it.
    Uploaded,
}

/// Why an appliance is left out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", rename_all_fields = "snake_case")]
pub enum SkipReason {
    /// It runs a newer version than the target.
    Newer {
        /// What it runs.
        version: FirmwareVersion,
    },
    /// A person left it out.
    ByPerson,
    /// The rollout was aborted before its turn.
    Aborted,
}

/// Why an appliance failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// In which step.
    pub step: Step,
    /// A stable word of the kind, such as `test-failed` or `reverted`.
    pub code: FailureCode,
    /// What, where, what to do; in the appliance's own words where it gave some.
    pub text: String,
}

/// The kind of a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FailureCode {
    /// It did not answer for `unreachable.wait`.
    Unreachable,
    /// Its health does not allow an upgrade.
    Unhealthy,
    /// No slot is empty.
    NoEmptySlot,
    /// It cannot fetch and there is nothing to upload.
    FetchNotOffered,
    /// The image did not get into a slot.
    StageFailed,
    /// What arrived is not the image that was asked for.
    WrongImage,
    /// The appliance's own test failed.
    TestFailed,
    /// A check before the disruptive call failed.
    NotReady,
    /// The appliance refused the upgrade call.
    UpgradeRefused,
    /// It came back on the old version.
    Reverted,
    /// It came back on a version that is neither the old nor the target.
    WrongVersion,
    /// It did not come back in time.
    NoReturn,
    /// It came back, but not in good health.
    VerifyFailed,
    /// A request was refused, in the appliance's own words.
    Refused,
    /// A step took too long.
    TimedOut,
}

impl FailureCode {
    /// A stable word.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Unreachable => "unreachable",
            Self::Unhealthy => "unhealthy",
            Self::NoEmptySlot => "no-empty-slot",
            Self::FetchNotOffered => "fetch-not-offered",
            Self::StageFailed => "stage-failed",
            Self::WrongImage => "wrong-image",
            Self::TestFailed => "test-failed",
            Self::NotReady => "not-ready",
            Self::UpgradeRefused => "upgrade-refused",
            Self::Reverted => "reverted",
            Self::WrongVersion => "wrong-version",
            Self::NoReturn => "no-return",
            Self::VerifyFailed => "verify-failed",
            Self::Refused => "refused",
            Self::TimedOut => "timed-out",
        }
    }
}
