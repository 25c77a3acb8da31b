//! Small files to start from, and a plain drawing of faults.

use model::plan::Plan;
use planner::{Facts, Fault, Inputs, Role, Source};

/// A fleet of four with everything that works.
pub(crate) const FLEET: &str = r#"version: 1
defaults:
  port: 443
  login:
    username: fleet-upgrader
    method: local
    password: { credential: sps-password }
  tls: { ca: ca.pem }
  upgrade_call: detect
  reboot: operator
sites:
  ams:
    limits: { transfers: 4, unavailable: 1, requests_per_second: 20 }
  nyc: {}
clusters: {}
redundancy_groups:
  ams-edge: { unavailable: 1 }
appliances:
  - name: ams-1
    address: 10.10.0.11
    site: ams
    labels: { env: prod, ring: canary }
    redundancy_group: ams-edge
  - name: ams-2
    address: 10.10.0.12
    hostname: sps-ams-2
    site: ams
    labels: { env: prod }
    redundancy_group: ams-edge
  - name: nyc-1
    address: 10.20.0.11
    site: nyc
    labels: { env: prod }
    reboot: { command: [bin/reboot, nyc-1] }
  - name: lab-1
    address: lab-1.example
    port: 8443
    login: { password: { file: lab-password } }
    tls: { pin_sha256: "0f3c5d0a6f0b7c1f2a4be3a90b0a5c7a52e1a2f0d9d3f6f0c0e7f5a4b3c2d1e0" }
    labels: { env: lab }
"#;

/// A rollout over it with everything that works.
pub(crate) const ROLLOUT: &str = r#"version: 1
name: sps-7.5.1
firmware:
  version: 7.5.1
  sha256: "e6837af0b5dcb5397c6bc8b52c0fb95aa49a3fea4303e274c7501f0857cb9b80"
  fetch: https://repo.example/sps-7.5.1.iso
  upload: sps-7.5.1.iso
message: "CHG0012345 SPS 7.5.1"
select: { labels: { env: prod } }
waves:
  - name: canary
    select: { labels: { ring: canary } }
  - name: half
    percent: 50
  - name: rest
limits: { transfers: 20, unavailable: 3, requests_per_second: 200 }
stage: ahead
failure_budget: { count: 1, percent: 5, on_breach: pause }
checks: { disk_used_max: 90, require_untainted: true, support_bundle: false }
slots: { make_room: never }
unreachable: { wait: 2h }
timeouts: { stage: 3h, stall: 10m, test: 15m, upgrade: 15m, armed_grace: 3m, return: 45m, verify: 10m, blind: 30s }
windows: []
freezes: []
"#;

/// The fleet file.
pub(crate) fn fleet(text: &str) -> Source {
    source("fleet.yaml", text)
}

/// The rollout file.
pub(crate) fn rollout(text: &str) -> Source {
    source("rollout.yaml", text)
}

fn source(name: &str, text: &str) -> Source {
    Source { name: name.to_owned(), folder: "/etc/spsfleet".to_owned(), text: text.to_owned() }
}

/// Reads both.
pub(crate) fn read(fleet_text: &str, rollout_text: &str) -> Result<Inputs, Vec<Fault>> {
    planner::read(fleet(fleet_text), Some(rollout(rollout_text)))
}

/// The plan of two good files; it has passed the linter.
pub(crate) fn plan(fleet_text: &str, rollout_text: &str) -> Plan {
    let plan = read(fleet_text, rollout_text)
        .and_then(|inputs| planner::plan(&inputs, &Facts::not_looked_at()))
        .unwrap_or_else(|faults| panic!("{}", draw(&faults)));
    assert_eq!(planner::lint(&plan), []);
    plan
}

/// A file with one text in it replaced.
pub(crate) fn change(text: &str, from: &str, to: &str) -> String {
    assert_eq!(text.matches(from).count(), 1, "`{from}` must be there once");
    text.replacen(from, to, 1)
}

/// The waves of a plan, one a line.
pub(crate) fn waves(plan: &Plan) -> Vec<String> {
    let line = |wave: &model::plan::PlannedWave| {
        let names: Vec<&str> = wave.appliances.iter().map(|name| name.as_str()).collect();
        format!("{}: {}", wave.name, names.join(" "))
    };
    plan.waves.iter().map(line).collect()
}

/// The codes of warnings.
pub(crate) fn warned(plan: &Plan) -> Vec<&str> {
    plan.warnings.iter().map(|warning| warning.code.as_str()).collect()
}

/// Faults as plain text, with the text that they mark.
pub(crate) fn draw(faults: &[Fault]) -> String {
    let mut text = String::new();
    for fault in faults {
        text += &format!("{fault}\n");
        text += &format!("    {} bytes: {}\n", fault.place.len, fault.label);
        for related in &fault.related {
            let place = &related.place;
            text +=
                &format!("    {}:{}:{} {}\n", place.file, place.line, place.column, related.label);
        }
        let in_fleet = fault.place.role == Role::Fleet;
        assert_eq!(in_fleet, fault.place.file.starts_with("fleet"), "{fault}");
    }
    text
}
