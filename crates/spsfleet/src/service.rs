//! What a running `run` answers at its socket.

use control::wire::StatusView;
use control::{Decided, Refusal, Service};
use executor::Handle;
use futures::future::BoxFuture;
use model::RolloutId;
use model::decision::{Actor, Decision};
use model::event::{Change, Event, RolloutChange, Seq};
use model::run::Run;
use tokio::sync::broadcast::Receiver;

/// The one rollout that this process runs.
pub(crate) struct Running {
    handle: Handle,
    id: RolloutId,
    name: String,
}

impl Running {
    /// Answers for a rollout.
    pub(crate) fn new(handle: Handle, run: &Run) -> Self {
        Self { handle, id: run.id.clone(), name: run.plan.rollout.to_string() }
    }

    async fn view(&self) -> Result<StatusView, Refusal> {
        let ended = || Refusal::Unavailable(format!("rollout {} is ending", self.name));
        let (run, waiting, halted) = self.handle.snapshot().await.ok_or_else(ended)?;
        Ok(StatusView::of(&run, halted, &waiting))
    }

    fn mine(&self, wanted: &str) -> Result<(), Refusal> {
        let is_mine =
            wanted == self.name || (!wanted.is_empty() && self.id.as_str().starts_with(wanted));
        if is_mine {
            return Ok(());
        }
        Err(Refusal::NotFound(format!("this process runs rollout {}, not `{wanted}`", self.name)))
    }
}

impl Service for Running {
    fn status(&self) -> BoxFuture<'_, Result<StatusView, Refusal>> {
        Box::pin(self.view())
    }

    fn rollout<'a>(&'a self, wanted: &'a str) -> BoxFuture<'a, Result<StatusView, Refusal>> {
        Box::pin(async move {
            self.mine(wanted)?;
            self.view().await
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
            self.mine(wanted)?;
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
