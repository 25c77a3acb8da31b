//! A server that reads requests, writes them down, and does what its scene says.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use rustls::ServerConfig;
use sha2::{Digest as _, Sha256};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use super::scene::{Do, Scene};

/// A request as it arrived.
#[derive(Debug, Clone, Default)]
pub(crate) struct Heard {
    pub(crate) method: String,
    /// With query.
    pub(crate) path: String,
    pub(crate) headers: Vec<(String, String)>,
    /// At most 64 KiB of it are kept.
    pub(crate) body: Vec<u8>,
    pub(crate) body_length: usize,
    pub(crate) body_sum: String,
    /// Which connection it came over.
    pub(crate) connection: usize,
}

impl Heard {
    pub(crate) fn line(&self) -> String {
        format!("{} {}", self.method, self.path)
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(known, _)| known == name);
        found.map(|(_, value)| value.as_str())
    }

    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).expect("a JSON body")
    }
}

/// What meets a caller first.
#[derive(Clone)]
pub(crate) enum Front {
    Tls(Arc<ServerConfig>),
    /// Speaks, but not TLS.
    Garbage,
    /// Takes connections and says nothing.
    Mute,
    /// Closes each connection at once.
    Slam,
    /// Resets each connection after the client's hello.
    ResetHello,
}

/// Listens until dropped.
pub(crate) struct Server {
    pub(crate) at: SocketAddr,
    pub(crate) scene: Arc<Scene>,
    pub(crate) connections: Arc<AtomicUsize>,
    _tasks: JoinSet<()>,
}

impl Server {
    pub(crate) async fn start(front: Front) -> Self {
        Self::start_at("127.0.0.1:0".parse().expect("an address"), front).await
    }

    pub(crate) async fn start_at(at: SocketAddr, front: Front) -> Self {
        let listener = TcpListener::bind(at).await.expect("a port");
        let at = listener.local_addr().expect("an address");
        let scene = Arc::new(Scene::default());
        let connections = Arc::new(AtomicUsize::new(0));
        let mut tasks = JoinSet::new();
        tasks.spawn(accept(listener, front, Arc::clone(&scene), Arc::clone(&connections)));
        Self { at, scene, connections, _tasks: tasks }
    }
}

async fn accept(
    listener: TcpListener,
    front: Front,
    scene: Arc<Scene>,
    connections: Arc<AtomicUsize>,
) {
    let mut talks = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        let number = connections.fetch_add(1, Ordering::SeqCst);
        let (front, scene) = (front.clone(), Arc::clone(&scene));
        talks.spawn(async move {
            // A client that hangs up is no fault of the test.
            let _ended = meet(stream, front, &scene, number).await;
        });
    }
}

async fn meet(mut stream: TcpStream, front: Front, scene: &Scene, number: usize) -> io::Result<()> {
    match front {
        Front::Mute => std::future::pending().await,
        Front::Slam => Ok(()),
        Front::Garbage => stream.write_all(b"SSH-2.0-OpenSSH_9.9\r\n\r\n").await,
        Front::ResetHello => {
            let mut hello = [0; 64];
            stream.read_exact(&mut hello).await?;
            stream.set_zero_linger()
        }
        Front::Tls(config) => {
            let mut tls = TlsAcceptor::from(config).accept(stream).await?;
            while let Some(heard) = hear(&mut tls, scene, number).await? {
                let todo = scene.hear(heard);
                if !act(&mut tls, todo).await? {
                    break;
                }
            }
            Ok(())
        }
    }
}

/// Whether the connection goes on.
async fn act(tls: &mut TlsStream<TcpStream>, todo: Do) -> io::Result<bool> {
    match todo {
        Do::Reply { status, headers, body } => {
            let mut head = format!("HTTP/1.1 {status} X\r\nContent-Length: {}\r\n", body.len());
            for (name, value) in headers {
                head.push_str(&format!("{name}: {value}\r\n"));
            }
            head.push_str("\r\n");
            tls.write_all(head.as_bytes()).await?;
            tls.write_all(&body).await?;
            tls.flush().await?;
            Ok(true)
        }
        Do::Raw(bytes) => {
            tls.write_all(&bytes).await?;
            tls.flush().await?;
            tls.shutdown().await?;
            Ok(false)
        }
        Do::CutOff(bytes) => {
            tls.write_all(&bytes).await?;
            tls.flush().await?;
            Ok(false)
        }
        Do::Close => Ok(false),
        Do::Reset => {
            tls.get_ref().0.set_zero_linger()?;
            Ok(false)
        }
        Do::Hang => {
            std::future::pending::<()>().await;
            Ok(false)
        }
        Do::Endless => {
            tls.write_all(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n").await?;
            let chunk = [b"10000\r\n".as_slice(), &[b' '; 0x10000], b"\r\n"].concat();
            loop {
                tls.write_all(&chunk).await?;
            }
        }
    }
}

/// Reads one request; `None` when the client closed the connection instead.
async fn hear<S: AsyncRead + AsyncWrite + Unpin>(
    stream: &mut S,
    scene: &Scene,
    connection: usize,
) -> io::Result<Option<Heard>> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        match stream.read_u8().await {
            Ok(byte) => head.push(byte),
            Err(_) if head.is_empty() => return Ok(None),
            Err(error) => return Err(error),
        }
    }
    let text = String::from_utf8_lossy(&head).into_owned();
    let mut lines = text.split("\r\n");
    let mut first = lines.next().unwrap_or_default().split(' ');
    let mut heard = Heard {
        method: first.next().unwrap_or_default().to_owned(),
        path: first.next().unwrap_or_default().to_owned(),
        headers: lines
            .filter_map(|line| line.split_once(": "))
            .map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()))
            .collect(),
        connection,
        ..Heard::default()
    };
    let length = heard.header("content-length").map_or(0, |text| text.parse().unwrap_or(0));
    let most = scene.read_at_most(&heard);
    let mut sum = Sha256::new();
    let mut block = vec![0; 64 * 1024];
    while heard.body_length < length {
        if heard.body_length >= most {
            scene.note(heard);
            std::future::pending::<()>().await;
            return Ok(None);
        }
        let want = block.len().min(length - heard.body_length);
        let got = stream.read(&mut block[..want]).await?;
        if got == 0 {
            scene.note(heard);
            return Ok(None);
        }
        sum.update(&block[..got]);
        let keep = got.min((64 * 1024_usize).saturating_sub(heard.body.len()));
        heard.body.extend_from_slice(&block[..keep]);
        heard.body_length += got;
    }
    heard.body_sum = sum.finalize().iter().map(|b| format!("{b:02x}")).collect();
    Ok(Some(heard))
}
