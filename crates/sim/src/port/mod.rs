//! The same appliances in-process: an implementation of [`model::ports::Appliance`] without HTTP,
//! for tests and simulations in virtual time. It behaves as a client should: one session an
//! appliance, logins through the gate, everything through the throttle, reads repeated once after
//! a new login, and nothing repeated that changes.

mod bundle;
mod classify;
mod power;
mod upload;

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use model::digest::Sha256Hex;
use model::failure::{ApplianceError, FailureClass};
use model::fleet;
use model::names::{CredentialId, FetchKey, SlotKey};
use model::observed::{
    ClusterNode, FetchJob, Health, Info, Offered, SetupStatus, Slot, TestReport, Uploaded,
};
use model::ports::{Answer, Appliance, Clock, Connector, Fingerprint, LoginGate, Throttle};
use model::rollout::Image;
use model::version::FirmwareVersion;

use crate::appliance::{Call, Heard, Message, Reply, SimAppliance};
use crate::fleet::SimFleet;
use classify::Failed;
pub use power::SimPower;

/// How the in-process client is.
#[derive(Debug, Clone)]
pub struct ClientSettings {
    /// How long a request and its answer are under way together.
    pub latency: Duration,
    /// How long the client waits for an answer to anything but test and upgrade.
    pub timeout: Duration,
}

impl Default for ClientSettings {
    fn default() -> Self {
        Self { latency: Duration::from_millis(20), timeout: Duration::from_secs(30) }
    }
}

/// Makes in-process clients of a fleet's appliances, found by name.
#[derive(Debug, Clone)]
pub struct InProcess {
    fleet: Arc<SimFleet>,
    settings: ClientSettings,
}

impl InProcess {
    pub(crate) fn new(fleet: Arc<SimFleet>, settings: ClientSettings) -> Self {
        Self { fleet, settings }
    }
}

impl Connector for InProcess {
    fn connect(
        &self,
        appliance: &fleet::Appliance,
        throttle: Arc<dyn Throttle>,
        logins: Arc<dyn LoginGate>,
    ) -> Arc<dyn Appliance> {
        Arc::new(Link {
            target: self.fleet.appliance(appliance.name.as_str()),
            clock: Arc::clone(self.fleet.clock()),
            host: appliance.endpoint.authority(),
            entry: appliance.clone(),
            credential: appliance.endpoint.login.id(),
            throttle,
            logins,
            settings: self.settings.clone(),
            session: tokio::sync::Mutex::new(None),
            leaf: Mutex::new(None),
        })
    }
}

/// The client of one appliance.
struct Link {
    target: Option<Arc<SimAppliance>>,
    clock: Arc<dyn Clock>,
    host: String,
    entry: fleet::Appliance,
    credential: CredentialId,
    throttle: Arc<dyn Throttle>,
    logins: Arc<dyn LoginGate>,
    settings: ClientSettings,
    session: tokio::sync::Mutex<Option<String>>,
    /// The certificate that it showed last.
    leaf: Mutex<Option<Sha256Hex>>,
}

/// Where the requests seem to come from.
const SOURCE: &str = "in-process";

impl Link {
    /// Sends one request and waits at most `limit` for its answer.
    async fn send(
        &self,
        call: Call,
        session: Option<&str>,
        limit: Duration,
    ) -> Result<Reply, ApplianceError> {
        let failed = Failed::of(&call, &self.host);
        let Some(target) = &self.target else {
            return Err(failed.unreachable("no such simulated appliance"));
        };
        self.throttle.pass().await;
        self.clock.sleep(self.settings.latency / 2).await;
        if target.shows_wrong_certificate() && target.phase() != crate::Phase::Down {
            return Err(failed.identity());
        }
        if target.phase() != crate::Phase::Down {
            *self.leaf.lock().unwrap_or_else(PoisonError::into_inner) = Some(target.leaf());
        }
        let bytes = match &call {
            Call::Upload(received) => received.bytes,
            _ => 0,
        };
        let answer = target.exchange(call, session, SOURCE, bytes);
        let heard = tokio::select! {
            heard = answer => heard,
            () = self.clock.sleep(limit) => return Err(failed.timed_out(limit)),
        };
        self.clock.sleep(self.settings.latency / 2).await;
        if let Some(takes) = classify::drip(&heard) {
            let patience = self.settings.timeout;
            self.clock.sleep(takes.min(patience)).await;
            if takes > patience {
                return Err(failed.timed_out(patience));
            }
        }
        if let (Heard::Answer { visit, .. }, Some(used)) = (&heard, session) {
            self.renew(used, visit.cookie.as_ref()).await;
        }
        failed.read(heard)
    }

    /// Keeps a newer cookie.
    async fn renew(&self, used: &str, cookie: Option<&String>) {
        if let Some(cookie) = cookie {
            let mut session = self.session.lock().await;
            if session.as_deref() == Some(used) {
                *session = Some(cookie.clone());
            }
        }
    }

    /// Sends a request in a session; logs in before where there is none, and once more where a
    /// read is told that the session is over.
    async fn ask(&self, call: Call, limit: Duration) -> Result<Reply, ApplianceError> {
        let session = self.session(None).await?;
        let changes = call.changes();
        match self.send(call.clone(), Some(&session), limit).await {
            Err(error) if error.class == FailureClass::LoggedOut => {
                self.forget(&session).await;
                if changes {
                    return Err(error);
                }
                let session = self.session(Some(&session)).await?;
                self.send(call, Some(&session), limit).await
            }
            other => other,
        }
    }

    async fn forget(&self, old: &str) {
        let mut session = self.session.lock().await;
        if session.as_deref() == Some(old) {
            *session = None;
        }
    }

    /// The session, from a login if need be; other callers wait for that one login.
    async fn session(&self, not_this: Option<&str>) -> Result<String, ApplianceError> {
        let mut session = self.session.lock().await;
        if let Some(id) = session.as_ref().filter(|id| Some(id.as_str()) != not_this) {
            return Ok(id.clone());
        }
        let password = self.target.as_ref().map(|target| target.client_password());
        let password = password.unwrap_or_default();
        let login = &self.entry.endpoint.login;
        let call = Call::Login { user: login.username.clone(), password: password.clone() };
        let failed = Failed::of(&call, &self.host);
        let print = Fingerprint::of(&self.credential, &password);
        let attempt = self
            .logins
            .admit(&self.entry.name, &self.credential, print)
            .await
            .map_err(|withheld| failed.withheld(&withheld))?;
        match self.send(call, None, self.settings.timeout).await {
            Ok(Reply::Session { id }) => {
                attempt.settle(true);
                *session = Some(id.clone());
                Ok(id)
            }
            Ok(_) => Err(failed.malformed("the login's answer carries no session")),
            Err(error) => {
                if error.class == FailureClass::CredentialsRefused {
                    attempt.settle(false);
                }
                Err(error)
            }
        }
    }

    async fn info_once(&self, session: &str) -> Result<Option<Info>, ApplianceError> {
        let failed = Failed::of(&Call::Info, &self.host);
        match self.send(Call::Info, Some(session), self.settings.timeout).await? {
            Reply::Info(info) => {
                let Some((version, roles)) = info.inside else { return Ok(None) };
                let firmware_version = FirmwareVersion::observed(&version)
                    .map_err(|error| failed.malformed(&error.to_string()))?;
                Ok(Some(Info { firmware_version, hostname: Some(info.hostname), roles }))
            }
            _ => Err(failed.malformed("it carries no `body`")),
        }
    }

    /// `/api/info` tells who is not logged in less, instead of refusing.
    async fn ask_info(&self) -> Result<Info, ApplianceError> {
        let session = self.session(None).await?;
        if let Some(info) = self.info_once(&session).await? {
            return Ok(info);
        }
        self.forget(&session).await;
        let session = self.session(Some(&session)).await?;
        let info = self.info_once(&session).await?;
        let failed = Failed::of(&Call::Info, &self.host);
        info.ok_or_else(|| failed.logged_out("no `firmware_version` right after a login"))
    }

    async fn simple<T>(
        &self,
        call: Call,
        pick: impl FnOnce(Reply) -> Option<T>,
    ) -> Result<T, ApplianceError> {
        let failed = Failed::of(&call, &self.host);
        let reply = self.ask(call, self.settings.timeout).await?;
        pick(reply).ok_or_else(|| failed.malformed("it is not the answer to this request"))
    }
}

impl Appliance for Link {
    fn setup(&self) -> Answer<'_, SetupStatus> {
        Box::pin(async {
            match self.send(Call::Setup, None, self.settings.timeout).await? {
                Reply::Setup { completed: true } => Ok(SetupStatus::Completed),
                _ => Ok(SetupStatus::Booting),
            }
        })
    }

    fn info(&self) -> Answer<'_, Info> {
        Box::pin(self.ask_info())
    }

    fn offered(&self) -> Answer<'_, Offered> {
        Box::pin(self.simple(Call::Firmware, |reply| match reply {
            Reply::Firmware { fetch } => Some(Offered { fetch }),
            _ => None,
        }))
    }

    fn slots(&self) -> Answer<'_, Vec<Slot>> {
        Box::pin(self.simple(Call::Slots, |reply| match reply {
            Reply::Slots(slots) => Some(slots),
            _ => None,
        }))
    }

    fn slot<'a>(&'a self, key: &'a SlotKey) -> Answer<'a, Slot> {
        Box::pin(self.simple(Call::Slot(key.clone()), |reply| match reply {
            Reply::Slot(slot) => Some(slot),
            _ => None,
        }))
    }

    fn delete_slot<'a>(&'a self, key: &'a SlotKey) -> Answer<'a, ()> {
        Box::pin(self.simple(Call::DeleteSlot(key.clone()), |_| Some(())))
    }

    fn start_fetch<'a>(&'a self, url: &'a str, sha256: &'a Sha256Hex) -> Answer<'a, FetchKey> {
        let call = Call::StartFetch { url: Some(url.to_owned()), sha256: Some(Ok(sha256.clone())) };
        Box::pin(self.simple(call, |reply| match reply {
            Reply::FetchStarted(key) => Some(key),
            _ => None,
        }))
    }

    fn fetch_jobs(&self) -> Answer<'_, Vec<FetchJob>> {
        Box::pin(self.simple(Call::FetchJobs, |reply| match reply {
            Reply::Jobs(jobs) => Some(jobs.into_iter().map(|view| view.job).collect()),
            _ => None,
        }))
    }

    fn fetch_job<'a>(&'a self, key: &'a FetchKey) -> Answer<'a, Option<FetchJob>> {
        Box::pin(async move {
            let asked = self.simple(Call::FetchJob(key.clone()), |reply| match reply {
                Reply::Job(view) => Some(view.job),
                _ => None,
            });
            match asked.await {
                Ok(job) => Ok(Some(job)),
                Err(error) if classify::is_missing(&error) => Ok(None),
                Err(error) => Err(error),
            }
        })
    }

    fn delete_fetch<'a>(&'a self, key: &'a FetchKey) -> Answer<'a, ()> {
        Box::pin(async move {
            match self.simple(Call::DeleteFetch(key.clone()), |_| Some(())).await {
                Err(error) if classify::is_missing(&error) => Ok(()),
                other => other,
            }
        })
    }

    fn upload<'a>(
        &'a self,
        image: &'a Image,
        stall: Duration,
        sent: Arc<dyn Fn(u64) + Send + Sync>,
    ) -> Answer<'a, Uploaded> {
        Box::pin(self.send_image(image, stall, sent))
    }

    fn test<'a>(&'a self, slot: &'a SlotKey, limit: Duration) -> Answer<'a, TestReport> {
        Box::pin(async move {
            let call = Call::Test { slot: Some(slot.clone()) };
            let failed = Failed::of(&call, &self.host);
            match self.ask(call, limit).await? {
                Reply::Tested { summary, .. } => Ok(TestReport { summary }),
                _ => Err(failed.malformed("it carries no `test_summary`")),
            }
        })
    }

    fn upgrade<'a>(
        &'a self,
        slot: &'a SlotKey,
        message: &'a str,
        limit: Duration,
    ) -> Answer<'a, TestReport> {
        Box::pin(async move {
            let call = Call::Upgrade {
                slot: Some(slot.clone()),
                message: Message::Text(message.to_owned()),
            };
            let failed = Failed::of(&call, &self.host);
            match self.ask(call, limit).await? {
                Reply::Upgraded { summary, .. } => Ok(TestReport { summary }),
                _ => Err(failed.unknown("it carries no `test_summary`")),
            }
        })
    }

    fn health(&self) -> Answer<'_, Health> {
        Box::pin(self.simple(Call::Health, |reply| match reply {
            Reply::Health { spec, ha_other } => Some(classify::health(&spec, ha_other)),
            _ => None,
        }))
    }

    fn cluster_status(&self) -> Answer<'_, Vec<ClusterNode>> {
        Box::pin(self.simple(Call::ClusterStatus, |reply| match reply {
            Reply::Cluster(nodes) => Some(nodes),
            _ => None,
        }))
    }

    fn start_bundle(&self) -> Answer<'_, String> {
        Box::pin(self.simple(Call::StartBundle, |reply| match reply {
            Reply::Bundle { key, .. } => Some(key),
            _ => None,
        }))
    }

    fn bundle_is_ready<'a>(&'a self, key: &'a str) -> Answer<'a, bool> {
        Box::pin(self.simple(Call::Bundle(key.to_owned()), |reply| match reply {
            Reply::Bundle { finished, .. } => Some(finished),
            _ => None,
        }))
    }

    fn download_bundle<'a>(&'a self, key: &'a str, into: &'a Path, limit: u64) -> Answer<'a, u64> {
        Box::pin(self.keep_bundle(key, into, limit))
    }

    fn delete_bundle<'a>(&'a self, key: &'a str) -> Answer<'a, ()> {
        Box::pin(async move {
            match self.simple(Call::DeleteBundle(key.to_owned()), |_| Some(())).await {
                Err(error) if classify::is_missing(&error) => Ok(()),
                other => other,
            }
        })
    }

    fn leaf(&self) -> Option<Sha256Hex> {
        self.leaf.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
