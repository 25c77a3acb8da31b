//! The command's side of the socket.

use std::error::Error as _;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use model::Chain;
use reqwest::StatusCode;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use tokio::net::UnixStream;

use crate::socket::is_dead;
use crate::wire::{DecisionReply, DecisionRequest, ErrorReply, SCHEMA, StatusView};

/// A request over the socket that did not work.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// There is no socket, or nobody answers at it.
    #[error("{}: nobody answers at this socket; is the program running?", path.display())]
    NoDaemon {
        /// The socket.
        path: PathBuf,
    },
    /// The caller may not use it.
    #[error(
        "{}: not permitted; only root and the user that the program runs as may use this socket",
        path.display()
    )]
    NotPermitted {
        /// The socket.
        path: PathBuf,
    },
    /// There is no such rollout, in the program's words.
    #[error("{0}")]
    NotFound(String),
    /// The decision was refused, in the program's words.
    #[error("{0}")]
    Refused(String),
    /// It cannot be done just now, in the program's words.
    #[error("{0}")]
    Unavailable(String),
    /// What answers is of a newer program.
    #[error("the running program speaks schema {found}, this one {SCHEMA}; use the newer one")]
    Newer {
        /// Its schema.
        found: u32,
    },
    /// The connection broke. A decision may have been taken: ask again with the same key.
    #[error("{}: the connection broke ({detail})", path.display())]
    Broken {
        /// The socket.
        path: PathBuf,
        /// What happened.
        detail: String,
    },
    /// What came back is no answer of this program.
    #[error("{}: not an answer that is understood ({detail})", path.display())]
    NotUnderstood {
        /// The socket.
        path: PathBuf,
        /// What came back.
        detail: String,
    },
}

/// A connection to a running program.
#[derive(Debug, Clone)]
pub struct Client {
    path: PathBuf,
    http: reqwest::Client,
}

/// How long an answer may take: a decision waits for the disk, a status for thousands of rows.
const LIMIT: Duration = Duration::from_secs(60);

impl Client {
    /// Reaches the program at this socket.
    ///
    /// # Errors
    /// [`ClientError::NoDaemon`] when nobody answers, [`ClientError::NotPermitted`] when the file
    /// is closed to the caller.
    pub async fn connect(path: &Path) -> Result<Self, ClientError> {
        let broken = |detail: String| ClientError::Broken { path: path.to_owned(), detail };
        if let Err(error) = UnixStream::connect(path).await {
            return Err(match error.kind() {
                _ if is_dead(&error) => ClientError::NoDaemon { path: path.to_owned() },
                io::ErrorKind::PermissionDenied => {
                    ClientError::NotPermitted { path: path.to_owned() }
                }
                _ => broken(error.to_string()),
            });
        }
        let http = build(path).map_err(|error| broken(Chain(&error).to_string()))?;
        Ok(Self { path: path.to_owned(), http })
    }

    /// All rollouts that have not ended.
    ///
    /// # Errors
    /// When there is no answer, or a refusal.
    pub async fn status(&self) -> Result<StatusView, ClientError> {
        self.ask(self.http.get(url(&["status"]))).await
    }

    /// One rollout, by its name or the beginning of its id.
    ///
    /// # Errors
    /// When there is no answer, or a refusal.
    pub async fn rollout(&self, wanted: &str) -> Result<StatusView, ClientError> {
        self.ask(self.http.get(url(&["rollouts", wanted]))).await
    }

    /// Takes a decision; it is in the journal when this returns. Safe to repeat with the same key.
    ///
    /// # Errors
    /// When there is no answer, or a refusal.
    pub async fn decide(
        &self,
        wanted: &str,
        request: &DecisionRequest,
    ) -> Result<DecisionReply, ClientError> {
        let url = url(&["rollouts", wanted, "decisions"]);
        self.ask(self.http.post(url).json(request)).await
    }

    async fn ask<T: DeserializeOwned>(
        &self,
        request: reqwest::RequestBuilder,
    ) -> Result<T, ClientError> {
        let answer = request.send().await.map_err(|error| self.failed(&error))?;
        let status = answer.status();
        let body = answer.bytes().await.map_err(|error| self.failed(&error))?;
        if status.is_success() { self.read(&body) } else { Err(self.refused(status, &body)) }
    }

    fn read<T: DeserializeOwned>(&self, body: &[u8]) -> Result<T, ClientError> {
        let spoken: Spoken =
            serde_json::from_slice(body).map_err(|error| self.not_understood(&error))?;
        if spoken.schema > SCHEMA {
            return Err(ClientError::Newer { found: spoken.schema });
        }
        serde_json::from_slice(body).map_err(|error| self.not_understood(&error))
    }

    fn refused(&self, status: StatusCode, body: &[u8]) -> ClientError {
        if status == StatusCode::FORBIDDEN {
            return ClientError::NotPermitted { path: self.path.clone() };
        }
        let message = match serde_json::from_slice::<ErrorReply>(body) {
            Ok(reply) => reply.error.message,
            Err(_) => {
                let detail = format!("HTTP {status}");
                return ClientError::NotUnderstood { path: self.path.clone(), detail };
            }
        };
        match status {
            StatusCode::NOT_FOUND => ClientError::NotFound(message),
            StatusCode::SERVICE_UNAVAILABLE => ClientError::Unavailable(message),
            _ => ClientError::Refused(message),
        }
    }

    fn failed(&self, error: &reqwest::Error) -> ClientError {
        let path = self.path.clone();
        let mut source = error.source();
        while let Some(cause) = source {
            if cause.downcast_ref::<io::Error>().is_some_and(is_dead) {
                return ClientError::NoDaemon { path };
            }
            source = cause.source();
        }
        // The URL is made up: only the socket's path says anything.
        let detail = error.source().map_or_else(|| error.to_string(), |e| Chain(e).to_string());
        ClientError::Broken { path, detail }
    }

    fn not_understood(&self, error: &serde_json::Error) -> ClientError {
        ClientError::NotUnderstood { path: self.path.clone(), detail: error.to_string() }
    }
}

#[derive(Deserialize)]
struct Spoken {
    schema: u32,
}

/// The one place in which this crate makes an HTTP client.
#[expect(clippy::disallowed_methods, reason = "the one place that makes an HTTP client here")]
fn build(path: &Path) -> Result<reqwest::Client, reqwest::Error> {
    reqwest::Client::builder()
        .unix_socket(path)
        // No TLS goes over the socket: the system's certificates need not be read.
        .tls_certs_only([])
        .redirect(reqwest::redirect::Policy::none())
        .user_agent(concat!("spsfleet/", env!("CARGO_PKG_VERSION")))
        .timeout(LIMIT)
        .build()
}

/// The host says nothing: the socket is fixed.
fn url(segments: &[&str]) -> String {
    let mut url = "http://spsfleet/v1".to_owned();
    for segment in segments {
        url.push('/');
        for byte in segment.bytes() {
            if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'~') {
                url.push(char::from(byte));
            } else {
                url.push_str(&format!("%{byte:02X}"));
            }
        }
    }
    url
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_person_types_stays_one_segment() {
        assert_eq!(url(&["rollouts", "sps-7"]), "http://spsfleet/v1/rollouts/sps-7");
        let odd = url(&["rollouts", "../a/b?c#d e", "decisions"]);
        assert_eq!(odd, "http://spsfleet/v1/rollouts/..%2Fa%2Fb%3Fc%23d%20e/decisions");
    }
}
