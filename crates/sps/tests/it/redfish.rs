//! Power switches by Redfish: the suite of all switches, and what only a real client can get
//! wrong.

use std::sync::Arc;

use model::failure::FailureClass;
use model::fleet::{Login, PasswordSource, Redfish, Trust};
use model::names::ApplianceName;
use model::ports::{PowerConnector, PowerState, PowerSwitch};
use serde_json::json as value;
use sps::Options;
use sps::redfish::RedfishConnector;

use crate::support::scene::{PASSWORD, USER};
use crate::support::{Do, Front, Pki, Runner, Server, json};

const SYSTEM: &str = "GET /redfish/v1/Systems/1";
const RESET: &str = "POST /redfish/v1/Systems/1/Actions/ComputerSystem.Reset";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_switch_behaves_as_agreed() {
    let dir = tempfile::tempdir().expect("a directory");
    let clock = Arc::new(sim::TokioClock::real());
    let connector = RedfishConnector::new(clock, Runner::printing(""), Options::default());
    let stage = sim::conformance::power::RedfishOverHttps::new(dir.path(), Arc::new(connector));
    sim::conformance::power::power_switch(&stage).await;
}

/// A scripted service, and what is needed to call it.
struct Service {
    server: Server,
    trust: Trust,
    runner: Arc<Runner>,
    connector: RedfishConnector,
}

impl Service {
    async fn start() -> Self {
        let leaf = Pki::new().leaf("127.0.0.1");
        let server = Server::start(Front::Tls(leaf.config())).await;
        let runner = Runner::printing(&format!("{PASSWORD}\n"));
        let clock = Arc::new(sim::TokioClock::real());
        let connector = RedfishConnector::new(clock, runner.clone(), Options::default());
        Self { server, trust: Trust::Pin(leaf.pin()), runner, connector }
    }

    fn target(&self, path: &str) -> Redfish {
        Redfish {
            url: format!("https://{}{path}", self.server.at),
            system: "1".to_owned(),
            login: Login {
                username: USER.to_owned(),
                method: None,
                password: PasswordSource::Command(vec!["print-password".to_owned()]),
            },
            trust: self.trust.clone(),
        }
    }

    fn switch(&self, redfish: &Redfish) -> Arc<dyn PowerSwitch> {
        self.connector.connect(redfish, &ApplianceName::new("ams-ha").expect("a name"))
    }

    fn heard(&self) -> Vec<String> {
        self.server.scene.heard().iter().map(|heard| heard.line()).collect()
    }
}

fn system(power: &str, action: serde_json::Value) -> Do {
    let system = value!({"PowerState": power, "Actions": {"#ComputerSystem.Reset": action}});
    json(200, &system.to_string())
}

#[tokio::test]
async fn an_act_is_a_look_and_one_post_with_the_login() {
    let service = Service::start().await;
    let scene = &service.server.scene;
    scene.always(SYSTEM, system("On", value!({})));
    scene.always(RESET, Do::Reply { status: 204, headers: Vec::new(), body: Vec::new() });
    let switch = service.switch(&service.target(""));
    assert_eq!(switch.state().await, Ok(PowerState::On));
    for (act, kind) in [
        (switch.off(), "GracefulShutdown"),
        (switch.force_off(), "ForceOff"),
        (switch.on(), "On"),
        (switch.restart(), "GracefulRestart"),
    ] {
        act.await.expect("it is asked to");
        let heard = scene.last(RESET);
        assert_eq!(heard.json(), value!({"ResetType": kind}));
        assert_eq!(heard.header("content-type"), Some("application/json"));
        assert!(heard.header("authorization").is_some_and(|login| login.starts_with("Basic ")));
    }
    assert_eq!((scene.count(SYSTEM), scene.count(RESET)), (5, 4));
    let seen = service.runner.1.lock().expect("no panic before").clone();
    let of = |name: &str| seen.iter().find(|(known, _)| known == name).map(|(_, it)| it.clone());
    assert_eq!(of("SPSFLEET_APPLIANCE").as_deref(), Some("ams-ha"));
    assert_eq!(of("SPSFLEET_ADDRESS"), Some(service.server.at.to_string()));
}

#[tokio::test]
async fn the_service_says_where_it_wants_the_act() {
    let service = Service::start().await;
    let scene = &service.server.scene;
    let origin = format!("https://{}", service.server.at);
    for (url, target, posted) in [
        ("", "/redfish/v1/Systems/1/Actions/Reset", "/redfish/v1/Systems/1/Actions/Reset"),
        ("/", &format!("{origin}/acts?now=1#x"), "/acts?now=1"),
        ("/bmc/7", "/redfish/v1/R", "/bmc/7/redfish/v1/R"),
        ("/bmc/7/redfish/v1/", "/bmc/7/redfish/v1/R", "/bmc/7/redfish/v1/R"),
    ] {
        let prefix = url.trim_end_matches('/').trim_end_matches("/redfish/v1");
        let look = format!("GET {prefix}/redfish/v1/Systems/1");
        scene.once(&look, system("On", value!({ "target": target })));
        let post = format!("POST {posted}");
        scene.once(&post, json(200, "{}"));
        service.switch(&service.target(url)).off().await.expect("asked to");
        assert_eq!(service.heard().into_iter().rev().take(2).collect::<Vec<_>>(), [post, look]);
    }
}

#[tokio::test]
async fn the_login_goes_to_nobody_else() {
    let service = Service::start().await;
    let scene = &service.server.scene;
    let port = service.server.at.port();
    for target in [
        "https://other.invalid/redfish/v1/R".to_owned(),
        "//127.0.0.2/R".to_owned(),
        format!("http://127.0.0.1:{port}/R"),
        format!("https://127.0.0.1:{}/R", port ^ 1),
        format!("https://u:p@127.0.0.1:{port}/R"),
    ] {
        scene.once(SYSTEM, system("On", value!({ "target": target })));
        let error = service.switch(&service.target("")).off().await.expect_err("refused");
        assert_eq!(error.class, FailureClass::Refused, "{error}");
        assert!(error.detail.starts_with("not sent"), "{error}");
        assert!(!error.to_string().contains("u:p"), "{error}");
    }
    assert!(service.heard().iter().all(|line| line == SYSTEM), "{:?}", service.heard());
}

#[tokio::test]
async fn what_is_not_offered_is_not_sent() {
    let service = Service::start().await;
    let offered = value!({"ResetType@Redfish.AllowableValues": ["On", "ForceOff"]});
    service.server.scene.always(SYSTEM, system("On", offered));
    service.server.scene.always(RESET, json(202, "{}"));
    let switch = service.switch(&service.target(""));
    let error = switch.off().await.expect_err("not offered");
    assert_eq!(error.class, FailureClass::Refused);
    assert!(error.detail.contains("GracefulShutdown, but On, ForceOff"), "{error}");
    assert_eq!(service.server.scene.count(RESET), 0);
    switch.force_off().await.expect("offered");
}

#[tokio::test]
async fn a_refused_password_is_not_sent_again() {
    let service = Service::start().await;
    let scene = &service.server.scene;
    scene.always(SYSTEM, json(401, "{}"));
    let one = service.switch(&service.target(""));
    let two = service.switch(&service.target(""));
    // Both at once: the second waits for what the first learns.
    let (first, second) = tokio::join!(one.state(), two.off());
    for outcome in [first.map(drop), second] {
        let error = outcome.expect_err("refused");
        assert_eq!(error.class, FailureClass::CredentialsRefused);
        assert!(!error.to_string().contains(PASSWORD), "{error}");
    }
    assert_eq!(one.state().await.expect_err("known").class, FailureClass::CredentialsRefused);
    assert_eq!(scene.count(SYSTEM), 1);
    "another\n".clone_into(&mut service.runner.0.lock().expect("no panic before").stdout);
    one.state().await.expect_err("refused too");
    assert_eq!(scene.count(SYSTEM), 2, "a corrected one is tried");
}

#[tokio::test]
async fn an_act_whose_reply_is_lost_is_sent_once() {
    let service = Service::start().await;
    let scene = &service.server.scene;
    scene.always(SYSTEM, system("On", value!({})));
    let switch = service.switch(&service.target(""));
    let partly = b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n{".to_vec();
    for lost in [Do::Close, Do::Reset, Do::CutOff(partly), json(502, "{}"), json(307, "{}")] {
        scene.once(RESET, lost);
        let error = switch.off().await.expect_err("lost");
        assert_eq!(error.class, FailureClass::OutcomeUnknown, "{error}");
    }
    assert_eq!(scene.count(RESET), 5);
}

#[tokio::test]
async fn an_act_is_not_sent_when_the_look_before_it_fails() {
    let service = Service::start().await;
    let scene = &service.server.scene;
    let switch = service.switch(&service.target(""));
    for bad in [Do::Close, json(503, "{}"), json(200, "<html>")] {
        scene.once(SYSTEM, bad);
        let error = switch.off().await.expect_err("no look");
        assert_eq!(error.class.became(), model::failure::Became::NotSent, "{error}");
        assert!(error.detail.starts_with("not sent"), "{error}");
    }
    assert_eq!(scene.count(RESET), 0);
}

#[tokio::test]
async fn no_password_goes_to_an_unproven_service() {
    let service = Service::start().await;
    let other = Pki::new().leaf("127.0.0.1").pin();
    let target = Redfish { trust: Trust::Pin(other), ..service.target("") };
    let error = service.switch(&target).off().await.expect_err("another certificate");
    assert_eq!(error.class, FailureClass::IdentityNotProven);
    assert_eq!(service.heard(), Vec::<String>::new());

    let plain = Redfish { url: format!("http://{}", service.server.at), ..service.target("") };
    let error = service.switch(&plain).state().await.expect_err("not encrypted");
    assert_eq!(error.class, FailureClass::Local);
    assert!(error.detail.contains("is not encrypted"), "{error}");
}
