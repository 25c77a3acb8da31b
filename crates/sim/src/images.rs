//! Firmware images: what is known of them, and how a version is read from one.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use model::digest::Sha256Hex;

/// How a small image says which firmware it is: its first line is this, a space and the version.
pub const IMAGE_HEADER: &str = "SPS-FIRMWARE";

/// The longest first line that is looked at.
pub(crate) const HEAD_BYTES: usize = 128;

/// An image that appliances may fetch or be sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SimImage {
    /// The firmware in it.
    pub version: String,
    /// Its size in bytes.
    pub size: u64,
    /// Its sum.
    pub sha256: Sha256Hex,
}

impl SimImage {
    /// An image that exists only by description: its sum is made up from version and size.
    #[must_use]
    pub fn described(version: &str, size: u64) -> Self {
        let sha256 = Sha256Hex::of(format!("{IMAGE_HEADER} {version} of {size} bytes").as_bytes());
        Self { version: version.to_owned(), size, sha256 }
    }

    /// The bytes of a real small image of this version, at least `size` of them.
    #[must_use]
    pub fn bytes(version: &str, size: usize) -> Vec<u8> {
        let mut bytes = format!("{IMAGE_HEADER} {version}\n").into_bytes();
        let line = b"This is a simulated firmware image. It starts nothing.\n";
        while bytes.len() < size {
            bytes.extend_from_slice(line);
        }
        bytes
    }

    /// Describes real bytes.
    #[must_use]
    pub fn of_bytes(version: &str, bytes: &[u8]) -> Self {
        Self { version: version.to_owned(), size: bytes.len() as u64, sha256: Sha256Hex::of(bytes) }
    }
}

/// The version that an image's first bytes state.
#[must_use]
pub fn version_in_header(head: &[u8]) -> Option<String> {
    let line = head.get(..head.len().min(HEAD_BYTES))?.split(|byte| *byte == b'\n').next()?;
    let text = std::str::from_utf8(line).ok()?;
    let version = text.strip_prefix(IMAGE_HEADER)?.trim();
    (!version.is_empty()).then(|| version.to_owned())
}

/// What the simulator knows of images: by URL or path for transfers in virtual time, by sum for
/// real bytes without a header.
#[derive(Debug, Clone, Default)]
pub struct Images(Arc<Mutex<Known>>);

#[derive(Debug, Default)]
struct Known {
    by_place: BTreeMap<String, SimImage>,
    by_sum: BTreeMap<Sha256Hex, String>,
    any: Option<String>,
}

impl Images {
    fn with<T>(&self, look: impl FnOnce(&mut Known) -> T) -> T {
        look(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Lets `place` (a URL, or the path of an upload) be this image in virtual time.
    pub fn offer(&self, place: &str, image: SimImage) {
        self.with(|known| {
            known.by_sum.insert(image.sha256.clone(), image.version.clone());
            known.by_place.insert(place.to_owned(), image);
        });
    }

    /// Takes an image away again; fetching it then fails.
    pub fn withdraw(&self, place: &str) {
        self.with(|known| known.by_place.remove(place));
    }

    /// Says which version bytes with this sum are.
    pub fn name_sum(&self, sha256: Sha256Hex, version: &str) {
        self.with(|known| known.by_sum.insert(sha256, version.to_owned()));
    }

    /// Says which version any other bytes without a header are.
    pub fn name_any(&self, version: &str) {
        self.with(|known| known.any = Some(version.to_owned()));
    }

    pub(crate) fn at(&self, place: &str) -> Option<SimImage> {
        self.with(|known| known.by_place.get(place).cloned())
    }

    /// The version of some bytes: by header, by sum, or the one for all.
    pub(crate) fn version(&self, head: &[u8], sha256: &Sha256Hex) -> Option<String> {
        version_in_header(head)
            .or_else(|| self.with(|known| known.by_sum.get(sha256).or(known.any.as_ref()).cloned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_is_read_from_header_then_sum_then_default() {
        let images = Images::default();
        let bytes = SimImage::bytes("7.5.1", 4096);
        assert!(bytes.len() >= 4096);
        let other = Sha256Hex::of(b"iso");
        assert_eq!(images.version(&bytes, &Sha256Hex::of(&bytes)).as_deref(), Some("7.5.1"));
        assert_eq!(images.version(b"iso", &other), None);
        images.name_any("7.0.5");
        assert_eq!(images.version(b"iso", &other).as_deref(), Some("7.0.5"));
        images.name_sum(other.clone(), "7.5.2");
        assert_eq!(images.version(b"iso", &other).as_deref(), Some("7.5.2"));
    }
}
