//! What a running `run` answers at its socket.

use std::sync::Arc;

use control::wire::{RolloutView, StatusView};
use control::{Decided, Refusal, Service};
use executor::Handle;
use futures::future::BoxFuture;
use model::decision::{Actor, Decision};
use model::event::{Change, Draft, Event, RolloutChange, Seq};
use model::history::History;
use model::ports::{Clock, Journal};
use model::run::Run;
use model::{Chain, RolloutId};
use state::SqliteJournal;
use tokio::sync::broadcast::Receiver;

/// The one rollout that this process runs, and the journal in which others lie that nobody runs:
/// while this process holds it, it alone can write down what is decided about them.
pub(crate) struct Running {
    handle: Handle,
    id: RolloutId,
    name: String,
    journal: Arc<SqliteJournal>,
    clock: Arc<dyn Clock>,
}

impl Running {
    /// Answers for a rollout that runs on this journal.
    pub(crate) fn new(
        handle: Handle,
        run: &Run,
        journal: Arc<SqliteJournal>,
        clock: Arc<dyn Clock>,
    ) -> Self {
        Self { handle, id: run.id.clone(), name: run.plan.rollout.to_string(), journal, clock }
    }

    fn is_mine(&self, wanted: &str) -> bool {
        wanted == self.name || (!wanted.is_empty() && self.id.as_str().starts_with(wanted))
    }

    async fn mine(&self) -> Result<RolloutView, Refusal> {
        let ended = || Refusal::Unavailable(format!("rollout {} is ending", self.name));
        let (run, waiting, halted) = self.handle.snapshot().await.ok_or_else(ended)?;
        let view = RolloutView::of(&run, halted, &waiting, self.clock.now());
        Ok(RolloutView { at_work: Some(true), ..view })
    }

    /// A rollout that lies in the journal.
    async fn other(&self, wanted: &str) -> Result<Run, Refusal> {
        let unavailable = |error: state::Error| Refusal::Unavailable(Chain(&error).to_string());
        let reader = self.journal.reader();
        let missing = || Refusal::NotFound(format!("there is no rollout `{wanted}`"));
        let head = reader.find(wanted).await.map_err(unavailable)?.ok_or_else(missing)?;
        reader.snapshot(&head.id).await.map_err(unavailable)?.ok_or_else(missing)
    }

    async fn view(&self, run: &Run) -> Result<RolloutView, Refusal> {
        let durations = self.journal.reader().durations().await;
        let durations =
            durations.map_err(|error| Refusal::Unavailable(Chain(&error).to_string()))?;
        let (history, now) = (History::of(&durations), self.clock.now());
        let reasons = crate::database::reasons(self.journal.reader(), run, &history, now).await;
        let reasons = reasons.map_err(|error| Refusal::Unavailable(Chain(&error).to_string()))?;
        let view = RolloutView::of(run, false, &reasons, now);
        Ok(RolloutView { at_work: Some(false), ..view.expecting(run, &history) })
    }
}

impl Service for Running {
    fn status(&self) -> BoxFuture<'_, Result<StatusView, Refusal>> {
        Box::pin(async {
            let heads = self.journal.rollouts().await;
            let heads = heads.map_err(|error| Refusal::Unavailable(error.to_string()))?;
            let mut views = Vec::new();
            for head in heads.into_iter().filter(|head| !head.ended || head.id == self.id) {
                views.push(if head.id == self.id {
                    self.mine().await?
                } else {
                    self.view(&self.other(head.id.as_str()).await?).await?
                });
            }
            Ok(StatusView::with(views))
        })
    }

    fn rollout<'a>(&'a self, wanted: &'a str) -> BoxFuture<'a, Result<StatusView, Refusal>> {
        Box::pin(async move {
            let view = if self.is_mine(wanted) {
                self.mine().await?
            } else {
                self.view(&self.other(wanted).await?).await?
            };
            Ok(StatusView::with(vec![view]))
        })
    }

    fn decide<'a>(
        &'a self,
        wanted: &'a str,
        decision: Decision,
        reason: String,
        actor: Actor,
    ) -> BoxFuture<'a, Result<Decided, Refusal>> {
        Box::pin(async move {
            if !self.is_mine(wanted) {
                let run = self.other(wanted).await?;
                run.may_decide(&decision).map_err(Refusal::Refused)?;
                let change = RolloutChange::Decided { actor, reason, decision };
                let (rollout, at) = (run.id.clone(), self.clock.now());
                let draft = Draft { rollout, at, change: Change::Rollout(change) };
                let written = self.journal.append(&[draft]).await;
                let written = written.map_err(|error| Refusal::Unavailable(error.to_string()))?;
                let seq = written.first().map_or(0, |event| event.seq);
                return Ok(Decided { rollout: run.id, seq });
            }
            let mut events = self.handle.subscribe();
            let taken = self.handle.decide(actor, reason, decision.clone()).await;
            taken.map_err(Refusal::Refused)?;
            let seq = match written(&mut events, &decision) {
                Some(seq) => seq,
                None => self.handle.snapshot().await.map_or(0, |(run, ..)| run.seq),
            };
            Ok(Decided { rollout: self.id.clone(), seq })
        })
    }
}

/// The event that records the decision.
fn written(events: &mut Receiver<Event>, wanted: &Decision) -> Option<Seq> {
    while let Ok(event) = events.try_recv() {
        if let Change::Rollout(RolloutChange::Decided { decision, .. }) = &event.change
            && decision == wanted
        {
            return Some(event.seq);
        }
    }
    None
}
