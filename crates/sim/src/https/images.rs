//! A small web server for firmware images on loopback.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use futures::TryStreamExt;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use http::{HeaderValue, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use tokio_util::io::ReaderStream;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::SimError;
use super::answer::Body;
use super::tls::Authority;

/// What is read of a file at once.
const CHUNK: usize = 256 * 1024;

#[derive(Debug, Clone)]
enum Content {
    Bytes(Bytes),
    File(PathBuf),
}

/// Serves images by name over HTTP, or HTTPS with a certificate that nobody vouches for. Dropping
/// it ends it.
#[derive(Debug)]
pub struct ImageServer {
    address: SocketAddr,
    scheme: &'static str,
    served: Arc<AtomicU64>,
    stop: CancellationToken,
}

/// What an [`ImageServer`] will serve.
#[derive(Debug, Clone, Default)]
pub struct ImageShelf(BTreeMap<String, Content>);

impl ImageShelf {
    /// Puts bytes on the shelf.
    #[must_use]
    pub fn bytes(mut self, name: &str, bytes: impl Into<Bytes>) -> Self {
        self.0.insert(name.to_owned(), Content::Bytes(bytes.into()));
        self
    }

    /// Puts a file on the shelf; it is read anew for every request.
    #[must_use]
    pub fn file(mut self, name: &str, path: &Path) -> Self {
        self.0.insert(name.to_owned(), Content::File(path.to_owned()));
        self
    }
}

impl ImageServer {
    /// Serves over HTTP on 127.0.0.1 and a free port.
    ///
    /// # Errors
    /// When it cannot listen.
    pub async fn start(shelf: ImageShelf) -> Result<Self, SimError> {
        Self::run(shelf, None).await
    }

    /// Serves over HTTPS on 127.0.0.1 and a free port.
    ///
    /// # Errors
    /// When it cannot listen or TLS cannot be set up.
    pub async fn start_tls(shelf: ImageShelf) -> Result<Self, SimError> {
        let shown = Authority::new("Simulated image source")?
            .leaf(&[IpAddr::V4(Ipv4Addr::LOCALHOST)], "images.sim.invalid")?;
        Self::run(shelf, Some(TlsAcceptor::from(shown.config))).await
    }

    async fn run(shelf: ImageShelf, tls: Option<TlsAcceptor>) -> Result<Self, SimError> {
        let wanted = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let (listener, address) = super::listen("images", wanted).await?;
        let server = Self {
            address,
            scheme: if tls.is_some() { "https" } else { "http" },
            served: Arc::default(),
            stop: CancellationToken::new(),
        };
        let tasks = TaskTracker::new();
        let accepting = accept(listener, shelf, tls, Arc::clone(&server.served), tasks.clone());
        let stop = server.stop.clone();
        tasks.spawn(async move { stop.run_until_cancelled(accepting).await });
        Ok(server)
    }

    /// The URL of an image by its name.
    #[must_use]
    pub fn url(&self, name: &str) -> String {
        format!("{}://{}/{name}", self.scheme, self.address)
    }

    /// How many requests for an image were answered.
    #[must_use]
    pub fn served(&self) -> u64 {
        self.served.load(Ordering::Relaxed)
    }
}

impl Drop for ImageServer {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

async fn accept(
    listener: TcpListener,
    shelf: ImageShelf,
    tls: Option<TlsAcceptor>,
    served: Arc<AtomicU64>,
    tasks: TaskTracker,
) {
    let shelf = Arc::new(shelf);
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            tokio::task::yield_now().await;
            continue;
        };
        let (shelf, served, tls) = (Arc::clone(&shelf), Arc::clone(&served), tls.clone());
        tasks.spawn(async move {
            match tls {
                None => serve(stream, &shelf, &served).await,
                Some(tls) => {
                    if let Ok(stream) = tls.accept(stream).await {
                        serve(stream, &shelf, &served).await;
                    }
                }
            }
        });
    }
}

async fn serve(
    stream: impl AsyncRead + AsyncWrite + Unpin,
    shelf: &ImageShelf,
    served: &AtomicU64,
) {
    let service = service_fn(|request: Request<Incoming>| async move {
        served.fetch_add(1, Ordering::Relaxed);
        Ok::<_, std::convert::Infallible>(respond(shelf, &request).await)
    });
    let connection =
        hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service);
    if let Err(error) = connection.await {
        tracing::debug!(%error, "an image's connection ended");
    }
}

async fn respond(shelf: &ImageShelf, request: &Request<Incoming>) -> Response<Body> {
    let name = request.uri().path().trim_start_matches('/');
    let found = match shelf.0.get(name) {
        Some(Content::Bytes(bytes)) => {
            let body = Full::new(bytes.clone()).map_err(|never| match never {});
            Some((bytes.len() as u64, BodyExt::boxed(body)))
        }
        Some(Content::File(path)) => open(path).await,
        None => None,
    };
    let (length, body) = found.unwrap_or_else(|| {
        (0, BodyExt::boxed(Full::new(Bytes::new()).map_err(|never| match never {})))
    });
    let mut response = Response::new(body);
    if length == 0 {
        *response.status_mut() = StatusCode::NOT_FOUND;
    }
    let headers = response.headers_mut();
    headers.insert(CONTENT_LENGTH, HeaderValue::from(length));
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/x-iso9660-image"));
    response
}

async fn open(path: &Path) -> Option<(u64, Body)> {
    let file = tokio::fs::File::open(path).await.ok()?;
    let length = file.metadata().await.ok()?.len();
    let chunks = ReaderStream::with_capacity(file, CHUNK).map_ok(Frame::data);
    Some((length, BodyExt::boxed(StreamBody::new(chunks))))
}
