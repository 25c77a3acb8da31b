//! `db check` and `db backup`.

use std::os::unix::fs::PermissionsExt;

use crate::support::World;

const RUN: &str = "run --yes --fleet sim/fleet.yaml --state fleet.db sim/rollout.yaml";

/// A database as a rollout leaves it half-way: two rollouts, 46 events.
fn kept(world: &World) {
    let kept = concat!(env!("CARGO_MANIFEST_DIR"), "/../state/tests/data/v2.db");
    std::fs::copy(kept, world.path("fleet.db")).expect("copied");
}

#[test]
fn a_whole_database_is_said_to_be_whole() {
    let world = World::new();
    kept(&world);
    let done = world.run("db check --state fleet.db");
    assert_eq!((done.code, done.err.as_str()), (0, ""));
    assert!(
        done.out.ends_with("fleet.db: nothing wrong (2 rollouts, 46 events)\n"),
        "{}",
        done.out
    );
    let done = world.run("db check --state fleet.db --output json");
    let report: serde_json::Value = serde_json::from_str(&done.out).expect("JSON");
    let expected = serde_json::json!(
        { "schema": 1, "ok": true, "rollouts": 2, "events": 46, "problems": [] });
    assert_eq!((done.code, report), (0, expected));
}

#[test]
fn what_is_wrong_is_listed_and_nothing_is_repaired() {
    let world = World::new();
    kept(&world);
    // A write of this program makes the rows its own: those of older ones are folded anew.
    assert_eq!(world.run("resume autumn --state fleet.db").code, 0);
    let path = world.path("fleet.db");
    let mut bytes = std::fs::read(&path).expect("read");
    // Pages stay valid: only folding the log tells that the status does not follow from it.
    let (from, to) = (b"\"phase\":\"succeeded\"", b"\"phase\":\"attended\" ");
    let places: Vec<usize> =
        (0..bytes.len() - from.len()).filter(|at| bytes[*at..].starts_with(from)).collect();
    assert!(!places.is_empty());
    for at in places {
        bytes[at..at + to.len()].copy_from_slice(to);
    }
    std::fs::write(&path, &bytes).expect("written");
    let done = world.run("db check --state fleet.db");
    assert_eq!((done.code, done.err.as_str()), (1, ""));
    assert!(done.out.contains("is not what follows from its log: a"), "{}", done.out);
    assert!(
        done.out.ends_with("keep the file as it is, and go on from a backup\n"),
        "{}",
        done.out
    );
    let done = world.run("db check --state fleet.db --output json");
    let report: serde_json::Value = serde_json::from_str(&done.out).expect("JSON");
    assert_eq!((done.code, &report["ok"]), (1, &serde_json::json!(false)));
    assert_eq!(std::fs::read(&path).expect("read"), bytes, "nothing is repaired");

    // Cut short, it is not even read.
    std::fs::write(&path, &bytes[..bytes.len() / 2]).expect("written");
    let done = world.run("db check --state fleet.db");
    assert_eq!((done.code, done.out.as_str()), (1, ""));
    assert!(done.err.contains("the database is damaged"), "{}", done.err);
    assert!(done.err.contains("restore a backup"), "{}", done.err);
}

#[test]
fn what_is_no_journal_is_2() {
    let world = World::new();
    world.write("inventory.yaml", "version: 1\n");
    world.write("empty.db", "");
    for (file, why) in [
        ("missing.db", "there is no such database"),
        ("inventory.yaml", "this is no database"),
        ("empty.db", "the file is empty"),
    ] {
        for line in [format!("db check --state {file}"), format!("db backup b.db --state {file}")] {
            let done = world.run(&line);
            assert_eq!((done.code, done.out.as_str()), (2, ""), "{line}");
            assert!(done.err.contains(why), "{}", done.err);
        }
    }
    assert!(!world.path("missing.db").exists() && !world.path("b.db").exists());
}

#[test]
fn a_backup_is_whole_private_and_overwrites_nothing() {
    let world = World::new();
    kept(&world);
    let done = world.run("db backup copy.db --state fleet.db");
    assert_eq!((done.code, done.out.as_str()), (0, ""), "{}", done.err);
    let mode = std::fs::metadata(world.path("copy.db")).expect("there").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let events = |database: &str| world.run(&format!("events --state {database}")).out;
    assert_eq!(events("copy.db"), events("fleet.db"));
    assert_eq!(world.run("db check --state copy.db").code, 0);

    world.write("precious", "mine");
    for target in ["precious", "fleet.db"] {
        let done = world.run(&format!("db backup {target} --state fleet.db"));
        assert_eq!((done.code, done.out.as_str()), (2, ""), "{}", done.err);
        assert!(done.err.contains("exists already"), "{}", done.err);
    }
    assert_eq!(world.read("precious"), "mine");
    assert_eq!(world.run("db check --state fleet.db").code, 0);
}

#[test]
fn both_work_beside_a_run_and_a_rollout_goes_on_from_a_backup() {
    let world = World::new();
    let _sim = world.simulate("faults: []");
    let running = world.start(RUN);
    world.wait_for("a slot that is filled", || world.read("started.log").contains("staged"));
    let backup = world.run("db backup copy.db --state fleet.db");
    assert_eq!(backup.code, 0, "{}", backup.err);
    let check = world.run("db check --state fleet.db");
    assert_eq!(check.code, 0, "{}", check.out);
    assert_eq!(world.run("db check --state copy.db").code, 0);
    assert_eq!(running.wait().code(), Some(0), "{}", world.read("started.log"));
    // The copy knows nothing of what came after it, so it looks: nothing is done twice.
    let done = world.run(&RUN.replace("fleet.db", "copy.db"));
    assert!([0, 3].contains(&done.code), "{}", done.err);
    let upgrades = world.read("sim/ledger.jsonl");
    let upgrades = upgrades.lines().filter(|line| line.contains("\"/api/firmware/upgrade\""));
    assert_eq!(upgrades.count(), 3);
    assert_eq!(world.run("db check --state copy.db").code, 0);
}

#[test]
fn both_show_an_example() {
    let world = World::new();
    for command in ["db check", "db backup"] {
        let done = world.run(&format!("{command} --help"));
        assert_eq!(done.code, 0);
        assert!(done.out.contains(&format!("Example:\n  spsfleet {command}")), "{}", done.out);
    }
}
