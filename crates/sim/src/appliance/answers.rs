//! What the calls do that take no time.

use std::sync::Arc;
use std::time::Duration;

use model::names::SlotKey;

use super::calls::{Call, InfoReply, Refusal, Reply};
use super::jobs::Deletion;
use super::logins::hex;
use super::state::State;
use super::{Shared, SimAppliance};
use crate::ledger::{CallRecord, ChangedBy};

impl State {
    pub(super) fn answer(
        &mut self,
        shared: &Shared,
        now: Duration,
        call: &Call,
        session: Option<&str>,
        record: &mut CallRecord,
    ) -> Result<Reply, Refusal> {
        let not_found = self.spec.quirks.not_found_status;
        Ok(match call {
            Call::Setup => Reply::Setup { completed: true },
            Call::LoginMethods => Reply::LoginMethods,
            Call::Info => {
                record.version = session.map(|_| self.running.as_str().into());
                Reply::Info(InfoReply {
                    hostname: self.spec.hostname.clone(),
                    inside: session.map(|_| (self.running.clone(), self.spec.roles.clone())),
                })
            }
            Call::UserInfo => {
                let idle = self.spec.quirks.session_idle;
                let session = session
                    .and_then(|id| self.sessions.use_at(id, now, idle))
                    .ok_or_else(|| Refusal::unauthenticated(&record.path))?;
                let (user, token) = (Arc::clone(&session.user), session.token.clone());
                Reply::UserInfo { user, token, new_shape: self.has_new_user_info() }
            }
            Call::Firmware => Reply::Firmware { fetch: self.spec.quirks.fetch_offered },
            Call::Slots => Reply::Slots(self.slot_views()),
            Call::Slot(wanted) => {
                record.slot = Some(wanted.clone());
                let view =
                    self.find(wanted.as_str()).and_then(|index| self.slot_view(index)).ok_or_else(
                        || Refusal::not_found(not_found, "/firmware/slots", wanted.as_str()),
                    )?;
                record.version =
                    view.content.as_ref().map(|content| content.version.as_str().into());
                Reply::Slot(view)
            }
            Call::DeleteSlot(wanted) => self.delete_slot(shared, now, wanted, record)?,
            Call::StartFetch { .. }
            | Call::FetchJobs
            | Call::FetchJob(_)
            | Call::DeleteFetch(_) => self.fetch_call(shared, now, call, record)?,
            Call::Health => {
                // Files of the other node can only be counted while it is there (inferred:
                // sps-api.md, section 5 names the field as evidence of a pair).
                let ha_other = self.is_whole().then_some(0);
                Reply::Health { spec: self.spec.health.clone(), ha_other }
            }
            Call::Transaction => Reply::Transaction,
            Call::WebInterface => {
                Reply::WebInterface { minutes: self.spec.quirks.session_idle.as_secs() / 60 }
            }
            Call::StartBundle => {
                let key = hex(&self.random, 16);
                self.bundles.insert(key.clone(), now + self.spec.quirks.bundle_takes);
                Reply::Bundle { key, finished: false }
            }
            Call::Bundle(key) | Call::DownloadBundle(key) | Call::DeleteBundle(key) => {
                let missing =
                    || Refusal::not_found(not_found, "/troubleshooting/support-bundle", key);
                let finished = *self.bundles.get(key).ok_or_else(missing)? <= now;
                match call {
                    Call::DownloadBundle(_) if finished => Reply::BundleContent(self.bundle(key)),
                    Call::DownloadBundle(_) => return Err(missing()),
                    Call::DeleteBundle(_) => {
                        self.bundles.remove(key);
                        Reply::Deleted
                    }
                    _ => Reply::Bundle { key: key.clone(), finished },
                }
            }
            Call::Wrong { refusal, .. } => return Err(refusal.clone()),
            Call::Login { .. }
            | Call::Upload(_)
            | Call::Test { .. }
            | Call::Upgrade { .. }
            | Call::ClusterStatus => {
                return Err(Refusal::plain(500, "InternalError", "this call is served elsewhere"));
            }
        })
    }

    /// What is in a support bundle.
    fn bundle(&self, key: &str) -> bytes::Bytes {
        let Self { spec, running, .. } = self;
        let mut text =
            format!("simulated support bundle {key} of {}, firmware {running}\n", spec.hostname);
        while text.len() < spec.quirks.bundle_bytes {
            text.push('.');
        }
        text.into()
    }

    fn delete_slot(
        &mut self,
        shared: &Shared,
        now: Duration,
        wanted: &SlotKey,
        record: &mut CallRecord,
    ) -> Result<Reply, Refusal> {
        record.slot = Some(wanted.clone());
        let status = self.spec.quirks.not_found_status;
        let Some(index) = self.find(wanted.as_str()) else {
            return Err(Refusal::not_found(status, "/firmware/slots", wanted.as_str()));
        };
        if index == self.spec.current || self.armed == Some(index) {
            let why =
                "The current firmware and the one selected for the next boot cannot be deleted";
            return Err(Refusal::plain(400, "FirmwareSlotInUse", why));
        }
        if self.spec.slots.get(index).is_none_or(Option::is_none) {
            return Err(Refusal::not_found(status, "/firmware/slots", wanted.as_str()));
        }
        self.set_slot(shared, now, index, None, ChangedBy::Call);
        record.changed = true;
        Ok(Reply::Deleted)
    }

    fn fetch_call(
        &mut self,
        shared: &Shared,
        now: Duration,
        call: &Call,
        record: &mut CallRecord,
    ) -> Result<Reply, Refusal> {
        if !self.spec.quirks.fetch_offered {
            return Err(Refusal::plain(404, "NotFound", "There is no such resource"));
        }
        let status = self.spec.quirks.not_found_status;
        let mount_point = "/firmware/fetch";
        match call {
            Call::StartFetch { url, sha256 } => {
                let incomplete = self.spec.quirks.incomplete_status;
                let (Some(url), Some(sha256)) = (url, sha256) else {
                    let mut missing = Vec::new();
                    if url.is_none() {
                        missing.push("url");
                    }
                    if sha256.is_none() {
                        missing.push("checksum.sha256");
                    }
                    return Err(Refusal::incomplete(incomplete, missing));
                };
                let Ok(sha256) = sha256 else {
                    let why = "The checksum is not a SHA-256 sum";
                    return Err(Refusal::plain(400, "InvalidChecksum", why));
                };
                let by = ChangedBy::Call;
                let job = self.queue_fetch(shared, now, url, sha256.clone(), by);
                record.changed = true;
                record.job = Some(job.clone());
                Ok(Reply::FetchStarted(job))
            }
            Call::FetchJob(job) => {
                record.job = Some(job.clone());
                let missing = || Refusal::not_found(status, mount_point, job.as_str());
                self.job_view(shared, job).map(Reply::Job).ok_or_else(missing)
            }
            Call::DeleteFetch(job) => {
                record.job = Some(job.clone());
                match self.delete_fetch(shared, now, job) {
                    Deletion::Cancelled | Deletion::Removed => {
                        record.changed = true;
                        Ok(Reply::Deleted)
                    }
                    Deletion::TooLate => {
                        let why = "The installation of the firmware cannot be cancelled";
                        Err(Refusal::plain(400, "FirmwareInstallationRunning", why))
                    }
                    Deletion::NoSuch => Err(Refusal::not_found(status, mount_point, job.as_str())),
                }
            }
            _ => Ok(Reply::Jobs(self.job_views(shared))),
        }
    }

    /// Whether `user_info` has the newer shape: from 7.4 on.
    fn has_new_user_info(&self) -> bool {
        self.spec.quirks.new_user_info.unwrap_or_else(|| at_least(&self.running, &[7, 4]))
    }

    /// Whether browser-like clients need a token for changes: from 7.5 on.
    pub(super) fn wants_token(&self) -> bool {
        self.spec.quirks.x_token.unwrap_or_else(|| at_least(&self.running, &[7, 5]))
    }
}

fn at_least(version: &str, least: &[u32]) -> bool {
    let parts: Vec<u32> = version.split('.').map_while(|part| part.parse().ok()).collect();
    parts.as_slice() >= least
}

impl SimAppliance {
    /// The `X-Token` that a browser-like client must send for changes with this session; `None`
    /// where none is asked for.
    pub(crate) fn token_of(&self, session: Option<&str>) -> Option<Option<String>> {
        let (now, mut state) = self.now();
        if !state.wants_token() {
            return None;
        }
        let idle = state.spec.quirks.session_idle;
        let token = session
            .and_then(|id| state.sessions.use_at(id, now, idle))
            .map(|session| session.token.clone());
        Some(token)
    }
}
