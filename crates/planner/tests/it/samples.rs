//! The sample files of the contract plan as they stand.

use crate::support::{draw, plan, read, waves};

const FLEET: &str = include_str!("samples/fleet.yaml");
const ROLLOUT: &str = include_str!("samples/rollout.yaml");

#[test]
fn the_contracts_samples_make_a_plan() {
    let plan = plan(FLEET, ROLLOUT);
    assert_eq!(
        waves(&plan),
        ["canary: ams-1", "rest: ams-2 nyc-minion-1 nyc-host-1 nyc-cm ams-ha nyc-ha"]
    );
    let told: Vec<String> =
        plan.warnings.iter().map(|warning| format!("{}: {}", warning.code, warning.text)).collect();
    insta::assert_snapshot!(told.join("\n"));
    let mut parts = serde_json::to_value(&plan).expect("json");
    let parts = parts.as_object_mut().expect("a map");
    parts.retain(|key, _| {
        ["calendars", "clusters", "drain", "hooks", "waves"].contains(&key.as_str())
    });
    insta::assert_snapshot!(serde_json::to_string_pretty(parts).expect("json"));
}

#[test]
fn what_acts_on_hardware_is_looked_at_too() {
    let inputs = read(FLEET, ROLLOUT).unwrap_or_else(|faults| panic!("{}", draw(&faults)));
    let line = |file: planner::FileWanted| {
        format!("{:?} {} at {}:{}", file.kind, file.path, file.place.file, file.place.line)
    };
    let files: Vec<String> = inputs.files().into_iter().map(line).collect();
    assert_eq!(
        files,
        [
            "Ca /etc/spsfleet/bmc-ca.pem at fleet.yaml:70",
            "Ca /etc/spsfleet/ca.pem at fleet.yaml:10",
            "Image /srv/firmware/sps-7.5.1.iso at rollout.yaml:8",
            "Credential bmc-password at fleet.yaml:70",
            "Credential sps-password at fleet.yaml:9",
        ]
    );
}
