//! Which passwords may be sent (contract: semantics.md, last paragraph; SPS locks accounts and
//! addresses out: sps-api.md, section 1, "Brute-force guard").
//!
//! One refusal is one hold, remembered in the journal. A login definition that has never worked is
//! tried on one appliance at a time, and after three refusals on no further one.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures::future::BoxFuture;
use model::event::{ApplianceChange, LoginMemory};
use model::names::{ApplianceName, CredentialId};
use model::ports::{Fingerprint, LoginAttempt, LoginGate, Withheld};
use tokio::sync::Notify;

/// After so many appliances have refused a login definition it is tried on no further one.
const REFUSALS: usize = 3;

/// Where the gate tells what it learnt.
pub type Learnt = Arc<dyn Fn(ApplianceName, ApplianceChange) + Send + Sync>;

/// The gate before every login of a rollout.
pub struct Logins {
    shared: Arc<Shared>,
}

struct Shared {
    state: Mutex<State>,
    changed: Notify,
    learnt: Learnt,
}

#[derive(Default)]
struct State {
    refused: BTreeMap<ApplianceName, BTreeMap<CredentialId, Fingerprint>>,
    proven: BTreeSet<CredentialId>,
    trying: BTreeSet<CredentialId>,
}

impl Logins {
    /// A gate that remembers what the journal remembers and reports what it learns.
    #[must_use]
    pub fn new(memory: &LoginMemory, learnt: Learnt) -> Self {
        let refused = memory
            .refused
            .iter()
            .map(|(name, list)| (name.clone(), list.iter().cloned().collect()));
        let state = State {
            refused: refused.collect(),
            proven: memory.proven.iter().cloned().collect(),
            trying: BTreeSet::new(),
        };
        Self {
            shared: Arc::new(Shared { state: Mutex::new(state), changed: Notify::new(), learnt }),
        }
    }

    /// A person said `retry`: what this appliance refused may be sent to it again.
    pub fn forgive(&self, appliance: &ApplianceName) {
        self.shared.lock().refused.remove(appliance);
        self.shared.changed.notify_waiters();
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

enum Gate {
    Open { trial: bool },
    Closed(Withheld),
    Busy,
}

impl State {
    fn ask(
        &mut self,
        appliance: &ApplianceName,
        credential: &CredentialId,
        fingerprint: Fingerprint,
    ) -> Gate {
        let here = self.refused.get(appliance).and_then(|refused| refused.get(credential));
        if here == Some(&fingerprint) {
            return Gate::Closed(Withheld::RefusedHere);
        }
        if self.proven.contains(credential) {
            return Gate::Open { trial: false };
        }
        let elsewhere: Vec<ApplianceName> = self
            .refused
            .iter()
            // A corrected password begins with a clean record.
            .filter(|(name, refused)| {
                *name != appliance && refused.get(credential) == Some(&fingerprint)
            })
            .map(|(name, _)| name.clone())
            .collect();
        if elsewhere.len() >= REFUSALS {
            return Gate::Closed(Withheld::RefusedElsewhere(elsewhere));
        }
        if self.trying.insert(credential.clone()) { Gate::Open { trial: true } } else { Gate::Busy }
    }
}

impl LoginGate for Logins {
    fn admit<'a>(
        &'a self,
        appliance: &'a ApplianceName,
        credential: &'a CredentialId,
        fingerprint: Fingerprint,
    ) -> BoxFuture<'a, Result<Box<dyn LoginAttempt>, Withheld>> {
        Box::pin(async move {
            loop {
                let changed = self.shared.changed.notified();
                tokio::pin!(changed);
                changed.as_mut().enable();
                let gate = self.shared.lock().ask(appliance, credential, fingerprint);
                match gate {
                    Gate::Closed(withheld) => return Err(withheld),
                    Gate::Open { trial } => {
                        let attempt = Attempt {
                            shared: Arc::clone(&self.shared),
                            appliance: appliance.clone(),
                            credential: credential.clone(),
                            fingerprint,
                            trial,
                        };
                        return Ok(Box::new(attempt) as Box<dyn LoginAttempt>);
                    }
                    Gate::Busy => changed.await,
                }
            }
        })
    }
}

struct Attempt {
    shared: Arc<Shared>,
    appliance: ApplianceName,
    credential: CredentialId,
    fingerprint: Fingerprint,
    trial: bool,
}

impl LoginAttempt for Attempt {
    fn settle(self: Box<Self>, accepted: bool) {
        let news = {
            let mut state = self.shared.lock();
            if accepted {
                let refused = state.refused.get_mut(&self.appliance);
                let forgiven = refused.is_some_and(|list| list.remove(&self.credential).is_some());
                state.proven.insert(self.credential.clone()) || forgiven
            } else {
                let refused = state.refused.entry(self.appliance.clone()).or_default();
                refused.insert(self.credential.clone(), self.fingerprint);
                true
            }
        };
        if news {
            let change = ApplianceChange::Login {
                credential: self.credential.clone(),
                fingerprint: self.fingerprint,
                accepted,
            };
            (self.shared.learnt)(self.appliance.clone(), change);
        }
    }
}

impl Drop for Attempt {
    fn drop(&mut self) {
        if self.trial {
            self.shared.lock().trying.remove(&self.credential);
        }
        self.shared.changed.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::FutureExt;

    fn name(text: &str) -> ApplianceName {
        ApplianceName::new(text).expect("a name")
    }

    #[test]
    fn an_unproven_password_is_tried_one_at_a_time_and_on_three_at_most() {
        let said = Arc::new(Mutex::new(Vec::new()));
        let heard = Arc::clone(&said);
        let learnt: Learnt =
            Arc::new(move |name, change| heard.lock().expect("lock").push((name, change)));
        let gate = Logins::new(&LoginMemory::default(), learnt);
        let credential = CredentialId::new("u with credential p");
        let (a, b) = (name("a"), name("b"));
        let ask = |who: &ApplianceName| gate.admit(who, &credential, Fingerprint(1)).now_or_never();

        let first = ask(&a).expect("at once").expect("admitted");
        assert!(ask(&b).is_none(), "b waits while a is tried");
        first.settle(false);
        assert_eq!(ask(&a).expect("at once").err(), Some(Withheld::RefusedHere));
        let changed = gate.admit(&a, &credential, Fingerprint(2)).now_or_never();
        assert!(matches!(changed, Some(Ok(_))), "changed content may be sent");
        drop(changed);
        for other in ["b", "c"] {
            ask(&name(other)).expect("at once").expect("admitted").settle(false);
        }
        let fourth = ask(&name("d")).expect("at once").err();
        assert!(matches!(fourth, Some(Withheld::RefusedElsewhere(who)) if who.len() == 3));
        gate.forgive(&a);
        ask(&a).expect("at once").expect("admitted").settle(true);
        let both = (ask(&name("d")), ask(&name("e")));
        assert!(matches!(both, (Some(Ok(_)), Some(Ok(_)))), "proven passwords need no turn");
        assert_eq!(said.lock().expect("lock").len(), 4, "three refusals and one success");
    }
}
