//! What happened, as a person would tell it: one line for each change that matters, with the
//! local time, and none for polling.

use std::collections::BTreeSet;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use model::decision::Decision;
use model::event::{
    Act, ActKind, ActOutcome, ApplianceChange, Change, Event, HookChange, RolloutChange,
    SkipReason, StagedHow,
};
use model::fleet::UpgradeCall;
use model::hold::HoldReason;
use model::names::{ApplianceName, RolloutId};
use model::plan::Plan;
use model::run::Run;

/// The tale so far.
#[derive(Debug)]
pub(super) struct Tale {
    text: String,
    zone: TimeZone,
    aside: BTreeSet<ApplianceName>,
    /// The last line, when it is about appliances: more may say the same.
    last: Option<Last>,
}

/// What appliances said with one voice, and where in the text that stands.
#[derive(Debug)]
struct Last {
    began: usize,
    at: Timestamp,
    names: Vec<ApplianceName>,
    said: String,
}

/// Who says the same within this time is told of together.
const TOGETHER: jiff::SignedDuration = jiff::SignedDuration::from_secs(30);

impl Tale {
    pub(super) fn new(zone: Option<&str>) -> Self {
        let zone = zone.map_or(TimeZone::UTC, |name| TimeZone::get(name).expect("a zone"));
        Self { text: String::new(), zone, aside: BTreeSet::new(), last: None }
    }

    pub(super) fn text(&self) -> &str {
        &self.text
    }

    /// A line without a time.
    pub(super) fn say(&mut self, line: &str) {
        self.last = None;
        self.text.push_str(line.trim_end());
        self.text.push('\n');
    }

    /// A line with the local time.
    pub(super) fn at(&mut self, at: Timestamp, line: &str) {
        let at = at.to_zoned_datetime(self.zone.clone());
        let zone = if self.zone == TimeZone::UTC { "" } else { " %Z" };
        let at = at.strftime(&format!("%a %d %b %H:%M:%S{zone}")).to_string();
        self.say(&format!("{at}  {line}"));
    }

    /// What an event was, when a person would tell of it; `run` is what it led to.
    pub(super) fn tell(&mut self, event: &Event, run: &Run) -> Option<String> {
        let (name, said) = match &event.change {
            Change::Rollout(change) => {
                let line = self.rollout(change, event.at, run)?;
                self.at(event.at, &line);
                return Some(line);
            }
            // One that reboots by itself is armed for a moment only.
            Change::Appliance(name, ApplianceChange::Armed)
                if run.plan.appliances.get(name)?.upgrade_call != UpgradeCall::Arms =>
            {
                return None;
            }
            Change::Appliance(name, change) => (name, self.appliance(name, change)?),
        };
        let line = format!("{name} {said}");
        let together = self
            .last
            .take()
            .filter(|last| last.said == said && event.at.duration_since(last.at) <= TOGETHER);
        let mut last = together.unwrap_or_else(|| Last {
            began: self.text.len(),
            at: event.at,
            names: Vec::new(),
            said: said.clone(),
        });
        last.names.push(name.clone());
        self.text.truncate(last.began);
        let names: Vec<&str> = last.names.iter().map(ApplianceName::as_str).collect();
        self.at(last.at, &format!("{} {said}", names.join(", ")));
        self.last = Some(last);
        Some(line)
    }

    /// Times in a text are those of the tale, and durations without fractions.
    pub(super) fn local(&self, text: &str) -> String {
        let word = |word: &str| {
            let bare = word.trim_end_matches([';', ',', ')', '.', ':']);
            let Ok(at) = bare.parse::<Timestamp>() else { return word.to_owned() };
            let zone = if self.zone == TimeZone::UTC { "" } else { " %Z" };
            let at = at.to_zoned_datetime(self.zone.clone());
            let at = at.strftime(&format!("%a %d %b %H:%M:%S{zone}")).to_string();
            word.replace(bare, &at)
        };
        text.split(' ').map(word).collect::<Vec<_>>().join(" ")
    }

    /// What a hold says.
    pub(super) fn hold(&self, reason: &HoldReason) -> String {
        let until = reason.until().map_or(String::new(), |until| format!(" until {until:.0}"));
        let said = format!("{}{until}: {reason}", reason.code());
        self.local(&said)
    }

    fn rollout(&self, change: &RolloutChange, at: Timestamp, run: &Run) -> Option<String> {
        Some(match change {
            RolloutChange::PlanAccepted { .. }
            | RolloutChange::Replanned { .. }
            | RolloutChange::RunStarted { .. }
            | RolloutChange::RunStopped { .. } => return None,
            RolloutChange::Decided { decision, .. } => format!("PERSON {}", self.decided(decision)),
            RolloutChange::BudgetReached { failures, limit, abort } => {
                let then = if *abort { "the rollout is aborted" } else { "the rollout is paused" };
                format!("failure budget reached ({failures} of {limit}): {then}")
            }
            RolloutChange::WaveStarted { wave } => format!("wave {wave} begins"),
            RolloutChange::WaveFinished { wave } => format!("wave {wave} is finished"),
            RolloutChange::ClusterStarted { cluster } => {
                format!("cluster {cluster} begins: all members are ready, its places are taken")
            }
            RolloutChange::ClusterWithdrawn { cluster, why } => {
                format!("cluster {cluster} gives its places back: {}", self.local(why))
            }
            RolloutChange::ClusterFinished { cluster } => {
                let state = run.clusters.get(cluster)?;
                let gap = jiff::SignedDuration::from_secs(state.audit_gap(at).as_secs());
                let open = if state.gap_since.is_some() { ", still open" } else { "" };
                format!("cluster {cluster} is finished, audit gap {gap:#}{open}")
            }
            RolloutChange::Hook { point, change } => {
                let (kind, of) = (point.kind.name(), &point.of);
                match change {
                    HookChange::Intended => format!("hook {kind} of {of} runs"),
                    HookChange::Started(_) => return None,
                    HookChange::Done => format!("hook {kind} of {of} is done"),
                    HookChange::Failed(why) if point.kind.is_before() => {
                        format!("hook {kind} of {of} FAILED: {why}")
                    }
                    HookChange::Failed(why) => format!("hook {kind} of {of} failed: {why}"),
                    HookChange::Unknown(why) => format!("hook {kind} of {of} UNKNOWN: {why}"),
                }
            }
            RolloutChange::Finished => "the rollout is finished".to_owned(),
        })
    }

    /// A decision in the words of the command line.
    pub(super) fn decided(&self, decision: &Decision) -> String {
        let names = |of: &[ApplianceName]| {
            of.iter().map(ApplianceName::as_str).collect::<Vec<_>>().join(" ")
        };
        match decision {
            Decision::Pause { all, now } => {
                let all = if *all { " --all" } else { "" };
                format!("pause{all}{}", if *now { " --now" } else { "" })
            }
            Decision::Resume => "resume".to_owned(),
            Decision::Abort => "abort".to_owned(),
            Decision::AbortNow => "abort --now".to_owned(),
            Decision::Retry { appliances } => format!("retry {}", names(appliances)),
            Decision::Skip { appliances } => format!("skip {}", names(appliances)),
            Decision::Resolve { appliance, done } => {
                format!("resolve {appliance} {}", if *done { "done" } else { "not-done" })
            }
            Decision::Approve { wave } => format!("approve {wave}"),
            Decision::Confirm { appliance, step } => {
                format!("confirm {appliance} {}", step.name())
            }
            Decision::OverrideFreeze { site, until } => {
                self.local(&format!("freeze override {site} until {until:.0}"))
            }
        }
    }

    fn appliance(&mut self, name: &ApplianceName, change: &ApplianceChange) -> Option<String> {
        let was_aside = self.aside.contains(name);
        match change {
            ApplianceChange::SetAside { .. } => {
                self.aside.insert(name.clone());
            }
            ApplianceChange::StepStarted(_)
            | ApplianceChange::Unreachable
            | ApplianceChange::Login { .. } => {}
            _ => {
                self.aside.remove(name);
            }
        }
        Some(match change {
            ApplianceChange::SetAside { error, .. } if !was_aside => {
                format!("is set aside: {error}")
            }
            ApplianceChange::Preflighted(baseline) => {
                let sessions = baseline.health.sessions.filter(|count| *count > 0);
                let sessions = sessions.map_or(String::new(), |n| format!(", {n} sessions"));
                format!("runs {}{sessions}", baseline.version)
            }
            ApplianceChange::UpToDate { version } => format!("is up to date ({version})"),
            ApplianceChange::Skipped(reason) => match reason {
                SkipReason::Newer { version } => format!("is left out: it runs {version}"),
                SkipReason::ByPerson => "is left out by a person".to_owned(),
                SkipReason::Aborted => "is left out: aborted".to_owned(),
            },
            ApplianceChange::Intended(act) => match act {
                Act::Upgrade { slot } => format!("GOES DOWN: upgrade call for slot {slot}"),
                Act::Reboot => "reboot is sent".to_owned(),
                Act::PowerOff { force: false } => "SECONDARY OFF is sent".to_owned(),
                Act::PowerOff { force: true } => "SECONDARY OFF is sent, by force".to_owned(),
                Act::PowerOn => "SECONDARY ON is sent".to_owned(),
                Act::DeleteSlot { key, version } => format!("slot {key} ({version}) is deleted"),
                Act::StartFetch { .. } | Act::Upload { .. } | Act::DeleteFetch { .. } => {
                    return None;
                }
            },
            ApplianceChange::Outcome { act, outcome, saw } => match (act, outcome) {
                (_, ActOutcome::ReplyLost) => format!("no reply to {}: {saw}", act.name()),
                (_, ActOutcome::CannotTell) => {
                    format!("UNKNOWN whether {} was done: {saw}", act.name())
                }
                (ActKind::DeleteFetch, _) => return None,
                (_, ActOutcome::NotDone) => format!("{} was not done: {saw}", act.name()),
                (ActKind::Upgrade, ActOutcome::Done { .. }) if !saw.starts_with("accepted") => {
                    format!("the upgrade call was done: {saw}")
                }
                (_, ActOutcome::Done { .. }) => return None,
            },
            ApplianceChange::JobAdopted { .. } => {
                "waits for another hand's fetch of the same image".to_owned()
            }
            ApplianceChange::JobFailed { error, .. } => format!("fetch failed: {error}"),
            ApplianceChange::SlotBad { why, .. } => format!("slot is bad: {why}"),
            ApplianceChange::Staged { slot, how } => {
                let how = match how {
                    StagedHow::Adopted => "was there before",
                    StagedHow::Fetched => "fetched",
                    StagedHow::FetchAdopted => "fetched by another hand",
                    StagedHow::Uploaded => "uploaded",
                };
                format!("is staged in slot {slot} ({how})")
            }
            ApplianceChange::Tested { .. } => "passes the test".to_owned(),
            ApplianceChange::ClusterAgrees { .. } => "says the cluster is as declared".to_owned(),
            ApplianceChange::Permitted => return None,
            ApplianceChange::Drained { sessions: Some(0) } => {
                "is drained: no sessions are left".to_owned()
            }
            ApplianceChange::Drained { sessions } => match sessions {
                Some(left) => format!("is drained: {left} sessions are left"),
                None => "is drained".to_owned(),
            },
            ApplianceChange::Withdrawn { why } => format!("does not go down: {}", self.local(why)),
            ApplianceChange::Armed => "is armed".to_owned(),
            ApplianceChange::RestartSeen { .. } => "restarts".to_owned(),
            ApplianceChange::Returned { version } => format!("is back with {version}"),
            ApplianceChange::PairStepDone { step, saw } => {
                format!("{} is seen: {saw}", step.name())
            }
            ApplianceChange::Checked(checks) => {
                let bad: Vec<String> = checks
                    .iter()
                    .filter(|check| !check.good)
                    .map(|check| {
                        let word = |of: &Option<String>| of.clone().unwrap_or("-".to_owned());
                        format!("{} {} -> {}", check.name, word(&check.before), word(&check.after))
                    })
                    .collect();
                if bad.is_empty() {
                    return None;
                }
                format!("is in bad health: {}", bad.join(", "))
            }
            ApplianceChange::HopDone { version, .. } => format!("is through with hop {version}"),
            ApplianceChange::Verified { version, .. } => {
                format!("is verified on {version}; its pair is not whole yet")
            }
            ApplianceChange::Succeeded { version, sessions_cut } => {
                let cut = sessions_cut.filter(|cut| *cut > 0);
                let cut = cut.map_or(String::new(), |cut| format!(", {cut} sessions were cut"));
                format!("UPGRADED to {version}{cut}")
            }
            ApplianceChange::Failed(failure) => {
                let (code, step) = (failure.code.name(), failure.step.name());
                format!("FAILED {code} ({step}): {}", self.local(&failure.text))
            }
            ApplianceChange::Held(reason) => format!("HELD {}", self.hold(reason)),
            ApplianceChange::Unreachable => "does not answer".to_owned(),
            ApplianceChange::Reachable => "answers again".to_owned(),
            ApplianceChange::Up { version } => match version {
                Some(version) => format!("is up with {version}"),
                None => "is up".to_owned(),
            },
            ApplianceChange::ClusterSynced { .. } => "sees all members in agreement".to_owned(),
            ApplianceChange::Bundled { saw, .. } => format!("support bundle: {saw}"),
            ApplianceChange::LeftBehind { why, .. } => format!("keeps a fetch record: {why}"),
            ApplianceChange::Login { accepted: false, .. } => "REFUSES THE PASSWORD".to_owned(),
            ApplianceChange::SetAside { .. }
            | ApplianceChange::StepStarted(_)
            | ApplianceChange::CommandStarted(_)
            | ApplianceChange::Progress { .. }
            | ApplianceChange::Sessions { .. }
            | ApplianceChange::Looked { .. }
            | ApplianceChange::Login { .. } => return None,
        })
    }

    /// The plan in a few lines.
    pub(super) fn plan(&mut self, id: &RolloutId, plan: &Plan, first: bool) {
        let names = |of: &[ApplianceName]| {
            of.iter().map(ApplianceName::as_str).collect::<Vec<_>>().join(" ")
        };
        let versions: Vec<String> = plan.hops().map(|hop| hop.version.to_string()).collect();
        let of = if first { String::new() } else { format!(" {id}") };
        self.say(&format!("plan{of}: to {}", versions.join(", then ")));
        for wave in &plan.waves {
            let soak =
                if wave.soak.is_zero() { String::new() } else { format!(", soak {:#}", wave.soak) };
            let approval = if wave.approval { ", approval" } else { "" };
            self.say(&format!("  wave {}: {}{soak}{approval}", wave.name, names(&wave.appliances)));
        }
        for (name, cluster) in &plan.clusters {
            let ranks: Vec<String> = cluster.ranks.iter().map(|rank| names(rank)).collect();
            let parallel = cluster.parallel;
            self.say(&format!("  cluster {name}: {}, {parallel} at once", ranks.join(" > ")));
        }
        for warning in &plan.warnings {
            if warning.code != "not-looked-at" {
                self.say(&format!("  warns {}: {}", warning.code, warning.text));
            }
        }
    }
}
