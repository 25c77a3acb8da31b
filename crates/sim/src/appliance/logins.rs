//! Sessions and the brute-force guard (sps-api.md, section 1).

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use model::random::Random;

use crate::spec::Quirks;

/// A login's session.
#[derive(Debug)]
pub(super) struct Session {
    pub(super) user: Arc<str>,
    pub(super) token: String,
    /// Counts sessions as they are opened.
    number: u64,
    opened: Duration,
    last_used: Duration,
}

/// All sessions of an appliance.
#[derive(Debug, Default)]
pub(super) struct Sessions(HashMap<String, Session>, u64);

impl Sessions {
    /// Opens a session; those that have run out are forgotten.
    pub(super) fn open(
        &mut self,
        user: &str,
        now: Duration,
        idle: Duration,
        random: &Random,
    ) -> String {
        self.0.retain(|_, session| now.saturating_sub(session.last_used) <= idle);
        let id = hex(random, 40);
        self.1 += 1;
        let session = Session {
            user: user.into(),
            token: hex(random, 32),
            number: self.1,
            opened: now,
            last_used: now,
        };
        self.0.insert(id.clone(), session);
        id
    }

    /// The session of this cookie, if it has not run out; using it starts its idle time anew.
    pub(super) fn use_at(&mut self, id: &str, now: Duration, idle: Duration) -> Option<&Session> {
        let session = self.0.get_mut(id)?;
        if now.saturating_sub(session.last_used) > idle {
            self.0.remove(id);
            return None;
        }
        session.last_used = session.last_used.max(now);
        self.0.get(id)
    }

    /// Gives a session a new name when cookies slide; the old one lives on until it is too old
    /// itself, used or not.
    pub(super) fn renew(
        &mut self,
        id: &str,
        now: Duration,
        idle: Duration,
        random: &Random,
    ) -> Option<String> {
        let session = self.0.get(id)?;
        if now.saturating_sub(session.opened) > idle {
            self.0.remove(id);
            return None;
        }
        let user = Arc::clone(&session.user);
        Some(self.open(&user, now, idle, random))
    }

    pub(super) fn keep_newest(&mut self) {
        let newest = self.0.values().map(|session| session.number).max();
        self.0.retain(|_, session| Some(session.number) == newest);
    }

    pub(super) fn end_all(&mut self) {
        self.0.clear();
    }
}

/// So many random hexadecimal digits.
pub(super) fn hex(random: &Random, digits: usize) -> String {
    let mut text = String::with_capacity(digits + 16);
    while text.len() < digits {
        text.push_str(&format!("{:016x}", random.next_u64()));
    }
    text.truncate(digits);
    text
}

/// A random identifier in the form of a UUID.
pub(super) fn uuid(random: &Random) -> String {
    let digits = hex(random, 32);
    let part = |from: usize, to: usize| digits.get(from..to).unwrap_or_default();
    format!("{}-{}-4{}-a{}-{}", part(0, 8), part(8, 12), part(13, 16), part(17, 20), part(20, 32))
}

/// Why a login is refused. The caller is told the same for both.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum NoLogin {
    Wrong,
    Blocked,
}

/// Counts failed logins, and blocks a source, or a user whose failures come from several sources.
#[derive(Debug, Default)]
pub(super) struct Guard {
    failures: Vec<(Duration, String, String)>,
    sources: HashMap<String, Duration>,
    users: HashMap<String, Duration>,
}

impl Guard {
    pub(super) fn attempt(
        &mut self,
        source: &str,
        user: &str,
        right: bool,
        now: Duration,
        quirks: &Quirks,
    ) -> Result<(), NoLogin> {
        let holds = |until: Option<&Duration>| until.is_some_and(|until| now < *until);
        if holds(self.sources.get(source)) || holds(self.users.get(user)) {
            return Err(NoLogin::Blocked);
        }
        if right {
            return Ok(());
        }
        self.failures.retain(|(at, _, _)| now.saturating_sub(*at) <= quirks.block_for);
        self.failures.push((now, source.to_owned(), user.to_owned()));
        let limit = quirks.block_after.max(1) as usize;
        let until = now + quirks.block_for;
        let by_source = self.failures.iter().filter(|(_, from, _)| from == source).count();
        let by_user = self.failures.iter().filter(|(_, _, name)| name == user).count();
        if by_source >= limit {
            self.failures.retain(|(_, from, _)| from != source);
            self.sources.insert(source.to_owned(), until);
        } else if by_user >= limit {
            self.failures.retain(|(_, _, name)| name != user);
            self.users.insert(user.to_owned(), until);
        }
        Err(NoLogin::Wrong)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn twenty_failures_block_the_source_for_ten_minutes_even_for_the_right_password() {
        let (mut guard, quirks) = (Guard::default(), Quirks::default());
        for n in 0..20 {
            let name = format!("user{n}");
            assert_eq!(guard.attempt("ip", &name, false, at(n), &quirks), Err(NoLogin::Wrong));
        }
        assert_eq!(guard.attempt("ip", "admin", true, at(20), &quirks), Err(NoLogin::Blocked));
        assert_eq!(guard.attempt("other", "admin", true, at(20), &quirks), Ok(()));
        for second in 21..600 {
            assert!(guard.attempt("ip", "admin", false, at(second), &quirks).is_err());
        }
        let after = at(19) + quirks.block_for;
        assert_eq!(
            guard.attempt("ip", "admin", true, after, &quirks),
            Ok(()),
            "refused attempts must not extend the block"
        );
    }

    #[test]
    fn failures_of_one_user_from_several_sources_block_the_user_everywhere() {
        let (mut guard, quirks) = (Guard::default(), Quirks::default());
        for n in 0..20 {
            let source = format!("ip{n}");
            assert!(guard.attempt(&source, "admin", false, at(1), &quirks).is_err());
        }
        assert_eq!(guard.attempt("fresh", "admin", true, at(2), &quirks), Err(NoLogin::Blocked));
        assert_eq!(guard.attempt("fresh", "other", true, at(2), &quirks), Ok(()));
    }

    #[test]
    fn sessions_end_when_idle_and_live_when_used() {
        let (mut sessions, random) = (Sessions::default(), Random::seeded(1));
        let id = sessions.open("u", at(0), at(600), &random);
        assert_eq!(id.len(), 40);
        assert!(sessions.use_at(&id, at(600), at(600)).is_some());
        assert!(sessions.use_at(&id, at(1200), at(600)).is_some());
        assert!(sessions.use_at(&id, at(1801), at(600)).is_none());
        assert!(sessions.use_at(&id, at(1801), at(600)).is_none());
    }

    #[test]
    fn identifiers_have_the_form_of_a_uuid() {
        let uuid = uuid(&Random::seeded(3));
        let lengths: Vec<usize> = uuid.split('-').map(str::len).collect();
        assert_eq!(lengths, [8, 4, 4, 4, 12]);
    }
}
