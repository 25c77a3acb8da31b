//! What each call does (sps-api.md, sections 1 to 6).

use std::sync::{Arc, PoisonError, Weak};
use std::time::Duration;

use model::digest::Sha256Hex;
use model::names::SlotKey;
use model::observed::ClusterNode;

use super::calls::{Call, InfoReply, Message, Received, Refusal, Reply};
use super::jobs::Deletion;
use super::logins::{NoLogin, hex, uuid};
use super::state::{Phase, State, key};
use super::{Shared, SimAppliance};
use crate::ledger::{CallRecord, ChangedBy, LoginRecord, RestartBy};

/// What came of a call.
pub(super) enum Served {
    Answer {
        result: Result<Reply, Refusal>,
        remaining: u64,
    },
    /// The appliance went down meanwhile.
    Dropped,
}

const BUNDLE_TIME: Duration = Duration::from_secs(20);

impl SimAppliance {
    pub(super) async fn serve(
        &self,
        call: &Call,
        session: Option<&str>,
        source: &str,
        record: &mut CallRecord,
    ) -> Served {
        let (user, remaining, epoch) = {
            let (now, mut state) = self.now();
            let at = if let Call::Upload(received) = call { received.arrived } else { now };
            let idle = state.spec.quirks.session_idle;
            let user = session
                .and_then(|id| state.sessions.use_at(id, at, idle))
                .map(|session| Arc::clone(&session.user));
            (user, idle.as_secs(), state.epoch)
        };
        record.user.clone_from(&user);
        let remaining = if user.is_some() { remaining } else { 0 };
        let open = match call {
            Call::Setup | Call::LoginMethods | Call::Login { .. } | Call::Info => true,
            Call::Wrong { refusal, .. } => matches!(refusal.status, 401 | 411),
            _ => false,
        };
        if user.is_none() && !open {
            let result = Err(Refusal::unauthenticated(&record.path));
            return Served::Answer { result, remaining };
        }
        let result = match call {
            Call::Test { slot } => self.test(slot.as_ref(), epoch, record).await,
            Call::Upgrade { slot, message } => {
                self.upgrade(slot.as_ref(), message, epoch, record).await
            }
            Call::Upload(received) => self.upload(received, epoch, record).await,
            Call::ClusterStatus => Some(self.cluster_status()),
            Call::Login { user, password } => Some(self.login(user, password, source, record)),
            other => {
                let logged_in = user.is_some();
                Some(self.act(|state, shared, now| {
                    state.answer(shared, now, other, session.filter(|_| logged_in), record)
                }))
            }
        };
        match result {
            Some(result) => Served::Answer { result, remaining },
            None => Served::Dropped,
        }
    }

    fn login(
        &self,
        user: &str,
        password: &str,
        source: &str,
        record: &mut CallRecord,
    ) -> Result<Reply, Refusal> {
        let sum = Sha256Hex::of(format!("{user}\0{password}").as_bytes());
        let secret = u32::from_str_radix(&sum.as_str()[..8], 16).unwrap_or_default();
        record.user = Some(user.into());
        self.act(|state, _, now| {
            let known = state.spec.username.as_deref().is_none_or(|name| name == user);
            let right = known && !state.moods.password_changed && state.spec.password == password;
            let attempt = state.guard.attempt(source, user, right, now, &state.spec.quirks);
            let (accepted, blocked) = (attempt.is_ok(), attempt == Err(NoLogin::Blocked));
            record.login = Some(LoginRecord { accepted, blocked, secret });
            if accepted {
                let idle = state.spec.quirks.session_idle;
                let id = state.sessions.open(user, now, idle, &state.random);
                Ok(Reply::Session { id })
            } else {
                Err(Refusal::login())
            }
        })
    }

    /// Runs the firmware test of a slot. `None`: the appliance went down meanwhile.
    async fn test(
        &self,
        slot: Option<&SlotKey>,
        epoch: u64,
        record: &mut CallRecord,
    ) -> Option<Result<Reply, Refusal>> {
        let (planned, takes) = {
            let (_, mut state) = self.now();
            let planned = state.plan_test(slot, "/firmware/test", false, record);
            (planned, state.spec.timings.test)
        };
        let (index, outcome) = match planned {
            Ok(planned) => planned,
            Err(refusal) => return Some(Err(refusal)),
        };
        self.shared.clock.sleep(takes).await;
        let (_, state) = self.now();
        if !state.is_up() || state.epoch != epoch {
            return None;
        }
        Some(outcome.map(|summary| Reply::Tested { slot: key(index), summary }))
    }

    async fn upgrade(
        &self,
        slot: Option<&SlotKey>,
        message: &Message,
        epoch: u64,
        record: &mut CallRecord,
    ) -> Option<Result<Reply, Refusal>> {
        let (planned, takes) = {
            let (_, mut state) = self.now();
            let quirks = &state.spec.quirks;
            let (incomplete, required) = (quirks.incomplete_status, quirks.require_commit_log);
            if *message == Message::Absent {
                let mut missing = vec!["message"];
                if slot.is_none() {
                    missing.insert(0, "slot_id");
                }
                return Some(Err(Refusal::incomplete(incomplete, missing)));
            }
            let empty = matches!(message, Message::Null)
                || matches!(message, Message::Text(text) if text.trim().is_empty());
            if empty && required {
                let why = "The upgrade request did not contain a message";
                return Some(Err(Refusal::plain(400, "UpgradeMessageMissing", why)));
            }
            let planned = state.plan_test(slot, "/firmware/upgrade", true, record);
            (planned, state.spec.timings.upgrade_test)
        };
        let (index, outcome) = match planned {
            Ok(planned) => planned,
            Err(refusal) => return Some(Err(refusal)),
        };
        self.shared.clock.sleep(takes).await;
        self.act(|state, shared, now| {
            if !state.is_up() || state.epoch != epoch {
                return None;
            }
            Some(outcome.map(|summary| {
                record.changed = state.activate(shared, now, index);
                Reply::Upgraded { slot: key(index), summary }
            }))
        })
    }

    async fn upload(
        &self,
        received: &Received,
        epoch: u64,
        record: &mut CallRecord,
    ) -> Option<Result<Reply, Refusal>> {
        let Some(version) = &received.version else {
            let why = "The uploaded file is not a firmware image";
            return Some(Err(Refusal::plain(400, "InvalidFirmwareImage", why)));
        };
        let install = self.now().1.spec.timings.install;
        self.shared.clock.sleep(install).await;
        self.act(|state, shared, now| {
            if !state.is_up() || state.epoch != epoch {
                return None;
            }
            let Some(slot) = state.fill_empty_slot(shared, now, version) else {
                let why = "There is no empty firmware slot";
                return Some(Err(Refusal::plain(400, "NoEmptyFirmwareSlot", why)));
            };
            record.changed = true;
            record.slot = Some(slot.clone());
            record.version = Some(version.as_str().into());
            let empty = state.spec.slots.iter().filter(|slot| slot.is_none()).count();
            let slot = state.find(slot.as_str()).and_then(|index| state.slot_view(index))?;
            Some(Ok(Reply::Uploaded { slot, empty }))
        })
    }

    fn cluster_status(&self) -> Result<Reply, Refusal> {
        let spec = self.spec();
        let central = spec.roles.iter().any(|role| role == "central-management");
        let Some(cluster) = spec.cluster.filter(|_| central) else {
            let why = "This node does not manage a cluster";
            return Err(Refusal::plain(404, "NotFound", why));
        };
        let members: Vec<Arc<Self>> = {
            let clusters = self.shared.clusters.lock().unwrap_or_else(PoisonError::into_inner);
            clusters.get(&cluster).into_iter().flatten().filter_map(Weak::upgrade).collect()
        };
        let seen = self.shared.clock.now().to_string();
        let node = |member: &Arc<Self>| ClusterNode {
            key: node_key(member.name.as_str()),
            fqdn: Some(member.spec().hostname),
            last_seen: Some(seen.clone()),
            healthy: member.phase() == Phase::Up,
            sync_status: Some("n/a".to_owned()),
            warnings: Vec::new(),
            is_self: member.name == self.name,
        };
        Ok(Reply::Cluster(members.iter().map(node).collect()))
    }
}

/// A stable identifier of a cluster node.
fn node_key(name: &str) -> String {
    let sum = Sha256Hex::of(name.as_bytes());
    let seed = u64::from_str_radix(&sum.as_str()[..16], 16).unwrap_or_default();
    uuid(&model::random::Random::seeded(seed))
}

impl State {
    /// Checks a test's slot and decides how the test will end.
    fn plan_test(
        &mut self,
        slot: Option<&SlotKey>,
        mount_point: &'static str,
        in_upgrade: bool,
        record: &mut CallRecord,
    ) -> Result<(usize, Result<String, Refusal>), Refusal> {
        let quirks = &self.spec.quirks;
        let Some(slot) = slot else {
            return Err(Refusal::incomplete(quirks.incomplete_status, vec!["slot_id"]));
        };
        record.slot = Some(slot.clone());
        let held = self.find(slot.as_str()).and_then(|index| {
            self.spec.slots.get(index).cloned().flatten().map(|version| (index, version))
        });
        let Some((index, version)) = held else {
            let status = quirks.not_found_status;
            return Err(Refusal::not_found(status, mount_point, slot.as_str()));
        };
        record.version = Some(version.into());
        let outcome = match self.moods.take_test_failure(in_upgrade) {
            Some(summary) => Err(Refusal {
                status: quirks.test_failed_status,
                kind: "FirmwareTestFailed",
                message: "The firmware test failed".into(),
                details: super::Details::Test { exit_code: 1, summary },
            }),
            None if self.spec.ha => Ok("HA check started\nHA check finished".to_owned()),
            None => Ok("Upgrade policy check started\nUpgrade policy check finished".to_owned()),
        };
        Ok((index, outcome))
    }

    /// Does what the upgrade call does after its test; whether anything changed.
    fn activate(&mut self, shared: &Shared, now: Duration, index: usize) -> bool {
        if self.moods.take_ignored() {
            return false;
        }
        if self.armed == Some(index) && !self.spec.quirks.upgrade_repeats {
            return false;
        }
        self.arm(shared, now, index);
        if self.reboots() {
            self.restart(shared, now, RestartBy::Upgrade);
        }
        true
    }

    fn answer(
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
            Call::Health => Reply::Health { spec: self.spec.health.clone(), ha_other: 0 },
            Call::Transaction => Reply::Transaction,
            Call::WebInterface => {
                Reply::WebInterface { minutes: self.spec.quirks.session_idle.as_secs() / 60 }
            }
            Call::StartBundle => {
                let key = hex(&self.random, 16);
                self.bundles.insert(key.clone(), now + BUNDLE_TIME);
                Reply::Bundle { key, finished: false }
            }
            Call::Bundle(key) | Call::DownloadBundle(key) | Call::DeleteBundle(key) => {
                let missing =
                    || Refusal::not_found(not_found, "/troubleshooting/support-bundle", key);
                let finished = *self.bundles.get(key).ok_or_else(missing)? <= now;
                match call {
                    Call::DownloadBundle(_) if finished => Reply::BundleContent,
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
