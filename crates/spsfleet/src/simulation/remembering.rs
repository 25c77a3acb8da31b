//! A journal in memory that knows what steps took before it began.

use std::collections::BTreeMap;
use std::sync::Arc;

use futures::future::BoxFuture;
use model::event::{Draft, Event, LoginMemory, RolloutHead, Seq, StepDuration};
use model::memory::MemoryJournal;
use model::ports::{Journal, JournalError};
use model::{ApplianceName, RolloutId};

/// The journal of a simulation.
pub(super) struct Remembering {
    /// What happens in it.
    pub(super) inner: Arc<MemoryJournal>,
    /// What steps took before.
    pub(super) durations: Vec<StepDuration>,
}

impl Journal for Remembering {
    fn append<'a>(&'a self, batch: &'a [Draft]) -> BoxFuture<'a, Result<Vec<Event>, JournalError>> {
        self.inner.append(batch)
    }

    fn events<'a>(
        &'a self,
        rollout: &'a RolloutId,
        after: Seq,
        limit: usize,
    ) -> BoxFuture<'a, Result<Vec<Event>, JournalError>> {
        self.inner.events(rollout, after, limit)
    }

    fn rollouts(&self) -> BoxFuture<'_, Result<Vec<RolloutHead>, JournalError>> {
        self.inner.rollouts()
    }

    fn logins(&self) -> BoxFuture<'_, Result<LoginMemory, JournalError>> {
        self.inner.logins()
    }

    fn durations(&self) -> BoxFuture<'_, Result<Vec<StepDuration>, JournalError>> {
        Box::pin(async {
            let mut durations = self.durations.clone();
            durations.extend(self.inner.durations().await?);
            Ok(durations)
        })
    }

    fn hostnames(&self) -> BoxFuture<'_, Result<BTreeMap<ApplianceName, String>, JournalError>> {
        self.inner.hostnames()
    }
}
