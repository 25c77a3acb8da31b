//! The one task that writes. It takes whatever waits, judges each batch by folding it, and
//! commits all that may happen in one transaction.

use std::collections::BTreeSet;
use std::path::PathBuf;

use model::RolloutId;
use model::event::{Draft, Event, Seq, StepDuration};
use model::ports::JournalError;
use sqlx::{Connection, SqliteConnection};
use tokio::sync::{mpsc, oneshot};
use tracing::{debug, warn};

use crate::error::Error;
use crate::fold::Fold;
use crate::lock::Lock;
use crate::open::{self, Settings};
use crate::read::{fold_log, last_seq, load};
use crate::sql::{self, WriteError};

/// One append, and where its answer goes.
pub(crate) struct Request {
    pub(crate) batch: Vec<Draft>,
    pub(crate) reply: oneshot::Sender<Result<Vec<Event>, JournalError>>,
}

/// The most events that go into one transaction, besides those of its last batch.
const GROUP: usize = 4096;

/// Owns the connection, the folded runs and the lock; ends when nobody can ask any more.
pub(crate) struct Writer {
    pub(crate) path: PathBuf,
    pub(crate) settings: Settings,
    /// `None` after a failure that leaves the connection in doubt.
    pub(crate) connection: Option<SqliteConnection>,
    pub(crate) fold: Fold,
    pub(crate) lock: Lock,
}

impl Writer {
    /// Serves until all senders are gone; what was asked for before that is still written.
    pub(crate) async fn serve(mut self, mut requests: mpsc::Receiver<Request>) {
        while let Some(first) = requests.recv().await {
            let mut events = first.batch.len();
            let mut group = vec![first];
            while events < GROUP
                && let Ok(next) = requests.try_recv()
            {
                events += next.batch.len();
                group.push(next);
            }
            self.commit(group).await;
        }
        if let Some(connection) = self.connection.take()
            && let Err(error) = connection.close().await
        {
            warn!(%error, "the journal's connection did not close in good order");
        }
        // Only now may another process write.
        drop(self.lock);
    }

    async fn commit(&mut self, group: Vec<Request>) {
        match self.prepare(&group).await {
            Ok(()) => self.write(group).await,
            Err(error) => {
                let failed = writing(&error);
                for request in group {
                    answer(request.reply, Err(failed.clone()));
                }
            }
        }
    }

    /// Has a connection, and every rollout that the group speaks of.
    async fn prepare(&mut self, group: &[Request]) -> Result<(), Error> {
        if self.connection.is_none() {
            let mut connection = open::writable(&self.path, self.settings).await?;
            // Whether the transaction that failed is durable is not known: the log says it.
            if last_seq(&self.path, &mut connection).await? != self.fold.last() {
                self.fold = load(&self.path, &mut connection).await?;
            }
            self.connection = Some(connection);
        }
        let Some(connection) = &mut self.connection else { return Err(Error::Closed) };
        let drafts = group.iter().flat_map(|request| &request.batch);
        let unknown: BTreeSet<&RolloutId> =
            drafts.map(|draft| &draft.rollout).filter(|id| self.fold.run(id).is_none()).collect();
        for id in unknown {
            if let Some(folded) = fold_log(&self.path, connection, id).await? {
                self.fold.insert(folded);
            }
        }
        Ok(())
    }

    async fn write(&mut self, group: Vec<Request>) {
        let start = self.fold.mark();
        let mut events: Vec<Event> = Vec::new();
        let mut durations: Vec<(Seq, StepDuration)> = Vec::new();
        let mut accepted = Vec::new();
        for request in group {
            let mark = self.fold.mark();
            let (from, took) = (events.len(), durations.len());
            match self.fold_batch(&request.batch, &mut events, &mut durations) {
                Ok(()) => accepted.push((request.reply, from..events.len())),
                Err(error) => {
                    self.fold.roll_back(mark);
                    events.truncate(from);
                    durations.truncate(took);
                    answer(request.reply, Err(error));
                }
            }
        }
        if events.is_empty() {
            return;
        }
        let Some(connection) = &mut self.connection else { return };
        match sql::write(connection, &self.fold, &events, &durations).await {
            Ok(()) => {
                debug!(events = events.len(), batches = accepted.len(), "committed");
                self.fold.settle();
                for (reply, range) in accepted {
                    let own = events.get(range).unwrap_or_default().to_vec();
                    answer(reply, Ok(own));
                }
            }
            Err(error) => {
                self.fold.roll_back(start);
                let error = self.failed(error).await;
                let failed = writing(&error);
                for (reply, _) in accepted {
                    answer(reply, Err(failed.clone()));
                }
            }
        }
    }

    fn fold_batch(
        &mut self,
        batch: &[Draft],
        events: &mut Vec<Event>,
        durations: &mut Vec<(Seq, StepDuration)>,
    ) -> Result<(), JournalError> {
        for draft in batch {
            let (event, took) = self.fold.apply(draft)?;
            durations.extend(took.map(|took| (event.seq, took)));
            events.push(event);
        }
        Ok(())
    }

    /// After any failure the connection is made anew.
    async fn failed(&mut self, error: WriteError) -> Error {
        if let Some(connection) = self.connection.take()
            && let Err(error) = connection.close().await
        {
            debug!(%error, "closing the journal's connection after a failure");
        }
        match error {
            WriteError::Sql(error) => Error::sql(&self.path, "writing events", error),
            other => Error::damaged(&self.path, other.to_string()),
        }
    }
}

fn writing(error: &Error) -> JournalError {
    error.in_journal("writing to the journal")
}

/// Whoever asked may have gone: then nobody wants to know.
fn answer<T>(reply: oneshot::Sender<T>, result: T) {
    drop(reply.send(result));
}
