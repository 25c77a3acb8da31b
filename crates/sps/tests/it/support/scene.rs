//! What the scripted appliance knows and does.

use std::collections::BTreeSet;
use std::sync::{Mutex, MutexGuard};

use base64::Engine as _;
use tokio::sync::Notify;

use super::server::Heard;

/// What is done with a request.
#[derive(Debug, Clone)]
pub(crate) enum Do {
    Reply {
        status: u16,
        headers: Vec<(&'static str, String)>,
        body: Vec<u8>,
    },
    /// These bytes, then an orderly end.
    Raw(Vec<u8>),
    /// These bytes, then no more, without an end of TLS.
    CutOff(Vec<u8>),
    Close,
    Reset,
    Hang,
    Endless,
}

/// A JSON answer.
pub(crate) fn json(status: u16, body: &str) -> Do {
    let headers = vec![("Content-Type", "application/json".to_owned())];
    Do::Reply { status, headers, body: body.as_bytes().to_vec() }
}

/// An error of the API.
pub(crate) fn api_error(status: u16, kind: &str) -> Do {
    json(status, &format!(r#"{{"error":{{"type":"{kind}","message":"m","details":{{}}}}}}"#))
}

impl Do {
    pub(crate) fn with(mut self, name: &'static str, value: &str) -> Self {
        if let Self::Reply { headers, .. } = &mut self {
            headers.push((name, value.to_owned()));
        }
        self
    }
}

#[derive(Default)]
struct State {
    heard: Vec<Heard>,
    once: Vec<(String, Do)>,
    always: Vec<(String, Do)>,
    sessions: BTreeSet<String>,
    made: usize,
    remaining: Option<u64>,
    stop_reading: Option<usize>,
}

/// A little appliance: it knows one user and a few endpoints. Answers can be set before it thinks.
#[derive(Default)]
pub(crate) struct Scene(Mutex<State>, Notify);

/// The user that it knows.
pub(crate) const USER: &str = "fleet";
/// Its password.
pub(crate) const PASSWORD: &str = "pässwörd-日本-7!:x";

impl Scene {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().expect("no panic before")
    }

    /// The next request that is so is answered so.
    pub(crate) fn once(&self, line: &str, todo: Do) {
        self.state().once.push((line.to_owned(), todo));
    }

    /// Each request that is so is answered so.
    pub(crate) fn always(&self, line: &str, todo: Do) {
        self.state().always.push((line.to_owned(), todo));
    }

    /// All sessions are over.
    pub(crate) fn forget_sessions(&self) {
        self.state().sessions.clear();
    }

    pub(crate) fn remaining(&self, seconds: u64) {
        self.state().remaining = Some(seconds);
    }

    /// Bodies are read no further than this.
    pub(crate) fn stop_reading_after(&self, bytes: usize) {
        self.state().stop_reading = Some(bytes);
    }

    pub(crate) fn read_at_most(&self, _: &Heard) -> usize {
        self.state().stop_reading.unwrap_or(usize::MAX)
    }

    /// Everything that arrived.
    pub(crate) fn heard(&self) -> Vec<Heard> {
        self.state().heard.clone()
    }

    pub(crate) fn count(&self, line: &str) -> usize {
        self.heard().iter().filter(|heard| heard.line() == line).count()
    }

    pub(crate) fn logins(&self) -> usize {
        self.heard().iter().filter(|heard| heard.path.starts_with("/api/authentication")).count()
    }

    pub(crate) fn last(&self, line: &str) -> Heard {
        let heard = self.heard().into_iter().rfind(|heard| heard.line() == line);
        heard.unwrap_or_else(|| panic!("no `{line}` arrived"))
    }

    pub(crate) fn note(&self, heard: Heard) {
        self.state().heard.push(heard);
        self.1.notify_waiters();
    }

    /// Waits until so many such requests have arrived.
    pub(crate) async fn arrives(&self, line: &str, times: usize) {
        loop {
            let noted = self.1.notified();
            if self.count(line) >= times {
                return;
            }
            noted.await;
        }
    }

    pub(crate) fn hear(&self, heard: Heard) -> Do {
        self.note(heard.clone());
        let mut state = self.state();
        let line = heard.line();
        if let Some(at) = state.once.iter().position(|(known, _)| *known == line) {
            return state.once.remove(at).1;
        }
        if let Some((_, todo)) = state.always.iter().find(|(known, _)| *known == line) {
            return todo.clone();
        }
        state.think(&heard)
    }
}

impl State {
    fn think(&mut self, heard: &Heard) -> Do {
        let path = heard.path.split('?').next().unwrap_or_default();
        if path == "/api/setup" {
            return json(200, r#"{"status":"completed","meta":{"remaining_seconds":0}}"#);
        }
        if path == "/api/authentication" {
            return self.log_in(heard);
        }
        let cookie = heard.header("cookie").and_then(|cookie| cookie.strip_prefix("session_id="));
        if !cookie.is_some_and(|cookie| self.sessions.contains(cookie)) {
            if path == "/api/info" {
                return json(200, r#"{"key":"about_info","body":{"hostname":"sps"},"meta":{}}"#);
            }
            return api_error(401, "Unauthenticated");
        }
        let meta = match self.remaining {
            Some(left) => format!(r#""meta":{{"remaining_seconds":{left}}}"#),
            None => r#""meta":{}"#.to_owned(),
        };
        let body = match (heard.method.as_str(), path) {
            ("GET", "/api/info") => {
                r#""key":"about_info","body":{"firmware_version":"7.5.0","hostname":"sps"}"#
            }
            ("GET", "/api/firmware/slots" | "/api/firmware/fetch" | "/api/firmware") => {
                r#""items":[]"#
            }
            ("POST", "/api/firmware/test" | "/api/firmware/upgrade") => {
                r#""key":"2","body":{"test_summary":"HA check started\nHA check finished"}"#
            }
            ("POST", "/api/firmware/fetch") => {
                return json(202, &format!(r#"{{"key":"job-1",{meta}}}"#));
            }
            ("POST", "/api/upload/firmware") => {
                r#""key":"2","body":{"version":"7.5.1","current":false,"after_reboot":true}"#
            }
            ("DELETE", _) => r#""key":"x""#,
            _ => return api_error(404, "ResourceNotFound"),
        };
        json(200, &format!("{{{body},{meta}}}"))
    }

    fn log_in(&mut self, heard: &Heard) -> Do {
        let pair = format!("{USER}:{PASSWORD}");
        let wanted = base64::engine::general_purpose::STANDARD.encode(pair);
        if heard.header("authorization") != Some(&format!("Basic {wanted}")) {
            return api_error(401, "AuthenticationFailure");
        }
        self.made += 1;
        let session = format!("5e551017{:032}", self.made);
        self.sessions.insert(session.clone());
        let meta = self.remaining.map(|left| format!("\"remaining_seconds\":{left}"));
        json(200, &format!(r#"{{"meta":{{{}}}}}"#, meta.unwrap_or_default())).with(
            "Set-Cookie",
            &format!("session_id={session}; Path=/; expires=Thu, 1 Jan 1970 00:00:00 GMT"),
        )
    }
}
