//! The timeline of a report as inline SVG: drawings for each wave, all on the same scale; a row
//! for each appliance. What a bar is, is told by colour, by pattern and by words.

mod axis;
mod rows;

use std::collections::BTreeMap;

use model::SiteName;

use self::axis::Axis;
use super::facts::{Doing, ReportFacts, Span};
use super::html::escape;
use super::said;

/// With more rows than this in a drawing, rows are thin, and only those that need a look are named.
const NAMED: usize = 80;

/// All that bars stand for, in the order of a legend.
const DOINGS: [Doing; 8] = [
    Doing::Staging,
    Doing::Testing,
    Doing::Waiting,
    Doing::Person,
    Doing::Down,
    Doing::Verifying,
    Doing::Silent,
    Doing::Failed,
];

impl Doing {
    /// The class of its bars.
    fn class(self) -> &'static str {
        match self {
            Self::Staging => "staging",
            Self::Testing => "testing",
            Self::Waiting => "waiting",
            Self::Person => "person",
            Self::Down => "down",
            Self::Silent => "silent",
            Self::Verifying => "verifying",
            Self::Failed => "failed",
        }
    }

    /// What it is called.
    fn name(self) -> &'static str {
        match self {
            Self::Person => "waits for a person",
            Self::Silent => "does not answer",
            other => other.class(),
        }
    }
}

/// The drawings, with their legend.
pub(super) fn timeline(facts: &ReportFacts) -> String {
    let end = if facts.state_is_final() { facts.last } else { facts.as_of };
    let axis = Axis::new(facts.began, end);
    let sites: BTreeMap<&SiteName, usize> =
        facts.sites.keys().enumerate().map(|(number, site)| (site, number)).collect();
    let mut page = format!("{}{}", definitions(facts, axis), legend(facts));
    for wave in &facts.waves {
        let span = match wave.started {
            Some(from) => said::span(&Span { from, to: wave.ended }),
            None => "did not begin".to_owned(),
        };
        let gate = said::gate(wave);
        let gate = if gate.is_empty() { gate } else { format!("; {gate}") };
        page.push_str(&format!(
            "<h3>Wave {}</h3>\n<p class=\"soft\">{}, {} of {} upgraded, {}{}</p>\n",
            escape(wave.name.as_str()),
            wave.state,
            wave.upgraded,
            wave.appliances,
            escape(&span),
            escape(&gate)
        ));
        page.push_str(&rows::drawings(facts, wave, axis, &sites));
    }
    page
}

impl ReportFacts {
    /// Whether nothing of the rollout goes on; what is still down is told, and stretches no chart.
    fn state_is_final(&self) -> bool {
        use model::run::RolloutState;
        matches!(self.state, RolloutState::Succeeded | RolloutState::Failed | RolloutState::Aborted)
    }
}

/// Patterns, and the windows and freezes of each site as they stand behind rows: one high, to be
/// stretched to a row's height.
fn definitions(facts: &ReportFacts, axis: Axis) -> String {
    let pattern = |name: &str, marks: &str| {
        format!(
            "<pattern id=\"p-{name}\" width=\"6\" height=\"6\" patternUnits=\"userSpaceOnUse\">\
             <rect class=\"f-{name}\" width=\"6\" height=\"6\"/>{marks}</pattern>\n"
        )
    };
    let mut defs = String::from("<svg class=\"defs\" aria-hidden=\"true\"><defs>\n");
    for (name, marks) in [
        ("testing", "<circle class=\"dots\" cx=\"3\" cy=\"3\" r=\"1.2\"/>"),
        ("verifying", "<path class=\"hatch\" d=\"M-1 7L7 -1\"/>"),
        ("person", "<path class=\"hatch\" d=\"M3 0V6\"/>"),
        ("silent", "<path class=\"hatch\" d=\"M0 3H6\"/>"),
        ("failed", "<path class=\"hatch\" d=\"M0 0L6 6M0 6L6 0\"/>"),
        ("freeze", "<path class=\"ice\" d=\"M3 0V6\"/>"),
    ] {
        defs.push_str(&pattern(name, marks));
    }
    for (number, site) in facts.sites.values().enumerate() {
        let mut bands = String::new();
        let open = site.open.iter().map(|span| ("open", span));
        let freezes = site.freezes.iter().map(|freeze| ("freeze", &freeze.span));
        let lifted = site.lifted.iter().map(|span| ("lifted", span));
        for (class, span) in open.chain(freezes).chain(lifted) {
            if let Some((x, width)) = axis.bar(span.from, span.to, 0.5) {
                bands.push_str(&format!(
                    "<rect class=\"{class}\" x=\"{x:.1}\" width=\"{width:.1}\" height=\"1\"/>"
                ));
            }
        }
        defs.push_str(&format!("<g id=\"s-{number}\">{bands}</g>\n"));
    }
    defs.push_str("</defs></svg>\n");
    defs
}

fn legend(facts: &ReportFacts) -> String {
    let swatch = |class: &str, name: &str| {
        let rect = format!("<rect class=\"{class}\" width=\"30\" height=\"12\"/>");
        format!("<li><svg viewBox=\"0 0 30 12\" aria-hidden=\"true\">{rect}</svg>{name}</li>\n")
    };
    let seen = |doing: &Doing| {
        facts.appliances.iter().any(|member| member.phases.iter().any(|bar| bar.doing == *doing))
    };
    let mut items: String = DOINGS
        .iter()
        .filter(|doing| seen(doing))
        .map(|doing| swatch(&format!("b-{}", doing.class()), doing.name()))
        .collect();
    if facts.sites.values().any(|site| !site.open.is_empty()) {
        items.push_str(&swatch("open", "window open"));
    }
    if facts.sites.values().any(|site| !site.freezes.is_empty()) {
        items.push_str(&swatch("freeze", "freeze"));
    }
    if facts.sites.values().any(|site| !site.lifted.is_empty()) {
        items.push_str(&swatch("lifted", "freeze lifted"));
    }
    items.push_str(&swatch("wave", "wave"));
    if facts.waves.iter().any(|wave| !wave.soak.is_zero()) {
        items.push_str(&swatch("soak", "watched after the wave"));
    }
    if !facts.clusters.is_empty() {
        items.push_str(&swatch("gap", "audit gap"));
    }
    format!("<ul class=\"legend\">\n{items}</ul>\n<p class=\"soft screen\">Times are UTC.</p>\n")
}
