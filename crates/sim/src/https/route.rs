//! From an HTTP request to a call.

use std::borrow::Cow;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::header::{
    AUTHORIZATION, CONTENT_LENGTH, CONTENT_TYPE, COOKIE, TRANSFER_ENCODING, USER_AGENT,
};
use http::request::Parts;
use http::{HeaderName, Method};
use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;
use model::digest::Sha256Hex;
use model::names::{FetchKey, SlotKey};
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::multipart::Multipart;
use crate::appliance::{Call, Message, Received, Refusal, SimAppliance};
use crate::images::HEAD_BYTES;

/// No JSON body is longer.
const JSON_LIMIT: usize = 1 << 20;

/// A call and who makes it.
pub(super) struct Routed {
    pub(super) call: Call,
    pub(super) session: Option<String>,
    pub(super) bytes_in: u64,
}

fn header<'a>(parts: &'a Parts, name: &HeaderName) -> Option<&'a str> {
    parts.headers.get(name)?.to_str().ok()
}

/// The session cookie.
fn session(parts: &Parts) -> Option<String> {
    parts.headers.get_all(COOKIE).iter().find_map(|value| {
        value.to_str().ok()?.split(';').find_map(|pair| {
            let (name, value) = pair.trim().split_once('=')?;
            (name == "session_id").then(|| value.trim().to_owned())
        })
    })
}

fn wrong(method: &Method, path: &str, refusal: Refusal) -> Call {
    let method = match *method {
        Method::GET => Cow::Borrowed("GET"),
        Method::POST => Cow::Borrowed("POST"),
        Method::PUT => Cow::Borrowed("PUT"),
        Method::DELETE => Cow::Borrowed("DELETE"),
        _ => Cow::Owned(method.to_string()),
    };
    Call::Wrong { method, path: path.to_owned(), refusal }
}

/// Reads a request. `None`: the connection broke while its body came.
pub(super) async fn route(
    appliance: &SimAppliance,
    parts: &Parts,
    body: Incoming,
) -> Option<Routed> {
    let path = parts.uri.path();
    let path = if path.len() > 1 { path.trim_end_matches('/') } else { path };
    let session = session(parts);
    let refuse = |refusal| Routed {
        call: wrong(&parts.method, path, refusal),
        session: session.clone(),
        bytes_in: 0,
    };
    let sends = matches!(parts.method, Method::POST | Method::PUT);
    if sends && !has_length(appliance, parts) {
        return Some(refuse(Refusal::plain(411, "", "Length Required")));
    }
    let changes = sends || parts.method == Method::DELETE;
    if changes && lacks_token(appliance, parts, session.as_deref()) {
        return Some(refuse(Refusal::unauthorized(path)));
    }
    if parts.method == Method::POST && path == "/api/upload/firmware" {
        let received = receive(appliance, parts, body).await?;
        let bytes_in = received.as_ref().map_or(0, |received| received.bytes);
        let call = match received {
            Ok(received) => Call::Upload(received),
            Err(refusal) => wrong(&parts.method, path, refusal),
        };
        return Some(Routed { call, session, bytes_in });
    }
    let bytes = Limited::new(body, JSON_LIMIT).collect().await.ok()?.to_bytes();
    let bytes_in = bytes.len() as u64;
    let json = || -> Result<Value, Refusal> {
        let text = if bytes.is_empty() { b"{}" } else { bytes.as_ref() };
        let malformed =
            || Refusal::plain(400, "MalformedRequestBody", "The request body is not JSON");
        serde_json::from_slice(text).map_err(|_| malformed())
    };
    let call = if path == "/api/authentication" && parts.method == Method::GET {
        credentials(parts)
    } else {
        find(parts.method.as_str(), path, json)
    };
    let call = call.unwrap_or_else(|refusal| wrong(&parts.method, path, refusal));
    Some(Routed { call, session, bytes_in })
}

fn has_length(appliance: &SimAppliance, parts: &Parts) -> bool {
    parts.headers.contains_key(CONTENT_LENGTH)
        || (parts.headers.contains_key(TRANSFER_ENCODING)
            && appliance.spec().quirks.takes_chunked_bodies)
}

/// Browser-like clients must send a token with changes (sps-api.md, section 1, "X-Token").
fn lacks_token(appliance: &SimAppliance, parts: &Parts, session: Option<&str>) -> bool {
    let browser = header(parts, &USER_AGENT).is_some_and(|agent| agent.starts_with("Mozilla/"));
    if !browser {
        return false;
    }
    let given = parts.headers.get("x-token").and_then(|value| value.to_str().ok());
    match appliance.token_of(session) {
        Some(Some(token)) => given != Some(token.as_str()),
        // Without a session the answer is 401 anyway; older releases ask for no token.
        Some(None) | None => false,
    }
}

fn credentials(parts: &Parts) -> Result<Call, Refusal> {
    let missing = || Refusal::unauthenticated("/api/authentication");
    let given = header(parts, &AUTHORIZATION).ok_or_else(missing)?;
    let (scheme, encoded) = given.split_once(' ').ok_or_else(missing)?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return Err(missing());
    }
    let bytes = STANDARD.decode(encoded.trim()).map_err(|_| missing())?;
    let text = String::from_utf8(bytes).map_err(|_| missing())?;
    let (user, password) = text.split_once(':').ok_or_else(missing)?;
    Ok(Call::Login { user: user.to_owned(), password: password.to_owned() })
}

fn find(
    method: &str,
    path: &str,
    json: impl FnOnce() -> Result<Value, Refusal>,
) -> Result<Call, Refusal> {
    let rest = path.strip_prefix("/api/").unwrap_or_default();
    let words: Vec<&str> = rest.split('/').collect();
    Ok(match (method, words.as_slice()) {
        ("GET", ["setup"]) => Call::Setup,
        ("GET", ["authentication", "login_methods"]) => Call::LoginMethods,
        ("GET", ["info"]) => Call::Info,
        ("GET", ["user_info" | "userinfo"] | ["user", "info"]) => Call::UserInfo,
        ("GET", ["firmware"]) => Call::Firmware,
        ("GET", ["firmware", "slots"]) => Call::Slots,
        ("GET", ["firmware", "slots", key]) => Call::Slot(SlotKey::new(key)),
        ("DELETE", ["firmware", "slots", key]) => Call::DeleteSlot(SlotKey::new(key)),
        ("GET", ["firmware", "fetch"]) => Call::FetchJobs,
        ("GET", ["firmware", "fetch", key]) => Call::FetchJob(FetchKey::new(key)),
        ("DELETE", ["firmware", "fetch", key]) => Call::DeleteFetch(FetchKey::new(key)),
        ("POST", ["firmware", "fetch"]) => {
            let body = json()?;
            let sum = body.get("checksum").and_then(|checksum| checksum.get("sha256"));
            Call::StartFetch {
                url: body.get("url").and_then(Value::as_str).map(str::to_owned),
                sha256: sum
                    .and_then(Value::as_str)
                    .map(|sum| Sha256Hex::parse(sum).map_err(|error| error.to_string())),
            }
        }
        ("POST", ["firmware", "test"]) => Call::Test { slot: slot_id(&json()?) },
        ("POST", ["firmware", "upgrade"]) => {
            let body = json()?;
            let message = match body.get("message") {
                None => Message::Absent,
                Some(Value::Null) => Message::Null,
                Some(Value::String(text)) => Message::Text(text.clone()),
                Some(other) => Message::Text(other.to_string()),
            };
            Call::Upgrade { slot: slot_id(&body), message }
        }
        ("GET", ["health_status"]) => Call::Health,
        ("GET", ["cluster", "status"]) => Call::ClusterStatus,
        ("GET", ["transaction"]) => Call::Transaction,
        ("GET", ["configuration", "management", "webinterface"]) => Call::WebInterface,
        ("POST", ["troubleshooting", "support-bundle"]) => Call::StartBundle,
        ("GET", ["troubleshooting", "support-bundle", key]) => Call::Bundle((*key).to_owned()),
        ("GET", ["troubleshooting", "support-bundle", key, "download"]) => {
            Call::DownloadBundle((*key).to_owned())
        }
        ("DELETE", ["troubleshooting", "support-bundle", key]) => {
            Call::DeleteBundle((*key).to_owned())
        }
        _ => return Err(Refusal::plain(404, "NotFound", "There is no such resource")),
    })
}

/// `slot_id` as a number or a string.
fn slot_id(body: &Value) -> Option<SlotKey> {
    match body.get("slot_id") {
        Some(Value::String(key)) => Some(SlotKey::new(key)),
        Some(Value::Number(number)) => Some(SlotKey::new(&number.to_string())),
        _ => None,
    }
}

/// Takes an upload as it comes, keeping none of it.
async fn receive(
    appliance: &SimAppliance,
    parts: &Parts,
    mut body: Incoming,
) -> Option<Result<Received, Refusal>> {
    let arrived = appliance.shared().clock.monotonic();
    let boundary = header(parts, &CONTENT_TYPE).and_then(Multipart::boundary);
    let mut form = boundary.map(Multipart::new);
    let (mut sum, mut head, mut bytes) = (Sha256::new(), Vec::new(), 0_u64);
    let mut take = |chunk: &[u8]| {
        sum.update(chunk);
        bytes += chunk.len() as u64;
        if head.len() < HEAD_BYTES {
            head.extend(chunk.iter().take(HEAD_BYTES - head.len()));
        }
    };
    let mut broken = None;
    while let Some(frame) = body.frame().await {
        let Ok(chunk) = frame.ok()?.into_data() else { continue };
        match &mut form {
            // What follows a broken part is read to its end, so that the answer arrives.
            Some(_) if broken.is_some() => {}
            Some(form) => broken = form.feed(&chunk, &mut take).err(),
            None => take(&chunk),
        }
    }
    let ended = match (broken, form) {
        (Some(error), _) => Err(error),
        (None, Some(form)) => form.finish(),
        (None, None) => Ok(()),
    };
    if let Err(error) = ended {
        let message = error.to_string();
        let mut refusal = Refusal::plain(400, "InvalidUpload", "");
        refusal.message = message.into();
        return Some(Err(refusal));
    }
    let sha256 = Sha256Hex::from_bytes(&sum.finalize());
    let version = appliance.shared().images.version(&head, &sha256);
    Some(Ok(Received { bytes, version, arrived }))
}
