//! The session of one appliance: one at a time, renewed by one caller while the others wait.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use http::header::SET_COOKIE;
use http::{HeaderMap, HeaderValue};
use model::failure::ApplianceError;
use model::ports::Clock;
use secrecy::SecretString;

/// A session lasts so long without a request, when the appliance does not say how long. The
/// appliance's setting has a sample of 10 minutes (sps-api.md, section 1, "Session life").
const IDLE: Duration = Duration::from_secs(600);

/// A long call starts with a session that is not older than this.
const JUST_NOW: Duration = Duration::from_secs(60);

/// Renewing a lost session once more within this time would be one login a poll.
const VAIN: Duration = Duration::from_secs(60);

/// How fresh a session must be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fresh {
    /// Not about to end.
    Alive,
    /// Made just now: for uploads and upgrades, which may outlast an older one.
    JustNow,
}

/// What a caller needs to use the session.
#[derive(Clone)]
pub(crate) struct Ticket {
    pub(crate) cookie: Arc<SecretString>,
    generation: u64,
}

struct Live {
    cookie: Arc<SecretString>,
    generation: u64,
    since: Duration,
    renew_at: Duration,
    /// The appliance says itself how long the session lasts.
    reported: bool,
}

#[derive(Default)]
struct State {
    live: Option<Live>,
    /// How many logins ended, well or not.
    ended: u64,
    /// How the last login ended, if not well.
    failure: Option<Box<ApplianceError>>,
    /// When a new login last did not cure a lost session.
    vain: Option<Duration>,
}

/// What a login brought.
pub(crate) struct LoggedIn {
    pub(crate) cookie: SecretString,
    pub(crate) remaining: Option<u64>,
}

/// The session and the single flight of its renewal.
pub(crate) struct Sessions {
    clock: Arc<dyn Clock>,
    state: Mutex<State>,
    flight: tokio::sync::Mutex<()>,
}

impl Sessions {
    pub(crate) fn new(clock: Arc<dyn Clock>) -> Self {
        Self { clock, state: Mutex::default(), flight: tokio::sync::Mutex::default() }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The session, made by `login` if there is none fit. Callers that wait while another one
    /// logs in share its result, be it a failure: fifty callers must not cost fifty refusals.
    pub(crate) async fn ticket<L>(&self, fresh: Fresh, login: L) -> Result<Ticket, ApplianceError>
    where
        L: AsyncFnOnce() -> Result<LoggedIn, ApplianceError>,
    {
        let seen = match self.fit(fresh) {
            Ok(ticket) => return Ok(ticket),
            Err(ended) => ended,
        };
        let _flight = self.flight.lock().await;
        let ended = match self.fit(fresh) {
            Ok(ticket) => return Ok(ticket),
            Err(ended) => ended,
        };
        if ended != seen
            && let Some(failure) = &self.state().failure
        {
            return Err((**failure).clone());
        }
        let outcome = login().await;
        let now = self.clock.monotonic();
        let mut state = self.state();
        state.ended += 1;
        match outcome {
            Ok(LoggedIn { cookie, remaining }) => {
                let live = Live {
                    cookie: Arc::new(cookie),
                    generation: state.ended,
                    since: now,
                    renew_at: renew_at(now, remaining),
                    reported: remaining.is_some(),
                };
                let ticket = live.ticket();
                state.live = Some(live);
                state.failure = None;
                Ok(ticket)
            }
            Err(error) => {
                state.failure = Some(Box::new(error.clone()));
                Err(error)
            }
        }
    }

    /// The session if it is fit, else how many logins have ended.
    fn fit(&self, fresh: Fresh) -> Result<Ticket, u64> {
        let now = self.clock.monotonic();
        let state = self.state();
        let fit = |live: &&Live| {
            now < live.renew_at
                && (fresh == Fresh::Alive || now.saturating_sub(live.since) <= JUST_NOW)
        };
        state.live.as_ref().filter(fit).map(Live::ticket).ok_or(state.ended)
    }

    /// A request of this session was answered well: it lives on, perhaps under a newer cookie.
    pub(crate) fn answered(
        &self,
        ticket: &Ticket,
        cookie: Option<SecretString>,
        remaining: Option<u64>,
    ) {
        let now = self.clock.monotonic();
        let mut state = self.state();
        let Some(live) = state.live.as_mut().filter(|live| live.generation == ticket.generation)
        else {
            return;
        };
        if let Some(cookie) = cookie {
            live.cookie = Arc::new(cookie);
        }
        live.reported |= remaining.is_some();
        if remaining.is_some() || !live.reported {
            live.renew_at = renew_at(now, remaining);
        }
    }

    /// The session of this ticket is over.
    pub(crate) fn lost(&self, ticket: &Ticket) {
        let mut state = self.state();
        if state.live.as_ref().is_some_and(|live| live.generation == ticket.generation) {
            state.live = None;
        }
    }

    /// A new login did not cure the loss. The session is kept: making another one with every poll
    /// would not help either.
    pub(crate) fn healed_in_vain(&self) {
        self.state().vain = Some(self.clock.monotonic());
    }

    /// Whether a lost session may be cured by a login now.
    pub(crate) fn may_heal(&self) -> bool {
        let now = self.clock.monotonic();
        self.state().vain.is_none_or(|vain| now.saturating_sub(vain) >= VAIN)
    }
}

impl Live {
    fn ticket(&self) -> Ticket {
        Ticket { cookie: Arc::clone(&self.cookie), generation: self.generation }
    }
}

/// A little before the session ends: in its last 30 s, or its last tenth if that is shorter.
fn renew_at(now: Duration, remaining: Option<u64>) -> Duration {
    let left = remaining.map_or(IDLE, |seconds| Duration::from_secs(seconds.min(1 << 32)));
    now + left - (left / 10).min(Duration::from_secs(30))
}

/// The newest `session_id` of an answer. Its attributes are passed over: the appliance's clock may
/// be off, so `Expires` says nothing (sps-api.md, row 21).
pub(crate) fn session_cookie(headers: &HeaderMap) -> Option<SecretString> {
    let value = |header: &HeaderValue| {
        let (name, value) = header.to_str().ok()?.split(';').next()?.split_once('=')?;
        let value = value.trim();
        let sane = !value.is_empty()
            && value.len() <= 4096
            && value.bytes().all(|b| b.is_ascii_graphic() && !matches!(b, b'"' | b',' | b'\\'));
        (name.trim() == "session_id" && sane).then(|| SecretString::from(value))
    };
    headers.get_all(SET_COOKIE).iter().filter_map(value).next_back()
}

#[cfg(test)]
mod tests {
    use super::*;
    use secrecy::ExposeSecret as _;

    #[test]
    fn the_newest_session_counts_whatever_its_dates() {
        let mut headers = HeaderMap::new();
        for value in [
            "session_id=aaaa; Path=/; expires=Thu, 1 Jan 1970 00:00:00 GMT",
            "other=1",
            "session_id=bbbb; Max-Age=0; HttpOnly",
            "session_id=; expires=Thu, 1 Jan 1970 00:00:00 GMT",
            "xsession_id=cccc",
        ] {
            headers.append(SET_COOKIE, HeaderValue::from_static(value));
        }
        let cookie = session_cookie(&headers).expect("a cookie");
        assert_eq!(cookie.expose_secret(), "bbbb");
    }
}
