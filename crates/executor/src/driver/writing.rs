//! Everything is written first: facts in batches, intents before their acts, and what a journal
//! that cannot be written means.

use std::time::Duration;

use model::decision::Decision;
use model::event::{Act, ApplianceChange, Change, Draft, Event, RolloutChange};
use model::hold::HoldReason;
use tokio::sync::oneshot;

use super::{BATCH, Driver};
use crate::steps::TaskId;

/// The pauses between tries to write a journal that refused.
const WRITE_AGAIN: [Duration; 4] = [
    Duration::from_millis(500),
    Duration::from_secs(1),
    Duration::from_secs(3),
    Duration::from_secs(10),
];

/// An act that a step asks leave for.
pub(crate) struct Asked {
    pub(super) task: TaskId,
    pub(super) act: Act,
    pub(super) reply: oneshot::Sender<Result<(), HoldReason>>,
}

impl Driver {
    /// Writes what is to be written, tells the core, and goes on until nothing new follows.
    pub(super) async fn write(&mut self) {
        loop {
            let too_early =
                self.write_again_at.is_some_and(|at| self.shared.clock.monotonic() < at);
            if too_early || (!self.unwritten.is_empty() && !self.write_batch().await) {
                self.refuse_asked(&HoldReason::JournalNotWritable);
                return;
            }
            // An intent comes after all that was reported before it, and so does a step's end.
            if !self.unwritten.is_empty() {
                continue;
            }
            self.admit().await;
            self.end_tasks();
            if self.unwritten.is_empty() && self.asked.is_empty() {
                return;
            }
        }
    }

    /// One transaction. False when the journal cannot be written.
    pub(super) async fn write_batch(&mut self) -> bool {
        let batch: Vec<Draft> = self.unwritten.iter().take(BATCH).cloned().collect();
        match self.journal.append(&batch).await {
            Ok(events) => {
                self.unwritten.drain(..batch.len());
                self.writable(true);
                for event in events {
                    self.tell(&event);
                }
                if self.unwritten.is_empty() {
                    self.answer_decided(&Ok(()));
                }
                true
            }
            Err(error) if error.illegal && batch.len() > 1 => self.write_singly(batch).await,
            Err(error) if error.illegal => {
                self.unwritten.pop_front();
                self.illegal(&batch, &error.to_string());
                true
            }
            Err(error) => {
                if self.write_failures == 0 {
                    tracing::error!(%error, "the journal cannot be written; no new disruptive step begins");
                }
                self.writable(false);
                let later = "the journal cannot be written now; the decision takes effect as soon as it can";
                self.answer_decided(&Err(later.to_owned()));
                false
            }
        }
    }

    fn answer_decided(&mut self, verdict: &Result<(), String>) {
        for reply in std::mem::take(&mut self.decided) {
            // Who decided may be gone.
            drop(reply.send(verdict.clone()));
        }
    }

    /// One event of a batch cannot happen: find it, write the others.
    async fn write_singly(&mut self, batch: Vec<Draft>) -> bool {
        for draft in batch {
            let one = [draft];
            match self.journal.append(&one).await {
                Ok(events) => {
                    self.unwritten.pop_front();
                    for event in events {
                        self.tell(&event);
                    }
                }
                Err(error) if error.illegal => {
                    self.unwritten.pop_front();
                    self.illegal(&one, &error.to_string());
                }
                Err(_) => {
                    self.writable(false);
                    return false;
                }
            }
        }
        true
    }

    /// A step reported what cannot happen: a fault of this program. The appliance is held, so that
    /// nothing is done to it on a wrong belief.
    fn illegal(&mut self, drafts: &[Draft], why: &str) {
        for draft in drafts {
            tracing::error!(change = ?draft.change, %why, "an event that cannot happen was refused");
            let Change::Appliance(name, change) = &draft.change else {
                self.answer_decided(&Err(why.to_owned()));
                continue;
            };
            if matches!(change, ApplianceChange::Held(_)) {
                continue;
            }
            self.cancel(name);
            self.contradicted.insert(name.clone());
            let detail = format!("spsfleet contradicted itself ({why}); please report this");
            let held = ApplianceChange::Held(HoldReason::Refused { detail });
            let now = self.now();
            self.draft(now, Change::Appliance(name.clone(), held));
        }
    }

    fn writable(&mut self, writable: bool) {
        let now = self.shared.clock.monotonic();
        if writable {
            self.write_failures = 0;
            self.write_again_at = None;
        } else {
            let pause = WRITE_AGAIN[self.write_failures.min(WRITE_AGAIN.len() - 1)];
            self.write_failures += 1;
            self.write_again_at = Some(now + pause);
        }
        if self.core.halted() == writable {
            let commands = self.core.set_halted(!writable, self.now());
            self.carry_out(commands);
        }
    }

    fn tell(&mut self, event: &Event) {
        self.forgive(event);
        self.hold_contradicted(event);
        match self.core.handle(event, self.now()) {
            Ok(commands) => {
                if let Some(took) = self.core.take_duration() {
                    self.shared.history.learn(&took);
                }
                self.carry_out(commands);
            }
            Err(illegal) => tracing::error!(%illegal, "the core refused what the journal took"),
        }
        // Nobody need listen.
        drop(self.events.send(event.clone()));
    }

    /// The hold of a step that contradicted itself is written: now the core may hear of its end.
    fn hold_contradicted(&mut self, event: &Event) {
        if let Change::Appliance(name, ApplianceChange::Held(_)) = &event.change
            && self.contradicted.remove(name)
        {
            self.held.push(name.clone());
        }
    }

    /// A retry lets a refused password be sent again.
    fn forgive(&self, event: &Event) {
        if let Change::Rollout(RolloutChange::Decided {
            decision: Decision::Retry { appliances },
            ..
        }) = &event.change
        {
            appliances.iter().for_each(|name| self.logins.forgive(name));
        }
    }

    /// Grants acts: admitted by the core, intent durable, then the step may go on.
    async fn admit(&mut self) {
        let asked = std::mem::take(&mut self.asked);
        if asked.is_empty() {
            return;
        }
        let mut drafts = Vec::new();
        let mut granted = Vec::new();
        for Asked { task, act, reply } in asked {
            let Some(name) = self.begun.get(&task).map(|begun| begun.name.clone()) else {
                continue;
            };
            match self.core.admit(&name, &act, self.now()) {
                Ok(()) => {
                    let change = Change::Appliance(name, ApplianceChange::Intended(act));
                    let rollout = self.core.run().id.clone();
                    drafts.push(Draft { rollout, at: self.now(), change });
                    granted.push(reply);
                }
                Err(reason) => answer(reply, Err(reason)),
            }
        }
        self.write_intents(drafts, granted).await;
    }

    async fn write_intents(
        &mut self,
        drafts: Vec<Draft>,
        granted: Vec<oneshot::Sender<Result<(), HoldReason>>>,
    ) {
        if drafts.is_empty() {
            return;
        }
        match self.journal.append(&drafts).await {
            Ok(events) => {
                self.writable(true);
                for event in &events {
                    self.tell(event);
                }
                granted.into_iter().for_each(|reply| answer(reply, Ok(())));
            }
            Err(error) if error.illegal && drafts.len() > 1 => {
                for (draft, reply) in drafts.into_iter().zip(granted) {
                    Box::pin(self.write_intents(vec![draft], vec![reply])).await;
                }
            }
            Err(error) => {
                if error.illegal {
                    self.illegal(&drafts, &error.to_string());
                } else {
                    self.writable(false);
                }
                let refused = || Err(HoldReason::JournalNotWritable);
                granted.into_iter().for_each(|reply| answer(reply, refused()));
            }
        }
    }

    fn refuse_asked(&mut self, reason: &HoldReason) {
        for asked in std::mem::take(&mut self.asked) {
            answer(asked.reply, Err(reason.clone()));
        }
    }
}

fn answer(reply: oneshot::Sender<Result<(), HoldReason>>, verdict: Result<(), HoldReason>) {
    // A cancelled step does not listen any more.
    drop(reply.send(verdict));
}
