//! Windows and freezes: when an appliance may go down. They are in local time of a site, so they
//! hold no instants.

use jiff::civil::{Date, DateTime, Time, Weekday};
use model::calendar::{Close, Freeze, Window};

use crate::reader::{Bad, Reader};
use crate::source::{At, Field, Span};
use crate::tree::{Node, Value};

const DAYS: [(&str, Weekday); 7] = [
    ("mon", Weekday::Monday),
    ("tue", Weekday::Tuesday),
    ("wed", Weekday::Wednesday),
    ("thu", Weekday::Thursday),
    ("fri", Weekday::Friday),
    ("sat", Weekday::Saturday),
    ("sun", Weekday::Sunday),
];

/// Reads a list of windows; a list that is not there is an empty one.
pub(crate) fn windows(reader: &mut Reader<'_>, node: &Node<'_>) -> Option<At<Vec<Window>>> {
    let span = reader.span(node);
    let value = reader.each(node, "`windows`", |reader, node| match node.value {
        Value::Map(_) => once(reader, node),
        _ => reader.parse(node, "a window", weekly).map(|at| at.value),
    })?;
    Some(At { value, span })
}

/// Reads a list of freezes.
pub(crate) fn freezes(reader: &mut Reader<'_>, node: &Node<'_>) -> Option<At<Vec<Freeze>>> {
    let span = reader.span(node);
    Some(At { value: reader.each(node, "`freezes`", freeze)?, span })
}

/// Whether a list of them holds any.
pub(crate) fn given<T>(list: &Field<Vec<T>>) -> Option<Span> {
    list.given().filter(|at| !at.value.is_empty()).map(|at| at.span)
}

fn weekly(text: &str) -> Result<Window, Bad> {
    let bad = |why: String| {
        Bad::new("bad-window", format!("`{text}`: {why}"))
            .help("such as \"Sat 22:00 - Sun 04:00\", \"Mon-Thu 01:00 - 05:00\" or \"daily 22:00 - 04:00\"")
    };
    let mut words = text.split_whitespace().filter(|word| *word != "-").flat_map(|word| {
        // `22:00-04:00` is as clear as `22:00 - 04:00`.
        let split = word.starts_with(|c: char| c.is_ascii_digit());
        word.split(if split { '-' } else { '\0' }).collect::<Vec<_>>()
    });
    let mut next = |what: &str| words.next().ok_or_else(|| bad(format!("{what} is missing")));
    let days = days(next("the day")?).map_err(&bad)?;
    let (from, end_of_day) = time(next("the time at which it opens")?).map_err(&bad)?;
    if end_of_day {
        return Err(bad("a window cannot open at 24:00; say 00:00 of the next day".to_owned()));
    }
    let third = next("the time at which it closes")?;
    let close_day = day(third);
    let closes = if close_day.is_ok() { next("the time at which it closes")? } else { third };
    let (to, midnight) = time(closes).map_err(&bad)?;
    if let Some(extra) = words.next() {
        return Err(bad(format!("`{extra}` is one word too many")));
    }
    let opens_on =
        |wanted: Weekday| days.iter().zip(DAYS).any(|(open, (_, day))| *open && day == wanted);
    let to = match close_day {
        Ok(_) if midnight => {
            return Err(bad("after a day say 00:00 of the next day, not 24:00".to_owned()));
        }
        Ok(day) if opens_on(day) && to <= from => {
            return Err(bad("it would stay open for a week".to_owned()));
        }
        Ok(day) => Close::On(day_number(day), to),
        Err(_) if midnight => Close::Midnight,
        Err(_) if to == from => {
            return Err(bad("it is empty; a whole day is 00:00 - 24:00".to_owned()));
        }
        Err(_) => Close::At(to),
    };
    Ok(Window::Weekly { days, from, to })
}

/// `daily`, or days and ranges of days with commas between.
fn days(text: &str) -> Result<[bool; 7], String> {
    if text.eq_ignore_ascii_case("daily") {
        return Ok([true; 7]);
    }
    let mut open = [false; 7];
    for part in text.split(',') {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let (first, last) = (day(first)?, day(last)?);
        let from = first.to_monday_zero_offset();
        let count = first.until(last);
        for (at, slot) in open.iter_mut().enumerate() {
            let at = i8::try_from(at).unwrap_or(0);
            *slot |= (at - from).rem_euclid(7) <= count;
        }
    }
    Ok(open)
}

fn day(text: &str) -> Result<Weekday, String> {
    let found = DAYS.iter().find(|(name, _)| text.eq_ignore_ascii_case(name));
    found
        .map(|(_, day)| *day)
        .ok_or_else(|| format!("`{text}` is not a day; days are Mon, Tue, Wed, Thu, Fri, Sat, Sun"))
}

/// The day of the week from Monday, which is 0.
fn day_number(day: Weekday) -> u8 {
    u8::try_from(day.to_monday_zero_offset()).unwrap_or_default()
}

/// A time of day, and whether it is 24:00.
fn time(text: &str) -> Result<(Time, bool), String> {
    let bad = || format!("`{text}` is not a time such as 04:00");
    let (hour, minute) = text.split_once(':').ok_or_else(bad)?;
    let number = |part: &str, digits: std::ops::RangeInclusive<usize>| {
        let plain = digits.contains(&part.len()) && part.bytes().all(|b| b.is_ascii_digit());
        if plain { part.parse::<i8>().ok() } else { None }
    };
    match (number(hour, 1..=2), number(minute, 2..=2)) {
        (Some(24), Some(0)) => Ok((Time::midnight(), true)),
        (Some(hour), Some(minute)) => {
            Time::new(hour, minute, 0, 0).map(|time| (time, false)).map_err(|_| bad())
        }
        _ => Err(bad()),
    }
}

fn once(reader: &mut Reader<'_>, node: &Node<'_>) -> Option<Window> {
    let map = reader.map(node, "a window", &["from", "to"])?;
    let mut part = |key| {
        let node = map.require(reader, key)?;
        reader.parse(node, &format!("`{key}`"), |text| match moment(text)? {
            Moment::Time(time) => Ok(time),
            Moment::Day(_) => Err(unreadable(text).help("with a time, such as 2026-12-01T22:00")),
        })
    };
    let (from, to) = (part("from")?, part("to")?);
    if to.value <= from.value {
        order(reader, from.span, to.span, "a window must close after it opens");
        return None;
    }
    Some(Window::Once { from: from.value, to: to.value })
}

fn freeze(reader: &mut Reader<'_>, node: &Node<'_>) -> Option<Freeze> {
    let map = reader.map(node, "a freeze", &["from", "to", "reason"])?;
    let from = map.require(reader, "from").and_then(|n| reader.parse(n, "`from`", moment));
    let to = map.require(reader, "to").and_then(|n| reader.parse(n, "`to`", moment));
    let reason = map.field(reader, "reason", |r, n| r.text(n, "`reason`"));
    let (from, to) = (from?, to?);
    let begin = match from.value {
        Moment::Day(day) => day.to_datetime(Time::midnight()),
        Moment::Time(time) => time,
    };
    let end = match to.value {
        // The last day is frozen as a whole.
        Moment::Day(day) => match day.tomorrow() {
            Ok(next) => next.to_datetime(Time::midnight()),
            Err(_) => day.to_datetime(Time::MAX),
        },
        Moment::Time(time) => time,
    };
    if end <= begin {
        order(reader, from.span, to.span, "a freeze must end after it begins");
        return None;
    }
    Some(Freeze { from: begin, to: end, reason: reason.value().cloned() })
}

fn order(reader: &mut Reader<'_>, from: Span, to: Span, message: &str) {
    reader.fault("bad-order", to, message).label("not later").related(from, "than this");
}

/// A day or a local time of a day.
#[derive(Debug, Clone, Copy)]
enum Moment {
    Day(Date),
    Time(DateTime),
}

fn moment(text: &str) -> Result<Moment, Bad> {
    let shape: String = text.chars().map(|c| if c.is_ascii_digit() { '0' } else { c }).collect();
    match shape.as_str() {
        "0000-00-00" => text.parse().map(Moment::Day).map_err(|_| unreadable(text)),
        "0000-00-00T00:00" | "0000-00-00T00:00:00" => {
            text.parse().map(Moment::Time).map_err(|_| unreadable(text))
        }
        _ => Err(unreadable(text)),
    }
}

fn unreadable(text: &str) -> Bad {
    Bad::new("bad-date", format!("`{text}` is not a date or local time"))
        .help("such as 2026-12-18 or 2026-12-18T22:00, in the site's own time, without an offset")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn open(text: &str) -> String {
        let marks = days(text).expect("days").map(|open| if open { 'x' } else { '.' });
        marks.iter().collect()
    }

    #[test]
    fn days_are_single_ranges_and_lists() {
        for (text, marks) in [
            ("Mon", "x......"),
            ("sun", "......x"),
            ("Mon-Thu", "xxxx..."),
            ("Fri-Mon", "x...xxx"),
            ("Mon,Wed,Fri-Sat", "x.x.xx."),
            ("daily", "xxxxxxx"),
            ("Sat-Sat", ".....x."),
        ] {
            assert_eq!(open(text), marks, "{text}");
        }
    }

    #[test]
    fn windows_are_read() {
        let time = |hour| Time::constant(hour, 0, 0, 0);
        let close = |text: &str| match weekly(text) {
            Ok(Window::Weekly { from, to, .. }) => (from, to),
            other => panic!("{text}: {other:?}"),
        };
        assert_eq!(close("Sat 22:00 - Sun 04:00"), (time(22), Close::On(6, time(4))));
        assert_eq!(close("Mon-Thu 01:00 - 05:00"), (time(1), Close::At(time(5))));
        assert_eq!(close("daily 22:00-04:00"), (time(22), Close::At(time(4))));
        assert_eq!(close("Mon,Tue 1:00 - 24:00"), (time(1), Close::Midnight));
        assert_eq!(close("Sat 01:00 - Sat 04:00"), (time(1), Close::On(5, time(4))));
    }

    #[test]
    fn what_is_no_window_is_refused() {
        for text in [
            "",
            "Sat",
            "Sat 22:00",
            "22:00 - 04:00",
            "Sat 22:00 - Sun",
            "Sat 25:00 - 04:00",
            "Sat 22:60 - 23:00",
            "Samstag 22:00 - 04:00",
            "Sat 22:00 - 22:00",
            "Sat 22:00 - Sat 04:00",
            "Sat 24:00 - Sun 04:00",
            "Sat 22:00 - Sun 24:00",
            "Sat 22:00 - Sun 04:00 UTC",
            "Sat 22 - 23",
            "Sat, 22:00 - 23:00",
            "Sat +1:00 - 23:00",
        ] {
            assert_eq!(weekly(text).map_err(|bad| bad.code), Err("bad-window"), "{text}");
        }
    }

    #[test]
    fn moments_are_days_or_local_times() {
        assert!(matches!(moment("2026-12-18"), Ok(Moment::Day(_))));
        assert!(matches!(moment("2026-12-18T22:00"), Ok(Moment::Time(_))));
        for text in [
            "2026-13-01",
            "2026-02-30",
            "2026-12-18T22:00Z",
            "2026-12-18T22:00+01:00",
            "18.12.2026",
            "2026-12-18 22:00",
            "2026-12-18T25:00",
            "",
        ] {
            assert_eq!(moment(text).map_err(|bad| bad.code).err(), Some("bad-date"), "{text}");
        }
    }
}
