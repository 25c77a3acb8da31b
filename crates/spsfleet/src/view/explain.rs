//! One appliance of a rollout: what it waits for, who holds it, what comes next.

use control::wire::{ApplianceView, ReasonView, RolloutView};
use jiff::Timestamp;
use model::event::Event;
use model::history::{Expected, History};
use model::hold::HoldReason;
use model::plan::Plan;
use model::run::{Phase, Run};
use model::{ApplianceName, SiteName, expect};
use serde::Serialize;

use super::events::{Told, tell};
use super::procedure::{Line, remaining};
use super::status::phase_style;
use super::table::{paragraph, wrap};
use super::words;
use crate::printer::{Paint, Style};

/// What an explanation is made of.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Explained<'a> {
    /// The rollout.
    pub(crate) run: &'a Run,
    /// Its view.
    pub(crate) view: &'a RolloutView,
    /// Why the appliance waits, typed.
    pub(crate) hold: Option<&'a HoldReason>,
    /// How long steps took so far.
    pub(crate) history: &'a History,
    /// What happened to it, oldest first.
    pub(crate) events: &'a [Event],
    /// Now.
    pub(crate) now: Timestamp,
}

/// The document of `explain --output json`.
#[derive(Debug, Serialize)]
pub(crate) struct Document {
    schema: u32,
    rollout: model::RolloutName,
    rollout_state: model::run::RolloutState,
    at_work: Option<bool>,
    appliance: ApplianceView,
    reason: Option<Reason>,
    /// How long its disruptive part is expected to take.
    expected: Option<ExpectedView>,
    /// The steps before it; the first one is under way.
    next: Vec<Line>,
    /// Versions that follow the one it is on its way to.
    later_versions: Vec<String>,
    events: Vec<EventView>,
}

#[derive(Debug, Serialize)]
struct Reason {
    #[serde(flatten)]
    reason: ReasonView,
    /// Whether only a person ends it.
    needs_person: bool,
    /// Who takes the places that it waits for, or must come first.
    held_by: Vec<ApplianceName>,
}

#[derive(Debug, Serialize)]
struct ExpectedView {
    seconds: i64,
    source: model::history::Source,
}

#[derive(Debug, Serialize)]
struct EventView {
    seq: u64,
    at: Timestamp,
    text: String,
    #[serde(skip)]
    told: Told,
}

/// Everything about one appliance; `None` when it is not in the rollout.
pub(crate) fn document(of: &Explained<'_>, name: &ApplianceName) -> Option<Document> {
    let view = of.view.appliances.iter().find(|member| member.name == *name)?;
    let (entry, state) = (of.run.plan.appliances.get(name)?, of.run.appliances.get(name)?);
    let reason = view.reason.clone().map(|reason| Reason {
        needs_person: match of.hold {
            Some(hold) => hold.needs_person(),
            None => state.phase == Phase::Failed || state.phase.needs_person(),
        },
        held_by: of.hold.map(|hold| holders(of.run, hold)).unwrap_or_default(),
        reason,
    });
    let later = of.run.plan.hops().skip(state.hop + 1).map(|hop| hop.version.to_string());
    let over = state.phase.is_terminal();
    let expected = (!over).then(|| expected(of.run, name, of.history));
    Some(Document {
        schema: control::wire::SCHEMA,
        rollout: of.run.plan.rollout.clone(),
        rollout_state: of.view.state,
        at_work: of.view.at_work,
        appliance: view.clone(),
        reason,
        expected: expected.map(|e| ExpectedView { seconds: e.took.as_secs(), source: e.source }),
        next: remaining(of.run, entry, state),
        later_versions: if over { Vec::new() } else { later.collect() },
        events: of.events.iter().map(event).collect(),
    })
}

fn event(event: &Event) -> EventView {
    let told = tell(&event.change);
    EventView { seq: event.seq, at: event.at, text: told.whole(), told }
}

/// A member of a cluster goes down with its cluster.
fn expected(run: &Run, name: &ApplianceName, history: &History) -> Expected {
    expect::appliance(&run.plan, name, history)
}

/// Who keeps an appliance waiting: those that take its places, or those that come first.
fn holders(run: &Run, hold: &HoldReason) -> Vec<ApplianceName> {
    match hold {
        HoldReason::RolloutLimit { down, .. }
        | HoldReason::SiteLimit { down, .. }
        | HoldReason::GroupLimit { down, .. } => down.clone(),
        HoldReason::ClusterWaits { waiting_for, .. } => waiting_for.clone(),
        HoldReason::ClusterIncomplete { members, .. } => members.clone(),
        HoldReason::ClusterOrder { before, .. } => before.clone(),
        HoldReason::ClusterHalfUpgraded { failed, .. } => failed.clone(),
        HoldReason::SoakFailed { appliance } => vec![appliance.clone()],
        HoldReason::SameAppliance { other, .. } => vec![other.clone()],
        HoldReason::EarlierWave { wave, .. } => {
            let wave = run.plan.waves.iter().find(|planned| planned.name == *wave);
            let open = |name: &&ApplianceName| {
                run.appliances.get(*name).is_some_and(|member| !member.phase.is_terminal())
            };
            wave.map(|w| w.appliances.iter().filter(open).cloned().collect()).unwrap_or_default()
        }
        HoldReason::TransferLimit { .. } => {
            let moving = |phase: Phase| matches!(phase, Phase::Staging | Phase::Testing);
            let moving = run.appliances.iter().filter(|(_, member)| moving(member.phase));
            moving.map(|(name, _)| name.clone()).collect()
        }
        HoldReason::BudgetReached { .. } => run.counted.iter().cloned().collect(),
        _ => Vec::new(),
    }
}

/// The explanation as text. `commands` is what a person can type now.
pub(crate) fn text(
    of: &Explained<'_>,
    document: &Document,
    commands: &[String],
    paint: Paint,
    width: usize,
) -> String {
    let member = &document.appliance;
    let waits = of.now.duration_since(member.since);
    let mut text = format!(
        "{} in {}: {} since {} ({})\n",
        paint.on(Style::Bold, member.name.as_str()),
        document.rollout,
        paint.on(phase_style(member.state), member.state.name()),
        words::moment(member.since),
        words::duration(waits),
    );
    for line in wrap(&facts(of, document), width.saturating_sub(2)) {
        text.push_str(&format!("  {}\n", paint.on(Style::Dim, &line)));
    }
    if document.at_work == Some(false) && !member.state.is_terminal() {
        let why = "no `spsfleet run` is at work on it: nothing goes on until the next one";
        text.push_str(&paragraph("note", why, paint, Style::Warn, width));
    }
    text.push('\n');
    text.push_str(&reason(of, document, paint, width));
    if !document.next.is_empty() {
        text.push_str(&format!("\n{}\n", paint.on(Style::Bold, "next")));
        for (number, line) in document.next.iter().enumerate() {
            text.push_str(&step(number + 1, line, paint, width));
        }
        if !document.later_versions.is_empty() {
            let later = document.later_versions.join(", then ");
            text.push_str(&format!("     then all of it again for {later}\n"));
        }
    }
    if let Some(expected) = &document.expected {
        let took = words::duration(jiff::SignedDuration::from_secs(expected.seconds));
        let told = format!("down and verified again in {took} ({})", expected.source.describe());
        text.push_str(&paragraph("expected", &told, paint, Style::Dim, width));
    }
    if !document.events.is_empty() {
        text.push_str(&format!("\n{}\n", paint.on(Style::Bold, "so far")));
        text.push_str(&so_far(document, paint, width));
    }
    if !commands.is_empty() {
        text.push_str(&format!("\n{}\n", paint.on(Style::Bold, "what you can type")));
        for command in commands {
            text.push_str(&format!("  {}\n", command.replace('\n', "\n  ")));
        }
    }
    text
}

fn facts(of: &Explained<'_>, document: &Document) -> String {
    let member = &document.appliance;
    let mut facts = vec![format!("site {}", member.site), format!("wave {}", member.wave)];
    if let Some(entry) = of.run.plan.appliances.get(&member.name) {
        facts.extend(entry.group.as_ref().map(|group| format!("group {group}")));
        facts.extend(entry.cluster.as_ref().map(|cluster| format!("cluster {}", cluster.name)));
    }
    facts.extend(member.version.as_ref().map(|version| format!("runs {version}")));
    facts.extend(member.slot.as_ref().map(|slot| format!("slot {slot} holds the new one")));
    facts.extend(member.sessions.map(words::sessions));
    if let Some(hop) = &member.hop {
        facts.push(format!("hop {} of {}: {}", hop.number, hop.of, hop.version));
    }
    if member.down {
        facts.push("counts as down".to_owned());
    }
    let off = member.pair.as_ref().and_then(|pair| pair.secondary_off_since);
    facts.extend(off.map(|since| format!("secondary off since {}", words::moment(since))));
    facts.join(", ")
}

fn reason(of: &Explained<'_>, document: &Document, paint: Paint, width: usize) -> String {
    let Some(Reason { reason, needs_person, held_by }) = &document.reason else {
        let text = match document.appliance.state {
            Phase::Succeeded | Phase::UpToDate => "it is done: nothing is waited for",
            _ if document.next.first().is_some_and(|line| line.by_person) => {
                "a person's step comes next; it is asked for when its turn has come"
            }
            _ => "nothing is waited for: the step below is under way",
        };
        return format!("{text}\n");
    };
    let style = phase_style(document.appliance.state);
    let head = match document.appliance.state {
        Phase::Failed => "failed",
        Phase::Skipped => "left out",
        _ => "waits",
    };
    let head = format!("{head} ({})", reason.code);
    let mut text = paragraph(&head, &reason.text, paint, style, width);
    if !held_by.is_empty() {
        let names = words::names(held_by.iter().map(ApplianceName::as_str), 10);
        text.push_str(&paragraph("held by", &names, paint, Style::Plain, width));
    }
    let changes = match (reason.until, needs_person) {
        (Some(until), _) => changes(of, &document.appliance.site, until),
        (None, true) => "when a person decides".to_owned(),
        (None, false) => "by itself, as soon as that is over".to_owned(),
    };
    text.push_str(&paragraph("may change", &changes, paint, Style::Plain, width));
    text
}

fn changes(of: &Explained<'_>, site: &SiteName, until: Timestamp) -> String {
    let zone = zone(&of.run.plan, site);
    let left = until.duration_since(of.now);
    let left = match left.is_negative() {
        true => "any moment".to_owned(),
        false => format!("in {}", words::duration(left)),
    };
    match zone {
        Some(zone) => {
            format!("{} ({}), {left}", words::moment(until), words::local(until, zone))
        }
        None => format!("{}, {left}", words::moment(until)),
    }
}

fn zone<'a>(plan: &'a Plan, site: &SiteName) -> Option<&'a str> {
    plan.calendars.get(site).map(|calendar| calendar.time_zone.as_str())
}

/// A numbered step; a person's stands out.
pub(crate) fn step(number: usize, line: &Line, paint: Paint, width: usize) -> String {
    let style = if line.by_person { Style::Warn } else { Style::Plain };
    let mut start = format!("{number:>3}  {}", paint.on(style, &format!("{:<18}", line.step)));
    let mut text = String::new();
    for part in wrap(&line.text, width.saturating_sub(24).max(super::table::NARROWEST)) {
        text.push_str(&format!("{start} {part}\n"));
        start = " ".repeat(23);
    }
    text
}

/// What was worth a line, and the last thing whatever it was.
fn so_far(document: &Document, paint: Paint, width: usize) -> String {
    const SHOWN: usize = 12;
    let last = document.events.last().map(|event| event.seq);
    let worth = |event: &&EventView| event.told.main || Some(event.seq) == last;
    let worth: Vec<&EventView> = document.events.iter().filter(worth).collect();
    let mut text = String::new();
    if let more @ 1.. = worth.len().saturating_sub(SHOWN) {
        text.push_str(&format!("  ({more} earlier; `spsfleet events --appliance` has them)\n"));
    }
    for event in worth.iter().skip(worth.len().saturating_sub(SHOWN)) {
        let mut start = format!("  {}", paint.on(Style::Dim, &words::moment(event.at)));
        for part in wrap(&event.text, width.saturating_sub(24).max(super::table::NARROWEST)) {
            text.push_str(&format!("{start}  {}\n", paint.on(event.told.style, &part)));
            start = " ".repeat(22);
        }
    }
    text
}
