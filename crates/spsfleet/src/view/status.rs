//! What is: the document of `status` (contract: cli.md), and the same as text.

use std::collections::BTreeMap;

use jiff::Timestamp;
use model::ApplianceName;
use model::fleet::Trust;
use model::hold::HoldReason;
use model::plan::PlannedWave;
use model::run::{ApplianceRun, Phase, RolloutState, Run};
use serde::Serialize;

use super::table::{Table, cell, styled};
use super::{events, words};
use crate::printer::{Paint, Style};

/// The whole document.
#[derive(Debug, Serialize)]
pub(crate) struct StatusDocument {
    /// Version of the document's shape.
    pub(crate) schema: u32,
    /// Newest last.
    pub(crate) rollouts: Vec<RolloutStatus>,
}

/// One rollout.
#[derive(Debug, Serialize)]
pub(crate) struct RolloutStatus {
    name: String,
    id: String,
    target_version: String,
    state: &'static str,
    accepted_at: Timestamp,
    accepted_by: String,
    plan: String,
    waves: Vec<WaveStatus>,
    appliances: Vec<ApplianceStatus>,
    clusters: Vec<ClusterStatus>,
    debts: Vec<Debt>,
    failures: usize,
    budget: Budget,
    warnings: Vec<WarningText>,
}

#[derive(Debug, Serialize)]
struct WaveStatus {
    name: String,
    state: &'static str,
    appliances: Vec<String>,
}

/// One appliance.
#[derive(Debug, Serialize)]
struct ApplianceStatus {
    name: String,
    site: String,
    wave: String,
    state: &'static str,
    version: Option<String>,
    slot: Option<String>,
    since: Timestamp,
    down: bool,
    transfer: Option<TransferStatus>,
    reason: Option<Reason>,
}

#[derive(Debug, Serialize)]
struct TransferStatus {
    done: u64,
    total: u64,
}

#[derive(Debug, Serialize)]
struct Reason {
    code: String,
    text: String,
    until: Option<Timestamp>,
}

#[derive(Debug, Serialize)]
struct ClusterStatus {
    name: String,
    state: &'static str,
    audit_gap_seconds: u64,
}

/// Something of ours that stays on an appliance.
#[derive(Debug, Serialize)]
struct Debt {
    appliance: String,
    text: String,
}

#[derive(Debug, Serialize)]
struct Budget {
    count: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    percent: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    breached_at: Option<usize>,
}

#[derive(Debug, Serialize)]
struct WarningText {
    code: String,
    text: String,
}

/// Reads a run. `reasons` says why each waiting appliance waits.
pub(crate) fn of(
    run: &Run,
    reasons: &BTreeMap<ApplianceName, HoldReason>,
    halted: bool,
) -> RolloutStatus {
    let plan = &run.plan;
    let budget = &plan.failure_budget;
    let insecure = plan
        .appliances
        .values()
        .filter(|appliance| appliance.endpoint.trust == Trust::Insecure)
        .map(|appliance| WarningText {
            code: "insecure".to_owned(),
            text: format!("{}: its certificate is not checked", appliance.name),
        });
    RolloutStatus {
        name: plan.rollout.to_string(),
        id: run.id.to_string(),
        target_version: plan.firmware.version.to_string(),
        state: run.state(halted).name(),
        accepted_at: run.accepted_at,
        accepted_by: run.accepted_by.name.clone(),
        plan: plan.digest.to_string(),
        waves: plan.waves.iter().map(|wave| wave_status(run, wave)).collect(),
        appliances: plan
            .in_order()
            .filter_map(|(wave, appliance)| {
                let member = run.appliances.get(&appliance.name)?;
                Some(ApplianceStatus {
                    name: appliance.name.to_string(),
                    site: appliance.site.to_string(),
                    wave: wave.name.to_string(),
                    state: member.phase.name(),
                    version: member.version.as_ref().map(ToString::to_string),
                    slot: member.stage.slot.as_ref().map(ToString::to_string),
                    since: member.since,
                    down: member.is_down(),
                    transfer: transfer(member),
                    reason: reason(member, reasons.get(&appliance.name)),
                })
            })
            .collect(),
        clusters: Vec::new(),
        debts: debts(run),
        failures: run.counted.len(),
        budget: Budget {
            count: budget.count,
            percent: budget.percent,
            breached_at: budget.breached_at(plan.appliances.len()),
        },
        warnings: insecure.collect(),
    }
}

fn wave_status(run: &Run, wave: &PlannedWave) -> WaveStatus {
    let upgraded = wave
        .appliances
        .iter()
        .all(|name| run.appliances.get(name).is_some_and(|member| member.phase.is_upgraded()));
    let state = match () {
        () if run.waves_finished.contains(&wave.name) && upgraded => "succeeded",
        () if run.waves_finished.contains(&wave.name) => "failed",
        () if run.waves_started.contains(&wave.name) => "running",
        () => "pending",
    };
    WaveStatus {
        name: wave.name.to_string(),
        state,
        appliances: wave.appliances.iter().map(ToString::to_string).collect(),
    }
}

fn transfer(member: &ApplianceRun) -> Option<TransferStatus> {
    let transfer = member.stage.transfer.filter(|_| member.phase == Phase::Staging)?;
    Some(TransferStatus { done: transfer.done, total: transfer.total })
}

fn reason(member: &ApplianceRun, hold: Option<&HoldReason>) -> Option<Reason> {
    if let Some(failure) = &member.failure {
        let text = failure.text.clone();
        return Some(Reason { code: failure.code.name().to_owned(), text, until: None });
    }
    if let Some(skip) = &member.skipped {
        let code = events::skip_code(skip).to_owned();
        return Some(Reason { code, text: events::skipped(skip), until: None });
    }
    let hold = member.hold.as_ref().or(hold)?;
    let mut text = hold.to_string();
    if let (HoldReason::Unreachable { .. }, Some(error)) = (hold, &member.last_error) {
        text = format!("{text} ({error})");
    }
    Some(Reason { code: hold.code().to_owned(), text, until: hold.until() })
}

fn debts(run: &Run) -> Vec<Debt> {
    let members = run.appliances.iter().filter(|(_, member)| member.phase.is_terminal());
    members
        .flat_map(|(name, member)| {
            member.stage.records_left().map(move |job| Debt {
                appliance: name.to_string(),
                text: format!("the record of fetch {} is to be removed", job.key),
            })
        })
        .collect()
}

/// How a phase looks.
pub(crate) fn phase_style(phase: &str) -> Style {
    match phase {
        "succeeded" | "up-to-date" => Style::Good,
        "failed" | "aborted" => Style::Bad,
        "held" | "unknown" | "attended" | "set-aside" | "skipped" | "paused" | "halted" => {
            Style::Warn
        }
        "pending" | "ready" => Style::Plain,
        _ => Style::Busy,
    }
}

/// A rollout as text.
pub(crate) fn text(status: &RolloutStatus, now: Timestamp, paint: Paint, width: usize) -> String {
    let mut text = format!(
        "{} to {}: {}\n",
        paint.on(Style::Bold, &status.name),
        status.target_version,
        paint.on(phase_style(status.state), status.state)
    );
    text.push_str(&summary(status));
    text.push('\n');
    if status.waves.len() > 1 {
        let waves: Vec<String> =
            status.waves.iter().map(|wave| format!("{} {}", wave.name, wave.state)).collect();
        for line in super::table::wrap(&format!("waves: {}", waves.join(", ")), width) {
            text.push_str(&line);
            text.push('\n');
        }
    }
    text.push('\n');
    let mut table = Table::new(["NAME", "SITE", "WAVE", "STATE", "VERSION", "FOR", "REASON"]);
    for appliance in &status.appliances {
        table.row([
            cell(&appliance.name),
            cell(&appliance.site),
            cell(&appliance.wave),
            styled(phase_style(appliance.state), appliance.state),
            cell(appliance.version.as_deref().unwrap_or("-")),
            cell(words::duration(now.duration_since(appliance.since))),
            cell(why(appliance)),
        ]);
    }
    text.push_str(&table.render(paint, width));
    for warning in &status.warnings {
        text.push_str(&format!("{} {}\n", paint.on(Style::Warn, "warning:"), warning.text));
    }
    for debt in &status.debts {
        text.push_str(&format!("open: {}: {}\n", debt.appliance, debt.text));
    }
    text
}

fn why(appliance: &ApplianceStatus) -> String {
    if let Some(reason) = &appliance.reason {
        return reason.text.clone();
    }
    match &appliance.transfer {
        Some(TransferStatus { done, total: total @ 1.. }) => format!(
            "{} of {} ({} %)",
            words::bytes(*done),
            words::bytes(*total),
            done.saturating_mul(100) / total
        ),
        Some(TransferStatus { done, .. }) => words::bytes(*done),
        None => String::new(),
    }
}

/// How many are where, in one line: `12 appliances: 10 succeeded, 2 failed`.
fn summary(status: &RolloutStatus) -> String {
    let mut states: BTreeMap<&str, usize> = BTreeMap::new();
    for appliance in &status.appliances {
        *states.entry(appliance.state).or_default() += 1;
    }
    let states: Vec<String> =
        states.iter().map(|(state, number)| format!("{number} {state}")).collect();
    let all = words::count(status.appliances.len(), "appliance");
    let budget = match status.budget.breached_at {
        Some(limit) => format!("; failure budget {} of {limit} used", status.failures),
        None => String::new(),
    };
    format!("{all}: {}{budget}", states.join(", "))
}

/// The counts that a live line shows.
pub(crate) fn live_line(run: &Run, halted: bool) -> String {
    let mut done = 0;
    let mut failed = 0;
    let mut down = 0;
    let mut staging = 0;
    let mut waiting = 0;
    for member in run.appliances.values() {
        done += usize::from(member.phase.is_terminal());
        failed += usize::from(member.phase == Phase::Failed);
        down += usize::from(member.is_down());
        staging += usize::from(matches!(member.phase, Phase::Staging | Phase::Testing));
        waiting += usize::from(member.phase.needs_person());
    }
    let mut parts = vec![
        format!("{done} of {} done", run.appliances.len()),
        format!("{staging} staging"),
        format!("{down} down"),
    ];
    if failed > 0 {
        parts.push(format!("{failed} failed"));
    }
    if waiting > 0 {
        parts.push(format!("{waiting} wait for a person"));
    }
    let state = run.state(halted);
    if !matches!(state, RolloutState::Running) {
        parts.push(state.name().to_owned());
    }
    parts.join(" · ")
}
