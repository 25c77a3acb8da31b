//! Durations as people write them: `90s`, `30m`, `2h`, `7d`, `1h 30m`.

use jiff::SignedDuration;

use crate::reader::Bad;

/// The units, largest first; each at most once and in this order.
const UNITS: [(&str, i64); 5] =
    [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)];

/// Longer than any rollout; keeps all sums far from their limits.
const LONGEST: i64 = 3_660 * 86_400_000;

/// Reads a duration of more than nothing.
pub(crate) fn parse(text: &str) -> Result<SignedDuration, Bad> {
    match parse_or_none(text)? {
        SignedDuration::ZERO => Err(Bad::new("zero", "a duration of nothing; give more than 0")),
        duration => Ok(duration),
    }
}

/// Reads a duration where nothing at all is a choice: `0` needs no unit.
pub(crate) fn parse_or_none(text: &str) -> Result<SignedDuration, Bad> {
    let trimmed = text.trim();
    if trimmed == "0" {
        return Ok(SignedDuration::ZERO);
    }
    if !trimmed.is_empty() && trimmed.bytes().all(|b| b.is_ascii_digit()) {
        return Err(unreadable(text).help(format!("with a unit: `{trimmed}s`, `{trimmed}m`, …")));
    }
    let mut rest = trimmed;
    let mut units = UNITS.iter();
    let mut total: i64 = 0;
    while !rest.is_empty() {
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        let (number, after) = rest.split_at_checked(digits).ok_or_else(|| unreadable(text))?;
        let letters = after.bytes().take_while(u8::is_ascii_alphabetic).count();
        let (unit, after) = after.split_at_checked(letters).ok_or_else(|| unreadable(text))?;
        let (_, factor) = units.find(|(name, _)| *name == unit).ok_or_else(|| unreadable(text))?;
        let part = number.parse::<i64>().ok().and_then(|number| number.checked_mul(*factor));
        total = part
            .and_then(|part| total.checked_add(part))
            .filter(|total| *total <= LONGEST)
            .ok_or_else(|| Bad::new("bad-duration", format!("`{text}` is longer than ten years")))
            .map_err(|bad| if number.is_empty() { unreadable(text) } else { bad })?;
        rest = after.trim_start();
    }
    if trimmed.is_empty() { Err(unreadable(text)) } else { Ok(SignedDuration::from_millis(total)) }
}

fn unreadable(text: &str) -> Bad {
    Bad::new("bad-duration", format!("`{text}` is not a duration"))
        .help("such as 90s, 30m, 2h, 7d or 1h 30m")
}

/// A duration as people write it.
pub(crate) fn show(duration: SignedDuration) -> String {
    let mut rest = i64::try_from(duration.as_millis()).unwrap_or(LONGEST);
    let mut parts = Vec::new();
    for (name, factor) in UNITS {
        if rest / factor > 0 {
            parts.push(format!("{}{name}", rest / factor));
            rest %= factor;
        }
    }
    if parts.is_empty() { "0s".to_owned() } else { parts.join(" ") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read() {
        for (text, seconds, shown) in [
            ("90s", 90, "1m 30s"),
            ("30m", 1_800, "30m"),
            ("2h", 7_200, "2h"),
            ("7d", 604_800, "7d"),
            ("1h 30m", 5_400, "1h 30m"),
            ("1h30m", 5_400, "1h 30m"),
            (" 1d 1s ", 86_401, "1d 1s"),
            ("0h 5s", 5, "5s"),
        ] {
            let duration = parse(text).unwrap_or_else(|bad| panic!("{text}: {bad:?}"));
            assert_eq!(duration.as_secs(), seconds, "{text}");
            assert_eq!(show(duration), shown);
            assert_eq!(parse(shown), Ok(duration));
        }
        assert_eq!(parse("250ms"), Ok(SignedDuration::from_millis(250)));
        assert_eq!(parse_or_none("0"), Ok(SignedDuration::ZERO));
        assert_eq!(show(SignedDuration::ZERO), "0s");
    }

    #[test]
    fn what_is_no_duration_is_refused() {
        for text in [
            "",
            " ",
            "s",
            "5",
            "5x",
            "1.5h",
            "-5s",
            "5 s",
            "5s 1h",
            "5s 5s",
            "1h 30",
            "2y",
            "PT5S",
            "5S",
            "99999999999999999999s",
            "9999999999d",
            "5s,",
            "½h",
            "1hour",
        ] {
            assert_eq!(parse(text).map_err(|bad| bad.code), Err("bad-duration"), "{text}");
        }
        for text in ["0", "0s", "0h 0m"] {
            assert_eq!(parse(text).map_err(|bad| bad.code), Err("zero"), "{text}");
        }
    }
}
