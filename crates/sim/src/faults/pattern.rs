//! Which requests something is about.

use serde::{Deserialize, Serialize};

/// A method and a path, such as `DELETE /api/firmware/fetch/{key}`. `*` is any method or any
/// path, a segment in braces is any one segment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Pattern {
    method: String,
    path: String,
}

/// Why a text is no pattern.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` names no request: write a method and a path, such as `GET /api/info` or `POST *`")]
pub struct InvalidPattern(String);

impl Pattern {
    /// Reads `METHOD PATH`; nothing when the text is not of that form.
    #[must_use]
    pub fn read(text: &str) -> Option<Self> {
        let (method, path) = text.trim().split_once(' ')?;
        let path = path.trim();
        let method_ok = method == "*" || method.bytes().all(|byte| byte.is_ascii_uppercase());
        let path_ok = path == "*" || path.starts_with('/');
        (method_ok && path_ok && !method.is_empty())
            .then(|| Self { method: method.to_owned(), path: path.to_owned() })
    }

    /// Whether a request is meant.
    #[must_use]
    pub fn fits(&self, method: &str, path: &str) -> bool {
        fits(&self.method, &self.path, method, path)
    }
}

/// Whether a method and path are meant by those of a pattern.
pub(crate) fn fits(wanted_method: &str, wanted_path: &str, method: &str, path: &str) -> bool {
    if wanted_method != "*" && wanted_method != method {
        return false;
    }
    if wanted_path == "*" || wanted_path == path {
        return true;
    }
    if !wanted_path.contains('{') {
        return false;
    }
    let (mut wanted, mut given) = (wanted_path.split('/'), path.split('/'));
    loop {
        match (wanted.next(), given.next()) {
            (None, None) => return true,
            (Some(want), Some(have))
                if want == have
                    || (want.starts_with('{') && want.ends_with('}') && !have.is_empty()) => {}
            _ => return false,
        }
    }
}

impl TryFrom<String> for Pattern {
    type Error = InvalidPattern;
    fn try_from(text: String) -> Result<Self, Self::Error> {
        Self::read(&text).ok_or(InvalidPattern(text))
    }
}

impl From<Pattern> for String {
    fn from(pattern: Pattern) -> Self {
        format!("{} {}", pattern.method, pattern.path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_fit_by_method_path_and_segment() {
        let fits = |pattern: &str, method, path| {
            Pattern::read(pattern).expect("a pattern").fits(method, path)
        };
        assert!(fits("GET /api/info", "GET", "/api/info"));
        assert!(!fits("GET /api/info", "POST", "/api/info"));
        assert!(fits("* *", "POST", "/api/info"));
        assert!(fits("GET /api/firmware/slots/{key}", "GET", "/api/firmware/slots/2"));
        assert!(!fits("GET /api/firmware/slots/{key}", "GET", "/api/firmware/slots"));
        assert!(!fits("GET /api/firmware/slots/{key}", "GET", "/api/firmware/slots/2/x"));
        assert!(Pattern::read("upgrade").is_none());
    }
}
