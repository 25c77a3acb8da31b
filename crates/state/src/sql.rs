//! What one transaction writes. Rows go over as one JSON array a statement: a batch costs as
//! many statements as a single event.

use std::collections::BTreeMap;

use model::event::{Event, HookPoint, Seq, StepDuration};
use model::hold::HoldReason;
use model::memory::hostname_of;
use model::run::{ApplianceRun, HookRecord, RolloutState, Run};
use model::{ApplianceName, RolloutId};
use serde::Serialize;
use sqlx::{Connection, SqliteConnection};

use crate::codec::encode;
use crate::fold::{Fold, Touched};
use crate::status::{FOLDED_BY, RunRecord, site_of, waves_of};

/// A transaction's statement failed, or changed another number of rows than it must.
#[derive(Debug, thiserror::Error)]
pub(crate) enum WriteError {
    #[error(transparent)]
    Sql(#[from] sqlx::Error),
    #[error("a value cannot be stored: {0}")]
    Json(#[from] serde_json::Error),
    #[error("{what}: {wanted} rows were to change, {found} did")]
    Rows { what: &'static str, wanted: u64, found: u64 },
}

/// Writes events and what is folded from them, and commits.
pub(crate) async fn write(
    connection: &mut SqliteConnection,
    fold: &Fold,
    events: &[Event],
    durations: &[(Seq, StepDuration)],
) -> Result<(), WriteError> {
    let touched = fold.touched();
    let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await?;
    put_rollouts(&mut transaction, fold, &touched).await?;
    put_events(&mut transaction, events).await?;
    put_plans(&mut transaction, fold, &touched).await?;
    put_members(&mut transaction, fold, &touched).await?;
    put_hooks(&mut transaction, fold, &touched).await?;
    put_hostnames(&mut transaction, events).await?;
    put_durations(&mut transaction, durations).await?;
    put_logins(&mut transaction, fold, &touched).await?;
    transaction.commit().await?;
    Ok(())
}

/// Runs a statement that takes a JSON array and changes one row for each entry of it.
async fn each<T: Serialize>(
    connection: &mut SqliteConnection,
    what: &'static str,
    statement: &'static str,
    rows: &[T],
) -> Result<(), WriteError> {
    if rows.is_empty() {
        return Ok(());
    }
    let json = serde_json::to_string(rows)?;
    let done = sqlx::query(statement).bind(json).execute(connection).await?;
    let wanted = rows.len() as u64;
    let found = done.rows_affected();
    if found == wanted { Ok(()) } else { Err(WriteError::Rows { what, wanted, found }) }
}

async fn put_rollouts(
    connection: &mut SqliteConnection,
    fold: &Fold,
    touched: &Touched,
) -> Result<(), WriteError> {
    let runs = touched.rollouts.iter().filter_map(|id| fold.run(id));
    let mut rows = Vec::new();
    for run in runs {
        let state = run.state(false);
        // A cluster is half upgraded: a column of its own says so.
        let halted = state == RolloutState::Halted;
        let state = if halted { RolloutState::Running } else { state };
        rows.push((
            run.id.as_str(),
            run.plan.rollout.as_str(),
            run.plan.firmware.version.to_string(),
            run.accepted_at.as_microsecond(),
            state.name(),
            u8::from(halted),
            u8::from(run.has_ended()),
            fold.plan_seq(&run.id),
            run.seq,
            FOLDED_BY,
            serde_json::to_string(&RunRecord::of(run))?,
        ));
    }
    const PUT: &str = "
        INSERT INTO rollouts
            (id, name, target_version, accepted_at, state, halted, ended, plan_seq, seq, folded_by,
             record)
        SELECT value ->> 0, value ->> 1, value ->> 2, value ->> 3, value ->> 4, value ->> 5,
               value ->> 6, value ->> 7, value ->> 8, value ->> 9, value ->> 10
        FROM json_each(?1) WHERE true
        ON CONFLICT (id) DO UPDATE SET
            target_version = excluded.target_version, state = excluded.state,
            halted = excluded.halted, ended = excluded.ended, plan_seq = excluded.plan_seq, seq = excluded.seq,
            folded_by = excluded.folded_by, record = excluded.record";
    each(connection, "rollouts", PUT, &rows).await
}

async fn put_events(connection: &mut SqliteConnection, events: &[Event]) -> Result<(), WriteError> {
    let rows = events.iter().map(encode).collect::<Result<Vec<_>, _>>()?;
    const PUT: &str = "
        INSERT INTO events (seq, rollout, at, appliance, kind, schema, payload)
        SELECT value ->> 0, value ->> 1, value ->> 2, value ->> 3, value ->> 4, value ->> 5,
               value ->> 6
        FROM json_each(?1)";
    each(connection, "events", PUT, &rows).await
}

async fn put_plans(
    connection: &mut SqliteConnection,
    fold: &Fold,
    touched: &Touched,
) -> Result<(), WriteError> {
    const PUT: &str = "
        INSERT INTO appliances (rollout, name, site, wave, phase, since, hold_code, record)
        SELECT value ->> 0, value ->> 1, value ->> 2, value ->> 3, value ->> 4, value ->> 5,
               value ->> 6, value ->> 7
        FROM json_each(?1)";
    for run in touched.planned.iter().filter_map(|id| fold.run(id)) {
        sqlx::query("DELETE FROM appliances WHERE rollout = ?1")
            .bind(run.id.as_str())
            .execute(&mut *connection)
            .await?;
        let waves = waves_of(run);
        let mut rows = Vec::with_capacity(run.appliances.len());
        for (name, appliance) in &run.appliances {
            rows.push((
                run.id.as_str(),
                name.as_str(),
                site_of(run, name),
                waves.get(name),
                appliance.phase.name(),
                appliance.since.as_microsecond(),
                appliance.hold.as_ref().map(HoldReason::code),
                serde_json::to_string(appliance)?,
            ));
        }
        each(connection, "members", PUT, &rows).await?;
    }
    Ok(())
}

async fn put_members(
    connection: &mut SqliteConnection,
    fold: &Fold,
    touched: &Touched,
) -> Result<(), WriteError> {
    let mut rows = Vec::with_capacity(touched.members.len());
    for (rollout, name) in &touched.members {
        let Some(appliance) = member(fold, rollout, name) else { continue };
        rows.push((
            rollout.as_str(),
            name.as_str(),
            appliance.phase.name(),
            appliance.since.as_microsecond(),
            appliance.hold.as_ref().map(HoldReason::code),
            serde_json::to_string(appliance)?,
        ));
    }
    const PUT: &str = "
        UPDATE appliances
        SET phase = new.phase, since = new.since, hold_code = new.hold_code, record = new.record
        FROM (SELECT value ->> 0 AS rollout, value ->> 1 AS name, value ->> 2 AS phase,
                     value ->> 3 AS since, value ->> 4 AS hold_code, value ->> 5 AS record
              FROM json_each(?1)) AS new
        WHERE appliances.rollout = new.rollout AND appliances.name = new.name";
    each(connection, "members", PUT, &rows).await
}

fn member<'a>(
    fold: &'a Fold,
    rollout: &RolloutId,
    name: &ApplianceName,
) -> Option<&'a ApplianceRun> {
    fold.run(rollout)?.appliances.get(name)
}

async fn put_hooks(
    connection: &mut SqliteConnection,
    fold: &Fold,
    touched: &Touched,
) -> Result<(), WriteError> {
    let mut rows = Vec::with_capacity(touched.hooks.len());
    let mut row = |run: &Run, point: &HookPoint, record: &HookRecord| {
        let record = serde_json::to_string(record)?;
        rows.push((run.id.as_str().to_owned(), point.kind.name(), point.of.clone(), record));
        Ok::<_, WriteError>(())
    };
    for run in touched.planned.iter().filter_map(|id| fold.run(id)) {
        sqlx::query("DELETE FROM hooks WHERE rollout = ?1")
            .bind(run.id.as_str())
            .execute(&mut *connection)
            .await?;
        for (point, record) in &run.hooks {
            row(run, point, record)?;
        }
    }
    for (id, point) in &touched.hooks {
        let Some(run) = fold.run(id) else { continue };
        if let Some(record) = run.hooks.get(point) {
            row(run, point, record)?;
        } else {
            sqlx::query("DELETE FROM hooks WHERE rollout = ?1 AND kind = ?2 AND around = ?3")
                .bind(id.as_str())
                .bind(point.kind.name())
                .bind(&point.of)
                .execute(&mut *connection)
                .await?;
        }
    }
    const PUT: &str = "
        INSERT INTO hooks (rollout, kind, around, record)
        SELECT value ->> 0, value ->> 1, value ->> 2, value ->> 3
        FROM json_each(?1) WHERE true
        ON CONFLICT (rollout, kind, around) DO UPDATE SET record = excluded.record";
    each(connection, "hooks", PUT, &rows).await
}

async fn put_hostnames(
    connection: &mut SqliteConnection,
    events: &[Event],
) -> Result<(), WriteError> {
    // The last one counts, where a transaction holds several.
    let said: BTreeMap<&ApplianceName, &str> =
        events.iter().filter_map(|event| hostname_of(&event.change)).collect();
    let rows: Vec<_> = said.into_iter().collect();
    const PUT: &str = "
        INSERT INTO hostnames (appliance, hostname)
        SELECT value ->> 0, value ->> 1 FROM json_each(?1) WHERE true
        ON CONFLICT (appliance) DO UPDATE SET hostname = excluded.hostname";
    each(connection, "host names", PUT, &rows).await
}

async fn put_durations(
    connection: &mut SqliteConnection,
    durations: &[(Seq, StepDuration)],
) -> Result<(), WriteError> {
    let row = |(seq, took): &(Seq, StepDuration)| {
        let micros = i64::try_from(took.took.as_micros()).unwrap_or(i64::MAX);
        (*seq, took.appliance.clone(), took.site.clone(), took.step.name(), micros)
    };
    let rows: Vec<_> = durations.iter().map(row).collect();
    const PUT: &str = "
        INSERT INTO durations (seq, appliance, site, step, took)
        SELECT value ->> 0, value ->> 1, value ->> 2, value ->> 3, value ->> 4
        FROM json_each(?1)";
    each(connection, "durations", PUT, &rows).await
}

async fn put_logins(
    connection: &mut SqliteConnection,
    fold: &Fold,
    touched: &Touched,
) -> Result<(), WriteError> {
    let mut rows = Vec::new();
    for name in &touched.refused {
        sqlx::query("DELETE FROM logins_refused WHERE appliance = ?1")
            .bind(name.as_str())
            .execute(&mut *connection)
            .await?;
        let refused = fold.logins().refused.get(name).into_iter().flatten();
        rows.extend(refused.map(|(credential, print)| (name, credential, print.0)));
    }
    const REFUSED: &str = "
        INSERT INTO logins_refused (appliance, credential, fingerprint)
        SELECT value ->> 0, value ->> 1, value ->> 2 FROM json_each(?1)";
    each(connection, "refused logins", REFUSED, &rows).await?;
    const PROVEN: &str = "
        INSERT INTO logins_proven (credential) SELECT value FROM json_each(?1)";
    each(connection, "proven logins", PROVEN, &touched.proven).await
}
