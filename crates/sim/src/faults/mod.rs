//! What goes wrong, from a file or from code.
//!
//! A plan has two lists. `faults` hit single requests on the wire, `behaviours` are about what an
//! appliance does. The same plan works over HTTPS and in-process. As YAML (JSON has the same shape):
//!
//! ```yaml
//! seed: 7                                  # for `probability`; 0
//! faults:
//!   - appliance: ams-1                     # a name, or "*" for each (counted for each by itself); "*"
//!     on: POST /api/firmware/upgrade       # method and path; "*" is any, {key} is any one segment
//!     nth: 1                               # the first such request that is hit; 1
//!     times: 1                             # so many are hit; 1, or without end with `probability`
//!     fault: reply_lost                    # see `Fault`
//!   - on: GET *
//!     probability: 0.02
//!     fault: { status: { code: 503 } }
//!   - { on: GET /api/firmware/slots, forever: true, fault: { delay: { for: 2s } } }
//! behaviours:
//!   - { appliance: ams-2, does: { revert: {} } }
//!   - { appliance: nyc-1, does: { test_fails: { summary: "HA check started\nHA check failed" } } }
//!   - appliance: nyc-2
//!     does: { other_admin: { when: { after: POST /api/firmware/test }, act: { delete_slot: { slot: "2" } } } }
//!   - { appliance: ams-1, does: { sessions: { open: 12, until: 40m } } }       # drain: they end, or never
//!   - { appliance: ams-1, does: { falls_ill: { after: 10m, with: { corrupted: {} } } } }       # soak
//!   - { appliance: us-2, does: { cluster_unseen: { after_restart: true } } }
//! ```
//!
//! Requests to the power service of an appliance's hardware are met as `POWER /NODE/ACT`, NODE being
//! `primary` or `secondary` and ACT `state`, `on`, `off`, `force_off` or `restart`:
//!
//! ```yaml
//! faults:
//!   - { appliance: ams-ha, on: POWER /secondary/off, fault: reply_lost }
//!   - { on: "POWER /secondary/{act}", fault: { status: { code: 503 } } }
//! behaviours:
//!   - { appliance: ams-ha, does: { power_ignored: { act: off } } }         # accepted, never done
//!   - { appliance: ams-ha, does: { switch_is_primary: {} } }
//! ```

mod active;
mod behaviour;
mod pattern;

use jiff::SignedDuration;
use serde::{Deserialize, Serialize};

pub(crate) use active::ActiveFaults;
pub use behaviour::{AdminAct, Behaviour, CertificateWhen, Illness, When};
pub(crate) use pattern::fits;
pub use pattern::{InvalidPattern, Pattern};

/// All that goes wrong in a simulated fleet.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct FaultPlan {
    /// Decides where `probability` strikes.
    pub seed: u64,
    /// Faults of single requests.
    pub faults: Vec<FaultRule>,
    /// What appliances do.
    pub behaviours: Vec<BehaviourRule>,
}

/// A fault and the requests that meet it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FaultRule {
    /// The appliance's name, or `*`.
    #[serde(default = "any")]
    pub appliance: String,
    /// The requests.
    pub on: Pattern,
    /// Which of them is the first that is hit, counted from 1.
    #[serde(default = "one")]
    pub nth: u32,
    /// How many are hit; when absent 1, or all when a probability is given.
    #[serde(default)]
    pub times: Option<u32>,
    /// All from the `nth` on are hit.
    #[serde(default)]
    pub forever: bool,
    /// How likely each is hit, 0 to 1; always when absent.
    #[serde(default)]
    pub probability: Option<f64>,
    /// What happens.
    pub fault: Fault,
}

impl FaultRule {
    /// One fault, at the first such request of every appliance.
    ///
    /// # Panics
    /// When `on` is no pattern; plans in code are written by the test's author.
    #[must_use]
    #[expect(clippy::expect_used, reason = "for plans in code, as documented")]
    pub fn once(on: &str, fault: Fault) -> Self {
        Self {
            appliance: any(),
            on: Pattern::read(on).expect("a pattern such as `GET /api/info`"),
            nth: 1,
            times: None,
            forever: false,
            probability: None,
            fault,
        }
    }

    /// The same for one appliance only.
    #[must_use]
    pub fn at(mut self, appliance: &str) -> Self {
        appliance.clone_into(&mut self.appliance);
        self
    }

    /// The same for so many requests in a row.
    #[must_use]
    pub fn times(mut self, times: u32) -> Self {
        self.times = Some(times);
        self
    }

    /// The same from the `nth` such request on.
    #[must_use]
    pub fn from_nth(mut self, nth: u32) -> Self {
        self.nth = nth;
        self
    }
}

fn any() -> String {
    "*".to_owned()
}

fn one() -> u32 {
    1
}

fn ok() -> u16 {
    200
}

/// What happens to a request. *Acts* says whether the appliance does what was asked before.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Fault {
    /// An HTTP status with the API's error envelope when `type` is given, else with a plain page.
    Status {
        /// The HTTP status.
        code: u16,
        /// `error.type`.
        #[serde(default)]
        r#type: Option<String>,
        /// `error.message`.
        #[serde(default)]
        message: Option<String>,
        /// `Retry-After`, in seconds.
        #[serde(default)]
        retry_after: Option<u64>,
        /// Whether the appliance acted all the same.
        #[serde(default)]
        acts: bool,
    },
    /// The connection is reset; nothing was done.
    Reset,
    /// The appliance acts, then the connection is closed without an answer.
    ReplyLost,
    /// Silence for so long, then the connection is closed.
    Hang {
        /// How long.
        r#for: SignedDuration,
        /// Whether the appliance acted.
        #[serde(default)]
        acts: bool,
    },
    /// The right answer, so much later.
    Delay {
        /// How much.
        r#for: SignedDuration,
    },
    /// The right answer, in drops.
    Slow {
        /// So many bytes of it each second.
        bytes_per_second: u64,
    },
    /// The right answer, cut off after so many bytes of its body.
    Truncate {
        /// How many.
        after: usize,
    },
    /// A page in HTML instead of the answer.
    Html {
        /// The HTTP status.
        #[serde(default = "ok")]
        code: u16,
        /// Whether the appliance acted.
        #[serde(default)]
        acts: bool,
    },
    /// Any body at all, as JSON.
    Body {
        /// The HTTP status.
        #[serde(default = "ok")]
        code: u16,
        /// The body.
        text: String,
        /// Whether the appliance acted.
        #[serde(default)]
        acts: bool,
    },
    /// What is answered while booting, though it is not.
    Booting,
}

impl Fault {
    /// A word for the ledger.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Status { .. } => "status",
            Self::Reset => "reset",
            Self::ReplyLost => "reply_lost",
            Self::Hang { .. } => "hang",
            Self::Delay { .. } => "delay",
            Self::Slow { .. } => "slow",
            Self::Truncate { .. } => "truncate",
            Self::Html { .. } => "html",
            Self::Body { .. } => "body",
            Self::Booting => "booting",
        }
    }

    /// Whether the appliance does what was asked.
    #[must_use]
    pub fn acts(&self) -> bool {
        match self {
            Self::Status { acts, .. }
            | Self::Hang { acts, .. }
            | Self::Html { acts, .. }
            | Self::Body { acts, .. } => *acts,
            Self::Reset | Self::Booting => false,
            Self::ReplyLost | Self::Delay { .. } | Self::Slow { .. } | Self::Truncate { .. } => {
                true
            }
        }
    }

    /// A plain status such as 503, before anything was done.
    #[must_use]
    pub fn status(code: u16) -> Self {
        Self::Status { code, r#type: None, message: None, retry_after: None, acts: false }
    }
}

/// A behaviour and who shows it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BehaviourRule {
    /// The appliance's name, or `*`.
    #[serde(default = "any")]
    pub appliance: String,
    /// What it does.
    pub does: Behaviour,
}

impl FaultPlan {
    /// A plan with one fault more.
    #[must_use]
    pub fn with(mut self, rule: FaultRule) -> Self {
        self.faults.push(rule);
        self
    }

    /// A plan in which an appliance (or `*`) also does this.
    #[must_use]
    pub fn where_(mut self, appliance: &str, does: Behaviour) -> Self {
        self.behaviours.push(BehaviourRule { appliance: appliance.to_owned(), does });
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plan_is_read_with_its_defaults_and_unknown_keys_are_errors() {
        let plan: FaultPlan = serde_json::from_str(
            r#"{"faults": [
                 {"on": "POST /api/firmware/upgrade", "fault": "reply_lost"},
                 {"appliance": "a", "on": "GET *", "nth": 3, "probability": 0.5,
                  "fault": {"status": {"code": 503}}},
                 {"on": "GET /api/info", "fault": {"hang": {"for": "1m 30s"}}}],
                "behaviours": [
                 {"appliance": "b", "does": {"revert": {}}},
                 {"does": {"sessions": {"open": 12, "until": "40m"}}},
                 {"does": {"falls_ill": {"after": "10m", "with": {"corrupted": {}}}}},
                 {"does": {"cluster_unseen": {}}},
                 {"does": {"power_ignored": {"act": "force_off"}}},
                 {"does": {"other_admin": {"when": {"at": "1m"},
                                            "act": {"hostname": {"hostname": "x"}}}}},
                 {"does": {"other_admin": {"when": {"after": "POST /api/firmware/test"},
                                            "act": {"delete_slot": {"slot": "2"}}}}}]}"#,
        )
        .expect("a plan");
        assert_eq!(plan.faults[0], FaultRule::once("POST /api/firmware/upgrade", Fault::ReplyLost));
        assert_eq!(plan.faults[1].fault, Fault::status(503));
        assert_eq!(
            plan.faults[2].fault,
            Fault::Hang { r#for: SignedDuration::from_secs(90), acts: false }
        );
        let off = Behaviour::PowerIgnored { act: Some(crate::PowerAct::ForceOff), times: 1 };
        assert!(plan.behaviours.iter().any(|rule| rule.does == off));
        for wrong in [
            r#"{"fault": []}"#,
            r#"{"faults": [{"on": "GET *", "fault": {"hang": {"for": "1s", "x": 1}}}]}"#,
            r#"{"faults": [{"on": "GET *", "fault": "explode"}]}"#,
            r#"{"faults": [{"on": "api", "fault": "reset"}]}"#,
            r#"{"behaviours": [{"does": {"revert": {"twice": 1}}}]}"#,
            r#"{"behaviours": [{"does": {"power_ignored": {"act": "explode"}}}]}"#,
        ] {
            assert!(serde_json::from_str::<FaultPlan>(wrong).is_err(), "{wrong}");
        }
        let again = serde_json::to_string(&plan).expect("JSON");
        assert_eq!(serde_json::from_str::<FaultPlan>(&again).expect("a plan"), plan);
    }
}
