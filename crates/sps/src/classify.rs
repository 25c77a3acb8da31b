//! What an answer, or none, means: `error.type` first, the class of the HTTP status second
//! (sps-api.md, "Open uncertainties", row 16).

use std::time::Duration;

use model::failure::{ApplianceError, FailureClass};
use serde_json::Value;

use crate::words;

/// What kind of request was made; it decides what a failure means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Changes nothing; may be repeated.
    Read,
    /// The firmware test: a POST that changes nothing and may be repeated.
    Test,
    /// `GET /api/authentication`: a refused password must be told from everything else.
    Login,
    /// Changes something; never repeated by the client.
    Change,
    /// The upgrade call: nothing but a proven refusal counts as *not done*.
    Upgrade,
}

impl Kind {
    /// Whether the request may have changed something once it was sent.
    pub(crate) fn changes(self) -> bool {
        matches!(self, Self::Change | Self::Upgrade)
    }

    /// A connection that broke, or an answer that did not come in time, after sending.
    pub(crate) fn lost(self) -> FailureClass {
        if self.changes() { FailureClass::OutcomeUnknown } else { FailureClass::Transient }
    }

    /// A connection that came about but broke before the request could be sent over it.
    pub(crate) fn unsent(self) -> FailureClass {
        if self.changes() { FailureClass::Unreachable } else { FailureClass::Transient }
    }

    /// An answer of the API that lacks something.
    pub(crate) fn malformed(self) -> FailureClass {
        if self.changes() { FailureClass::OutcomeUnknown } else { FailureClass::Malformed }
    }
}

/// The request that was made, for messages.
#[derive(Debug, Clone)]
pub(crate) struct Asked {
    pub(crate) kind: Kind,
    /// Such as `POST /api/firmware/test`.
    pub(crate) request: String,
    /// Address and port.
    pub(crate) host: String,
}

impl Asked {
    /// A failure without an answer.
    pub(crate) fn fail(&self, class: FailureClass, detail: impl Into<String>) -> ApplianceError {
        ApplianceError {
            class,
            request: self.request.clone(),
            host: self.host.clone(),
            detail: detail.into(),
            status: None,
            error_type: None,
            test_summary: None,
            retry_after: None,
        }
    }
}

/// An answer, read to its end.
#[derive(Debug, Clone, Default)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) content_type: Option<String>,
    /// Clamped to 1 s to 60 s.
    pub(crate) retry_after: Option<Duration>,
    pub(crate) body: bytes::Bytes,
}

/// What the body of an answer is.
#[derive(Debug, Clone, PartialEq)]
enum Shape {
    /// A JSON object without `error`.
    Object(Value),
    /// A JSON object with `error`: an error of the API.
    Error(Said),
    /// Nothing.
    Empty,
    /// The beginning of a JSON object.
    CutOff,
    /// Anything else, such as the page shown while booting.
    Foreign,
}

/// What an error of the API says.
#[derive(Debug, Clone, Default, PartialEq)]
struct Said {
    kind: Option<String>,
    message: Option<String>,
    details: Option<Value>,
}

/// Reads an answer: its JSON object, or what its failure means.
pub(crate) fn judge(asked: &Asked, answer: &Answer) -> Result<Value, ApplianceError> {
    let shape = shape(&answer.body);
    let success = (200..300).contains(&answer.status);
    let said = match shape {
        Shape::Object(value) if success => return Ok(value),
        // A success without a body is what a DELETE may well answer; of everything else the body
        // is needed.
        Shape::Empty if success && asked.request.starts_with("DELETE ") => return Ok(Value::Null),
        Shape::Error(ref said) => Some(said),
        _ => None,
    };
    let error_type = said.and_then(|said| said.kind.clone());
    let class = match said {
        Some(_) => of_error(asked.kind, answer.status, error_type.as_deref()),
        None => of_foreign(asked.kind, answer.status, shape == Shape::CutOff),
    };
    let detail = match said {
        Some(said) => in_its_words(said, answer.status),
        None => of_what_kind(&shape, answer),
    };
    let summary = said.and_then(|said| said.details.as_ref()?.get("test_summary")?.as_str());
    Err(ApplianceError {
        status: Some(answer.status),
        error_type: error_type.map(|kind| words::tame(&kind, 80)),
        test_summary: summary.map(|text| words::tame_lines(text, 4000)),
        retry_after: answer.retry_after,
        ..asked.fail(class, detail)
    })
}

/// The class of an error of the API.
fn of_error(kind: Kind, status: u16, error_type: Option<&str>) -> FailureClass {
    use FailureClass::{
        CredentialsRefused, LoggedOut, NotAnApi, OutcomeUnknown, Refused, TestFailed, Transient,
    };
    if kind == Kind::Login {
        return match status {
            401 => CredentialsRefused,
            408 | 429 | 500.. => Transient,
            _ => Refused,
        };
    }
    match error_type {
        Some("FirmwareTestFailed") => return TestFailed,
        Some("Unauthenticated") => return LoggedOut,
        Some(
            "Unauthorized"
            | "ResourceNotFound"
            | "NotFound"
            | "IncompleteRequestBodyError"
            | "UpgradeMessageMissing",
        ) => return Refused,
        _ => {}
    }
    match status {
        401 => LoggedOut,
        408 | 429 | 500.. => kind.lost(),
        // A named refusal is one, whatever its name; that another administrator may hold the
        // configuration (409, 423; row 17) the caller sees from the status.
        403 | 411 => Refused,
        400..500 if error_type.is_some() => Refused,
        _ if kind == Kind::Upgrade => OutcomeUnknown,
        200..300 | 400..500 => Refused,
        _ if kind.changes() => OutcomeUnknown,
        _ => NotAnApi,
    }
}

/// The class of an answer that is not of the API.
fn of_foreign(kind: Kind, status: u16, cut_off: bool) -> FailureClass {
    use FailureClass::{
        CredentialsRefused, LoggedOut, NotAnApi, OutcomeUnknown, Refused, Transient,
    };
    match (kind, status) {
        // Whatever the body: a password that may have been refused is not sent again.
        (Kind::Login, 401) => CredentialsRefused,
        (Kind::Login, 403) => Refused,
        (_, 401) => LoggedOut,
        (_, 408 | 429 | 500..) => kind.lost(),
        (_, 411 | 413) => Refused,
        (Kind::Change | Kind::Upgrade, 403) => Refused,
        (Kind::Change | Kind::Upgrade, _) => OutcomeUnknown,
        (_, 200..300) if cut_off => Transient,
        _ => NotAnApi,
    }
}

fn shape(body: &[u8]) -> Shape {
    let text = body.trim_ascii();
    if text.is_empty() {
        return Shape::Empty;
    }
    match serde_json::from_slice::<Value>(text) {
        Ok(value) => match value.get("error") {
            None | Some(Value::Null) if value.is_object() => Shape::Object(value),
            Some(error) => Shape::Error(said(error)),
            None => Shape::Foreign,
        },
        Err(fault) if fault.is_eof() && text.starts_with(b"{") => Shape::CutOff,
        Err(_) => Shape::Foreign,
    }
}

fn said(error: &Value) -> Said {
    let text = |name: &str| error.get(name).and_then(Value::as_str).map(str::to_owned);
    Said {
        kind: text("type"),
        message: text("message").or_else(|| error.as_str().map(str::to_owned)),
        details: error.get("details").cloned(),
    }
}

fn in_its_words(said: &Said, status: u16) -> String {
    let mut detail = match &said.message {
        Some(message) => words::tame(&words::hide_user_info(message), 500),
        None => "an error without a message".to_owned(),
    };
    let mut notes: Vec<String> = Vec::new();
    notes.push(match &said.kind {
        Some(kind) => words::tame(kind, 80),
        None => format!("HTTP {status}"),
    });
    if let Some(Value::Object(details)) = &said.details {
        let shown = details.iter().filter(|(name, _)| *name != "test_summary");
        notes.extend(shown.map(|(name, value)| match value {
            Value::String(text) => format!("{name}: {text}"),
            other => format!("{name}: {other}"),
        }));
    }
    detail.push_str(" (");
    detail.push_str(&words::tame(&words::hide_user_info(&notes.join(", ")), 400));
    detail.push(')');
    detail
}

fn of_what_kind(shape: &Shape, answer: &Answer) -> String {
    let status = answer.status;
    match (shape, status) {
        (_, 300..400) => format!("a redirect instead of an answer of the API (HTTP {status})"),
        (Shape::Empty, _) => format!("an empty answer (HTTP {status})"),
        (Shape::CutOff, _) => format!("the answer was cut off (HTTP {status})"),
        _ => {
            let kind = answer.content_type.as_deref().unwrap_or("no content type");
            let kind = words::tame(kind, 60);
            format!("an answer that is not of the API (HTTP {status}, {kind})")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use FailureClass::{
        CredentialsRefused, LoggedOut, NotAnApi, OutcomeUnknown, Refused, TestFailed, Transient,
    };

    const KINDS: [Kind; 5] = [Kind::Read, Kind::Test, Kind::Login, Kind::Change, Kind::Upgrade];

    fn asked(kind: Kind) -> Asked {
        Asked { kind, request: "POST /api/x".to_owned(), host: "h".to_owned() }
    }

    fn class(kind: Kind, status: u16, body: &str) -> Option<FailureClass> {
        let answer = Answer { status, body: body.to_owned().into(), ..Answer::default() };
        judge(&asked(kind), &answer).err().map(|error| error.class)
    }

    fn row(status: u16, body: &str) -> [Option<FailureClass>; 5] {
        KINDS.map(|kind| class(kind, status, body))
    }

    fn all(class: FailureClass) -> [Option<FailureClass>; 5] {
        [Some(class); 5]
    }

    /// Classes for read, test, login, change, upgrade.
    fn classes(classes: [FailureClass; 5]) -> [Option<FailureClass>; 5] {
        classes.map(Some)
    }

    fn error(kind: &str) -> String {
        format!(r#"{{"error":{{"type":"{kind}","message":"m"}},"meta":{{}}}}"#)
    }

    #[test]
    fn a_success_is_a_json_object_without_error() {
        assert_eq!(row(200, r#"{"meta":{}}"#), [None; 5]);
        assert_eq!(row(202, r#"{"key":"x","error":null}"#), [None; 5]);
        let foreign = classes([NotAnApi, NotAnApi, NotAnApi, OutcomeUnknown, OutcomeUnknown]);
        for body in ["<html>booting</html>", "", "[]", "3", "{\"a\":1} x", "null"] {
            assert_eq!(row(200, body), foreign, "{body}");
        }
        let cut = classes([Transient, Transient, Transient, OutcomeUnknown, OutcomeUnknown]);
        assert_eq!(row(200, r#"{"items":[{"key""#), cut);
        assert_eq!(row(302, "{}"), foreign);
    }

    #[test]
    fn an_empty_success_is_enough_for_a_delete() {
        let asked = Asked { request: "DELETE /api/x".to_owned(), ..asked(Kind::Change) };
        let answer = |status| Answer { status, ..Answer::default() };
        assert_eq!(judge(&asked, &answer(204)).ok(), Some(Value::Null));
        assert_eq!(judge(&asked, &answer(500)).map_err(|e| e.class), Err(OutcomeUnknown));
    }

    #[test]
    fn the_type_comes_before_the_status() {
        for status in [200, 400, 404, 409, 500] {
            for kind in ["ResourceNotFound", "IncompleteRequestBodyError", "UpgradeMessageMissing"]
            {
                for of in [Kind::Read, Kind::Test, Kind::Change, Kind::Upgrade] {
                    assert_eq!(class(of, status, &error(kind)), Some(Refused), "{status} {kind}");
                }
            }
            let of = [Kind::Test, Kind::Upgrade];
            for kind in of {
                assert_eq!(class(kind, status, &error("FirmwareTestFailed")), Some(TestFailed));
                assert_eq!(class(kind, status, &error("Unauthenticated")), Some(LoggedOut));
            }
        }
    }

    #[test]
    fn a_401_depends_on_the_request_that_was_answered() {
        let lost = classes([LoggedOut, LoggedOut, CredentialsRefused, LoggedOut, LoggedOut]);
        for body in [error("Unauthenticated"), error("Other"), "<html>".into(), String::new()] {
            assert_eq!(row(401, &body), lost, "{body}");
        }
    }

    #[test]
    fn only_a_401_refuses_a_password() {
        for status in [200, 302, 400, 403, 404, 429, 500, 503] {
            for body in ["<html>", "", "{}", &error("AuthenticationFailure")] {
                let class = class(Kind::Login, status, body);
                assert_ne!(class, Some(CredentialsRefused), "{status} {body}");
            }
        }
        assert_eq!(class(Kind::Login, 403, &error("Unauthorized")), Some(Refused));
        assert_eq!(class(Kind::Login, 503, "<html>"), Some(Transient));
        assert_eq!(class(Kind::Login, 200, "<html>"), Some(NotAnApi));
    }

    #[test]
    fn a_busy_server_is_passing_for_reads_and_unknown_for_changes() {
        let busy = classes([Transient, Transient, Transient, OutcomeUnknown, OutcomeUnknown]);
        for status in [429, 500, 502, 503, 504] {
            for body in [error("Whatever"), "<html>".to_owned(), String::new(), "{}".to_owned()] {
                assert_eq!(row(status, &body), busy, "{status} {body}");
            }
        }
    }

    #[test]
    fn refusals_with_a_type_are_refusals() {
        for status in [400, 403, 404, 409, 411, 422, 423] {
            assert_eq!(row(status, &error("Anything")), all(Refused), "{status}");
        }
        let odd = classes([Refused, Refused, Refused, Refused, OutcomeUnknown]);
        assert_eq!(row(200, &error("Anything")), odd);
        assert_eq!(row(400, r#"{"error":{"message":"no type"}}"#), odd);
    }

    #[test]
    fn refusals_without_the_api_prove_less() {
        assert_eq!(row(411, "Length Required"), all(Refused));
        let forbidden = classes([NotAnApi, NotAnApi, Refused, Refused, Refused]);
        assert_eq!(row(403, "<html>"), forbidden);
        let foreign = classes([NotAnApi, NotAnApi, NotAnApi, OutcomeUnknown, OutcomeUnknown]);
        assert_eq!(row(413, "<html>"), all(Refused));
        assert_eq!(row(405, "<html>"), foreign);
        assert_eq!(row(400, "<html>"), foreign);
        assert_eq!(row(404, "<html>"), foreign);
    }

    #[test]
    fn the_appliance_speaks_in_its_own_words() {
        let body = r#"{"error":{"type":"FirmwareTestFailed","message":"The firmware\u001b test failed",
            "details":{"exit_code":1,"test_summary":"HA check started\nHA check failed"}}}"#;
        let answer = Answer { status: 400, body: body.into(), ..Answer::default() };
        let error = judge(&asked(Kind::Test), &answer).expect_err("a failure");
        assert_eq!(error.detail, "The firmware test failed (FirmwareTestFailed, exit_code: 1)");
        assert_eq!(error.test_summary.as_deref(), Some("HA check started\nHA check failed"));
        assert_eq!(error.status, Some(400));

        let body = r#"{"error":{"type":"X","message":"from http://u:secret@h/p"}}"#;
        let answer = Answer { status: 400, body: body.into(), ..Answer::default() };
        let error = judge(&asked(Kind::Read), &answer).expect_err("a failure");
        assert_eq!(error.to_string(), "POST /api/x at h: from http://h/p (X)");
    }
}
