//! One hand: only one process writes a journal. The lock is the kernel's (`flock`), so it ends
//! with its process, however that ends; the file's text only says who it is.

use std::fmt;
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::error::Error;

/// Who writes a journal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Holder {
    /// Its process.
    pub pid: u32,
    /// The machine it runs on.
    pub host: String,
    /// What it was started as, such as `run`.
    pub command: String,
    /// Since when.
    pub since: Timestamp,
}

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { pid, host, command, since } = self;
        write!(f, "`{command}`, process {pid} on {host}, since {since:.0}")
    }
}

/// The held lock. Dropping it gives the journal free.
#[derive(Debug)]
pub(crate) struct Lock {
    _file: File,
}

impl Lock {
    /// Takes the lock of this database, or says who has it.
    pub(crate) fn take(database: &Path, holder: &Holder) -> Result<Self, Error> {
        let path = lock_path(database);
        let doing = "opening the lock file";
        // The file stays when the lock is given back: removing it would race with the next taker.
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&path)
            .map_err(|source| Error::io(&path, doing, source))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let holder = read_holder(&mut file);
                return Err(Error::InUse { path: database.to_owned(), holder });
            }
            Err(TryLockError::Error(source)) => {
                return Err(Error::io(&path, "taking the lock", source));
            }
        }
        write_holder(&mut file, holder)
            .map_err(|source| Error::io(&path, "writing the lock file", source))?;
        Ok(Self { _file: file })
    }
}

fn lock_path(database: &Path) -> PathBuf {
    let mut name = database.as_os_str().to_owned();
    name.push(".lock");
    PathBuf::from(name)
}

fn write_holder(file: &mut File, holder: &Holder) -> io::Result<()> {
    let mut text = serde_json::to_string(holder).map_err(io::Error::other)?;
    text.push('\n');
    file.set_len(0)?;
    file.rewind()?;
    file.write_all(text.as_bytes())
}

/// The holder may be between taking the lock and writing its name: then nobody is named.
fn read_holder(file: &mut File) -> Option<Holder> {
    const MOST: u64 = 64 * 1024;
    let mut text = String::new();
    file.take(MOST).read_to_string(&mut text).ok()?;
    serde_json::from_str(&text).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn holder(command: &str) -> Holder {
        let since = "2026-11-24T08:00:00Z".parse().expect("a time");
        Holder { pid: 4711, host: "ops-1".to_owned(), command: command.to_owned(), since }
    }

    #[test]
    fn the_second_hand_is_told_who_the_first_is() {
        let dir = tempfile::tempdir().expect("a folder");
        let database = dir.path().join("fleet.db");
        let first = Lock::take(&database, &holder("daemon with a rather long command line"))
            .expect("the first lock");
        let refused = Lock::take(&database, &holder("run")).expect_err("held");
        assert_eq!(
            refused.to_string().split(": ").nth(1),
            Some(
                "in use by `daemon with a rather long command line`, process 4711 on ops-1, since 2026-11-24T08:00:00Z"
            )
        );
        drop(first);
        // A shorter name after a longer one leaves nothing of it.
        let _again = Lock::take(&database, &holder("run")).expect("free again");
        let Err(Error::InUse { holder: Some(named), .. }) = Lock::take(&database, &holder("x"))
        else {
            panic!("held by a named holder");
        };
        assert_eq!(named, holder("run"));
    }

    #[test]
    fn what_a_dead_process_left_does_not_lock() {
        let dir = tempfile::tempdir().expect("a folder");
        let database = dir.path().join("fleet.db");
        std::fs::write(lock_path(&database), "{\"pid\": 1, half a li").expect("a left file");
        assert!(Lock::take(&database, &holder("run")).is_ok());
    }
}
