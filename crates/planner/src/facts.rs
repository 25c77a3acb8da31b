//! What the planner wants to know of the world, and what it is told.

use std::collections::BTreeMap;

use model::Sha256Hex;
use model::plan::Warning;

use crate::fault::Faults;
use crate::select::some;
use crate::source::{Place, Span};
use crate::warn::warning;

/// The kind of a file that is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum FileKind {
    /// A CA certificate: must be readable and hold at least one certificate.
    Ca,
    /// The firmware image: its size and SHA-256 are wanted.
    Image,
    /// A password: must be owned by us or root, and closed to group and others.
    PasswordFile,
    /// A systemd credential: the file of this name in `$CREDENTIALS_DIRECTORY`.
    Credential,
}

impl FileKind {
    fn what(self) -> &'static str {
        match self {
            Self::Ca => "the CA file",
            Self::Image => "the firmware image",
            Self::PasswordFile => "the password file",
            Self::Credential => "the credential",
        }
    }

    fn code(self) -> &'static str {
        match self {
            Self::Ca => "ca-file",
            Self::Image => "image-file",
            Self::PasswordFile => "password-file",
            Self::Credential => "credential",
        }
    }
}

/// A file to look at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileWanted {
    /// What it is for.
    pub kind: FileKind,
    /// Its absolute path; of a credential its name.
    pub path: String,
    /// Where it is first named.
    pub place: Place,
}

/// What was found of a file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FileFact {
    /// Why it cannot be used, such as "no such file"; `None` when it can.
    pub error: Option<String>,
    /// Its size in bytes.
    pub size: u64,
    /// The SHA-256 of its content; needed of the image only.
    pub sha256: Option<Sha256Hex>,
}

/// All that was found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Facts {
    looked: bool,
    files: BTreeMap<(FileKind, String), FileFact>,
}

impl Facts {
    /// Nobody looked at any file: they are not faults, but the plan says so.
    #[must_use]
    pub fn not_looked_at() -> Self {
        Self::default()
    }

    /// The files were looked at; what was found is to be [inserted](Self::insert).
    #[must_use]
    pub fn new() -> Self {
        Self { looked: true, files: BTreeMap::new() }
    }

    /// Tells what was found of a file. A wanted file that nothing is told of is warned about.
    pub fn insert(&mut self, kind: FileKind, path: &str, fact: FileFact) {
        self.files.insert((kind, path.to_owned()), fact);
    }

    pub(crate) fn of(&self, kind: FileKind, path: &str) -> Option<&FileFact> {
        self.files.get(&(kind, path.to_owned()))
    }

    /// Faults of the files that were looked at, and one warning about the others.
    pub(crate) fn judge(
        &self,
        wanted: &[(FileKind, String, Span)],
        faults: &mut Faults,
    ) -> Vec<Warning> {
        let mut unseen = Vec::new();
        for (kind, path, span) in wanted {
            let Some(fact) = self.of(*kind, path) else {
                unseen.push(format!("{} {path}", kind.what()));
                continue;
            };
            let error = match &fact.error {
                Some(error) => error.as_str(),
                None if *kind == FileKind::Image && fact.size == 0 => "it is empty",
                None => continue,
            };
            faults
                .add(
                    kind.code(),
                    *span,
                    format!("{} `{path}` cannot be used: {error}", kind.what()),
                )
                .label("named here");
        }
        if unseen.is_empty() {
            return Vec::new();
        }
        let text = if self.looked {
            format!("it is not known whether these can be used: {}", some(&unseen))
        } else {
            format!(
                "no file was looked at, so it is not known whether these can be used: {}",
                some(&unseen)
            )
        };
        vec![warning("not-looked-at", text)]
    }
}
