//! One exchange with one appliance: a request out, an answer in, within limits.

use std::future::Future;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use futures::future::Either;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use http::{HeaderMap, Method};
use model::digest::Sha256Hex;
use model::failure::{ApplianceError, FailureClass};
use model::fleet::{self, Trust};
use model::names::ApplianceName;
use model::ports::{Clock, Throttle};
use reqwest::Url;
use secrecy::SecretString;
use tokio::sync::Semaphore;

use crate::address::{Base, base, locate};
use crate::classify::{Answer, Asked, Kind};
use crate::clients::{Lane, Lanes};
use crate::options::Options;
use crate::session::session_cookie;
use crate::sink::Sink;
use crate::transport;
use crate::{date, words};

/// From this on the clocks of both sides differ too much (sps-api.md, row 21).
const SKEW: jiff::SignedDuration = jiff::SignedDuration::from_mins(5);

/// What all appliances share.
pub(crate) struct Shared {
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) options: Options,
    pub(crate) lanes: Lanes,
    in_flight: Semaphore,
}

impl Shared {
    pub(crate) fn new(clock: Arc<dyn Clock>, options: Options) -> Self {
        let lanes = Lanes::new(Arc::clone(&clock), options.clone());
        let in_flight = Semaphore::new(options.in_flight.clamp(1, Semaphore::MAX_PERMITS));
        Self { clock, options, lanes, in_flight }
    }
}

/// The way to one appliance.
pub(crate) struct Line {
    shared: Arc<Shared>,
    throttle: Arc<dyn Throttle>,
    name: ApplianceName,
    /// For messages.
    host: String,
    base: Result<Base, String>,
    trust: Trust,
    lane: Mutex<Option<Arc<Lane>>>,
    skew_told: AtomicBool,
    /// The certificate of the connection over which the last answer came.
    leaf: Mutex<Option<Sha256Hex>>,
}

/// The body of a request.
pub(crate) enum Payload {
    None,
    Json(serde_json::Value),
    Form(reqwest::multipart::Form),
}

/// Where a request goes.
pub(crate) enum At<'a> {
    /// To these parts of a path behind the base.
    Path(&'a [&'a str]),
    /// The same with one parameter.
    Query(&'a [&'a str], &'static str, &'a str),
    /// To a URL that was checked to be of the same service.
    Url(Url),
}

/// A request as it goes out.
pub(crate) struct Outgoing<'a> {
    pub(crate) method: Method,
    pub(crate) at: At<'a>,
    /// `Authorization` or `Cookie`.
    pub(crate) secrets: HeaderMap,
    pub(crate) payload: Payload,
}

/// An answer that should be a file.
pub(crate) enum File {
    /// It was, and is in the sink; the answer has no body.
    Whole(Incoming),
    /// Something else.
    Other(Incoming),
}

/// An answer with what is of use beside its meaning.
pub(crate) struct Incoming {
    pub(crate) answer: Answer,
    /// The newest `session_id`.
    pub(crate) cookie: Option<SecretString>,
}

impl Line {
    pub(crate) fn new(
        shared: Arc<Shared>,
        appliance: &fleet::Appliance,
        throttle: Arc<dyn Throttle>,
    ) -> Self {
        let endpoint = &appliance.endpoint;
        let host = endpoint.authority();
        let base = base(&host);
        Self::to(shared, base, host, &endpoint.trust, &appliance.name, throttle)
    }

    /// The way to a service of this base URL, whose `host` is for messages.
    pub(crate) fn to(
        shared: Arc<Shared>,
        base: Result<Base, String>,
        host: String,
        trust: &Trust,
        name: &ApplianceName,
        throttle: Arc<dyn Throttle>,
    ) -> Self {
        Self {
            base,
            shared,
            throttle,
            name: name.clone(),
            host,
            trust: trust.clone(),
            lane: Mutex::default(),
            skew_told: AtomicBool::new(false),
            leaf: Mutex::default(),
        }
    }

    /// Says nothing of clocks that differ.
    pub(crate) fn whatever_time(self) -> Self {
        Self { skew_told: AtomicBool::new(true), ..self }
    }

    pub(crate) fn clock(&self) -> &Arc<dyn Clock> {
        &self.shared.clock
    }

    pub(crate) fn answer_timeout(&self) -> Duration {
        self.shared.options.answer_timeout
    }

    pub(crate) fn host(&self) -> &str {
        &self.host
    }

    /// The sum of the certificate with which the appliance last proved itself.
    pub(crate) fn leaf(&self) -> Option<Sha256Hex> {
        self.leaf.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// What is asked, for messages.
    pub(crate) fn asked(&self, kind: Kind, method: &Method, path: &[&str]) -> Asked {
        let path: Vec<String> = path.iter().map(|part| words::tame(part, 80)).collect();
        let request = format!("{method} /{}", path.join("/"));
        Asked { kind, request, host: self.host.clone() }
    }

    /// Waits until an ordinary request has taken too long.
    pub(crate) async fn too_long(&self, limit: Duration) -> String {
        self.shared.clock.sleep(limit).await;
        format!("no answer within {limit:?}")
    }

    /// Sends a request once and reads its answer. `patience` begins when the request may be sent,
    /// and says what was too slow when it ends.
    pub(crate) async fn exchange<P>(
        &self,
        asked: &Asked,
        outgoing: Outgoing<'_>,
        patience: impl FnOnce() -> P,
    ) -> Result<Incoming, ApplianceError>
    where
        P: Future<Output = String> + Send,
    {
        let lane = self.lane(asked).await?;
        let request = self.request(asked, &lane, outgoing)?;
        self.throttle.pass().await;
        let _place = self.shared.in_flight.acquire().await;
        let talk = std::pin::pin!(self.talk(asked, request));
        let patience = std::pin::pin!(patience());
        let outcome = match futures::future::select(talk, patience).await {
            Either::Left((outcome, _)) => outcome,
            Either::Right((why, _)) => Err(asked.fail(asked.kind.lost(), why)),
        };
        self.note_identity(&outcome);
        outcome
    }

    /// As [`Line::exchange`], for an answer that is a file: a success that is no JSON goes to
    /// `sink`, whose size it gives. Each part of it may take as long as an ordinary answer.
    pub(crate) async fn exchange_file(
        &self,
        asked: &Asked,
        outgoing: Outgoing<'_>,
        sink: &mut Sink<'_>,
    ) -> Result<File, ApplianceError> {
        let lane = self.lane(asked).await?;
        let request = self.request(asked, &lane, outgoing)?;
        self.throttle.pass().await;
        let _place = self.shared.in_flight.acquire().await;
        let outcome = self.receive(asked, request, sink).await;
        self.note_identity(&outcome);
        outcome
    }

    async fn receive(
        &self,
        asked: &Asked,
        request: (reqwest::Client, reqwest::Request),
        sink: &mut Sink<'_>,
    ) -> Result<File, ApplianceError> {
        let (mut response, mut incoming) = self.patient(asked, self.head(asked, request)).await?;
        let status = incoming.answer.status;
        let kind = incoming.answer.content_type.as_deref().unwrap_or_default();
        // Booting appliances show pages, and errors of the API are JSON.
        let spoken = kind.contains("json") || kind.contains("html");
        if !(200..300).contains(&status) || spoken {
            self.patient(asked, self.rest(asked, response, &mut incoming)).await?;
            return Ok(File::Other(incoming));
        }
        let failed = |error| ApplianceError { status: Some(status), ..error };
        sink.expect(response.content_length())
            .map_err(|text| failed(asked.fail(FailureClass::Local, text)))?;
        loop {
            let next =
                async { response.chunk().await.map_err(|error| transport::failed(asked, error)) };
            let Some(chunk) = self.patient(asked, next).await.map_err(failed)? else { break };
            let written = sink.write(&chunk).await;
            written.map_err(|text| failed(asked.fail(FailureClass::Local, text)))?;
        }
        Ok(File::Whole(incoming))
    }

    /// Waits for a part of an answer as long as for an ordinary one.
    async fn patient<T>(
        &self,
        asked: &Asked,
        part: impl Future<Output = Result<T, ApplianceError>> + Send,
    ) -> Result<T, ApplianceError> {
        let part = std::pin::pin!(part);
        let patience = std::pin::pin!(self.too_long(self.answer_timeout()));
        match futures::future::select(part, patience).await {
            Either::Left((outcome, _)) => outcome,
            Either::Right((why, _)) => Err(asked.fail(asked.kind.lost(), why)),
        }
    }

    fn note_identity<T>(&self, outcome: &Result<T, ApplianceError>) {
        if let Err(error) = outcome
            && error.class == FailureClass::IdentityNotProven
        {
            // Measured anew next time: the CA file may have been corrected meanwhile.
            *self.lane.lock().unwrap_or_else(PoisonError::into_inner) = None;
        }
    }

    async fn lane(&self, asked: &Asked) -> Result<Arc<Lane>, ApplianceError> {
        if let Some(lane) = &*self.lane.lock().unwrap_or_else(PoisonError::into_inner) {
            return Ok(Arc::clone(lane));
        }
        let local = |text: String| asked.fail(FailureClass::Local, text);
        let (_, host) = self.base.as_ref().map_err(|text| local(text.clone()))?;
        let (shared, trust) = (Arc::clone(&self.shared), self.trust.clone());
        let anchor = tokio::task::spawn_blocking(move || shared.lanes.anchors.anchor(&trust)).await;
        let anchor = anchor
            .map_err(|_| local("the trusted certificates could not be read".to_owned()))?
            .map_err(|error| asked.fail(FailureClass::IdentityNotProven, error.to_string()))?;
        let lane = self.shared.lanes.lane(host, &anchor);
        let lane = lane.map_err(|error| {
            local(format!("no HTTP client could be made: {}", words::chain(&error, 300)))
        })?;
        *self.lane.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::clone(&lane));
        Ok(lane)
    }

    fn request(
        &self,
        asked: &Asked,
        lane: &Lane,
        outgoing: Outgoing<'_>,
    ) -> Result<(reqwest::Client, reqwest::Request), ApplianceError> {
        let local = |text: String| asked.fail(FailureClass::Local, text);
        let (base, _) = self.base.as_ref().map_err(|text| local(text.clone()))?;
        let url = match outgoing.at {
            At::Path(path) => locate(base, path, None),
            At::Query(path, name, value) => locate(base, path, Some((name, value))),
            At::Url(url) => Ok(url),
        };
        let url = url.map_err(local)?;
        let client = if asked.kind.changes() { &lane.fresh } else { &lane.kept };
        let has_body = !matches!(outgoing.payload, Payload::None);
        let mut builder = client.request(outgoing.method.clone(), url).headers(outgoing.secrets);
        if outgoing.method == Method::POST && !has_body {
            // Without a length SPS answers 411 (sps-api.md, section 2).
            builder = builder.header(CONTENT_LENGTH, "0");
        }
        builder = match outgoing.payload {
            Payload::None => builder,
            Payload::Json(value) => {
                builder.header(CONTENT_TYPE, "application/json").body(value.to_string())
            }
            Payload::Form(form) => builder.multipart(form),
        };
        let request = builder.build().map_err(|error| {
            local(format!("the request could not be made: {}", words::chain(&error, 300)))
        })?;
        Ok((client.clone(), request))
    }

    async fn talk(
        &self,
        asked: &Asked,
        request: (reqwest::Client, reqwest::Request),
    ) -> Result<Incoming, ApplianceError> {
        let (response, mut incoming) = self.head(asked, request).await?;
        self.rest(asked, response, &mut incoming).await?;
        Ok(incoming)
    }

    /// Sends a request and reads the head of its answer.
    async fn head(
        &self,
        asked: &Asked,
        (client, request): (reqwest::Client, reqwest::Request),
    ) -> Result<(reqwest::Response, Incoming), ApplianceError> {
        let response = client.execute(request).await;
        let response = response.map_err(|error| transport::failed(asked, error))?;
        let now = self.shared.clock.now();
        let headers = response.headers();
        self.compare_clocks(headers, now);
        let shown = response.extensions().get::<reqwest::tls::TlsInfo>();
        if let Some(leaf) = shown.and_then(reqwest::tls::TlsInfo::peer_certificate) {
            let leaf = Sha256Hex::of(leaf);
            *self.leaf.lock().unwrap_or_else(PoisonError::into_inner) = Some(leaf);
        }
        let content_type = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
        let incoming = Incoming {
            cookie: session_cookie(headers),
            answer: Answer {
                status: response.status().as_u16(),
                content_type: content_type.map(str::to_owned),
                retry_after: date::retry_after(headers, now),
                body: Bytes::new(),
            },
        };
        Ok((response, incoming))
    }

    /// Reads an answer to its end.
    async fn rest(
        &self,
        asked: &Asked,
        mut response: reqwest::Response,
        incoming: &mut Incoming,
    ) -> Result<(), ApplianceError> {
        let most = self.shared.options.answer_bytes;
        let mut body = Vec::new();
        loop {
            match response.chunk().await {
                Ok(Some(chunk)) if body.len() + chunk.len() <= most => {
                    body.extend_from_slice(&chunk);
                }
                Ok(Some(_)) => {
                    let text = format!("an answer longer than {most} bytes");
                    return Err(ApplianceError {
                        status: Some(incoming.answer.status),
                        ..asked.fail(too_large(asked.kind), text)
                    });
                }
                Ok(None) => break,
                Err(error) => {
                    return Err(ApplianceError {
                        status: Some(incoming.answer.status),
                        ..transport::failed(asked, error)
                    });
                }
            }
        }
        incoming.answer.body = body.into();
        Ok(())
    }

    fn compare_clocks(&self, headers: &HeaderMap, now: jiff::Timestamp) {
        if self.skew_told.load(Ordering::Relaxed) {
            return;
        }
        let Some(skew) = date::skew(headers, now).filter(|skew| skew.abs() > SKEW) else { return };
        if !self.skew_told.swap(true, Ordering::Relaxed) {
            let seconds = skew.as_secs();
            tracing::warn!(
                appliance = %self.name,
                skew_seconds = seconds,
                "the appliance's clock and ours differ by {} minutes; check NTP on both sides",
                seconds.abs() / 60,
            );
        }
    }
}

/// An answer that is too long is none of the API; of a change it says nothing.
fn too_large(kind: Kind) -> FailureClass {
    if kind.changes() { FailureClass::OutcomeUnknown } else { FailureClass::NotAnApi }
}
