//! Short words for what steps report.

use model::event::{ActKind, ActOutcome, ApplianceChange as Is, Failure, FailureCode, Step};
use model::hold::HoldReason;
use model::names::FetchKey;
use model::observed::{Baseline, Health, Offered, Slot};

use super::plans::old;
use super::steps::Move::{self, End, Fact};

pub(crate) fn failed(step: Step, code: FailureCode) -> Move {
    Fact(Is::Failed(Failure { step, code, text: String::new() }))
}

pub(crate) fn hold(reason: HoldReason) -> Vec<Move> {
    vec![Fact(Is::Held(reason)), End]
}

pub(crate) fn outcome_of(act: ActKind, outcome: ActOutcome) -> Move {
    Fact(Is::Outcome { act, outcome, saw: String::new() })
}

pub(crate) fn done() -> ActOutcome {
    ActOutcome::Done { job: None, slot: None }
}

pub(crate) fn left_behind(key: &FetchKey) -> Move {
    Fact(Is::LeftBehind { key: key.clone(), why: String::new() })
}

pub(crate) fn changed() -> HoldReason {
    HoldReason::ChangedByOthers { detail: String::new() }
}

pub(crate) fn credentials() -> HoldReason {
    HoldReason::Credentials { detail: String::new() }
}

/// What preflight read.
pub(crate) fn baseline(slots: Vec<Slot>) -> Baseline {
    Baseline {
        version: old(),
        hostname: None,
        offered: Offered { fetch: true },
        slots,
        health: Health::default(),
        fetch_jobs: Vec::new(),
        leaf: None,
        node: None,
    }
}
