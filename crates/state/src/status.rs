//! The status tables: the fold of a rollout as rows, quick to read and never a second truth.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use jiff::Timestamp;
use model::decision::Actor;
use model::event::{Change, HookPoint, RolloutChange, RolloutHead, Seq};
use model::plan::Plan;
use model::run::{
    ApplianceRun, Approval, Breach, ClusterRun, HookRecord, Pause, Phase, RolloutState, Run,
};
use model::{
    ApplianceName, ClusterName, FirmwareVersion, RolloutId, RolloutName, SiteName, WaveName,
};
use serde::{Deserialize, Serialize};
use sqlx::SqliteConnection;

use crate::codec::{EventRow, decode, parse, time, word};
use crate::error::Error;
use crate::read::fold_log;

/// One rollout as the status tables have it.
#[derive(Debug, Clone, PartialEq)]
pub struct RolloutStatusRows {
    /// The rollout in brief.
    pub head: RolloutHead,
    /// What is installed.
    pub target_version: FirmwareVersion,
    /// Its state. That it is halted since the journal cannot be written only the running program
    /// knows.
    pub state: RolloutState,
    /// The last event folded in.
    pub seq: Seq,
    /// Its members by name.
    pub appliances: Vec<ApplianceStatusRow>,
}

/// One member of a rollout as the status tables have it.
#[derive(Debug, Clone, PartialEq)]
pub struct ApplianceStatusRow {
    /// Its name.
    pub name: ApplianceName,
    /// Where it is.
    pub site: SiteName,
    /// Its wave.
    pub wave: WaveName,
    /// Where it stands.
    pub phase: Phase,
    /// Since when.
    pub since: Timestamp,
    /// Why it waits for a person, as [`model::hold::HoldReason::code`].
    pub hold_code: Option<String>,
    /// Everything that is folded of it.
    pub run: ApplianceRun,
}

/// A fold without its plan, members and hooks: what stands in `rollouts.record`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct RunRecord {
    accepted_by: Actor,
    dark_bystanders: BTreeSet<ApplianceName>,
    waves_started: BTreeSet<WaveName>,
    waves_finished: BTreeSet<WaveName>,
    pause: Option<Pause>,
    breach: Option<Breach>,
    counted: BTreeSet<ApplianceName>,
    waves_ended: BTreeMap<WaveName, Timestamp>,
    approvals: BTreeMap<WaveName, Approval>,
    clusters: BTreeMap<ClusterName, ClusterRun>,
    lifted: BTreeMap<SiteName, Timestamp>,
    soak_failed: Option<ApplianceName>,
    aborted: bool,
    aborted_now: bool,
    finished: bool,
}

impl RunRecord {
    pub(crate) fn of(run: &Run) -> Self {
        Self {
            accepted_by: run.accepted_by.clone(),
            dark_bystanders: run.dark_bystanders.clone(),
            waves_started: run.waves_started.clone(),
            waves_finished: run.waves_finished.clone(),
            pause: run.pause,
            breach: run.breach,
            counted: run.counted.clone(),
            waves_ended: run.waves_ended.clone(),
            approvals: run.approvals.clone(),
            clusters: run.clusters.clone(),
            lifted: run.lifted.clone(),
            soak_failed: run.soak_failed.clone(),
            aborted: run.aborted,
            aborted_now: run.aborted_now,
            finished: run.finished,
        }
    }

    fn into_run(
        self,
        rows: RolloutStatusRows,
        hooks: BTreeMap<HookPoint, HookRecord>,
        plan: Arc<Plan>,
    ) -> Run {
        let member = |row: ApplianceStatusRow| (row.name, row.run);
        let appliances: BTreeMap<_, _> = rows.appliances.into_iter().map(member).collect();
        Run {
            id: rows.head.id,
            plan,
            accepted_at: rows.head.accepted_at,
            accepted_by: self.accepted_by,
            seq: rows.seq,
            appliances,
            dark_bystanders: self.dark_bystanders,
            waves_started: self.waves_started,
            waves_finished: self.waves_finished,
            pause: self.pause,
            breach: self.breach,
            counted: self.counted,
            waves_ended: self.waves_ended,
            approvals: self.approvals,
            clusters: self.clusters,
            hooks,
            lifted: self.lifted,
            soak_failed: self.soak_failed,
            aborted: self.aborted,
            aborted_now: self.aborted_now,
            finished: self.finished,
        }
    }
}

/// Which program folded the rows: another one has another shape of fold, so it reads the log. The
/// number behind the version grows with every change of what is folded between two versions; the
/// databases that are kept for the tests do not pass the check until it has.
pub(crate) const FOLDED_BY: &str = concat!(env!("CARGO_PKG_VERSION"), "/3");

/// A member's site, as its plan says.
pub(crate) fn site_of<'a>(run: &'a Run, name: &ApplianceName) -> Option<&'a SiteName> {
    run.plan.appliances.get(name).map(|appliance| &appliance.site)
}

/// The wave of every member.
pub(crate) fn waves_of(run: &Run) -> BTreeMap<&ApplianceName, &WaveName> {
    let waves = run.plan.waves.iter();
    waves.flat_map(|wave| wave.appliances.iter().map(|name| (name, &wave.name))).collect()
}

impl RolloutStatusRows {
    /// The rows that a fold makes.
    #[must_use]
    pub fn of(run: &Run) -> Self {
        let waves = waves_of(run);
        let row = |(name, member): (&ApplianceName, &ApplianceRun)| {
            Some(ApplianceStatusRow {
                name: name.clone(),
                site: site_of(run, name)?.clone(),
                wave: (*waves.get(name)?).clone(),
                phase: member.phase,
                since: member.since,
                hold_code: member.hold.as_ref().map(|hold| hold.code().to_owned()),
                run: member.clone(),
            })
        };
        Self {
            head: model::memory::head(run),
            target_version: run.plan.firmware.version.clone(),
            state: run.state(false),
            seq: run.seq,
            appliances: run.appliances.iter().filter_map(row).collect(),
        }
    }
}

type RolloutRow = (String, String, String, i64, String, bool, bool, i64, i64, String);
type MemberRow = (String, String, String, String, i64, Option<String>, String);

/// A rollout's rows, with what is needed to make a fold of them.
struct Stored {
    rows: RolloutStatusRows,
    record: RunRecord,
    plan_seq: i64,
}

/// What the tables say of a rollout.
pub(crate) enum Kept<T> {
    /// There is no such rollout.
    Nothing,
    /// It was folded by another version of the program.
    Other,
    /// This.
    Current(T),
}

/// Reads a rollout's status; `None` when there is no such rollout.
pub(crate) async fn rows(
    path: &Path,
    connection: &mut SqliteConnection,
    id: &RolloutId,
) -> Result<Option<RolloutStatusRows>, Error> {
    match stored(path, connection, id).await {
        Ok(Kept::Nothing) => Ok(None),
        Ok(Kept::Current(stored)) => Ok(Some(stored.rows)),
        // The tables are derived: where they cannot be used, the log is.
        Ok(Kept::Other) | Err(Error::Damaged { .. }) => {
            let folded = fold_log(path, connection, id).await?;
            Ok(folded.map(|folded| RolloutStatusRows::of(&folded.run)))
        }
        Err(error) => Err(error),
    }
}

/// Makes the fold from the status tables, or from the log where they cannot be used.
pub(crate) async fn snapshot(
    path: &Path,
    connection: &mut SqliteConnection,
    id: &RolloutId,
) -> Result<Option<Run>, Error> {
    match kept(path, connection, id).await {
        Ok(Kept::Nothing) => Ok(None),
        Ok(Kept::Current(run)) => Ok(Some(run)),
        Ok(Kept::Other) | Err(Error::Damaged { .. }) => {
            Ok(fold_log(path, connection, id).await?.map(|folded| folded.run))
        }
        Err(error) => Err(error),
    }
}

/// Makes the fold from the status tables and nothing else.
pub(crate) async fn kept(
    path: &Path,
    connection: &mut SqliteConnection,
    id: &RolloutId,
) -> Result<Kept<Run>, Error> {
    let stored = match stored(path, connection, id).await? {
        Kept::Nothing => return Ok(Kept::Nothing),
        Kept::Other => return Ok(Kept::Other),
        Kept::Current(stored) => stored,
    };
    let row: Option<EventRow> = sqlx::query_as(
        "SELECT seq, rollout, at, appliance, schema, payload FROM events WHERE seq = ?1",
    )
    .bind(stored.plan_seq)
    .fetch_optional(&mut *connection)
    .await
    .map_err(|error| Error::sql(path, "reading a plan", error))?;
    let no_plan = || Error::damaged(path, format!("event {} holds no plan", stored.plan_seq));
    match decode(path, row.ok_or_else(no_plan)?)?.change {
        Change::Rollout(
            RolloutChange::PlanAccepted { plan, .. } | RolloutChange::Replanned { plan, .. },
        ) => {
            let hooks = hooks(path, connection, id).await?;
            Ok(Kept::Current(stored.record.into_run(stored.rows, hooks, plan)))
        }
        _ => Err(no_plan()),
    }
}

async fn stored(
    path: &Path,
    connection: &mut SqliteConnection,
    id: &RolloutId,
) -> Result<Kept<Stored>, Error> {
    let error = |error| Error::sql(path, "reading the status", error);
    let folded_by: Option<String> =
        sqlx::query_scalar("SELECT folded_by FROM rollouts WHERE id = ?1")
            .bind(id.as_str())
            .fetch_optional(&mut *connection)
            .await
            .map_err(error)?;
    match folded_by.as_deref() {
        None => return Ok(Kept::Nothing),
        Some(FOLDED_BY) => {}
        Some(_) => return Ok(Kept::Other),
    }
    let rollout: RolloutRow = sqlx::query_as(
        "SELECT id, name, target_version, accepted_at, state, halted, ended, plan_seq, seq, record
         FROM rollouts WHERE id = ?1",
    )
    .bind(id.as_str())
    .fetch_one(&mut *connection)
    .await
    .map_err(error)?;
    let members: Vec<MemberRow> = sqlx::query_as(
        "SELECT name, site, wave, phase, since, hold_code, record
         FROM appliances WHERE rollout = ?1 ORDER BY name",
    )
    .bind(id.as_str())
    .fetch_all(&mut *connection)
    .await
    .map_err(error)?;
    let read = read_rollout(rollout, members)
        .map_err(|why| Error::damaged(path, format!("status of rollout {id}: {why}")))?;
    Ok(Kept::Current(read))
}

/// The hooks of a rollout that have begun.
async fn hooks(
    path: &Path,
    connection: &mut SqliteConnection,
    id: &RolloutId,
) -> Result<BTreeMap<HookPoint, HookRecord>, Error> {
    let rows: Vec<(String, String, String)> =
        sqlx::query_as("SELECT kind, around, record FROM hooks WHERE rollout = ?1")
            .bind(id.as_str())
            .fetch_all(&mut *connection)
            .await
            .map_err(|error| Error::sql(path, "reading the status", error))?;
    let one = |(kind, around, record): (String, String, String)| {
        Ok((HookPoint::new(word(&kind)?, &around), parse(&record)?))
    };
    let read: Result<BTreeMap<_, _>, String> = rows.into_iter().map(one).collect();
    read.map_err(|why| Error::damaged(path, format!("hooks of rollout {id}: {why}")))
}

fn read_rollout(row: RolloutRow, members: Vec<MemberRow>) -> Result<Stored, String> {
    let (id, name, target, accepted_at, state, halted, ended, plan_seq, seq, record) = row;
    let appliances = members.into_iter().map(read_member).collect::<Result<_, _>>()?;
    let rows = RolloutStatusRows {
        head: read_head(&id, &name, accepted_at, ended)?,
        target_version: FirmwareVersion::observed(&target).map_err(|error| error.to_string())?,
        state: if halted { RolloutState::Halted } else { word(&state)? },
        seq: u64::try_from(seq).map_err(|error| error.to_string())?,
        appliances,
    };
    Ok(Stored { rows, record: parse(&record)?, plan_seq })
}

fn read_member(row: MemberRow) -> Result<ApplianceStatusRow, String> {
    let (name, site, wave, phase, since, hold_code, record) = row;
    let text = |error: model::names::InvalidName| error.to_string();
    Ok(ApplianceStatusRow {
        name: ApplianceName::new(&name).map_err(text)?,
        site: SiteName::new(&site).map_err(text)?,
        wave: WaveName::new(&wave).map_err(text)?,
        phase: word(&phase)?,
        since: time(since)?,
        hold_code,
        run: parse(&record)?,
    })
}

/// Reads a rollout's head from its columns.
pub(crate) fn read_head(
    id: &str,
    name: &str,
    accepted_at: i64,
    ended: bool,
) -> Result<RolloutHead, String> {
    Ok(RolloutHead {
        id: RolloutId::new(id),
        name: RolloutName::new(name).map_err(|error| error.to_string())?,
        accepted_at: time(accepted_at)?,
        ended,
    })
}
