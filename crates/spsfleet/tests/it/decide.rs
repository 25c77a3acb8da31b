//! Decisions: to a running rollout by its socket, to none by the journal, and what is refused.

use crate::support::World;

const RUN: &str = "run --yes --fleet sim/fleet.yaml --state fleet.db sim/rollout.yaml";

#[test]
fn a_running_rollout_takes_a_pause_by_its_socket() {
    let world = World::new();
    let _sim = world.simulate("faults: []");
    let rollout = world.read("sim/rollout.yaml");
    world.write("sim/rollout.yaml", &rollout.replace("unavailable: 3", "unavailable: 1"));
    let running = world.start(RUN);
    world.wait_for("the first appliance to go down", || {
        world.read("started.log").contains("goes down")
    });
    let beside = world.run("explain sim-7.5.1 nyc-1 --state fleet.db --output json");
    let beside: serde_json::Value = serde_json::from_str(&beside.out).expect("JSON");
    assert_eq!(beside["at_work"], true);
    assert_eq!(world.status("fleet.db")["rollouts"][0]["at_work"], true);
    let paused =
        world.run_words(&["pause", "sim-7.5.1", "--state", "fleet.db", "--reason", "why not"]);
    assert_eq!((paused.code, paused.out.as_str()), (0, ""), "{}", paused.err);
    assert_eq!(paused.err, "pause: taken by the process that runs this database, for sim-7.5.1\n");
    assert_eq!(running.wait().code(), Some(3), "{}", world.read("started.log"));
    let status = world.status("fleet.db");
    assert_eq!(status["rollouts"][0]["state"], "paused");
    let appliances = status["rollouts"][0]["appliances"].as_array().expect("a list");
    let down = appliances.iter().filter(|appliance| appliance["down"] == true).count();
    assert_eq!(down, 0, "what was in flight has come back");
    let waiting = appliances.iter().filter(|a| a["reason"]["code"] == "paused").count();
    assert_eq!(waiting, 2, "{status}");
}

#[test]
fn what_cannot_be_decided_says_why() {
    let world = World::new();
    let faults = "behaviours: [{ appliance: ams-2, does: { test_fails: { summary: 'no room' } } }]";
    let _sim = world.simulate(faults);
    assert_eq!(world.run(RUN).code, 3);
    for (line, code, text) in [
        ("pause other --state fleet.db", 2, "there is no rollout `other`; it holds: sim-7.5.1"),
        ("retry sim-7.5.1 ams-9 --state fleet.db", 1, "ams-9 is not in rollout sim-7.5.1"),
        ("retry sim-7.5.1 AMS --state fleet.db", 2, "`AMS` is not a name"),
        ("skip sim-7.5.1 ams-2 --state fleet.db", 1, "ams-2 is failed already"),
        ("resolve sim-7.5.1 ams-1 done --state fleet.db", 1, "nothing to resolve"),
    ] {
        let done = world.run(line);
        assert_eq!((done.code, done.out.as_str()), (code, ""), "{line}: {}", done.err);
        assert!(done.err.contains(text), "{line}: {}", done.err);
    }
    let aborted = world.run("abort sim-7.5.1 --state fleet.db");
    assert_eq!(aborted.code, 0, "{}", aborted.err);
    assert_eq!(world.run(RUN).code, 1, "an aborted rollout ends with 1");
    let resumed = world.run("resume sim-7.5.1 --state fleet.db");
    assert_eq!(resumed.code, 1);
    assert!(resumed.err.contains("has ended"), "{}", resumed.err);
}

#[test]
fn another_rollout_of_a_database_in_use_can_be_decided() {
    let world = World::new();
    let faults = "behaviours: [{ appliance: nyc-1, does: { test_fails: { summary: 'no room' } } }]";
    let _sim = world.simulate(faults);
    let all = world.read("sim/rollout.yaml");
    let only = |name: &str, site: &str| {
        all.replace("name: sim-7.5.1", &format!("name: {name}"))
            .replace("{ all: true }", &format!("{{ sites: [{site}] }}"))
    };
    world.write("sim/west.yaml", &only("west", "nyc"));
    world.write(
        "sim/rollout.yaml",
        &only("east", "ams").replace("unavailable: 3", "unavailable: 1"),
    );
    let west = world.run("run --yes --fleet sim/fleet.yaml --state fleet.db sim/west.yaml");
    assert!(matches!(west.code, 3 | 4), "{}", west.err);
    let east = world.start(RUN);
    world.wait_for("the socket", || world.path("fleet.db.sock").exists());
    let retried = world.run("retry west --failed --state fleet.db");
    assert_eq!(retried.code, 0, "{}", retried.err);
    assert!(retried.err.ends_with("for west\n"), "{}", retried.err);
    let refused = world.run("resolve west nyc-1 done --state fleet.db");
    assert_eq!(refused.code, 1, "{}", refused.err);
    assert!(refused.err.contains("nothing to resolve"), "{}", refused.err);
    assert_eq!(east.wait().code(), Some(0), "{}", world.read("started.log"));
    let events = world.run("events west --state fleet.db").out;
    assert!(events.contains("retry by "), "{events}");
}
