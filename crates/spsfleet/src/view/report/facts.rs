//! The facts of a report: everything that any of its forms shows, and nothing else. As JSON they
//! are the document of `report --format json`.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use model::event::{SkipReason, StagedHow};
use model::observed::HealthCheck;
use model::run::{Phase, RolloutState};
use model::{
    ApplianceName, ClusterName, FirmwareVersion, RolloutId, RolloutName, Sha256Hex, SiteName,
    SlotKey, WaveName,
};
use serde::{Serialize, Serializer};

/// What a rollout came to.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct ReportFacts {
    /// Always 1.
    pub(crate) schema: u32,
    /// One line that says it all.
    pub(crate) verdict: Verdict,
    /// The rollout.
    pub(crate) rollout: RolloutName,
    pub(crate) id: RolloutId,
    /// Where it stands.
    pub(crate) state: RolloutState,
    /// The plan that counts in the end.
    pub(crate) plan_digest: Sha256Hex,
    /// Who accepted which plan: the first, and those that replaced the one before.
    pub(crate) accepted: Vec<Accepted>,
    /// What was installed, in this order; the last is the target.
    pub(crate) firmware: Vec<FirmwareFacts>,
    /// The message that went with each upgrade call.
    pub(crate) message: String,
    /// The first event's time.
    pub(crate) began: Timestamp,
    /// The last event's time.
    pub(crate) last: Timestamp,
    /// What is not over is measured up to then.
    pub(crate) as_of: Timestamp,
    pub(crate) counts: Counts,
    pub(crate) waves: Vec<WaveFacts>,
    pub(crate) clusters: Vec<ClusterFacts>,
    /// In the order in which they were to be taken.
    pub(crate) appliances: Vec<ApplianceFacts>,
    /// Who is not at the target.
    pub(crate) not_upgraded: Vec<ApplianceName>,
    /// What a person should look at.
    pub(crate) alarms: Vec<Notice>,
    /// When appliances waited for a person or for their turn after a fault, and why.
    pub(crate) holds: Vec<HoldFacts>,
    pub(crate) decisions: Vec<DecisionFacts>,
    pub(crate) debts: Vec<DebtFacts>,
    pub(crate) hooks: Vec<HookFacts>,
    /// What the plan warned of.
    pub(crate) warnings: Vec<Notice>,
    /// When appliances might go down, by site; a site that is not here was always open.
    pub(crate) sites: BTreeMap<SiteName, SiteFacts>,
    /// What happened, as a person who watches sees it.
    pub(crate) events: Vec<EventFacts>,
}

/// `sps-7.5.1 finished: 10 of 12 appliances on 7.5.1, 2 failed in 28s`, in its parts.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Verdict {
    /// The whole line.
    pub(crate) text: String,
    /// `finished`
    pub(crate) word: &'static str,
    /// What stands behind the colon.
    #[serde(skip)]
    pub(crate) rest: String,
    /// Whether it went well: `Some(false)` is bad, `None` is not over.
    pub(crate) good: Option<bool>,
}

/// Who accepted which plan.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Accepted {
    pub(crate) by: String,
    pub(crate) uid: u32,
    pub(crate) at: Timestamp,
    pub(crate) plan_digest: Sha256Hex,
    /// In words.
    pub(crate) text: String,
}

/// One version and where it came from.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct FirmwareFacts {
    pub(crate) version: FirmwareVersion,
    pub(crate) sha256: Sha256Hex,
    pub(crate) fetch: Option<String>,
    pub(crate) upload: Option<String>,
}

/// How many.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Counts {
    pub(crate) appliances: usize,
    pub(crate) upgraded: usize,
    pub(crate) failed: usize,
    /// Those that wait for a person.
    pub(crate) waiting_for_person: usize,
    pub(crate) skipped: usize,
    /// Those that are down by our act at the time of the report.
    pub(crate) down_now: usize,
    /// All states, by name.
    pub(crate) by_state: BTreeMap<&'static str, usize>,
    pub(crate) sessions_cut: u64,
    /// How many went down, and for how long.
    pub(crate) went_down: usize,
    #[serde(rename = "longest_down_seconds", serialize_with = "seconds")]
    pub(crate) longest_down: SignedDuration,
    #[serde(rename = "mean_down_seconds", serialize_with = "seconds")]
    pub(crate) mean_down: SignedDuration,
    /// Failures that count towards the budget, and the number that breaches it.
    pub(crate) budget_used: usize,
    pub(crate) budget: Option<usize>,
    #[serde(rename = "took_seconds", serialize_with = "seconds")]
    pub(crate) took: SignedDuration,
}

/// From when to when; open without an end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub(crate) struct Span {
    pub(crate) from: Timestamp,
    pub(crate) to: Option<Timestamp>,
}

impl Span {
    /// Its length, up to `now` when it is open.
    pub(crate) fn length(&self, now: Timestamp) -> SignedDuration {
        self.to.unwrap_or(now).duration_since(self.from).max(SignedDuration::ZERO)
    }
}

/// One wave.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct WaveFacts {
    pub(crate) name: WaveName,
    pub(crate) state: &'static str,
    pub(crate) appliances: usize,
    pub(crate) upgraded: usize,
    pub(crate) failed: usize,
    pub(crate) started: Option<Timestamp>,
    pub(crate) ended: Option<Timestamp>,
    /// How long it was to be watched afterwards.
    #[serde(rename = "soak_seconds", serialize_with = "seconds")]
    pub(crate) soak: SignedDuration,
    pub(crate) soak_until: Option<Timestamp>,
    /// Whether a person had to let the next wave start.
    pub(crate) needs_approval: bool,
    pub(crate) approval: Option<ApprovalFacts>,
}

/// Who let the next wave start.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct ApprovalFacts {
    pub(crate) by: String,
    pub(crate) uid: u32,
    pub(crate) reason: String,
    pub(crate) at: Timestamp,
}

/// One central cluster.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct ClusterFacts {
    pub(crate) name: ClusterName,
    pub(crate) state: &'static str,
    pub(crate) wave: Option<WaveName>,
    pub(crate) members: Vec<ApplianceName>,
    pub(crate) started: Option<Timestamp>,
    pub(crate) finished: Option<Timestamp>,
    /// For how long minions did not audit.
    #[serde(rename = "audit_gap_seconds", serialize_with = "seconds")]
    pub(crate) audit_gap: SignedDuration,
    /// Whether they still do not.
    pub(crate) gap_open: bool,
    pub(crate) gaps: Vec<Span>,
    /// Who keeps it half upgraded.
    pub(crate) half_upgraded: Vec<ApplianceName>,
}

/// What an appliance was at, as a timeline shows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Doing {
    /// It is read, or the image is on its way.
    Staging,
    /// It tests the firmware.
    Testing,
    /// It waits for its turn, for sessions, for a window.
    Waiting,
    /// It waits for a person.
    Person,
    /// It is down by our act.
    Down,
    /// It does not answer, and not by our act.
    Silent,
    /// It is back and looked over.
    Verifying,
    /// It has failed.
    Failed,
}

/// One appliance.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct ApplianceFacts {
    pub(crate) name: ApplianceName,
    pub(crate) site: SiteName,
    pub(crate) wave: WaveName,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) cluster: Option<ClusterName>,
    /// Whether it is an HA pair.
    pub(crate) pair: bool,
    pub(crate) state: Phase,
    /// What it ran when it was first read.
    pub(crate) version_before: Option<FirmwareVersion>,
    /// What it runs; `None` when nobody knows, as of one that went down and has not come back.
    pub(crate) version_after: Option<FirmwareVersion>,
    pub(crate) staged: Vec<StagedFacts>,
    /// From the upgrade call until it was back.
    pub(crate) down: Vec<Span>,
    /// In all; up to the time of the report when it is still down.
    #[serde(rename = "down_seconds", serialize_with = "seconds")]
    pub(crate) downtime: SignedDuration,
    pub(crate) still_down: bool,
    /// While the second node of a pair was off.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) secondary_off: Vec<Span>,
    /// From its first event until it was through.
    pub(crate) began: Option<Timestamp>,
    pub(crate) ended: Option<Timestamp>,
    #[serde(rename = "took_seconds", serialize_with = "maybe_seconds")]
    pub(crate) took: Option<SignedDuration>,
    pub(crate) sessions_cut: Option<u64>,
    /// Why it failed, waits or was left out.
    pub(crate) reason: Option<ReasonFacts>,
    /// Its health before and after.
    pub(crate) checks: Vec<HealthCheck>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) person_steps: Vec<PersonStepFacts>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) bundle: Option<BundleFacts>,
    /// What we made on it and could not remove.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) left_behind: Vec<String>,
    /// How often a person had it tried again.
    pub(crate) retries: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) skipped: Option<SkipReason>,
    /// What it was at, in order.
    pub(crate) phases: Vec<PhaseFacts>,
}

/// How an image came into a slot.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct StagedFacts {
    pub(crate) version: FirmwareVersion,
    pub(crate) slot: SlotKey,
    pub(crate) how: StagedHow,
    pub(crate) at: Timestamp,
}

/// Why an appliance is where it is.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct ReasonFacts {
    /// In which step it failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) step: Option<&'static str>,
    pub(crate) code: String,
    /// In the appliance's words where it gave some.
    pub(crate) text: String,
    pub(crate) until: Option<Timestamp>,
}

/// A step of an HA pair.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct PersonStepFacts {
    pub(crate) step: &'static str,
    pub(crate) at: Timestamp,
    /// Who confirmed it; absent when it was seen.
    pub(crate) by: Option<String>,
    /// The person's reason, or what was seen.
    pub(crate) text: String,
}

/// A support bundle, or why there is none.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct BundleFacts {
    pub(crate) path: Option<String>,
    pub(crate) text: String,
}

/// One bar of a timeline.
#[derive(Debug, Clone, Copy, Serialize)]
pub(crate) struct PhaseFacts {
    pub(crate) doing: Doing,
    #[serde(flatten)]
    pub(crate) span: Span,
}

/// An appliance was held.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct HoldFacts {
    pub(crate) appliance: ApplianceName,
    pub(crate) code: &'static str,
    pub(crate) text: String,
    #[serde(flatten)]
    pub(crate) span: Span,
}

/// What a person decided, and why.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct DecisionFacts {
    pub(crate) at: Timestamp,
    pub(crate) by: String,
    pub(crate) uid: u32,
    pub(crate) verb: &'static str,
    /// The whole decision in words.
    pub(crate) text: String,
    pub(crate) reason: String,
}

/// Something that was switched off and is still to be undone.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct DebtFacts {
    pub(crate) appliance: ApplianceName,
    pub(crate) text: String,
    pub(crate) since: Option<Timestamp>,
    /// Whether a person must decide.
    pub(crate) stuck: bool,
}

/// A hook and what became of it.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct HookFacts {
    pub(crate) hook: String,
    pub(crate) state: &'static str,
    pub(crate) detail: String,
    #[serde(flatten)]
    pub(crate) span: Span,
}

/// An alarm or a warning.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Notice {
    pub(crate) code: String,
    pub(crate) text: String,
}

/// When appliances of a site might go down.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct SiteFacts {
    pub(crate) time_zone: String,
    /// Windows, in the time of the rollout.
    pub(crate) open: Vec<Span>,
    pub(crate) freezes: Vec<FreezeFacts>,
    /// While a person had lifted the freezes.
    pub(crate) lifted: Vec<Span>,
}

/// A freeze.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct FreezeFacts {
    pub(crate) reason: Option<String>,
    #[serde(flatten)]
    pub(crate) span: Span,
}

/// Something that happened.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct EventFacts {
    pub(crate) at: Timestamp,
    pub(crate) appliance: Option<ApplianceName>,
    pub(crate) text: String,
    /// `good`, `warn`, `bad`, or empty.
    pub(crate) level: &'static str,
}

fn seconds<S: Serializer>(duration: &SignedDuration, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_i64(duration.as_secs())
}

fn maybe_seconds<S: Serializer>(
    duration: &Option<SignedDuration>,
    to: S,
) -> Result<S::Ok, S::Error> {
    match duration {
        Some(duration) => seconds(duration, to),
        None => to.serialize_none(),
    }
}
