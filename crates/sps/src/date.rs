//! Dates and delays in HTTP headers.

use std::time::Duration;

use http::HeaderMap;
use http::header::{DATE, RETRY_AFTER};
use jiff::{SignedDuration, Timestamp};

const SHORTEST: Duration = Duration::from_secs(1);
const LONGEST: Duration = Duration::from_secs(60);

/// `Retry-After`, in seconds or as a date, clamped to 1 s to 60 s.
pub(crate) fn retry_after(headers: &HeaderMap, now: Timestamp) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    let wait = if !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit()) {
        text.parse().map_or(LONGEST, Duration::from_secs)
    } else {
        let until = date(text)?.duration_since(now);
        Duration::try_from(until).unwrap_or_default()
    };
    Some(wait.clamp(SHORTEST, LONGEST))
}

/// How far the server's clock is ahead of ours, by its `Date`.
pub(crate) fn skew(headers: &HeaderMap, now: Timestamp) -> Option<SignedDuration> {
    Some(date(headers.get(DATE)?.to_str().ok()?)?.duration_since(now))
}

fn date(text: &str) -> Option<Timestamp> {
    jiff::fmt::rfc2822::DateTimeParser::new().parse_timestamp(text).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    fn at(name: http::HeaderName, value: &str) -> HeaderMap {
        HeaderMap::from_iter([(name, HeaderValue::from_str(value).expect("a value"))])
    }

    #[test]
    fn retry_after_is_clamped() {
        let now: Timestamp = "2026-11-24T08:00:00Z".parse().expect("a time");
        for (text, seconds) in [
            ("0", Some(1)),
            ("7", Some(7)),
            ("3600", Some(60)),
            ("99999999999999999999999", Some(60)),
            ("Tue, 24 Nov 2026 08:00:30 GMT", Some(30)),
            ("Tue, 24 Nov 2026 07:00:00 GMT", Some(1)),
            ("Tue, 24 Nov 2027 07:00:00 GMT", None),
            ("soon", None),
            ("-5", None),
            ("", None),
        ] {
            let found = retry_after(&at(RETRY_AFTER, text), now).map(|wait| wait.as_secs());
            assert_eq!(found, seconds, "{text}");
        }
    }

    #[test]
    fn skew_is_the_servers_date_against_ours() {
        let now: Timestamp = "2026-11-24T08:00:00Z".parse().expect("a time");
        let skew = skew(&at(DATE, "Tue, 24 Nov 2026 08:10:00 GMT"), now);
        assert_eq!(skew, Some(SignedDuration::from_mins(10)));
    }
}
