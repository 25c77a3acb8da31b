//! SHA-256 sums as text.

use std::fmt;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// A SHA-256 sum: 64 lower-case hexadecimal digits.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Sha256Hex(String);

/// Why a text is not a SHA-256 sum.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a SHA-256 sum has 64 hexadecimal digits; this has {length} characters{}", if *.other { ", some of them no hexadecimal digits" } else { "" })]
pub struct InvalidSum {
    /// How many characters were given.
    pub length: usize,
    /// Whether some were no hexadecimal digits.
    pub other: bool,
}

impl Sha256Hex {
    /// Reads a sum; upper-case digits are taken too.
    ///
    /// # Errors
    /// [`InvalidSum`] when it has not 64 hexadecimal digits.
    pub fn parse(text: &str) -> Result<Self, InvalidSum> {
        let length = text.chars().count();
        let other = !text.bytes().all(|b| b.is_ascii_hexdigit());
        if length == 64 && !other {
            Ok(Self(text.to_ascii_lowercase()))
        } else {
            Err(InvalidSum { length, other })
        }
    }

    /// The sum of some bytes.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        Self::from_bytes(&Sha256::digest(bytes))
    }

    /// A sum from its 32 bytes.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Self {
        Self(bytes.iter().map(|b| format!("{b:02x}")).collect())
    }

    /// The 64 digits.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Sha256Hex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl fmt::Debug for Sha256Hex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl TryFrom<String> for Sha256Hex {
    type Error = InvalidSum;
    fn try_from(text: String) -> Result<Self, Self::Error> {
        Self::parse(&text)
    }
}

impl From<Sha256Hex> for String {
    fn from(sum: Sha256Hex) -> Self {
        sum.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_and_makes_sums() {
        let empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        assert_eq!(Sha256Hex::of(b"").as_str(), empty);
        assert_eq!(Sha256Hex::parse(&empty.to_uppercase()), Ok(Sha256Hex::of(b"")));
        assert!(Sha256Hex::parse(&empty[1..]).is_err());
        assert!(Sha256Hex::parse(&empty.replace('e', "g")).is_err());
    }
}
