//! What it means when no whole answer came: the causes of the failure are walked down to the one
//! that tells.

use std::error::Error;
use std::io::{self, ErrorKind};

use model::failure::{ApplianceError, FailureClass};

use crate::classify::{Asked, Kind};
use crate::{trust, words};

/// Classifies a request that failed without an answer, or whose answer broke off.
pub(crate) fn failed(asked: &Asked, error: reqwest::Error) -> ApplianceError {
    // The URL is said by request and host.
    let error = error.without_url();
    if let Some(tls) = find::<rustls::Error>(&error).filter(|tls| trust::is_about_identity(tls)) {
        return asked.fail(FailureClass::IdentityNotProven, trust::explain(tls));
    }
    if error.is_builder() {
        return asked.fail(FailureClass::Local, told(&error));
    }
    if error.is_connect() {
        let (class, what) = connecting(asked.kind, &error);
        return asked.fail(class, with_cause(what, &error));
    }
    let what = if error.is_timeout() { "it took too long" } else { "the connection broke" };
    asked.fail(asked.kind.lost(), with_cause(what, &error))
}

/// What happened, and what the system says; a time that ran out says it all.
fn with_cause(what: &str, error: &reqwest::Error) -> String {
    if error.is_timeout() { what.to_owned() } else { format!("{what}: {}", told(error)) }
}

/// The innermost cause: all around it are the words of libraries for where it passed by.
fn told(error: &reqwest::Error) -> String {
    let innermost = causes(error).last().map(ToString::to_string).unwrap_or_default();
    let plain = innermost.split(" (os error ").next().unwrap_or(&innermost);
    words::tame(&words::hide_user_info(plain), 300)
}

/// A failure before the request was sent. A handshake that breaks is told from no connection at
/// all: only the latter is a sign of a restart.
fn connecting(kind: Kind, error: &reqwest::Error) -> (FailureClass, &'static str) {
    if error.is_timeout() {
        return (FailureClass::Unreachable, "no connection in time");
    }
    if find::<rustls::Error>(error).is_some() {
        return (kind.unsent(), "the TLS handshake failed");
    }
    let ours = |error: &io::Error| {
        // Too many open files, no memory, no port left.
        matches!(error.raw_os_error(), Some(23 | 24 | 12 | 99 | 105))
    };
    match find_io(error) {
        Some(error) if ours(error) => (kind.unsent(), "no connection could be made here"),
        Some(error) => match error.kind() {
            ErrorKind::ConnectionReset
            | ErrorKind::ConnectionAborted
            | ErrorKind::BrokenPipe
            | ErrorKind::NotConnected
            | ErrorKind::UnexpectedEof
            | ErrorKind::InvalidData => (kind.unsent(), "the TLS handshake broke off"),
            _ => (FailureClass::Unreachable, "no connection"),
        },
        None => (FailureClass::Unreachable, "no connection"),
    }
}

/// The first cause of this type. An I/O error hides what it wraps from `source`, so it is opened.
fn find<'a, E: Error + 'static>(error: &'a (dyn Error + 'static)) -> Option<&'a E> {
    causes(error).find_map(|cause| cause.downcast_ref::<E>())
}

/// The innermost I/O error with a kind that says something.
fn find_io<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a io::Error> {
    causes(error)
        .filter_map(|cause| cause.downcast_ref::<io::Error>())
        .filter(|cause| cause.kind() != ErrorKind::Other)
        .last()
}

fn causes<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    let mut next = Some(error);
    std::iter::from_fn(move || {
        let cause = next?;
        let wrapped = cause.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        next = match wrapped {
            Some(wrapped) => Some(wrapped as &(dyn Error + 'static)),
            None => cause.source(),
        };
        Some(cause)
    })
}
