//! What can be wrong with a journal's file, told apart so that each says what to do.

use std::io;
use std::path::{Path, PathBuf};

use model::Chain;
use model::event::Seq;
use model::ports::JournalError;

use crate::lock::Holder;

/// The journal could not be opened, written or read.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is no such file.
    #[error("{}: there is no such database", path.display())]
    NoSuchFile {
        /// The database.
        path: PathBuf,
    },
    /// The file is there, but nothing was ever written to it.
    #[error("{}: the file is empty; the first rollout makes a journal of it", path.display())]
    Empty {
        /// The database.
        path: PathBuf,
    },
    /// The operating system refuses access.
    #[error("{}: no permission; the database belongs to the user who made it", path.display())]
    Permission {
        /// The database, or a file beside it.
        path: PathBuf,
    },
    /// The file is no SQLite database at all.
    #[error("{}: this is no database; name another file", path.display())]
    NotADatabase {
        /// The file.
        path: PathBuf,
    },
    /// The file is a SQLite database of another program.
    #[error("{}: this database belongs to another program; name another file", path.display())]
    Foreign {
        /// The file.
        path: PathBuf,
    },
    /// The database was made by a newer program.
    #[error(
        "{}: made by a newer spsfleet (its schema is {found}, this program knows {known}); use that one",
        path.display()
    )]
    Newer {
        /// The database.
        path: PathBuf,
        /// The schema that was found.
        found: i64,
        /// The newest schema that this program knows.
        known: i64,
    },
    /// The database was made by an older program and is only to be read.
    #[error(
        "{}: made by an older spsfleet (its schema is {found}, this program reads {known}); the next `run` or daemon brings it up to date",
        path.display()
    )]
    Older {
        /// The database.
        path: PathBuf,
        /// The schema that was found.
        found: i64,
        /// The schema that this program reads.
        known: i64,
    },
    /// The file's content is damaged.
    #[error("{}: the database is damaged ({detail}); restore a backup", path.display())]
    Damaged {
        /// The database.
        path: PathBuf,
        /// What was found.
        detail: String,
    },
    /// No space is left.
    #[error("{}: the disk is full; free some space, then it goes on", path.display())]
    Full {
        /// The database.
        path: PathBuf,
    },
    /// The file or its file system cannot be written.
    #[error("{}: it cannot be written (file or file system is read-only)", path.display())]
    ReadOnly {
        /// The database.
        path: PathBuf,
    },
    /// SQLite cannot open the file: mostly because its folder cannot be written.
    #[error(
        "{}: it cannot be opened; its folder must be writable even for reading (a copy made by `db backup` can be read anywhere)",
        path.display()
    )]
    NotOpened {
        /// The database.
        path: PathBuf,
    },
    /// Another program holds SQLite's own lock.
    #[error("{}: another program keeps the database locked; close it", path.display())]
    Busy {
        /// The database.
        path: PathBuf,
    },
    /// Another process writes this journal.
    #[error("{}: in use by {}", path.display(), describe(holder.as_ref()))]
    InUse {
        /// The database.
        path: PathBuf,
        /// Who, when the lock file says so.
        holder: Option<Holder>,
    },
    /// A file that would be overwritten.
    #[error("{}: the file exists already; name another one", path.display())]
    Exists {
        /// The file.
        path: PathBuf,
    },
    /// The operating system refused something else.
    #[error("{}: {doing}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What was being done.
        doing: &'static str,
        /// What the system said.
        source: io::Error,
    },
    /// SQLite refused something else.
    #[error("{}: {doing}", path.display())]
    Sql {
        /// The database.
        path: PathBuf,
        /// What was being done.
        doing: &'static str,
        /// What SQLite said.
        source: sqlx::Error,
    },
    /// An event was written by a newer program.
    #[error(
        "event {seq} was written by a newer spsfleet (shape {found}, this program knows {known}); use that one"
    )]
    NewerEvent {
        /// Which event.
        seq: Seq,
        /// Its shape.
        found: i64,
        /// The newest shape that this program knows.
        known: i64,
    },
    /// An id that begins so belongs to more than one rollout.
    #[error("more than one rollout's id begins with `{prefix}`: {}; write more of it", ids.join(", "))]
    Ambiguous {
        /// What was asked for.
        prefix: String,
        /// What it may mean.
        ids: Vec<String>,
    },
    /// The journal is closed.
    #[error("the journal is closed")]
    Closed,
}

fn describe(holder: Option<&Holder>) -> String {
    holder.map_or_else(|| "another process".to_owned(), Holder::to_string)
}

impl Error {
    /// Sorts what the operating system said.
    pub(crate) fn io(path: &Path, doing: &'static str, source: io::Error) -> Self {
        let path = path.to_owned();
        match source.kind() {
            io::ErrorKind::NotFound => Self::NoSuchFile { path },
            io::ErrorKind::PermissionDenied => Self::Permission { path },
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Self::Full { path },
            io::ErrorKind::ReadOnlyFilesystem => Self::ReadOnly { path },
            _ => Self::Io { path, doing, source },
        }
    }

    /// Sorts what SQLite said.
    pub(crate) fn sql(path: &Path, doing: &'static str, source: sqlx::Error) -> Self {
        let path_buf = path.to_owned();
        match &source {
            sqlx::Error::Io(error) => {
                let error = io::Error::new(error.kind(), error.to_string());
                return Self::io(path, doing, error);
            }
            sqlx::Error::WorkerCrashed | sqlx::Error::PoolClosed => return Self::Closed,
            _ => {}
        }
        let code = source.as_database_error().and_then(|error| error.code());
        let primary = code.and_then(|code| code.parse::<i32>().ok()).map(|code| code & 0xff);
        let detail =
            || source.as_database_error().map_or(String::new(), |e| e.message().to_owned());
        match primary {
            Some(SQLITE_PERM | SQLITE_AUTH) => Self::Permission { path: path_buf },
            Some(SQLITE_BUSY | SQLITE_LOCKED) => Self::Busy { path: path_buf },
            Some(SQLITE_READONLY) => Self::ReadOnly { path: path_buf },
            Some(SQLITE_CANTOPEN) => Self::NotOpened { path: path_buf },
            Some(SQLITE_CORRUPT) => Self::Damaged { path: path_buf, detail: detail() },
            Some(SQLITE_FULL) => Self::Full { path: path_buf },
            Some(SQLITE_NOTADB) => Self::NotADatabase { path: path_buf },
            _ => Self::Sql { path: path_buf, doing, source },
        }
    }

    /// What is stored does not read back.
    pub(crate) fn damaged(path: &Path, detail: impl Into<String>) -> Self {
        Self::Damaged { path: path.to_owned(), detail: detail.into() }
    }

    /// In the words of the port.
    pub(crate) fn in_journal(&self, doing: &str) -> JournalError {
        JournalError { illegal: false, doing: doing.to_owned(), detail: Chain(self).to_string() }
    }
}

// Primary result codes, https://www.sqlite.org/rescode.html.
const SQLITE_PERM: i32 = 3;
const SQLITE_BUSY: i32 = 5;
const SQLITE_LOCKED: i32 = 6;
const SQLITE_READONLY: i32 = 8;
const SQLITE_CORRUPT: i32 = 11;
const SQLITE_FULL: i32 = 13;
const SQLITE_CANTOPEN: i32 = 14;
const SQLITE_AUTH: i32 = 23;
const SQLITE_NOTADB: i32 = 26;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_systems_words_are_sorted_and_said_once() {
        let path = Path::new("fleet.db");
        let io = |kind| Error::io(path, "opening", io::Error::from(kind));
        assert!(matches!(io(io::ErrorKind::NotFound), Error::NoSuchFile { .. }));
        assert!(matches!(io(io::ErrorKind::PermissionDenied), Error::Permission { .. }));
        assert!(matches!(io(io::ErrorKind::StorageFull), Error::Full { .. }));
        let other = io(io::ErrorKind::TimedOut);
        assert_eq!(other.to_string(), "fleet.db: opening");
        assert_eq!(
            other.in_journal("writing").to_string(),
            "writing: fleet.db: opening: timed out"
        );
    }
}
