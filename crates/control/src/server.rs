//! The program's side of the socket.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{ConnectInfo, DefaultBodyLimit, Path as Segment, Request, State};
use axum::http::StatusCode;
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Extension, Json, Router};
use model::decision::Actor;
use tracing::{debug, info, warn};

use crate::accounts::{self, PASSWD};
use crate::decisions::{Decisions, NotTaken, Taken};
use crate::peer::{Credentials, Peer, own_uid};
use crate::service::{Refusal, Service};
use crate::socket::{BindError, Socket};
use crate::wire::{BODY_LIMIT, DecisionReply, DecisionRequest, ErrorReply, SCHEMA, StatusView};

/// How long an answer under way may take once the program ends.
const GRACE: Duration = Duration::from_secs(5);

/// The longest reason and key, in bytes.
const LONGEST_REASON: usize = 4096;
const LONGEST_KEY: usize = 128;

impl Socket {
    /// Answers until `until` is ready; then finishes what is under way and removes the file.
    ///
    /// # Errors
    /// When the system does not say who we are, or refuses to listen.
    pub async fn serve(
        self,
        service: Arc<dyn Service>,
        until: impl Future<Output = ()> + Send + 'static,
    ) -> Result<(), BindError> {
        let Self { listener, guard } = self;
        let path = guard.path().to_owned();
        let error = |doing| {
            let path = path.clone();
            move |source| BindError::Io { path, doing, source }
        };
        let own_uid = own_uid().map_err(error("asking who we are"))?;
        let decisions = Arc::new(Decisions::new(Arc::clone(&service)));
        let app = router(Shared { service, decisions: Arc::clone(&decisions), own_uid });
        let app = app.into_make_service_with_connect_info::<Peer>();
        let (ending, ended) = tokio::sync::oneshot::channel::<()>();
        let until = async move {
            until.await;
            drop(ending);
        };
        let serving = axum::serve(listener, app).with_graceful_shutdown(until);
        let mut serving = std::pin::pin!(serving.into_future());
        let served = tokio::select! {
            served = &mut serving => served,
            // A caller that never ends its request must not keep the program from ending.
            _ = ended => tokio::time::timeout(GRACE, serving).await.unwrap_or_else(|_| {
                warn!("a connection to the socket was cut off, since it did not end");
                Ok(())
            }),
        };
        decisions.finish().await;
        drop(guard);
        served.map_err(error("answering"))
    }
}

#[derive(Clone)]
struct Shared {
    service: Arc<dyn Service>,
    decisions: Arc<Decisions>,
    own_uid: u32,
}

fn router(shared: Shared) -> Router {
    Router::new()
        .route("/v1/status", get(status))
        .route("/v1/rollouts/{wanted}", get(rollout))
        .route("/v1/rollouts/{wanted}/decisions", post(decide))
        .fallback(no_such_path)
        .method_not_allowed_fallback(no_such_method)
        .layer(DefaultBodyLimit::max(BODY_LIMIT))
        // Last, so that it is outermost: nobody who may not call learns even what there is.
        .layer(middleware::from_fn_with_state(shared.clone(), admit))
        .with_state(shared)
}

/// Lets nobody in whose credentials are not known and permitted.
async fn admit(
    State(shared): State<Shared>,
    peer: Result<ConnectInfo<Peer>, axum::extract::rejection::ExtensionRejection>,
    mut request: Request,
    next: Next,
) -> Response {
    let peer = peer.map_or(Peer(None), |ConnectInfo(peer)| peer);
    let Some(caller) = peer.permitted(shared.own_uid) else {
        warn!(?peer, "a caller was refused at the socket");
        let text = "only root and the user that the program runs as may use this socket";
        return refuse(StatusCode::FORBIDDEN, "not-permitted", text);
    };
    debug!(uid = caller.uid, pid = caller.pid, path = request.uri().path(), "called");
    request.extensions_mut().insert(caller);
    next.run(request).await
}

async fn status(State(shared): State<Shared>) -> Response {
    view(shared.service.status().await)
}

async fn rollout(State(shared): State<Shared>, Segment(wanted): Segment<String>) -> Response {
    view(shared.service.rollout(&wanted).await)
}

fn view(result: Result<StatusView, Refusal>) -> Response {
    match result {
        Ok(view) => Json(view).into_response(),
        Err(refusal) => refused(&refusal),
    }
}

async fn decide(
    State(shared): State<Shared>,
    Extension(caller): Extension<Credentials>,
    Segment(wanted): Segment<String>,
    body: Result<Bytes, BytesRejection>,
) -> Response {
    let read = body.map_err(|rejection| unreadable(&rejection)).and_then(|body| parse(&body));
    let request = match read {
        Ok(request) => request,
        Err(problem) => return problem.into_response(),
    };
    let actor = Actor {
        uid: caller.uid,
        name: accounts::name_of(caller.uid, Path::new(PASSWD)).await,
        pid: caller.pid,
    };
    let verb = request.decision.verb();
    let taken = shared.decisions.take(wanted.clone(), request, actor.clone()).await;
    let by = format_args!("{} (uid {}, process {})", actor.name, actor.uid, actor.pid);
    match taken {
        Ok(Taken { decided, repeated }) => {
            info!(rollout = %decided.rollout, seq = decided.seq, repeated, %by, "{verb}");
            let (rollout, seq) = (decided.rollout, decided.seq);
            Json(DecisionReply { schema: SCHEMA, rollout, seq, repeated }).into_response()
        }
        Err(NotTaken::Refused(refusal)) => {
            info!(rollout = wanted, %by, "{verb} was refused: {refusal}");
            refused(&refusal)
        }
        Err(NotTaken::KeyReused) => refuse(
            StatusCode::CONFLICT,
            "key-reused",
            "this key was used for another decision before; send a new one",
        ),
        Err(NotTaken::Broken) => refuse(
            StatusCode::INTERNAL_SERVER_ERROR,
            "broken",
            "the program did not finish this; look at the events before asking again",
        ),
    }
}

fn parse(body: &[u8]) -> Result<DecisionRequest, Problem> {
    let request: DecisionRequest = serde_json::from_slice(body)
        .map_err(|error| Problem::invalid(format!("this is no decision: {error}")))?;
    if request.schema > SCHEMA {
        return Err(Problem::invalid(format!(
            "the request is of schema {}, this program knows {SCHEMA}; it is older than its caller",
            request.schema
        )));
    }
    if request.reason.len() > LONGEST_REASON {
        return Err(Problem::invalid(format!("a reason has at most {LONGEST_REASON} bytes")));
    }
    let key_fits = |key: &String| !key.is_empty() && key.len() <= LONGEST_KEY;
    if !request.key.as_ref().is_none_or(key_fits) {
        return Err(Problem::invalid(format!("a key has 1 to {LONGEST_KEY} bytes")));
    }
    Ok(request)
}

fn unreadable(rejection: &BytesRejection) -> Problem {
    let status = rejection.status();
    if status == StatusCode::PAYLOAD_TOO_LARGE {
        let message = format!("a request has at most {BODY_LIMIT} bytes");
        Problem { status, code: "too-large", message }
    } else {
        Problem { status, code: "invalid", message: rejection.body_text() }
    }
}

/// A request that is not done.
struct Problem {
    status: StatusCode,
    code: &'static str,
    message: String,
}

impl Problem {
    fn invalid(message: String) -> Self {
        Self { status: StatusCode::BAD_REQUEST, code: "invalid", message }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        refuse(self.status, self.code, &self.message)
    }
}

fn refused(refusal: &Refusal) -> Response {
    let (status, code) = match refusal {
        Refusal::NotFound(_) => (StatusCode::NOT_FOUND, "not-found"),
        Refusal::Refused(_) => (StatusCode::CONFLICT, "refused"),
        Refusal::Unavailable(_) => (StatusCode::SERVICE_UNAVAILABLE, "unavailable"),
    };
    refuse(status, code, &refusal.to_string())
}

fn refuse(status: StatusCode, code: &str, message: &str) -> Response {
    (status, Json(ErrorReply::new(code, message))).into_response()
}

async fn no_such_path() -> Response {
    refuse(StatusCode::NOT_FOUND, "no-such-path", "there is nothing at this path")
}

async fn no_such_method() -> Response {
    refuse(StatusCode::METHOD_NOT_ALLOWED, "no-such-method", "this path has other methods")
}

#[cfg(test)]
mod tests {
    use axum::extract::connect_info::MockConnectInfo;
    use futures::future::BoxFuture;
    use model::decision::Decision;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::{UnixListener, UnixStream};
    use tokio::task::JoinSet;

    use super::*;
    use crate::service::Decided;

    struct Untouched;

    impl Service for Untouched {
        fn status(&self) -> BoxFuture<'_, Result<StatusView, Refusal>> {
            panic!("called by somebody who may not");
        }
        fn rollout<'a>(&'a self, _: &'a str) -> BoxFuture<'a, Result<StatusView, Refusal>> {
            self.status()
        }
        fn decide<'a>(
            &'a self,
            _: &'a str,
            _: Decision,
            _: String,
            _: Actor,
        ) -> BoxFuture<'a, Result<Decided, Refusal>> {
            panic!("called by somebody who may not");
        }
    }

    const OWN: u32 = 1000;

    /// What a caller with these credentials is answered.
    async fn answer(caller: Option<Peer>, request: &str) -> String {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("control.sock");
        let listener = UnixListener::bind(&path).expect("bound");
        let service: Arc<dyn Service> = Arc::new(Untouched);
        let decisions = Arc::new(Decisions::new(Arc::clone(&service)));
        let mut app = router(Shared { service, decisions, own_uid: OWN });
        if let Some(caller) = caller {
            app = app.layer(MockConnectInfo(caller));
        }
        let mut tasks = JoinSet::new();
        tasks.spawn(async move { axum::serve(listener, app).await });
        let mut stream = UnixStream::connect(&path).await.expect("connected");
        let text = format!("{request}\r\nHost: x\r\nConnection: close\r\n\r\n");
        stream.write_all(text.as_bytes()).await.expect("sent");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.expect("an answer");
        answer
    }

    #[tokio::test]
    async fn who_may_not_call_is_refused_whatever_is_asked() {
        let stranger = Peer(Some(Credentials { uid: 1001, pid: 1 }));
        for caller in [Some(stranger), Some(Peer(None)), None] {
            for request in [
                "GET /v1/status HTTP/1.1",
                "POST /v1/rollouts/x/decisions HTTP/1.1\r\nContent-Length: 0",
                "GET /no/such/path HTTP/1.1",
                "DELETE /v1/status HTTP/1.1",
            ] {
                let answer = answer(caller, request).await;
                assert!(answer.starts_with("HTTP/1.1 403"), "{caller:?} {request}: {answer}");
                assert!(answer.contains("not-permitted"), "{answer}");
            }
        }
        let own = Peer(Some(Credentials { uid: OWN, pid: 1 }));
        let answer = answer(Some(own), "GET /no/such/path HTTP/1.1").await;
        assert!(answer.starts_with("HTTP/1.1 404"), "{answer}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_caller_that_never_ends_its_request_does_not_keep_the_program() {
        let dir = tempfile::tempdir().expect("a folder");
        let socket = Socket::bind(&dir.path().join("control.sock")).await.expect("bound");
        let path = socket.path().to_owned();
        let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
        let mut tasks = JoinSet::new();
        tasks.spawn(socket.serve(Arc::new(Untouched), async move { drop(stopped.await) }));
        let mut stream = UnixStream::connect(&path).await.expect("connected");
        let head =
            "POST /v1/rollouts/x/decisions HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n{";
        stream.write_all(head.as_bytes()).await.expect("sent");
        tokio::task::yield_now().await;
        stop.send(()).expect("running");
        tasks.join_next().await.expect("one task").expect("no panic").expect("served");
        assert!(!path.exists());
    }
}
