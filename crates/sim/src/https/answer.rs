//! What a caller hears, as HTTP.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::{StreamExt, stream};
use http::header::{CONTENT_LENGTH, CONTENT_TYPE, DATE, RETRY_AFTER, SET_COOKIE};
use http::{HeaderValue, Response, StatusCode};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::Frame;
use jiff::{SignedDuration, Timestamp};
use model::ports::Clock;
use serde_json::json;

use super::render;
use crate::appliance::{Heard, Pace, Refusal, Reply, Visit};

/// A response's body.
pub(super) type Body = BoxBody<Bytes, io::Error>;

/// How a request ends.
pub(super) enum Ending {
    Response(Response<Body>),
    Close,
    Reset,
}

/// The page that people see while the appliance boots.
const BOOT_PAGE: &str = "<!DOCTYPE html><html><head><title>Safeguard for Privileged Sessions</title>\
</head><body><h1>The system is starting</h1><p>Please wait.</p></body></html>";

const ERROR_PAGE: &str =
    "<html><head><title>Error</title></head><body><h1>Error</h1></body></html>";

/// How long a drip is, and how long what was sent of a cut answer gets to leave.
const DRIP: Duration = Duration::from_millis(100);

/// What is needed to write an answer.
pub(super) struct Context<'a> {
    pub(super) clock: &'a Arc<dyn Clock>,
    pub(super) path: &'a str,
    /// Idle limit of sessions, for the cookie's expiry.
    pub(super) idle: Duration,
    /// How far the appliance's clock is ahead, in seconds.
    pub(super) ahead: i64,
}

impl Context<'_> {
    pub(super) fn ending(&self, heard: Heard) -> Ending {
        let mut ending = self.undated(heard);
        if let Ending::Response(response) = &mut ending {
            let date = self.time(Duration::ZERO).strftime("%a, %d %b %Y %H:%M:%S GMT").to_string();
            if let Ok(date) = HeaderValue::from_str(&date) {
                response.headers_mut().insert(DATE, date);
            }
        }
        ending
    }

    /// The appliance's wall clock, so much later.
    fn time(&self, later: Duration) -> Timestamp {
        let later = SignedDuration::try_from(later).unwrap_or(SignedDuration::MAX);
        let ahead = SignedDuration::from_secs(self.ahead);
        self.clock.now().saturating_add(later.saturating_add(ahead)).unwrap_or(Timestamp::MAX)
    }

    fn undated(&self, heard: Heard) -> Ending {
        Ending::Response(match heard {
            Heard::NoConnection | Heard::Closed => return Ending::Close,
            Heard::Reset => return Ending::Reset,
            Heard::BootPage { setup: true, .. } => {
                let reply = Reply::Setup { completed: false };
                self.good(&reply, &Visit::default(), Pace::Whole)
            }
            Heard::BootPage { status, .. } => page(status, BOOT_PAGE),
            Heard::Html { code } => page(code, BOOT_PAGE),
            Heard::Status { code, kind: None, retry_after, .. } => {
                with_retry(page(code, ERROR_PAGE), retry_after)
            }
            Heard::Status { code, kind: Some(kind), message, retry_after } => {
                let message = message.unwrap_or_else(|| "An error by the fault plan".to_owned());
                let body = render::error(&kind, &message, &json!({}), self.path);
                let response = self.sized(code, "application/json", body.to_string(), Pace::Whole);
                with_retry(response, retry_after)
            }
            Heard::Body { code, text } => self.sized(code, "application/json", text, Pace::Whole),
            Heard::Answer { result: Ok(reply), visit, pace } => self.good(&reply, &visit, pace),
            Heard::Answer { result: Err(refusal), pace, .. } => self.bad(&refusal, pace),
        })
    }

    fn good(&self, reply: &Reply, visit: &Visit, pace: Pace) -> Response<Body> {
        let code = render::status(reply);
        let Some(body) = render::body(reply, self.path, visit.remaining) else {
            let bytes =
                if let Reply::BundleContent(bytes) = reply { bytes.clone() } else { Bytes::new() };
            return self.sized(200, "application/octet-stream", bytes, pace);
        };
        let mut response = self.sized(code, "application/json", body.to_string(), pace);
        let id = if let Reply::Session { id } = reply { Some(id) } else { visit.cookie.as_ref() };
        if let Some(id) = id {
            let expires = self.time(self.idle).strftime("%a, %-d %b %Y %H:%M:%S GMT");
            let cookie = format!("session_id={id}; expires={expires}; Path=/; Secure; HttpOnly");
            if let Ok(cookie) = HeaderValue::from_str(&cookie) {
                response.headers_mut().insert(SET_COOKIE, cookie);
            }
        }
        response
    }

    fn bad(&self, refusal: &Refusal, pace: Pace) -> Response<Body> {
        if refusal.kind.is_empty() {
            return page(refusal.status, ERROR_PAGE);
        }
        let body = render::refusal(refusal, self.path).to_string();
        self.sized(refusal.status, "application/json", body, pace)
    }

    fn sized(
        &self,
        code: u16,
        kind: &'static str,
        content: impl Into<Bytes>,
        pace: Pace,
    ) -> Response<Body> {
        let bytes = content.into();
        let length = bytes.len();
        let body = match pace {
            Pace::Whole => return response(code, kind, whole(bytes)),
            Pace::Slow { bytes_per_second } => self.dripping(bytes, bytes_per_second),
            Pace::CutAfter { bytes: after } => self.cut(bytes.slice(..after.min(length))),
        };
        let mut response = response(code, kind, body);
        response.headers_mut().insert(CONTENT_LENGTH, HeaderValue::from(length));
        response
    }

    fn dripping(&self, bytes: Bytes, bytes_per_second: u64) -> Body {
        let per_drip = usize::try_from(bytes_per_second / 10).unwrap_or(usize::MAX).max(1);
        let pause = if bytes_per_second < 10 {
            Duration::from_secs(1) / u32::try_from(bytes_per_second.max(1)).unwrap_or(1)
        } else {
            DRIP
        };
        let clock = Arc::clone(self.clock);
        let drips = stream::unfold((bytes, clock), move |(mut rest, clock)| async move {
            if rest.is_empty() {
                return None;
            }
            clock.sleep(pause).await;
            let drip = rest.split_to(per_drip.min(rest.len()));
            Some((Ok(Frame::data(drip)), (rest, clock)))
        });
        BodyExt::boxed(StreamBody::new(sync(drips)))
    }

    fn cut(&self, bytes: Bytes) -> Body {
        let clock = Arc::clone(self.clock);
        let first = stream::iter([Ok(Frame::data(bytes))]);
        let end = stream::once(async move {
            // Lets the first part leave before the connection breaks.
            clock.sleep(DRIP).await;
            Err(io::Error::other("cut off by the fault plan"))
        });
        BodyExt::boxed(StreamBody::new(sync(first.chain(end))))
    }
}

/// Streams of the clock's futures are not `Sync`, but nobody shares a body.
fn sync<S>(stream: S) -> impl futures::Stream<Item = S::Item> + Send + Sync
where
    S: futures::Stream + Send + 'static,
    S::Item: Send,
{
    SyncStream(std::sync::Mutex::new(Box::pin(stream)))
}

struct SyncStream<S>(std::sync::Mutex<std::pin::Pin<Box<S>>>);

impl<S: futures::Stream> futures::Stream for SyncStream<S> {
    type Item = S::Item;
    fn poll_next(
        mut self: std::pin::Pin<&mut Self>,
        cx: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<S::Item>> {
        let inner = self.0.get_mut().unwrap_or_else(std::sync::PoisonError::into_inner);
        inner.as_mut().poll_next(cx)
    }
}

fn whole(bytes: Bytes) -> Body {
    BodyExt::boxed(Full::new(bytes).map_err(|never| match never {}))
}

fn response(code: u16, kind: &'static str, body: Body) -> Response<Body> {
    let mut response = Response::new(body);
    *response.status_mut() =
        StatusCode::from_u16(code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    response
}

fn page(code: u16, text: &'static str) -> Response<Body> {
    response(code, "text/html; charset=utf-8", whole(Bytes::from_static(text.as_bytes())))
}

fn with_retry(mut response: Response<Body>, seconds: Option<u64>) -> Response<Body> {
    if let Some(seconds) = seconds {
        response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(seconds));
    }
    response
}
