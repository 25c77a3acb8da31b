//! The report as Markdown with tables, as GitHub and most ticket systems show it.

use super::brief;
use super::facts::{ApplianceFacts, ReportFacts};
use super::said;
use crate::view::words;

/// The report as Markdown.
pub(crate) fn markdown(facts: &ReportFacts) -> String {
    let mut page = format!("# {}\n\n", escape(&facts.verdict.text));
    head(&mut page, facts);
    let summary = said::summary(facts);
    let summary = summary.iter().map(|(what, number)| vec![escape(what), escape(number)]);
    table(&mut page, "Summary", &["What", "How many"], summary.collect());
    let alarms = facts.alarms.iter().map(|alarm| (alarm.code.as_str(), alarm.text.clone()));
    list(&mut page, "Alarms", alarms.collect());
    not_upgraded(&mut page, facts);
    waves(&mut page, facts);
    let clusters = facts.clusters.iter().map(|cluster| {
        let gaps: Vec<String> = cluster.gaps.iter().map(said::span).collect();
        vec![
            escape(cluster.name.as_str()),
            escape(cluster.state),
            escape(&said::gap(cluster)),
            escape(&gaps.join(", ")),
        ]
    });
    table(&mut page, "Clusters", &["Cluster", "State", "Audit gap", "When"], clusters.collect());
    let head = [
        "Appliance",
        "Site",
        "Wave",
        "State",
        "Before",
        "After",
        "Staged",
        "Down",
        "Downtime",
        "Took",
        "Sessions cut",
        "Health",
    ];
    table(&mut page, "Appliances", &head, facts.appliances.iter().map(row).collect());
    let steps = facts.appliances.iter().flat_map(|member| {
        let name = escape(member.name.as_str());
        member.person_steps.iter().map(move |step| vec![name.clone(), escape(&said::person(step))])
    });
    table(&mut page, "Steps of HA pairs", &["Appliance", "Step"], steps.collect());
    let holds = facts.holds.iter().map(|hold| {
        let when = escape(&said::span(&hold.span));
        vec![escape(hold.appliance.as_str()), when, escape(hold.code), escape(&hold.text)]
    });
    table(&mut page, "Held", &["Appliance", "When", "Reason", "Text"], holds.collect());
    let decided = said::decisions(facts);
    let decided = decided.into_iter().map(|(at, text)| vec![said::utc(at), escape(text)]);
    table(&mut page, "Decisions", &["When", "What"], decided.collect());
    let left = facts.appliances.iter().flat_map(|member| {
        member.left_behind.iter().map(move |what| (member.name.as_str(), what.clone()))
    });
    list(&mut page, "Left behind", left.collect());
    let debts = facts.debts.iter().map(|debt| (debt.appliance.as_str(), debt.text.clone()));
    list(&mut page, "Debts", debts.collect());
    if let Some((_, health)) = brief::health(facts) {
        list(&mut page, "Health", vec![("checked", health)]);
    }
    if let Some((_, hooks)) = brief::hooks(facts) {
        list(&mut page, "Hooks", vec![("ran", hooks)]);
    }
    let bundles = facts.appliances.iter().filter_map(|member| {
        let bundle = member.bundle.as_ref()?;
        let text = match &bundle.path {
            Some(path) => format!("{path} ({})", bundle.text),
            None => format!("there is none: {}", bundle.text),
        };
        Some((member.name.as_str(), text))
    });
    list(&mut page, "Support bundles", bundles.collect());
    let warnings =
        facts.warnings.iter().map(|warning| (warning.code.as_str(), warning.text.clone()));
    list(&mut page, "Warnings of the plan", warnings.collect());
    page
}

fn head(page: &mut String, facts: &ReportFacts) {
    let mut lines = vec![format!("Plan `{}`", facts.plan_digest)];
    for plan in &facts.accepted {
        lines.push(format!("Accepted by {} at {} UTC", escape(&plan.by), said::utc(plan.at)));
    }
    for firmware in &facts.firmware {
        let from = firmware.fetch.iter().chain(&firmware.upload).map(|from| escape(from));
        let from = from.collect::<Vec<_>>().join(" or ");
        lines.push(format!(
            "Firmware {} from {from}, SHA-256 `{}`",
            firmware.version, firmware.sha256
        ));
    }
    lines.push(format!("Message: {}", escape(&facts.message)));
    lines.push(format!("Last event at {} UTC", said::utc(facts.last)));
    if facts.as_of != facts.last {
        let as_of = said::utc(facts.as_of);
        lines.push(format!("Not everything is over; open times are counted up to {as_of} UTC"));
    }
    lines.push("All times are UTC.".to_owned());
    for line in lines {
        page.push_str(&format!("- {line}\n"));
    }
}

fn not_upgraded(page: &mut String, facts: &ReportFacts) {
    let rows = facts.appliances.iter().filter(|member| !member.state.is_upgraded()).map(|member| {
        let reason = member.reason.as_ref();
        vec![
            escape(member.name.as_str()),
            escape(member.state.name()),
            escape(&said::after(member)),
            escape(reason.and_then(|reason| reason.step).unwrap_or("-")),
            escape(reason.map_or("-", |reason| &reason.code)),
            escape(reason.map_or("", |reason| &reason.text)),
        ]
    });
    let head = ["Appliance", "State", "Version", "Step", "Reason", "In its words"];
    table(page, "Not upgraded", &head, rows.collect());
}

fn waves(page: &mut String, facts: &ReportFacts) {
    let rows = facts.waves.iter().map(|wave| {
        vec![
            escape(wave.name.as_str()),
            escape(wave.state),
            format!("{} of {}", wave.upgraded, wave.appliances),
            said::maybe_utc(wave.started),
            said::maybe_utc(wave.ended),
            escape(&said::gate(wave)),
        ]
    });
    table(page, "Waves", &["Wave", "State", "Upgraded", "Began", "Ended", "Then"], rows.collect());
}

fn row(member: &ApplianceFacts) -> Vec<String> {
    let down: Vec<String> = member.down.iter().map(said::span).collect();
    let checks: Vec<String> = member.checks.iter().map(words::check).collect();
    [
        member.name.to_string(),
        member.site.to_string(),
        member.wave.to_string(),
        member.state.name().to_owned(),
        said::before(member),
        said::after(member),
        said::all_staged(member),
        down.join("; "),
        said::downtime(member),
        said::took(member),
        member.sessions_cut.map_or_else(|| "-".to_owned(), |count| count.to_string()),
        checks.join(", "),
    ]
    .iter()
    .map(|text| escape(text))
    .collect()
}

/// A section with a table; nothing when it has no rows.
fn table(page: &mut String, title: &str, head: &[&str], rows: Vec<Vec<String>>) {
    if rows.is_empty() {
        return;
    }
    let rule = head.iter().map(|_| "---").collect::<Vec<_>>().join(" | ");
    page.push_str(&format!("\n## {title}\n\n| {} |\n| {rule} |\n", head.join(" | ")));
    for row in rows {
        page.push_str(&format!("| {} |\n", row.join(" | ")));
    }
}

/// A section with a list; nothing when it is empty.
fn list(page: &mut String, title: &str, items: Vec<(&str, String)>) {
    if items.is_empty() {
        return;
    }
    page.push_str(&format!("\n## {title}\n\n"));
    for (head, text) in items {
        page.push_str(&format!("- **{}**: {}\n", escape(head), escape(&text)));
    }
}

/// Text that means nothing to Markdown or HTML.
fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '\\' | '|' | '*' | '_' | '`' | '[' | ']' | '#' | '~' | '!' => {
                escaped.push('\\');
                escaped.push(letter);
            }
            letter => escaped.push(letter),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_of_others_means_nothing() {
        assert_eq!(escape("a|b <script> *x* [l](u)"), r"a\|b &lt;script&gt; \*x\* \[l\](u)");
    }
}
