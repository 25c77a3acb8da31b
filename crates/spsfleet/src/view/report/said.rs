//! Words that every form of the report shares.

use jiff::Timestamp;
use model::event::StagedHow;
use model::observed::HealthCheck;

use super::facts::{
    ApplianceFacts, ClusterFacts, HookFacts, PersonStepFacts, ReportFacts, Span, StagedFacts,
    WaveFacts,
};
use crate::view::words;

/// `7.5.1`, or `unknown` of one that went down and has not come back.
pub(super) fn after(member: &ApplianceFacts) -> String {
    match &member.version_after {
        Some(version) => version.to_string(),
        None if member.still_down => "unknown".to_owned(),
        None => "-".to_owned(),
    }
}

/// What it ran before.
pub(super) fn before(member: &ApplianceFacts) -> String {
    member.version_before.as_ref().map_or_else(|| "-".to_owned(), ToString::to_string)
}

/// How long it was down: `4m 2s`, `4m 2s, still down`, or `-`.
pub(super) fn downtime(member: &ApplianceFacts) -> String {
    match (member.down.is_empty(), member.still_down) {
        (true, _) => "-".to_owned(),
        (false, false) => words::duration(member.downtime),
        (false, true) => format!("{}, still down", words::duration(member.downtime)),
    }
}

/// How long everything took.
pub(super) fn took(member: &ApplianceFacts) -> String {
    member.took.map_or_else(|| "-".to_owned(), words::duration)
}

/// A moment in UTC without its zone: `2026-11-24 09:02:35`.
pub(super) fn utc(at: Timestamp) -> String {
    at.strftime("%Y-%m-%d %H:%M:%S").to_string()
}

/// The same, or `-`.
pub(super) fn maybe_utc(at: Option<Timestamp>) -> String {
    at.map_or_else(|| "-".to_owned(), utc)
}

/// From when to when, the day only once: `2026-11-24 09:02:35 to 09:07:11`.
pub(super) fn span(span: &Span) -> String {
    match span.to {
        None => format!("since {}", utc(span.from)),
        Some(to) => {
            let same = span.from.strftime("%F").to_string() == to.strftime("%F").to_string();
            let form = if same { "%H:%M:%S" } else { "%Y-%m-%d %H:%M:%S" };
            format!("{} to {}", utc(span.from), to.strftime(form))
        }
    }
}

/// `fetched into slot 2`.
pub(super) fn staged(staged: &StagedFacts) -> String {
    let (slot, version) = (&staged.slot, &staged.version);
    match staged.how {
        StagedHow::Adopted => format!("{version} was in slot {slot} before"),
        StagedHow::Fetched => format!("{version} fetched into slot {slot}"),
        StagedHow::FetchAdopted => format!("{version} fetched into slot {slot} by somebody else"),
        StagedHow::Uploaded => format!("{version} uploaded into slot {slot}"),
    }
}

/// How each image came into its slot.
pub(super) fn all_staged(member: &ApplianceFacts) -> String {
    member.staged.iter().map(staged).collect::<Vec<_>>().join("; ")
}

/// Whether and for how long a cluster did not audit.
pub(super) fn gap(cluster: &ClusterFacts) -> String {
    let gap = words::duration(cluster.audit_gap);
    match (cluster.gap_open, cluster.audit_gap.is_zero()) {
        (true, _) => format!("minions do not audit: {gap} so far"),
        (false, false) => format!("did not audit for {gap}"),
        (false, true) => "did not stop auditing".to_owned(),
    }
}

/// When the next wave might start.
pub(super) fn gate(wave: &WaveFacts) -> String {
    let mut parts = Vec::new();
    if !wave.soak.is_zero() {
        let until = wave.soak_until.map_or_else(String::new, |at| format!(", until {}", utc(at)));
        parts.push(format!("watched for {}{until}", words::duration(wave.soak)));
    }
    match &wave.approval {
        Some(approval) => {
            let reason = quoted(&approval.reason);
            parts.push(format!("approved by {} at {}{reason}", approval.by, utc(approval.at)));
        }
        None if wave.needs_approval => parts.push("not approved".to_owned()),
        None => {}
    }
    parts.join("; ")
}

/// ` (because)`, or nothing.
pub(super) fn quoted(reason: &str) -> String {
    if reason.is_empty() { String::new() } else { format!(" ({reason})") }
}

/// `secondary-off confirmed by ops at …`.
pub(super) fn person(step: &PersonStepFacts) -> String {
    let at = utc(step.at);
    match &step.by {
        Some(by) => format!("{} confirmed by {by} at {at}{}", step.step, quoted(&step.text)),
        None => format!("{} seen at {at}{}", step.step, quoted(&step.text)),
    }
}

/// The plans that were accepted and what was decided, in order, each in words.
pub(super) fn decisions(facts: &ReportFacts) -> Vec<(Timestamp, &str)> {
    let plans = facts.accepted.iter().map(|plan| (plan.at, plan.text.as_str()));
    let decided = facts.decisions.iter().map(|one| (one.at, one.text.as_str()));
    let mut all: Vec<_> = plans.chain(decided).collect();
    all.sort_by_key(|(at, _)| *at);
    all
}

/// A hook that did not end well.
pub(super) fn hook(hook: &HookFacts) -> String {
    match hook.detail.as_str() {
        "" => format!("{} {}", hook.hook, hook.state),
        detail => format!("{} {}: {detail}", hook.hook, hook.state),
    }
}

/// Who was checked, how many are as good as before, who is worse, and what changed.
pub(super) struct Health {
    /// How many were checked.
    pub(super) checked: usize,
    /// `disk 41 % -> 96 %`, with whose it is.
    pub(super) worse: Vec<String>,
    /// The same of what is good still.
    pub(super) changed: Vec<String>,
}

/// Everybody's checks.
pub(super) fn health(facts: &ReportFacts) -> Health {
    let checked = || facts.appliances.iter().filter(|member| !member.checks.is_empty());
    let of = |wanted: &dyn Fn(&HealthCheck) -> bool| -> Vec<String> {
        let each = |member: &ApplianceFacts| {
            let found: Vec<String> =
                member.checks.iter().filter(|check| wanted(check)).map(words::check).collect();
            (!found.is_empty()).then(|| format!("{} {}", member.name, found.join(", ")))
        };
        checked().filter_map(each).collect()
    };
    Health {
        checked: checked().count(),
        worse: of(&|check| !check.good),
        // The version has changed, of course.
        changed: of(&|check| check.good && check.name != "version" && check.before != check.after),
    }
}

/// The parts of the summary: what, and how much.
pub(super) fn summary(facts: &ReportFacts) -> Vec<(&'static str, String)> {
    let counts = &facts.counts;
    let mut parts = vec![
        ("upgraded", format!("{} of {}", counts.upgraded, counts.appliances)),
        ("failed", counts.failed.to_string()),
    ];
    for (what, number) in [
        ("skipped", counts.skipped),
        ("waiting for a person", counts.waiting_for_person),
        ("still down", counts.down_now),
    ] {
        if number > 0 {
            parts.push((what, number.to_string()));
        }
    }
    if counts.went_down > 0 {
        parts.push(("down, on average", words::duration(counts.mean_down)));
        parts.push(("down, at most", words::duration(counts.longest_down)));
    }
    parts.push(("sessions cut", counts.sessions_cut.to_string()));
    if let Some(limit) = counts.budget {
        parts.push(("failure budget used", format!("{} of {limit}", counts.budget_used)));
    }
    parts.push(("took", words::duration(counts.took)));
    parts
}
