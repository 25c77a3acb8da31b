//! The body of an upload: read and hashed on a thread of its own while earlier parts are sent.

use std::io::{self, Read as _};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use futures::{Stream, StreamExt as _};
use model::digest::Sha256Hex;
use model::ports::Clock;
use model::rollout::Image;
use sha2::{Digest as _, Sha256};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

/// What is read, hashed and handed over at once.
const BLOCK: usize = 256 * 1024;

/// How many blocks may wait to be sent.
const AHEAD: usize = 4;

/// What is given to the connection at once; also the grain of the progress.
const PIECE: usize = 64 * 1024;

/// How an upload moves.
pub(crate) struct Progress {
    clock: Arc<dyn Clock>,
    sent: AtomicU64,
    /// On the monotonic clock, in nanoseconds.
    moved: AtomicU64,
    /// What went wrong while reading.
    local: Mutex<Option<String>>,
    tell: Arc<dyn Fn(u64) + Send + Sync>,
}

impl Progress {
    pub(crate) fn new(clock: Arc<dyn Clock>, tell: Arc<dyn Fn(u64) + Send + Sync>) -> Self {
        let moved = AtomicU64::new(nanos(clock.monotonic()));
        Self { clock, sent: AtomicU64::new(0), moved, local: Mutex::default(), tell }
    }

    fn step(&self, bytes: usize) {
        let bytes = u64::try_from(bytes).unwrap_or(u64::MAX);
        let sent = self.sent.fetch_add(bytes, Ordering::Relaxed) + bytes;
        self.moved.store(nanos(self.clock.monotonic()), Ordering::Relaxed);
        (self.tell)(sent);
    }

    /// Waits until nothing has moved for `stall`.
    pub(crate) async fn stalled(&self, stall: Duration) -> String {
        self.moved.store(nanos(self.clock.monotonic()), Ordering::Relaxed);
        loop {
            let moved = Duration::from_nanos(self.moved.load(Ordering::Relaxed));
            let still = self.clock.monotonic().saturating_sub(moved);
            if still >= stall {
                let sent = self.sent.load(Ordering::Relaxed);
                return format!("the upload did not move for {stall:?}, after {sent} bytes");
            }
            self.clock.sleep(stall - still).await;
        }
    }

    /// How many bytes of the image the connection has taken.
    pub(crate) fn sent(&self) -> u64 {
        self.sent.load(Ordering::Relaxed)
    }

    fn failed(&self, why: &io::Error) {
        *self.local.lock().unwrap_or_else(PoisonError::into_inner) = Some(why.to_string());
    }

    /// Why the image could not be read, if that was it.
    pub(crate) fn local_failure(&self) -> Option<String> {
        self.local.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

/// An image that is open and of the size that was planned with.
pub(crate) struct Source {
    file: std::fs::File,
    pub(crate) length: u64,
    pub(crate) file_name: String,
}

/// Opens an image.
pub(crate) async fn open(image: &Image) -> Result<Source, String> {
    let image = image.clone();
    let opened = tokio::task::spawn_blocking(move || {
        let failed = |error: io::Error| format!("the image {} cannot be read: {error}", image.path);
        if !std::fs::metadata(&image.path).map_err(failed)?.is_file() {
            return Err(format!("the image {} is not a regular file", image.path));
        }
        let file = std::fs::File::open(&image.path).map_err(failed)?;
        let length = file.metadata().map_err(failed)?.len();
        if length == 0 {
            return Err(format!("the image {} is empty", image.path));
        }
        if image.size != 0 && image.size != length {
            let (path, size) = (&image.path, image.size);
            return Err(format!("the image {path} has {length} bytes, the plan says {size}"));
        }
        Ok(Source { file, length, file_name: plain_name(&image.path) })
    });
    opened.await.unwrap_or_else(|_| Err("the image cannot be read".to_owned()))
}

/// The file name as it may stand in a header.
fn plain_name(path: &str) -> String {
    let name = Path::new(path).file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let plain = |c: char| if c.is_ascii_alphanumeric() || "._-".contains(c) { c } else { '_' };
    let name: String = name.chars().take(100).map(plain).collect();
    if name.is_empty() { "firmware.iso".to_owned() } else { name }
}

/// The multipart form with the image, and the sum of what was sent once all of it was.
pub(crate) fn form(
    source: Source,
    progress: &Arc<Progress>,
) -> Result<(reqwest::multipart::Form, JoinHandle<Option<Sha256Hex>>), String> {
    let (sender, receiver) = mpsc::channel(AHEAD);
    let body = reqwest::Body::wrap_stream(pieces(receiver, Arc::clone(progress)));
    let part = reqwest::multipart::Part::stream_with_length(body, source.length)
        .file_name(source.file_name.clone())
        .mime_str("application/octet-stream")
        .map_err(|error| format!("the form could not be made: {error}"))?;
    let reading = Arc::clone(progress);
    let reader = tokio::task::spawn_blocking(move || match read(source, &sender) {
        Ok(sum) => sum,
        Err(error) => {
            reading.failed(&error);
            // The body ends short of its length, which breaks the request off.
            if sender.blocking_send(Err(error)).is_err() {
                tracing::debug!("the upload had ended before its image could not be read");
            }
            None
        }
    });
    Ok((reqwest::multipart::Form::new().part("firmware", part), reader))
}

/// Reads and hashes exactly the length; `None` when the other end is gone.
fn read(
    mut source: Source,
    sender: &mpsc::Sender<io::Result<Bytes>>,
) -> io::Result<Option<Sha256Hex>> {
    let mut sum = Sha256::new();
    let mut left = source.length;
    while left > 0 {
        let want = usize::try_from(left).map_or(BLOCK, |left| left.min(BLOCK));
        let mut block = vec![0; want];
        source.file.read_exact(&mut block).map_err(|error| match error.kind() {
            io::ErrorKind::UnexpectedEof => {
                io::Error::new(error.kind(), "the image became shorter while it was sent")
            }
            _ => error,
        })?;
        sum.update(&block);
        left -= want as u64;
        if sender.blocking_send(Ok(block.into())).is_err() {
            return Ok(None);
        }
    }
    Ok(Some(Sha256Hex::from_bytes(&sum.finalize())))
}

fn pieces(
    receiver: mpsc::Receiver<io::Result<Bytes>>,
    progress: Arc<Progress>,
) -> impl Stream<Item = io::Result<Bytes>> + Send + 'static {
    let start = (receiver, Bytes::new(), progress);
    futures::stream::unfold(start, |(mut receiver, mut block, progress)| async move {
        if block.is_empty() {
            block = match receiver.recv().await? {
                Ok(block) => block,
                Err(error) => return Some((Err(error), (receiver, Bytes::new(), progress))),
            };
        }
        let piece = block.split_to(block.len().min(PIECE));
        progress.step(piece.len());
        Some((Ok(piece), (receiver, block, progress)))
    })
    .boxed()
}
