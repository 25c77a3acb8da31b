//! What was switched off for the rollout and is still to be undone (contract: semantics.md,
//! "Debts").

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{ApplianceRun, Phase, Run};
use crate::names::ApplianceName;
use crate::plan::Plan;

/// Something that was switched off, with its undo and the undo's condition.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Debt {
    /// Whose.
    pub appliance: ApplianceName,
    /// What undoes it.
    pub undo: String,
    /// When it may be undone: before, undoing it does harm.
    pub condition: String,
    /// Since when.
    pub since: Timestamp,
    /// Why the condition can no longer come true by itself: a person decides.
    pub stuck: Option<String>,
}

impl Run {
    /// All debts, by appliance.
    #[must_use]
    pub fn debts(&self) -> Vec<Debt> {
        let debt = |(name, run): (&ApplianceName, &ApplianceRun)| debt_of(name, run, &self.plan);
        self.appliances.iter().filter_map(debt).collect()
    }
}

fn debt_of(name: &ApplianceName, run: &ApplianceRun, plan: &Plan) -> Option<Debt> {
    let since = run.pair.off_since()?;
    let target = &plan.hop(run.hop).version;
    let stuck = match run.phase {
        Phase::Failed | Phase::Skipped => Some(format!(
            "the primary is {} and runs {}, the secondary holds {target}: switched on now it would break the pair; bring the primary to {target}, or the secondary back, then `confirm` secondary-on",
            run.phase.name(),
            run.version
                .as_ref()
                .map_or_else(|| "an unknown version".to_owned(), ToString::to_string)
        )),
        _ => None,
    };
    Some(Debt {
        appliance: name.clone(),
        undo: "switch the secondary node on".to_owned(),
        condition: format!("the primary is up and verified on {target}, which the secondary holds"),
        since,
        stuck,
    })
}
