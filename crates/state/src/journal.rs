//! The journal that is written.

use std::collections::BTreeMap;
use std::path::Path;

use futures::future::BoxFuture;
use model::event::{Draft, Event, LoginMemory, RolloutHead, Seq, StepDuration};
use model::ports::{Journal, JournalError};
use model::{ApplianceName, RolloutId};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;

use crate::error::Error;
use crate::lock::{Holder, Lock};
use crate::open::{self, Settings};
use crate::read::{SqliteReader, load};
use crate::writer::{Request, Writer};

/// How a journal is opened for writing.
#[derive(Debug, Clone)]
pub struct OpenOptions {
    /// Whether a file that is not there (or empty) becomes a new journal.
    pub create: bool,
    /// Who opens it: the next one who wants to is told.
    pub holder: Holder,
    /// The most pages of 4 KiB that the file may have; absent, the disk decides. An append beyond
    /// it fails as on a full disk.
    pub page_limit: Option<u32>,
}

impl OpenOptions {
    /// Opens a journal that is there.
    #[must_use]
    pub fn existing(holder: Holder) -> Self {
        Self { create: false, holder, page_limit: None }
    }

    /// Opens a journal, and makes it when it is not there.
    #[must_use]
    pub fn or_create(holder: Holder) -> Self {
        Self { create: true, holder, page_limit: None }
    }
}

/// The journal in a SQLite file, held by this process alone.
///
/// Dropped, it finishes what was asked for and gives the lock free a moment later;
/// [`SqliteJournal::close`] waits for that.
#[derive(Debug)]
pub struct SqliteJournal {
    reader: SqliteReader,
    requests: mpsc::Sender<Request>,
    writer: JoinSet<()>,
}

impl SqliteJournal {
    /// Opens a journal for writing. Must be called in a tokio runtime, which then also carries
    /// the writing task.
    ///
    /// # Errors
    /// When the file is not there, not a journal, of a newer program, not accessible, or in use
    /// by another process.
    pub async fn open(path: &Path, options: OpenOptions) -> Result<Self, Error> {
        let path = open::place_of(path)?;
        if !options.create && !path.exists() {
            return Err(Error::NoSuchFile { path });
        }
        let lock = Lock::take(&path, &options.holder)?;
        match open::create_private(&path) {
            Ok(()) | Err(Error::Exists { .. }) => {}
            Err(error) => return Err(error),
        }
        open::prepare(&path, options.create).await?;
        let settings = Settings { page_limit: options.page_limit };
        let mut connection = open::writable(&path, settings).await?;
        open::migrate(&path, &mut connection).await?;
        let fold = load(&path, &mut connection).await?;
        let reader = SqliteReader::connect(path.clone());
        let (requests, waiting) = mpsc::channel(WAITING);
        let mut tasks = JoinSet::new();
        let writer = Writer { path, settings, connection: Some(connection), fold, lock };
        tasks.spawn(writer.serve(waiting));
        Ok(Self { reader, requests, writer: tasks })
    }

    /// Opens a journal for reading only, also beside a process that writes it.
    ///
    /// # Errors
    /// When the file is not there, not a journal, of another version, or not accessible.
    pub async fn open_read_only(path: &Path) -> Result<SqliteReader, Error> {
        SqliteReader::open(path).await
    }

    /// Everything that can be read.
    #[must_use]
    pub fn reader(&self) -> &SqliteReader {
        &self.reader
    }

    /// Writes what waits, closes the file and gives the lock free.
    pub async fn close(mut self) {
        self.reader.close().await;
        let (gone, _) = mpsc::channel(1);
        self.requests = gone;
        while self.writer.join_next().await.is_some() {}
    }

    async fn ask(&self, batch: &[Draft]) -> Result<Vec<Event>, JournalError> {
        if batch.is_empty() {
            return Ok(Vec::new());
        }
        let closed = || Error::Closed.in_journal("writing to the journal");
        let (reply, answer) = oneshot::channel();
        let request = Request { batch: batch.to_vec(), reply };
        self.requests.send(request).await.map_err(|_| closed())?;
        answer.await.map_err(|_| closed())?
    }
}

/// How many appends may wait in line; more wait outside.
const WAITING: usize = 4096;

impl Drop for SqliteJournal {
    fn drop(&mut self) {
        // The task ends by itself, since nobody can ask any more; aborting it would cut a commit.
        self.writer.detach_all();
    }
}

impl Journal for SqliteJournal {
    /// An append that is dropped while it waits may still be written.
    fn append<'a>(&'a self, batch: &'a [Draft]) -> BoxFuture<'a, Result<Vec<Event>, JournalError>> {
        Box::pin(self.ask(batch))
    }

    fn events<'a>(
        &'a self,
        rollout: &'a RolloutId,
        after: Seq,
        limit: usize,
    ) -> BoxFuture<'a, Result<Vec<Event>, JournalError>> {
        Box::pin(async move {
            self.reader.page(rollout, after, limit).await.map_err(|error| reading(&error))
        })
    }

    fn rollouts(&self) -> BoxFuture<'_, Result<Vec<RolloutHead>, JournalError>> {
        Box::pin(async { self.reader.rollouts().await.map_err(|error| reading(&error)) })
    }

    fn logins(&self) -> BoxFuture<'_, Result<LoginMemory, JournalError>> {
        Box::pin(async { self.reader.logins().await.map_err(|error| reading(&error)) })
    }

    fn durations(&self) -> BoxFuture<'_, Result<Vec<StepDuration>, JournalError>> {
        Box::pin(async { self.reader.durations().await.map_err(|error| reading(&error)) })
    }

    fn hostnames(&self) -> BoxFuture<'_, Result<BTreeMap<ApplianceName, String>, JournalError>> {
        Box::pin(async { self.reader.hostnames().await.map_err(|error| reading(&error)) })
    }
}

fn reading(error: &Error) -> JournalError {
    error.in_journal("reading the journal")
}
