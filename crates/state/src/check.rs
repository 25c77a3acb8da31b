//! Proving the memory: the file is whole, every log folds, and what is derived is what follows.

use std::collections::BTreeMap;

use model::event::{LoginMemory, Seq, StepDuration};
use model::run::Run;
use model::{ApplianceName, RolloutId};
use sqlx::SqliteConnection;

use crate::codec::{EventRow, decode};
use crate::error::Error;
use crate::read::{self, SqliteReader};
use crate::status::{self, Kept};

/// What a check found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CheckReport {
    /// How many rollouts there are.
    pub rollouts: usize,
    /// How many events there are.
    pub events: u64,
    /// What is wrong; empty when nothing is.
    pub problems: Vec<String>,
}

impl CheckReport {
    /// Whether nothing is wrong.
    #[must_use]
    pub fn is_sound(&self) -> bool {
        self.problems.is_empty()
    }
}

impl SqliteReader {
    /// Checks the whole file: SQLite's own integrity check, every log folded from its first
    /// event, and the status tables, durations and logins compared with what follows from the
    /// logs. Reads everything, so it takes its time; a running writer is not held up.
    ///
    /// # Errors
    /// When the file cannot be read at all; what is wrong in it is in the report.
    pub async fn check(&self) -> Result<CheckReport, Error> {
        let mut now = self.snapshot_of_now().await?;
        let mut report = CheckReport::default();
        self.check_file(&mut now, &mut report).await?;
        let derived = self.check_events(&mut now, &mut report).await?;
        for run in derived.runs.values() {
            let stored = status::kept(self.path(), &mut now, &run.id).await;
            compare_status(run, stored, &mut report);
        }
        let stored = self.stored_rollouts(&mut now).await?;
        report.rollouts = stored.len();
        for id in stored.iter().filter(|id| !derived.runs.contains_key(*id)) {
            report.problems.push(format!("rollout {id}: there is a status without a log"));
        }
        let logins = read::logins(self.path(), &mut now).await;
        compare("the memory of logins", &derived.logins, logins, &mut report);
        let durations = read::durations(self.path(), &mut now).await;
        compare("the durations", &derived.durations, durations, &mut report);
        let hostnames = read::hostnames(self.path(), &mut now).await;
        compare("the host names", &derived.hostnames, hostnames, &mut report);
        Ok(report)
    }

    async fn check_file(
        &self,
        now: &mut SqliteConnection,
        report: &mut CheckReport,
    ) -> Result<(), Error> {
        let error = |error| Error::sql(self.path(), "checking the file", error);
        let found: Vec<String> = sqlx::query_scalar("PRAGMA integrity_check")
            .fetch_all(&mut *now)
            .await
            .map_err(error)?;
        let wrong = found.into_iter().filter(|text| text != "ok");
        report.problems.extend(wrong.map(|text| format!("the file: {text}")));
        let strangers: i64 = sqlx::query_scalar("SELECT count(*) FROM pragma_foreign_key_check")
            .fetch_one(now)
            .await
            .map_err(error)?;
        if strangers > 0 {
            report.problems.push(format!("the file: {strangers} rows belong to no rollout"));
        }
        Ok(())
    }

    async fn stored_rollouts(&self, now: &mut SqliteConnection) -> Result<Vec<RolloutId>, Error> {
        let ids: Vec<String> = sqlx::query_scalar("SELECT id FROM rollouts ORDER BY id")
            .fetch_all(now)
            .await
            .map_err(|error| Error::sql(self.path(), "reading the rollouts", error))?;
        Ok(ids.iter().map(|id| RolloutId::new(id)).collect())
    }

    /// Folds the whole log in its order, all rollouts at once: what is remembered of logins
    /// crosses rollouts.
    async fn check_events(
        &self,
        now: &mut SqliteConnection,
        report: &mut CheckReport,
    ) -> Result<Derived, Error> {
        const PAGE: i64 = 10_000;
        let mut derived = Derived::default();
        let mut after = 0;
        loop {
            let rows: Vec<EventRow> = sqlx::query_as(
                "SELECT seq, rollout, at, appliance, schema, payload FROM events
                 WHERE seq > ?1 ORDER BY seq LIMIT ?2",
            )
            .bind(after)
            .bind(PAGE)
            .fetch_all(&mut *now)
            .await
            .map_err(|error| Error::sql(self.path(), "reading events", error))?;
            let Some(last) = rows.last() else { return Ok(derived) };
            after = last.0;
            for row in rows {
                report.events += 1;
                derived.take(self.path(), row, report);
            }
        }
    }
}

/// What follows from the log.
#[derive(Default)]
struct Derived {
    runs: BTreeMap<RolloutId, Run>,
    logins: LoginMemory,
    durations: Vec<StepDuration>,
    hostnames: BTreeMap<ApplianceName, String>,
    last: Seq,
}

impl Derived {
    fn take(&mut self, path: &std::path::Path, row: EventRow, report: &mut CheckReport) {
        let seq = row.0;
        let event = match decode(path, row) {
            Ok(event) => event,
            Err(error) => {
                report.problems.push(format!("the log: {error}"));
                self.last = u64::try_from(seq).unwrap_or(self.last);
                return;
            }
        };
        if event.seq != self.last + 1 {
            let (from, to) = (self.last + 1, event.seq - 1);
            report.problems.push(format!("the log: events {from} to {to} are missing"));
        }
        self.last = event.seq;
        match model::memory::fold(&mut self.runs, &event) {
            Ok(took) => self.durations.extend(took),
            Err(error) => report.problems.push(format!("the log: {}", error.detail)),
        }
        self.logins.apply(&event.change);
        if let Some((name, hostname)) = model::memory::hostname_of(&event.change) {
            self.hostnames.insert(name.clone(), hostname.to_owned());
        }
    }
}

fn compare_status(run: &Run, stored: Result<Kept<Run>, Error>, report: &mut CheckReport) {
    let what = format!("the status of rollout {}", run.id);
    match stored {
        Ok(Kept::Other) => {}
        Ok(Kept::Current(stored)) if stored == *run => {}
        Ok(Kept::Current(stored)) => {
            let differs = |name: &&model::ApplianceName| {
                run.appliances.get(*name) != stored.appliances.get(*name)
            };
            let names = run.appliances.keys().chain(stored.appliances.keys());
            let mut names: Vec<&str> = names.filter(differs).map(|name| name.as_str()).collect();
            names.sort_unstable();
            names.dedup();
            let where_ = if names.is_empty() { "as a whole".to_owned() } else { names.join(", ") };
            report.problems.push(format!("{what} is not what follows from its log: {where_}"));
        }
        Ok(Kept::Nothing) => report.problems.push(format!("{what} is missing")),
        Err(error) => report.problems.push(format!("{what}: {error}")),
    }
}

fn compare<T: PartialEq>(
    what: &str,
    derived: &T,
    stored: Result<T, Error>,
    report: &mut CheckReport,
) {
    match stored {
        Ok(stored) if stored == *derived => {}
        Ok(_) => report.problems.push(format!("{what} are not what follows from the log")),
        Err(error) => report.problems.push(format!("{what}: {error}")),
    }
}
