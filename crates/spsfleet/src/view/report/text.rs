//! The whole report as text, for a mail or a ticket: the verdict first, 80 columns or fewer.

use super::brief;
use super::facts::{ApplianceFacts, ReportFacts};
use super::said;
use crate::printer::{Paint, Style};
use crate::view::status::phase_style;
use crate::view::table::{paragraph, wrap};
use crate::view::words;

/// A record looks the same wherever it was made.
const WIDTH: usize = 80;

/// The report as text.
pub(crate) fn text(facts: &ReportFacts, paint: Paint) -> String {
    let mut page = Page { text: String::new(), paint };
    let verdict = &facts.verdict;
    let line = format!("{} {}: {}", facts.rollout, verdict.word, verdict.rest);
    for (number, line) in wrap(&line, WIDTH).iter().enumerate() {
        let head = format!("{} {}", facts.rollout, verdict.word);
        match line.strip_prefix(&head).filter(|_| number == 0) {
            Some(rest) => page.line(&format!("{}{rest}", paint.on(verdict.style(), &head))),
            None => page.line(line),
        }
    }
    page.head_of(facts);
    page.section("summary");
    for (what, how_many) in said::summary(facts) {
        page.line(&format!("{what:<22}{how_many}"));
    }
    page.not_upgraded(facts);
    page.waves(facts);
    page.clusters(facts);
    page.appliances(facts);
    page.beside(facts);
    page.line("");
    page.line(&format!("spsfleet events {} has every event", facts.rollout));
    page.text
}

struct Page {
    text: String,
    paint: Paint,
}

impl Page {
    fn line(&mut self, line: &str) {
        self.text.push_str(line.trim_end());
        self.text.push('\n');
    }

    fn section(&mut self, title: &str) {
        self.text.push_str(&format!("\n{}\n", self.paint.on(Style::Bold, &title.to_uppercase())));
    }

    fn paragraph(&mut self, head: &str, text: &str, style: Style) {
        // What hangs is moved in by two, and the width counts from there.
        self.text.push_str(&paragraph(head, text, self.paint, style, WIDTH));
    }

    fn head_of(&mut self, facts: &ReportFacts) {
        self.line("");
        let mut rows: Vec<(&str, String)> = vec![("plan", facts.plan_digest.to_string())];
        for plan in &facts.accepted {
            rows.push((
                "accepted",
                format!("{} by {} (uid {})", said::utc(plan.at), plan.by, plan.uid),
            ));
        }
        for firmware in &facts.firmware {
            let from = firmware.fetch.iter().chain(&firmware.upload).map(String::as_str);
            let from = from.collect::<Vec<_>>().join(" or ");
            rows.push(("firmware", format!("{} from {from}", firmware.version)));
            rows.push(("  sha256", firmware.sha256.to_string()));
        }
        rows.push(("message", facts.message.clone()));
        rows.push(("last event", said::utc(facts.last)));
        if facts.as_of != facts.last {
            rows.push(("as of", format!("{}: not everything is over", said::utc(facts.as_of))));
        }
        rows.push(("id", facts.id.to_string()));
        rows.push(("times", "in UTC".to_owned()));
        for (key, value) in rows {
            for (number, part) in wrap(&value, WIDTH - 12).iter().enumerate() {
                let key = if number == 0 { key } else { "" };
                self.line(&format!("{key:<12}{part}"));
            }
        }
    }

    fn not_upgraded(&mut self, facts: &ReportFacts) {
        if !facts.alarms.is_empty() {
            self.section("alarms");
        }
        for alarm in &facts.alarms {
            self.paragraph(&alarm.code, &alarm.text, Style::Bad);
        }
        if facts.not_upgraded.is_empty() {
            return;
        }
        self.section("not upgraded");
        for member in facts.appliances.iter().filter(|member| !member.state.is_upgraded()) {
            let (style, runs) = (phase_style(member.state), said::after(member));
            let mut told = format!("{}, version {runs}", member.state.name());
            if let Some(reason) = &member.reason {
                let step = reason.step.map_or_else(String::new, |step| format!(" in {step}"));
                told.push_str(&format!("; {}{step}: {}", reason.code, reason.text));
            }
            self.paragraph(member.name.as_str(), &told, style);
        }
    }

    fn waves(&mut self, facts: &ReportFacts) {
        self.section("waves");
        let mut rows = vec![strings(["WAVE", "STATE", "UPGRADED", "BEGAN", "ENDED"])];
        for wave in &facts.waves {
            rows.push(vec![
                wave.name.to_string(),
                wave.state.to_owned(),
                format!("{} of {}", wave.upgraded, wave.appliances),
                said::maybe_utc(wave.started),
                said::maybe_utc(wave.ended),
            ]);
        }
        for line in columns(&rows) {
            self.text.push_str(&line);
        }
        for wave in &facts.waves {
            let gate = said::gate(wave);
            if !gate.is_empty() {
                self.paragraph(&format!("after {}", wave.name), &gate, Style::Plain);
            }
        }
    }

    fn clusters(&mut self, facts: &ReportFacts) {
        if facts.clusters.is_empty() {
            return;
        }
        self.section("clusters");
        for cluster in &facts.clusters {
            let style = if cluster.gap_open { Style::Bad } else { Style::Plain };
            let gaps: Vec<String> = cluster.gaps.iter().map(said::span).collect();
            let gaps = said::quoted(&gaps.join(", "));
            let told = format!("{}, {}{gaps}", cluster.state, said::gap(cluster));
            self.paragraph(cluster.name.as_str(), &told, style);
        }
    }

    fn appliances(&mut self, facts: &ReportFacts) {
        for wave in &facts.waves {
            self.section(&format!("appliances of wave {}", wave.name));
            let members = facts.appliances.iter().filter(|member| member.wave == wave.name);
            let members: Vec<&ApplianceFacts> = members.collect();
            let head = ["NAME", "SITE", "STATE", "BEFORE", "AFTER", "DOWN", "TOOK"];
            let mut rows = vec![strings(head)];
            rows.extend(members.iter().map(|member| {
                vec![
                    member.name.to_string(),
                    member.site.to_string(),
                    member.state.name().to_owned(),
                    said::before(member),
                    said::after(member),
                    said::downtime(member),
                    said::took(member),
                ]
            }));
            let mut lines = columns(&rows).into_iter();
            self.text.push_str(&lines.next().unwrap_or_default());
            for (line, member) in lines.zip(members) {
                self.text.push_str(&line);
                for part in wrap(&details(member), WIDTH - 4) {
                    self.line(&format!("    {part}"));
                }
            }
        }
    }

    fn beside(&mut self, facts: &ReportFacts) {
        if let Some((style, health)) = brief::health(facts) {
            self.section("health");
            self.paragraph("checked", &health, style);
        }
        if !facts.holds.is_empty() {
            self.section("held");
        }
        for hold in &facts.holds {
            let told = format!("{} ({}); {}", hold.text, hold.code, said::span(&hold.span));
            self.paragraph(hold.appliance.as_str(), &told, Style::Plain);
        }
        self.section("decisions");
        for (at, text) in said::decisions(facts) {
            self.paragraph(&said::utc(at), text, Style::Dim);
        }
        if !facts.debts.is_empty() {
            self.section("debts");
        }
        for debt in &facts.debts {
            let since =
                debt.since.map_or_else(String::new, |at| format!(" (since {})", said::utc(at)));
            let style = if debt.stuck { Style::Bad } else { Style::Warn };
            self.paragraph(debt.appliance.as_str(), &format!("{}{since}", debt.text), style);
        }
        if let Some((style, hooks)) = brief::hooks(facts) {
            self.section("hooks");
            self.paragraph("ran", &hooks, style);
        }
        if !facts.warnings.is_empty() {
            self.section("warnings of the plan");
        }
        for warning in &facts.warnings {
            self.paragraph(&warning.code, &warning.text, Style::Warn);
        }
    }
}

/// What the table has no column for.
fn details(member: &ApplianceFacts) -> String {
    let mut parts: Vec<String> = member.staged.iter().map(said::staged).collect();
    parts.extend(member.down.iter().map(|span| format!("down {}", said::span(span))));
    let secondary = member.secondary_off.iter();
    parts.extend(secondary.map(|span| format!("secondary off {}", said::span(span))));
    parts.extend(member.sessions_cut.map(|count| {
        format!("{} cut", words::count(usize::try_from(count).unwrap_or(usize::MAX), "session"))
    }));
    if !member.checks.is_empty() {
        let checks: Vec<String> = member.checks.iter().map(words::check).collect();
        parts.push(checks.join(", "));
    }
    parts.extend(member.person_steps.iter().map(said::person));
    parts.extend(member.left_behind.iter().map(|what| format!("left behind: {what}")));
    if member.retries > 0 {
        parts.push(format!("retried {}", words::count(member.retries as usize, "time")));
    }
    if let Some(bundle) = &member.bundle {
        parts.push(match &bundle.path {
            Some(path) => format!("support bundle {path} ({})", bundle.text),
            None => format!("no support bundle: {}", bundle.text),
        });
    }
    if parts.is_empty() {
        parts.push("nothing was done to it".to_owned());
    }
    parts.join("; ")
}

fn strings<const N: usize>(texts: [&str; N]) -> Vec<String> {
    texts.iter().map(|text| (*text).to_owned()).collect()
}

/// Rows under one another. One that is too wide goes on in the next line, moved in by four.
fn columns(rows: &[Vec<String>]) -> Vec<String> {
    let mut widths: Vec<usize> = Vec::new();
    for row in rows {
        widths.resize(widths.len().max(row.len()), 0);
        for (width, text) in widths.iter_mut().zip(row) {
            *width = (*width).max(text.chars().count());
        }
    }
    let line = |row: &Vec<String>| {
        let cells = row.iter().zip(&widths).map(|(text, width)| {
            format!("{text}{}", " ".repeat(width.saturating_sub(text.chars().count()) + 2))
        });
        let line = cells.collect::<String>().trim_end().to_owned();
        if line.chars().count() <= WIDTH {
            return format!("{line}\n");
        }
        wrap(&row.join("  "), WIDTH - 4).join("\n    ") + "\n"
    };
    rows.iter().map(line).collect()
}
