//! Numbers and times in words.

use jiff::{SignedDuration, Timestamp};

/// Bytes, as people write them: `1.5 GB`.
pub(crate) fn bytes(count: u64) -> String {
    const UNITS: [(u64, &str); 4] =
        [(1_000_000_000_000, "TB"), (1_000_000_000, "GB"), (1_000_000, "MB"), (1_000, "kB")];
    match UNITS.iter().find(|(size, _)| count >= *size) {
        Some((size, unit)) => {
            let tenths = count / (size / 10);
            format!("{}.{} {unit}", tenths / 10, tenths % 10)
        }
        None => format!("{count} bytes"),
    }
}

/// A duration to its two largest units: `1h 30m`, `4.2s`.
pub(crate) fn duration(duration: SignedDuration) -> String {
    let seconds = duration.as_secs().max(0);
    let (days, hours) = (seconds / 86_400, seconds / 3_600 % 24);
    let (minutes, rest) = (seconds / 60 % 60, seconds % 60);
    let two = |a: i64, unit_a: &str, b: i64, unit_b: &str| {
        if b == 0 { format!("{a}{unit_a}") } else { format!("{a}{unit_a} {b}{unit_b}") }
    };
    match (days, hours, minutes) {
        (1.., ..) => two(days, "d", hours, "h"),
        (_, 1.., _) => two(hours, "h", minutes, "m"),
        (_, _, 1..) => two(minutes, "m", rest, "s"),
        _ if seconds < 10 => {
            let tenths = (duration.as_millis().max(0) + 50) / 100;
            format!("{}.{}s", tenths / 10, tenths % 10)
        }
        _ => format!("{seconds}s"),
    }
}

/// A moment in the journal's words: RFC 3339 in UTC, to the second.
pub(crate) fn moment(at: Timestamp) -> String {
    format!("{at:.0}")
}

/// A moment on a zone's wall clock, to the minute: `2026-12-20 06:00 Europe/Amsterdam`.
pub(crate) fn local(at: Timestamp, zone: &str) -> String {
    let (tz, zone) = match jiff::tz::TimeZone::get(zone) {
        Ok(tz) => (tz, zone),
        Err(_) => (jiff::tz::TimeZone::UTC, "UTC"),
    };
    format!("{} {zone}", at.to_zoned_datetime(tz).strftime("%Y-%m-%d %H:%M"))
}

/// A moment on a zone's wall clock in few letters: `Sat 28 Nov 22:00`.
pub(crate) fn short_local(at: Timestamp, zone: &str) -> String {
    let zone = jiff::tz::TimeZone::get(zone).unwrap_or(jiff::tz::TimeZone::UTC);
    at.to_zoned_datetime(zone).strftime("%a %e %b %H:%M").to_string()
}

/// The time of day where we are, for lines of a live run.
pub(crate) fn time_of_day(at: Timestamp) -> String {
    at.to_zoned_datetime(jiff::tz::TimeZone::system()).strftime("%H:%M:%S").to_string()
}

/// `1 appliance`, `2 appliances`.
pub(crate) fn count(number: usize, noun: &str) -> String {
    if number == 1 { format!("1 {noun}") } else { format!("{number} {noun}s") }
}

/// `1 session open`, `12 sessions open`.
pub(crate) fn sessions(number: u64) -> String {
    format!("{} open", count(usize::try_from(number).unwrap_or(usize::MAX), "session"))
}

/// A check of health with both values: `disk 41 % -> 44 %`, or `disk 41 %` when it is the same.
pub(crate) fn check(check: &model::observed::HealthCheck) -> String {
    let text = |value: &Option<String>| value.clone().unwrap_or_else(|| "unknown".to_owned());
    let (before, after) = (text(&check.before), text(&check.after));
    if before == after {
        format!("{} {after}", check.name)
    } else {
        format!("{} {before} -> {after}", check.name)
    }
}

/// Who let which wave's successor start, and why.
pub(crate) fn approval(approval: &control::wire::ApprovalView) -> String {
    let reason = match approval.reason.as_str() {
        "" => String::new(),
        reason => format!(" ({reason})"),
    };
    format!("wave {} by {} at {}{reason}", approval.wave, approval.by, moment(approval.at))
}

/// The first names, and how many more there are.
pub(crate) fn names<'a>(all: impl IntoIterator<Item = &'a str>, shown: usize) -> String {
    let all: Vec<&str> = all.into_iter().collect();
    let more = all.len().saturating_sub(shown);
    let first = all.iter().take(shown).copied().collect::<Vec<_>>().join(", ");
    if more == 0 { first } else { format!("{first} and {more} more") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_in_words() {
        assert_eq!(bytes(999), "999 bytes");
        assert_eq!(bytes(1_521_614_848), "1.5 GB");
        assert_eq!(bytes(65_536), "65.5 kB");
    }

    #[test]
    fn durations_in_words() {
        let words = |millis| duration(SignedDuration::from_millis(millis));
        assert_eq!(words(0), "0.0s");
        assert_eq!(words(4_230), "4.2s");
        assert_eq!(words(42_900), "42s");
        assert_eq!(words(60_000), "1m");
        assert_eq!(words(5_400_000), "1h 30m");
        assert_eq!(words(90_000_000), "1d 1h");
        assert_eq!(words(-5), "0.0s");
    }

    #[test]
    fn long_lists_are_cut() {
        assert_eq!(names(["a", "b"], 3), "a, b");
        assert_eq!(names(["a", "b", "c"], 2), "a, b and 1 more");
    }
}
