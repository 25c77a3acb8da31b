//! Requests and answers, through a real socket.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use control::wire::{BODY_LIMIT, DecisionRequest, ErrorReply};
use control::{Client, ClientError, Service, Socket};
use model::decision::Decision;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::sync::oneshot;
use tokio::task::JoinSet;

use crate::fleet::{Answering, name};

struct Running {
    _dir: tempfile::TempDir,
    path: PathBuf,
    service: Arc<Answering>,
    stop: oneshot::Sender<()>,
    tasks: JoinSet<()>,
}

impl Running {
    async fn start() -> Self {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("fleet.db.sock");
        let socket = Socket::bind(&path).await.expect("bound");
        let service = Arc::new(Answering::default());
        let (stop, stopped) = oneshot::channel::<()>();
        let mut tasks = JoinSet::new();
        let answering = Arc::clone(&service) as Arc<dyn Service>;
        tasks.spawn(async move {
            let until = async move { drop(stopped.await) };
            socket.serve(answering, until).await.expect("served");
        });
        Self { _dir: dir, path, service, stop, tasks }
    }

    async fn client(&self) -> Client {
        Client::connect(&self.path).await.expect("connected")
    }
}

/// A request as `curl` or a stranger sends it; returns status line and body.
async fn raw(path: &Path, head: &str, body: &[u8]) -> (String, String) {
    let mut stream = UnixStream::connect(path).await.expect("connected");
    let length = body.len();
    let head =
        format!("{head}\r\nHost: x\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n");
    stream.write_all(head.as_bytes()).await.expect("sent");
    // The answer may come before all is read.
    drop(stream.write_all(body).await);
    let mut answer = Vec::new();
    drop(stream.read_to_end(&mut answer).await);
    let answer = String::from_utf8(answer).expect("text");
    let (head, body) = answer.split_once("\r\n\r\n").expect("a head");
    (head.lines().next().unwrap_or_default().to_owned(), body.to_owned())
}

fn code_of(body: &str) -> String {
    serde_json::from_str::<ErrorReply>(body).expect("an error").error.code
}

#[tokio::test]
async fn status_is_answered() {
    let running = Running::start().await;
    let client = running.client().await;
    let all = client.status().await.expect("a status");
    assert_eq!((all.schema, all.rollouts.len()), (1, 1));
    assert_eq!(client.rollout("sps-7.5.1").await.expect("one"), all);
    let error = client.rollout("no such/thing").await.expect_err("none");
    assert_eq!(error.to_string(), "there is no rollout `no such/thing`");
    assert!(matches!(error, ClientError::NotFound(_)));
    let busy = client.rollout("busy").await.expect_err("busy");
    assert!(matches!(busy, ClientError::Unavailable(_)), "{busy}");
}

#[tokio::test]
async fn a_decision_is_taken_once_by_who_asked() {
    let running = Running::start().await;
    let client = running.client().await;
    let skip = Decision::Skip { appliances: vec![name("a")] };
    let request = DecisionRequest::new(skip.clone(), "broken fan", "key-1");
    let reply = client.decide("sps-7.5.1", &request).await.expect("decided");
    assert_eq!((reply.schema, reply.seq, reply.repeated), (1, 8, false));
    let again = client.decide("sps-7.5.1", &request).await.expect("decided");
    assert_eq!((again.seq, again.repeated), (8, true));
    let decided = running.service.decided.lock().expect("no panic").clone();
    let [(wanted, decision, reason, actor)] = decided.as_slice() else { panic!("{decided:?}") };
    assert_eq!((wanted.as_str(), decision, reason.as_str()), ("sps-7.5.1", &skip, "broken fan"));
    assert_eq!(actor.pid, std::process::id());
    assert!(!actor.name.is_empty());
}

#[tokio::test]
async fn a_refused_decision_says_why() {
    let running = Running::start().await;
    let client = running.client().await;
    let resume = DecisionRequest::new(Decision::Resume, "", "key-1");
    let error = client.decide("sps-7.5.1", &resume).await.expect_err("not paused");
    assert!(matches!(&error, ClientError::Refused(_)), "{error}");
    assert_eq!(error.to_string(), "rollout sps-7.5.1 is not paused");
    let pause = DecisionRequest::new(Decision::Pause { all: false, now: false }, "", "key-2");
    client.decide("sps-7.5.1", &pause).await.expect("decided");
    let other = DecisionRequest::new(Decision::Abort, "", "key-2");
    let error = client.decide("sps-7.5.1", &other).await.expect_err("the same key");
    assert!(error.to_string().contains("this key was used"), "{error}");
}

#[tokio::test]
async fn strange_requests_get_plain_answers() {
    let running = Running::start().await;
    let post = "POST /v1/rollouts/sps-7.5.1/decisions HTTP/1.1";
    let long_key = format!(r#"{{"decision":"abort","key":"{}"}}"#, "k".repeat(129));
    let long_reason = format!(r#"{{"decision":"abort","reason":"{}"}}"#, "r".repeat(5000));
    let cases: [(&str, &[u8], &str, &str); 9] = [
        ("GET /v2/status HTTP/1.1", b"", "404", "no-such-path"),
        ("DELETE /v1/status HTTP/1.1", b"", "405", "no-such-method"),
        (post, b"", "400", "invalid"),
        (post, b"{\"decision\":\"explode\"}", "400", "invalid"),
        (post, b"{\"decision\":\"abort\",\"now\":true}", "400", "invalid"),
        (post, b"{\"schema\":2,\"decision\":\"abort\"}", "400", "invalid"),
        (post, long_key.as_bytes(), "400", "invalid"),
        (post, long_reason.as_bytes(), "400", "invalid"),
        (post, &vec![b' '; BODY_LIMIT + 1], "413", "too-large"),
    ];
    for (head, body, status, code) in cases {
        let (line, answer) = raw(&running.path, head, body).await;
        assert!(line.contains(status), "{head}: {line} {answer}");
        assert_eq!(code_of(&answer), code, "{head}");
    }
    assert!(running.service.decided.lock().expect("no panic").is_empty());
    // As curl sends it: no content type of ours, nothing but the decision.
    let (line, _) = raw(&running.path, post, b"{\"decision\":\"abort\"}").await;
    assert!(line.contains("200"), "{line}");
}

#[tokio::test]
async fn it_ends_in_good_order_and_takes_its_file_along() {
    let mut running = Running::start().await;
    let client = running.client().await;
    client.status().await.expect("a status");
    running.stop.send(()).expect("still there");
    // The client's idle connection does not keep it.
    running.tasks.join_next().await.expect("one task").expect("no panic");
    assert!(!running.path.exists());
    let error = client.status().await.expect_err("gone");
    assert!(matches!(error, ClientError::NoDaemon { .. }), "{error}");
}

#[tokio::test]
async fn an_answer_that_is_none_is_named() {
    let dir = tempfile::tempdir().expect("a folder");
    let path = dir.path().join("other.sock");
    let listener = tokio::net::UnixListener::bind(&path).expect("bound");
    let answers = [
        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello",
        "HTTP/1.1 200 OK\r\nContent-Length: 12\r\nConnection: close\r\n\r\n{\"schema\":2}",
        "HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
        "HTTP/1.1 500 Oh\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 99\r\nConnection: close\r\n\r\n{\"schema\"",
    ];
    let mut tasks = JoinSet::new();
    tasks.spawn(async move {
        // The first connection of each client only shows that somebody is there.
        drop(listener.accept().await.expect("a caller"));
        for answer in answers {
            let (mut stream, _) = listener.accept().await.expect("a caller");
            let mut request = [0; 1024];
            assert!(stream.read(&mut request).await.expect("a request") > 0);
            stream.write_all(answer.as_bytes()).await.expect("sent");
        }
    });
    let client = Client::connect(&path).await.expect("somebody is there");
    let mut errors = Vec::new();
    for _ in answers {
        errors.push(client.status().await.expect_err("no status"));
    }
    assert!(matches!(errors[0], ClientError::NotUnderstood { .. }), "{}", errors[0]);
    assert!(matches!(errors[1], ClientError::Newer { found: 2 }), "{}", errors[1]);
    assert!(matches!(errors[2], ClientError::NotPermitted { .. }), "{}", errors[2]);
    assert!(matches!(errors[3], ClientError::NotUnderstood { .. }), "{}", errors[3]);
    assert!(matches!(errors[4], ClientError::Broken { .. }), "{}", errors[4]);
    tasks.join_next().await.expect("one task").expect("no panic");
}
