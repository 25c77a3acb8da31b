//! What differs between an accepted plan and a new one.

use std::collections::BTreeMap;

use model::plan::Plan;
use model::{ApplianceName, RolloutId, WaveName};
use serde::Serialize;
use serde_json::Value;

use crate::printer::{Paint, Style};
use crate::view::table::indented;
use crate::view::words;

/// The differences, by kind.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Against {
    /// The rollout whose plan was accepted.
    pub(crate) rollout: RolloutId,
    /// Whether both plans are the same.
    pub(crate) same: bool,
    /// Appliances that only the new plan has, with their wave.
    pub(crate) added: Vec<Placed>,
    /// Appliances that only the accepted plan has.
    pub(crate) removed: Vec<Placed>,
    /// Appliances whose wave is another.
    pub(crate) moved: Vec<Moved>,
    /// Everything else, by its path in the plan.
    pub(crate) changed: Vec<Changed>,
}

/// An appliance and its wave.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Placed {
    name: ApplianceName,
    wave: WaveName,
}

/// An appliance that is in another wave now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Moved {
    name: ApplianceName,
    from: WaveName,
    to: WaveName,
}

/// A field that has another value now.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Changed {
    path: String,
    before: Value,
    after: Value,
}

impl Against {
    /// Compares two plans.
    pub(crate) fn of(id: &RolloutId, accepted: &Plan, new: &Plan) -> Self {
        let (old, now) = (waves(accepted), waves(new));
        let placed = |(name, wave): (&&ApplianceName, &&WaveName)| Placed {
            name: (*name).clone(),
            wave: (*wave).clone(),
        };
        let only = |these: &BTreeMap<&ApplianceName, &WaveName>,
                    those: &BTreeMap<&ApplianceName, &WaveName>| {
            these.iter().filter(|(name, _)| !those.contains_key(*name)).map(placed).collect()
        };
        let moved = now.iter().filter_map(|(name, to)| {
            let from = old.get(name).filter(|from| *from != to)?;
            Some(Moved { name: (*name).clone(), from: (*from).clone(), to: (*to).clone() })
        });
        let mut changed = Vec::new();
        compare("", &value(accepted), &value(new), &mut changed);
        let both = |name: &str| {
            accepted.appliances.contains_key(name) && new.appliances.contains_key(name)
        };
        changed.retain(|field| is_of_its_own(&field.path, both));
        Self {
            rollout: id.clone(),
            same: accepted.digest == new.digest,
            added: only(&now, &old),
            removed: only(&old, &now),
            moved: moved.collect(),
            changed,
        }
    }

    /// One line each.
    pub(crate) fn lines(&self) -> Vec<String> {
        let mut lines = Vec::new();
        lines.extend(self.added.iter().map(|of| format!("added: {} (wave {})", of.name, of.wave)));
        lines.extend(
            self.removed.iter().map(|of| format!("removed: {} (wave {})", of.name, of.wave)),
        );
        lines.extend(
            self.moved
                .iter()
                .map(|of| format!("moved: {} from wave {} to {}", of.name, of.from, of.to)),
        );
        lines.extend(self.changed.iter().map(|field| {
            format!("{}: {} -> {}", field.path, brief(&field.before), brief(&field.after))
        }));
        if !self.same && lines.is_empty() {
            lines.push("waves: the same appliances in another order".to_owned());
        }
        lines
    }

    /// The differences as paragraphs.
    pub(crate) fn text(&self, name: &str, paint: Paint, width: usize) -> String {
        if self.same {
            return format!("no difference from the accepted plan of {name}\n");
        }
        let mut text = format!(
            "{}\n",
            paint.on(Style::Bold, &format!("changed since the plan of {name} was accepted"))
        );
        let mut push = |head: &str, names: Vec<String>, style: Style| {
            if !names.is_empty() {
                let count = words::count(names.len(), "appliance");
                let names = words::names(names.iter().map(String::as_str), 50);
                text.push_str(&indented(
                    2,
                    &format!("{head} {count}"),
                    &names,
                    paint,
                    style,
                    width,
                ));
            }
        };
        push("added", self.added.iter().map(|of| of.name.to_string()).collect(), Style::Good);
        push("removed", self.removed.iter().map(|of| of.name.to_string()).collect(), Style::Bad);
        let moved = |of: &Moved| format!("{} ({} to {})", of.name, of.from, of.to);
        push("moved", self.moved.iter().map(moved).collect(), Style::Warn);
        for field in &self.changed {
            let change = format!("{} -> {}", brief(&field.before), brief(&field.after));
            text.push_str(&indented(2, &field.path, &change, paint, Style::Plain, width));
        }
        if text.lines().count() == 1 {
            text.push_str("  waves: the same appliances in another order\n");
        }
        text
    }
}

/// Whether a difference is not told by what was added, removed or moved.
fn is_of_its_own(path: &str, both: impl Fn(&str) -> bool) -> bool {
    if path == "digest" || (path.starts_with("waves.") && path.ends_with(".appliances")) {
        return false;
    }
    // A name may have dots in it: the longest that is known counts.
    let Some(rest) = path.strip_prefix("appliances.") else { return true };
    let names = rest.match_indices('.').map(|(at, _)| at).chain([rest.len()]);
    names.filter_map(|end| rest.get(..end)).any(both)
}

fn waves(plan: &Plan) -> BTreeMap<&ApplianceName, &WaveName> {
    let members = plan.waves.iter();
    members.flat_map(|wave| wave.appliances.iter().map(|name| (name, &wave.name))).collect()
}

/// The plan with waves by name, so that a new one does not change all behind it.
fn value(plan: &Plan) -> Value {
    let mut value = serde_json::to_value(plan).unwrap_or(Value::Null);
    let Some(fields) = value.as_object_mut() else { return value };
    let waves = fields.remove("waves").unwrap_or(Value::Null);
    let by_name = waves.as_array().into_iter().flatten().map(|wave| {
        let name = wave.get("name").and_then(Value::as_str).unwrap_or_default().to_owned();
        (name, wave.clone())
    });
    fields.insert("waves".to_owned(), Value::Object(by_name.collect()));
    value
}

fn compare(path: &str, old: &Value, new: &Value, found: &mut Vec<Changed>) {
    let join = |key: &str| {
        if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") }
    };
    match (old, new) {
        (Value::Object(a), Value::Object(b)) => {
            for (key, before) in a {
                compare(&join(key), before, b.get(key).unwrap_or(&Value::Null), found);
            }
            for (key, after) in b.iter().filter(|(key, _)| !a.contains_key(*key)) {
                compare(&join(key), &Value::Null, after, found);
            }
        }
        (a, b) if a == b => {}
        (a, b) => {
            let (before, after) = (a.clone(), b.clone());
            found.push(Changed { path: path.to_owned(), before, after });
        }
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

#[cfg(test)]
mod tests {
    use super::*;
    use model::ApplianceName;

    fn name(text: &str) -> ApplianceName {
        ApplianceName::new(text).expect("a name")
    }

    fn plan(waves: &[(&str, &[&str])]) -> Plan {
        let all: Vec<ApplianceName> =
            waves.iter().flat_map(|(_, names)| names.iter().map(|text| name(text))).collect();
        let mut plan = sim::sample::plan("sps-7.5.1", all.iter().map(sim::sample::appliance));
        plan.waves = waves
            .iter()
            .map(|(of, names)| {
                let names: Vec<_> = names.iter().map(|text| name(text)).collect();
                sim::sample::wave(of, &names)
            })
            .collect();
        plan.digest = plan.content_digest();
        plan
    }

    #[test]
    fn what_was_added_removed_moved_and_changed_is_told_once() {
        let old = plan(&[("canary", &["a.1"]), ("rest", &["b", "c"])]);
        let mut new = plan(&[("canary", &["a.1", "c"]), ("rest", &["d"])]);
        new.limits.unavailable = 4;
        let changed = std::sync::Arc::make_mut(new.appliances.get_mut("a.1").expect("a member"));
        changed.endpoint.port = 8443;
        new.digest = new.content_digest();
        let id = RolloutId::new("r");
        let against = Against::of(&id, &old, &new);
        assert_eq!(
            against.lines(),
            [
                "added: d (wave rest)",
                "removed: b (wave rest)",
                "moved: c from wave rest to canary",
                "appliances.a.1.endpoint.port: 443 -> 8443",
                "limits.unavailable: 1 -> 4",
            ]
        );
        let same = Against::of(&id, &old, &old);
        assert!(same.same && same.lines().is_empty());
        let json = serde_json::to_value(&against).expect("json");
        assert_eq!(json["moved"][0]["from"], "rest");
    }
}
