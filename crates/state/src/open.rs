//! Finding out what a file is before touching it, and opening it.

use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use sqlx::migrate::Migrator;
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous};
use sqlx::{ConnectOptions, Connection, SqliteConnection};
use tracing::log::LevelFilter;

use crate::error::Error;

static MIGRATOR: Migrator = sqlx::migrate!("../../migrations");

/// `SPSF` in SQLite's header, so that no foreign database is taken for a journal.
const APPLICATION_ID: i64 = 0x5350_5346;

/// How long SQLite waits for a lock of another connection. Ours hold one for milliseconds.
const BUSY: Duration = Duration::from_secs(2);

/// What the writing connection is set to.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Settings {
    /// The most pages that the file may have.
    pub(crate) page_limit: Option<u32>,
}

/// The newest schema that this program knows.
fn known_schema() -> i64 {
    MIGRATOR.iter().map(|migration| migration.version).max().unwrap_or_default()
}

/// The file's real place, so that a lock beside it is the same by whatever way one comes. The
/// file itself need not be there.
pub(crate) fn place_of(path: &Path) -> Result<PathBuf, Error> {
    match fs::canonicalize(path) {
        Ok(path) => return Ok(path),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(Error::io(path, "opening the database", error)),
    }
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    let folder = folder.unwrap_or(Path::new("."));
    let folder = fs::canonicalize(folder).map_err(|error| Error::Io {
        path: folder.to_owned(),
        doing: "the folder",
        source: error,
    })?;
    let name = path.file_name().ok_or_else(|| Error::NotADatabase { path: path.to_owned() })?;
    Ok(folder.join(name))
}

/// Makes an empty file that only its owner can read, and makes its name durable.
pub(crate) fn create_private(path: &Path) -> Result<(), Error> {
    let new = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
    match new {
        Ok(file) => {
            let made = file.sync_all().and_then(|()| sync_folder(path));
            made.map_err(|error| Error::io(path, "making the file", error))
        }
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            Err(Error::Exists { path: path.to_owned() })
        }
        Err(error) => Err(Error::io(path, "making the file", error)),
    }
}

/// Makes a new name in the file's folder durable.
pub(crate) fn sync_folder(path: &Path) -> io::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    File::open(folder.unwrap_or(Path::new(".")))?.sync_all()
}

/// What a file is, by its first bytes: nothing is opened, locked or changed yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Header {
    /// Nothing was ever written.
    Empty,
    /// A SQLite database; whose, SQLite itself must say.
    Database,
}

/// Looks at the first bytes.
pub(crate) fn examine(path: &Path) -> Result<Header, Error> {
    const HEADER: usize = 100;
    const MAGIC: &[u8] = b"SQLite format 3\0";
    const APPLICATION: std::ops::Range<usize> = 68..72;
    let io_error = |error| Error::io(path, "opening the database", error);
    let file = File::open(path).map_err(io_error)?;
    if !file.metadata().map_err(io_error)?.is_file() {
        return Err(Error::NotADatabase { path: path.to_owned() });
    }
    let mut head = Vec::with_capacity(HEADER);
    file.take(HEADER as u64).read_to_end(&mut head).map_err(io_error)?;
    if head.is_empty() {
        return Ok(Header::Empty);
    }
    if head.len() < HEADER || !head.starts_with(MAGIC) {
        return Err(Error::NotADatabase { path: path.to_owned() });
    }
    let id = head.get(APPLICATION).and_then(|bytes| <[u8; 4]>::try_from(bytes).ok());
    let id = i64::from(id.map_or(0, u32::from_be_bytes));
    // Zero: not said, or said in the write-ahead log only.
    if id != 0 && id != APPLICATION_ID {
        return Err(Error::Foreign { path: path.to_owned() });
    }
    Ok(Header::Database)
}

/// Whose database it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Content {
    /// No table was made yet.
    Fresh,
    /// A journal of this schema.
    Journal {
        /// The last migration that was applied; 0 for none.
        schema: i64,
    },
}

/// Asks SQLite whose database it is and how new.
pub(crate) async fn inspect(
    path: &Path,
    connection: &mut SqliteConnection,
) -> Result<Content, Error> {
    let error = |error| Error::sql(path, "reading the database", error);
    let id: i64 = sqlx::query_scalar("PRAGMA application_id")
        .fetch_one(&mut *connection)
        .await
        .map_err(error)?;
    let tables: i64 = sqlx::query_scalar("SELECT count(*) FROM sqlite_schema")
        .fetch_one(&mut *connection)
        .await
        .map_err(error)?;
    if id != APPLICATION_ID {
        if id == 0 && tables == 0 {
            return Ok(Content::Fresh);
        }
        return Err(Error::Foreign { path: path.to_owned() });
    }
    let migrated: i64 =
        sqlx::query_scalar("SELECT count(*) FROM sqlite_schema WHERE name = '_sqlx_migrations'")
            .fetch_one(&mut *connection)
            .await
            .map_err(error)?;
    if migrated == 0 {
        return Ok(Content::Fresh);
    }
    let found: Option<i64> = sqlx::query_scalar("SELECT max(version) FROM _sqlx_migrations")
        .fetch_one(&mut *connection)
        .await
        .map_err(error)?;
    let (found, known) = (found.unwrap_or_default(), known_schema());
    if found > known {
        return Err(Error::Newer { path: path.to_owned(), found, known });
    }
    Ok(if found == 0 { Content::Fresh } else { Content::Journal { schema: found } })
}

fn options(path: &Path) -> SqliteConnectOptions {
    SqliteConnectOptions::new()
        .filename(path)
        .create_if_missing(false)
        .foreign_keys(true)
        .busy_timeout(BUSY)
        .log_statements(LevelFilter::Trace)
        // The writer's statements carry whole batches as parameters; nothing slow is unexpected.
        .log_slow_statements(LevelFilter::Debug, Duration::from_secs(1))
}

/// Options of a connection that cannot write.
pub(crate) fn reading(path: &Path) -> SqliteConnectOptions {
    // Larger than the default, since a log is read by the hundred thousand.
    const ROWS: usize = 512;
    options(path).read_only(true).row_buffer_size(ROWS)
}

/// Checks that the file is a journal that this program can read as it is.
pub(crate) async fn check_readable(path: &Path) -> Result<(), Error> {
    let empty = || Error::Empty { path: path.to_owned() };
    if examine(path)? == Header::Empty {
        return Err(empty());
    }
    match look(path).await? {
        Content::Fresh => Err(empty()),
        Content::Journal { schema } if schema < known_schema() => {
            Err(Error::Older { path: path.to_owned(), found: schema, known: known_schema() })
        }
        Content::Journal { .. } => Ok(()),
    }
}

/// Inspects with a connection that cannot write, so that a foreign database stays as it is.
async fn look(path: &Path) -> Result<Content, Error> {
    let error = |error| Error::sql(path, "opening the database", error);
    let mut connection = reading(path).connect().await.map_err(error)?;
    let content = inspect(path, &mut connection).await;
    connection.close().await.map_err(error)?;
    content
}

/// Checks that the file may be written, and makes it a journal of the newest schema.
pub(crate) async fn prepare(path: &Path, create: bool) -> Result<(), Error> {
    let content = match examine(path)? {
        Header::Empty => Content::Fresh,
        Header::Database => look(path).await?,
    };
    if content == Content::Fresh && !create {
        return Err(Error::Empty { path: path.to_owned() });
    }
    // SQLite would open a file that cannot be written, and fail at the first event.
    let writable = fs::OpenOptions::new().write(true).open(path);
    writable.map(drop).map_err(|error| Error::io(path, "opening the database", error))
}

/// Opens the writing connection of a journal, or of a file that is to become one.
pub(crate) async fn writable(path: &Path, settings: Settings) -> Result<SqliteConnection, Error> {
    let error = |error| Error::sql(path, "opening the database", error);
    let mut options =
        options(path).journal_mode(SqliteJournalMode::Wal).synchronous(SqliteSynchronous::Full);
    if let Some(pages) = settings.page_limit {
        options = options.pragma("max_page_count", pages.to_string());
    }
    options.connect().await.map_err(error)
}

/// Brings the schema up to date.
pub(crate) async fn migrate(path: &Path, connection: &mut SqliteConnection) -> Result<(), Error> {
    let error = |error| Error::sql(path, "making the database's tables", error);
    if inspect(path, connection).await? == Content::Fresh {
        // 0x53505346, `SPSF`.
        sqlx::query("PRAGMA application_id = 1397773126")
            .execute(&mut *connection)
            .await
            .map_err(error)?;
    }
    MIGRATOR.run_direct(None, &mut *connection, false).await.map_err(|failed| match failed {
        sqlx::migrate::MigrateError::Execute(source)
        | sqlx::migrate::MigrateError::ExecuteMigration(source, _) => error(source),
        other => Error::damaged(path, other.to_string()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_writing_connection_is_durable_and_the_file_is_marked() {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("fleet.db");
        create_private(&path).expect("made");
        let mut connection =
            writable(&path, Settings { page_limit: Some(500) }).await.expect("opened");
        migrate(&path, &mut connection).await.expect("migrated");
        let ask = async |connection: &mut SqliteConnection, pragma: &'static str| -> String {
            let answer: Result<i64, _> =
                sqlx::query_scalar(pragma).fetch_one(&mut *connection).await;
            match answer {
                Ok(number) => number.to_string(),
                Err(_) => sqlx::query_scalar(pragma).fetch_one(connection).await.expect("text"),
            }
        };
        let full = "2";
        assert_eq!(ask(&mut connection, "PRAGMA synchronous").await, full);
        assert_eq!(ask(&mut connection, "PRAGMA journal_mode").await, "wal");
        assert_eq!(ask(&mut connection, "PRAGMA foreign_keys").await, "1");
        assert_eq!(ask(&mut connection, "PRAGMA max_page_count").await, "500");
        assert_eq!(ask(&mut connection, "PRAGMA application_id").await, APPLICATION_ID.to_string());
        let not_strict: i64 = sqlx::query_scalar(
            "SELECT count(*) FROM pragma_table_list
             WHERE schema = 'main' AND NOT strict AND name NOT LIKE 'sqlite%'
               AND name <> '_sqlx_migrations'",
        )
        .fetch_one(&mut connection)
        .await
        .expect("counted");
        assert_eq!(not_strict, 0);
    }

    #[test]
    fn the_place_is_the_same_by_every_way() {
        let dir = tempfile::tempdir().expect("a folder");
        let direct = dir.path().join("fleet.db");
        let around = dir.path().join(".").join("fleet.db");
        assert_eq!(place_of(&around).expect("new").file_name(), direct.file_name());
        fs::write(&direct, "").expect("written");
        let link = dir.path().join("link.db");
        std::os::unix::fs::symlink(&direct, &link).expect("linked");
        assert_eq!(place_of(&link).expect("there"), place_of(&around).expect("there"));
        let missing = place_of(&dir.path().join("no/such/fleet.db")).expect_err("no folder");
        assert!(missing.to_string().contains("no/such"), "{missing}");
    }
}
