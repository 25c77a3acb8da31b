//! What a journal remembers beside its events.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::{ApplianceChange, Change, RolloutChange, Step};
use crate::decision::Decision;
use crate::names::{ApplianceName, CredentialId, RolloutId, RolloutName, SiteName};
use crate::ports::Fingerprint;

/// One rollout of a journal, in brief.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RolloutHead {
    /// Its id.
    pub id: RolloutId,
    /// Its name.
    pub name: RolloutName,
    /// When its plan was accepted.
    pub accepted_at: Timestamp,
    /// Whether it has ended for good (finished or aborted, and nothing of it is open).
    pub ended: bool,
}

/// What the journal remembers of logins.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LoginMemory {
    /// Passwords that an appliance refused and nobody has said `retry` since.
    pub refused: BTreeMap<ApplianceName, Vec<(CredentialId, Fingerprint)>>,
    /// Login definitions that have worked somewhere.
    pub proven: Vec<CredentialId>,
}

impl LoginMemory {
    /// Folds one event in. Both journals use this, so that they remember alike.
    pub fn apply(&mut self, change: &Change) {
        match change {
            Change::Appliance(
                name,
                ApplianceChange::Login { credential, fingerprint, accepted },
            ) => {
                let refused = self.refused.entry(name.clone()).or_default();
                refused.retain(|(known, _)| known != credential);
                if *accepted {
                    if !self.proven.contains(credential) {
                        self.proven.push(credential.clone());
                    }
                } else {
                    refused.push((credential.clone(), *fingerprint));
                }
                if refused.is_empty() {
                    self.refused.remove(name);
                }
            }
            Change::Rollout(RolloutChange::Decided {
                decision: Decision::Retry { appliances },
                ..
            }) => {
                for name in appliances {
                    self.refused.remove(name);
                }
            }
            Change::Rollout(_) | Change::Appliance(..) => {}
        }
    }
}

/// How long a step of an appliance took, from its start to its end.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StepDuration {
    /// Which appliance.
    pub appliance: ApplianceName,
    /// Where it is.
    pub site: SiteName,
    /// Which step.
    pub step: Step,
    /// How long.
    pub took: SignedDuration,
}
