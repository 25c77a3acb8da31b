//! One line: what it came to, for how many, in what time.

use model::run::{Phase, RolloutState, Run};

use super::facts::{Counts, Verdict};
use crate::printer::Style;
use crate::view::words;

/// The verdict of a rollout.
pub(super) fn verdict(run: &Run, counts: &Counts) -> Verdict {
    let mut parts = vec![format!(
        "{} of {} on {}",
        counts.upgraded,
        words::count(counts.appliances, "appliance"),
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
    let mut others = counts.appliances - counts.upgraded;
    for phase in told {
        if let Some(number @ 1..) = counts.by_state.get(phase.name()) {
            parts.push(format!("{number} {}", phase.name()));
            others = others.saturating_sub(*number);
        }
    }
    if others > 0 {
        parts.push(format!("{others} not finished"));
    }
    let (good, word) = match run.state(false) {
        RolloutState::Succeeded => (Some(true), "succeeded"),
        RolloutState::Failed => (Some(false), "finished"),
        RolloutState::Aborted => (Some(false), "aborted"),
        RolloutState::Paused => (None, "paused"),
        RolloutState::Halted => (Some(false), "halted"),
        RolloutState::Running => (None, "not finished"),
    };
    let rest = format!("{} in {}", parts.join(", "), words::duration(counts.took));
    Verdict { text: format!("{} {word}: {rest}", run.plan.rollout), word, rest, good }
}

impl Verdict {
    /// How its word looks.
    pub(super) fn style(&self) -> Style {
        match self.good {
            Some(true) => Style::Good,
            Some(false) => Style::Bad,
            None => Style::Warn,
        }
    }
}
