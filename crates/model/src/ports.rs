//! The traits through which the executor reaches the world. Each has a real implementation and
//! one in memory.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use jiff::Timestamp;

use crate::digest::Sha256Hex;
use crate::event::{Draft, Event, LoginMemory, RolloutHead, Seq, StepDuration};
use crate::failure::ApplianceError;
use crate::fleet;
use crate::names::{ApplianceName, CredentialId, FetchKey, RolloutId, SlotKey};
use crate::observed::{
    ClusterNode, FetchJob, Health, Info, Offered, SetupStatus, Slot, TestReport, Uploaded,
};
use crate::rollout::Image;

/// The answer of an appliance, some time later.
pub type Answer<'a, T> = BoxFuture<'a, Result<T, ApplianceError>>;

/// What can be asked of an appliance. One call is one request (besides logins): an implementation
/// repeats nothing, except a read once after a new login. Sources: sps-api.md.
pub trait Appliance: Send + Sync {
    /// `GET /api/setup`, without login: the readiness probe that costs no login attempt.
    fn setup(&self) -> Answer<'_, SetupStatus>;
    /// `GET /api/info`, logged in. An answer without version means the session was lost and is
    /// never returned as success.
    fn info(&self) -> Answer<'_, Info>;
    /// `GET /api/firmware`: which firmware endpoints there are.
    fn offered(&self) -> Answer<'_, Offered>;
    /// `GET /api/firmware/slots`.
    fn slots(&self) -> Answer<'_, Vec<Slot>>;
    /// `GET /api/firmware/slots/KEY`.
    fn slot<'a>(&'a self, key: &'a SlotKey) -> Answer<'a, Slot>;
    /// `DELETE /api/firmware/slots/KEY`. Changes the appliance.
    fn delete_slot<'a>(&'a self, key: &'a SlotKey) -> Answer<'a, ()>;
    /// `POST /api/firmware/fetch`. Changes the appliance.
    fn start_fetch<'a>(&'a self, url: &'a str, sha256: &'a Sha256Hex) -> Answer<'a, FetchKey>;
    /// `GET /api/firmware/fetch`.
    fn fetch_jobs(&self) -> Answer<'_, Vec<FetchJob>>;
    /// `GET /api/firmware/fetch/KEY`; `None` when there is no such record (any more).
    fn fetch_job<'a>(&'a self, key: &'a FetchKey) -> Answer<'a, Option<FetchJob>>;
    /// `DELETE /api/firmware/fetch/KEY`: cancels a live job, removes the record of an ended one.
    /// A record that is not there is success. Changes the appliance.
    fn delete_fetch<'a>(&'a self, key: &'a FetchKey) -> Answer<'a, ()>;
    /// `POST /api/upload/firmware`, streamed and hashed while sent; `sent` is told the bytes so
    /// far. Gives up when no byte moves for `stall`. Changes the appliance.
    fn upload<'a>(
        &'a self,
        image: &'a Image,
        stall: Duration,
        sent: Arc<dyn Fn(u64) + Send + Sync>,
    ) -> Answer<'a, Uploaded>;
    /// SHA-256 of the image that the last [`Appliance::upload`] sent to its last byte, whatever was
    /// answered; `None` when it was not sent whole, or where that is not known. Asks nothing.
    fn uploaded_sum(&self) -> Option<Sha256Hex> {
        None
    }
    /// `POST /api/firmware/test`: synchronous, changes nothing, may be repeated.
    fn test<'a>(&'a self, slot: &'a SlotKey, limit: Duration) -> Answer<'a, TestReport>;
    /// `POST /api/firmware/upgrade`: sent once, never repeated by an implementation.
    fn upgrade<'a>(
        &'a self,
        slot: &'a SlotKey,
        message: &'a str,
        limit: Duration,
    ) -> Answer<'a, TestReport>;
    /// `GET /api/health_status`.
    fn health(&self) -> Answer<'_, Health>;
    /// `GET /api/cluster/status`, on central management.
    fn cluster_status(&self) -> Answer<'_, Vec<ClusterNode>>;
    /// `POST /api/troubleshooting/support-bundle`: begins one, gives its key (sps-api.md,
    /// section 5).
    fn start_bundle(&self) -> Answer<'_, String>;
    /// `GET /api/troubleshooting/support-bundle/KEY`: whether it is finished.
    fn bundle_is_ready<'a>(&'a self, key: &'a str) -> Answer<'a, bool>;
    /// `GET .../KEY/download` into a new file; gives its size. Fails, and leaves no file, beyond
    /// `limit` bytes.
    fn download_bundle<'a>(&'a self, key: &'a str, into: &'a Path, limit: u64) -> Answer<'a, u64>;
    /// `DELETE .../KEY`.
    fn delete_bundle<'a>(&'a self, key: &'a str) -> Answer<'a, ()>;
    /// SHA-256 of the certificate with which the appliance last proved itself; `None` before the
    /// first connection. Asks nothing.
    fn leaf(&self) -> Option<Sha256Hex>;
}

/// Makes the client of an appliance. Never fails: what is wrong shows in the first call.
pub trait Connector: Send + Sync {
    /// A client with its own session. Every HTTP request, logins included, first passes
    /// `throttle`; every login is first admitted by `logins`.
    fn connect(
        &self,
        appliance: &fleet::Appliance,
        throttle: Arc<dyn Throttle>,
        logins: Arc<dyn LoginGate>,
    ) -> Arc<dyn Appliance>;
}

/// A limit on requests.
pub trait Throttle: Send + Sync {
    /// Waits until one more request may be sent.
    fn pass(&self) -> BoxFuture<'_, ()>;
}

/// No limit at all.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoThrottle;

impl Throttle for NoThrottle {
    fn pass(&self) -> BoxFuture<'_, ()> {
        Box::pin(std::future::ready(()))
    }
}

/// 16 bits of a salted SHA-256 of a password: enough to see that it changed, far too little to
/// find it.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize,
)]
#[serde(transparent)]
pub struct Fingerprint(pub u16);

impl Fingerprint {
    /// The fingerprint of this password of this login definition. It is the same at every
    /// appliance: many different ones of one password would add up to what finds it.
    #[must_use]
    pub fn of(credential: &CredentialId, password: &str) -> Self {
        let text = format!("spsfleet\0{credential}\0{password}");
        let sum = Sha256Hex::of(text.as_bytes());
        Self(u16::from_str_radix(&sum.as_str()[..4], 16).unwrap_or_default())
    }
}

/// Why a password is not sent.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Withheld {
    /// This appliance refused this very password before.
    #[error("this appliance refused this password before; correct it, or say `retry`")]
    RefusedHere,
    /// Too many appliances refused it.
    #[error("{} appliances refused this password ({}) and none has taken it; it is tried on no other", .0.len(), .0.iter().map(ApplianceName::as_str).collect::<Vec<_>>().join(", "))]
    RefusedElsewhere(Vec<ApplianceName>),
}

/// Decides whether a password may be sent (contract: semantics.md, last paragraph). SPS locks
/// accounts out, so one refusal is remembered and an unproven password is tried on one appliance
/// at a time.
pub trait LoginGate: Send + Sync {
    /// Asks before a login request; waits while the credential is unproven and being tried
    /// elsewhere.
    fn admit<'a>(
        &'a self,
        appliance: &'a ApplianceName,
        credential: &'a CredentialId,
        fingerprint: Fingerprint,
    ) -> BoxFuture<'a, Result<Box<dyn LoginAttempt>, Withheld>>;
}

/// One admitted login. Dropping it says that nothing was learnt.
pub trait LoginAttempt: Send {
    /// The appliance took or refused the password.
    fn settle(self: Box<Self>, accepted: bool);
}

/// Admits every login: for tests and single commands without memory.
#[derive(Debug, Clone, Copy, Default)]
pub struct OpenGate;

struct Unremembered;

impl LoginAttempt for Unremembered {
    fn settle(self: Box<Self>, _accepted: bool) {}
}

impl LoginGate for OpenGate {
    fn admit<'a>(
        &'a self,
        _: &'a ApplianceName,
        _: &'a CredentialId,
        _: Fingerprint,
    ) -> BoxFuture<'a, Result<Box<dyn LoginAttempt>, Withheld>> {
        Box::pin(std::future::ready(Ok(Box::new(Unremembered) as Box<dyn LoginAttempt>)))
    }
}

/// The append-only log..
pub trait Journal: Send + Sync {
    /// Appends a batch as one transaction, numbered and durable when this returns.
    fn append<'a>(&'a self, batch: &'a [Draft]) -> BoxFuture<'a, Result<Vec<Event>, JournalError>>;
    /// The events of a rollout after a number, in order, at most `limit`.
    fn events<'a>(
        &'a self,
        rollout: &'a RolloutId,
        after: Seq,
        limit: usize,
    ) -> BoxFuture<'a, Result<Vec<Event>, JournalError>>;
    /// All rollouts, oldest first.
    fn rollouts(&self) -> BoxFuture<'_, Result<Vec<RolloutHead>, JournalError>>;
    /// Which passwords were refused where, and which have worked.
    fn logins(&self) -> BoxFuture<'_, Result<LoginMemory, JournalError>>;
    /// How long steps took so far, newest last.
    fn durations(&self) -> BoxFuture<'_, Result<Vec<StepDuration>, JournalError>>;
    /// The host name that each appliance last said in a preflight, over all rollouts.
    fn hostnames(&self) -> BoxFuture<'_, Result<BTreeMap<ApplianceName, String>, JournalError>>;
}

/// The journal could not be written or read.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{doing}: {detail}")]
pub struct JournalError {
    /// The event itself cannot happen; writing it again later does not help.
    pub illegal: bool,
    /// What was being done, such as `writing to the journal`.
    pub doing: String,
    /// What the storage said.
    pub detail: String,
}

/// The one door to time.
pub trait Clock: Send + Sync + fmt::Debug {
    /// The wall clock.
    fn now(&self) -> Timestamp;
    /// Time since some fixed moment of this process; never jumps.
    fn monotonic(&self) -> Duration;
    /// Waits.
    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()>;
}

/// A program to run: no shell, cleared environment, its own process group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Command {
    /// The program and its arguments.
    pub words: Vec<String>,
    /// What it sees besides `PATH`.
    pub env: Vec<(String, String)>,
    /// After this it and its group are ended.
    pub limit: Duration,
}

/// What a program did.
#[derive(Clone)]
pub struct CommandOutput {
    /// Its exit code; `None` when a signal ended it.
    pub code: Option<i32>,
    /// What it printed (at most 64 KiB). May hold a secret: has no printing `Debug`.
    pub stdout: String,
    /// The end of its standard error (at most 4 KiB).
    pub stderr: String,
}

impl fmt::Debug for CommandOutput {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CommandOutput").field("code", &self.code).finish_non_exhaustive()
    }
}

/// A program that could not be run to its end.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CommandError {
    /// It could not be started.
    #[error("`{program}` could not be started: {detail}")]
    NotStarted {
        /// The program.
        program: String,
        /// What the system said.
        detail: String,
    },
    /// It took too long and was ended.
    #[error("`{program}` took longer than {limit:?} and was ended")]
    TimedOut {
        /// The program.
        program: String,
        /// The limit.
        limit: Duration,
    },
}

/// A process as the system knows it: a pid alone is reused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct ProcessId {
    /// Its pid, which is also its process group.
    pub pid: u32,
    /// Its start time in clock ticks since boot.
    pub started: u64,
}

/// The one door to other programs.
pub trait CommandRunner: Send + Sync {
    /// Runs a program to its end; `started` is told its process before anything is awaited.
    fn run<'a>(
        &'a self,
        command: &'a Command,
        started: Box<dyn FnOnce(ProcessId) + Send + 'a>,
    ) -> BoxFuture<'a, Result<CommandOutput, CommandError>>;

    /// Waits for a program that an earlier, dead process of ours started, and ends it with its
    /// group after `limit`. True when it still lived. Its outcome is not known afterwards.
    fn await_leftover(&self, process: ProcessId, limit: Duration) -> BoxFuture<'_, bool>;
}

/// Whether a node has power.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PowerState {
    /// It runs.
    On,
    /// It does not.
    Off,
}

/// The power of one node. Each call is one act or one look; nothing is repeated.
pub trait PowerSwitch: Send + Sync {
    /// Whether it has power now.
    fn state(&self) -> Answer<'_, PowerState>;
    /// Switches it on.
    fn on(&self) -> Answer<'_, ()>;
    /// Shuts it down gracefully: the answer only says that it was asked to.
    fn off(&self) -> Answer<'_, ()>;
    /// Takes its power away at once.
    fn force_off(&self) -> Answer<'_, ()>;
    /// Restarts it gracefully.
    fn restart(&self) -> Answer<'_, ()>;
}

/// Makes the client of a Redfish service. Never fails: what is wrong shows in the first call.
pub trait PowerConnector: Send + Sync {
    /// A power switch for the system of a Redfish service. `appliance` is whose hardware it is, for
    /// messages.
    fn connect(&self, redfish: &fleet::Redfish, appliance: &ApplianceName) -> Arc<dyn PowerSwitch>;
}
