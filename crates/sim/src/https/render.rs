//! Answers as JSON, in the shapes of sps-api.md, section 2, and the vendor's sample responses.

use model::names::SlotKey;
use model::observed::{ClusterNode, FetchStatus, Slot};
use serde_json::{Value, json};

use crate::appliance::{Details, JobView, Refusal, Reply};
use crate::spec::HealthSpec;

/// The status of a good answer.
pub(super) fn status(reply: &Reply) -> u16 {
    if matches!(reply, Reply::FetchStarted(_)) { 202 } else { 200 }
}

fn parent(path: &str) -> &str {
    path.rsplit_once('/').map_or("/api", |(parent, _)| parent)
}

fn slot_path(slot: &SlotKey) -> String {
    format!("/api/firmware/slots/{slot}")
}

fn slot_body(slot: &Slot) -> Value {
    slot.content.as_ref().map_or_else(
        || json!({}),
        |content| {
            json!({
                "version": content.version,
                "current": content.current,
                "after_reboot": content.after_reboot,
                "upgrade_news": null,
                "upgrade_notes": format!("Notes on {}", content.version),
            })
        },
    )
}

/// A slot's key as a number where it is one.
fn number(slot: &SlotKey) -> Value {
    slot.as_str().parse::<u64>().map_or_else(|_| json!(slot.as_str()), Value::from)
}

fn job_body(view: &JobView) -> Value {
    let status = match &view.job.status {
        FetchStatus::Queued => "queued",
        FetchStatus::InProgress => "in-progress",
        FetchStatus::Finished => "finished",
        FetchStatus::Failed => "failed",
        FetchStatus::Cancelled => view.cancelled_word,
        FetchStatus::Other(word) => word,
    };
    json!({
        "bytes_downloaded": view.job.downloaded,
        "bytes_total": view.job.total,
        "error": view.job.error,
        "info": view.job.info,
        "slot_id": view.job.slot.as_ref().map(number),
        "start_time": view.start_time.map(|at| at.strftime("%Y-%m-%dT%H:%M:%S+00:00").to_string()),
        "status": status,
        "url": view.job.url,
    })
}

fn job_meta(view: &JobView) -> Value {
    let mut meta = json!({ "href": format!("/api/firmware/fetch/{}", view.job.key) });
    if let (Some(slot), Some(meta)) = (&view.job.slot, meta.as_object_mut()) {
        meta.insert("slot".to_owned(), slot_path(slot).into());
    }
    meta
}

fn add(meta: &mut Value, entries: &[(&str, Value)]) {
    if let Some(meta) = meta.as_object_mut() {
        for (key, value) in entries {
            meta.insert((*key).to_owned(), value.clone());
        }
    }
}

const FIRMWARE_LINKS: [(&str, &str); 3] = [
    ("slots", "/api/firmware/slots"),
    ("test", "/api/firmware/test"),
    ("upgrade", "/api/firmware/upgrade"),
];

fn add_links(meta: &mut Value) {
    add(meta, &[("parent", "/api/firmware".into())]);
    for (key, path) in FIRMWARE_LINKS {
        add(meta, &[(key, path.into())]);
    }
}

/// The body of a good answer; `None`: it is no JSON.
#[expect(clippy::too_many_lines, reason = "one arm an answer")]
pub(super) fn body(reply: &Reply, path: &str, remaining: u64) -> Option<Value> {
    let mut meta = json!({
        "href": path,
        "parent": parent(path),
        "remaining_seconds": remaining,
    });
    let body = match reply {
        Reply::Setup { completed } => {
            json!({ "status": if *completed { "completed" } else { "booting" }, "meta": meta })
        }
        Reply::LoginMethods => json!({
            "login_methods": [{ "name": "local", "type": "local" }], "meta": meta
        }),
        Reply::Session { .. } => json!({ "meta": meta }),
        Reply::Info(info) => {
            let mut body = json!({
                "domainname": "sim.invalid",
                "hostname": info.hostname,
                "nickname": null,
                "support_link": "https://support.invalid",
            });
            if let Some((version, roles)) = &info.inside {
                add(
                    &mut body,
                    &[
                        ("firmware_version", version.as_str().into()),
                        ("version", marketing(version).into()),
                        ("build_date", "2026-01-01".into()),
                        ("config_hash", "0".into()),
                        ("analytics_enabled", false.into()),
                        ("roles", json!(roles)),
                    ],
                );
            }
            json!({ "key": "about_info", "body": body, "meta": meta })
        }
        Reply::UserInfo { user, token, new_shape: true } => json!({
            "user": { "name": user.as_ref() },
            "login_method": { "authentication": "local", "credential": "password", "name": "local" },
            "token": token,
            "meta": meta,
        }),
        Reply::UserInfo { user, .. } => json!({
            "user": { "name": user.as_ref() },
            "endpoints": [
                { "methods": ["GET", "DELETE"], "url": "/api/firmware/slots" },
                { "methods": ["GET", "POST", "DELETE"], "url": "/api/firmware/fetch" },
                { "methods": ["POST"], "url": "/api/firmware/test" },
                { "methods": ["POST"], "url": "/api/firmware/upgrade" },
                { "methods": ["POST"], "url": "/api/upload/firmware" },
            ],
            "meta": meta,
        }),
        Reply::Firmware { fetch } => {
            let item = |key: &str| json!({ "key": key, "meta": { "href": format!("/api/firmware/{key}") } });
            let keys = ["fetch", "slots", "test", "upgrade"];
            let items: Vec<Value> =
                keys.iter().filter(|key| **key != "fetch" || *fetch).map(|key| item(key)).collect();
            json!({ "items": items, "meta": meta })
        }
        Reply::Slots(slots) => {
            let item = |slot: &Slot| {
                json!({
                    "key": slot.key.as_str(),
                    "body": slot_body(slot),
                    "meta": { "href": slot_path(&slot.key) },
                })
            };
            json!({ "items": slots.iter().map(item).collect::<Vec<_>>(), "meta": meta })
        }
        Reply::Slot(slot) => {
            json!({ "key": slot.key.as_str(), "body": slot_body(slot), "meta": meta })
        }
        Reply::Deleted => json!({ "meta": meta }),
        Reply::FetchStarted(key) => {
            add_links(&mut meta);
            add(&mut meta, &[("href", format!("/api/firmware/fetch/{key}").into())]);
            json!({ "key": key.as_str(), "meta": meta })
        }
        Reply::Jobs(jobs) => {
            add_links(&mut meta);
            let item = |view: &JobView| {
                json!({
                    "key": view.job.key.as_str(), "body": job_body(view), "meta": job_meta(view)
                })
            };
            json!({ "items": jobs.iter().map(item).collect::<Vec<_>>(), "meta": meta })
        }
        Reply::Job(view) => {
            let mut meta = job_meta(view);
            add(
                &mut meta,
                &[
                    ("parent", "/api/firmware/fetch".into()),
                    ("remaining_seconds", remaining.into()),
                ],
            );
            json!({ "key": view.job.key.as_str(), "body": job_body(view), "meta": meta })
        }
        Reply::Uploaded { slot, empty } => {
            let (test, upgrade) = ("/api/firmware/test", "/api/firmware/upgrade");
            json!({
                "key": slot.key.as_str(),
                "body": slot_body(slot),
                "meta": {
                    "href": path, "slot": slot_path(&slot.key), "test": test, "upgrade": upgrade,
                    "number_of_empty_slots": empty, "remaining_seconds": remaining,
                },
            })
        }
        Reply::Tested { slot, summary } | Reply::Upgraded { slot, summary } => {
            add(&mut meta, &[("slot", slot_path(slot).into())]);
            json!({
                "key": slot.as_str(), "body": { "test_summary": summary }, "meta": meta
            })
        }
        Reply::Health { spec, ha_other } => health(spec, *ha_other, &meta),
        Reply::Cluster(nodes) => cluster(nodes, meta),
        Reply::Transaction => json!({
            "body": { "status": "closed", "commit_message": null }, "meta": meta
        }),
        Reply::WebInterface { minutes } => json!({
            "key": "webinterface", "body": { "timeout": minutes }, "meta": meta
        }),
        Reply::Bundle { key, finished } => json!({
            "key": key,
            "body": { "status": if *finished { "finished" } else { "running" } },
            "meta": meta,
        }),
        Reply::BundleContent(_) | Reply::Power(_) | Reply::PowerTaken => return None,
    };
    Some(body)
}

/// The version as the front page writes it, such as `7 F5`; not to be compared with anything.
fn marketing(version: &str) -> String {
    let mut parts = version.split('.');
    let (major, minor) = (parts.next().unwrap_or("0"), parts.next().unwrap_or("0"));
    if minor == "0" { format!("{major} LTS") } else { format!("{major} F{minor}") }
}

fn health(spec: &HealthSpec, ha_other: Option<u64>, meta: &Value) -> Value {
    let mut tainted = json!({ "boot": 0, "core": spec.tainted_core });
    if let Some(files) = ha_other {
        add(&mut tainted, &[("ha_other", files.into())]);
    }
    let sessions: serde_json::Map<String, Value> =
        spec.sessions.iter().map(|(name, count)| (name.clone(), Value::from(*count))).collect();
    let queues: serde_json::Map<String, Value> =
        spec.queues.iter().map(|(name, length)| (name.clone(), Value::from(*length))).collect();
    let indexer = spec.indexer.as_ref().map_or(json!({}), |state| json!({ "status": state }));
    json!({
        "health_status": {
            "cpu": 4.0, "disk": spec.disk, "memory": 42.0, "swap": 0.0,
            "load1": 0.1, "load5": 0.1, "load15": 0.1,
            "sessions": sessions,
            "sessions_total": spec.sessions_total(),
            "firmware": {
                "tainted_files": tainted,
                "integrity": { "boot": "OK", "core": spec.integrity_core },
            },
            "raid": {
                "status": {
                    "status": spec.raid, "detailed_status": null, "operation_progress": null
                },
                "disks": {},
            },
            "indexer": indexer,
            "pipeline_queues": queues,
            "system_details": {
                "disk": { "free": 100.0 - spec.disk, "percent": spec.disk, "total": 100.0 }
            },
        },
        "issues": {},
        "meta": meta,
    })
}

fn cluster(nodes: &[ClusterNode], mut meta: Value) -> Value {
    let item = |node: &ClusterNode| {
        let warnings: Vec<Value> = node
            .warnings
            .iter()
            .map(|message| json!({ "message": message, "paths": [] }))
            .collect();
        json!({
            "key": node.key,
            "fqdn": node.fqdn,
            "last_seen": node.last_seen,
            "health_status": if node.healthy { json!({ "total_sessions": 0 }) } else { Value::Null },
            "sync_status": node.sync_status,
            "configuration_sync": {
                "last_updated": node.last_seen,
                "last_checked": node.last_seen,
                "downloaded_xml_hash": null,
                "issues": { "warnings": warnings },
            },
            "meta": {
                "configuration": format!("/api/cluster/nodes/{}", node.key),
                "href": format!("/api/cluster/status/{}", node.key),
            },
        })
    };
    if let Some(own) = nodes.iter().find(|node| node.is_self) {
        add(&mut meta, &[("self", format!("/api/cluster/status/{}", own.key).into())]);
    }
    json!({ "items": nodes.iter().map(item).collect::<Vec<_>>(), "meta": meta })
}

/// The body of a refusal.
pub(super) fn refusal(refusal: &Refusal, path: &str) -> Value {
    let details = match &refusal.details {
        Details::None => json!({}),
        Details::Attempted(path) => json!({ "path": path }),
        Details::Missing(paths) => json!({ "missing_paths": paths }),
        Details::Resource { mount_point, resource } => {
            json!({ "mount_point": mount_point, "resource": resource })
        }
        Details::Test { exit_code, summary } => {
            json!({ "exit_code": exit_code, "test_summary": summary })
        }
    };
    error(refusal.kind, &refusal.message, &details, path)
}

/// The error envelope.
pub(super) fn error(kind: &str, message: &str, details: &Value, path: &str) -> Value {
    json!({
        "error": { "type": kind, "message": message, "details": details },
        "meta": { "href": path, "parent": parent(path) },
    })
}
