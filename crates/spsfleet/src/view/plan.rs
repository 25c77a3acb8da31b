//! A plan, as a person reads it before accepting it.

use model::fleet::{Appliance, Reboot};
use model::plan::Plan;
use model::rollout::{FailureBudget, OnBreach};
use serde_json::{Value, json};

use super::table::{Table, cell, styled, wrap};
use super::words;
use crate::printer::{Paint, Style};

/// The document of `plan --output json`.
pub(crate) fn document(plan: &Plan) -> Value {
    json!({ "schema": 1, "plan": plan })
}

/// The plan as text, with at most `shown` appliances of each wave.
pub(crate) fn text(plan: &Plan, shown: usize, paint: Paint, width: usize) -> String {
    let mut text = format!(
        "{} to {}: {} in {}\n",
        paint.on(Style::Bold, plan.rollout.as_str()),
        plan.firmware.version,
        words::count(plan.appliances.len(), "appliance"),
        words::count(plan.waves.len(), "wave")
    );
    for (name, value) in facts(plan) {
        let mut name = name;
        for line in wrap(&value, width.saturating_sub(12)) {
            text.push_str(&format!("  {}{line}\n", paint.on(Style::Dim, &format!("{name:<10}"))));
            name = "";
        }
    }
    for wave in &plan.waves {
        text.push_str(&format!(
            "\n{} {} ({})\n",
            paint.on(Style::Dim, "wave"),
            paint.on(Style::Bold, wave.name.as_str()),
            words::count(wave.appliances.len(), "appliance")
        ));
        let mut table = Table::new(["", "NAME", "ADDRESS", "SITE", "REMARKS"]);
        for (number, name) in wave.appliances.iter().take(shown).enumerate() {
            let Some(appliance) = plan.appliances.get(name) else { continue };
            table.row([
                styled(Style::Dim, format!("{:>3}", number + 1)),
                cell(name.as_str()),
                cell(appliance.endpoint.authority()),
                cell(appliance.site.as_str()),
                cell(remarks(appliance)),
            ]);
        }
        text.push_str(&table.render(paint, width));
        if let more @ 1.. = wave.appliances.len().saturating_sub(shown) {
            text.push_str(&format!("     and {more} more; `spsfleet plan` shows all\n"));
        }
    }
    if !plan.warnings.is_empty() {
        text.push('\n');
    }
    for warning in &plan.warnings {
        push_warning(&mut text, &warning.text, paint, width);
    }
    text
}

fn push_warning(text: &mut String, warning: &str, paint: Paint, width: usize) {
    let mut start = paint.on(Style::Warn, "warning:");
    for line in wrap(warning, width.saturating_sub(9)) {
        text.push_str(&format!("{start} {line}\n"));
        start = " ".repeat(8);
    }
}

fn facts(plan: &Plan) -> Vec<(&'static str, String)> {
    let firmware = &plan.firmware;
    let mut facts = Vec::new();
    if let Some(url) = &firmware.fetch {
        facts.push(("fetch", format!("{url} (each appliance pulls it)")));
    }
    if let Some(image) = &firmware.upload {
        let size =
            if image.size == 0 { String::new() } else { format!(", {}", words::bytes(image.size)) };
        let when =
            if firmware.fetch.is_some() { "where fetch is not offered" } else { "sent by us" };
        facts.push(("upload", format!("{}{size} ({when})", image.path)));
    }
    facts.push(("sha256", firmware.sha256.to_string()));
    if firmware.adopt {
        facts.push(("adopt", "a slot that already holds the version is used".to_owned()));
    }
    facts.push(("message", plan.message.clone()));
    let limits = &plan.limits;
    facts.push((
        "limits",
        format!(
            "{} down at once, {} transfers, {} requests per second",
            limits.unavailable, limits.transfers, limits.requests_per_second
        ),
    ));
    for (site, limits) in &plan.sites {
        let parts = [
            limits.unavailable.map(|limit| format!("{limit} down at once")),
            limits.transfers.map(|limit| format!("{limit} transfers")),
            limits.requests_per_second.map(|limit| format!("{limit} requests per second")),
        ];
        let parts: Vec<String> = parts.into_iter().flatten().collect();
        if !parts.is_empty() {
            facts.push(("site", format!("{site}: {}", parts.join(", "))));
        }
    }
    for (group, limit) in &plan.groups {
        facts.push(("group", format!("{group}: {limit} down at once")));
    }
    facts.push(("budget", budget(&plan.failure_budget, plan.appliances.len())));
    facts.push(("digest", plan.digest.to_string()));
    facts
}

fn budget(budget: &FailureBudget, selected: usize) -> String {
    let then = match budget.on_breach {
        OnBreach::Pause => "pauses the rollout",
        OnBreach::Abort => "aborts the rollout",
    };
    match budget.breached_at(selected) {
        Some(1) => format!("the first failure {then}"),
        Some(limit) => format!("failure number {limit} {then}"),
        None => "failures do not stop the rollout".to_owned(),
    }
}

fn remarks(appliance: &Appliance) -> String {
    let mut remarks = Vec::new();
    if let Some(group) = &appliance.group {
        remarks.push(format!("group {group}"));
    }
    match &appliance.reboot {
        Reboot::Operator => {}
        Reboot::Command(words) => {
            let program = words.first().map_or("", String::as_str);
            remarks.push(format!("rebooted by {program}"));
        }
        Reboot::Redfish(redfish) => remarks.push(format!("rebooted by Redfish {}", redfish.url)),
    }
    remarks.join(", ")
}

/// What differs between an accepted plan and a new one, one line each.
pub(crate) fn differences(accepted: &Plan, new: &Plan) -> Vec<String> {
    let mut lines = Vec::new();
    let (old, now) = (value(accepted), value(new));
    compare("", &old, &now, &mut lines);
    lines.retain(|line| !line.starts_with("digest:"));
    lines
}

fn value(plan: &Plan) -> Value {
    serde_json::to_value(plan).unwrap_or(Value::Null)
}

fn compare(path: &str, old: &Value, new: &Value, lines: &mut Vec<String>) {
    let join = |key: &str| {
        if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") }
    };
    match (old, new) {
        (Value::Object(a), Value::Object(b)) => {
            for (key, before) in a {
                compare(&join(key), before, b.get(key).unwrap_or(&Value::Null), lines);
            }
            for (key, after) in b.iter().filter(|(key, _)| !a.contains_key(*key)) {
                compare(&join(key), &Value::Null, after, lines);
            }
        }
        (a, b) if a == b => {}
        (a, b) => lines.push(format!("{path}: {} -> {}", brief(a), brief(b))),
    }
}

fn brief(value: &Value) -> String {
    const LONGEST: usize = 100;
    let mut text = match value {
        Value::Null => "nothing".to_owned(),
        Value::String(text) => text.clone(),
        _ => value.to_string(),
    };
    if let Some((cut, _)) = text.char_indices().nth(LONGEST) {
        text.truncate(cut);
        text.push('…');
    }
    text
}
