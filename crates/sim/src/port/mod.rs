//! The same appliances in-process: an implementation of [`model::ports::Appliance`] without HTTP,
//! for tests and simulations in virtual time. It behaves as a client should: one session an
//! appliance, logins through the gate, everything through the throttle, reads repeated once after
//! a new login, and nothing repeated that changes.

mod appliance;
mod bundle;
mod classify;
mod power;
mod upload;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use model::digest::Sha256Hex;
use model::failure::{ApplianceError, FailureClass};
use model::fleet;
use model::names::CredentialId;
use model::observed::Info;
use model::ports::{Appliance, Clock, Connector, Fingerprint, LoginGate, Throttle};
use model::version::FirmwareVersion;

use crate::appliance::{Call, Heard, Reply, SimAppliance};
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
            uploaded: Mutex::new(None),
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
    /// The sum of the image that was sent whole last.
    uploaded: Mutex<Option<Sha256Hex>>,
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
