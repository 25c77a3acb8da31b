//! Looks at the files that a plan needs: the image, CAs, passwords.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use model::fleet::{Appliance, PasswordSource};
use model::{Chain, Sha256Hex};
use planner::{Facts, FileFact, FileKind, FileWanted};
use sha2::{Digest, Sha256};

/// Looks at each file. Blocks: an image of some gigabytes is read whole.
pub(crate) fn gather(wanted: &[FileWanted], credentials: Option<&Path>) -> Facts {
    let mut facts = Facts::new();
    for FileWanted { kind, path, .. } in wanted {
        let looked = match kind {
            FileKind::Ca => ca(path),
            FileKind::Image => image(path),
            FileKind::PasswordFile => password(&PasswordSource::File(path.clone()), credentials),
            FileKind::Credential => {
                password(&PasswordSource::Credential(path.clone()), credentials)
            }
        };
        let fact =
            looked.unwrap_or_else(|error| FileFact { error: Some(error), ..FileFact::default() });
        facts.insert(*kind, path, fact);
    }
    facts
}

/// What is wrong with passwords that come from variables and programs, each said once. A program
/// is looked for and not run.
pub(crate) fn missing_passwords<'a>(
    appliances: impl IntoIterator<Item = &'a Appliance>,
    credentials: Option<&Path>,
) -> Vec<String> {
    let mut sources: Vec<&PasswordSource> = appliances
        .into_iter()
        .map(|appliance| &appliance.endpoint.login.password)
        .filter(|source| matches!(source, PasswordSource::Env(_) | PasswordSource::Command(_)))
        .collect();
    sources.sort();
    sources.dedup();
    let look = |source: &PasswordSource| sps::check_source(source, credentials).err();
    sources.into_iter().filter_map(look).map(|error| Chain(&error).to_string()).collect()
}

fn ca(path: &str) -> Result<FileFact, String> {
    const LONGEST: u64 = 4 << 20;
    let mut text = Vec::new();
    let size = open(path)?.take(LONGEST).read_to_end(&mut text).map_err(|e| e.to_string())?;
    sps::check_ca(&text)?;
    Ok(FileFact { error: None, size: size as u64, sha256: None })
}

fn image(path: &str) -> Result<FileFact, String> {
    const PIECE: usize = 1 << 20;
    let mut file = open(path)?;
    let mut sum = Sha256::new();
    let mut size = 0;
    let mut buffer = vec![0; PIECE];
    loop {
        let length = match file.read(&mut buffer) {
            Ok(0) => break,
            Ok(length) => length,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error.to_string()),
        };
        sum.update(buffer.get(..length).unwrap_or_default());
        size += length as u64;
    }
    Ok(FileFact { error: None, size, sha256: Some(Sha256Hex::from_bytes(&sum.finalize())) })
}

fn password(source: &PasswordSource, credentials: Option<&Path>) -> Result<FileFact, String> {
    sps::check_source(source, credentials).map_err(|error| Chain(&error).to_string())?;
    Ok(FileFact::default())
}

/// Opens a regular file; opening a pipe would wait for its writer.
fn open(path: &str) -> Result<File, String> {
    let facts = std::fs::metadata(path).map_err(|error| plainly(&error))?;
    if !facts.is_file() {
        return Err("it is not a regular file".to_owned());
    }
    File::open(path).map_err(|error| plainly(&error))
}

/// An error of the system without its number.
pub(crate) fn plainly(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::NotFound => "no such file".to_owned(),
        io::ErrorKind::PermissionDenied => "no permission to read it".to_owned(),
        _ => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(content: &[u8]) -> (tempfile::TempDir, String) {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("file");
        std::fs::write(&path, content).expect("written");
        let path = path.to_str().expect("text").to_owned();
        (dir, path)
    }

    #[test]
    fn an_image_has_size_and_sum() {
        let content = vec![7; (3 << 20) + 1];
        let (_dir, path) = file(&content);
        let fact = image(&path).expect("read");
        assert_eq!(fact.size, content.len() as u64);
        assert_eq!(fact.sha256, Some(Sha256Hex::of(&content)));
    }

    #[test]
    fn what_cannot_be_used_says_why() {
        assert_eq!(image("/nonexistent/image"), Err("no such file".to_owned()));
        assert_eq!(image("/dev/null"), Err("it is not a regular file".to_owned()));
        let (_dir, path) = file(b"no certificate");
        assert_eq!(ca(&path), Err("there is no PEM certificate in it".to_owned()));
    }
}
