//! Nights of all kinds.

use super::*;

fn at(text: &str) -> Timestamp {
    text.parse().expect("a time")
}

fn weekly(days: [bool; 7], from: (i8, i8), to: Close) -> Window {
    Window::Weekly { days, from: Time::constant(from.0, from.1, 0, 0), to }
}

fn close(hour: i8, minute: i8) -> Close {
    Close::At(Time::constant(hour, minute, 0, 0))
}

fn amsterdam(windows: Vec<Window>, freezes: Vec<Freeze>) -> Calendar {
    Calendar { time_zone: "Europe/Amsterdam".to_owned(), windows: vec![windows], freezes }
}

fn spans(calendar: &Calendar, from: &str, count: usize) -> Vec<String> {
    let mut now = at(from);
    let mut spans = Vec::new();
    while spans.len() < count {
        match calendar.opening(now, None) {
            Opening::Open(Some(until)) => {
                spans.push(format!("{now}/{until}"));
                now = until;
            }
            Opening::Closed(Some(until)) | Opening::Frozen { until: Some(until), .. } => {
                now = until;
            }
            _ => break,
        }
    }
    spans
}

#[test]
fn over_midnight_and_the_end_of_the_week() {
    let saturday = [false, false, false, false, false, true, false];
    let calendar = amsterdam(
        vec![weekly(saturday, (22, 0), Close::On(6, Time::constant(4, 0, 0, 0)))],
        Vec::new(),
    );
    let found = spans(&calendar, "2026-12-01T00:00:00Z", 2);
    assert_eq!(
        found,
        ["2026-12-05T21:00:00Z/2026-12-06T03:00:00Z", "2026-12-12T21:00:00Z/2026-12-13T03:00:00Z"]
    );
    let sunday = [false, false, false, false, false, false, true];
    let calendar = amsterdam(vec![weekly(sunday, (23, 0), close(5, 0))], Vec::new());
    assert_eq!(
        spans(&calendar, "2026-12-01T00:00:00Z", 1),
        ["2026-12-06T22:00:00Z/2026-12-07T04:00:00Z"]
    );
}

#[test]
fn touching_windows_join() {
    let windows =
        vec![weekly([true; 7], (1, 0), close(3, 0)), weekly([true; 7], (3, 0), close(5, 0))];
    assert_eq!(
        spans(&amsterdam(windows, Vec::new()), "2026-12-01T12:00:00Z", 1),
        ["2026-12-02T00:00:00Z/2026-12-02T04:00:00Z"]
    );
}

#[test]
fn an_hour_left_out_opens_no_window_and_one_that_comes_twice_opens_it_twice() {
    let calendar = amsterdam(vec![weekly([true; 7], (2, 15), close(2, 45))], Vec::new());
    assert_eq!(
        spans(&calendar, "2026-03-28T12:00:00Z", 1),
        ["2026-03-30T00:15:00Z/2026-03-30T00:45:00Z"],
        "29 March has no 02:15"
    );
    assert_eq!(
        spans(&calendar, "2026-10-24T12:00:00Z", 2),
        ["2026-10-25T00:15:00Z/2026-10-25T00:45:00Z", "2026-10-25T01:15:00Z/2026-10-25T01:45:00Z"]
    );
    let over = amsterdam(vec![weekly([true; 7], (1, 0), close(2, 30))], Vec::new());
    assert_eq!(
        spans(&over, "2026-03-28T12:00:00Z", 1),
        ["2026-03-29T00:00:00Z/2026-03-29T01:00:00Z"],
        "it closes when the clock is put past its end"
    );
}

#[test]
fn a_zone_that_changes_its_rule_is_followed() {
    // Samoa left out 30 December 2011 altogether.
    let calendar = Calendar {
        time_zone: "Pacific/Apia".to_owned(),
        windows: vec![vec![weekly([true; 7], (1, 0), close(2, 0))]],
        freezes: Vec::new(),
    };
    assert_eq!(
        spans(&calendar, "2011-12-29T00:00:00Z", 2),
        ["2011-12-29T11:00:00Z/2011-12-29T12:00:00Z", "2011-12-30T11:00:00Z/2011-12-30T12:00:00Z"]
    );
}

#[test]
fn freezes_win_until_they_are_over_or_lifted() {
    let freeze = Freeze {
        from: "2026-12-18T00:00".parse().expect("a time"),
        to: "2027-01-05T00:00".parse().expect("a time"),
        reason: Some("year-end".to_owned()),
    };
    let calendar = amsterdam(vec![weekly([true; 7], (1, 0), close(5, 0))], vec![freeze]);
    let now = at("2026-12-20T01:00:00Z");
    let reason = Some("year-end".to_owned());
    let until = Some(at("2027-01-05T00:00:00Z"));
    assert_eq!(calendar.opening(now, None), Opening::Frozen { reason, until });
    let lifted = Some(at("2026-12-20T02:00:00Z"));
    assert_eq!(calendar.opening(now, lifted), Opening::Open(lifted));
    assert_eq!(
        calendar.opening(at("2026-12-20T05:00:00Z"), Some(at("2026-12-21T00:00:00Z"))),
        Opening::Closed(until),
        "the override ends before the next window opens"
    );
}

#[test]
fn what_needs_longer_than_every_window_never_fits() {
    let calendar = amsterdam(vec![weekly([true; 7], (1, 0), close(5, 0))], Vec::new());
    let now = at("2026-12-01T02:00:00Z");
    let fit = |hours| calendar.next_fit(now, SignedDuration::from_hours(hours), None);
    assert_eq!(fit(1), Some(now));
    assert_eq!(fit(3), Some(at("2026-12-02T00:00:00Z")));
    assert_eq!(fit(5), Some(at("2027-10-30T23:00:00Z")), "the night with an hour more");
    assert_eq!(fit(6), None);
}
