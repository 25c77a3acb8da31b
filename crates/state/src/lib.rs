//! The journal in SQLite: one file that is the memory of a fleet.
//!
//! [`SqliteJournal`] writes and reads, [`SqliteReader`] only reads, also beside a running writer.
//! The log is append-only; the status tables are folded from it in the same transaction, so that
//! they can be thrown away and never disagree ([`SqliteReader::check`] proves it).
//!
//! - One writer: the lock file `DATABASE.lock` names who it is ([`Holder`]).
//! - Group commit: whatever waits is written in one transaction, and an append returns only after
//!   its commit reached the disk (WAL, `synchronous=FULL`).
//! - An event that cannot happen fails its own batch and nothing else.
//!
//! SQL stands in this crate and nowhere else.

mod backup;
mod check;
mod codec;
mod error;
mod fold;
mod journal;
mod lock;
mod open;
mod read;
mod sql;
mod status;
mod writer;

pub use check::CheckReport;
pub use error::Error;
pub use journal::{OpenOptions, SqliteJournal};
pub use lock::Holder;
pub use read::{EventQuery, Order, SqliteReader};
pub use status::{ApplianceStatusRow, RolloutStatusRows};
