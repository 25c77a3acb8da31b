//! What the appliances saw: every call that reached one, and everything that happened to one.
//! Tests ask the ledger, not the client, what was done.

pub mod observer;
mod power;
mod queries;

use std::borrow::Cow;
use std::fs::File;
use std::io::{self, Write};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use model::names::{ApplianceName, FetchKey, SlotKey};
use model::ports::Clock;
use serde::{Serialize, Serializer};

pub use power::{Node, PowerAct, PowerRecord};

/// One line of the ledger.
#[derive(Debug, Clone, Serialize)]
pub struct Entry {
    /// When it began, by the wall clock.
    pub at: Timestamp,
    /// When it began, on the simulator's monotonic clock (written in seconds).
    #[serde(serialize_with = "seconds")]
    pub began: Duration,
    /// When it ended, on the same clock; equal to `began` for what takes no time.
    #[serde(serialize_with = "seconds")]
    pub ended: Duration,
    /// The appliance.
    pub appliance: ApplianceName,
    /// What it was.
    #[serde(flatten)]
    pub what: What,
}

fn seconds<S: Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_f64(duration.as_secs_f64())
}

impl Entry {
    /// The call, when it is one.
    #[must_use]
    pub fn call(&self) -> Option<&CallRecord> {
        match &self.what {
            What::Call(call) => Some(call),
            _ => None,
        }
    }

    /// The life event, when it is one.
    #[must_use]
    pub fn life(&self) -> Option<&Life> {
        match &self.what {
            What::Life(life) => Some(life),
            _ => None,
        }
    }

    /// The request to its power service, when it is one.
    #[must_use]
    pub fn power(&self) -> Option<&PowerRecord> {
        match &self.what {
            What::Power(power) => Some(power),
            _ => None,
        }
    }
}

/// A call or an event in an appliance's life.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum What {
    /// A request that reached the appliance.
    Call(Box<CallRecord>),
    /// Something that happened to it.
    Life(Life),
    /// A request that reached the power service of its hardware.
    Power(PowerRecord),
}

/// A request that reached an appliance. Refused connections leave no trace.
#[derive(Debug, Clone, Default, Serialize)]
pub struct CallRecord {
    /// `GET`, `POST`, …
    pub method: Cow<'static, str>,
    /// The path, without query.
    pub path: Cow<'static, str>,
    /// The HTTP status that was sent; `None` when no answer was.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// `error.type` of the answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error_type: Option<Cow<'static, str>>,
    /// The fault that was played.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fault: Option<Cow<'static, str>>,
    /// Whether it changed the appliance, whatever was answered. Logins and firmware tests do not.
    pub changed: bool,
    /// Bytes of the request's body.
    pub bytes_in: u64,
    /// The user whose session it was, or who logged in.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user: Option<Arc<str>>,
    /// For a login: what became of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub login: Option<LoginRecord>,
    /// The slot that it was about, or that it filled.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub slot: Option<SlotKey>,
    /// The version that was in that slot at that moment, or that ran.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<Arc<str>>,
    /// The fetch job that it was about, or that it made.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub job: Option<FetchKey>,
}

/// A login that reached an appliance.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LoginRecord {
    /// Whether it got a session.
    pub accepted: bool,
    /// Whether the brute-force guard refused it.
    pub blocked: bool,
    /// A short sum of user and password: equal ones are equal.
    pub secret: u32,
}

/// Something that happened to an appliance.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Life {
    /// A slot was selected for the next boot.
    Armed {
        /// The slot.
        slot: SlotKey,
        /// What is in it.
        version: String,
    },
    /// A restart was asked for; connections are refused a little later.
    Restarting {
        /// Who asked.
        by: RestartBy,
    },
    /// Connections are refused from now on.
    Down,
    /// The boot page is shown from now on.
    BootPage,
    /// The API answers again.
    Up {
        /// The firmware that runs.
        version: String,
        /// Whether it went back to the old firmware by itself.
        reverted: bool,
    },
    /// A slot's content changed; `None` is empty.
    Slot {
        /// The slot.
        slot: SlotKey,
        /// What is in it now.
        version: Option<String>,
        /// Who did it.
        by: ChangedBy,
    },
    /// A fetch job came to be.
    FetchQueued {
        /// Its key.
        job: FetchKey,
        /// Who made it.
        by: ChangedBy,
    },
    /// A fetch job ended; its record stays.
    FetchEnded {
        /// Its key.
        job: FetchKey,
        /// `finished`, `failed`, `canceled`.
        status: Cow<'static, str>,
    },
    /// A fetch job's record is gone.
    FetchForgotten {
        /// Its key.
        job: FetchKey,
    },
    /// The firmware that is selected on the primary has reached the secondary, which boots it next.
    PeerHasFirmware {
        /// The firmware.
        version: String,
    },
    /// The secondary was asked to shut down.
    SecondaryShuttingDown,
    /// The secondary is off.
    SecondaryOff,
    /// The secondary has power and boots.
    SecondaryBooting,
    /// The secondary runs.
    SecondaryUp {
        /// With this firmware.
        version: String,
    },
    /// Both nodes are together.
    PairWhole,
    /// The secondary was brought up with other firmware than the primary runs: they will not come
    /// together.
    PairBroken {
        /// What the primary runs.
        primary: String,
        /// What the secondary boots.
        secondary: String,
    },
    /// The primary went down while the secondary had power, or was down when the secondary came
    /// up: the secondary takes its place, with whatever firmware it runs.
    Takeover {
        /// What brought that about.
        by: RestartBy,
    },
}

/// Who asked for a restart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum RestartBy {
    /// `POST /api/firmware/upgrade`.
    Upgrade,
    /// The operator's button or a configured reboot command.
    Operator,
    /// Loss of power.
    Power,
    /// A power switch.
    Switch,
    /// Another administrator, played by the fault plan or a test.
    OtherAdmin,
}

/// Who changed something.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ChangedBy {
    /// A call.
    Call,
    /// Another administrator, played by the fault plan or a test.
    OtherAdmin,
}

/// All that the appliances of one fleet saw. Cloning gives another handle to the same ledger.
#[derive(Clone, Debug)]
pub struct Ledger {
    clock: Arc<dyn Clock>,
    book: Arc<Mutex<Book>>,
}

#[derive(Debug, Default)]
struct Book {
    entries: Vec<Entry>,
    file: Option<File>,
    file_error: Option<String>,
}

impl Ledger {
    /// An empty ledger in memory.
    #[must_use]
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self { clock, book: Arc::default() }
    }

    /// Also writes every entry to a file, one JSON object a line, from now on.
    ///
    /// # Errors
    /// When the file cannot be made.
    pub fn write_to(&self, path: &Path) -> io::Result<()> {
        let file = File::create(path)?;
        self.book().file = Some(file);
        Ok(())
    }

    /// Why the file is no longer written, when that is so.
    #[must_use]
    pub fn file_error(&self) -> Option<String> {
        self.book().file_error.clone()
    }

    /// All entries so far, in the order they began.
    #[must_use]
    pub fn entries(&self) -> Vec<Entry> {
        let mut entries = self.book().entries.clone();
        entries.sort_by_key(|entry| entry.began);
        entries
    }

    pub(crate) fn record(
        &self,
        appliance: &ApplianceName,
        began: Duration,
        ended: Duration,
        what: What,
    ) {
        let ago = self.clock.monotonic().saturating_sub(began);
        let now = self.clock.now();
        let at = jiff::SignedDuration::try_from(ago)
            .ok()
            .and_then(|ago| now.checked_sub(ago).ok())
            .unwrap_or(now);
        let entry = Entry { at, began, ended, appliance: appliance.clone(), what };
        let mut book = self.book();
        let book = &mut *book;
        if let Some(file) = &mut book.file {
            let written =
                serde_json::to_vec(&entry).map_err(io::Error::other).and_then(|mut line| {
                    line.push(b'\n');
                    file.write_all(&line)
                });
            if let Err(error) = written {
                book.file_error = Some(error.to_string());
                book.file = None;
            }
        }
        book.entries.push(entry);
    }

    pub(crate) fn life(&self, appliance: &ApplianceName, at: Duration, life: Life) {
        self.record(appliance, at, at, What::Life(life));
    }

    fn book(&self) -> std::sync::MutexGuard<'_, Book> {
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
