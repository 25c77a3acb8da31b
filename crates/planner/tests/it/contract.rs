//! Every field that the two files may have is read, checked in full, and stands in the plan.

use model::plan::Plan;
use planner::FileKind;

use crate::support::{change, draw, plan, read, warned, waves};

/// A fleet with every field.
const FLEET: &str = r#"version: 1
defaults:
  port: 443
  login: { username: upgrader, method: local, password: { credential: sps } }
  tls: { ca: /etc/spsfleet/ca.pem }
  upgrade_call: detect
  reboot: operator
sites:
  lon:
    time_zone: Europe/London
    windows:
      - "Sat 22:00 - Sun 04:00"
      - Mon-Thu,Fri 01:00 - 05:00
      - { from: 2026-12-01T22:00, to: 2026-12-02T04:00 }
    freezes:
      - { from: 2026-12-18, to: 2027-01-04, reason: year-end }
      - { from: 2026-11-27T18:00, to: 2026-11-30T06:00 }
    limits: { transfers: 4, unavailable: 1, requests_per_second: 20 }
  syd:
    time_zone: Australia/Sydney
    limits: { transfers: 2, unavailable: 1 }
clusters:
  apac: { parallel: 1, allow_attended: true }
redundancy_groups:
  edge: { unavailable: 1 }
  core:
appliances:
  - name: lon-1
    address: 192.0.2.11
    site: lon
    labels: { env: prod, ring: first }
    redundancy_group: edge
  - name: lon-2
    address: 192.0.2.12
    hostname: sps-lon-2
    site: lon
    labels: { env: prod }
    redundancy_group: edge
    login: { password: { env: LON_2 } }
    reboot: { command: [/usr/local/bin/reboot-sps, lon-2] }
  - name: syd-minion
    address: 2001:db8::11
    site: syd
    labels: { env: prod }
    cluster: { name: apac, roles: [managed-host, search-minion] }
  - name: syd-host
    address: syd-host.example
    site: syd
    labels: { env: prod }
    cluster: { name: apac, roles: [managed-host, search-local] }
    upgrade_call: reboots
    ha: { mode: automatic, reboots_both: true }
  - name: syd-cm
    address: 2001:db8::10
    site: syd
    labels: { env: prod }
    cluster: { name: apac, roles: [central-management, search-master] }
    login: { password: { command: [/usr/local/bin/secret, syd-cm] } }
  - name: syd-pair
    address: 2001:db8::20
    site: syd
    labels: { env: prod }
    tls: { pin_sha256: "00112233445566778899aabbccddeeff00112233445566778899AABBCCDDEEFF" }
    upgrade_call: arms
    ha: { mode: attended }
  - name: lon-pair
    address: 192.0.2.20
    site: lon
    labels: { env: prod }
    tls: { system: true }
    upgrade_call: arms
    reboot: &bmc
      redfish:
        url: "https://192.0.2.120"
        system: "1"
        username: fleet
        password: { file: bmc-password }
        tls: { ca: /etc/spsfleet/bmc-ca.pem }
    ha:
      mode: automatic
      peer_sync: 10m
      force_off_after: 5m
      secondary_check: { command: [/usr/local/bin/is-secondary, lon-pair-b] }
      secondary_power: *bmc
  - name: lon-other-pair
    address: 192.0.2.30
    site: lon
    labels: { env: prod }
    tls: { insecure: true }
    upgrade_call: arms
    ha:
      mode: automatic
      peer_sync: 10m
      secondary_power: { command: { on: [power, "on"], off: [power, "off"], state: [power, state] } }
"#;

/// A rollout with every field.
const ROLLOUT: &str = r#"version: 1
name: sps-7.5.1
firmware:
  version: 7.5.1
  sha256: "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
  fetch: https://repo.example/sps-7.5.1.iso
  upload: /srv/firmware/sps-7.5.1.iso
  adopt: false
  via:
    - { version: 7.0.5.1, sha256: "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef", upload: x.iso }
message: "CHG1 SPS 7.5.1"
select:
  names: [lon-1, lon-2, syd-minion, syd-host, syd-cm, syd-pair, lon-pair, lon-other-pair]
  sites: [lon, syd]
  labels: { env: prod }
  except: { clusters: [apac], names: [lon-1] }
waves:
  - name: first
    select: { labels: { ring: first } }
    soak: 30m
    approval: required
    failure_budget: { count: 1 }
  - name: tenth
    percent: 10
  - name: rest
limits: { transfers: 20, unavailable: 3, requests_per_second: 200 }
stage: ahead
failure_budget: { count: 1, percent: 5, on_breach: pause }
drain: { sessions: 0, wait: 15m, otherwise: hold }
checks: { disk_used_max: 90, require_untainted: true, support_bundle: true }
slots: { make_room: oldest }
unreachable: { wait: 2h }
timeouts: { stage: 3h, stall: 10m, test: 15m, upgrade: 15m, armed_grace: 3m, return: 45m, verify: 10m, blind: 30s }
windows: ["daily 20:00 - 06:00"]
freezes: [{ from: 2026-12-24, to: 2026-12-26 }]
hooks:
  before: { command: [/usr/local/bin/mute], timeout: 1m }
  after: { command: [/usr/local/bin/unmute], timeout: 1m }
  cluster_before: { command: [a] }
  cluster_after: { command: [b] }
  wave_before: { command: [c] }
  wave_after: { command: [d] }
"#;

fn everybody() -> String {
    change(ROLLOUT, "  except: { clusters: [apac], names: [lon-1] }\n", "")
}

/// The parts of a plan that are not of single appliances, as JSON.
fn parts(plan: &Plan) -> String {
    let mut value = serde_json::to_value(plan).expect("json");
    let parts = value.as_object_mut().expect("a map");
    for key in ["appliances", "bystanders", "digest", "schema", "timeouts", "message", "limits"] {
        assert!(parts.remove(key).is_some(), "{key}");
    }
    serde_json::to_string_pretty(parts).expect("json")
}

#[test]
fn every_field_is_in_the_plan() {
    insta::assert_snapshot!(parts(&plan(FLEET, &everybody())));
}

#[test]
fn an_exception_may_name_a_whole_cluster() {
    let some = change(ROLLOUT, "clusters: [apac], names: [lon-1]", "clusters: [apac]");
    let plan = plan(FLEET, &some);
    assert!(plan.clusters.is_empty());
    assert_eq!(waves(&plan), ["first: lon-1", "rest: lon-2 syd-pair lon-other-pair lon-pair"]);
    let unused: Vec<&str> = plan
        .warnings
        .iter()
        .filter(|warning| warning.code == "hook-without-effect")
        .map(|warning| warning.text.as_str())
        .collect();
    assert_eq!(
        unused,
        [
            "the hook `cluster_after` never runs: no cluster is selected",
            "the hook `cluster_before` never runs: no cluster is selected"
        ]
    );
}

#[test]
fn the_images_of_all_hops_are_looked_at() {
    let inputs = read(FLEET, &everybody()).unwrap_or_else(|faults| panic!("{}", draw(&faults)));
    let images: Vec<String> = inputs
        .files()
        .into_iter()
        .filter(|file| file.kind == FileKind::Image)
        .map(|file| file.path)
        .collect();
    assert_eq!(images, ["/etc/spsfleet/x.iso", "/srv/firmware/sps-7.5.1.iso"]);
}

/// Only what this rollout asks for itself, so that selection and waves are looked at.
fn good_rollout(select: &str, waves: &str) -> String {
    format!(
        "version: 1\nname: r\nfirmware: {{ version: 7.5.1, fetch: \"http://x.example/i\", sha256: \"{}\" }}\n\
         message: m\nselect: {select}\nwaves:\n{waves}\n",
        "0".repeat(64)
    )
}

#[test]
fn a_cluster_is_selected_and_taken_as_a_whole() {
    let told = |select: &str, waves: &str| {
        draw(&read(FLEET, &good_rollout(select, waves)).expect_err("a fault"))
    };
    let rest = "  - name: rest";
    insta::assert_snapshot!(
        told("{ names: [syd-cm, lon-1] }", rest),
        @"
    rollout.yaml:5:9 part-of-cluster: only a part of the cluster `apac` is selected; missing: syd-host, syd-minion (a cluster is upgraded as a whole: until then its minions do not audit)
        1 bytes: selects a part of a cluster
    "
    );
    insta::assert_snapshot!(
        told("{ sites: [syd] }", "  - { name: one, select: { names: [syd-cm] } }\n  - name: rest"),
        @"
    rollout.yaml:7:26 part-of-cluster: the wave `one` picks only a part of the cluster `apac` (a cluster is upgraded as a whole and never split over waves)
        1 bytes: picks a part of a cluster
    "
    );
    let plan = plan(FLEET, &good_rollout("{ clusters: [apac] }", rest));
    assert_eq!(waves(&plan), ["rest: syd-minion syd-host syd-cm"]);
    assert!(!warned(&plan).contains(&"part-of-group"));
}

#[test]
fn rules_of_clusters_hold() {
    let told =
        |from: &str, to: &str| draw(&read(&change(FLEET, from, to), ROLLOUT).expect_err("a fault"));
    let cases = [
        ("roles: [managed-host, search-minion]", "roles: [managed-host, search-master]"),
        ("roles: [managed-host, search-minion]", "roles: [central-management, search-minion]"),
        ("roles: [managed-host, search-minion]", "roles: [search-local, search-minion]"),
        ("roles: [managed-host, search-minion]", "roles: [search-minion, search-minion]"),
        ("roles: [managed-host, search-minion]", "roles: [minion]"),
        ("roles: [central-management, search-master]", "roles: [search-master]"),
        ("roles: [central-management, search-master]", "role: [search-master]"),
        (
            "cluster: { name: apac, roles: [managed-host, search-minion] }",
            "cluster: { name: apak, roles: [central-management] }",
        ),
        (
            "ha: { mode: attended }",
            "cluster: { name: quiet, roles: [central-management] }\n    ha: { mode: attended }",
        ),
    ];
    let mut text = String::new();
    for (from, to) in cases {
        let to = to.replace("quiet", "apac");
        text += &format!("## {to}\n{}\n", told(from, &to));
    }
    let quiet = change(FLEET, ", allow_attended: true", "");
    let quiet = change(
        &quiet,
        "ha: { mode: attended }",
        "cluster: { name: apac, roles: [search-local] }\n    ha: { mode: attended }",
    );
    let faults = read(&quiet, ROLLOUT).expect_err("a fault");
    text += &format!("## attended member\n{}\n", draw(&faults));
    insta::assert_snapshot!(text);
}
