//! What is, as text. The document behind it is [`control::wire::StatusView`].

use std::collections::BTreeMap;

use control::wire::{ApplianceView, RolloutView};
use jiff::Timestamp;
use model::plan::Warning;
use model::run::{Phase, RolloutState, Run, Transfer};

use super::around::around;
use super::reasons::Reasons;
use super::table::{Table, cell, styled, wrap};
use super::words;
use crate::printer::{Paint, Style};

/// How a phase looks.
pub(crate) fn phase_style(phase: Phase) -> Style {
    match phase {
        Phase::Succeeded | Phase::UpToDate => Style::Good,
        Phase::Failed => Style::Bad,
        Phase::Held | Phase::Unknown | Phase::Attended | Phase::SetAside | Phase::Skipped => {
            Style::Warn
        }
        Phase::Pending | Phase::Ready => Style::Plain,
        Phase::Preflight
        | Phase::Staging
        | Phase::Testing
        | Phase::Draining
        | Phase::Activating
        | Phase::Returning
        | Phase::Verifying => Style::Busy,
    }
}

/// How a rollout's state looks.
pub(crate) fn state_style(state: RolloutState) -> Style {
    match state {
        RolloutState::Running => Style::Busy,
        RolloutState::Succeeded => Style::Good,
        RolloutState::Paused | RolloutState::Halted => Style::Warn,
        RolloutState::Aborted | RolloutState::Failed => Style::Bad,
    }
}

/// A rollout as text. `warnings` are those of its plan.
pub(crate) fn text(
    status: &RolloutView,
    warnings: &[Warning],
    now: Timestamp,
    paint: Paint,
    width: usize,
) -> String {
    let mut text = format!(
        "{} to {}: {}\n{}\n",
        paint.on(Style::Bold, status.name.as_str()),
        status.target_version,
        paint.on(state_style(status.state), status.state.name()),
        wrap(&summary(status), width).join("\n  ")
    );
    text.push_str(&around(status, now, paint, width));
    text.push('\n');
    let mut why = Reasons::default();
    let mut table = Table::new(["NAME", "SITE", "WAVE", "STATE", "VERSION", "FOR", "REASON"]);
    for appliance in &status.appliances {
        let style = phase_style(appliance.state);
        if let Some(reason) = &appliance.reason {
            why.add(appliance.name.as_str(), reason.clone(), style);
        }
        let version = appliance.version.as_ref();
        table.row([
            cell(appliance.name.as_str()),
            cell(appliance.site.as_str()),
            cell(appliance.wave.as_str()),
            styled(style, appliance.state.name()),
            cell(version.map_or_else(|| "-".to_owned(), ToString::to_string)),
            cell(words::duration(now.duration_since(appliance.since))),
            cell(brief(appliance)),
        ]);
    }
    text.push_str(&table.render(paint, width));
    let why = why.text(paint, width);
    if !why.is_empty() {
        text.push('\n');
        text.push_str(&why);
    }
    for warning in warnings.iter().filter(|warning| warning.code == "insecure") {
        text.push_str(&format!("{} {}\n", paint.on(Style::Warn, "warning:"), warning.text));
    }
    text
}

/// What stands in the table: a reason's code, or how far a transfer is.
fn brief(appliance: &ApplianceView) -> String {
    if let Some(reason) = &appliance.reason {
        return reason.code.clone();
    }
    if let (Phase::Draining, Some(sessions)) = (appliance.state, appliance.sessions) {
        return words::sessions(sessions);
    }
    if let Some(pair) = appliance.pair.as_ref().filter(|pair| pair.secondary_off_since.is_some()) {
        let done = pair.done.last().map_or("", |step| step.step.name());
        return format!("secondary off ({done})").replace(" ()", "");
    }
    if let Some(hop) = appliance.hop.as_ref().filter(|_| !appliance.state.is_terminal()) {
        return format!("hop {} of {}", hop.number, hop.of);
    }
    match appliance.transfer.filter(|_| appliance.state == Phase::Staging) {
        Some(Transfer { done, total: total @ 1.. }) => {
            format!("{} % of {}", done.saturating_mul(100) / total, words::bytes(total))
        }
        Some(Transfer { done, .. }) => words::bytes(done),
        None => String::new(),
    }
}

/// How many are where, in one line: `12 appliances: 10 succeeded, 2 failed`.
fn summary(status: &RolloutView) -> String {
    let mut states: BTreeMap<Phase, usize> = BTreeMap::new();
    for appliance in &status.appliances {
        *states.entry(appliance.state).or_default() += 1;
    }
    let states: Vec<String> =
        states.iter().map(|(state, number)| format!("{number} {}", state.name())).collect();
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
