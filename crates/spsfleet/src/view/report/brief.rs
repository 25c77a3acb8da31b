//! The report at the end of `run`: a table, what else there is to say, and the verdict last, where
//! a terminal shows it.

use control::wire::ReasonView;
use jiff::SignedDuration;

use super::facts::ReportFacts;
use super::said;
use crate::printer::{Paint, Style};
use crate::view::reasons::Reasons;
use crate::view::status::phase_style;
use crate::view::table::{Table, cell, paragraph, styled};
use crate::view::words;

/// Of a long list so many are said.
const SHOWN: usize = 20;

/// The report as text, with the verdict at its end.
pub(crate) fn brief(facts: &ReportFacts, paint: Paint, width: usize) -> String {
    let mut table =
        Table::new(["NAME", "SITE", "WAVE", "STATE", "VERSION", "TOOK", "DOWN", "REASON"]);
    let mut why = Reasons::default();
    for member in &facts.appliances {
        let style = phase_style(member.state);
        let down = if member.down.is_empty() { None } else { Some(member.downtime) };
        let words = |duration: Option<SignedDuration>| {
            cell(duration.map_or_else(|| "-".to_owned(), words::duration))
        };
        table.row([
            cell(member.name.as_str()),
            cell(member.site.as_str()),
            cell(member.wave.as_str()),
            styled(style, member.state.name()),
            cell(said::after(member)),
            words(member.took),
            words(down),
            cell(member.reason.as_ref().map_or("", |reason| &reason.code)),
        ]);
        if let Some(reason) = &member.reason {
            let (code, text) = (reason.code.clone(), reason.text.clone());
            why.add(member.name.as_str(), ReasonView { code, text, until: reason.until }, style);
        }
    }
    let (table, why) = (table.render(paint, width), why.text(paint, width));
    let insecure = facts.warnings.iter().filter(|warning| warning.code == "insecure");
    let warnings: String = insecure
        .map(|warning| format!("{} {}\n", paint.on(Style::Warn, "warning:"), warning.text))
        .collect();
    let record = record(facts, paint, width);
    let gap = |text: &str| if text.is_empty() { "" } else { "\n" };
    let verdict = &facts.verdict;
    format!(
        "{table}\n{why}{warnings}{}{record}{}{} {}: {}",
        gap(&why),
        gap(&record),
        facts.rollout,
        paint.on(verdict.style(), verdict.word),
        verdict.rest
    )
}

/// What stands beside the table, as paragraphs; nothing where there is nothing to say.
fn record(facts: &ReportFacts, paint: Paint, width: usize) -> String {
    let mut text = String::new();
    let mut push = |head: &str, why: &str, style: Style| {
        text.push_str(&paragraph(head, why, paint, style, width));
    };
    for alarm in &facts.alarms {
        push(&format!("ALARM {}", alarm.code), &alarm.text, Style::Bad);
    }
    let decided = said::decisions(facts);
    for (at, what) in decided.iter().take(SHOWN) {
        push("decided", &format!("{} {what}", words::moment(*at)), Style::Dim);
    }
    if let more @ 1.. = decided.len().saturating_sub(SHOWN) {
        push("decided", &format!("{more} more; `spsfleet report` has them"), Style::Dim);
    }
    for cluster in &facts.clusters {
        let told = format!("{}, {}", cluster.state, said::gap(cluster));
        let style = if cluster.gap_open { Style::Bad } else { Style::Plain };
        push(&format!("cluster {}", cluster.name), &told, style);
    }
    if let Some(cut) = sessions_cut(facts) {
        push("sessions cut", &cut, Style::Plain);
    }
    if let Some((style, health)) = health(facts) {
        push("health", &health, style);
    }
    if let Some((style, hooks)) = hooks(facts) {
        push("hooks", &hooks, style);
    }
    for debt in &facts.debts {
        let style = if debt.stuck { Style::Bad } else { Style::Warn };
        push(&format!("debt of {}", debt.appliance), &debt.text, style);
    }
    for member in &facts.appliances {
        let Some(bundle) = &member.bundle else { continue };
        match &bundle.path {
            Some(path) => push(
                &format!("support bundle of {}", member.name),
                &format!("{path} ({})", bundle.text),
                Style::Plain,
            ),
            None => {
                push(&format!("no support bundle of {}", member.name), &bundle.text, Style::Warn);
            }
        }
    }
    text
}

fn sessions_cut(facts: &ReportFacts) -> Option<String> {
    let cut = facts.appliances.iter().filter_map(|member| {
        let count = member.sessions_cut.filter(|count| *count > 0)?;
        Some(format!("{count} on {}", member.name))
    });
    let cut: Vec<String> = cut.collect();
    let total = facts.counts.sessions_cut;
    (total > 0)
        .then(|| format!("{total} ({})", words::names(cut.iter().map(String::as_str), SHOWN)))
}

/// Everybody's checks in short: what got worse with both values, else what changed.
pub(super) fn health(facts: &ReportFacts) -> Option<(Style, String)> {
    let said::Health { checked, worse, changed } = said::health(facts);
    if checked == 0 {
        return None;
    }
    let mut parts = vec![format!(
        "{} of {} as good as before",
        checked - worse.len(),
        words::count(checked, "appliance")
    )];
    if !worse.is_empty() {
        let worse = words::names(worse.iter().map(String::as_str), SHOWN);
        parts.push(format!("worse: {worse}"));
    }
    if !changed.is_empty() {
        let changed = words::names(changed.iter().map(String::as_str), 5);
        parts.push(format!("changed: {changed}"));
    }
    let style = if worse.is_empty() { Style::Plain } else { Style::Bad };
    Some((style, parts.join("; ")))
}

pub(super) fn hooks(facts: &ReportFacts) -> Option<(Style, String)> {
    if facts.hooks.is_empty() {
        return None;
    }
    let well = facts.hooks.iter().filter(|hook| hook.state == "done").count();
    let mut parts = vec![format!("{well} of {} ended well", facts.hooks.len())];
    parts.extend(facts.hooks.iter().filter(|hook| hook.state != "done").map(said::hook));
    let style = if well == facts.hooks.len() { Style::Plain } else { Style::Warn };
    Some((style, parts.join("; ")))
}
