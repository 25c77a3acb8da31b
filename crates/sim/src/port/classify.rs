//! What an answer of a simulated appliance means to the in-process client, in the classes of
//! [`model::failure`].

use std::collections::BTreeMap;
use std::time::Duration;

use model::failure::{ApplianceError, FailureClass};
use model::observed::Health;
use model::ports::Withheld;

use crate::appliance::{Call, Details, Heard, Pace, Refusal, Reply};
use crate::ledger::PowerAct;
use crate::spec::HealthSpec;

/// About how long an answer's body is, for what is sent slowly or cut off.
const BODY_BYTES: usize = 600;

/// Makes the errors of one request.
pub(super) struct Failed {
    request: String,
    host: String,
    changes: bool,
    login: bool,
}

impl Failed {
    pub(super) fn of(call: &Call, host: &str) -> Self {
        Self {
            request: format!("{} {}", call.method(), call.path()),
            host: host.to_owned(),
            changes: call.changes(),
            login: matches!(call, Call::Login { .. }),
        }
    }

    /// One request to a power service; every one carries its credentials.
    pub(super) fn power(act: PowerAct, system: &str, host: &str) -> Self {
        let system = format!("/redfish/v1/Systems/{system}");
        let request = match act {
            PowerAct::State => format!("GET {system}"),
            _ => format!("POST {system}/Actions/ComputerSystem.Reset"),
        };
        let changes = act != PowerAct::State;
        Self { request, host: host.to_owned(), changes, login: true }
    }

    /// The power service has no such system.
    pub(super) fn no_system(&self) -> ApplianceError {
        let kind = "Base.1.8.ResourceMissingAtURI";
        self.status(404, Some(kind.to_owned()), Some("there is no such system".to_owned()), None)
    }

    fn error(&self, class: FailureClass, detail: &str) -> ApplianceError {
        ApplianceError {
            class,
            request: self.request.clone(),
            host: self.host.clone(),
            detail: detail.to_owned(),
            status: None,
            error_type: None,
            test_summary: None,
            retry_after: None,
        }
    }

    /// `class` for a read; for what changes it is not known whether it was done.
    fn or_unknown(&self, class: FailureClass, detail: &str) -> ApplianceError {
        let class = if self.changes { FailureClass::OutcomeUnknown } else { class };
        self.error(class, detail)
    }

    pub(super) fn unreachable(&self, detail: &str) -> ApplianceError {
        self.error(FailureClass::Unreachable, detail)
    }

    pub(super) fn identity(&self) -> ApplianceError {
        let detail = "the certificate does not prove that this is the appliance";
        self.error(FailureClass::IdentityNotProven, detail)
    }

    pub(super) fn timed_out(&self, limit: Duration) -> ApplianceError {
        self.or_unknown(FailureClass::Transient, &format!("no answer within {limit:?}"))
    }

    pub(super) fn withheld(&self, why: &Withheld) -> ApplianceError {
        self.error(FailureClass::CredentialsWithheld, &why.to_string())
    }

    pub(super) fn malformed(&self, detail: &str) -> ApplianceError {
        self.error(FailureClass::Malformed, detail)
    }

    pub(super) fn logged_out(&self, detail: &str) -> ApplianceError {
        self.error(FailureClass::LoggedOut, detail)
    }

    pub(super) fn unknown(&self, detail: &str) -> ApplianceError {
        self.error(FailureClass::OutcomeUnknown, detail)
    }

    pub(super) fn local(&self, detail: &str) -> ApplianceError {
        self.error(FailureClass::Local, detail)
    }

    /// The reply, or what went wrong instead.
    pub(super) fn read(&self, heard: Heard) -> Result<Reply, ApplianceError> {
        match heard {
            Heard::Answer { pace: Pace::CutAfter { bytes }, .. } if bytes < BODY_BYTES => {
                Err(self.or_unknown(FailureClass::Transient, "the answer was cut off"))
            }
            Heard::Answer { result: Ok(reply), .. } => Ok(reply),
            Heard::Answer { result: Err(refusal), .. } => Err(self.refused(&refusal)),
            Heard::BootPage { setup: true, .. } => Ok(Reply::Setup { completed: false }),
            Heard::BootPage { status, .. } | Heard::Html { code: status } => {
                let detail = "a page in HTML, not an answer of the API";
                Err(with_status(self.or_unknown(FailureClass::NotAnApi, detail), status))
            }
            Heard::NoConnection => Err(self.unreachable("connection refused")),
            Heard::Closed | Heard::Reset => Err(self.or_unknown(
                FailureClass::Transient,
                "the connection was closed before an answer came",
            )),
            Heard::Status { code, kind, message, retry_after } => {
                Err(self.status(code, kind, message, retry_after))
            }
            Heard::Body { code, text } => Err(self.body(code, &text)),
        }
    }

    /// A body by a fault: an error envelope, or nothing that can be used.
    fn body(&self, code: u16, text: &str) -> ApplianceError {
        let json: serde_json::Value = serde_json::from_str(text).unwrap_or_default();
        let field = |name: &str| Some(json.get("error")?.get(name)?.as_str()?.to_owned());
        if let Some(kind) = field("type") {
            return self.status(code, Some(kind), field("message"), None);
        }
        let detail = "the answer lacks what it must have";
        with_status(self.or_unknown(FailureClass::Malformed, detail), code)
    }

    fn refused(&self, refusal: &Refusal) -> ApplianceError {
        let kind = Some(refusal.kind.to_owned());
        let mut error = self.status(refusal.status, kind, Some(refusal.message.to_string()), None);
        if let Details::Test { summary, .. } = &refusal.details {
            error.test_summary = Some(summary.clone());
        }
        error
    }

    fn status(
        &self,
        code: u16,
        kind: Option<String>,
        message: Option<String>,
        retry_after: Option<u64>,
    ) -> ApplianceError {
        let class = match (kind.as_deref(), code) {
            (_, 401) if self.login => FailureClass::CredentialsRefused,
            (Some("FirmwareTestFailed"), _) => FailureClass::TestFailed,
            (Some("Unauthenticated"), _) | (_, 401) => FailureClass::LoggedOut,
            (_, 429 | 500..) if self.changes => FailureClass::OutcomeUnknown,
            (_, 429 | 500..) => FailureClass::Transient,
            (None, code) if self.changes && !matches!(code, 403 | 411) => {
                FailureClass::OutcomeUnknown
            }
            (None, 200..=399) => FailureClass::NotAnApi,
            _ => FailureClass::Refused,
        };
        let detail = match (&kind, message) {
            (Some(kind), Some(message)) => format!("{message} ({kind}, HTTP {code})"),
            (Some(kind), None) => format!("{kind} (HTTP {code})"),
            (None, message) => message.unwrap_or_else(|| format!("HTTP {code}")),
        };
        let mut error = with_status(self.error(class, &detail), code);
        error.error_type = kind;
        error.retry_after = retry_after.map(|seconds| Duration::from_secs(seconds.clamp(1, 60)));
        error
    }
}

fn with_status(mut error: ApplianceError, status: u16) -> ApplianceError {
    error.status = Some(status);
    error
}

/// Whether the appliance said that there is no such thing.
pub(super) fn is_missing(error: &ApplianceError) -> bool {
    error.class == FailureClass::Refused
        && (error.error_type.as_deref() == Some("ResourceNotFound")
            || error.error_type.as_deref() == Some("NotFound"))
}

/// How long an answer in drops takes.
pub(super) fn drip(heard: &Heard) -> Option<Duration> {
    match heard {
        Heard::Answer { pace: Pace::Slow { bytes_per_second }, .. } => {
            let per_second = u32::try_from(*bytes_per_second).unwrap_or(u32::MAX).max(1);
            Some(Duration::from_secs(BODY_BYTES as u64) / per_second)
        }
        _ => None,
    }
}

pub(super) fn health(spec: &HealthSpec, ha_other: Option<u64>) -> Health {
    let ha_other = ha_other.map(|files| ("ha_other".to_owned(), files));
    Health {
        disk_used: Some(spec.disk),
        tainted: [("boot".to_owned(), 0), ("core".to_owned(), spec.tainted_core)]
            .into_iter()
            .chain(ha_other)
            .collect(),
        integrity: BTreeMap::from([
            ("boot".to_owned(), "OK".to_owned()),
            ("core".to_owned(), spec.integrity_core.clone()),
        ]),
        raid: Some(spec.raid.clone()),
        sessions: Some(spec.sessions_total()),
        queues: spec.queues.iter().cloned().collect(),
        indexer: spec.indexer.clone(),
    }
}
