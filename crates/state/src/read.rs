//! Everything that is read: pages of the log, folds of it, and what is derived.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use jiff::SignedDuration;
use model::event::{Event, LoginMemory, RolloutHead, Seq, StepDuration};
use model::ports::Fingerprint;
use model::run::Run;
use model::{ApplianceName, CredentialId, RolloutId, SiteName};
use sqlx::pool::PoolConnection;
use sqlx::sqlite::SqlitePoolOptions;
use sqlx::{Sqlite, SqliteConnection, SqlitePool};

use crate::codec::{EventRow, decode, word};
use crate::error::Error;
use crate::fold::{Fold, Folded, is_plan};
use crate::open;
use crate::status::{self, FOLDED_BY, RolloutStatusRows, read_head};

/// In which order events are wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Order {
    /// The oldest first.
    #[default]
    Oldest,
    /// The newest first.
    Newest,
}

/// Which events are wanted.
#[derive(Debug, Clone, Default)]
pub struct EventQuery {
    /// Only of this rollout.
    pub rollout: Option<RolloutId>,
    /// Only of this appliance.
    pub appliance: Option<ApplianceName>,
    /// Only after this number.
    pub after: Seq,
    /// At most so many; 0 is none.
    pub limit: usize,
    /// From which end.
    pub order: Order,
}

/// Reads a journal, also beside the process that writes it.
#[derive(Debug, Clone)]
pub struct SqliteReader {
    path: PathBuf,
    pool: SqlitePool,
}

/// How many reads run at once.
const READERS: u32 = 4;

/// How many events are read at a time while a log is folded.
const PAGE: usize = 10_000;

impl SqliteReader {
    /// Opens a journal for reading.
    ///
    /// # Errors
    /// When the file is not there, not a journal, of another version, or not accessible.
    pub async fn open(path: &Path) -> Result<Self, Error> {
        let path = open::place_of(path)?;
        open::check_readable(&path).await?;
        Ok(Self::connect(path))
    }

    /// A reader of a file that is known to be a journal; connects when first asked.
    pub(crate) fn connect(path: PathBuf) -> Self {
        let pool = SqlitePoolOptions::new()
            .max_connections(READERS)
            .connect_lazy_with(open::reading(&path));
        Self { path, pool }
    }

    /// The database's real place.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Closes all connections; later reads fail.
    pub async fn close(&self) {
        self.pool.close().await;
    }

    pub(crate) async fn connection(&self) -> Result<PoolConnection<Sqlite>, Error> {
        let opened = self.pool.acquire().await;
        opened.map_err(|error| Error::sql(&self.path, "opening the database", error))
    }

    /// The events of a rollout after a number, in order, at most `limit`.
    ///
    /// # Errors
    /// When they cannot be read.
    pub async fn page(
        &self,
        rollout: &RolloutId,
        after: Seq,
        limit: usize,
    ) -> Result<Vec<Event>, Error> {
        page(&self.path, &mut *self.connection().await?, rollout, after, limit).await
    }

    /// Events by rollout, appliance and number, from either end.
    ///
    /// # Errors
    /// When they cannot be read.
    pub async fn events(&self, query: &EventQuery) -> Result<Vec<Event>, Error> {
        macro_rules! select {
            ($condition:literal, $order:literal) => {
                concat!(
                    "SELECT seq, rollout, at, appliance, schema, payload FROM events WHERE ",
                    $condition,
                    " AND seq > ?3 ORDER BY seq ",
                    $order,
                    " LIMIT ?4"
                )
            };
        }
        // One statement for each index; together they would use none.
        let statement = match (&query.rollout, &query.appliance, query.order) {
            (Some(_), Some(_), Order::Oldest) => select!("rollout = ?1 AND appliance = ?2", "ASC"),
            (Some(_), Some(_), Order::Newest) => select!("rollout = ?1 AND appliance = ?2", "DESC"),
            (Some(_), None, Order::Oldest) => select!("rollout = ?1 AND ?2 IS NULL", "ASC"),
            (Some(_), None, Order::Newest) => select!("rollout = ?1 AND ?2 IS NULL", "DESC"),
            (None, _, Order::Oldest) => {
                select!("?1 IS NULL AND (?2 IS NULL OR appliance = ?2)", "ASC")
            }
            (None, _, Order::Newest) => {
                select!("?1 IS NULL AND (?2 IS NULL OR appliance = ?2)", "DESC")
            }
        };
        let rows: Vec<EventRow> = sqlx::query_as(statement)
            .bind(query.rollout.as_ref().map(RolloutId::as_str))
            .bind(query.appliance.as_ref().map(ApplianceName::as_str))
            .bind(number(query.after))
            .bind(count(query.limit))
            .fetch_all(&mut *self.connection().await?)
            .await
            .map_err(|error| Error::sql(&self.path, "reading events", error))?;
        rows.into_iter().map(|row| decode(&self.path, row)).collect()
    }

    /// The number of the last event; 0 when there is none.
    ///
    /// # Errors
    /// When it cannot be read.
    pub async fn last_seq(&self) -> Result<Seq, Error> {
        last_seq(&self.path, &mut *self.connection().await?).await
    }

    /// All rollouts, oldest first.
    ///
    /// # Errors
    /// When they cannot be read.
    pub async fn rollouts(&self) -> Result<Vec<RolloutHead>, Error> {
        let rows: Vec<(String, String, i64, bool)> = sqlx::query_as(
            "SELECT id, name, accepted_at, ended FROM rollouts ORDER BY accepted_at, id",
        )
        .fetch_all(&mut *self.connection().await?)
        .await
        .map_err(|error| Error::sql(&self.path, "reading the rollouts", error))?;
        let head = |(id, name, at, ended): (String, String, i64, bool)| {
            read_head(&id, &name, at, ended).map_err(|why| Error::damaged(&self.path, why))
        };
        rows.into_iter().map(head).collect()
    }

    /// The rollout that is meant: the latest of this name, else the one whose id begins so.
    ///
    /// # Errors
    /// When more than one id begins so, or the journal cannot be read.
    pub async fn find(&self, wanted: &str) -> Result<Option<RolloutHead>, Error> {
        let rollouts = self.rollouts().await?;
        let named = rollouts.iter().rev().find(|head| head.name.as_str() == wanted);
        if let Some(head) = named {
            return Ok(Some(head.clone()));
        }
        if wanted.is_empty() {
            return Ok(None);
        }
        let begins = |head: &&RolloutHead| head.id.as_str().starts_with(wanted);
        let found: Vec<&RolloutHead> = rollouts.iter().filter(begins).collect();
        match found.as_slice() {
            [] => Ok(None),
            [one] => Ok(Some((*one).clone())),
            several => Err(Error::Ambiguous {
                prefix: wanted.to_owned(),
                ids: several.iter().map(|head| head.id.to_string()).collect(),
            }),
        }
    }

    /// A rollout's rows of the status tables; `None` when there is no such rollout.
    ///
    /// # Errors
    /// When they cannot be read.
    pub async fn status(&self, id: &RolloutId) -> Result<Option<RolloutStatusRows>, Error> {
        let mut transaction = self.snapshot_of_now().await?;
        status::rows(&self.path, &mut transaction, id).await
    }

    /// A rollout's fold from the status tables: equal to [`SqliteReader::run`], but without
    /// reading the log.
    ///
    /// # Errors
    /// When they cannot be read.
    pub async fn snapshot(&self, id: &RolloutId) -> Result<Option<Run>, Error> {
        let mut transaction = self.snapshot_of_now().await?;
        status::snapshot(&self.path, &mut transaction, id).await
    }

    /// Folds a rollout's log; `None` when there is no such rollout.
    ///
    /// # Errors
    /// When it cannot be read or an event cannot happen.
    pub async fn run(&self, id: &RolloutId) -> Result<Option<Run>, Error> {
        let mut transaction = self.snapshot_of_now().await?;
        Ok(fold_log(&self.path, &mut transaction, id).await?.map(|folded| folded.run))
    }

    /// Which passwords were refused where, and which have worked.
    ///
    /// # Errors
    /// When it cannot be read.
    pub async fn logins(&self) -> Result<LoginMemory, Error> {
        let mut transaction = self.snapshot_of_now().await?;
        logins(&self.path, &mut transaction).await
    }

    /// How long steps took so far, newest last.
    ///
    /// # Errors
    /// When it cannot be read.
    pub async fn durations(&self) -> Result<Vec<StepDuration>, Error> {
        durations(&self.path, &mut *self.connection().await?).await
    }

    /// The host name that each appliance last said in a preflight, over all rollouts.
    ///
    /// # Errors
    /// When it cannot be read.
    pub async fn hostnames(&self) -> Result<BTreeMap<ApplianceName, String>, Error> {
        hostnames(&self.path, &mut *self.connection().await?).await
    }

    /// A transaction, so that several reads see one state.
    pub(crate) async fn snapshot_of_now(
        &self,
    ) -> Result<sqlx::Transaction<'static, Sqlite>, Error> {
        let begun = self.pool.begin().await;
        begun.map_err(|error| Error::sql(&self.path, "opening the database", error))
    }
}

async fn page(
    path: &Path,
    connection: &mut SqliteConnection,
    rollout: &RolloutId,
    after: Seq,
    limit: usize,
) -> Result<Vec<Event>, Error> {
    let rows: Vec<EventRow> = sqlx::query_as(
        "SELECT seq, rollout, at, appliance, schema, payload FROM events
         WHERE rollout = ?1 AND seq > ?2 ORDER BY seq LIMIT ?3",
    )
    .bind(rollout.as_str())
    .bind(number(after))
    .bind(count(limit))
    .fetch_all(connection)
    .await
    .map_err(|error| Error::sql(path, "reading events", error))?;
    rows.into_iter().map(|row| decode(path, row)).collect()
}

/// The number of the last event; 0 when there is none.
pub(crate) async fn last_seq(path: &Path, connection: &mut SqliteConnection) -> Result<Seq, Error> {
    let last: i64 = sqlx::query_scalar("SELECT coalesce(max(seq), 0) FROM events")
        .fetch_one(connection)
        .await
        .map_err(|error| Error::sql(path, "reading events", error))?;
    u64::try_from(last).map_err(|_| Error::damaged(path, format!("event {last}")))
}

/// Folds a rollout's log.
pub(crate) async fn fold_log(
    path: &Path,
    connection: &mut SqliteConnection,
    id: &RolloutId,
) -> Result<Option<Folded>, Error> {
    let illegal = |error: model::run::IllegalEvent| Error::damaged(path, error.to_string());
    let mut folded: Option<(Run, Seq)> = None;
    let mut after = 0;
    loop {
        let events = page(path, connection, id, after, PAGE).await?;
        for event in &events {
            after = event.seq;
            match &mut folded {
                None => folded = Some((Run::begin(event).map_err(illegal)?, event.seq)),
                Some((run, plan_seq)) => {
                    run.apply(event).map_err(illegal)?;
                    if is_plan(&event.change) {
                        *plan_seq = event.seq;
                    }
                }
            }
        }
        if events.len() < PAGE {
            break;
        }
    }
    let Some((run, plan_seq)) = folded else { return Ok(None) };
    let stale: bool = sqlx::query_scalar("SELECT folded_by <> ?2 FROM rollouts WHERE id = ?1")
        .bind(id.as_str())
        .bind(FOLDED_BY)
        .fetch_optional(connection)
        .await
        .map_err(|error| Error::sql(path, "reading the rollouts", error))?
        .unwrap_or(true);
    Ok(Some(Folded { run, plan_seq, stale }))
}

/// What the writer starts from: every rollout that has not ended, folded from its log.
pub(crate) async fn load(path: &Path, connection: &mut SqliteConnection) -> Result<Fold, Error> {
    let last = last_seq(path, connection).await?;
    let mut fold = Fold::new(last, logins(path, connection).await?);
    let open: Vec<String> = sqlx::query_scalar("SELECT id FROM rollouts WHERE ended = 0")
        .fetch_all(&mut *connection)
        .await
        .map_err(|error| Error::sql(path, "reading the rollouts", error))?;
    for id in open {
        let id = RolloutId::new(&id);
        let folded = fold_log(path, connection, &id).await?;
        let no_events = || Error::damaged(path, format!("rollout {id} has no events"));
        fold.insert(folded.ok_or_else(no_events)?);
    }
    Ok(fold)
}

pub(crate) async fn logins(
    path: &Path,
    connection: &mut SqliteConnection,
) -> Result<LoginMemory, Error> {
    let error = |error| Error::sql(path, "reading the logins", error);
    let mut memory = LoginMemory::default();
    let refused: Vec<(String, String, u16)> = sqlx::query_as(
        "SELECT appliance, credential, fingerprint FROM logins_refused ORDER BY position",
    )
    .fetch_all(&mut *connection)
    .await
    .map_err(error)?;
    for (name, credential, print) in refused {
        let name = ApplianceName::new(&name).map_err(|e| Error::damaged(path, e.to_string()))?;
        let one = (CredentialId::new(&credential), Fingerprint(print));
        memory.refused.entry(name).or_default().push(one);
    }
    let proven: Vec<String> =
        sqlx::query_scalar("SELECT credential FROM logins_proven ORDER BY position")
            .fetch_all(connection)
            .await
            .map_err(error)?;
    memory.proven = proven.iter().map(|text| CredentialId::new(text)).collect();
    Ok(memory)
}

pub(crate) async fn durations(
    path: &Path,
    connection: &mut SqliteConnection,
) -> Result<Vec<StepDuration>, Error> {
    let rows: Vec<(String, String, String, i64)> =
        sqlx::query_as("SELECT appliance, site, step, took FROM durations ORDER BY seq")
            .fetch_all(connection)
            .await
            .map_err(|error| Error::sql(path, "reading the durations", error))?;
    let one = |(appliance, site, step, took): (String, String, String, i64)| {
        Ok(StepDuration {
            appliance: ApplianceName::new(&appliance).map_err(|error| error.to_string())?,
            site: SiteName::new(&site).map_err(|error| error.to_string())?,
            step: word(&step)?,
            took: SignedDuration::from_micros(took),
        })
    };
    let read: Result<Vec<_>, String> = rows.into_iter().map(one).collect();
    read.map_err(|why| Error::damaged(path, format!("durations: {why}")))
}

pub(crate) async fn hostnames(
    path: &Path,
    connection: &mut SqliteConnection,
) -> Result<BTreeMap<ApplianceName, String>, Error> {
    let rows: Vec<(String, String)> = sqlx::query_as("SELECT appliance, hostname FROM hostnames")
        .fetch_all(connection)
        .await
        .map_err(|error| Error::sql(path, "reading the host names", error))?;
    let name = |text: &str| {
        let name = ApplianceName::new(text);
        name.map_err(|error| Error::damaged(path, format!("host names: {error}")))
    };
    rows.into_iter().map(|(appliance, said)| Ok((name(&appliance)?, said))).collect()
}

fn number(seq: Seq) -> i64 {
    i64::try_from(seq).unwrap_or(i64::MAX)
}

fn count(limit: usize) -> i64 {
    i64::try_from(limit).unwrap_or(i64::MAX)
}
