//! Where a moment stands on the page, and the marks along it.

use jiff::Timestamp;

/// Where the chart begins and ends, in units of the drawing, which is 1000 wide.
pub(super) const LEFT: f64 = 152.0;
const RIGHT: f64 = 992.0;

/// The steps between two marks, in seconds.
const STEPS: [i64; 19] = [
    1, 2, 5, 10, 30, 60, 120, 300, 600, 1_800, 3_600, 7_200, 10_800, 21_600, 43_200, 86_400,
    172_800, 604_800, 2_592_000,
];
/// At most so many marks.
const MARKS: i64 = 8;

/// The time from one end of the chart to the other.
#[derive(Debug, Clone, Copy)]
pub(super) struct Axis {
    pub(super) from: Timestamp,
    pub(super) to: Timestamp,
}

impl Axis {
    /// An axis of at least a second.
    pub(super) fn new(from: Timestamp, to: Timestamp) -> Self {
        let least = from.checked_add(jiff::SignedDuration::from_secs(1)).unwrap_or(from);
        Self { from, to: to.max(least) }
    }

    /// Where a moment stands; one outside stands at the end.
    pub(super) fn x(&self, at: Timestamp) -> f64 {
        let whole = self.to.duration_since(self.from).as_secs_f64().max(0.001);
        let part = at.duration_since(self.from).as_secs_f64() / whole;
        LEFT + part.clamp(0.0, 1.0) * (RIGHT - LEFT)
    }

    /// From where to where a span goes, at least `least` wide; `None` when it is outside.
    pub(super) fn bar(
        &self,
        from: Timestamp,
        to: Option<Timestamp>,
        least: f64,
    ) -> Option<(f64, f64)> {
        let to = to.unwrap_or(self.to);
        if to < self.from || from > self.to {
            return None;
        }
        let (left, right) = (self.x(from), self.x(to));
        let width = (right - left).max(least);
        Some((left.min(RIGHT - width), width))
    }

    /// The marks: where they stand, and what they say.
    pub(super) fn marks(&self) -> Vec<(f64, String)> {
        let whole = self.to.duration_since(self.from).as_secs();
        let step = STEPS.into_iter().find(|step| whole / step < MARKS).unwrap_or(31_536_000);
        let form = match step {
            86_400.. => "%e %b",
            60.. if whole >= 86_400 => "%e %b %H:%M",
            60.. => "%H:%M",
            _ => "%H:%M:%S",
        };
        let first = self.from.as_second().div_euclid(step) + 1;
        let marks = (0..=MARKS).filter_map(|number| {
            let at = Timestamp::from_second((first + number) * step).ok()?;
            (at <= self.to).then(|| (self.x(at), at.strftime(form).to_string().trim().to_owned()))
        });
        marks.collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().expect("a time")
    }

    #[test]
    fn marks_are_few_and_round() {
        let axis = Axis::new(at("2026-12-05T20:58:00Z"), at("2026-12-05T23:40:00Z"));
        let said: Vec<String> = axis.marks().into_iter().map(|(_, said)| said).collect();
        assert_eq!(said, ["21:00", "21:30", "22:00", "22:30", "23:00", "23:30"]);
        let axis = Axis::new(at("2026-12-05T20:58:00Z"), at("2026-12-09T23:40:00Z"));
        let said: Vec<String> = axis.marks().into_iter().map(|(_, said)| said).collect();
        assert_eq!(said, ["6 Dec", "7 Dec", "8 Dec", "9 Dec"]);
        let axis = Axis::new(at("2026-12-05T00:00:00Z"), at("2026-12-05T00:00:00Z"));
        assert!(axis.marks().len() <= 2, "nothing took any time");
    }

    #[test]
    fn bars_stay_inside_and_are_seen() {
        let axis = Axis::new(at("2026-12-05T00:00:00Z"), at("2026-12-06T00:00:00Z"));
        let late = at("2026-12-05T23:59:59Z");
        let (left, width) = axis.bar(late, Some(late), 1.5).expect("inside");
        assert!((left + width - RIGHT).abs() < 0.01 && width >= 1.5);
        let before = at("2026-12-01T00:00:00Z");
        assert_eq!(axis.bar(before, Some(before), 1.0), None);
        assert_eq!(axis.bar(before, None, 1.0), Some((LEFT, RIGHT - LEFT)));
    }
}
