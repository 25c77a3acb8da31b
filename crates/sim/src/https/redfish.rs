//! A Redfish service for the hardware behind all appliances: one address, one system a node. Only
//! what a power switch needs is there: systems, `PowerState`, and `ComputerSystem.Reset`.

use std::net::SocketAddr;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_TYPE, WWW_AUTHENTICATE};
use http::request::Parts;
use http::{HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use model::ports::PowerState;
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::answer::Body;
use super::wire::{ResetMark, Wire};
use crate::SimAppliance;
use crate::appliance::{Heard, Refusal, Reply};
use crate::fleet::SimFleet;
use crate::ledger::{Node, PowerAct};
use crate::power;

const ROOT: &str = "/redfish/v1";
const BODY_LIMIT: usize = 64 * 1024;
/// Reset types and what they are here, as sent by a power switch.
const RESETS: [(&str, PowerAct); 5] = [
    ("On", PowerAct::On),
    ("GracefulShutdown", PowerAct::Off),
    ("ForceOff", PowerAct::ForceOff),
    ("GracefulRestart", PowerAct::Restart),
    ("ForceOn", PowerAct::On),
];

/// The service on the network.
#[derive(Debug)]
pub(super) struct Service {
    pub(super) fleet: Arc<SimFleet>,
    pub(super) acceptor: Acceptor,
    pub(super) tasks: TaskTracker,
    pub(super) stop: CancellationToken,
}

/// How connections are taken.
#[derive(Clone)]
pub(super) struct Acceptor(pub(super) TlsAcceptor);

impl std::fmt::Debug for Acceptor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Acceptor").finish_non_exhaustive()
    }
}

/// Serves until the server stops.
pub(super) async fn keep(service: Arc<Service>, listener: TcpListener) {
    loop {
        let accepted = service.stop.run_until_cancelled(listener.accept()).await;
        let Some(accepted) = accepted else { return };
        let Ok((stream, peer)) = accepted else {
            tokio::task::yield_now().await;
            continue;
        };
        let (it, stop) = (Arc::clone(&service), service.stop.clone());
        service.tasks.spawn(async move { stop.run_until_cancelled(serve(it, stream, peer)).await });
    }
}

async fn serve(service: Arc<Service>, stream: TcpStream, peer: SocketAddr) {
    drop(stream.set_nodelay(true));
    let reset = ResetMark::default();
    let handshake = service.acceptor.0.accept(Wire::new(stream, reset.clone()));
    let Ok(stream) = handshake.await else {
        tracing::debug!(%peer, "a handshake with the power service failed");
        return;
    };
    let answers = service_fn(|request: Request<Incoming>| {
        let (service, reset) = (Arc::clone(&service), reset.clone());
        async move { answer(&service, request, &reset).await }
    });
    let connection = hyper::server::conn::http1::Builder::new();
    if let Err(error) = connection.serve_connection(TokioIo::new(stream), answers).await {
        tracing::debug!(%peer, %error, "a connection to the power service ended");
    }
}

/// The connection is to be broken.
#[derive(Debug, thiserror::Error)]
#[error("the connection is broken on purpose")]
struct Broken;

async fn answer(
    service: &Service,
    request: Request<Incoming>,
    reset: &ResetMark,
) -> Result<Response<Body>, Broken> {
    let (parts, body) = request.into_parts();
    let body = Limited::new(body, BODY_LIMIT).collect().await.map_err(|_| Broken)?.to_bytes();
    let path = parts.uri.path().trim_end_matches('/').to_owned();
    let Some(rest) = path.strip_prefix(ROOT) else { return Ok(missing()) };
    let words: Vec<&str> = rest.split('/').skip(1).collect();
    if parts.method == Method::GET && words.is_empty() {
        return Ok(json_answer(200, &root()));
    }
    let Some(("Systems", words)) = words.split_first().map(|(first, rest)| (*first, rest)) else {
        return Ok(missing());
    };
    let Some((system, words)) = words.split_first() else {
        return Ok(if knows(service, &parts, None) { systems(service) } else { unauthorized() });
    };
    let found = power::node(system).and_then(|(name, node)| {
        let appliance = service.fleet.appliance(name)?;
        appliance.has_node(node).then_some((appliance, node))
    });
    if !knows(service, &parts, found.as_ref().map(|(appliance, _)| appliance.as_ref())) {
        return Ok(unauthorized());
    }
    let Some((appliance, node)) = found else { return Ok(missing()) };
    let act = match (parts.method.as_str(), words) {
        ("GET", []) => PowerAct::State,
        ("POST", ["Actions", "ComputerSystem.Reset"]) => match reset_type(&body) {
            Ok(act) => act,
            Err(refusal) => return Ok(refused(&refusal)),
        },
        _ => return Ok(missing()),
    };
    let heard = appliance.power(node, act).await;
    render(&appliance, node, heard, reset)
}

/// Whether the caller gave credentials that are right for this appliance (for any, without one).
fn knows(service: &Service, parts: &Parts, appliance: Option<&SimAppliance>) -> bool {
    let given = || {
        let value = parts.headers.get(AUTHORIZATION)?.to_str().ok()?;
        let (scheme, encoded) = value.split_once(' ')?;
        let text = STANDARD.decode(encoded.trim()).ok()?;
        let text = String::from_utf8(text).ok()?;
        let (user, password) = text.split_once(':')?;
        scheme.eq_ignore_ascii_case("basic").then(|| (user.to_owned(), password.to_owned()))
    };
    let Some((user, password)) = given() else { return false };
    let right = |appliance: &SimAppliance| {
        let spec = appliance.spec();
        spec.username.is_none_or(|name| name == user) && spec.password == password
    };
    match appliance {
        Some(appliance) => right(appliance),
        None => service.fleet.appliances().any(|appliance| right(appliance)),
    }
}

fn reset_type(body: &Bytes) -> Result<PowerAct, Refusal> {
    let json: Value = serde_json::from_slice(body).unwrap_or_default();
    let Some(word) = json.get("ResetType").and_then(Value::as_str) else {
        let why = "The action ComputerSystem.Reset requires the parameter ResetType";
        return Err(Refusal::plain(400, "Base.1.8.ActionParameterMissing", why));
    };
    let found = RESETS.iter().find(|(name, _)| *name == word).map(|(_, act)| *act);
    found.ok_or_else(|| {
        let why = "The value of ResetType is not one that this system knows";
        Refusal::plain(400, "Base.1.8.ActionParameterNotSupported", why)
    })
}

fn render(
    appliance: &SimAppliance,
    node: Node,
    heard: Heard,
    reset: &ResetMark,
) -> Result<Response<Body>, Broken> {
    Ok(match heard {
        Heard::Answer { result: Ok(Reply::Power(state)), .. } => {
            json_answer(200, &system(appliance, node, state))
        }
        Heard::Answer { result: Ok(_), .. } => match appliance.spec().quirks.power_accepted {
            204 => empty(204),
            code => json_answer(code, &json!({ "Id": "1", "TaskState": "Running" })),
        },
        Heard::Answer { result: Err(refusal), .. } => refused(&refusal),
        Heard::Status { code, kind: Some(kind), message, .. } => {
            let message = message.unwrap_or_else(|| "An error by the fault plan".to_owned());
            json_answer(code, &error(&kind, &message))
        }
        Heard::Status { code, .. }
        | Heard::Html { code }
        | Heard::BootPage { status: code, .. } => {
            with_type(code, "text/html", "<html><body>Error</body></html>".to_owned())
        }
        Heard::Body { code, text } => with_type(code, "application/json", text),
        Heard::Reset => {
            reset.set();
            return Err(Broken);
        }
        Heard::Closed | Heard::NoConnection => return Err(Broken),
    })
}

fn root() -> Value {
    json!({
        "@odata.id": ROOT,
        "@odata.type": "#ServiceRoot.v1_5_0.ServiceRoot",
        "Id": "RootService",
        "Name": "Simulated hardware",
        "RedfishVersion": "1.6.0",
        "Systems": { "@odata.id": format!("{ROOT}/Systems") },
    })
}

fn systems(service: &Service) -> Response<Body> {
    let nodes = [Node::Primary, Node::Secondary];
    let members: Vec<Value> = service
        .fleet
        .appliances()
        .flat_map(|it| nodes.map(|node| (it, node)))
        .filter(|(it, node)| it.has_node(*node))
        .map(|(it, node)| json!({ "@odata.id": place(it, node) }))
        .collect();
    json_answer(
        200,
        &json!({
            "@odata.id": format!("{ROOT}/Systems"),
            "@odata.type": "#ComputerSystemCollection.ComputerSystemCollection",
            "Name": "Systems",
            "Members@odata.count": members.len(),
            "Members": members,
        }),
    )
}

fn place(appliance: &SimAppliance, node: Node) -> String {
    format!("{ROOT}/Systems/{}", power::system(appliance.name(), node))
}

fn system(appliance: &SimAppliance, node: Node, state: PowerState) -> Value {
    let place = place(appliance, node);
    let words: Vec<&str> = RESETS.iter().map(|(word, _)| *word).collect();
    json!({
        "@odata.id": place,
        "@odata.type": "#ComputerSystem.v1_13_0.ComputerSystem",
        "Id": power::system(appliance.name(), node),
        "Name": format!("{} of {}", node.word(), appliance.name()),
        "SystemType": "Physical",
        "PowerState": match state { PowerState::On => "On", PowerState::Off => "Off" },
        "Status": { "Health": "OK", "State": "Enabled" },
        "Actions": { "#ComputerSystem.Reset": {
            "target": format!("{place}/Actions/ComputerSystem.Reset"),
            "ResetType@Redfish.AllowableValues": words,
        } },
    })
}

fn error(code: &str, message: &str) -> Value {
    json!({ "error": {
        "code": code,
        "message": message,
        "@Message.ExtendedInfo": [{ "MessageId": code, "Message": message }],
    } })
}

fn refused(refusal: &Refusal) -> Response<Body> {
    json_answer(refusal.status, &error(refusal.kind, &refusal.message))
}

fn missing() -> Response<Body> {
    let why = "The resource was not found";
    json_answer(404, &error("Base.1.8.ResourceMissingAtURI", why))
}

fn unauthorized() -> Response<Body> {
    let why = "There is no valid session or credential";
    let mut response = json_answer(401, &error("Base.1.8.NoValidSession", why));
    let basic = HeaderValue::from_static("Basic realm=\"Redfish\"");
    response.headers_mut().insert(WWW_AUTHENTICATE, basic);
    response
}

fn json_answer(code: u16, json: &Value) -> Response<Body> {
    with_type(code, "application/json", json.to_string())
}

fn empty(code: u16) -> Response<Body> {
    let mut response = with_type(code, "application/json", String::new());
    response.headers_mut().remove(CONTENT_TYPE);
    response
}

fn with_type(code: u16, kind: &'static str, text: String) -> Response<Body> {
    let body = Full::new(Bytes::from(text)).map_err(|never| match never {});
    let mut response = Response::new(BodyExt::boxed(body));
    *response.status_mut() =
        StatusCode::from_u16(code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    response
}
