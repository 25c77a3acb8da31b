//! What each call does (sps-api.md, sections 1 to 6).

use std::sync::Arc;
use std::time::Duration;

use model::digest::Sha256Hex;
use model::names::SlotKey;

use super::calls::{Call, Message, Received, Refusal, Reply};
use super::exchange::Visit;
use super::logins::NoLogin;
use super::state::State;
use super::{Shared, SimAppliance};
use crate::ledger::{CallRecord, LoginRecord, RestartBy};

/// What came of a call.
pub(super) struct Served {
    pub(super) result: Result<Reply, Refusal>,
    pub(super) visit: Visit,
}

impl SimAppliance {
    /// Serves a call. `None`: the appliance went down meanwhile.
    pub(super) async fn serve(
        &self,
        call: &Call,
        session: Option<&str>,
        source: &str,
        record: &mut CallRecord,
    ) -> Option<Served> {
        let (user, visit, epoch) = {
            let (now, mut state) = self.now();
            let at = match call {
                Call::Upload(received) if state.spec.quirks.upload_is_activity => received.arrived,
                _ => now,
            };
            let (user, visit) = state.visit(session, at);
            (user, visit, state.epoch)
        };
        record.user.clone_from(&user);
        let open = match call {
            Call::Setup | Call::LoginMethods | Call::Login { .. } | Call::Info => true,
            Call::Wrong { refusal, .. } => matches!(refusal.status, 401 | 411),
            _ => false,
        };
        if user.is_none() && !open {
            let result = Err(Refusal::unauthenticated(&record.path));
            return Some(Served { result, visit });
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
        result.map(|result| Served { result, visit })
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
        Some(outcome.map(|summary| Reply::Tested { slot: state.key(index), summary }))
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
                Reply::Upgraded { slot: state.key(index), summary }
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
}

impl State {
    /// Whose session this is, and what is said of it.
    fn visit(&mut self, session: Option<&str>, at: Duration) -> (Option<Arc<str>>, Visit) {
        let Self { sessions, spec, random, .. } = self;
        let idle = spec.quirks.session_idle;
        let Some(id) = session else { return (None, Visit::default()) };
        let Some(user) = sessions.use_at(id, at, idle).map(|session| Arc::clone(&session.user))
        else {
            return (None, Visit::default());
        };
        let mut visit = Visit { remaining: idle.as_secs(), cookie: None };
        if spec.quirks.sliding_cookie {
            visit.cookie = sessions.renew(id, at, idle, random);
            if visit.cookie.is_none() {
                return (None, Visit::default());
            }
        }
        (Some(user), visit)
    }

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
            // A pair that is not whole fails here (sps-api.md, section 3, "Test").
            None if !self.is_whole() => Err(Refusal {
                status: quirks.test_failed_status,
                kind: "FirmwareTestFailed",
                message: "The firmware test failed".into(),
                details: super::Details::Test {
                    exit_code: 1,
                    summary: "HA check started\nHA check failed".to_owned(),
                },
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
}
