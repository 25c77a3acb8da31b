//! Power switches behind a Redfish service (DMTF DSP0266, schema ComputerSystem): whether a system
//! has power, and `ComputerSystem.Reset`.
//!
//! Every request carries the login (basic authentication): a session would have to be ended, and a
//! crash would leave it behind. Nothing is repeated here; an act is one look and at most one POST.

mod answer;
mod logins;

use std::fmt;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::Method;
use http::header::AUTHORIZATION;
use model::chain::Chain;
use model::failure::{ApplianceError, FailureClass};
use model::fleet::{Redfish, Trust};
use model::names::ApplianceName;
use model::ports::{
    Answer, Clock, CommandRunner, Fingerprint, NoThrottle, PowerConnector, PowerState, PowerSwitch,
};
use reqwest::Url;
use secrecy::ExposeSecret as _;
use secrecy::zeroize::Zeroizing;
use serde_json::{Value, json};

use crate::address::{Base, server_name};
use crate::classify::{Asked, Kind};
use crate::client::{scrub, sensitive};
use crate::credentials::Credentials;
use crate::line::{At, Line, Outgoing, Payload, Shared};
use crate::options::Options;
use crate::words;
use answer::System;
use logins::Logins;

/// What of a Redfish service is behind this path.
const ROOT: [&str; 3] = ["redfish", "v1", "Systems"];

/// Connects to Redfish services. Clones share connections and what is known of passwords.
#[derive(Clone)]
pub struct RedfishConnector {
    shared: Arc<Shared>,
    credentials: Credentials,
    logins: Arc<Logins>,
}

impl RedfishConnector {
    /// A connector without any connection yet. `runner` runs password commands. A request may take
    /// as long as [`Options::answer_timeout`].
    #[must_use]
    pub fn new(clock: Arc<dyn Clock>, runner: Arc<dyn CommandRunner>, options: Options) -> Self {
        let directory = options.credentials_directory.clone();
        let options = Options { in_clear: true, ..options };
        Self {
            shared: Arc::new(Shared::new(clock, options)),
            credentials: Credentials { runner, directory },
            logins: Arc::default(),
        }
    }
}

impl PowerConnector for RedfishConnector {
    fn connect(&self, redfish: &Redfish, appliance: &ApplianceName) -> Arc<dyn PowerSwitch> {
        let base = base(&redfish.url, redfish.trust == Trust::Insecure);
        let host = match &base {
            Ok((url, _)) => authority(url),
            Err(_) => words::tame(&words::hide_user_info(&redfish.url), 80),
        };
        let env = vec![
            ("SPSFLEET_APPLIANCE".to_owned(), appliance.to_string()),
            ("SPSFLEET_ADDRESS".to_owned(), host.clone()),
        ];
        let shared = Arc::clone(&self.shared);
        let throttle = Arc::new(NoThrottle);
        let line = Line::to(shared, base.clone(), host, &redfish.trust, appliance, throttle);
        Arc::new(Switch {
            line: line.whatever_time(),
            base,
            redfish: redfish.clone(),
            env,
            credentials: self.credentials.clone(),
            logins: Arc::clone(&self.logins),
        })
    }
}

impl fmt::Debug for RedfishConnector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedfishConnector")
            .field("options", &self.shared.options)
            .finish_non_exhaustive()
    }
}

/// One system of a service.
struct Switch {
    line: Line,
    base: Result<Base, String>,
    redfish: Redfish,
    env: Vec<(String, String)>,
    credentials: Credentials,
    logins: Arc<Logins>,
}

impl Switch {
    fn path(&self) -> [&str; 4] {
        let [redfish, version, systems] = ROOT;
        [redfish, version, systems, &self.redfish.system]
    }

    /// `GET /redfish/v1/Systems/ID`.
    async fn look(&self) -> Result<System, ApplianceError> {
        let path = self.path();
        let asked = self.line.asked(Kind::Read, &Method::GET, &path);
        let value = self.exchange(&asked, Method::GET, At::Path(&path), Payload::None).await?;
        Ok(System(value))
    }

    async fn power_state(&self) -> Result<PowerState, ApplianceError> {
        let system = self.look().await?;
        system.power_state().map_err(|text| {
            let asked = self.line.asked(Kind::Read, &Method::GET, &self.path());
            asked.fail(FailureClass::Malformed, text)
        })
    }

    /// `ComputerSystem.Reset`: a look at how the service wants it, then one POST.
    async fn reset(&self, kind: &'static str) -> Result<(), ApplianceError> {
        let [redfish, version, systems, system] = self.path();
        let path = [redfish, version, systems, system, "Actions", "ComputerSystem.Reset"];
        let asked = self.line.asked(Kind::Change, &Method::POST, &path);
        let system = self.look().await.map_err(|error| not_sent(&asked, error))?;
        let refused = |text: String| asked.fail(FailureClass::Refused, text);
        if let Some(offered) = system.reset_types().filter(|offered| !offered.contains(&kind)) {
            let offered = words::tame(&offered.join(", "), 200);
            return Err(refused(format!(
                "not sent: the service offers no ResetType {kind}, but {offered}"
            )));
        }
        let at = match system.reset_target() {
            Some(target) => At::Url(self.target(target).map_err(refused)?),
            None => At::Path(&path),
        };
        let payload = Payload::Json(json!({ "ResetType": kind }));
        self.exchange(&asked, Method::POST, at, payload).await.map(drop)
    }

    /// Where the service wants an action to be posted, if that is at the service itself: the login
    /// goes to nobody else.
    fn target(&self, target: &str) -> Result<Url, String> {
        let (base, _) = self.base.as_ref().map_err(Clone::clone)?;
        let elsewhere = || {
            let target = words::tame(&words::hide_user_info(target), 200);
            format!("not sent: the service names `{target}` for the act, which is not at its host")
        };
        let mut url = base.join(target).map_err(|_| elsewhere())?;
        let same = url.scheme() == base.scheme()
            && url.host() == base.host()
            && url.port_or_known_default() == base.port_or_known_default()
            && url.username().is_empty()
            && url.password().is_none();
        if !same {
            return Err(elsewhere());
        }
        url.set_fragment(None);
        // A proxy before the service cuts off a prefix that the service knows nothing of.
        let prefix = base.path().trim_end_matches('/');
        let inside = url.path().strip_prefix(prefix).is_some_and(|rest| rest.starts_with('/'));
        if !inside {
            let path = format!("{prefix}{}", url.path());
            url.set_path(&path);
        }
        Ok(url)
    }

    /// Sends one request with the login. A password that this service refused is not sent to it
    /// again.
    async fn exchange(
        &self,
        asked: &Asked,
        method: Method,
        at: At<'_>,
        payload: Payload,
    ) -> Result<Value, ApplianceError> {
        let login = &self.redfish.login;
        let unavailable = |text: String| asked.fail(FailureClass::CredentialsUnavailable, text);
        if login.username.contains(':') || login.username.chars().any(char::is_control) {
            return Err(unavailable(format!(
                "the user name `{}` cannot be sent: basic authentication allows no `:` in it",
                words::tame(&login.username, 80)
            )));
        }
        let password = self.credentials.read(&login.password, &self.env).await;
        let password = password.map_err(|error| unavailable(Chain(&error).to_string()))?;
        let secret = password.expose_secret();
        let credential = login.id();
        let print = Fingerprint::of(&credential, secret);
        let attempt = self.logins.admit(self.line.host(), credential, print).await;
        let Some(attempt) = attempt else {
            let text =
                "this service refused this password before, so it was not sent again; correct it";
            return Err(asked.fail(FailureClass::CredentialsRefused, text));
        };
        let pair = Zeroizing::new(format!("{}:{secret}", login.username));
        let token = Zeroizing::new(STANDARD.encode(&*pair));
        let header = Zeroizing::new(format!("Basic {}", *token));
        let secrets = sensitive(AUTHORIZATION, &header);
        let outgoing = Outgoing { method, at, secrets, payload };
        let patience = || self.line.too_long(self.line.answer_timeout());
        let incoming = self.line.exchange(asked, outgoing, patience).await;
        let outcome = incoming.and_then(|incoming| answer::judge(asked, &incoming.answer));
        match outcome {
            Ok(value) => {
                attempt.settle(true);
                Ok(value)
            }
            Err(mut error) => {
                match (error.class, error.status) {
                    (FailureClass::CredentialsRefused, _) => {
                        attempt.settle(false);
                        let user = words::tame(&login.username, 80);
                        error.detail =
                            format!("the password of `{user}` was refused: {}", error.detail);
                    }
                    // Whoever was understood was let in.
                    (FailureClass::Refused, Some(_)) => attempt.settle(true),
                    _ => {}
                }
                scrub(&mut error, &[&token, secret]);
                Err(error)
            }
        }
    }
}

impl PowerSwitch for Switch {
    fn state(&self) -> Answer<'_, PowerState> {
        Box::pin(self.power_state())
    }

    fn on(&self) -> Answer<'_, ()> {
        Box::pin(self.reset("On"))
    }

    fn off(&self) -> Answer<'_, ()> {
        Box::pin(self.reset("GracefulShutdown"))
    }

    fn force_off(&self) -> Answer<'_, ()> {
        Box::pin(self.reset("ForceOff"))
    }

    fn restart(&self) -> Answer<'_, ()> {
        Box::pin(self.reset("GracefulRestart"))
    }
}

/// A look that failed for a passing reason before an act: the act was not sent, which the class
/// says.
fn not_sent(asked: &Asked, error: ApplianceError) -> ApplianceError {
    match error.class {
        FailureClass::Transient | FailureClass::NotAnApi | FailureClass::Malformed => {
            let detail = format!("not sent, since the look before it failed: {}", error.detail);
            ApplianceError {
                retry_after: error.retry_after,
                ..asked.fail(FailureClass::Unreachable, detail)
            }
        }
        _ => error,
    }
}

/// The base of a service by its URL, which may have a path before `/redfish/v1`. Without TLS
/// nothing proves who answers: `insecure` is the operator's word that this may be so.
fn base(url: &str, insecure: bool) -> Result<Base, String> {
    let shown = || words::tame(&words::hide_user_info(url), 80);
    let bad = || format!("`{}` is not the URL of a Redfish service", shown());
    let mut url = Url::parse(url).map_err(|_| bad())?;
    match url.scheme() {
        "https" => {}
        "http" if insecure => {}
        "http" => {
            return Err(format!(
                "`{}` is not encrypted, so nobody is proven to be who it says; use https://, or say `tls: {{insecure: true}}`",
                shown()
            ));
        }
        _ => return Err(format!("`{}` does not begin with https://", shown())),
    }
    if !url.username().is_empty() || url.password().is_some() || url.query().is_some() {
        return Err(bad());
    }
    let path = url.path().trim_end_matches('/');
    let path = path.strip_suffix("/redfish/v1").or_else(|| path.strip_suffix("/redfish"));
    if let Some(path) = path.map(str::to_owned) {
        url.set_path(&path);
    }
    let name = server_name(&url).ok_or_else(bad)?;
    Ok((url, name))
}

fn authority(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    match url.port() {
        Some(port) => format!("{host}:{port}"),
        None => host.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_service_may_live_behind_a_path() {
        for (url, at) in [
            ("https://10.0.0.1", "https://10.0.0.1/"),
            ("https://h:8443/bmc/7/", "https://h:8443/bmc/7/"),
            ("https://h/bmc/redfish/v1/", "https://h/bmc"),
            ("https://[fd00::1]/redfish/v1", "https://[fd00::1]/"),
        ] {
            assert_eq!(
                base(url, false).map(|(url, _)| url.to_string()),
                Ok(at.to_owned()),
                "{url}"
            );
        }
        for bad in ["http://h", "https://u:p@h", "https://h?x=1", "h", "", "ftp://h"] {
            let error = base(bad, bad != "http://h").expect_err("bad");
            assert!(!error.contains("u:p"), "{error}");
        }
        assert!(base("http://h:8000", true).is_ok(), "the operator said so");
    }

    #[test]
    fn hosts_are_named_with_their_port() {
        let host = |url| authority(&Url::parse(url).expect("a URL"));
        assert_eq!(host("https://[fd00::1]:8443/x"), "[fd00::1]:8443");
        assert_eq!(host("https://h:443/"), "h");
    }
}
