//! What the program answers to those who call.

use futures::future::BoxFuture;
use model::RolloutId;
use model::decision::{Actor, Decision};
use model::event::Seq;

use crate::wire::StatusView;

/// A decision that is in the journal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decided {
    /// The rollout that was meant.
    pub rollout: RolloutId,
    /// The event that records it.
    pub seq: Seq,
}

/// Why a request is not done, in words for the person who asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// There is no such rollout here.
    #[error("{0}")]
    NotFound(String),
    /// It cannot be decided now.
    #[error("{0}")]
    Refused(String),
    /// It cannot be done just now; the same request may work later.
    #[error("{0}")]
    Unavailable(String),
}

/// The program behind the socket.
pub trait Service: Send + Sync + 'static {
    /// All rollouts that have not ended.
    fn status(&self) -> BoxFuture<'_, Result<StatusView, Refusal>>;
    /// One rollout, by its name (the latest) or the beginning of its id.
    fn rollout<'a>(&'a self, wanted: &'a str) -> BoxFuture<'a, Result<StatusView, Refusal>>;
    /// Takes a decision: it is in the journal when this returns. Called once for each key, and
    /// run to its end also when the caller goes away meanwhile.
    fn decide<'a>(
        &'a self,
        wanted: &'a str,
        decision: Decision,
        reason: String,
        actor: Actor,
    ) -> BoxFuture<'a, Result<Decided, Refusal>>;
}
