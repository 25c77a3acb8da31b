//! A fleet over HTTPS and a plain HTTP client, both in the test's own runtime, so that tokio's
//! paused clock holds for both.

use std::sync::Arc;
use std::time::Duration;

use model::names::ApplianceName;
use model::ports::Clock;
use reqwest::{Method, RequestBuilder};
use serde_json::Value;
use sim::{
    ApplianceSpec, FaultPlan, SimAppliance, SimFleet, SimFleetBuilder, SimImage, SimServer,
    TokioClock,
};

/// The password of simulated appliances.
pub(crate) const PASSWORD: &str = "sesame-32";

pub(crate) fn name(text: &str) -> ApplianceName {
    ApplianceName::new(text).expect("a name")
}

/// An appliance `a` on 7.5.0.
pub(crate) fn spec() -> ApplianceSpec {
    ApplianceSpec::new(name("a"), "7.5.0")
}

pub(crate) fn clock() -> Arc<dyn Clock> {
    Arc::new(TokioClock::starting_at("2026-03-01T00:00:00Z".parse().expect("a time")))
}

pub(crate) fn builder(spec: ApplianceSpec) -> SimFleetBuilder {
    SimFleet::builder().clock(clock()).appliance(spec)
}

/// An answer, read to its end.
#[derive(Debug)]
pub(crate) struct Got {
    pub(crate) status: u16,
    pub(crate) json: Value,
    pub(crate) text: String,
    pub(crate) cookie: Option<String>,
    pub(crate) headers: reqwest::header::HeaderMap,
}

impl Got {
    pub(crate) fn error_type(&self) -> &str {
        self.json["error"]["type"].as_str().unwrap_or("")
    }
}

/// One simulated appliance and a client of it.
pub(crate) struct Rig {
    pub(crate) server: SimServer,
    pub(crate) http: reqwest::Client,
    pub(crate) session: Option<String>,
    pub(crate) clock: Arc<dyn Clock>,
}

#[expect(clippy::disallowed_methods, reason = "the tests' own client")]
pub(crate) fn client(ca_pem: &str) -> reqwest::Client {
    let ca = reqwest::Certificate::from_pem(ca_pem.as_bytes()).expect("a certificate");
    reqwest::Client::builder()
        .tls_certs_only([ca])
        .no_proxy()
        .timeout(Duration::from_secs(7200))
        .build()
        .expect("a client")
}

impl Rig {
    pub(crate) async fn start(builder: SimFleetBuilder) -> Self {
        let server = SimServer::start(builder).await.expect("a simulator");
        let http = client(&server.ca_pem());
        let clock = Arc::clone(server.fleet().clock());
        Self { server, http, session: None, clock }
    }

    pub(crate) async fn of(spec: ApplianceSpec) -> Self {
        Self::start(builder(spec)).await
    }

    /// Started and logged in.
    pub(crate) async fn logged_in(spec: ApplianceSpec) -> Self {
        let mut rig = Self::of(spec).await;
        rig.login().await;
        rig
    }

    pub(crate) async fn with_faults(plan: FaultPlan) -> Self {
        let mut rig = Self::start(builder(spec()).faults(plan)).await;
        rig.login().await;
        rig
    }

    pub(crate) fn appliance(&self) -> Arc<SimAppliance> {
        self.server.fleet().appliance("a").expect("it is there")
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("https://{}{path}", self.server.address("a").expect("an address"))
    }

    pub(crate) fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let request = self.http.request(method, self.url(path));
        match &self.session {
            Some(id) => request.header("Cookie", format!("session_id={id}")),
            None => request,
        }
    }

    pub(crate) async fn get(&self, path: &str) -> Got {
        send(self.request(Method::GET, path)).await.expect("an answer")
    }

    pub(crate) async fn delete(&self, path: &str) -> Got {
        send(self.request(Method::DELETE, path)).await.expect("an answer")
    }

    pub(crate) async fn post(&self, path: &str, body: Value) -> Got {
        self.try_post(path, body).await.expect("an answer")
    }

    pub(crate) async fn try_post(&self, path: &str, body: Value) -> Result<Got, reqwest::Error> {
        send(self.request(Method::POST, path).body(body.to_string())).await
    }

    pub(crate) async fn try_login(&self, user: &str, password: &str) -> Got {
        let request = self.http.get(self.url("/api/authentication"));
        send(request.basic_auth(user, Some(password))).await.expect("an answer")
    }

    pub(crate) async fn login(&mut self) {
        let got = self.try_login("admin", PASSWORD).await;
        assert_eq!(got.status, 200, "{}", got.text);
        self.session = got.cookie;
    }

    pub(crate) async fn sleep(&self, seconds: u64) {
        self.clock.sleep(Duration::from_secs(seconds)).await;
    }

    pub(crate) async fn upload(&self, bytes: Vec<u8>) -> Got {
        let part = reqwest::multipart::Part::bytes(bytes).file_name("sps.iso");
        let form = reqwest::multipart::Form::new().part("firmware", part);
        let request = self.request(Method::POST, "/api/upload/firmware").multipart(form);
        send(request).await.expect("an answer")
    }

    /// Uploads firmware of this version and gives its slot's key.
    pub(crate) async fn staged(&self, version: &str) -> String {
        let got = self.upload(SimImage::bytes(version, 5000)).await;
        assert_eq!(got.status, 200, "{}", got.text);
        got.json["key"].as_str().expect("a key").to_owned()
    }
}

pub(crate) async fn send(request: RequestBuilder) -> Result<Got, reqwest::Error> {
    let response = request.send().await?;
    let headers = response.headers().clone();
    let cookie = headers.get("set-cookie").and_then(|value| {
        let value = value.to_str().ok()?;
        Some(value.strip_prefix("session_id=")?.split(';').next()?.to_owned())
    });
    let status = response.status().as_u16();
    let text = response.text().await?;
    let json = serde_json::from_str(&text).unwrap_or(Value::Null);
    Ok(Got { status, json, text, cookie, headers })
}
