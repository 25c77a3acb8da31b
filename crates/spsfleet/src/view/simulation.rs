//! A simulated rollout: the timeline, what went wrong, what the simulated person did.

use std::collections::BTreeMap;

use control::wire::{NoticeView, ReasonView, RolloutView};
use executor::Ending;
use jiff::{SignedDuration, Timestamp};
use model::event::{Act, ApplianceChange, Change, Event, RolloutChange};
use model::run::Phase;
use model::{ApplianceName, ClusterName, WaveName};
use serde::Serialize;

use super::events::tell;
use super::reasons::Reasons;
use super::status::phase_style;
use super::table::{Table, cell, hanging, styled};
use super::words;
use crate::printer::{Paint, Style};
use crate::simulation::{LONGEST, PERSON, Simulated};

/// The document of a simulation.
#[derive(Debug, Serialize)]
pub(crate) struct Story {
    seed: u64,
    start: Timestamp,
    end: Timestamp,
    ending: String,
    exit_code: u8,
    waves: Vec<WaveStory>,
    clusters: Vec<ClusterStory>,
    appliances: Vec<ApplianceStory>,
    /// What would have gone wrong.
    wrong: Vec<Told>,
    /// What a person would have to look at in the end.
    alarms: Vec<NoticeView>,
    /// Why those that are not through wait in the end.
    waiting: Vec<Waiting>,
    /// What the simulated person did.
    person: Vec<Told>,
}

#[derive(Debug, Serialize)]
struct Waiting {
    name: ApplianceName,
    reason: ReasonView,
}

#[derive(Debug, Serialize)]
struct WaveStory {
    name: WaveName,
    start: Option<Timestamp>,
    end: Option<Timestamp>,
    upgraded: usize,
    of: usize,
}

#[derive(Debug, Serialize)]
struct ClusterStory {
    name: ClusterName,
    start: Option<Timestamp>,
    end: Option<Timestamp>,
    audit_gap_seconds: i64,
    open: bool,
}

#[derive(Debug, Serialize)]
struct ApplianceStory {
    name: ApplianceName,
    wave: WaveName,
    state: Phase,
    version: Option<String>,
    down_at: Option<Timestamp>,
    up_at: Option<Timestamp>,
    down_seconds: i64,
    sessions_cut: Option<u64>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
struct Told {
    at: Timestamp,
    appliance: Option<ApplianceName>,
    text: String,
    #[serde(skip)]
    bad: bool,
}

#[derive(Debug, Default)]
struct Span {
    first: Option<Timestamp>,
    since: Option<Timestamp>,
    last: Option<Timestamp>,
    down: SignedDuration,
}

impl Story {
    /// Tells what came of a simulation.
    pub(crate) fn of(simulated: &Simulated, seed: u64, exit_code: u8) -> Self {
        let Simulated { run, events, ending, end, reasons } = simulated;
        let mut spans: BTreeMap<&ApplianceName, Span> = BTreeMap::new();
        let mut waves: BTreeMap<&WaveName, (Option<Timestamp>, Option<Timestamp>)> =
            BTreeMap::new();
        let mut clusters: BTreeMap<&ClusterName, (Option<Timestamp>, Option<Timestamp>)> =
            BTreeMap::new();
        for event in events {
            match &event.change {
                Change::Rollout(RolloutChange::WaveStarted { wave }) => {
                    waves.entry(wave).or_default().0.get_or_insert(event.at);
                }
                Change::Rollout(RolloutChange::WaveFinished { wave }) => {
                    waves.entry(wave).or_default().1 = Some(event.at);
                }
                Change::Rollout(RolloutChange::ClusterStarted { cluster }) => {
                    clusters.entry(cluster).or_default().0.get_or_insert(event.at);
                }
                Change::Rollout(RolloutChange::ClusterFinished { cluster }) => {
                    clusters.entry(cluster).or_default().1 = Some(event.at);
                }
                Change::Appliance(name, change) => {
                    spans.entry(name).or_default().take(change, event.at);
                }
                Change::Rollout(_) => {}
            }
        }
        let upgraded = |name: &&ApplianceName| {
            run.appliances.get(*name).is_some_and(|member| member.phase.is_upgraded())
        };
        let waves = run.plan.waves.iter().map(|wave| {
            let (start, end) = waves.get(&wave.name).copied().unwrap_or_default();
            WaveStory {
                name: wave.name.clone(),
                start,
                end,
                upgraded: wave.appliances.iter().filter(upgraded).count(),
                of: wave.appliances.len(),
            }
        });
        let clusters = run.plan.clusters.keys().map(|name| {
            let (start, ended) = clusters.get(name).copied().unwrap_or_default();
            let state = run.clusters.get(name);
            ClusterStory {
                name: name.clone(),
                start,
                end: ended,
                audit_gap_seconds: state.map_or(0, |state| state.audit_gap(*end).as_secs()),
                open: state.is_some_and(|state| state.gap_since.is_some()),
            }
        });
        let appliances = run.plan.in_order().filter_map(|(wave, entry)| {
            let state = run.appliances.get(&entry.name)?;
            let span = spans.get(&entry.name);
            Some(ApplianceStory {
                name: entry.name.clone(),
                wave: wave.name.clone(),
                state: state.phase,
                version: state.version.as_ref().map(ToString::to_string),
                down_at: span.and_then(|span| span.first),
                up_at: span.and_then(|span| span.last),
                down_seconds: span.map_or(0, |span| span.down.as_secs()),
                sessions_cut: state.sessions_cut,
            })
        });
        let view = RolloutView::of(run, false, reasons, *end);
        let open = view.appliances.iter().filter(|member| !member.state.is_terminal());
        let waiting = open.filter_map(|member| {
            Some(Waiting { name: member.name.clone(), reason: member.reason.clone()? })
        });
        Self {
            waiting: waiting.collect(),
            alarms: view.alarms.clone(),
            seed,
            start: run.accepted_at,
            end: *end,
            ending: match ending {
                Some(ending) => ending.describe().to_owned(),
                None => format!("not over after {} days", LONGEST.as_secs() / 86_400),
            },
            exit_code,
            waves: waves.collect(),
            clusters: clusters.collect(),
            appliances: appliances.collect(),
            wrong: events.iter().filter_map(wrong).collect(),
            person: events.iter().filter_map(by_person).collect(),
        }
    }
}

impl Span {
    fn take(&mut self, change: &ApplianceChange, at: Timestamp) {
        match change {
            ApplianceChange::Intended(Act::Upgrade { .. }) => {
                self.first.get_or_insert(at);
                self.since = Some(at);
            }
            ApplianceChange::Returned { .. } | ApplianceChange::Up { .. } => {
                if let Some(since) = self.since.take() {
                    self.last = Some(at);
                    self.down += at.duration_since(since);
                }
            }
            _ => {}
        }
    }
}

/// What a person who watches would be worried by. What the plan asks a person for is no worry.
fn wrong(event: &Event) -> Option<Told> {
    use model::hold::HoldReason;
    if let Change::Appliance(
        _,
        ApplianceChange::Held(HoldReason::AttendedStep { .. } | HoldReason::OperatorReboot { .. }),
    ) = &event.change
    {
        return None;
    }
    let told = tell(&event.change);
    let bad = match told.style {
        Style::Bad => true,
        Style::Warn => false,
        _ => return None,
    };
    let appliance = match &event.change {
        Change::Appliance(name, _) => Some(name.clone()),
        Change::Rollout(_) => None,
    };
    told.main.then(|| Told { at: event.at, appliance, text: told.whole(), bad })
}

fn by_person(event: &Event) -> Option<Told> {
    let Change::Rollout(RolloutChange::Decided { actor, .. }) = &event.change else { return None };
    let told = tell(&event.change).whole();
    let text = told.replace(&format!(" by {PERSON}"), "").replace(" (simulated)", "");
    (actor.name == PERSON).then_some(Told { at: event.at, appliance: None, text, bad: false })
}

/// Of long lists so many are shown; JSON has all.
const SHOWN: usize = 40;

/// The story as text. `all`: every appliance, however many there are.
pub(crate) fn text(story: &Story, all: bool, paint: Paint, width: usize) -> String {
    let took = |from: Timestamp, to: Timestamp| words::duration(to.duration_since(from));
    let moment = |at: Option<Timestamp>| cell(at.map_or_else(|| "-".to_owned(), utc));
    let mut text = format!(
        "\n{} (seed {}): {} to {} UTC, {}\n",
        paint.on(Style::Bold, "simulated"),
        story.seed,
        utc(story.start),
        utc(story.end),
        took(story.start, story.end)
    );
    let mut table = Table::new(["WAVE", "BEGINS", "ENDS", "UPGRADED"]);
    for wave in &story.waves {
        let style = if wave.upgraded == wave.of { Style::Good } else { Style::Warn };
        let upgraded = styled(style, format!("{} of {}", wave.upgraded, wave.of));
        table.row([cell(wave.name.as_str()), moment(wave.start), moment(wave.end), upgraded]);
    }
    text.push_str(&format!("\n{}", table.render(paint, width)));
    if !story.clusters.is_empty() {
        let mut table = Table::new(["CLUSTER", "BEGINS", "ENDS", "AUDIT GAP"]);
        for cluster in &story.clusters {
            let gap = words::duration(SignedDuration::from_secs(cluster.audit_gap_seconds));
            let gap = match cluster.open {
                true => styled(Style::Bad, format!("{gap}, still open")),
                false => cell(gap),
            };
            table.row([
                cell(cluster.name.as_str()),
                moment(cluster.start),
                moment(cluster.end),
                gap,
            ]);
        }
        text.push_str(&format!("\n{}", table.render(paint, width)));
    }
    text.push_str(&appliances(story, all, paint, width));
    text.push_str(&list("by the simulated person", &story.person, story, paint, width));
    text.push_str(&list("what would have gone wrong", &story.wrong, story, paint, width));
    if story.wrong.is_empty() {
        text.push_str("\nnothing would have gone wrong\n");
    }
    for alarm in &story.alarms {
        let head = format!("ALARM {}", alarm.code);
        text.push_str(&hanging(2, &head, &alarm.text, paint, Style::Bad, width));
    }
    let mut why = Reasons::default();
    for Waiting { name, reason } in &story.waiting {
        why.add(name.as_str(), reason.clone(), Style::Warn);
    }
    let why = why.text(paint, width);
    if !why.is_empty() {
        text.push_str(&format!("\n{}\n{why}", paint.on(Style::Bold, "waits in the end")));
    }
    let style = if story.exit_code == 0 { Style::Good } else { Style::Warn };
    text.push_str(&format!(
        "\nsimulated rollout: {} (exit code {})\n",
        paint.on(style, &story.ending),
        story.exit_code
    ));
    text
}

fn utc(at: Timestamp) -> String {
    words::short_local(at, "UTC")
}

/// Everybody, or of many only those that did not get there.
fn appliances(story: &Story, all: bool, paint: Paint, width: usize) -> String {
    let each = all || story.appliances.len() <= SHOWN;
    let shown = |member: &&ApplianceStory| each || !member.state.is_upgraded();
    let mut table = Table::new(["NAME", "WAVE", "GOES DOWN", "IS BACK", "DOWN", "STATE"]);
    let (mut rows, mut more) = (0, 0);
    for member in story.appliances.iter().filter(shown) {
        if !all && rows == SHOWN {
            more += 1;
            continue;
        }
        rows += 1;
        let moment = |at: Option<Timestamp>| cell(at.map_or_else(|| "-".to_owned(), utc));
        let down = match member.down_seconds {
            0 => "-".to_owned(),
            seconds => words::duration(SignedDuration::from_secs(seconds)),
        };
        table.row([
            cell(member.name.as_str()),
            cell(member.wave.as_str()),
            moment(member.down_at),
            moment(member.up_at),
            cell(down),
            styled(phase_style(member.state), member.state.name()),
        ]);
    }
    let mut text = String::new();
    if rows > 0 {
        text.push_str(&format!("\n{}", table.render(paint, width)));
    }
    if more > 0 {
        text.push_str(&format!("and {more} more; --all shows them\n"));
    }
    if !each {
        let down: Vec<i64> = story.appliances.iter().map(|a| a.down_seconds).collect();
        let were = i64::try_from(down.iter().filter(|s| **s > 0).count()).unwrap_or(1);
        let mean = down.iter().sum::<i64>().checked_div(were.max(1)).unwrap_or_default();
        let words = |seconds| words::duration(SignedDuration::from_secs(seconds));
        text.push_str(&format!(
            "\n{were} went down, for {} each on average and {} at most; --all shows each\n",
            words(mean),
            words(down.iter().max().copied().unwrap_or_default())
        ));
    }
    text
}

fn list(head: &str, told: &[Told], story: &Story, paint: Paint, width: usize) -> String {
    if told.is_empty() {
        return String::new();
    }
    let mut text = format!("\n{} ({})\n", paint.on(Style::Bold, head), told.len());
    for one in told.iter().take(SHOWN) {
        let after = words::duration(one.at.duration_since(story.start));
        let who = one.appliance.as_ref().map_or(String::new(), |name| format!(" {name}"));
        let style = if one.bad { Style::Bad } else { Style::Plain };
        let head = format!("{} (+{after}){who}", utc(one.at));
        text.push_str(&hanging(2, &head, &one.text, paint, style, width));
    }
    if let more @ 1.. = told.len().saturating_sub(SHOWN) {
        text.push_str(&format!("  and {more} more; --output json has all\n"));
    }
    text
}

/// The exit code that the rollout would have ended with.
pub(crate) fn exit(ending: Option<Ending>) -> model::exit::Exit {
    // One that never ends waits for what does not come.
    ending.map_or(model::exit::Exit::Held, Ending::exit)
}
