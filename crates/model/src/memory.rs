//! The journal in memory: for tests in virtual time and for simulated rollouts. It forgets
//! everything when it is dropped, and is otherwise as strict as the one on disk.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use futures::future::BoxFuture;

use crate::event::{
    ApplianceChange, Change, Draft, Event, LoginMemory, RolloutHead, Seq, StepDuration,
};
use crate::names::{ApplianceName, RolloutId};
use crate::ports::{Journal, JournalError};
use crate::run::Run;

/// An append-only log in memory.
#[derive(Debug, Default)]
pub struct MemoryJournal {
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    events: Vec<Event>,
    runs: BTreeMap<RolloutId, Run>,
    logins: LoginMemory,
    durations: Vec<StepDuration>,
    hostnames: BTreeMap<ApplianceName, String>,
    broken: Option<String>,
}

impl MemoryJournal {
    /// A journal that already holds these events, as after a crash.
    ///
    /// # Errors
    /// When one of them cannot happen.
    pub fn with_events(events: &[Event]) -> Result<Self, JournalError> {
        let mut inner = Inner::default();
        for event in events {
            inner.apply(event.clone())?;
        }
        Ok(Self { inner: Mutex::new(inner) })
    }

    /// All events of all rollouts.
    #[must_use]
    pub fn all(&self) -> Vec<Event> {
        self.lock().events.clone()
    }

    /// Makes every append fail with this text, as a full disk does; `None` mends it.
    pub fn break_with(&self, detail: Option<&str>) {
        self.lock().broken = detail.map(str::to_owned);
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self, batch: &[Draft]) -> Result<Vec<Event>, JournalError> {
        let mut guard = self.lock();
        if let Some(detail) = &guard.broken {
            return Err(error(false, detail.clone()));
        }
        let before = guard.events.len();
        let first = guard.events.last().map_or(1, |event| event.seq + 1);
        let mut failed = None;
        for (seq, draft) in (first..).zip(batch) {
            let event = Event {
                seq,
                rollout: draft.rollout.clone(),
                at: draft.at,
                change: draft.change.clone(),
            };
            if let Err(error) = guard.apply(event) {
                failed = Some(error);
                break;
            }
        }
        match failed {
            None => Ok(guard.events.get(before..).unwrap_or_default().to_vec()),
            // A batch is one transaction, all of it or nothing: what was there is folded anew.
            Some(error) => {
                let kept = guard.events.drain(..before).collect::<Vec<_>>();
                *guard = Inner::default();
                for event in kept {
                    guard.apply(event)?;
                }
                Err(error)
            }
        }
    }
}

impl Inner {
    fn apply(&mut self, event: Event) -> Result<(), JournalError> {
        if let Some(took) = fold(&mut self.runs, &event)? {
            self.durations.push(took);
        }
        self.logins.apply(&event.change);
        if let Some((name, hostname)) = hostname_of(&event.change) {
            self.hostnames.insert(name.clone(), hostname.to_owned());
        }
        self.events.push(event);
        Ok(())
    }
}

/// Folds an event into the run it belongs to. Both journals use this.
///
/// # Errors
/// When the event cannot happen there.
pub fn fold(
    runs: &mut BTreeMap<RolloutId, Run>,
    event: &Event,
) -> Result<Option<StepDuration>, JournalError> {
    let result = match runs.get_mut(&event.rollout) {
        Some(run) => run.apply(event),
        None => Run::begin(event).map(|run| {
            runs.insert(event.rollout.clone(), run);
            None
        }),
    };
    result.map_err(|illegal| error(true, illegal.to_string()))
}

/// The host name that an event tells of. Both journals use this, so that they remember alike.
#[must_use]
pub fn hostname_of(change: &Change) -> Option<(&ApplianceName, &str)> {
    let Change::Appliance(name, ApplianceChange::Preflighted(baseline)) = change else {
        return None;
    };
    baseline.hostname.as_deref().map(|hostname| (name, hostname))
}

fn error(illegal: bool, detail: String) -> JournalError {
    JournalError { illegal, doing: "writing to the journal".to_owned(), detail }
}

impl Journal for MemoryJournal {
    fn append<'a>(&'a self, batch: &'a [Draft]) -> BoxFuture<'a, Result<Vec<Event>, JournalError>> {
        let result = if batch.is_empty() { Ok(Vec::new()) } else { self.write(batch) };
        Box::pin(std::future::ready(result))
    }

    fn events<'a>(
        &'a self,
        rollout: &'a RolloutId,
        after: Seq,
        limit: usize,
    ) -> BoxFuture<'a, Result<Vec<Event>, JournalError>> {
        let guard = self.lock();
        let wanted = guard.events.iter().filter(|e| e.rollout == *rollout && e.seq > after);
        let events = wanted.take(limit).cloned().collect();
        Box::pin(std::future::ready(Ok(events)))
    }

    fn rollouts(&self) -> BoxFuture<'_, Result<Vec<RolloutHead>, JournalError>> {
        let guard = self.lock();
        let mut heads: Vec<RolloutHead> = guard.runs.values().map(head).collect();
        heads.sort_by(|a, b| (a.accepted_at, &a.id).cmp(&(b.accepted_at, &b.id)));
        Box::pin(std::future::ready(Ok(heads)))
    }

    fn logins(&self) -> BoxFuture<'_, Result<LoginMemory, JournalError>> {
        Box::pin(std::future::ready(Ok(self.lock().logins.clone())))
    }

    fn durations(&self) -> BoxFuture<'_, Result<Vec<StepDuration>, JournalError>> {
        Box::pin(std::future::ready(Ok(self.lock().durations.clone())))
    }

    fn hostnames(&self) -> BoxFuture<'_, Result<BTreeMap<ApplianceName, String>, JournalError>> {
        Box::pin(std::future::ready(Ok(self.lock().hostnames.clone())))
    }
}

/// A run in brief.
#[must_use]
pub fn head(run: &Run) -> RolloutHead {
    RolloutHead {
        id: run.id.clone(),
        name: run.plan.rollout.clone(),
        accepted_at: run.accepted_at,
        ended: run.has_ended(),
    }
}
