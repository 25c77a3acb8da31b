//! Why appliances wait, and how everything stands in the end.

use std::collections::BTreeMap;

use model::history::History;
use model::hold::HoldReason;
use model::ports::{Clock, Journal};
use model::run::Run;

use super::{Played, Stage};
use crate::stories::limits::broken;

impl Stage {
    /// Why appliances of the current rollout wait, from the journal.
    pub(super) fn why(&mut self) {
        let Some(run) = self.runs.get(&self.current).cloned() else { return };
        let why = self.reasons_of(&run);
        self.reasons(&run, &why);
    }

    fn reasons_of(&self, run: &Run) -> BTreeMap<model::ApplianceName, HoldReason> {
        let durations = futures::FutureExt::now_or_never(self.journal.durations());
        let durations = durations.expect("at once").expect("readable");
        let others = self.runs.values().filter(|other| other.id != run.id && !other.has_ended());
        executor::reasons_among(run, others, &History::of(&durations), self.clock.now())
    }

    pub(super) fn reasons(&mut self, run: &Run, why: &BTreeMap<model::ApplianceName, HoldReason>) {
        // Who waits for the same thing is told of together.
        let mut said: Vec<(String, Vec<&str>)> = Vec::new();
        for (name, reason) in why {
            let phase = run.appliances.get(name).map_or("gone", |run| run.phase.name());
            let reason = format!("is {phase}, {}", self.tale.hold(reason));
            match said.iter_mut().find(|(known, _)| *known == reason) {
                Some((_, names)) => names.push(name.as_str()),
                None => said.push((reason, vec![name.as_str()])),
            }
        }
        for (reason, names) in said {
            self.tale.say(&format!("  {} {reason}", names.join(", ")));
        }
    }

    /// How everything stands in the end.
    pub(super) fn end(mut self) -> Played {
        self.listen();
        let never = |text: &str| format!("{}: this never happened: {text}", self.name);
        if let Some(one) = self.waiting.first() {
            panic!("{}\n{}", never(&one.text), self.tale.text());
        }
        if let Some(one) = self.dues.first() {
            panic!("{}\n{}", never(&one.at.to_string()), self.tale.text());
        }
        self.tale.say("--- the end");
        for run in self.runs.values() {
            if self.plans.len() > 1 {
                self.tale.say(&format!("{} is {}", run.id, run.state(false).name()));
            } else {
                self.tale.say(&format!("the rollout is {}", run.state(false).name()));
            }
            for (name, state) in &run.appliances {
                let appliance = self.fleet.appliance(name.as_str()).expect("it is there");
                let (version, phase) = (appliance.version(), state.phase.name());
                let mut line = format!("  {name} runs {version}, {phase}");
                if let Some(pair) = appliance.pair() {
                    let power = if pair.secondary_has_power { "on" } else { "off" };
                    let whole = match (pair.broken, pair.whole) {
                        (true, _) => "BROKEN",
                        (false, true) => "whole",
                        (false, false) => "apart",
                    };
                    let holds = &pair.secondary_holds;
                    line += &format!("; secondary {power} with {holds}, pair {whole}");
                }
                self.tale.say(&line);
            }
            for debt in run.debts() {
                let stuck = debt.stuck.unwrap_or_else(|| format!("when {}", debt.condition));
                self.tale.say(&format!("  debt of {}: {}; {stuck}", debt.appliance, debt.undo));
            }
        }
        let events = self.journal.all();
        let broken = broken(self.fleet.ledger(), &events, self.start, self.clock.now());
        // Where the inventory names the wrong node, nothing else tells before it is tried.
        let (expected, broken): (Vec<_>, Vec<_>) = broken.into_iter().partition(|one| {
            self.lied_of.iter().any(|of| one.starts_with(&format!("{of}: the primary was down")))
        });
        for one in expected {
            self.tale.say(&format!("observer: since the inventory names the wrong node: {one}"));
        }
        match &broken[..] {
            [] => self.tale.say("observer: nothing broken"),
            all => {
                for one in all {
                    self.tale.say(&format!("observer: BROKEN: {one}"));
                }
            }
        }
        Played { text: self.tale.text().to_owned(), broken }
    }
}
