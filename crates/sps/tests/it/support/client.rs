//! The client under test, with doors that tests can look through.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures::future::BoxFuture;
use jiff::Timestamp;
use model::fleet::{self, Endpoint, Login, PasswordSource, Reboot, Trust, UpgradeCall};
use model::names::{ApplianceName, CredentialId, SiteName};
use model::ports::{
    Clock, Command, CommandError, CommandOutput, CommandRunner, Fingerprint, LoginAttempt,
    LoginGate, ProcessId, Throttle, Withheld,
};
use sps::{Options, SpsAppliance, SpsConnector};

use super::scene::{PASSWORD, USER};
use super::server::Server;

/// Prints the password.
pub(crate) struct Runner(pub(crate) Mutex<CommandOutput>, pub(crate) Mutex<Vec<(String, String)>>);

impl Runner {
    pub(crate) fn printing(text: &str) -> Arc<Self> {
        let output =
            CommandOutput { code: Some(0), stdout: text.to_owned(), stderr: String::new() };
        Arc::new(Self(Mutex::new(output), Mutex::default()))
    }
}

impl CommandRunner for Runner {
    fn run<'a>(
        &'a self,
        command: &'a Command,
        started: Box<dyn FnOnce(ProcessId) + Send + 'a>,
    ) -> BoxFuture<'a, Result<CommandOutput, CommandError>> {
        let seen: Vec<&str> = command.env.iter().map(|(name, _)| name.as_str()).collect();
        self.1.lock().expect("no panic before").clone_from(&command.env);
        assert!(seen.iter().all(|name| name.starts_with("SPSFLEET_")), "{seen:?}");
        started(ProcessId { pid: 1, started: 1 });
        let output = self.0.lock().expect("no panic before").clone();
        Box::pin(std::future::ready(Ok(output)))
    }

    fn await_leftover(&self, _: ProcessId, _: std::time::Duration) -> BoxFuture<'_, bool> {
        Box::pin(std::future::ready(false))
    }
}

/// Admits or withholds, counts, and remembers how attempts were settled.
#[derive(Default)]
pub(crate) struct Gate {
    pub(crate) closed: Mutex<Option<Withheld>>,
    pub(crate) asked: AtomicUsize,
    pub(crate) settled: Arc<Mutex<Vec<bool>>>,
    pub(crate) prints: Mutex<Vec<Fingerprint>>,
}

struct Attempt(Arc<Mutex<Vec<bool>>>);

impl LoginAttempt for Attempt {
    fn settle(self: Box<Self>, accepted: bool) {
        self.0.lock().expect("no panic before").push(accepted);
    }
}

impl LoginGate for Gate {
    fn admit<'a>(
        &'a self,
        _: &'a ApplianceName,
        _: &'a CredentialId,
        print: Fingerprint,
    ) -> BoxFuture<'a, Result<Box<dyn LoginAttempt>, Withheld>> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        self.prints.lock().expect("no panic before").push(print);
        let answer = match &*self.closed.lock().expect("no panic before") {
            Some(why) => Err(why.clone()),
            None => Ok(Box::new(Attempt(Arc::clone(&self.settled))) as Box<dyn LoginAttempt>),
        };
        Box::pin(std::future::ready(answer))
    }
}

impl Gate {
    pub(crate) fn settled(&self) -> Vec<bool> {
        self.settled.lock().expect("no panic before").clone()
    }
}

/// Counts the requests that pass.
#[derive(Default)]
pub(crate) struct Turnstile(pub(crate) AtomicUsize);

impl Throttle for Turnstile {
    fn pass(&self) -> BoxFuture<'_, ()> {
        self.0.fetch_add(1, Ordering::SeqCst);
        Box::pin(std::future::ready(()))
    }
}

/// An endpoint with the user that the scene knows.
pub(crate) fn endpoint_of(server: &Server, trust: Trust) -> Endpoint {
    Endpoint {
        address: server.at.ip().to_string(),
        port: server.at.port(),
        trust,
        login: Login {
            username: USER.to_owned(),
            method: None,
            password: PasswordSource::Command(vec!["print-password".to_owned()]),
        },
    }
}

/// A clock that stands still until it is told to go on. Real sockets need real time, so the
/// runtime's own clock is left running.
#[derive(Debug, Clone)]
pub(crate) struct Hand(tokio::sync::watch::Sender<Duration>);

impl Hand {
    fn new() -> Self {
        Self(tokio::sync::watch::Sender::new(Duration::ZERO))
    }

    pub(crate) fn pass(&self, seconds: u64) {
        self.0.send_modify(|now| *now += Duration::from_secs(seconds));
    }
}

impl Clock for Hand {
    fn now(&self) -> Timestamp {
        let base: Timestamp = "2026-11-24T08:00:00Z".parse().expect("a time");
        base + self.monotonic()
    }

    fn monotonic(&self) -> Duration {
        *self.0.borrow()
    }

    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()> {
        let until = self.monotonic() + duration;
        let mut now = self.0.subscribe();
        Box::pin(async move {
            now.wait_for(|now| *now >= until).await.expect("the clock outlives its sleepers");
        })
    }
}

/// Everything that belongs to a client.
pub(crate) struct Caller {
    pub(crate) connector: SpsConnector,
    pub(crate) runner: Arc<Runner>,
    pub(crate) gate: Arc<Gate>,
    pub(crate) turnstile: Arc<Turnstile>,
    pub(crate) clock: Hand,
}

impl Caller {
    pub(crate) fn new() -> Self {
        Self::with(Options::default())
    }

    pub(crate) fn with(options: Options) -> Self {
        let runner = Runner::printing(&format!("{PASSWORD}\nsecond line\n"));
        let clock = Hand::new();
        let doors = (Arc::new(clock.clone()), Arc::clone(&runner));
        let connector = SpsConnector::new(doors.0, doors.1, options);
        Self { connector, runner, gate: Arc::default(), turnstile: Arc::default(), clock }
    }

    pub(crate) fn client(&self, endpoint: Endpoint) -> SpsAppliance {
        let appliance = fleet::Appliance {
            name: ApplianceName::new("ams-1").expect("a name"),
            endpoint,
            hostname: None,
            site: SiteName::new("default").expect("a name"),
            labels: Default::default(),
            group: None,
            cluster: None,
            ha: None,
            upgrade_call: UpgradeCall::Detect,
            reboot: Reboot::Operator,
        };
        self.connector.client(&appliance, self.turnstile.clone(), self.gate.clone())
    }

    /// A server behind a certificate that is pinned, and a client for it.
    pub(crate) async fn meets(
        &self,
        front: impl FnOnce() -> super::pki::Leaf,
    ) -> (Server, SpsAppliance) {
        let leaf = front();
        let server = Server::start(super::Front::Tls(leaf.config())).await;
        let client = self.client(endpoint_of(&server, Trust::Pin(leaf.pin())));
        (server, client)
    }
}

/// A caller, a server that it trusts, and a client.
pub(crate) async fn pair() -> (Caller, Server, SpsAppliance) {
    let caller = Caller::new();
    let (server, client) = caller.meets(|| super::Pki::new().leaf("127.0.0.1")).await;
    (caller, server, client)
}
