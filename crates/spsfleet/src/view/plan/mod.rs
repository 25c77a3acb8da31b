//! A plan, as a person reads it before accepting it.

mod against;
mod calendars;
mod facts;
mod forecast;
mod groups;
mod waves;

use model::ClusterName;
use model::plan::Plan;
use planner::forecast::Forecast;
use serde_json::{Value, json};

pub(crate) use against::Against;
pub(crate) use forecast::Foreseen;
pub(crate) use waves::Forecasts;

use super::table::wrap;
use super::words;
use crate::printer::{Paint, Style};

/// The document of `plan --output json`.
pub(crate) fn document(plan: &Plan, forecast: &Forecast) -> Value {
    json!({ "schema": 1, "plan": plan, "forecast": forecast })
}

/// How much of a plan is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shown {
    /// Every appliance.
    All,
    /// Of a larger wave the appliances that are alike together.
    Grouped,
    /// Of a larger wave only so many.
    First(usize),
}

/// The plan as text.
pub(crate) fn text(
    plan: &Plan,
    forecasts: Option<&dyn Forecasts>,
    shown: Shown,
    paint: Paint,
    width: usize,
) -> String {
    let mut text = format!(
        "{} to {}: {} in {}\n",
        paint.on(Style::Bold, plan.rollout.as_str()),
        plan.firmware.version,
        words::count(plan.appliances.len(), "appliance"),
        words::count(plan.waves.len(), "wave")
    );
    for (name, value) in facts::facts(plan) {
        let mut name = name;
        for line in wrap(&value, width.saturating_sub(12)) {
            text.push_str(&format!("  {}{line}\n", paint.on(Style::Dim, &format!("{name:<10}"))));
            name = "";
        }
    }
    if let Some(forecasts) = forecasts {
        let mut name = "expected";
        for line in wrap(&forecasts.whole(), width.saturating_sub(12)) {
            text.push_str(&format!("  {}{line}\n", paint.on(Style::Dim, &format!("{name:<10}"))));
            name = "";
        }
    }
    for wave in &plan.waves {
        text.push_str(&waves::one(plan, wave, forecasts, shown, paint, width));
    }
    let gap = |cluster: &ClusterName| forecasts.and_then(|all| all.cluster(cluster));
    text.push_str(&groups::clusters(plan, gap, paint, width));
    text.push_str(&groups::pairs(plan, paint, width));
    let warnings = plan.warnings.iter().map(|warning| warning.text.clone());
    let warnings: Vec<String> =
        warnings.chain(forecasts.map(|all| all.warnings()).unwrap_or_default()).collect();
    if !warnings.is_empty() {
        text.push('\n');
    }
    for warning in &warnings {
        push_warning(&mut text, warning, paint, width);
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
