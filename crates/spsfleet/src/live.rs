//! A rollout while it runs: one line a change and, on a terminal, a line of counts below that is
//! rewritten.

use model::event::{ApplianceChange, Change, Event};
use model::run::Run;

use crate::advice::to_approve;
use crate::printer::{Printer, Style, width};
use crate::view::events::Told;
use crate::view::table::{NARROWEST, wrap};
use crate::view::{events, status, words};

/// Shows events as they come.
#[derive(Debug)]
pub(crate) struct Live {
    printer: Printer,
    run: Run,
    name_width: usize,
    counts_shown: bool,
    waits: bool,
}

/// A longer name moves its line to the right instead of taking room from all.
const WIDEST_NAME: usize = 24;

impl Live {
    /// Starts from what is.
    pub(crate) fn new(printer: Printer, run: Run) -> Self {
        let widest = run.plan.appliances.keys().map(|name| name.as_str().len()).max();
        let name_width = widest.unwrap_or_default().min(WIDEST_NAME);
        Self { printer, run, name_width, counts_shown: false, waits: false }
    }

    /// Takes in one event and shows it when a watcher wants to see it.
    pub(crate) fn show(&mut self, event: &Event) {
        if event.rollout != self.run.id || event.seq <= self.run.seq {
            return;
        }
        if let Err(error) = self.run.apply(event) {
            tracing::debug!(%error, "the live view has lost the thread");
        }
        let told = events::tell(&event.change);
        let progress =
            matches!(event.change, Change::Appliance(_, ApplianceChange::Progress { .. }));
        if told.main {
            self.hide_counts();
            self.print(event, &told);
        }
        if !progress || self.counts_shown {
            self.show_counts();
        }
    }

    fn print(&self, event: &Event, told: &Told) {
        let paint = self.printer.talk;
        let name = match &event.change {
            Change::Appliance(name, _) => {
                format!("{name:<width$}  ", width = self.name_width)
            }
            Change::Rollout(_) => String::new(),
        };
        let time = words::time_of_day(event.at);
        let indent = time.len() + 2 + name.chars().count();
        // One change, one line, unless it is read on a terminal.
        let lines = if self.printer.talk_is_terminal {
            wrap(&told.text, width().saturating_sub(indent + 1).max(NARROWEST))
        } else {
            vec![told.text.clone()]
        };
        let text: Vec<String> = lines.iter().map(|line| paint.on(told.style, line)).collect();
        self.printer.say(&format!(
            "{}  {}{}",
            paint.on(Style::Dim, &time),
            paint.on(Style::Bold, &name),
            text.join(&format!("\n{}", " ".repeat(indent)))
        ));
    }

    /// Some events were missed, since they came faster than they could be shown.
    pub(crate) fn catch_up(&mut self, run: Run, missed: u64) {
        self.hide_counts();
        self.printer.say(&format!("({missed} changes not shown; `spsfleet events` has them)"));
        self.run = run;
    }

    /// Whether the rollout has just begun to wait for a person; says so once until it goes on.
    pub(crate) fn begins_to_wait(&mut self) -> bool {
        let waits = self.run.pause.is_some()
            || self.run.breach.is_some()
            || self.run.soak_failed.is_some()
            || to_approve(&self.run).is_some()
            || self.run.any_half_upgraded()
            || self.run.appliances.values().any(|member| member.phase.needs_person());
        let begins = waits && !self.waits;
        self.waits = waits;
        begins
    }

    /// What was folded so far.
    pub(crate) fn run(&self) -> &Run {
        &self.run
    }

    /// Says something between the lines.
    pub(crate) fn say(&mut self, text: &str) {
        self.hide_counts();
        self.printer.say(text);
        self.show_counts();
    }

    /// Ends the view.
    pub(crate) fn end(&mut self) {
        self.hide_counts();
    }

    fn hide_counts(&mut self) {
        if self.counts_shown {
            self.printer.say_raw("\r\u{1b}[K");
            self.counts_shown = false;
        }
    }

    fn show_counts(&mut self) {
        if !self.printer.talk_is_terminal {
            return;
        }
        let counts = status::live_line(&self.run, false);
        let cut: String = counts.chars().take(width().saturating_sub(1)).collect();
        let line = self.printer.talk.on(Style::Dim, &cut);
        self.printer.say_raw(&format!("\r{line}\u{1b}[K"));
        self.counts_shown = true;
    }
}
