//! How an appliance and its cluster are (sps-api.md, sections 5 and 6).

use std::collections::BTreeMap;

use model::observed::{ClusterNode, Health};
use serde_json::Value;

use super::{At, Reading, whole};
use crate::words;

/// Every part of the health may be missing.
pub(crate) fn health(answer: &Value) -> Reading<Health> {
    Ok(health_at(&At::root(answer).must("health_status")?))
}

fn health_at(at: &At<'_>) -> Health {
    let number = |at: &At<'_>| at.value.as_f64();
    let firmware = at.maybe("firmware");
    let part = |name: &str| firmware.as_ref().and_then(|firmware| firmware.maybe(name));
    let count = |value: &Value| match value {
        Value::Array(files) => Some(files.len() as u64),
        other => other.as_f64().map(whole),
    };
    let tainted = part("tainted_files");
    let integrity = part("integrity");
    let total = at.maybe("sessions_total").or_else(|| at.maybe("total_sessions"));
    let sessions = at.maybe("sessions").map(|sessions| {
        sessions.entries().filter_map(|(_, value)| value.as_f64().map(whole)).sum()
    });
    let system = || at.maybe("system_details")?.maybe("disk")?.maybe("percent");
    Health {
        disk_used: at.maybe("disk").as_ref().and_then(number).or_else(|| number(&system()?)),
        tainted: tainted
            .iter()
            .flat_map(At::entries)
            .filter_map(|(name, value)| Some((words::tame(name, 80), count(value)?)))
            .collect(),
        integrity: integrity
            .iter()
            .flat_map(At::entries)
            .filter_map(|(name, value)| {
                Some((words::tame(name, 80), words::tame(value.as_str()?, 80)))
            })
            .collect(),
        raid: at.maybe("raid").and_then(|raid| raid.maybe("status")?.words("status", 80)),
        sessions: total.as_ref().and_then(number).map(whole).or(sessions),
        queues: at.maybe("pipeline_queues").map(|queues| numbers(queues.value)).unwrap_or_default(),
        indexer: at.maybe("indexer").and_then(|indexer| state_of(&indexer)),
    }
}

/// How many numbers are taken from a part of an answer whose shape no manual shows, and how deep.
const NUMBERS: usize = 64;
const DEPTH: usize = 3;

/// The numbers of an object by name, of objects in it by both names, of lists by their place.
fn numbers(value: &Value) -> BTreeMap<String, u64> {
    fn take(value: &Value, name: &str, depth: usize, found: &mut BTreeMap<String, u64>) {
        let named = |key: &str| match name {
            "" => words::tame(key, 80),
            name => words::tame(&format!("{name}.{key}"), 80),
        };
        match value {
            Value::Number(number) if !name.is_empty() && found.len() < NUMBERS => {
                found.extend(number.as_f64().map(|number| (name.to_owned(), whole(number))));
            }
            Value::Object(fields) if depth < DEPTH => {
                for (key, value) in fields {
                    take(value, &named(key), depth + 1, found);
                }
            }
            Value::Array(items) if depth < DEPTH => {
                for (at, value) in items.iter().enumerate() {
                    take(value, &named(&at.to_string()), depth + 1, found);
                }
            }
            _ => {}
        }
    }
    let mut found = BTreeMap::new();
    take(value, "", 0, &mut found);
    found
}

/// A word for the state, or else the numbers that are there.
fn state_of(at: &At<'_>) -> Option<String> {
    let word = at.value.as_str().map(|word| words::tame(word, 80));
    word.or_else(|| at.words("status", 80)).or_else(|| at.words("state", 80)).or_else(|| {
        let numbers = numbers(at.value);
        let shown: Vec<String> =
            numbers.iter().map(|(name, number)| format!("{name}: {number}")).collect();
        (!shown.is_empty()).then(|| words::tame(&shown.join(", "), 200))
    })
}

pub(crate) fn cluster_status(answer: &Value) -> Reading<Vec<ClusterNode>> {
    let root = At::root(answer);
    let asked = root.maybe("meta").and_then(|meta| meta.words("self", 255));
    let node = |at: &At<'_>| {
        let key = at.must("key")?.text_or_number()?;
        let warnings = at
            .maybe("configuration_sync")
            .and_then(|sync| sync.maybe("issues")?.maybe("warnings")?.list().ok())
            .unwrap_or_default();
        let is_self = asked.as_deref().is_some_and(|asked| {
            asked == key || asked.strip_suffix(&key).is_some_and(|before| before.ends_with('/'))
        });
        Ok(ClusterNode {
            fqdn: at.words("fqdn", 255),
            last_seen: at.words("last_seen", 80),
            healthy: at.maybe("health_status").is_some(),
            sync_status: at.words("sync_status", 80),
            // One without a message is one all the same.
            warnings: warnings
                .iter()
                .map(|at| {
                    at.words("message", 300)
                        .unwrap_or_else(|| words::tame(&at.value.to_string(), 300))
                })
                .collect(),
            is_self,
            key,
        })
    };
    root.must("items")?.list()?.iter().map(node).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn health_may_have_holes() {
        let answer = json!({"health_status": {"disk": 12, "sessions": {"ssh": 2, "rdp": 1}, "total_sessions": 4,
            "firmware": {"tainted_files": {"boot": 0, "core": 3}, "integrity": {"boot": "OK", "core": "CORRUPTED"}},
            "raid": {"status": {"status": "optimal"}, "disks": {}}}, "issues": {}});
        let health = health(&answer).expect("health");
        assert_eq!(health.disk_used, Some(12.0));
        assert_eq!(health.tainted.get("core"), Some(&3));
        assert_eq!(health.integrity.get("core").map(String::as_str), Some("CORRUPTED"));
        assert_eq!(health.raid.as_deref(), Some("optimal"));
        assert_eq!(health.sessions, Some(4));
        assert_eq!(super::health(&json!({"health_status": {}})), Ok(Health::default()));
        assert!(health.queues.is_empty() && health.indexer.is_none());
        let summed = json!({"health_status": {"sessions": {"ssh": 2, "rdp": 1}}});
        assert_eq!(super::health(&summed).expect("health").sessions, Some(3));
    }

    #[test]
    fn queues_and_indexer_are_taken_in_any_shape() {
        let health = |status: Value| health(&json!({ "health_status": status })).expect("health");
        let of = |queues: Value| {
            let queues = health(json!({ "pipeline_queues": queues })).queues;
            queues.iter().map(|(name, n)| format!("{name}={n}")).collect::<Vec<_>>().join(" ")
        };
        assert_eq!(
            of(json!({"audit": 3, "index": 4.0, "state": "ok", "none": null})),
            "audit=3 index=4"
        );
        assert_eq!(
            of(json!({"audit": {"length": 3, "oldest": "x"}, "list": [7, {"n": 8}]})),
            "audit.length=3 list.0=7 list.1.n=8"
        );
        assert_eq!(of(json!([])), "");
        assert_eq!(of(json!("none")), "");
        assert_eq!(of(json!({"a": {"b": {"c": {"d": 1}}}})), "", "not without end");
        let many: serde_json::Map<String, Value> =
            (0..1000).map(|at| (format!("queue-{at}"), json!(at))).collect();
        assert_eq!(health(json!({ "pipeline_queues": many })).queues.len(), 64);

        let indexer = |indexer: Value| health(json!({ "indexer": indexer })).indexer;
        assert_eq!(indexer(json!("running")).as_deref(), Some("running"));
        assert_eq!(indexer(json!({"status": "idle", "n": 1})).as_deref(), Some("idle"));
        assert_eq!(
            indexer(json!({"jobs": 2, "near": {"live": 1}})).as_deref(),
            Some("jobs: 2, near.live: 1")
        );
        assert_eq!(indexer(json!({})), None);
        assert_eq!(indexer(json!(null)), None);
    }

    #[test]
    fn a_warning_of_any_shape_is_one() {
        let node = json!({"key": "n", "configuration_sync": {"issues": {"warnings": [
            {"message": "w", "paths": []}, "bare", {"text": "x"}]}}});
        let nodes = cluster_status(&json!({"items": [node]})).expect("nodes");
        assert_eq!(nodes[0].warnings, ["w", "\"bare\"", "{\"text\":\"x\"}"]);
        assert!(!nodes[0].healthy && !nodes[0].is_self);
    }

    #[test]
    fn the_asking_node_of_a_cluster_is_known() {
        let answer = json!({"items": [
            {"key": "a-1", "fqdn": "a", "health_status": {}, "sync_status": "n/a", "last_seen": "now"},
            {"key": "b-2", "fqdn": "b", "health_status": null, "sync_status": "pending",
             "configuration_sync": {"issues": {"warnings": [{"message": "w", "paths": []}]}}}],
            "meta": {"self": "/api/cluster/status/a-1"}});
        let nodes = cluster_status(&answer).expect("nodes");
        assert_eq!(
            nodes.iter().map(|n| (n.is_self, n.healthy)).collect::<Vec<_>>(),
            [(true, true), (false, false)]
        );
        assert_eq!(nodes[1].warnings, ["w"]);
    }
}
