//! The report as one HTML file: no script, nothing from elsewhere. Reads on a phone, in the dark,
//! and on paper.

mod sections;
mod tags;

pub(super) use tags::escape;

use super::facts::ReportFacts;
use super::said;
use super::timeline;
use crate::printer::Style;

const STYLE: &str = include_str!("style.css");

/// With more appliances than this, paper shows the details of those only that need a look.
const SHORT: usize = 100;

/// The report as HTML.
pub(crate) fn html(facts: &ReportFacts) -> String {
    let verdict = &facts.verdict;
    let title = escape(&verdict.text);
    let length = if facts.appliances.len() <= SHORT { "short" } else { "many" };
    let class = class(verdict.style());
    let mut page = format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta http-equiv=\"Content-Security-Policy\" \
         content=\"default-src 'none'; style-src 'unsafe-inline'\">\n\
         <title>{title}</title>\n<style>\n{STYLE}</style>\n</head>\n<body class=\"{length}\">\n\
         <h1 class=\"{class}\">{title}</h1>\n"
    );
    page.push_str(&head(facts));
    page.push_str(&sections::alarms(facts));
    page.push_str(&tags::section("Summary", &summary(facts)));
    page.push_str(&tags::section("Not upgraded", &sections::not_upgraded(facts)));
    page.push_str(&tags::section("Timeline", &timeline::timeline(facts)));
    page.push_str(&tags::section("Waves", &sections::waves(facts)));
    page.push_str(&tags::section("Clusters", &sections::clusters(facts)));
    page.push_str(&tags::section("Appliances", &sections::appliances(facts)));
    page.push_str(&tags::section("Health", &sections::health(facts)));
    page.push_str(&tags::section("Debts", &sections::debts(facts)));
    page.push_str(&tags::section("Held", &sections::holds(facts)));
    page.push_str(&tags::section("Decisions", &sections::decisions(facts)));
    page.push_str(&tags::section("Hooks", &sections::hooks(facts)));
    page.push_str(&tags::section("Warnings of the plan", &sections::warnings(facts)));
    page.push_str(&tags::section("Events", &sections::events(facts)));
    page.push_str("</body>\n</html>\n");
    page
}

/// The class of a style.
fn class(style: Style) -> &'static str {
    match style {
        Style::Good => "good",
        Style::Warn => "warn",
        Style::Bad => "bad",
        Style::Busy => "busy",
        Style::Plain | Style::Bold | Style::Dim => "",
    }
}

fn head(facts: &ReportFacts) -> String {
    let mut rows: Vec<(&str, String)> =
        vec![("Plan", format!("<code>{}</code>", facts.plan_digest))];
    for plan in &facts.accepted {
        let by = escape(&plan.by);
        rows.push(("Accepted", format!("{} by {by} (uid {})", said::utc(plan.at), plan.uid)));
    }
    for firmware in &facts.firmware {
        let from = firmware.fetch.iter().chain(&firmware.upload).map(|from| escape(from));
        let from = from.collect::<Vec<_>>().join(" or ");
        rows.push((
            "Firmware",
            format!(
                "{} from {from}<br><small>SHA-256 <code>{}</code></small>",
                firmware.version, firmware.sha256
            ),
        ));
    }
    rows.push(("Message", escape(&facts.message)));
    rows.push(("Last event", said::utc(facts.last)));
    if facts.as_of != facts.last {
        rows.push(("As of", format!("{}: not everything is over", said::utc(facts.as_of))));
    }
    rows.push(("Times", "in UTC".to_owned()));
    let rows: String =
        rows.iter().map(|(key, html)| format!("<dt>{key}</dt><dd>{html}</dd>\n")).collect();
    format!("<dl class=\"head\">\n{rows}</dl>\n")
}

fn summary(facts: &ReportFacts) -> String {
    let tile = |(what, number): (&str, String)| {
        format!("<li><b>{}</b><span>{}</span></li>\n", escape(&number), escape(what))
    };
    let tiles: String = said::summary(facts).into_iter().map(tile).collect();
    format!("<ul class=\"tiles\">\n{tiles}</ul>\n")
}
