//! Requests of a logged-in caller: the login itself, the healing of a lost session, and what may be
//! repeated.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use base64::Engine as _;
use http::header::{AUTHORIZATION, COOKIE};
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use model::chain::Chain;
use model::digest::Sha256Hex;
use model::failure::{ApplianceError, FailureClass};
use model::fleet::{self, Login};
use model::names::ApplianceName;
use model::ports::{Fingerprint, LoginGate, Throttle};
use secrecy::zeroize::Zeroizing;
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::Value;

use crate::classify::{Asked, Kind, judge};
use crate::credentials::Credentials;
use crate::line::{At, Incoming, Line, Outgoing, Payload, Shared};
use crate::session::{Fresh, LoggedIn, Sessions, Ticket};
use crate::wire::{self, Fault};
use crate::words;

/// What a 403 of a change may mean when reads work (sps-api.md, section 1, "X-Token").
const FORBIDDEN: &str = "; reads work with this login, so it may lack the REST privilege for changes, or SPS 7.5 or later wants an X-Token";

/// The client of one appliance.
pub struct SpsAppliance {
    pub(crate) line: Line,
    name: ApplianceName,
    login: Login,
    /// What a password command sees (contract: semantics.md, "Commands").
    env: Vec<(String, String)>,
    gate: Arc<dyn LoginGate>,
    credentials: Credentials,
    sessions: Sessions,
    /// The sum of the last image that was sent whole.
    pub(crate) uploaded: Mutex<Option<Sha256Hex>>,
    /// A read of a logged-in caller has worked.
    reads_work: AtomicBool,
}

impl std::fmt::Debug for SpsAppliance {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SpsAppliance")
            .field("name", &self.name)
            .field("host", &self.line.host())
            .finish_non_exhaustive()
    }
}

/// One request of a logged-in caller.
pub(crate) struct Call<'a> {
    pub(crate) kind: Kind,
    pub(crate) method: Method,
    pub(crate) path: &'a [&'a str],
    pub(crate) json: Option<Value>,
    pub(crate) limit: Duration,
    pub(crate) fresh: Fresh,
}

impl SpsAppliance {
    pub(crate) fn new(
        shared: &Arc<Shared>,
        credentials: Credentials,
        appliance: &fleet::Appliance,
        throttle: Arc<dyn Throttle>,
        gate: Arc<dyn LoginGate>,
    ) -> Self {
        Self {
            line: Line::new(Arc::clone(shared), appliance, throttle),
            name: appliance.name.clone(),
            login: appliance.endpoint.login.clone(),
            env: vec![
                ("SPSFLEET_APPLIANCE".to_owned(), appliance.name.to_string()),
                ("SPSFLEET_ADDRESS".to_owned(), appliance.endpoint.address.clone()),
                ("SPSFLEET_SITE".to_owned(), appliance.site.to_string()),
            ],
            gate,
            credentials,
            sessions: Sessions::new(Arc::clone(&shared.clock)),
            uploaded: Mutex::default(),
            reads_work: AtomicBool::new(false),
        }
    }

    pub(crate) fn get<'a>(&self, path: &'a [&'a str]) -> Call<'a> {
        Call {
            kind: Kind::Read,
            method: Method::GET,
            path,
            json: None,
            limit: self.line.answer_timeout(),
            fresh: Fresh::Alive,
        }
    }

    /// Makes a call of a logged-in caller and reads its answer. A session that turns out to be
    /// lost is renewed once, and the call is made once more if it changes nothing.
    pub(crate) async fn call<T>(
        &self,
        call: Call<'_>,
        read: impl Fn(&Value) -> Result<T, Fault>,
    ) -> Result<T, ApplianceError> {
        let asked = self.line.asked(call.kind, &call.method, call.path);
        let once = async |ticket: &Ticket| {
            let outgoing = Outgoing {
                method: call.method.clone(),
                at: At::Path(call.path),
                secrets: cookie_header(ticket),
                payload: call.json.clone().map_or(Payload::None, Payload::Json),
            };
            let patience = || self.line.too_long(call.limit);
            let incoming = self.line.exchange(&asked, outgoing, patience).await;
            self.settle(&asked, ticket, incoming, &read)
        };
        let ticket = self.ticket(&asked, call.fresh).await?;
        let lost = match once(&ticket).await {
            Err(error) if error.class == FailureClass::LoggedOut => error,
            outcome => return outcome,
        };
        let ticket = self.renewed(&asked, call.fresh, &ticket, lost).await?;
        let outcome = once(&ticket).await;
        self.renewed_for(&outcome);
        outcome
    }

    /// Another session instead of one that turned out to be lost, if what was asked changes
    /// nothing and may be asked once more; else the loss.
    pub(crate) async fn renewed(
        &self,
        asked: &Asked,
        fresh: Fresh,
        ticket: &Ticket,
        lost: ApplianceError,
    ) -> Result<Ticket, ApplianceError> {
        if asked.kind.changes() {
            self.sessions.lost(ticket);
            return Err(lost);
        }
        if !self.sessions.may_heal() {
            return Err(lost);
        }
        self.sessions.lost(ticket);
        self.ticket(asked, fresh).await
    }

    /// What came of asking once more.
    pub(crate) fn renewed_for<T>(&self, outcome: &Result<T, ApplianceError>) {
        if outcome.as_ref().is_err_and(|error| error.class == FailureClass::LoggedOut) {
            self.sessions.healed_in_vain();
        }
    }

    /// What an exchange of this session means.
    pub(crate) fn settle<T>(
        &self,
        asked: &Asked,
        ticket: &Ticket,
        incoming: Result<Incoming, ApplianceError>,
        read: impl Fn(&Value) -> Result<T, Fault>,
    ) -> Result<T, ApplianceError> {
        let outcome = incoming.and_then(|incoming| {
            let status = Some(incoming.answer.status);
            let value = judge(asked, &incoming.answer)?;
            let found = read(&value).map_err(|fault| match fault {
                Fault::Malformed(text) => {
                    ApplianceError { status, ..asked.fail(asked.kind.malformed(), text) }
                }
                Fault::LoggedOut => {
                    let text = "an answer for callers without a session, although we sent one";
                    ApplianceError { status, ..asked.fail(FailureClass::LoggedOut, text) }
                }
            })?;
            self.sessions.answered(ticket, incoming.cookie, wire::remaining_seconds(&value));
            Ok(found)
        });
        match outcome {
            Ok(found) => {
                if !asked.kind.changes() {
                    self.reads_work.store(true, Ordering::Relaxed);
                }
                Ok(found)
            }
            Err(mut error) => {
                let reading = asked.kind == Kind::Read;
                if error.status == Some(403) && !reading && self.reads_work.load(Ordering::Relaxed)
                {
                    error.detail.push_str(FORBIDDEN);
                }
                scrub(&mut error, &[ticket.cookie.expose_secret()]);
                Err(error)
            }
        }
    }

    /// A request of this session was answered well, without JSON.
    pub(crate) fn alive(&self, ticket: &Ticket, cookie: Option<SecretString>) {
        self.sessions.answered(ticket, cookie, None);
    }

    /// The session of this ticket is over.
    pub(crate) fn lose(&self, ticket: &Ticket) {
        self.sessions.lost(ticket);
    }

    /// The session for a request. When the login before a change fails for a passing reason, the
    /// change was not sent, which the class says.
    pub(crate) async fn ticket(
        &self,
        asked: &Asked,
        fresh: Fresh,
    ) -> Result<Ticket, ApplianceError> {
        let ticket = self.sessions.ticket(fresh, async || self.log_in().await).await;
        ticket.map_err(|error| match error.class {
            FailureClass::Transient | FailureClass::NotAnApi | FailureClass::Malformed
                if asked.kind.changes() =>
            {
                let detail =
                    format!("not sent, since the login before it failed: {}", error.detail);
                ApplianceError {
                    retry_after: error.retry_after,
                    ..asked.fail(FailureClass::LoggedOut, detail)
                }
            }
            _ => error,
        })
    }

    /// `GET /api/authentication` with basic authentication in UTF-8 (sps-api.md, section 1).
    async fn log_in(&self) -> Result<LoggedIn, ApplianceError> {
        let path = ["api", "authentication"];
        let asked = self.line.asked(Kind::Login, &Method::GET, &path);
        let unavailable = |text: String| asked.fail(FailureClass::CredentialsUnavailable, text);
        let username = &self.login.username;
        if username.contains(':') || username.chars().any(char::is_control) {
            return Err(unavailable(format!(
                "the user name `{}` cannot be sent: basic authentication allows no `:` in it",
                words::tame(username, 80)
            )));
        }
        let password = self.credentials.read(&self.login.password, &self.env).await;
        let password = password.map_err(|error| unavailable(Chain(&error).to_string()))?;
        let secret = password.expose_secret();
        let credential = self.login.id();
        let print = Fingerprint::of(&credential, secret);
        let attempt = self.gate.admit(&self.name, &credential, print).await;
        let attempt = attempt.map_err(|withheld| {
            asked.fail(FailureClass::CredentialsWithheld, withheld.to_string())
        })?;
        let pair = Zeroizing::new(format!("{username}:{secret}"));
        let token = Zeroizing::new(base64::engine::general_purpose::STANDARD.encode(&*pair));
        let header = Zeroizing::new(format!("Basic {}", *token));
        let outgoing = Outgoing {
            method: Method::GET,
            at: match self.login.method.as_deref() {
                Some(method) => At::Query(&path, "login_method", method),
                None => At::Path(&path),
            },
            secrets: sensitive(AUTHORIZATION, &header),
            payload: Payload::None,
        };
        let patience = || self.line.too_long(self.line.answer_timeout());
        let outcome = self.line.exchange(&asked, outgoing, patience).await;
        let outcome = outcome.and_then(|incoming| logged_in(&asked, incoming));
        match outcome {
            Ok(session) => {
                attempt.settle(true);
                tracing::debug!(appliance = %self.name, "logged in");
                Ok(session)
            }
            Err(mut error) => {
                scrub(&mut error, &[&token, secret]);
                if error.class == FailureClass::CredentialsRefused {
                    attempt.settle(false);
                    error.detail = format!(
                        "the password of `{}` was refused: {}",
                        words::tame(username, 80),
                        error.detail
                    );
                }
                Err(error)
            }
        }
    }
}

/// A login is one that has a session cookie and a JSON `meta`.
fn logged_in(asked: &Asked, incoming: Incoming) -> Result<LoggedIn, ApplianceError> {
    let value = judge(asked, &incoming.answer)?;
    let malformed = |text: &str| ApplianceError {
        status: Some(incoming.answer.status),
        ..asked.fail(FailureClass::Malformed, text)
    };
    if !value.get("meta").is_some_and(Value::is_object) {
        return Err(malformed("the answer lacks the field `meta`"));
    }
    let remaining = wire::remaining_seconds(&value);
    let cookie = incoming.cookie.ok_or_else(|| malformed("the answer sets no `session_id`"))?;
    Ok(LoggedIn { cookie, remaining })
}

pub(crate) fn cookie_header(ticket: &Ticket) -> HeaderMap {
    let text = Zeroizing::new(format!("session_id={}", ticket.cookie.expose_secret()));
    sensitive(COOKIE, &text)
}

pub(crate) fn sensitive(name: HeaderName, text: &str) -> HeaderMap {
    // Base64 and the cookie's checked characters always make a header value.
    let value = HeaderValue::from_str(text).ok().map(|mut value| {
        value.set_sensitive(true);
        (name, value)
    });
    value.into_iter().collect()
}

/// An appliance may repeat what it was sent; its words are shown, our secrets are not.
pub(crate) fn scrub(error: &mut ApplianceError, secrets: &[&str]) {
    error.detail = words::scrub(&error.detail, secrets);
    error.error_type = error.error_type.as_deref().map(|text| words::scrub(text, secrets));
    error.test_summary = error.test_summary.as_deref().map(|text| words::scrub(text, secrets));
}
