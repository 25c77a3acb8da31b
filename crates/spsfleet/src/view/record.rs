//! What a report says beside its table: who decided what, sessions that were cut, audit gaps,
//! health before and after, hooks, debts, bundles.

use control::wire::RolloutView;
use jiff::Timestamp;
use model::ApplianceName;
use model::event::{ApplianceChange, Change, Event, RolloutChange};
use model::observed::HealthCheck;
use model::run::{HookState, Run};

use super::around::gap;
use super::table::paragraph;
use super::words;
use crate::printer::{Paint, Style};

/// What only the log tells.
#[derive(Debug, Default)]
pub(crate) struct Record {
    decisions: Vec<(Timestamp, String)>,
    bundles: Vec<(ApplianceName, Option<String>, String)>,
}

/// Of a long list so many are said.
const SHOWN: usize = 20;

impl Record {
    /// Takes one more event in.
    pub(crate) fn add(&mut self, event: &Event) {
        match &event.change {
            Change::Rollout(
                RolloutChange::Decided { .. }
                | RolloutChange::PlanAccepted { .. }
                | RolloutChange::Replanned { .. },
            ) => {
                self.decisions.push((event.at, super::events::tell(&event.change).whole()));
            }
            Change::Appliance(name, ApplianceChange::Bundled { path, saw }) => {
                self.bundles.push((name.clone(), path.clone(), saw.clone()));
            }
            _ => {}
        }
    }

    /// Everything, as paragraphs; nothing where there is nothing to say.
    pub(crate) fn text(
        &self,
        run: &Run,
        view: &RolloutView,
        now: Timestamp,
        paint: Paint,
        width: usize,
    ) -> String {
        let mut text = String::new();
        let mut push = |head: &str, why: &str, style: Style| {
            text.push_str(&paragraph(head, why, paint, style, width));
        };
        for alarm in &view.alarms {
            push(&format!("ALARM {}", alarm.code), &alarm.text, Style::Bad);
        }
        for (at, what) in self.decisions.iter().take(SHOWN) {
            push("decided", &format!("{} {what}", words::moment(*at)), Style::Dim);
        }
        if let more @ 1.. = self.decisions.len().saturating_sub(SHOWN) {
            push("decided", &format!("{more} more; `spsfleet events` has them"), Style::Dim);
        }
        for cluster in &view.clusters {
            let told = gap(cluster, now).unwrap_or_else(|| "did not stop auditing".to_owned());
            let told = format!("{}, {told}", cluster.state.name());
            let style = if cluster.audit_gap_since.is_some() { Style::Bad } else { Style::Plain };
            push(&format!("cluster {}", cluster.name), &told, style);
        }
        if let Some(cut) = sessions_cut(view) {
            push("sessions cut", &cut, Style::Plain);
        }
        if let Some((style, health)) = health(run) {
            push("health", &health, style);
        }
        if let Some((style, hooks)) = hooks(run) {
            push("hooks", &hooks, style);
        }
        for debt in &view.debts {
            let style = if debt.stuck.is_some() { Style::Bad } else { Style::Warn };
            push(&format!("debt of {}", debt.appliance), &debt.text, style);
        }
        for (name, path, saw) in &self.bundles {
            match path {
                Some(path) => push(
                    &format!("support bundle of {name}"),
                    &format!("{path} ({saw})"),
                    Style::Plain,
                ),
                None => push(&format!("no support bundle of {name}"), saw, Style::Warn),
            }
        }
        text
    }
}

fn sessions_cut(view: &RolloutView) -> Option<String> {
    let cut = view.appliances.iter().filter_map(|member| {
        let count = member.sessions_cut.filter(|count| *count > 0)?;
        Some((member.name.as_str(), count))
    });
    let cut: Vec<(&str, u64)> = cut.collect();
    let total: u64 = cut.iter().map(|(_, count)| count).sum();
    let each: Vec<String> = cut.iter().map(|(name, count)| format!("{count} on {name}")).collect();
    (total > 0)
        .then(|| format!("{total} ({})", words::names(each.iter().map(String::as_str), SHOWN)))
}

/// Everybody's checks in short: what got worse with both values, else what changed.
fn health(run: &Run) -> Option<(Style, String)> {
    let checked = run.appliances.iter().filter(|(_, state)| !state.checks.is_empty());
    let checked: Vec<_> = checked.collect();
    if checked.is_empty() {
        return None;
    }
    let of = |wanted: &dyn Fn(&HealthCheck) -> bool| -> Vec<String> {
        let each = |(name, state): &(&ApplianceName, &model::run::ApplianceRun)| {
            let found: Vec<String> =
                state.checks.iter().filter(|check| wanted(check)).map(words::check).collect();
            (!found.is_empty()).then(|| format!("{name} {}", found.join(", ")))
        };
        checked.iter().filter_map(each).collect()
    };
    let bad = of(&|check| !check.good);
    // The version has changed, of course.
    let changed = of(&|check| check.good && check.name != "version" && check.before != check.after);
    let good = checked.len() - bad.len();
    let mut parts =
        vec![format!("{good} of {} as good as before", words::count(checked.len(), "appliance"))];
    if !bad.is_empty() {
        let bad = words::names(bad.iter().map(String::as_str), SHOWN);
        parts.push(format!("worse: {bad}"));
    }
    if !changed.is_empty() {
        let changed = words::names(changed.iter().map(String::as_str), 5);
        parts.push(format!("changed: {changed}"));
    }
    let style = if bad.is_empty() { Style::Plain } else { Style::Bad };
    Some((style, parts.join("; ")))
}

fn hooks(run: &Run) -> Option<(Style, String)> {
    if run.hooks.is_empty() {
        return None;
    }
    let well = run.hooks.values().filter(|record| record.state == HookState::Done).count();
    let mut parts = vec![format!("{well} of {} ended well", run.hooks.len())];
    for (point, record) in &run.hooks {
        match &record.state {
            HookState::Failed(detail) => parts.push(format!("{point} failed: {detail}")),
            HookState::Unknown(detail) => parts.push(format!("{point} is not known: {detail}")),
            HookState::Open => parts.push(format!("{point} did not end")),
            HookState::Done => {}
        }
    }
    let style = if well == run.hooks.len() { Style::Plain } else { Style::Warn };
    Some((style, parts.join("; ")))
}
