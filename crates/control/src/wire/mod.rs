//! What goes over the socket. Fields are added, never renamed; `schema` says by which rules.

mod clusters;
mod make;
mod status;

use model::RolloutId;
use model::decision::Decision;
use model::event::Seq;
use serde::{Deserialize, Serialize};

pub use status::{
    ApplianceView, ApprovalView, BudgetView, ClusterState, ClusterView, DebtView,
    FreezeOverrideView, HopView, NoticeView, PairStepView, PairView, ReasonView, RolloutView,
    StatusView, WaveState, WaveView,
};

/// The rules that these types follow.
pub const SCHEMA: u32 = 1;

/// The most that a request may say, in bytes.
pub const BODY_LIMIT: usize = 1024 * 1024;

fn schema() -> u32 {
    SCHEMA
}

/// A person's decision about a rollout. Unknown fields are refused: a newer client may mean
/// something by them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DecisionRequest {
    /// [`SCHEMA`].
    #[serde(default = "schema")]
    pub schema: u32,
    /// What is decided.
    pub decision: Decision,
    /// Why; goes into the journal.
    #[serde(default)]
    pub reason: String,
    /// The same key again is the same decision: it is answered, not taken twice.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
}

impl DecisionRequest {
    /// A decision with its reason and its key.
    #[must_use]
    pub fn new(decision: Decision, reason: &str, key: &str) -> Self {
        let (reason, key) = (reason.to_owned(), Some(key.to_owned()));
        Self { schema: SCHEMA, decision, reason, key }
    }
}

/// A decision that is in the journal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DecisionReply {
    /// [`SCHEMA`].
    pub schema: u32,
    /// The rollout that was meant.
    pub rollout: RolloutId,
    /// The event that records it.
    pub seq: Seq,
    /// Whether it was taken before, by a request with the same key.
    pub repeated: bool,
}

/// A request that was not done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ErrorReply {
    /// [`SCHEMA`].
    pub schema: u32,
    /// Why.
    pub error: ErrorBody,
}

/// Why a request was not done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ErrorBody {
    /// A stable word, such as `not-found`.
    pub code: String,
    /// For people.
    pub message: String,
}

impl ErrorReply {
    /// A refusal with its word and text.
    #[must_use]
    pub fn new(code: &str, message: &str) -> Self {
        let error = ErrorBody { code: code.to_owned(), message: message.to_owned() };
        Self { schema: SCHEMA, error }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::decision::PersonStep;
    use model::{ApplianceName, SiteName, WaveName};

    #[test]
    fn every_decision_has_its_words() {
        let until = "2026-12-20T06:00:00Z".parse().expect("a time");
        let site = SiteName::new("ams").expect("a name");
        let wave = WaveName::new("canary").expect("a name");
        let appliance = ApplianceName::new("ams-ha").expect("a name");
        for (decision, text) in [
            (Decision::Pause { all: false, now: true }, r#"{"pause":{"all":false,"now":true}}"#),
            (Decision::AbortNow, r#""abort-now""#),
            (Decision::Approve { wave }, r#"{"approve":{"wave":"canary"}}"#),
            (
                Decision::Confirm { appliance, step: PersonStep::SecondaryOff },
                r#"{"confirm":{"appliance":"ams-ha","step":"secondary-off"}}"#,
            ),
            (
                Decision::OverrideFreeze { site, until },
                r#"{"override-freeze":{"site":"ams","until":"2026-12-20T06:00:00Z"}}"#,
            ),
        ] {
            let request: DecisionRequest =
                serde_json::from_str(&format!(r#"{{"decision":{text}}}"#)).expect(text);
            assert_eq!(request.decision, decision);
            assert_eq!(serde_json::to_string(&decision).expect("json"), text);
        }
    }

    #[test]
    fn a_request_may_leave_out_all_but_the_decision_and_may_say_nothing_unknown() {
        let request: DecisionRequest =
            serde_json::from_str(r#"{"decision":"resume"}"#).expect("enough");
        assert_eq!((request.schema, request.decision, request.key), (1, Decision::Resume, None));
        let unknown = r#"{"decision":"abort","now":true}"#;
        assert!(serde_json::from_str::<DecisionRequest>(unknown).is_err());
        let full = DecisionRequest::new(Decision::Pause { all: true, now: false }, "lunch", "k-1");
        assert_eq!(
            serde_json::to_string(&full).expect("json"),
            r#"{"schema":1,"decision":{"pause":{"all":true}},"reason":"lunch","key":"k-1"}"#
        );
    }
}
