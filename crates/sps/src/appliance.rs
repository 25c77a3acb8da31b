//! The endpoints (sps-api.md, sections 1, 3, 5 and 6).

use std::path::Path;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use http::Method;
use model::digest::Sha256Hex;
use model::failure::{ApplianceError, FailureClass};
use model::names::{FetchKey, SlotKey};
use model::observed::{
    ClusterNode, FetchJob, Health, Info, Offered, SetupStatus, Slot, TestReport, Uploaded,
};
use model::ports::{Answer, Appliance};
use model::rollout::Image;
use serde_json::{Value, json};

use crate::classify::{Kind, judge};
use crate::client::{Call, SpsAppliance, cookie_header};
use crate::line::{At, Outgoing, Payload};
use crate::session::Fresh;
use crate::upload::{self, Progress};
use crate::wire::{self, Fault, UserInfo};
use crate::words;

impl SpsAppliance {
    /// `GET /api/user_info`: whom the appliance takes us for.
    ///
    /// # Errors
    /// [`ApplianceError`] as of every read.
    pub async fn user_info(&self) -> Result<UserInfo, ApplianceError> {
        self.call(self.get(&["api", "user_info"]), wire::user_info).await
    }

    pub(crate) fn change<'a>(
        &self,
        method: Method,
        path: &'a [&'a str],
        json: Option<Value>,
    ) -> Call<'a> {
        Call { kind: Kind::Change, method, json, ..self.get(path) }
    }

    async fn ask_setup(&self) -> Result<SetupStatus, ApplianceError> {
        let path = ["api", "setup"];
        let asked = self.line.asked(Kind::Read, &Method::GET, &path);
        let outgoing = Outgoing {
            method: Method::GET,
            at: At::Path(&path),
            secrets: http::HeaderMap::new(),
            payload: Payload::None,
        };
        let patience = || self.line.too_long(self.line.answer_timeout());
        let incoming = self.line.exchange(&asked, outgoing, patience).await?;
        let status = wire::setup(&judge(&asked, &incoming.answer)?);
        status.map_err(|fault| match fault {
            Fault::Malformed(text) => asked.fail(FailureClass::Malformed, text),
            Fault::LoggedOut => asked.fail(FailureClass::LoggedOut, "no session"),
        })
    }

    fn note_uploaded(&self, sum: Option<Sha256Hex>) {
        *self.uploaded.lock().unwrap_or_else(PoisonError::into_inner) = sum;
    }

    async fn send_image(
        &self,
        image: &Image,
        stall: Duration,
        sent: Arc<dyn Fn(u64) + Send + Sync>,
    ) -> Result<Uploaded, ApplianceError> {
        let path = ["api", "upload", "firmware"];
        let asked = self.line.asked(Kind::Change, &Method::POST, &path);
        let local = |text: String| asked.fail(FailureClass::Local, text);
        let source = upload::open(image).await.map_err(local)?;
        let length = source.length;
        self.note_uploaded(None);
        let ticket = self.ticket(&asked, Fresh::JustNow).await?;
        let progress = Arc::new(Progress::new(Arc::clone(self.line.clock()), sent));
        let (form, reader) = upload::form(source, &progress).map_err(local)?;
        let outgoing = Outgoing {
            method: Method::POST,
            at: At::Path(&path),
            secrets: cookie_header(&ticket),
            payload: Payload::Form(form),
        };
        let incoming = self.line.exchange(&asked, outgoing, || progress.stalled(stall)).await;
        let outcome = self.settle(&asked, &ticket, incoming, wire::uploaded);
        // Once the connection has taken all of it, the reader is at its end.
        let sum = if progress.sent() >= length { reader.await.ok().flatten() } else { None };
        self.note_uploaded(sum.clone());
        if let Some(why) = progress.local_failure() {
            return Err(local(format!("the image {} cannot be read: {why}", image.path)));
        }
        if outcome.as_ref().is_err_and(|error| error.class == FailureClass::LoggedOut) {
            self.lose(&ticket);
        }
        let slot = outcome?;
        match sum {
            Some(sha256) => Ok(Uploaded { slot, sha256 }),
            None => Err(asked.fail(
                FailureClass::OutcomeUnknown,
                "the appliance answered before the whole image was sent",
            )),
        }
    }
}

/// `slot_id` is a number where the key is written as one (sps-api.md, row 4).
fn slot_id(key: &SlotKey) -> Value {
    match key.as_str().parse::<u64>() {
        Ok(number) if number.to_string() == key.as_str() => json!(number),
        _ => json!(key.as_str()),
    }
}

/// Whether the appliance says that there is no such record.
fn is_gone(error: &ApplianceError) -> bool {
    match error.error_type.as_deref() {
        Some("ResourceNotFound") => true,
        Some("NotFound") => error.status == Some(404),
        _ => false,
    }
}

fn done(_: &Value) -> Result<(), Fault> {
    Ok(())
}

fn report(answer: &Value) -> Result<TestReport, Fault> {
    Ok(wire::test_report(answer))
}

impl Appliance for SpsAppliance {
    fn setup(&self) -> Answer<'_, SetupStatus> {
        Box::pin(self.ask_setup())
    }

    fn info(&self) -> Answer<'_, Info> {
        Box::pin(self.call(self.get(&["api", "info"]), wire::info))
    }

    fn offered(&self) -> Answer<'_, Offered> {
        Box::pin(self.call(self.get(&["api", "firmware"]), wire::offered))
    }

    fn slots(&self) -> Answer<'_, Vec<Slot>> {
        Box::pin(self.call(self.get(&["api", "firmware", "slots"]), wire::slots))
    }

    fn slot<'a>(&'a self, key: &'a SlotKey) -> Answer<'a, Slot> {
        Box::pin(async move {
            let path = ["api", "firmware", "slots", key.as_str()];
            self.call(self.get(&path), |answer| wire::slot(answer, key)).await
        })
    }

    fn delete_slot<'a>(&'a self, key: &'a SlotKey) -> Answer<'a, ()> {
        Box::pin(async move {
            let path = ["api", "firmware", "slots", key.as_str()];
            self.call(self.change(Method::DELETE, &path, None), done).await
        })
    }

    fn start_fetch<'a>(&'a self, url: &'a str, sha256: &'a Sha256Hex) -> Answer<'a, FetchKey> {
        let body = json!({"url": url, "checksum": {"sha256": sha256.as_str()}});
        let call = self.change(Method::POST, &["api", "firmware", "fetch"], Some(body));
        Box::pin(async move {
            if words::hide_user_info(url) != url {
                let asked = self.line.asked(call.kind, &call.method, call.path);
                let text = "the URL of the image holds user information, which every administrator of the appliance could read";
                return Err(asked.fail(FailureClass::Local, text));
            }
            self.call(call, wire::fetch_key).await
        })
    }

    fn fetch_jobs(&self) -> Answer<'_, Vec<FetchJob>> {
        Box::pin(self.call(self.get(&["api", "firmware", "fetch"]), wire::fetch_jobs))
    }

    fn fetch_job<'a>(&'a self, key: &'a FetchKey) -> Answer<'a, Option<FetchJob>> {
        Box::pin(async move {
            let path = ["api", "firmware", "fetch", key.as_str()];
            match self.call(self.get(&path), |answer| wire::fetch_job(answer, key)).await {
                Ok(job) => Ok(Some(job)),
                Err(error) if is_gone(&error) => Ok(None),
                Err(error) => Err(error),
            }
        })
    }

    fn delete_fetch<'a>(&'a self, key: &'a FetchKey) -> Answer<'a, ()> {
        Box::pin(async move {
            let path = ["api", "firmware", "fetch", key.as_str()];
            match self.call(self.change(Method::DELETE, &path, None), done).await {
                Err(error) if is_gone(&error) => Ok(()),
                outcome => outcome,
            }
        })
    }

    fn upload<'a>(
        &'a self,
        image: &'a Image,
        stall: Duration,
        sent: Arc<dyn Fn(u64) + Send + Sync>,
    ) -> Answer<'a, Uploaded> {
        Box::pin(self.send_image(image, stall, sent))
    }

    fn uploaded_sum(&self) -> Option<Sha256Hex> {
        self.uploaded.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn test<'a>(&'a self, slot: &'a SlotKey, limit: Duration) -> Answer<'a, TestReport> {
        let call = Call {
            kind: Kind::Test,
            limit,
            ..self.change(
                Method::POST,
                &["api", "firmware", "test"],
                Some(json!({"slot_id": slot_id(slot)})),
            )
        };
        Box::pin(self.call(call, report))
    }

    fn upgrade<'a>(
        &'a self,
        slot: &'a SlotKey,
        message: &'a str,
        limit: Duration,
    ) -> Answer<'a, TestReport> {
        let body = json!({"slot_id": slot_id(slot), "message": message});
        let call = Call {
            kind: Kind::Upgrade,
            limit,
            fresh: Fresh::JustNow,
            ..self.change(Method::POST, &["api", "firmware", "upgrade"], Some(body))
        };
        Box::pin(self.call(call, report))
    }

    fn health(&self) -> Answer<'_, Health> {
        Box::pin(self.call(self.get(&["api", "health_status"]), wire::health))
    }

    fn cluster_status(&self) -> Answer<'_, Vec<ClusterNode>> {
        Box::pin(self.call(self.get(&["api", "cluster", "status"]), wire::cluster_status))
    }

    fn start_bundle(&self) -> Answer<'_, String> {
        Box::pin(self.make_bundle())
    }

    fn bundle_is_ready<'a>(&'a self, key: &'a str) -> Answer<'a, bool> {
        Box::pin(self.bundle_state(key))
    }

    fn download_bundle<'a>(&'a self, key: &'a str, into: &'a Path, limit: u64) -> Answer<'a, u64> {
        Box::pin(self.save_bundle(key, into, limit))
    }

    fn delete_bundle<'a>(&'a self, key: &'a str) -> Answer<'a, ()> {
        Box::pin(async move {
            match self.remove_bundle(key).await {
                Err(error) if is_gone(&error) => Ok(()),
                outcome => outcome,
            }
        })
    }

    fn leaf(&self) -> Option<Sha256Hex> {
        self.line.leaf()
    }
}
