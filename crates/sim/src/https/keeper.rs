//! Keeps one appliance on the network: listens while it answers, refuses while it is down.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use http::Request;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::answer::{Context, Ending};
use super::download::download;
use super::route::route;
use super::tls::Shown;
use super::wire::{ResetMark, Wire};
use crate::appliance::{Phase, SimAppliance};

/// How long a handshake may take, and how often a port is tried again.
const HANDSHAKE: Duration = Duration::from_secs(20);
const AGAIN: Duration = Duration::from_millis(100);

/// One appliance on the network.
#[derive(Debug)]
pub(super) struct Site {
    pub(super) appliance: Arc<SimAppliance>,
    pub(super) address: SocketAddr,
    pub(super) right: Shown,
    pub(super) wrong: Shown,
    pub(super) client: reqwest::Client,
    pub(super) tasks: TaskTracker,
    pub(super) stop: CancellationToken,
}

/// A listener and the connections that came through it; all end when it does.
struct Open {
    listener: TcpListener,
    connections: CancellationToken,
}

impl Drop for Open {
    fn drop(&mut self) {
        self.connections.cancel();
    }
}

/// Keeps the appliance until the server stops.
pub(super) async fn keep(site: Arc<Site>, listener: TcpListener) {
    let stop = site.stop.clone();
    let mut open = Some(Open { listener, connections: stop.child_token() });
    loop {
        let (phase, next, orders) = site.appliance.duties();
        for order in orders {
            let rate = site.appliance.spec().timings.fetch_bytes_per_second;
            let (client, appliance) = (site.client.clone(), Arc::clone(&site.appliance));
            let stop = stop.clone();
            site.tasks.spawn(async move {
                stop.run_until_cancelled(download(client, appliance, order, rate)).await
            });
        }
        let mut retry = None;
        match (phase, &open) {
            (Phase::Down, Some(_)) => open = None,
            (Phase::Up | Phase::Booting, None) => match TcpListener::bind(site.address).await {
                Ok(listener) => {
                    open = Some(Open { listener, connections: stop.child_token() });
                }
                Err(error) => {
                    tracing::warn!(address = %site.address, %error, "cannot listen again yet");
                    retry = Some(AGAIN);
                }
            },
            _ => {}
        }
        let clock = &site.appliance.shared().clock;
        let until_next = next.map(|at| at.saturating_sub(clock.monotonic()));
        let pause = [retry, until_next].into_iter().flatten().min();
        let wait = async {
            match pause {
                // A little late rather than a little early.
                Some(pause) => clock.sleep(pause + Duration::from_millis(1)).await,
                None => std::future::pending().await,
            }
        };
        let accept = async {
            match &open {
                Some(open) => open.listener.accept().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = stop.cancelled() => return,
            () = site.appliance.touched() => {}
            () = wait => {}
            accepted = accept => match (accepted, &open) {
                (Ok((stream, peer)), Some(open)) => {
                    let (site, end) = (Arc::clone(&site), open.connections.clone());
                    site.clone().tasks.spawn(async move {
                        end.run_until_cancelled(serve(site, stream, peer)).await
                    });
                }
                (Err(error), _) => {
                    tracing::warn!(address = %site.address, %error, "cannot accept");
                    clock.sleep(AGAIN).await;
                }
                (Ok(_), None) => {}
            }
        }
    }
}

/// Answers what comes over one connection.
async fn serve(site: Arc<Site>, stream: TcpStream, peer: SocketAddr) {
    // Answers are small; waiting to send them would only slow the caller.
    drop(stream.set_nodelay(true));
    let reset = ResetMark::default();
    let shown = if site.appliance.shows_wrong_certificate() { &site.wrong } else { &site.right };
    let acceptor = TlsAcceptor::from(Arc::clone(&shown.config));
    let handshake = acceptor.accept(Wire::new(stream, reset.clone()));
    let clock = &site.appliance.shared().clock;
    let stream = tokio::select! {
        accepted = handshake => match accepted {
            Ok(stream) => stream,
            Err(error) => {
                tracing::debug!(address = %site.address, %error, "handshake failed");
                return;
            }
        },
        () = clock.sleep(HANDSHAKE) => return,
    };
    let source = peer.ip().to_string();
    let service = service_fn(|request: Request<Incoming>| {
        let (site, reset, source) = (Arc::clone(&site), reset.clone(), source.clone());
        async move { answer(&site, request, &source, &reset).await }
    });
    // Without a timer hyper never closes an idle connection by itself: that is the caller's part.
    let served = hyper::server::conn::http1::Builder::new()
        .serve_connection(TokioIo::new(stream), service)
        .await;
    if let Err(error) = served {
        tracing::debug!(address = %site.address, %error, "connection ended");
    }
}

/// The connection is to be broken.
#[derive(Debug, thiserror::Error)]
#[error("the connection is broken on purpose")]
struct Broken;

async fn answer(
    site: &Site,
    request: Request<Incoming>,
    source: &str,
    reset: &ResetMark,
) -> Result<http::Response<super::answer::Body>, Broken> {
    let (parts, body) = request.into_parts();
    let appliance = &site.appliance;
    let routed = route(appliance, &parts, body).await.ok_or(Broken)?;
    let path = parts.uri.path();
    let session = routed.session.as_deref();
    let heard = appliance.exchange(routed.call, session, source, routed.bytes_in).await;
    let (idle, ahead) = appliance.cookie_times();
    let context = Context { clock: &appliance.shared().clock, path, idle, ahead };
    match context.ending(heard) {
        Ending::Response(response) => Ok(response),
        Ending::Close => Err(Broken),
        Ending::Reset => {
            reset.set();
            Err(Broken)
        }
    }
}
