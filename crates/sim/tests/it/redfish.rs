//! The Redfish service over HTTPS: its shape, and the suite for power switches with a client that
//! knows nothing of the simulator.

use std::path::PathBuf;
use std::sync::Arc;

use model::failure::{ApplianceError, FailureClass};
use model::fleet::{PasswordSource, Redfish, Trust};
use model::names::ApplianceName;
use model::ports::{Answer, PowerConnector, PowerState, PowerSwitch};
use reqwest::Method;
use serde_json::{Value, json};
use sim::conformance::power::{RedfishOverHttps, power_switch};
use sim::{ApplianceSpec, Node, SimServer};

use crate::support::{PASSWORD, builder, client, name, send};

/// A client in a few lines.
struct Plain;

struct Switch {
    http: reqwest::Client,
    system: String,
    password: PathBuf,
}

impl PowerConnector for Plain {
    fn connect(&self, redfish: &Redfish, _: &ApplianceName) -> Arc<dyn PowerSwitch> {
        let (Trust::Ca(ca), PasswordSource::File(password)) =
            (&redfish.trust, &redfish.login.password)
        else {
            panic!("a CA file and a password file");
        };
        Arc::new(Switch {
            http: client(&std::fs::read_to_string(ca).expect("a CA")),
            system: format!("{}/redfish/v1/Systems/{}", redfish.url, redfish.system),
            password: password.into(),
        })
    }
}

impl Switch {
    async fn send(&self, body: Option<&str>) -> Result<Value, ApplianceError> {
        let error = |class, detail: String| ApplianceError {
            class,
            request: "power".to_owned(),
            host: "bmc".to_owned(),
            detail,
            status: None,
            error_type: None,
            test_summary: None,
            retry_after: None,
        };
        let password = std::fs::read_to_string(&self.password).expect("a password");
        let request = match body {
            None => self.http.get(&self.system),
            Some(kind) => self
                .http
                .post(format!("{}/Actions/ComputerSystem.Reset", self.system))
                .body(json!({ "ResetType": kind }).to_string()),
        };
        let got = match send(request.basic_auth("fleet", Some(password))).await {
            Ok(got) => got,
            Err(lost) => return Err(error(FailureClass::OutcomeUnknown, lost.to_string())),
        };
        let class = match (got.status, got.error_type(), &got.json["error"]["code"]) {
            (200..=299, ..) => return Ok(got.json),
            (401, ..) => FailureClass::CredentialsRefused,
            (503, ..) if body.is_none() => FailureClass::Transient,
            (_, _, Value::String(_)) => FailureClass::Refused,
            _ => FailureClass::OutcomeUnknown,
        };
        Err(error(class, got.json["error"]["message"].as_str().unwrap_or_default().to_owned()))
    }

    fn reset(&self, kind: &'static str) -> Answer<'_, ()> {
        Box::pin(async move { self.send(Some(kind)).await.map(drop) })
    }
}

impl PowerSwitch for Switch {
    fn state(&self) -> Answer<'_, PowerState> {
        Box::pin(async {
            let system = self.send(None).await?;
            Ok(if system["PowerState"] == "On" { PowerState::On } else { PowerState::Off })
        })
    }
    fn on(&self) -> Answer<'_, ()> {
        self.reset("On")
    }
    fn off(&self) -> Answer<'_, ()> {
        self.reset("GracefulShutdown")
    }
    fn force_off(&self) -> Answer<'_, ()> {
        self.reset("ForceOff")
    }
    fn restart(&self) -> Answer<'_, ()> {
        self.reset("GracefulRestart")
    }
}

#[tokio::test(start_paused = true)]
async fn the_service_does_what_a_power_switch_asks() {
    let dir = tempfile::tempdir().expect("a folder");
    power_switch(&RedfishOverHttps::new(dir.path(), Arc::new(Plain))).await;
}

#[tokio::test(start_paused = true)]
async fn the_service_lists_systems_and_refuses_in_its_own_words() {
    let mut spec = ApplianceSpec::new(name("a"), "7.5.0");
    spec.ha = true;
    let server = SimServer::start(builder(spec)).await.expect("a simulator");
    let http = client(&server.ca_pem());
    let at = |path: &str| format!("{}/redfish/v1{path}", server.redfish_url());
    let get = async |path: &str| {
        let request = http.get(at(path)).basic_auth("fleet", Some(PASSWORD));
        send(request).await.expect("an answer")
    };
    let root = send(http.get(at("/"))).await.expect("an answer");
    assert_eq!(root.json["Systems"]["@odata.id"], "/redfish/v1/Systems", "without login");
    let list = get("/Systems").await.json;
    assert_eq!(list["Members@odata.count"], 2);
    let place = list["Members"][1]["@odata.id"].as_str().expect("a path");
    assert_eq!(place, "/redfish/v1/Systems/a-b");
    let system = get("/Systems/a-b").await.json;
    assert_eq!(system["PowerState"], "On");
    let reset = &system["Actions"]["#ComputerSystem.Reset"];
    assert_eq!(reset["target"], format!("{place}/Actions/ComputerSystem.Reset"));
    let kinds = reset["ResetType@Redfish.AllowableValues"].as_array().expect("a list");
    assert!(kinds.contains(&json!("GracefulShutdown")));

    let post = async |body: Value| {
        let place = at("/Systems/a-b/Actions/ComputerSystem.Reset");
        let request = http.request(Method::POST, place).body(body.to_string());
        send(request.basic_auth("fleet", Some(PASSWORD))).await.expect("an answer")
    };
    for body in [json!({}), json!({ "ResetType": "Explode" })] {
        let got = post(body).await;
        assert_eq!(got.status, 400, "{}", got.text);
        assert!(got.json["error"]["code"].as_str().expect("a code").starts_with("Base.1.8."));
    }
    assert_eq!(post(json!({ "ResetType": "ForceOff" })).await.status, 204);
    let got = post(json!({ "ResetType": "GracefulRestart" })).await;
    assert_eq!(got.status, 409, "what is off cannot be restarted");
    assert_eq!(get("/Systems/a-c").await.status, 404);
    assert_eq!(send(http.get(at("/Systems/a-b"))).await.expect("an answer").status, 401);
    assert!(server.redfish("a", Node::Secondary, "/ca".as_ref(), password()).is_some());
    assert!(server.redfish("b", Node::Primary, "/ca".as_ref(), password()).is_none());
}

fn password() -> PasswordSource {
    PasswordSource::File("/password".to_owned())
}
