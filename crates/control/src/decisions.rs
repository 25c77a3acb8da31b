//! Decisions that come over the socket: each is taken once, however often it is asked for.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};

use model::decision::Actor;
use tokio::sync::OnceCell;
use tokio_util::task::TaskTracker;

use crate::service::{Decided, Refusal, Service};
use crate::wire::DecisionRequest;

/// How many keys are remembered.
const REMEMBERED: usize = 1024;

/// A key belongs to the user who sent it.
type Key = (u32, String);

/// Hands decisions to the service.
pub(crate) struct Decisions {
    service: Arc<dyn Service>,
    seen: Mutex<Seen>,
    tasks: TaskTracker,
}

#[derive(Default)]
struct Seen {
    order: VecDeque<Key>,
    entries: HashMap<Key, Arc<Entry>>,
}

struct Entry {
    wanted: String,
    request: DecisionRequest,
    decided: OnceCell<Decided>,
}

/// A decision that was taken, now or before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Taken {
    pub(crate) decided: Decided,
    pub(crate) repeated: bool,
}

/// Why a decision was not taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum NotTaken {
    /// The service refused.
    Refused(Refusal),
    /// The key was used for something else.
    KeyReused,
    /// The service broke off: whether it was taken is not known.
    Broken,
}

impl Decisions {
    pub(crate) fn new(service: Arc<dyn Service>) -> Self {
        Self { service, seen: Mutex::default(), tasks: TaskTracker::new() }
    }

    /// Takes a decision, or says what became of it when its key was seen before. A caller who
    /// goes away does not stop it half way.
    pub(crate) async fn take(
        &self,
        wanted: String,
        request: DecisionRequest,
        actor: Actor,
    ) -> Result<Taken, NotTaken> {
        let entry = self.entry(wanted, request, actor.uid)?;
        let service = Arc::clone(&self.service);
        let task = self.tasks.spawn(async move {
            let mut repeated = true;
            let decide = || {
                repeated = false;
                let DecisionRequest { decision, reason, .. } = entry.request.clone();
                service.decide(&entry.wanted, decision, reason, actor)
            };
            // A refusal changed nothing, so it is not remembered: asking again may succeed.
            let decided = entry.decided.get_or_try_init(decide).await?.clone();
            Ok(Taken { decided, repeated })
        });
        match task.await {
            Ok(Ok(taken)) => Ok(taken),
            Ok(Err(refusal)) => Err(NotTaken::Refused(refusal)),
            Err(_) => Err(NotTaken::Broken),
        }
    }

    fn entry(
        &self,
        wanted: String,
        request: DecisionRequest,
        uid: u32,
    ) -> Result<Arc<Entry>, NotTaken> {
        let key = request.key.clone();
        let new = Arc::new(Entry { wanted, request, decided: OnceCell::new() });
        let Some(key) = key else { return Ok(new) };
        let key = (uid, key);
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = seen.entries.get(&key) {
            let same = known.wanted == new.wanted && known.request == new.request;
            return if same { Ok(Arc::clone(known)) } else { Err(NotTaken::KeyReused) };
        }
        if seen.order.len() >= REMEMBERED
            && let Some(oldest) = seen.order.pop_front()
        {
            seen.entries.remove(&oldest);
        }
        seen.order.push_back(key.clone());
        seen.entries.insert(key, Arc::clone(&new));
        Ok(new)
    }

    /// Waits for the decisions that are being taken.
    pub(crate) async fn finish(&self) {
        self.tasks.close();
        self.tasks.wait().await;
    }
}

#[cfg(test)]
mod tests {
    use futures::future::BoxFuture;
    use model::RolloutId;
    use model::decision::Decision;

    use super::*;
    use crate::wire::StatusView;

    /// Counts, and refuses every `abort`.
    #[derive(Default)]
    struct Counting(Mutex<u64>);

    impl Service for Counting {
        fn status(&self) -> BoxFuture<'_, Result<StatusView, Refusal>> {
            Box::pin(async { Ok(StatusView::with(Vec::new())) })
        }
        fn rollout<'a>(&'a self, _: &'a str) -> BoxFuture<'a, Result<StatusView, Refusal>> {
            self.status()
        }
        fn decide<'a>(
            &'a self,
            wanted: &'a str,
            decision: Decision,
            _: String,
            _: Actor,
        ) -> BoxFuture<'a, Result<Decided, Refusal>> {
            Box::pin(async move {
                tokio::task::yield_now().await;
                let mut count = self.0.lock().expect("a count");
                *count += 1;
                if decision == Decision::Abort {
                    return Err(Refusal::Refused("no".to_owned()));
                }
                Ok(Decided { rollout: RolloutId::new(wanted), seq: *count })
            })
        }
    }

    fn actor(uid: u32) -> Actor {
        Actor { uid, name: "ops".to_owned(), pid: 1 }
    }

    fn resume(key: &str) -> DecisionRequest {
        DecisionRequest::new(Decision::Resume, "", key)
    }

    #[tokio::test]
    async fn a_key_is_one_decision_of_one_user() {
        let decisions = Decisions::new(Arc::new(Counting::default()));
        let take = async |request, uid| decisions.take("r".to_owned(), request, actor(uid)).await;
        let (one, two) = tokio::join!(take(resume("a"), 1), take(resume("a"), 1));
        let (one, two) = (one.expect("taken"), two.expect("taken"));
        assert_eq!((one.decided.seq, two.decided.seq), (1, 1));
        assert_ne!(one.repeated, two.repeated, "one of both took it");
        let later = take(resume("a"), 1).await.expect("taken");
        assert_eq!((later.decided.seq, later.repeated), (1, true));
        assert_eq!(take(resume("a"), 2).await.expect("another user's").decided.seq, 2);
        assert_eq!(take(resume("b"), 1).await.expect("another key").decided.seq, 3);
        let other = DecisionRequest::new(Decision::Pause { all: false, now: false }, "", "a");
        assert_eq!(take(other, 1).await, Err(NotTaken::KeyReused));
        let without = DecisionRequest { key: None, ..resume("") };
        assert_eq!(take(without.clone(), 1).await.expect("taken").decided.seq, 4);
        assert_eq!(take(without, 1).await.expect("taken").decided.seq, 5);
    }

    #[tokio::test]
    async fn a_refusal_is_not_remembered() {
        let service = Arc::new(Counting::default());
        let decisions = Decisions::new(Arc::clone(&service) as Arc<dyn Service>);
        for _ in 0..2 {
            let abort = DecisionRequest::new(Decision::Abort, "", "a");
            let refused = decisions.take("r".to_owned(), abort, actor(1)).await;
            assert!(matches!(refused, Err(NotTaken::Refused(_))));
        }
        assert_eq!(*service.0.lock().expect("a count"), 2);
    }

    #[tokio::test]
    async fn a_caller_who_goes_away_does_not_stop_it_half_way() {
        let service = Arc::new(Counting::default());
        let decisions = Decisions::new(Arc::clone(&service) as Arc<dyn Service>);
        {
            let take = decisions.take("r".to_owned(), resume("a"), actor(1));
            let mut take = std::pin::pin!(take);
            assert!(futures::poll!(&mut take).is_pending());
        }
        decisions.finish().await;
        assert_eq!(*service.0.lock().expect("a count"), 1);
    }

    #[tokio::test]
    async fn what_is_remembered_is_bounded() {
        let decisions = Decisions::new(Arc::new(Counting::default()));
        for number in 0..REMEMBERED + 10 {
            let request = resume(&format!("key-{number}"));
            decisions.take("r".to_owned(), request, actor(1)).await.expect("taken");
        }
        let seen = decisions.seen.lock().expect("seen");
        assert_eq!((seen.order.len(), seen.entries.len()), (REMEMBERED, REMEMBERED));
        assert!(!seen.entries.contains_key(&(1, "key-9".to_owned())));
        assert!(seen.entries.contains_key(&(1, "key-10".to_owned())));
    }
}
