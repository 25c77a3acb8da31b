//! What a person can type to let a rollout go on.

use std::path::Path;

use model::decision::PersonStep;
use model::hold::HoldReason;
use model::run::{ApplianceRun, Phase, Run};
use model::{ApplianceName, WaveName};

use crate::printer::{Paint, Style, width};
use crate::view::table::wrap;

/// By so much those who show a line may move it in.
const INDENT: usize = 4;

/// The wave whose successor a person lets start: also while it is still watched.
pub(crate) fn to_approve(run: &Run) -> Option<&WaveName> {
    let next = run.plan.waves.iter().position(|w| !run.waves_finished.contains(&w.name))?;
    let before = run.plan.waves.get(next.checked_sub(1)?)?;
    let waits = before.approval && !run.approvals.contains_key(&before.name);
    (waits && !run.has_ended()).then_some(&before.name)
}

/// The step that a person does at an appliance, and what it is.
pub(crate) fn to_confirm(state: &ApplianceRun) -> Option<PersonStep> {
    match state.hold.as_ref()? {
        HoldReason::AttendedStep { step, .. } | HoldReason::PowerFailed { step, .. } => Some(*step),
        HoldReason::SecondaryNotProven { .. } => Some(PersonStep::SecondaryOff),
        HoldReason::OperatorReboot { .. }
        | HoldReason::ArmedButReboots
        | HoldReason::RebootFailed { .. }
        | HoldReason::ArmedOutsideWindow { .. } => Some(PersonStep::Reboot),
        _ => None,
    }
}

/// What a person can type now, each with what it does.
///
/// `of`: only what concerns this appliance.
pub(crate) fn what_to_type(
    run: &Run,
    of: Option<&ApplianceName>,
    database: &Path,
    paint: Paint,
) -> Vec<String> {
    let name = &run.plan.rollout;
    let state = format!("--state {}", database.display());
    let mut lines = Vec::new();
    let mut add = |what: &str, command: String| {
        // The command stays on one line, so that it can be taken over as it is.
        let what = wrap(what, width().saturating_sub(INDENT)).join("\n");
        lines.push(format!("{what}\n    {}", paint.on(Style::Bold, &command)));
    };
    let members = || run.appliances.iter().filter(|(name, _)| of.is_none_or(|of| of == *name));
    let all = |wanted: &dyn Fn(Phase) -> bool| -> Vec<&str> {
        members().filter(|(_, m)| wanted(m.phase)).map(|(name, _)| name.as_str()).collect()
    };
    // A debt outlives its rollout.
    for debt in run.debts().iter().filter(|debt| debt.stuck.is_some()) {
        if of.is_none_or(|of| *of == debt.appliance) {
            add(
                &format!("at {}, settle its debt ({}), then:", debt.appliance, debt.undo),
                format!("spsfleet confirm {name} {} secondary-on {state}", debt.appliance),
            );
        }
    }
    // What is down when a rollout is given up is still brought to its end.
    let attended = members().filter_map(|(of, state)| Some((of, to_confirm(state)?)));
    for (appliance, step) in attended.take(3) {
        add(
            &format!("at {appliance}, {}; then:", step.instructions()),
            format!("spsfleet confirm {name} {appliance} {} {state}", step.name()),
        );
    }
    if run.aborted {
        return lines;
    }
    let stopped = run.pause.is_some() || run.breach.is_some() || run.soak_failed.is_some();
    if !run.has_ended() && stopped {
        add("let it go on:", format!("spsfleet resume {name} {state}"));
    }
    if let Some(wave) = to_approve(run) {
        add(
            &format!("look at wave {wave}, then let the next one start:"),
            format!("spsfleet approve {name} {wave} {state}"),
        );
    }
    let failed_hook = |name: &ApplianceName| run.failed_hook_of(name).is_some();
    let mut hooked = members().filter(|(name, m)| !m.phase.is_terminal() && failed_hook(name));
    if let Some((appliance, _)) = hooked.next() {
        let record = run.failed_hook_of(appliance).and_then(|point| run.hooks.get(point));
        if record.is_some_and(|record| record.state.is_unknown()) {
            add(
                "after a look whether the hook did its work, say so (not-done runs it again):",
                format!("spsfleet resolve {name} {appliance} done|not-done {state}"),
            );
        } else {
            add(
                "when what the hook said is settled, run it again:",
                format!("spsfleet retry {name} {appliance} {state}"),
            );
        }
    }
    let not_proven = |hold: &HoldReason| matches!(hold, HoldReason::SecondaryNotProven { .. });
    let mut unproven = members().filter(|(_, m)| m.hold.as_ref().is_some_and(not_proven));
    if let Some((appliance, _)) = unproven.next() {
        add(
            "when the check is mended, run it again:",
            format!("spsfleet retry {name} {appliance} {state}"),
        );
    }
    for appliance in all(&|phase| phase == Phase::Unknown).iter().take(3) {
        add(
            "after a look at the appliance, say what became of it:",
            format!("spsfleet resolve {name} {appliance} done|not-done {state}"),
        );
    }
    let held = all(&|phase| phase == Phase::Held);
    if !held.is_empty() {
        let held = held.join(" ");
        add(
            "take what is held up again, when its reason is settled:",
            format!("spsfleet retry {name} {held} {state}"),
        );
    }
    if !all(&|phase| phase == Phase::Failed).is_empty() {
        add(
            "take what failed up again, when its reason is settled:",
            format!("spsfleet retry {name} --failed {state}"),
        );
    }
    lines
}
