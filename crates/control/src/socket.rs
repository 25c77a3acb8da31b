//! The socket's file: made beside its place, closed to others, then moved there; gone at the end.

use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use tokio::net::{UnixListener, UnixStream};

/// The socket could not be made.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// Somebody answers there.
    #[error("{}: another program answers at this socket", path.display())]
    InUse {
        /// The socket.
        path: PathBuf,
    },
    /// There is a file that is no socket.
    #[error("{}: there is a file that is no socket; move it away", path.display())]
    NotASocket {
        /// The file.
        path: PathBuf,
    },
    /// The system's limit for socket names.
    #[error(
        "{}: too long for a socket's name ({length} bytes, {LONGEST} are allowed); choose a place with a shorter path",
        path.display()
    )]
    TooLong {
        /// The socket.
        path: PathBuf,
        /// Its length in bytes.
        length: usize,
    },
    /// The operating system refused.
    #[error("{}: {doing}", path.display())]
    Io {
        /// The socket.
        path: PathBuf,
        /// What was being done.
        doing: &'static str,
        /// What the system said.
        source: io::Error,
    },
}

/// `sun_path` has 108 bytes, one of them closes the text, four are for [`BESIDE`].
const LONGEST: usize = 103;

/// Where the socket is made before it is moved to its place.
const BESIDE: &str = ".new";

/// A bound socket that only its owner can reach. Dropped, its file is removed.
#[derive(Debug)]
pub struct Socket {
    pub(crate) listener: UnixListener,
    pub(crate) guard: Guard,
}

impl Socket {
    /// Makes the socket. A dead one of an ended program is replaced, a live one never.
    ///
    /// # Errors
    /// When somebody answers there, something else is there, or the system refuses.
    pub async fn bind(path: &Path) -> Result<Self, BindError> {
        let length = path.as_os_str().len();
        if length > LONGEST {
            return Err(BindError::TooLong { path: path.to_owned(), length });
        }
        check_free(path).await?;
        let error = |doing| move |source| BindError::Io { path: path.to_owned(), doing, source };
        let mut beside = path.as_os_str().to_owned();
        beside.push(BESIDE);
        let beside = PathBuf::from(beside);
        match fs::remove_file(&beside) {
            Ok(()) => {}
            Err(gone) if gone.kind() == io::ErrorKind::NotFound => {}
            Err(source) => return Err(error("removing a left-over socket")(source)),
        }
        let listener = UnixListener::bind(&beside).map_err(error("making the socket"))?;
        // From here on the file is removed again, whatever fails.
        let mut guard = Guard::of(&beside).map_err(error("looking at the new socket"))?;
        fs::set_permissions(&beside, Permissions::from_mode(0o600))
            .map_err(error("closing the socket to others"))?;
        fs::rename(&beside, path).map_err(error("moving the socket to its place"))?;
        guard.path = path.to_owned();
        Ok(Self { listener, guard })
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.guard.path()
    }
}

/// Whether nobody answers there: asking is the only proof.
async fn check_free(path: &Path) -> Result<(), BindError> {
    let error = |doing, source| BindError::Io { path: path.to_owned(), doing, source };
    match fs::symlink_metadata(path) {
        Ok(file) if file.file_type().is_socket() => {}
        Ok(_) => return Err(BindError::NotASocket { path: path.to_owned() }),
        Err(gone) if gone.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(source) => return Err(error("looking for a socket", source)),
    }
    match UnixStream::connect(path).await {
        Ok(_) => Err(BindError::InUse { path: path.to_owned() }),
        Err(refused) if is_dead(&refused) => Ok(()),
        // Its queue is full: somebody is there, only busy.
        Err(full) if full.kind() == io::ErrorKind::WouldBlock => {
            Err(BindError::InUse { path: path.to_owned() })
        }
        Err(source) => Err(error("trying the socket that is there", source)),
    }
}

/// Whether connecting failed because no program is behind the file, or there is none.
pub(crate) fn is_dead(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::ConnectionRefused | io::ErrorKind::NotFound)
}

/// Removes the socket's file, when it is still ours.
#[derive(Debug)]
pub(crate) struct Guard {
    path: PathBuf,
    device: u64,
    inode: u64,
}

impl Guard {
    fn of(path: &Path) -> io::Result<Self> {
        let file = fs::symlink_metadata(path)?;
        Ok(Self { path: path.to_owned(), device: file.dev(), inode: file.ino() })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        let ours = fs::symlink_metadata(&self.path)
            .is_ok_and(|file| (file.dev(), file.ino()) == (self.device, self.inode));
        if ours && let Err(error) = fs::remove_file(&self.path) {
            tracing::warn!(path = %self.path.display(), %error, "the socket could not be removed");
        }
    }
}
