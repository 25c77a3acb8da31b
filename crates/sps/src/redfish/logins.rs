//! What this process knows of passwords at Redfish services: they lock accounts out too, so a
//! password that was refused is not sent there again, and one that has not worked yet is tried by
//! one request at a time.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use model::names::CredentialId;
use model::ports::Fingerprint;
use tokio::sync::OwnedMutexGuard;

/// All services.
#[derive(Default)]
pub(super) struct Logins {
    places: Mutex<HashMap<(String, CredentialId), Arc<Place>>>,
}

/// A login definition at one service.
#[derive(Default)]
struct Place {
    known: Mutex<Known>,
    trying: Arc<tokio::sync::Mutex<()>>,
}

/// What is known of a password; a changed one is another one.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Known {
    #[default]
    Nothing,
    Works(Fingerprint),
    Refused(Fingerprint),
}

/// An admitted login. Dropped, nothing was learnt.
pub(super) struct Attempt {
    print: Fingerprint,
    place: Arc<Place>,
    /// Held while nobody knows whether the password works.
    _trying: Option<OwnedMutexGuard<()>>,
}

impl Logins {
    /// Whether the password may be sent; waits while it is tried by another request.
    pub(super) async fn admit(
        &self,
        host: &str,
        credential: CredentialId,
        print: Fingerprint,
    ) -> Option<Attempt> {
        let place = {
            let mut places = self.places.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(places.entry((host.to_owned(), credential)).or_default())
        };
        let trying = Arc::clone(&place.trying).lock_owned().await;
        let known = *place.known();
        match known {
            Known::Refused(refused) if refused == print => None,
            Known::Works(works) if works == print => Some(Attempt { print, place, _trying: None }),
            _ => Some(Attempt { print, place, _trying: Some(trying) }),
        }
    }
}

impl Place {
    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Attempt {
    /// The service took the password, or refused it.
    pub(super) fn settle(self, accepted: bool) {
        let print = self.print;
        *self.place.known() = if accepted { Known::Works(print) } else { Known::Refused(print) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_refused_password_is_known_by_service_and_content() {
        let logins = Logins::default();
        let (one, two) = (Fingerprint(1), Fingerprint(2));
        let admit = |host, print| logins.admit(host, CredentialId::new("c"), print);
        admit("a", one).await.expect("unknown").settle(false);
        assert!(admit("a", one).await.is_none());
        admit("b", one).await.expect("another service").settle(true);
        admit("a", two).await.expect("another password").settle(true);
        let (first, second) = (admit("a", two).await, admit("a", two).await);
        assert!(first.is_some() && second.is_some(), "one that works is sent at once");
        second.expect("admitted").settle(false);
        assert!(admit("a", two).await.is_none(), "it was changed meanwhile");
    }

    #[tokio::test]
    async fn an_unproven_password_is_tried_by_one_request() {
        let logins = Logins::default();
        let admit = || logins.admit("a", CredentialId::new("c"), Fingerprint(1));
        let first = admit().await.expect("unknown");
        let mut second = std::pin::pin!(admit());
        assert!(futures::poll!(&mut second).is_pending());
        first.settle(false);
        assert!(second.await.is_none());
    }
}
