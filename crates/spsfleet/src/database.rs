//! The database file of a command: found, opened, and asked for one rollout.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use control::Client;
use control::wire::RolloutView;
use jiff::Timestamp;
use model::event::RolloutHead;
use model::exit::Exit;
use model::history::History;
use model::hold::HoldReason;
use model::run::Run;
use model::{ApplianceName, RolloutId};
use state::{Holder, OpenOptions, SqliteJournal, SqliteReader};

use crate::coded;

/// Opens a database for reading, also beside a running `run`.
pub(crate) async fn read(path: &Path) -> anyhow::Result<SqliteReader> {
    SqliteReader::open(path).await.map_err(explain)
}

/// Opens a database for writing; refused while another process writes it.
pub(crate) async fn write(
    path: &Path,
    command: &str,
    create: bool,
    now: Timestamp,
) -> Result<SqliteJournal, state::Error> {
    let holder =
        Holder { pid: std::process::id(), host: host(), command: command.to_owned(), since: now };
    let options =
        if create { OpenOptions::or_create(holder) } else { OpenOptions::existing(holder) };
    SqliteJournal::open(path, options).await
}

/// An error of the database with its exit code.
pub(crate) fn explain(error: state::Error) -> anyhow::Error {
    let exit = match &error {
        state::Error::Permission { .. } => Exit::NotPermitted,
        state::Error::NoSuchFile { .. }
        | state::Error::Empty { .. }
        | state::Error::NotADatabase { .. }
        | state::Error::Foreign { .. }
        | state::Error::Ambiguous { .. } => Exit::Usage,
        _ => Exit::Stopped,
    };
    coded::with(exit, error)
}

/// The rollout of this name or id.
pub(crate) async fn find(reader: &SqliteReader, wanted: &str) -> anyhow::Result<RolloutHead> {
    if let Some(head) = reader.find(wanted).await.map_err(explain)? {
        return Ok(head);
    }
    let known = reader.rollouts().await.map_err(explain)?;
    let mut names: Vec<&str> = known.iter().map(|head| head.name.as_str()).collect();
    names.dedup();
    let known = match names.as_slice() {
        [] => "it holds no rollout yet".to_owned(),
        names => format!("it holds: {}", names.join(", ")),
    };
    Err(coded::usage(format!(
        "{}: there is no rollout `{wanted}`; {known}",
        reader.path().display()
    )))
}

/// How long steps took so far.
pub(crate) async fn history(reader: &SqliteReader) -> anyhow::Result<History> {
    let durations = reader.durations().await.map_err(explain)?;
    Ok(History::of(&durations))
}

/// Why appliances of a rollout wait, by its own log and by the other unfinished rollouts of the
/// database: their appliances that are down take places in sites and groups too.
pub(crate) async fn reasons(
    reader: &SqliteReader,
    run: &Run,
    history: &History,
    now: Timestamp,
) -> Result<BTreeMap<ApplianceName, HoldReason>, state::Error> {
    let mut others = Vec::new();
    for head in reader.rollouts().await? {
        if head.id != run.id && !head.ended {
            others.extend(reader.snapshot(&head.id).await?);
        }
    }
    Ok(executor::reasons_among(run, &others, history, now))
}

/// What a process that is at work on this database says of a rollout; `None` when there is none.
pub(crate) async fn at_work(reader: &SqliteReader, id: &RolloutId) -> Option<RolloutView> {
    let client = Client::connect(&socket_of(reader.path())).await.ok()?;
    let status = client.rollout(id.as_str()).await.ok()?;
    status.rollouts.into_iter().find(|view| view.id == *id)
}

/// The socket on which a running `run` listens.
pub(crate) fn socket_of(database: &Path) -> PathBuf {
    let mut name = database.as_os_str().to_owned();
    name.push(".sock");
    PathBuf::from(name)
}

fn host() -> String {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let name = name.trim();
    if name.is_empty() { "this machine".to_owned() } else { name.to_owned() }
}
