//! Names and keys: strings that cannot be mixed up.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// Why a text is not a name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{text}` is not a name: a name starts with a lower-case letter or digit, goes on with lower-case letters, digits, `.`, `_` or `-`, and has at most 63 characters"
)]
pub struct InvalidName {
    /// The text that was given.
    pub text: String,
}

fn is_name(text: &str) -> bool {
    let mut bytes = text.bytes();
    let first_ok = bytes.next().is_some_and(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
    first_ok
        && text.len() <= 63
        && bytes.all(|b| {
            b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'.' | b'_' | b'-')
        })
}

macro_rules! text {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(Arc<str>);

        impl $name {
            /// The text itself.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.0)
            }
        }
        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Debug::fmt(&self.0, f)
            }
        }
        impl std::borrow::Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }
    };
}

macro_rules! name {
    ($(#[$doc:meta])* $name:ident) => {
        text! { $(#[$doc])* $name }

        impl $name {
            /// Checks a text.
            ///
            /// # Errors
            /// [`InvalidName`] when it breaks the rule for names.
            pub fn new(text: &str) -> Result<Self, InvalidName> {
                if is_name(text) {
                    Ok(Self(text.into()))
                } else {
                    Err(InvalidName { text: text.to_owned() })
                }
            }
        }
    };
}

macro_rules! key {
    ($(#[$doc:meta])* $name:ident) => {
        text! { $(#[$doc])* $name }

        impl $name {
            /// Takes the text as it is.
            #[must_use]
            pub fn new(text: &str) -> Self {
                Self(text.into())
            }
        }
    };
}

name! { /** An appliance: what answers at one management address. */ ApplianceName }
name! { /** A site: where appliances are. */ SiteName }
name! { /** A redundancy group: appliances that stand in for one another. */ GroupName }
name! { /** A central cluster. */ ClusterName }
name! { /** A wave of a rollout. */ WaveName }
name! { /** A rollout, as its file names it. */ RolloutName }

key! { /** One run of a rollout in a journal. */ RolloutId }
key! { /** A firmware slot's `key`, taken verbatim (sps-api.md, "Slots"). */ SlotKey }
key! { /** A fetch job's `key` (sps-api.md, "Fetch"). */ FetchKey }
key! { /** Which login definition: user name and where its password comes from; no secret. */ CredentialId }

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_follow_the_rule() {
        for good in ["a", "7", "ams-1", "a.b_c-d", &"x".repeat(63)] {
            assert!(ApplianceName::new(good).is_ok(), "{good}");
        }
        for bad in ["", "-a", ".a", "Ams", "a b", "ä", "a/b", &"x".repeat(64)] {
            assert!(ApplianceName::new(bad).is_err(), "{bad}");
        }
    }
}
