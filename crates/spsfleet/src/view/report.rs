//! What a rollout came to: a table, and one line that says it all.

use std::collections::BTreeMap;

use control::wire::RolloutView;
use jiff::{SignedDuration, Timestamp};
use model::ApplianceName;
use model::event::{Act, ApplianceChange, Change, Event};
use model::hold::HoldReason;
use model::run::{Phase, RolloutState, Run};

use super::reasons::Reasons;
use super::record::Record;
use super::status::phase_style;
use super::table::{Table, cell, styled};
use super::words;
use crate::printer::{Paint, Style};

/// When things happened to each appliance.
#[derive(Debug, Default)]
pub(crate) struct Timeline {
    members: BTreeMap<ApplianceName, Span>,
    first: Option<Timestamp>,
    last: Option<Timestamp>,
    record: Record,
}

#[derive(Debug, Default)]
struct Span {
    began: Option<Timestamp>,
    last: Option<Timestamp>,
    down_since: Option<Timestamp>,
    down: SignedDuration,
}

impl Timeline {
    /// Takes one more event in.
    pub(crate) fn add(&mut self, event: &Event) {
        self.record.add(event);
        self.first.get_or_insert(event.at);
        self.last = Some(event.at);
        let Change::Appliance(name, change) = &event.change else { return };
        let span = self.members.entry(name.clone()).or_default();
        span.began.get_or_insert(event.at);
        match change {
            ApplianceChange::Intended(Act::Upgrade { .. }) => span.down_since = Some(event.at),
            ApplianceChange::Returned { .. } | ApplianceChange::Up { .. } => {
                if let Some(since) = span.down_since.take() {
                    span.down += event.at.duration_since(since);
                }
            }
            _ => {}
        }
        span.last = Some(event.at);
    }

    /// Between an appliance's first event and its last.
    fn took(&self, name: &ApplianceName) -> Option<SignedDuration> {
        let span = self.members.get(name)?;
        Some(span.last?.duration_since(span.began?))
    }

    /// How long an appliance was down by our act.
    fn down(&self, name: &ApplianceName) -> Option<SignedDuration> {
        let down = self.members.get(name)?.down;
        (!down.is_zero()).then_some(down)
    }

    fn whole(&self) -> Option<SignedDuration> {
        Some(self.last?.duration_since(self.first?))
    }
}

/// The report as text.
pub(crate) fn text(
    run: &Run,
    timeline: &Timeline,
    reasons: &BTreeMap<ApplianceName, HoldReason>,
    paint: Paint,
    width: usize,
) -> String {
    let mut table =
        Table::new(["NAME", "SITE", "WAVE", "STATE", "VERSION", "TOOK", "DOWN", "REASON"]);
    let words = |duration: Option<SignedDuration>| {
        cell(duration.map_or_else(|| "-".to_owned(), words::duration))
    };
    let mut why = Reasons::default();
    // Debts and gaps are shown as they were when the last thing happened.
    let now = timeline.last.unwrap_or(run.accepted_at);
    let view = RolloutView::of(run, false, reasons, now);
    let record = timeline.record.text(run, &view, now, paint, width);
    for member in view.appliances {
        let style = phase_style(member.state);
        table.row([
            cell(member.name.as_str()),
            cell(member.site.as_str()),
            cell(member.wave.as_str()),
            styled(style, member.state.name()),
            cell(member.version.map_or_else(|| "-".to_owned(), |version| version.to_string())),
            words(timeline.took(&member.name)),
            words(timeline.down(&member.name)),
            cell(member.reason.as_ref().map_or("", |reason| &reason.code)),
        ]);
        if let Some(reason) = member.reason {
            why.add(member.name.as_str(), reason, style);
        }
    }
    let (table, why) = (table.render(paint, width), why.text(paint, width));
    let insecure = run.plan.warnings.iter().filter(|warning| warning.code == "insecure");
    let warnings: String = insecure
        .map(|warning| format!("{} {}\n", paint.on(Style::Warn, "warning:"), warning.text))
        .collect();
    let gap = |text: &str| if text.is_empty() { "" } else { "\n" };
    format!(
        "{table}\n{why}{warnings}{}{record}{}{}",
        gap(&why),
        gap(&record),
        verdict(run, timeline, paint)
    )
}

/// One line: what it came to, for how many, in what time.
pub(crate) fn verdict(run: &Run, timeline: &Timeline, paint: Paint) -> String {
    let count = |phase: Phase| run.appliances.values().filter(|m| m.phase == phase).count();
    let upgraded = run.appliances.values().filter(|m| m.phase.is_upgraded()).count();
    let mut parts = vec![format!(
        "{upgraded} of {} on {}",
        words::count(run.appliances.len(), "appliance"),
        run.plan.firmware.version
    )];
    let told = [
        Phase::Failed,
        Phase::Skipped,
        Phase::SetAside,
        Phase::Held,
        Phase::Attended,
        Phase::Unknown,
    ];
    for phase in told {
        if let number @ 1.. = count(phase) {
            parts.push(format!("{number} {}", phase.name()));
        }
    }
    let others = run.appliances.values().map(|member| member.phase);
    let others = others.filter(|phase| !phase.is_upgraded() && !told.contains(phase));
    if let number @ 1.. = others.count() {
        parts.push(format!("{number} not finished"));
    }
    let (style, word) = match run.state(false) {
        RolloutState::Succeeded => (Style::Good, "succeeded"),
        RolloutState::Failed => (Style::Bad, "finished"),
        RolloutState::Aborted => (Style::Bad, "aborted"),
        RolloutState::Paused => (Style::Warn, "paused"),
        RolloutState::Halted => (Style::Bad, "halted"),
        RolloutState::Running => (Style::Warn, "not finished"),
    };
    let took = match timeline.whole() {
        Some(took) => format!(" in {}", words::duration(took)),
        None => String::new(),
    };
    format!("{} {}: {}{took}", run.plan.rollout, paint.on(style, word), parts.join(", "))
}
