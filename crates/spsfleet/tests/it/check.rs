//! `check` and `plan`.

use crate::support::{World, settings, steady};

const FLEET: &str = "\
version: 1
defaults:
  login: { username: u, password: { env: SPSFLEET_TEST_UNSET } }
sites:
  ams: { limits: { unavailable: 1 } }
appliances:
  - { name: ams-1, address: 192.0.2.1, site: ams, labels: { ring: canary } }
  - { name: ams-2, address: 192.0.2.2, site: ams, tls: { insecure: true } }
";

const ROLLOUT: &str = "\
version: 1
name: sps-7.5.1
firmware:
  version: 7.5.1
  sha256: \"e6837af0b5dcb5397c6bc8b52c0fb95aa49a3fea4303e274c7501f0857cb9b80\"
  fetch: https://repo.example/sps-7.5.1.iso
message: CHG1
select: { all: true }
waves:
  - { name: canary, select: { labels: { ring: canary } } }
  - name: rest
";

fn world() -> World {
    let world = World::new();
    world.write("fleet.yaml", FLEET);
    world.write("rollout.yaml", ROLLOUT);
    world
}

#[test]
fn good_files_are_0_with_warnings_beside() {
    let done = world().run("check --fleet fleet.yaml rollout.yaml");
    assert_eq!(done.code, 0, "{}", done.err);
    assert_eq!(done.out, "no fault: 2 of 2 appliances selected\n");
    assert!(done.err.contains("ams-2"), "insecure is warned about: {}", done.err);
    assert!(done.err.contains("SPSFLEET_TEST_UNSET"), "{}", done.err);
}

#[test]
fn every_fault_is_shown_with_its_place() {
    let world = world();
    let fleet = FLEET.replace("site: ams, labels", "site: amz, labels").replace("port", "prt");
    world.write("fleet.yaml", &fleet.replace("192.0.2.2", "192.0.2.1"));
    world.write("rollout.yaml", &ROLLOUT.replace("7.5.1\n  sha256", "7.5\n  sha256"));
    let done = world.run("check --fleet fleet.yaml rollout.yaml");
    assert_eq!((done.code, done.err.as_str()), (2, ""));
    settings().bind(|| insta::assert_snapshot!(done.out));

    let done = world.run("check --fleet fleet.yaml rollout.yaml --output json");
    assert_eq!((done.code, done.err.as_str()), (2, ""));
    let document: serde_json::Value = serde_json::from_str(&done.out).expect("JSON");
    assert_eq!(document["schema"], 1);
    assert_eq!(document["ok"], false);
    let faults = document["faults"].as_array().expect("a list");
    let lines: Vec<_> = faults.iter().map(|f| (f["file"].clone(), f["line"].clone())).collect();
    assert_eq!(
        lines,
        [
            ("fleet.yaml".into(), 7.into()),
            ("fleet.yaml".into(), 8.into()),
            ("rollout.yaml".into(), 4.into())
        ]
    );
}

#[test]
fn files_are_looked_at_unless_told_not_to() {
    let world = world();
    let trusted = FLEET.replace("tls: { insecure: true }", "tls: { ca: ca.pem }");
    world.write("fleet.yaml", &trusted);
    let rollout = ROLLOUT.replace("  fetch:", "  upload: sps.iso\n  fetch:");
    world.write("rollout.yaml", &rollout);
    let done = world.run("check --fleet fleet.yaml rollout.yaml");
    assert_eq!(done.code, 2);
    for missing in ["/ca.pem", "/sps.iso"] {
        assert!(done.out.contains(missing), "{}", done.out);
    }
    let done = world.run("check --fleet fleet.yaml rollout.yaml --no-files");
    assert_eq!(done.code, 0, "{}", done.out);

    world.write("ca.pem", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n");
    world.write("sps.iso", "another image");
    let done = world.run("check --fleet fleet.yaml rollout.yaml");
    assert_eq!(done.code, 2);
    assert!(done.out.contains("another SHA-256 sum"), "{}", done.out);
}

#[test]
fn text_that_is_not_utf_8_is_refused_with_its_place() {
    let world = world();
    std::fs::write(world.path("fleet.yaml"), b"version: 1\n# \xff\n").expect("written");
    let done = world.run("check --fleet fleet.yaml");
    assert_eq!((done.code, done.out.as_str()), (2, ""));
    assert_eq!(done.err, "error: fleet.yaml: not UTF-8 text (at byte 13); save it as UTF-8\n");
}

#[test]
fn a_plan_can_be_read() {
    let world = world();
    let done = world.run("plan --fleet fleet.yaml rollout.yaml");
    assert_eq!(done.code, 0, "{}", done.err);
    settings().bind(|| insta::assert_snapshot!(steady(&world, &done.out)));
    // What is expected of it follows from the time; the plan itself does not.
    let plan = || {
        let done = world.run("plan --fleet fleet.yaml rollout.yaml --output json");
        let document: serde_json::Value = serde_json::from_str(&done.out).expect("JSON");
        document["plan"].clone()
    };
    assert_eq!(plan(), plan(), "equal files, equal plan");
}

#[test]
fn a_plan_is_a_document() {
    let done = world().run("plan --fleet fleet.yaml rollout.yaml --output json");
    assert_eq!(done.code, 0, "{}", done.err);
    let document: serde_json::Value = serde_json::from_str(&done.out).expect("JSON");
    assert_eq!(document["schema"], 1);
    assert_eq!(document["plan"]["rollout"], "sps-7.5.1");
    assert_eq!(document["plan"]["waves"][0]["appliances"][0], "ams-1");
}

#[test]
fn without_a_terminal_a_plan_must_be_accepted_by_flag() {
    let world = world();
    let done = world.run("run --fleet fleet.yaml --state fleet.db rollout.yaml");
    assert_eq!((done.code, done.out.as_str()), (2, ""));
    assert!(done.err.contains("wave canary (1 appliance)"), "the plan is shown: {}", done.err);
    assert!(done.err.ends_with("say --yes to accept it\n"), "{}", done.err);
    assert!(!world.path("fleet.db").exists(), "nothing was begun");
}

#[test]
fn a_file_that_is_not_there_is_a_document_too() {
    let done = World::new().run("check --fleet none.yaml --output json");
    assert_eq!(done.code, 2, "{}", done.err);
    let document: serde_json::Value = serde_json::from_str(&done.out).expect("JSON");
    assert_eq!(document["ok"], false);
    assert_eq!(document["faults"][0]["message"], "none.yaml: no such file");
}
