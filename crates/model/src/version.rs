//! Firmware versions: numeric parts, ordered by number. Not semver: maintenance releases have
//! four parts, such as 7.0.5.1 (sps-api.md, "Slots").

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A firmware version such as `7.5.1` or `7.0.5.1`.
///
/// Two versions are equal when their texts are; `7.5.1` is older than `7.5.1.0`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct FirmwareVersion(Vec<u32>);

/// Why a text is not a firmware version.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{text}` is not a firmware version: three or four numbers with dots between, such as 7.5.1 or 7.0.5.1"
)]
pub struct InvalidVersion {
    /// The text that was given.
    pub text: String,
}

impl FirmwareVersion {
    /// Reads a version that a person wrote: three or four parts.
    ///
    /// # Errors
    /// [`InvalidVersion`] for anything else.
    pub fn parse(text: &str) -> Result<Self, InvalidVersion> {
        let version = Self::observed(text)?;
        if (3..=4).contains(&version.0.len()) { Ok(version) } else { Err(invalid(text)) }
    }

    /// Reads a version that an appliance reported: any number of numeric parts, trimmed.
    ///
    /// # Errors
    /// [`InvalidVersion`] when a part is not a number.
    pub fn observed(text: &str) -> Result<Self, InvalidVersion> {
        let part = |part: &str| {
            let digits = !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
            let padded = part.len() > 1 && part.starts_with('0');
            if digits && !padded { part.parse::<u32>().ok() } else { None }
        };
        let parts: Option<Vec<u32>> = text.trim().split('.').map(part).collect();
        parts.map(Self).ok_or_else(|| invalid(text))
    }
}

fn invalid(text: &str) -> InvalidVersion {
    InvalidVersion { text: text.chars().take(80).collect() }
}

impl fmt::Display for FirmwareVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text: Vec<String> = self.0.iter().map(u32::to_string).collect();
        f.pad(&text.join("."))
    }
}

impl fmt::Debug for FirmwareVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for FirmwareVersion {
    type Err = InvalidVersion;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::parse(text)
    }
}

impl TryFrom<String> for FirmwareVersion {
    type Error = InvalidVersion;
    fn try_from(text: String) -> Result<Self, Self::Error> {
        Self::observed(&text)
    }
}

impl From<FirmwareVersion> for String {
    fn from(version: FirmwareVersion) -> Self {
        version.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn v(text: &str) -> FirmwareVersion {
        FirmwareVersion::parse(text).expect("a version")
    }

    #[test]
    fn orders_by_number_with_three_and_four_parts() {
        let sorted = ["6.0.12", "7.0.5", "7.0.5.1", "7.0.5.2", "7.0.10", "7.5.1", "8.0.0"];
        assert!(sorted.windows(2).all(|pair| v(pair[0]) < v(pair[1])));
        assert_ne!(v("7.5.1"), v("7.5.1.0"));
    }

    #[test]
    fn refuses_what_is_no_version() {
        for bad in [
            "",
            "7",
            "7.5",
            "7.5.1.2.3",
            "7.5.x",
            "7..1",
            "v7.5.1",
            "7.5.1-rc",
            "07.5.1",
            "7.5.99999999999",
            "+7.5.1",
        ] {
            assert!(FirmwareVersion::parse(bad).is_err(), "{bad}");
        }
        assert_eq!(FirmwareVersion::observed(" 7.5.1\n"), Ok(v("7.5.1")));
    }
}
