//! A copy of the journal, taken while it is written.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use crate::error::Error;
use crate::open;
use crate::read::SqliteReader;

impl SqliteReader {
    /// Writes a complete copy to a new file (mode 0600). The name appears only when the copy is
    /// whole and durable.
    ///
    /// # Errors
    /// When the file is there already or cannot be written.
    pub async fn backup(&self, file: &Path) -> Result<(), Error> {
        let file = open::place_of(file)?;
        if file.exists() {
            return Err(Error::Exists { path: file });
        }
        let partial = partial(&file);
        match fs::remove_file(&partial) {
            Ok(()) => {}
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => return Err(Error::io(&partial, "removing half a copy", error)),
        }
        let copied = self.copy(&partial, &file).await;
        if copied.is_err() {
            // The copy failed already; half of it is removed by the next one at the latest.
            drop(fs::remove_file(&partial));
        }
        copied
    }

    async fn copy(&self, partial: &Path, file: &Path) -> Result<(), Error> {
        open::create_private(partial)?;
        let text = partial.to_str().ok_or_else(|| {
            let source = std::io::Error::from(std::io::ErrorKind::InvalidFilename);
            Error::io(partial, "a backup's name must be UTF-8", source)
        })?;
        sqlx::query("VACUUM INTO ?1")
            .bind(text)
            .execute(&mut *self.connection().await?)
            .await
            .map_err(|error| Error::sql(partial, "writing the copy", error))?;
        let durable = File::open(partial)
            .and_then(|copy| copy.sync_all())
            // A hard link, unlike a rename, does not replace a file that came meanwhile.
            .and_then(|()| fs::hard_link(partial, file))
            .and_then(|()| fs::remove_file(partial))
            .and_then(|()| open::sync_folder(file));
        durable.map_err(|error| match error.kind() {
            std::io::ErrorKind::AlreadyExists => Error::Exists { path: file.to_owned() },
            _ => Error::io(file, "writing the copy", error),
        })
    }
}

fn partial(file: &Path) -> PathBuf {
    let mut name = file.as_os_str().to_owned();
    name.push(".partial");
    PathBuf::from(name)
}
