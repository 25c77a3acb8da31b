//! Passwords: read when they are needed, never stored (contract: semantics.md, "`password` forms").

use std::fs::File;
use std::io::{self, Read as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use model::fleet::PasswordSource;
use model::ports::{Command, CommandError, CommandRunner};
use secrecy::SecretString;
use secrecy::zeroize::Zeroizing;

/// A command that prints a password has so long.
const COMMAND_LIMIT: Duration = Duration::from_secs(30);

/// No password is longer, in bytes.
const LONGEST: u64 = 64 * 1024;

/// Why a password could not be read. Holds no part of it.
#[derive(Debug, thiserror::Error)]
pub enum CredentialError {
    /// There is no directory of systemd credentials.
    #[error(
        "$CREDENTIALS_DIRECTORY is not set, so there is no credential `{name}`: systemd sets it for a service with `LoadCredential=` or `LoadCredentialEncrypted=`"
    )]
    NoDirectory {
        /// The credential.
        name: String,
    },
    /// The credential's name is not one.
    #[error("`{name}` is not the name of a credential: it must be a plain file name")]
    BadName {
        /// The credential.
        name: String,
    },
    /// A file could not be read.
    #[error("the password file {path} cannot be read")]
    Unreadable {
        /// The file.
        path: String,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A directory, a pipe or the like.
    #[error("the password file {path} is not a regular file")]
    NotAFile {
        /// The file.
        path: String,
    },
    /// Group or others may read it.
    #[error(
        "the password file {path} may be read by others (mode {mode:03o}); say `chmod 600 {path}`"
    )]
    Exposed {
        /// The file.
        path: String,
        /// Its permission bits.
        mode: u32,
    },
    /// Somebody else could change it.
    #[error(
        "the password file {path} belongs to user {owner}; it must belong to root or to the user that spsfleet runs as"
    )]
    ForeignOwner {
        /// The file.
        path: String,
        /// Its owner's number.
        owner: u32,
    },
    /// The variable is not set, or not text.
    #[error("the environment variable {variable} holds no password")]
    NoVariable {
        /// The variable.
        variable: String,
    },
    /// The program is not there.
    #[error("the password command `{program}` is not a program that can be run")]
    NoProgram {
        /// The program.
        program: String,
    },
    /// The program did not run to its end.
    #[error("the password command failed")]
    Command(#[source] CommandError),
    /// The program ended with a failure.
    #[error(
        "the password command `{program}` {ended}; what it printed is not shown, since it may hold the password: run it by hand"
    )]
    CommandFailed {
        /// The program.
        program: String,
        /// How it ended.
        ended: String,
    },
    /// Nothing was read.
    #[error("the password from {source_name} is empty")]
    Empty {
        /// Where it comes from.
        source_name: String,
    },
    /// Not text, too long, or with characters that HTTP does not allow in a password.
    #[error("the password from {source_name} {fault}")]
    Unusable {
        /// Where it comes from.
        source_name: String,
        /// What is wrong.
        fault: &'static str,
    },
}

/// Says whether a password can be read, without keeping it. A command is looked for and not run.
///
/// `credentials_directory` is `$CREDENTIALS_DIRECTORY` where there is one.
///
/// # Errors
/// [`CredentialError`] with what is wrong and what to do.
pub fn check_source(
    source: &PasswordSource,
    credentials_directory: Option<&Path>,
) -> Result<(), CredentialError> {
    match source {
        PasswordSource::Command(words) => {
            let program = words.first().map_or("", String::as_str);
            if is_program(program) {
                Ok(())
            } else {
                Err(CredentialError::NoProgram { program: program.to_owned() })
            }
        }
        _ => read_now(source, credentials_directory).map(drop),
    }
}

/// Reads passwords.
#[derive(Clone)]
pub(crate) struct Credentials {
    pub(crate) runner: Arc<dyn CommandRunner>,
    pub(crate) directory: Option<PathBuf>,
}

impl Credentials {
    /// The password, anew each time. A command sees `env` besides `PATH`.
    pub(crate) async fn read(
        &self,
        source: &PasswordSource,
        env: &[(String, String)],
    ) -> Result<SecretString, CredentialError> {
        if let PasswordSource::Command(words) = source {
            return self.run(source, words, env).await;
        }
        let (asked, directory) = (source.clone(), self.directory.clone());
        let reading = tokio::task::spawn_blocking(move || read_now(&asked, directory.as_deref()));
        reading.await.unwrap_or_else(|_| {
            Err(CredentialError::Unusable {
                source_name: source.to_string(),
                fault: "could not be read",
            })
        })
    }

    async fn run(
        &self,
        source: &PasswordSource,
        words: &[String],
        env: &[(String, String)],
    ) -> Result<SecretString, CredentialError> {
        let program = words.first().cloned().unwrap_or_default();
        let command = Command { words: words.to_vec(), env: env.to_vec(), limit: COMMAND_LIMIT };
        let output = self.runner.run(&command, Box::new(|_| {})).await;
        let output = output.map_err(CredentialError::Command)?;
        let stdout = Zeroizing::new(output.stdout);
        if output.code != Some(0) {
            let ended = match output.code {
                Some(code) => format!("ended with exit code {code}"),
                None => "was ended by a signal".to_owned(),
            };
            // What it printed is shown nowhere: a helper that traces itself prints the password.
            return Err(CredentialError::CommandFailed { program, ended });
        }
        let first = stdout.split('\n').next().unwrap_or_default();
        password(source, first.strip_suffix('\r').unwrap_or(first))
    }
}

fn read_now(
    source: &PasswordSource,
    directory: Option<&Path>,
) -> Result<SecretString, CredentialError> {
    let text = match source {
        PasswordSource::Credential(name) => {
            if name.is_empty() || name == "." || name == ".." || name.contains('/') {
                return Err(CredentialError::BadName { name: name.clone() });
            }
            let Some(directory) = directory else {
                return Err(CredentialError::NoDirectory { name: name.clone() });
            };
            file(source, &directory.join(name), false)?
        }
        PasswordSource::File(path) => file(source, Path::new(path), true)?,
        PasswordSource::Env(variable) => Zeroizing::new(
            std::env::var(variable)
                .map_err(|_| CredentialError::NoVariable { variable: variable.clone() })?,
        ),
        PasswordSource::Command(_) => {
            return Err(unusable(source, "comes from a command"));
        }
    };
    let text = text.strip_suffix('\n').unwrap_or(&text);
    password(source, text.strip_suffix('\r').unwrap_or(text))
}

/// Reads a small file; a `guarded` one must be ours alone. Systemd guards its own.
fn file(
    source: &PasswordSource,
    path: &Path,
    guarded: bool,
) -> Result<Zeroizing<String>, CredentialError> {
    let shown = || path.display().to_string();
    let unreadable = |source| CredentialError::Unreadable { path: shown(), source };
    // Looked at before it is opened: opening a pipe would wait for its writer.
    if !path.metadata().map_err(unreadable)?.is_file() {
        return Err(CredentialError::NotAFile { path: shown() });
    }
    let file = File::open(path).map_err(unreadable)?;
    let facts = file.metadata().map_err(unreadable)?;
    if !facts.is_file() {
        return Err(CredentialError::NotAFile { path: shown() });
    }
    if guarded {
        let owner = facts.uid();
        if owner != 0 && owner != our_uid().map_err(unreadable)? {
            return Err(CredentialError::ForeignOwner { path: shown(), owner });
        }
        let mode = facts.mode() & 0o777;
        if mode & 0o077 != 0 {
            return Err(CredentialError::Exposed { path: shown(), mode });
        }
    }
    if facts.len() > LONGEST {
        return Err(unusable(source, "is longer than 64 KiB"));
    }
    // Room for all of it at once, so that no copy is left behind by growing.
    let room = usize::try_from(facts.len()).unwrap_or_default() + 1;
    let mut bytes = Zeroizing::new(Vec::with_capacity(room));
    file.take(LONGEST).read_to_end(&mut bytes).map_err(unreadable)?;
    match std::str::from_utf8(&bytes) {
        Ok(text) => Ok(Zeroizing::new(text.to_owned())),
        Err(_) => Err(unusable(source, "is not UTF-8 text")),
    }
}

/// Our own number as the system has it: this directory belongs to the effective user.
fn our_uid() -> io::Result<u32> {
    Ok(Path::new("/proc/self").metadata()?.uid())
}

fn password(source: &PasswordSource, text: &str) -> Result<SecretString, CredentialError> {
    if text.is_empty() {
        return Err(CredentialError::Empty { source_name: source.to_string() });
    }
    if text.chars().any(char::is_control) {
        // Basic authentication allows none (RFC 7617); a second line in the file is a mistake,
        // and sending it would only earn a refusal that counts.
        return Err(unusable(source, "holds control characters or more than one line"));
    }
    Ok(SecretString::from(text))
}

fn unusable(source: &PasswordSource, fault: &'static str) -> CredentialError {
    CredentialError::Unusable { source_name: source.to_string(), fault }
}

fn is_program(program: &str) -> bool {
    let runs = |path: &Path| {
        path.metadata().is_ok_and(|facts| facts.is_file() && facts.mode() & 0o111 != 0)
    };
    if program.contains('/') {
        return runs(Path::new(program));
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    !program.is_empty() && std::env::split_paths(&path).any(|dir| runs(&dir.join(program)))
}
