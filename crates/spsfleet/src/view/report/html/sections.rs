//! The sections of the HTML report. Each is empty when there is nothing to say.

use model::run::Phase;

use super::super::brief;
use super::super::facts::{ApplianceFacts, ReportFacts};
use super::super::said;
use super::class;
use super::tags::{cell, escape, raw_cell, row, table};
use crate::view::status::phase_style;
use crate::view::words;

/// What a person should look at now.
pub(super) fn alarms(facts: &ReportFacts) -> String {
    let alarm = |notice: &super::super::facts::Notice| {
        let (code, text) = (escape(&notice.code), escape(&notice.text));
        format!("<p class=\"alarm\"><b>Alarm {code}</b>: {text}</p>\n")
    };
    facts.alarms.iter().map(alarm).collect()
}

/// A state that is told by a sign and a word, and not by its colour alone.
fn state(phase: Phase) -> String {
    let sign = match phase {
        Phase::Succeeded | Phase::UpToDate => "\u{2713} ",
        Phase::Failed => "\u{2717} ",
        Phase::Held | Phase::Attended | Phase::Unknown => "\u{25cf} ",
        Phase::Skipped | Phase::SetAside => "\u{2013} ",
        _ => "\u{2026} ",
    };
    format!("<span class=\"st\">{sign}{}</span>", phase.name())
}

/// Who is not at the target, and why.
pub(super) fn not_upgraded(facts: &ReportFacts) -> String {
    let rows: Vec<String> = facts
        .appliances
        .iter()
        .filter(|member| !member.state.is_upgraded())
        .map(|member| {
            let reason = member.reason.as_ref();
            let code = reason.map_or("", |reason| reason.code.as_str());
            let step = reason.and_then(|reason| reason.step);
            let code = step.map_or_else(|| code.to_owned(), |step| format!("{code} in {step}"));
            row(
                class(phase_style(member.state)),
                &[
                    cell("", "n", member.name.as_str()),
                    raw_cell("State", "", &state(member.state)),
                    cell("Version", "v", &said::after(member)),
                    cell("Down", "", &said::downtime(member)),
                    cell("Reason", "", &code),
                    cell("", "", reason.map_or("", |reason| &reason.text)),
                ],
            )
        })
        .collect();
    if rows.is_empty() {
        return String::new();
    }
    table(&["Appliance", "State", "Version", "Down", "Reason", "In its words"], rows)
}

/// The waves.
pub(super) fn waves(facts: &ReportFacts) -> String {
    let rows = facts.waves.iter().map(|wave| {
        row(
            "",
            &[
                cell("", "n", wave.name.as_str()),
                cell("State", "", wave.state),
                cell("Upgraded", "", &format!("{} of {}", wave.upgraded, wave.appliances)),
                cell("Began", "v", &said::maybe_utc(wave.started)),
                cell("Ended", "v", &said::maybe_utc(wave.ended)),
                cell("Then", "", &said::gate(wave)),
            ],
        )
    });
    table(&["Wave", "State", "Upgraded", "Began", "Ended", "Then"], rows)
}

/// The central clusters.
pub(super) fn clusters(facts: &ReportFacts) -> String {
    if facts.clusters.is_empty() {
        return String::new();
    }
    let rows = facts.clusters.iter().map(|cluster| {
        let gaps: Vec<String> = cluster.gaps.iter().map(said::span).collect();
        let members: Vec<String> = cluster.members.iter().map(ToString::to_string).collect();
        row(
            if cluster.gap_open { "bad" } else { "" },
            &[
                cell("", "n", cluster.name.as_str()),
                cell("State", "st", cluster.state),
                cell("Members", "", &members.join(", ")),
                cell("Audit gap", "", &said::gap(cluster)),
                cell("When", "", &gaps.join(", ")),
            ],
        )
    });
    table(&["Cluster", "State", "Members, in order", "Audit gap", "When"], rows)
}

/// Every appliance, in the order in which it was to be taken.
pub(super) fn appliances(facts: &ReportFacts) -> String {
    let head = ["Appliance", "Site", "Wave", "State", "Before", "After", "Down", "Took", "Details"];
    table(&head, facts.appliances.iter().map(appliance))
}

fn appliance(member: &ApplianceFacts) -> String {
    row(
        class(phase_style(member.state)),
        &[
            cell("", "n", member.name.as_str()),
            cell("Site", "", member.site.as_str()),
            cell("Wave", "", member.wave.as_str()),
            raw_cell("State", "", &state(member.state)),
            cell("Before", "v", &said::before(member)),
            cell("After", "v", &said::after(member)),
            cell("Down", "", &said::downtime(member)),
            cell("Took", "v", &said::took(member)),
            raw_cell("", "", &details(member)),
        ],
    )
}

fn details(member: &ApplianceFacts) -> String {
    let mut items: Vec<String> = Vec::new();
    let mut item = |text: &str| items.push(format!("<li>{}</li>", escape(text)));
    if let Some(reason) = &member.reason {
        item(&format!("{}: {}", reason.code, reason.text));
    }
    if let Some(cluster) = &member.cluster {
        item(&format!("member of cluster {cluster}"));
    }
    for staged in &member.staged {
        item(&format!("{}, {}", said::staged(staged), said::utc(staged.at)));
    }
    for span in &member.down {
        item(&format!("down {}", said::span(span)));
    }
    for span in &member.secondary_off {
        item(&format!("secondary off {}", said::span(span)));
    }
    if let Some(cut) = member.sessions_cut {
        item(&format!("sessions cut: {cut}"));
    }
    for step in &member.person_steps {
        item(&said::person(step));
    }
    for check in member.checks.iter().filter(|check| !check.good) {
        item(&format!("worse: {}", words::check(check)));
    }
    let good: Vec<String> =
        member.checks.iter().filter(|check| check.good).map(words::check).collect();
    if !good.is_empty() {
        item(&format!("as good as before: {}", good.join(", ")));
    }
    for what in &member.left_behind {
        item(&format!("left behind: {what}"));
    }
    if member.retries > 0 {
        item(&format!("retried {}", words::count(member.retries as usize, "time")));
    }
    if let Some(bundle) = &member.bundle {
        item(&match &bundle.path {
            Some(path) => format!("support bundle {path} ({})", bundle.text),
            None => format!("no support bundle: {}", bundle.text),
        });
    }
    if items.is_empty() {
        return "nothing was done to it".to_owned();
    }
    let open = if member.state.is_upgraded() { "" } else { " open" };
    format!("<details{open}><summary>details</summary><ul>{}</ul></details>", items.concat())
}

/// Everybody's checks in short.
pub(super) fn health(facts: &ReportFacts) -> String {
    let told = brief::health(facts);
    told.map_or_else(String::new, |(_, text)| format!("<p>{}</p>\n", escape(&text)))
}

/// What is still to be undone.
pub(super) fn debts(facts: &ReportFacts) -> String {
    let debt = |debt: &super::super::facts::DebtFacts| {
        let since = debt.since.map_or_else(String::new, |at| format!(", since {}", said::utc(at)));
        let text = escape(&format!("{}{since}", debt.text));
        format!("<p class=\"alarm\"><b>{}</b>: {text}</p>\n", escape(debt.appliance.as_str()))
    };
    facts.debts.iter().map(debt).collect()
}

/// Who was held when.
pub(super) fn holds(facts: &ReportFacts) -> String {
    if facts.holds.is_empty() {
        return String::new();
    }
    let rows = facts.holds.iter().map(|hold| {
        row(
            "",
            &[
                cell("", "n", hold.appliance.as_str()),
                cell("When", "", &said::span(&hold.span)),
                cell("For", "v", &words::duration(hold.span.length(facts.as_of))),
                cell("Reason", "", hold.code),
                cell("", "", &hold.text),
            ],
        )
    });
    table(&["Appliance", "When", "For", "Reason", "Why"], rows)
}

/// Who decided what, and why.
pub(super) fn decisions(facts: &ReportFacts) -> String {
    let rows = said::decisions(facts)
        .into_iter()
        .map(|(at, text)| row("", &[cell("", "v", &said::utc(at)), cell("", "", text)]));
    table(&["When", "What"], rows)
}

/// Hooks, those that failed one by one.
pub(super) fn hooks(facts: &ReportFacts) -> String {
    let Some((_, told)) = brief::hooks(facts) else { return String::new() };
    format!("<p>{}</p>\n", escape(&told))
}

/// What the plan warned of.
pub(super) fn warnings(facts: &ReportFacts) -> String {
    let item = |notice: &super::super::facts::Notice| {
        format!("<li>{}: {}</li>\n", escape(&notice.code), escape(&notice.text))
    };
    let items: String = facts.warnings.iter().map(item).collect();
    if items.is_empty() { items } else { format!("<ul>\n{items}</ul>\n") }
}

/// Of so many events all are shown; of more, those that need a look, and the newest of the rest.
const EVENTS: usize = 2_000;

/// What happened, folded away.
pub(super) fn events(facts: &ReportFacts) -> String {
    let all = facts.events.len();
    let mut room = EVENTS.saturating_sub(
        facts.events.iter().filter(|event| !matches!(event.level, "" | "good")).count(),
    );
    let mut shown: Vec<_> = Vec::new();
    for event in facts.events.iter().rev() {
        let plain = matches!(event.level, "" | "good");
        if plain && room == 0 || shown.len() == EVENTS {
            continue;
        }
        room -= usize::from(plain);
        shown.push(event);
    }
    shown.reverse();
    let number = shown.len();
    let rows = shown.into_iter().map(|event| {
        let name = event.appliance.as_ref().map_or("", |name| name.as_str());
        let cells =
            [cell("", "v", &said::utc(event.at)), cell("", "n", name), cell("", "", &event.text)];
        row(event.level, &cells)
    });
    let left_out = if number < all {
        format!(
            "<p class=\"soft\">{} more are left out; <code>spsfleet events {}</code> has all.</p>\n",
            all - number,
            escape(facts.rollout.as_str())
        )
    } else {
        String::new()
    };
    let table = table(&["When (UTC)", "Appliance", "What"], rows);
    format!(
        "<details class=\"long\"><summary>{}</summary>\n{left_out}{table}</details>\n",
        words::count(number, "event")
    )
}
