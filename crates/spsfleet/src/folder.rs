//! The folder in which `demo` and `simulate` leave their files.

use std::fs;
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use model::random::Random;

/// A folder of ours.
#[derive(Debug, Clone)]
pub(crate) struct Folder(PathBuf);

impl Folder {
    /// Makes the folder that was asked for (it may be there), or a new one among the system's
    /// temporary files.
    pub(crate) fn make(
        wanted: Option<&Path>,
        purpose: &str,
        random: &Random,
    ) -> anyhow::Result<Self> {
        let (path, may_be_there) = match wanted {
            Some(path) => (std::path::absolute(path)?, true),
            None => {
                let number = format!("{:08x}", random.below(1 << 32));
                // Others write there too: a folder that is there already is not ours.
                (std::env::temp_dir().join(format!("spsfleet-{purpose}-{number}")), false)
            }
        };
        // Only its owner may look into it: a database and a password come to lie there.
        fs::DirBuilder::new()
            .recursive(may_be_there)
            .mode(0o700)
            .create(&path)
            .with_context(|| format!("making the folder {}", path.display()))?;
        Ok(Self(path))
    }

    /// Where it is.
    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    /// A file in it.
    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// Whether nothing is in it yet.
    pub(crate) fn is_empty(&self) -> anyhow::Result<bool> {
        let mut entries = fs::read_dir(&self.0).with_context(|| self.0.display().to_string())?;
        Ok(entries.next().is_none())
    }

    /// Writes a file anew.
    pub(crate) fn write(&self, name: &str, content: &[u8]) -> anyhow::Result<PathBuf> {
        self.write_with_mode(name, content, 0o644)
    }

    /// Writes a file anew that only its owner may read.
    pub(crate) fn write_secret(&self, name: &str, content: &[u8]) -> anyhow::Result<PathBuf> {
        self.write_with_mode(name, content, 0o600)
    }

    fn write_with_mode(&self, name: &str, content: &[u8], mode: u32) -> anyhow::Result<PathBuf> {
        let path = self.file(name);
        let new = path.with_extension("new");
        let written = fs::OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(mode)
            .open(&new)
            .and_then(|mut file| file.write_all(content))
            .and_then(|()| fs::rename(&new, &path));
        written.with_context(|| format!("writing {}", path.display()))?;
        Ok(path)
    }
}
