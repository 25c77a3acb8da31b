//! One request from arrival to answer: phase, faults, the act, the ledger.

use std::sync::Arc;
use std::time::Duration;

use super::calls::{Call, Refusal, Reply};
use super::state::{Phase, State};
use super::{SimAppliance, serve::Served};
use crate::faults::Fault;
use crate::ledger::{CallRecord, What};

/// What the caller hears.
#[derive(Debug)]
pub(crate) enum Heard {
    /// The connection was refused.
    NoConnection,
    /// The page shown while booting, or `status: booting` for `/api/setup`.
    BootPage { status: u16, setup: bool },
    /// The API's answer.
    Answer { result: Result<Reply, Refusal>, visit: Visit, pace: Pace },
    /// A status by a fault.
    Status { code: u16, kind: Option<String>, message: Option<String>, retry_after: Option<u64> },
    /// A page in HTML by a fault.
    Html { code: u16 },
    /// A body by a fault.
    Body { code: u16, text: String },
    /// The connection is closed without an answer.
    Closed,
    /// The connection is reset.
    Reset,
}

/// What is said of the caller's session.
#[derive(Debug, Clone, Default)]
pub(crate) struct Visit {
    /// What is left of it, in seconds; 0 without one.
    pub(crate) remaining: u64,
    /// Its new cookie.
    pub(crate) cookie: Option<String>,
}

/// How an answer is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Pace {
    Whole,
    Slow { bytes_per_second: u64 },
    CutAfter { bytes: usize },
}

pub(super) fn unsigned(duration: jiff::SignedDuration) -> Duration {
    Duration::try_from(duration).unwrap_or_default()
}

impl SimAppliance {
    /// Answers a request. When the caller hangs up, a slow act goes on all the same.
    pub(crate) async fn exchange(
        self: &Arc<Self>,
        call: Call,
        session: Option<&str>,
        source: &str,
        bytes_in: u64,
    ) -> Heard {
        let began = self.shared.clock.monotonic();
        let mut record = CallRecord {
            method: call.method(),
            path: call.path(),
            bytes_in,
            ..CallRecord::default()
        };
        let (phase, page, fault) = {
            let (now, mut state) = self.now();
            let page = state.boot_page(&call, now);
            let State { faults, random, phase, .. } = &mut *state;
            let fault = if *phase == Phase::Up {
                faults.strike(&record.method, &record.path, random)
            } else {
                None
            };
            (*phase, page, fault)
        };
        match phase {
            Phase::Down => return Heard::NoConnection,
            Phase::Booting => return self.boot_page(began, record, page),
            Phase::Up => {}
        }
        if let Some(fault) = &fault {
            record.fault = Some(fault.code().into());
        }
        let acts = fault.as_ref().is_none_or(Fault::acts);
        if !acts {
            return self.without_act(began, record, fault, page).await;
        }
        let (me, session, source) =
            (Arc::clone(self), session.map(str::to_owned), source.to_owned());
        let slow = call.is_slow() || matches!(fault, Some(Fault::Delay { .. }));
        let serving = async move {
            if let Some(Fault::Delay { r#for }) = &fault {
                me.shared.clock.sleep(unsigned(*r#for)).await;
            }
            let served = me.serve(&call, session.as_deref(), &source, &mut record).await;
            me.finish(began, record, served, fault).await
        };
        if slow {
            self.shared.tasks.spawn(serving).await.unwrap_or(Heard::Closed)
        } else {
            serving.await
        }
    }

    fn boot_page(&self, began: Duration, mut record: CallRecord, page: (u16, bool)) -> Heard {
        let (status, setup) = page;
        record.status = Some(if setup { 200 } else { status });
        record.fault = Some("boot_page".into());
        self.write(began, record);
        Heard::BootPage { status, setup }
    }

    async fn without_act(
        &self,
        began: Duration,
        mut record: CallRecord,
        fault: Option<Fault>,
        page: (u16, bool),
    ) -> Heard {
        let heard = match fault {
            Some(Fault::Booting) => Heard::BootPage { status: page.0, setup: page.1 },
            Some(Fault::Reset) => Heard::Reset,
            Some(Fault::Hang { r#for, .. }) => {
                self.write(began, record);
                self.shared.clock.sleep(unsigned(r#for)).await;
                return Heard::Closed;
            }
            Some(fault) => answer_of(fault),
            None => Heard::Closed,
        };
        record.status = heard.status();
        self.write(began, record);
        heard
    }

    async fn finish(
        &self,
        began: Duration,
        mut record: CallRecord,
        served: Option<Served>,
        fault: Option<Fault>,
    ) -> Heard {
        let Some(Served { result, visit }) = served else {
            self.write(began, record);
            return Heard::Closed;
        };
        if let Err(refusal) = &result {
            record.error_type = Some(refusal.kind.into());
        }
        let whole = |pace| Heard::Answer { result, visit, pace };
        let (heard, silence) = match fault {
            None | Some(Fault::Delay { .. }) => (whole(Pace::Whole), None),
            Some(Fault::Slow { bytes_per_second }) => {
                (whole(Pace::Slow { bytes_per_second: bytes_per_second.max(1) }), None)
            }
            Some(Fault::Truncate { after }) => (whole(Pace::CutAfter { bytes: after }), None),
            Some(Fault::Hang { r#for, .. }) => (Heard::Closed, Some(unsigned(r#for))),
            Some(Fault::ReplyLost) => (Heard::Closed, None),
            Some(fault) => (answer_of(fault), None),
        };
        record.status = heard.status();
        let (method, path) = (record.method.clone(), record.path.clone());
        self.write(began, record);
        self.act(|state, shared, now| {
            for act in state.moods.take_after_call(&method, &path) {
                state.admin(shared, now, &act);
            }
        });
        if let Some(silence) = silence {
            self.shared.clock.sleep(silence).await;
        }
        heard
    }

    fn write(&self, began: Duration, record: CallRecord) {
        let ended = self.shared.clock.monotonic();
        self.shared.ledger.record(&self.name, began, ended, What::Call(Box::new(record)));
    }
}

impl State {
    /// What the boot page is like for this call just now: its status, and whether `/api/setup`
    /// speaks for itself.
    fn boot_page(&self, call: &Call, now: Duration) -> (u16, bool) {
        let page = self.spec.quirks.boot_page;
        let late = self.phase != Phase::Booting || self.boots_late(now);
        (page.status, matches!(call, Call::Setup) && page.setup_says_booting && late)
    }
}

pub(super) fn answer_of(fault: Fault) -> Heard {
    match fault {
        Fault::Status { code, r#type, message, retry_after, .. } => {
            Heard::Status { code, kind: r#type, message, retry_after }
        }
        Fault::Html { code, .. } => Heard::Html { code },
        Fault::Body { code, text, .. } => Heard::Body { code, text },
        _ => Heard::Closed,
    }
}

impl Heard {
    fn status(&self) -> Option<u16> {
        match self {
            Self::NoConnection | Self::Closed | Self::Reset => None,
            Self::BootPage { status, setup } => Some(if *setup { 200 } else { *status }),
            Self::Answer { result: Ok(Reply::FetchStarted(_)), .. } => Some(202),
            Self::Answer { result: Ok(_), .. } => Some(200),
            Self::Answer { result: Err(refusal), .. } => Some(refusal.status),
            Self::Status { code, .. } | Self::Html { code } | Self::Body { code, .. } => {
                Some(*code)
            }
        }
    }
}
