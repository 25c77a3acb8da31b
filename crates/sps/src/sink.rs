//! A new file that an answer is written to; nothing is left of it unless it is kept.

use std::path::Path;

use tokio::fs::File;
use tokio::io::AsyncWriteExt as _;

/// A file that did not exist before and that only its owner can read.
pub(crate) struct Sink<'a> {
    path: &'a Path,
    file: File,
    written: u64,
    limit: u64,
    kept: bool,
}

impl<'a> Sink<'a> {
    /// Makes the file, which must not be there yet. Not more than `limit` bytes go into it.
    pub(crate) async fn create(path: &'a Path, limit: u64) -> Result<Self, String> {
        let mut options = tokio::fs::OpenOptions::new();
        options.write(true).create_new(true).mode(0o600);
        let file = options.open(path).await;
        let file = file.map_err(|error| format!("{} cannot be made: {error}", path.display()))?;
        Ok(Self { path, file, written: 0, limit, kept: false })
    }

    /// Refuses a file that is announced to be too long.
    pub(crate) fn expect(&self, length: Option<u64>) -> Result<(), String> {
        match length {
            Some(length) if self.written.saturating_add(length) > self.limit => {
                Err(self.too_long())
            }
            _ => Ok(()),
        }
    }

    pub(crate) async fn write(&mut self, part: &[u8]) -> Result<(), String> {
        let length = u64::try_from(part.len()).unwrap_or(u64::MAX);
        self.written = self.written.saturating_add(length);
        if self.written > self.limit {
            return Err(self.too_long());
        }
        self.file.write_all(part).await.map_err(|error| self.cannot("be written", &error))
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.written == 0
    }

    fn too_long(&self) -> String {
        format!("it is longer than {} bytes, which is as much as may be kept", self.limit)
    }

    fn cannot(&self, what: &str, error: &std::io::Error) -> String {
        format!("{} cannot {what}: {error}", self.path.display())
    }

    /// Makes the content durable and keeps the file; gives its size.
    pub(crate) async fn keep(mut self) -> Result<u64, String> {
        let synced = async {
            self.file.flush().await?;
            self.file.sync_all().await
        };
        synced.await.map_err(|error| self.cannot("be written", &error))?;
        self.kept = true;
        Ok(self.written)
    }
}

impl Drop for Sink<'_> {
    fn drop(&mut self) {
        // It was made by us and by nobody before: see `create_new`.
        if !self.kept
            && let Err(error) = std::fs::remove_file(self.path)
        {
            tracing::warn!(path = %self.path.display(), %error, "half a file could not be removed");
        }
    }
}
