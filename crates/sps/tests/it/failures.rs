//! What happens on the wire, and what the client makes of it.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use model::failure::{ApplianceError, FailureClass};
use model::fleet::Trust;
use model::ports::Appliance;
use model::{Sha256Hex, SlotKey};
use sps::Options;

use crate::support::{Caller, Do, Front, Pki, Server, endpoint_of, json, pair};

const LIMIT: Duration = Duration::from_secs(900);
const SLOTS: &str = "GET /api/firmware/slots";
const UPGRADE: &str = "POST /api/firmware/upgrade";

#[tokio::test]
async fn a_refused_connection_is_unreachable() {
    let server = Server::start(Front::Slam).await;
    let endpoint = endpoint_of(&server, Trust::Insecure);
    drop(server);
    let client = Caller::new().client(endpoint);
    let error = client.setup().await.expect_err("nobody there");
    assert_eq!(error.class, FailureClass::Unreachable, "{error}");
    assert_eq!(error.detail, "no connection: Connection refused", "no words of libraries");
    let error = client.upgrade(&SlotKey::new("2"), "m", LIMIT).await.expect_err("nobody there");
    assert_eq!(error.class, FailureClass::Unreachable, "{error}");
}

#[tokio::test]
async fn a_connection_that_takes_too_long_is_unreachable_and_nothing_was_sent() {
    let server = Server::start(Front::Mute).await;
    let connect_timeout = Duration::from_millis(100);
    let caller = Caller::with(Options { connect_timeout, ..Options::default() });
    let client = caller.client(endpoint_of(&server, Trust::Insecure));
    let error = client.setup().await.expect_err("nobody speaks");
    assert_eq!(error.class, FailureClass::Unreachable, "{error}");
    assert_eq!(error.detail, "no connection in time", "{error}");
    let error = client.upgrade(&SlotKey::new("2"), "m", LIMIT).await.expect_err("nobody speaks");
    assert_eq!(error.class, FailureClass::Unreachable, "{error}");
}

#[tokio::test]
async fn a_handshake_that_breaks_is_passing_and_nothing_was_sent() {
    for front in [Front::Garbage, Front::Slam, Front::ResetHello] {
        let server = Server::start(front).await;
        let client = Caller::new().client(endpoint_of(&server, Trust::Insecure));
        let error = client.setup().await.expect_err("no handshake");
        assert_eq!(error.class, FailureClass::Transient, "{error}");
        assert!(error.detail.contains("handshake"), "{error}");
    }
}

#[tokio::test]
async fn an_answer_that_breaks_off_is_passing_for_a_read_and_unknown_for_a_change() {
    let head = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n";
    let sized = format!("{head}Content-Length: 200\r\n\r\n{{\"items\":[");
    let open = format!("{head}Connection: close\r\n\r\n{{\"items\":[");
    for todo in [
        Do::CutOff(sized.clone().into()),
        Do::Raw(sized.into()),
        Do::Raw(open.clone().into()),
        Do::CutOff(open.into()),
        Do::CutOff(b"HTTP/1.1 200 O".to_vec()),
        Do::Raw(b"nonsense\r\n\r\n".to_vec()),
        Do::Close,
        Do::Reset,
    ] {
        let (_caller, server, client) = pair().await;
        server.scene.once(SLOTS, todo.clone());
        let error = client.slots().await.expect_err("broken");
        assert_eq!(error.class, FailureClass::Transient, "{todo:?}: {error}");
        server.scene.once(UPGRADE, todo.clone());
        let error = client.upgrade(&SlotKey::new("2"), "m", LIMIT).await.expect_err("broken");
        assert_eq!(error.class, FailureClass::OutcomeUnknown, "{todo:?}: {error}");
        assert_eq!(server.scene.count(UPGRADE), 1, "{todo:?}");
        client.slots().await.expect("it goes on");
    }
}

/// Calls something that is never answered, and lets the time pass once it has arrived.
async fn unanswered<T: std::fmt::Debug>(
    (caller, server): (&Caller, &Server),
    line: &str,
    seconds: u64,
    call: impl Future<Output = Result<T, ApplianceError>>,
) -> (FailureClass, String) {
    server.scene.once(line, Do::Hang);
    let time = async {
        server.scene.arrives(line, 1).await;
        caller.clock.pass(seconds);
    };
    let (answer, ()) = futures::future::join(call, time).await;
    let error = answer.expect_err("no answer");
    (error.class, error.detail)
}

#[tokio::test]
async fn no_answer_in_time_is_passing_for_a_read_and_unknown_for_a_change() {
    let (caller, server, client) = pair().await;
    let slot = SlotKey::new("2");
    let both = (&caller, &server);
    let passing = |limit: u64| (FailureClass::Transient, format!("no answer within {limit}s"));
    let unknown = |limit: u64| (FailureClass::OutcomeUnknown, format!("no answer within {limit}s"));
    assert_eq!(unanswered(both, SLOTS, 30, client.slots()).await, passing(30));
    let test = client.test(&slot, LIMIT);
    assert_eq!(unanswered(both, "POST /api/firmware/test", 900, test).await, passing(900));
    let upgrade = client.upgrade(&slot, "m", LIMIT);
    assert_eq!(unanswered(both, UPGRADE, 900, upgrade).await, unknown(900));
    let delete = client.delete_slot(&slot);
    assert_eq!(unanswered(both, "DELETE /api/firmware/slots/2", 30, delete).await, unknown(30));
}

#[tokio::test]
async fn a_page_is_no_answer_of_the_api() {
    let (_caller, server, client) = pair().await;
    let page = Do::Reply {
        status: 200,
        headers: vec![("Content-Type", "text/html".to_owned())],
        body: b"<html>SPS is starting, secret-word</html>".to_vec(),
    };
    server.scene.once("GET /api/setup", page.clone());
    let error = client.setup().await.expect_err("a page");
    assert_eq!(error.class, FailureClass::NotAnApi);
    assert!(error.detail.contains("text/html") && !error.detail.contains("secret-word"), "{error}");
    server.scene.once(UPGRADE, page);
    let error = client.upgrade(&SlotKey::new("2"), "m", LIMIT).await.expect_err("a page");
    assert_eq!(error.class, FailureClass::OutcomeUnknown);
}

#[tokio::test]
async fn redirects_are_not_followed() {
    let (_caller, server, client) = pair().await;
    let away = json(302, "").with("Location", &format!("https://{}/api/elsewhere", server.at));
    server.scene.once(SLOTS, away.clone());
    let error = client.slots().await.expect_err("a redirect");
    assert_eq!(error.class, FailureClass::NotAnApi);
    server.scene.once("POST /api/firmware/fetch", away);
    let error = client.start_fetch("u", &Sha256Hex::of(b"")).await.expect_err("a redirect");
    assert_eq!(error.class, FailureClass::OutcomeUnknown);
    assert_eq!(server.scene.count("GET /api/elsewhere"), 0);
}

#[tokio::test]
async fn a_server_that_says_later_is_waited_for_a_little() {
    let (_caller, server, client) = pair().await;
    for (status, after, seconds) in [(503, "7", 7), (429, "86400", 60), (500, "0", 1)] {
        server.scene.once(SLOTS, json(status, "<html>").with("Retry-After", after));
        let error = client.slots().await.expect_err("later");
        assert_eq!(error.class, FailureClass::Transient);
        assert_eq!(error.status, Some(status));
        assert_eq!(error.retry_after, Some(Duration::from_secs(seconds)));
    }
    server.scene.once(UPGRADE, json(502, "<html>"));
    let error = client.upgrade(&SlotKey::new("2"), "m", LIMIT).await.expect_err("later");
    assert_eq!(error.class, FailureClass::OutcomeUnknown);
}

#[tokio::test]
async fn a_missing_length_is_a_refusal() {
    let (_caller, server, client) = pair().await;
    server.scene.once(UPGRADE, json(411, "Length Required"));
    let error = client.upgrade(&SlotKey::new("2"), "m", LIMIT).await.expect_err("refused");
    assert_eq!(error.class, FailureClass::Refused);
}

#[tokio::test]
async fn an_endless_answer_is_cut() {
    let caller = Caller::with(Options { answer_bytes: 256 * 1024, ..Options::default() });
    let (server, client) = caller.meets(|| Pki::new().leaf("a")).await;
    server.scene.once(SLOTS, Do::Endless);
    let error = client.slots().await.expect_err("too long");
    assert_eq!(error.class, FailureClass::NotAnApi);
    assert!(error.detail.contains("262144"), "{error}");
    let long = json(200, &format!(r#"{{"items":[],"x":"{}"}}"#, "y".repeat(300_000)));
    server.scene.once(SLOTS, long);
    assert_eq!(client.slots().await.expect_err("too long").class, FailureClass::NotAnApi);
    client.slots().await.expect("it goes on");
}

#[tokio::test]
async fn a_change_never_travels_on_a_kept_connection() {
    let (_caller, server, client) = pair().await;
    client.slots().await.expect("an answer");
    client.slots().await.expect("an answer");
    client.delete_slot(&SlotKey::new("2")).await.expect("done");
    client.delete_slot(&SlotKey::new("3")).await.expect("done");
    let heard = server.scene.heard();
    let of = |line: &str| {
        heard.iter().filter(|h| h.line() == line).map(|h| h.connection).collect::<Vec<_>>()
    };
    assert_eq!(of(SLOTS), [0, 0], "reads share one");
    assert_eq!(of("DELETE /api/firmware/slots/2"), [1]);
    assert_eq!(of("DELETE /api/firmware/slots/3"), [2]);
}

#[tokio::test]
async fn requests_under_way_are_bounded() {
    let caller = Caller::with(Options { in_flight: 1, ..Options::default() });
    let (server, client) = caller.meets(|| Pki::new().leaf("a")).await;
    let answers = futures::future::join_all((0..20).map(|_| client.setup())).await;
    assert!(answers.iter().all(Result::is_ok));
    let connections = server.connections.load(std::sync::atomic::Ordering::SeqCst);
    assert_eq!(connections, 1, "one at a time needs one connection");
}

/// Counts the warnings of this thread.
#[derive(Default, Clone)]
struct Warnings(Arc<Mutex<Vec<String>>>);

struct Fields<'a>(&'a mut String);

impl tracing::field::Visit for Fields<'_> {
    fn record_debug(&mut self, field: &tracing::field::Field, value: &dyn std::fmt::Debug) {
        self.0.push_str(&format!("{field}={value:?} "));
    }
}

impl tracing::Subscriber for Warnings {
    fn enabled(&self, metadata: &tracing::Metadata<'_>) -> bool {
        *metadata.level() == tracing::Level::WARN && metadata.target().starts_with("sps")
    }
    fn new_span(&self, _: &tracing::span::Attributes<'_>) -> tracing::span::Id {
        tracing::span::Id::from_u64(1)
    }
    fn record(&self, _: &tracing::span::Id, _: &tracing::span::Record<'_>) {}
    fn record_follows_from(&self, _: &tracing::span::Id, _: &tracing::span::Id) {}
    fn event(&self, event: &tracing::Event<'_>) {
        let mut text = String::new();
        event.record(&mut Fields(&mut text));
        self.0.lock().expect("no panic").push(text);
    }
    fn enter(&self, _: &tracing::span::Id) {}
    fn exit(&self, _: &tracing::span::Id) {}
}

#[tokio::test]
async fn clocks_that_differ_are_told_once() {
    let warnings = Warnings::default();
    let _guard = tracing::subscriber::set_default(warnings.clone());
    let (_caller, server, client) = pair().await;
    let dated = |date: &str| json(200, r#"{"status":"completed"}"#).with("Date", date);
    // The test's clock stands at 08:00:00.
    server.scene.once("GET /api/setup", dated("Tue, 24 Nov 2026 08:04:59 GMT"));
    client.setup().await.expect("setup");
    assert!(warnings.0.lock().expect("no panic").is_empty());
    server.scene.always("GET /api/setup", dated("Tue, 24 Nov 2026 07:50:00 GMT"));
    client.setup().await.expect("setup");
    client.setup().await.expect("setup");
    let told = warnings.0.lock().expect("no panic").clone();
    assert_eq!(told.len(), 1, "{told:?}");
    assert!(
        told[0].contains("appliance=ams-1") && told[0].contains("skew_seconds=-600"),
        "{told:?}"
    );
}
